"""What `:in`, `:not-in`, `:above` and `:below` of tokens ask of terminology, before any SQL is made.

Value sets and hierarchies come to lists of codes here, so that the statement compares codes and knows no terminology.
`Definitions` is the default: it reads the CodeSystems and ValueSets that are stored, through the gate of who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson

from varde.fhir.definitions import search_parameters, type_number
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.query import Chain, Compared, Condition, Either, Every, Has, Not, Question

MAXIMUM_CODES = 50_000
_DEPTH = 10


class Terminology(Protocol):
    """What search asks of terminology. `connection` is the search's own, `gate` that of who asks."""

    async def expand(self, connection: Any, gate: Gate, url: str) -> Sequence[tuple[str, str]]:
        """(system, code) of everything in the value set: a canonical url, with |version or not, or a local
        reference. Raises BadRequest when it is unknown or cannot be enumerated."""
        ...

    async def descendants(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """The code itself and all that it subsumes. Raises BadRequest when the system is unknown."""
        ...

    async def ancestors(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """The code itself and all that subsume it. Raises BadRequest when the system is unknown."""
        ...


_MODIFIERS = {"in": "in", "below": "below", "above": "above"}
_OPERATORS = {"in": "in", "ni": "in", "ss": "below", "sb": "above"}


async def resolved(question: Question, terminology: Terminology, connection: Any, gate: Gate) -> Question:
    """`question` with every value set and hierarchy in it come to codes. Raises BadRequest."""

    async def within(inner: Question) -> Question:
        return await resolved(inner, terminology, connection, gate)

    if isinstance(question, Condition):
        asked = _MODIFIERS.get(question.modifier or "")
        if asked and question.parameter.kind == "token":
            return replace(question, codes=await _codes(terminology, connection, gate, asked, question.values[0]))
    elif isinstance(question, Compared):
        asked = _OPERATORS.get(question.operator)
        if asked and question.parameter.kind == "token":
            return replace(question, codes=await _codes(terminology, connection, gate, asked, question.value))
    elif isinstance(question, Chain):
        return replace(question, inner=tuple([(target, await within(inner)) for target, inner in question.inner]))
    elif isinstance(question, Has):
        return replace(question, inner=await within(question.inner))
    elif isinstance(question, Every | Either):
        return replace(question, parts=tuple([await within(part) for part in question.parts]))
    elif isinstance(question, Not):
        return replace(question, part=await within(question.part))
    return question


def asks_terms(question: Question) -> bool:
    """Whether there is anything to resolve: most searches need no pass."""
    if isinstance(question, Condition):
        return question.modifier in _MODIFIERS and question.parameter.kind == "token"
    if isinstance(question, Compared):
        return question.operator in _OPERATORS and question.parameter.kind == "token"
    if isinstance(question, Chain):
        return any(asks_terms(inner) for _, inner in question.inner)
    if isinstance(question, Has):
        return asks_terms(question.inner)
    if isinstance(question, Every | Either):
        return any(asks_terms(part) for part in question.parts)
    return isinstance(question, Not) and asks_terms(question.part)


async def _codes(
    terminology: Terminology, connection: Any, gate: Gate, asked: str, value: str
) -> tuple[tuple[str, str], ...]:
    if asked == "in":
        found = await terminology.expand(connection, gate, value)
    else:
        system, bar, code = value.partition("|")
        if not (bar and system and code):
            raise BadRequest.of("a code in a hierarchy is written system|code")
        search = terminology.descendants if asked == "below" else terminology.ancestors
        found = await search(connection, gate, system, code)
    if len(found) > MAXIMUM_CODES:
        raise BadRequest.of(f"more than {MAXIMUM_CODES} codes are meant", code="too-costly")
    return tuple(found)


class Definitions:
    """Terminology by the CodeSystem and ValueSet resources in the store alone: what they list, no filters."""

    async def expand(self, connection: Any, gate: Gate, url: str) -> Sequence[tuple[str, str]]:
        """As Terminology.expand."""
        return sorted(await self._expand(connection, gate, url, 0))

    async def _expand(self, connection: Any, gate: Gate, url: str, depth: int) -> set[tuple[str, str]]:
        if depth > _DEPTH:
            raise BadRequest.of("value sets include one another too deeply", code="too-costly")
        value_set = await _stored(connection, gate, "ValueSet", url)
        if value_set is None:
            raise BadRequest.of("the value set is not known here", code="not-found")
        compose = value_set.get("compose", {})
        found: set[tuple[str, str]] = set()
        for include in compose.get("include", ()):
            found |= await self._included(connection, gate, include, depth)
        for exclude in compose.get("exclude", ()):
            found -= await self._included(connection, gate, exclude, depth)
        return found

    async def _included(self, connection: Any, gate: Gate, include: Any, depth: int) -> set[tuple[str, str]]:
        if include.get("filter"):
            raise BadRequest.of("the value set has filters, which are not expanded here", code="not-supported")
        sets = [await self._expand(connection, gate, url, depth + 1) for url in include.get("valueSet", ())]
        system = include.get("system")
        if system is not None:
            if include.get("concept"):
                sets.append({(system, concept["code"]) for concept in include["concept"]})
            else:
                sets.append({(system, code) for code in (await self._hierarchy(connection, gate, system))})
        return set.intersection(*sets) if sets else set()

    async def _hierarchy(self, connection: Any, gate: Gate, system: str) -> dict[str, str | None]:
        """Every code of a code system, with the code above it."""
        stored = await _stored(connection, gate, "CodeSystem", system)
        if stored is None or stored.get("content") not in {"complete", "fragment"}:
            raise BadRequest.of("the code system is not known here", code="not-found")
        found: dict[str, str | None] = {}
        stack: list[tuple[Any, str | None]] = [(concept, None) for concept in stored.get("concept", ())]
        while stack:
            concept, parent = stack.pop()
            found[concept["code"]] = parent
            stack += [(inner, concept["code"]) for inner in concept.get("concept", ())]
        return found

    async def descendants(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """As Terminology.descendants."""
        parents = await self._hierarchy(connection, gate, system)
        wanted = {code}
        while True:
            more = {child for child, parent in parents.items() if parent in wanted} - wanted
            if not more:
                return sorted((system, one) for one in wanted)
            wanted |= more

    async def ancestors(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """As Terminology.ancestors."""
        parents = await self._hierarchy(connection, gate, system)
        found: list[tuple[str, str]] = []
        at: str | None = code
        while at is not None:
            found.append((system, at))
            at = parents.get(at)
        return found


async def _stored(connection: Any, gate: Gate, kind: str, url: str) -> Any:
    """The newest stored definition of the url (or local reference) that may be seen."""
    plain, _, version = url.partition("|")
    parameters = Parameters()
    predicate = gate.predicate("r", kind, parameters)
    if plain.startswith(f"{kind}/"):
        rid = parameters.add(resource_key(kind, plain.partition("/")[2]))
        rows = await connection.fetch(
            f"select r.body from resource r where r.rid = {rid} and not r.deleted and ({predicate})",
            *parameters.values,
        )
    else:
        key, value = parameters.add(search_parameters(kind)["url"].key), parameters.add(plain)
        number = parameters.add(type_number(kind))
        rows = await connection.fetch(
            f"select r.body from index_uri u join resource r on r.rid = u.rid where u.param = {key}::int"
            f" and u.value = {value} and r.type = {number}::smallint and not r.deleted and ({predicate})"
            f" order by r.updated desc, r.rid",
            *parameters.values,
        )
    found = [orjson.loads(row["body"]) for row in rows]
    return next((one for one in found if not version or one.get("version") == version), None)
