"""What stands behind the question mark of a granular scope (`patient/Observation.rs?category=laboratory`), as SQL on
a row that is in the store and as a test of content that is not.

Taken: search parameters of kind token and reference, without modifiers and chains: `category`, `code`, `status`,
`_security`, `_tag`, `subject`, `encounter`… Several parameters must all hold; values parted by commas are
alternatives. Everything else is refused, since what is not enforced must not be granted; custom parameters too, since
who may write one would decide what a scope means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from varde.fhir.definitions import own_urls, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.search.conditions import Compiler
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.parse import parse
from varde.fhir.search.query import Condition
from varde.fhir.search.references import reference_keys
from varde.fhir.search.values import clipped, system_key

if TYPE_CHECKING:
    from varde.fhir.rows import IndexRows

KINDS = frozenset({"token", "reference"})
_OF_COLUMNS = frozenset({"_id", "_lastUpdated"})
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""In the place of the moment that a search is asked at: no token or reference is compared with it."""


class Unenforceable(ValueError):
    """A narrowing that this server does not enforce. The text says what of it."""


@lru_cache(maxsize=1000)
def read_narrowing(resource_type: str, query: str) -> tuple[Condition, ...]:
    """The conditions of `query` on `resource_type` ("*": on every type). Raises Unenforceable."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not pairs or any(not name or not text for name, text in pairs):
        raise Unenforceable("a narrowing is written parameter=value")
    try:
        search = parse(None if resource_type == "*" else resource_type, pairs)
    except BadRequest:
        raise Unenforceable("it is narrowed by what is no search parameter of the type") from None
    found: list[Condition] = []
    for condition in search.conditions:
        if not isinstance(condition, Condition) or condition.modifier is not None:
            raise Unenforceable("modifiers and chains are not enforced")
        if condition.parameter.kind not in KINDS or condition.parameter.code in _OF_COLUMNS:
            raise Unenforceable("only parameters of kind token and reference are enforced")
        if condition.parameter.url not in own_urls():
            raise Unenforceable("only parameters of R4 itself are enforced")
        found.append(condition)
    if len(found) != len(pairs):
        raise Unenforceable("only parameters of kind token and reference are enforced")
    for condition in found:
        try:
            _Narrowing(cast(Gate, None), Parameters(), _NEVER).meets("r", condition)
        except BadRequest:
            raise Unenforceable("a value of the narrowing cannot be read") from None
    return tuple(found)


class _Narrowing(Compiler):
    """The search's own compiler, with aliases that meet none of the statement it becomes a part of."""

    def alias(self, letter: str, *, contained: bool = False) -> str:
        return super().alias(f"n{letter}", contained=contained)


def as_sql(alias: str, resource_type: str | None, conditions: Sequence[Condition], parameters: Parameters) -> str:
    """SQL that holds for a row of `resource` named `alias` that meets all conditions, by its index rows."""
    # No condition of these kinds asks the gate.
    compiler = _Narrowing(cast(Gate, None), parameters, _NEVER)
    return " and ".join(compiler.meets(alias, _of_type(one, resource_type)) for one in conditions)


def met_by(rows: IndexRows, resource_type: str, conditions: Sequence[Condition]) -> bool:
    """The same of content whose search values are `rows`, in the store or not."""
    return all(_met(rows, _of_type(one, resource_type)) for one in conditions)


def _of_type(condition: Condition, resource_type: str | None) -> Condition:
    """A condition on every type, as one on `resource_type`: its one key instead of a hundred and more."""
    if resource_type is None or not condition.parameter.everywhere:
        return condition
    own = search_parameters(resource_type).get(condition.parameter.code)
    return condition if own is None else replace(condition, parameter=own)


def _met(rows: IndexRows, condition: Condition) -> bool:
    keys = set(condition.parameter.keys)
    if condition.parameter.kind == "token":
        held = [(system, code) for key, system, code in rows.tokens if key in keys]
        return any(_token_met(held, value, condition.parameter.systems) for value in condition.values)
    targets = {target for key, target, _, _ in rows.references if key in keys}
    own = condition.parameter.targets
    return any(targets & set(reference_keys(unescape(value), own)) for value in condition.values)


def _token_met(held: Sequence[tuple[int, str]], text: str, own: Sequence[str]) -> bool:
    parts = split_values(text, "|")
    if len(parts) == 1:
        return any(code == clipped(unescape(parts[0])) for _, code in held)
    named = unescape(parts[0])
    systems = {system_key(named), *((0,) if named in own else ())}
    code = clipped(unescape(parts[1]))
    return any(system in systems and (not code or other == code) for system, other in held)
