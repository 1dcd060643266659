"""Composite parameters: values that belong together, as `code-value-quantity` of an Observation and its components.

A component's value is indexed in the table of its own kind, under a key made of the element that holds the pair
and the code of the pair's token. Its system is asked for by a second key, made of both, or beside the key, where rows
are dear. So a pair is found by one probe, and never put together from two elements. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from varde.fhir.definitions import EXTRACTION, SearchParameter, kept, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.keys import parameter_key
from varde.fhir.rows import IndexRows
from varde.fhir.search import values
from varde.fhir.search.names import split_values

_TABLES = {
    "token": "tokens", "reference": "references", "string": "strings", "date": "dates", "number": "quantities",
    "quantity": "quantities", "uri": "uris",
}  # fmt: skip


@lru_cache(maxsize=16384)
def composite_key(base: str, expression: str, code: str) -> int:
    """The key under which the component `expression` of element `base` is indexed for token `code`."""
    return parameter_key(f"{base}/{expression}#{EXTRACTION['composite']}", code)


def token_place(components: list[Any]) -> int:
    """Which component is the token that the others are indexed by."""
    return next(place for place, component in enumerate(components) if component["kind"] == "token")


def parts_of(parameter: SearchParameter, text: str) -> tuple[list[str], int]:
    """(the values of a composite as asked for, which of them is the token). Raises BadRequest."""
    components = parameter.bases[0]["components"]
    parts = split_values(text, "$")
    if len(parts) != len(components):
        raise BadRequest.of(f"'{parameter.code}' takes {len(components)} values parted by $")
    return list(parts), token_place(components)


@dataclass(frozen=True, slots=True)
class Token:
    """The token of a composite as it was asked for. `system`: the key of its code system; None when any will do."""

    code: str
    system: int | None

    @property
    def name(self) -> str:
        """How it is named in the key of a pair, where the system is part of the key."""
        return self.code if self.system is None else qualified(self.system, self.code)


def token_of(parameter: SearchParameter, token: Sequence[str]) -> Token:
    """The token of a composite, given as (code) or (system, code). Raises BadRequest."""
    if len(token) > 2 or not token[-1]:
        raise BadRequest.of(f"the token of '{parameter.code}' is written code or system|code")
    return Token(values.clipped(token[-1]), None if len(token) == 1 else values.system_key(token[0]))


_BESIDE = frozenset({"quantity", "number"})
"""Kinds whose rows carry the token's system beside the key (column `token_system`), since each of their rows stands in
three indexes: one row is enough for code and system|code."""
_Path = tuple[bool, str | None, list[Any], Callable[..., None]]
"""(from the resource itself, the first member of the path if it is plain, the path, what makes rows of a value)."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A token and one of the components that go with it, of one element."""

    base: str
    steps: list[Any]
    token: str
    token_paths: tuple[_Path, ...]
    other: str
    other_paths: tuple[_Path, ...]
    kind: str


def _paths(component: Any) -> tuple[_Path, ...]:
    found: list[_Path] = []
    for path in component["paths"]:
        handler = values.handler(component["kind"], path["type"])
        steps = path["steps"]
        if handler is not None:
            found.append((path["whole"], steps[0][0] if steps and len(steps[0]) == 2 else None, steps, handler))
    return tuple(found)


@kept
def _pairs(resource_type: str) -> tuple[_Pair, ...]:
    """Every pair of the type's composites, each once."""
    found: dict[tuple[str, str, str, str], _Pair] = {}
    for parameter in search_parameters(resource_type).values():
        for base in parameter.bases:
            place = token_place(base["components"])
            token = base["components"][place]
            for number, other in enumerate(base["components"]):
                if number != place:
                    key = (base["name"], token["expression"], other["expression"], other["kind"])
                    found.setdefault(
                        key,
                        _Pair(
                            base["name"], base["steps"], token["expression"], _paths(token), other["expression"],
                            _paths(other), other["kind"],
                        ),
                    )  # fmt: skip
    return tuple(found.values())


def extract_composites(resource_type: str, resource: Mapping[str, Any], rows: IndexRows) -> None:
    """Add the rows of the type's composite parameters."""
    holders: dict[str, list[Any]] = {}
    known: dict[tuple[int, str], dict[str, set[int]]] = {}
    for pair in _pairs(resource_type):
        if pair.base not in holders:
            holders[pair.base] = values.walk(resource, pair.steps)
        for holder in holders[pair.base]:
            found = _rows(pair.other_paths, holder, resource)
            if found is None:
                continue
            table = _TABLES[pair.kind]
            made = getattr(found, table)
            if not made:
                continue
            # The same element's token goes with each of its values.
            place = (id(holder), pair.token)
            codes = known.get(place)
            if codes is None:
                codes = known[place] = _codes(_rows(pair.token_paths, holder, resource))
            into = getattr(rows, table)
            for code, systems in codes.items():
                key = composite_key(pair.base, pair.other, code)
                if pair.kind in _BESIDE:
                    into += [(key, *row[1:-1], system) for row in made for system in systems]
                    continue
                into += [(key, *row[1:]) for row in made]
                for system in systems:
                    own = composite_key(pair.base, pair.other, qualified(system, code))
                    into += [(own, *row[1:]) for row in made]


def qualified(system: int, code: str) -> str:
    """How a code of the system with this key is named in the key of a pair."""
    return f"{system}|{code}"


def keys_of(parameter: SearchParameter, number: int, token: Token) -> tuple[list[int], int | None]:
    """(the keys under which component `number` of a composite stands for `token`, the system that its rows must carry
    beside; None when nothing more is to be asked)."""
    beside = parameter.bases[0]["components"][number]["kind"] in _BESIDE
    code = token.code if beside else token.name
    keys = [composite_key(base["name"], base["components"][number]["expression"], code) for base in parameter.bases]
    return keys, token.system if beside else None


def _codes(found: IndexRows | None) -> dict[str, set[int]]:
    """The systems by code of the tokens among `found`."""
    codes: dict[str, set[int]] = {}
    for _, system, code in found.tokens if found is not None else ():
        codes.setdefault(code, set()).add(system)
    return codes


def _rows(paths: Sequence[_Path], holder: Any, resource: Mapping[str, Any]) -> IndexRows | None:
    """What stands at the end of the paths, as rows under no key; None for nothing."""
    found: IndexRows | None = None
    for whole, first, steps, handler in paths:
        source = resource if whole else holder
        if first is not None and isinstance(source, Mapping) and first not in source:
            continue  # most choices of a value are not there
        for value in values.walk(source, steps):
            found = found or IndexRows()
            handler(found, 0, value)
    return found
