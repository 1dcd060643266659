"""A code system whose concepts are held in memory: the specification's own, and those that come with a request.

Regular expressions are judged by PostgreSQL here too, so that one pattern means one thing, and none runs for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import asyncpg

from varde.fhir.errors import Unprocessable
from varde.fhir.terminology.concepts import (
    Concept,
    Flat,
    Header,
    flatten,
    header_of,
    named_by,
    properties_of,
    speaks_of,
)
from varde.fhir.terminology.selection import CODE, HIERARCHICAL, Filter, Group, Selection, check

PATTERN_SECONDS = 2
"""How long a regular expression may be looked for."""


class Listing:
    """A CodeSystem taken apart once; shared by all who ask."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.header: Header = header_of(resource)
        self.flat: Flat = flatten(resource)

    @cached_property
    def keys(self) -> dict[str, int]:
        """Number by code, as codes are compared here."""
        if self.header.case_sensitive:
            return self.flat.number
        return {code.casefold(): number for code, number in reversed(self.flat.number.items())}

    @cached_property
    def ancestors(self) -> list[set[int]]:
        """Of each concept."""
        return self.flat.ancestors()

    @cached_property
    def descendants(self) -> list[set[int]]:
        """Of each concept."""
        found: list[set[int]] = [set() for _ in self.flat.concepts]
        for number, above in enumerate(self.ancestors):
            for one in above:
                found[one].add(number)
        return found

    @cached_property
    def children(self) -> list[list[int]]:
        """Of each concept, in order."""
        found: list[list[int]] = [[] for _ in self.flat.concepts]
        for number, above in enumerate(self.flat.parents):
            for one in above:
                found[one].append(number)
        return found

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """By which each concept is found."""
        return [frozenset(named_by(concept)) for concept in self.flat.concepts]

    @cached_property
    def properties(self) -> list[dict[str, set[str]]]:
        """Values by property, of each concept."""
        found: list[dict[str, set[str]]] = []
        for concept in self.flat.concepts:
            own: dict[str, set[str]] = {}
            for code, value in properties_of(concept):
                own.setdefault(code, set()).add(value)
            found.append(own)
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """A Listing as one request asks it."""

    listing: Listing
    connection: Any

    @property
    def header(self) -> Header:
        """What it says of itself."""
        return self.listing.header

    @property
    def enumerable(self) -> bool:
        """Whether its concepts can be listed."""
        return self.header.content != "not-present"

    def _number(self, code: str) -> int | None:
        return self.listing.keys.get(code if self.header.case_sensitive else code.casefold())

    async def find(self, codes: Sequence[str]) -> dict[str, Concept]:
        """The concepts by the code asked for."""
        return {
            code: self.listing.flat.concepts[number] for code in codes if (number := self._number(code)) is not None
        }

    async def select(self, selection: Selection, limit: int, offset: int = 0) -> list[Concept]:
        """Concepts in order. Raises Unprocessable."""
        chosen = await self._chosen(selection)
        return [self.listing.flat.concepts[number] for number in chosen[offset : offset + limit]]

    async def count(self, selection: Selection) -> int:
        """How many there are. Raises Unprocessable."""
        return len(await self._chosen(selection))

    async def relatives(self, codes: Sequence[str], *, up: bool, direct: bool) -> dict[str, list[str]]:
        """Ancestors or descendants of each code."""
        flat = self.listing.flat
        found: dict[str, list[str]] = {}
        for code in codes:
            number = self._number(code)
            if number is None:
                found[code] = []
                continue
            if direct:
                near: Sequence[int] = flat.parents[number] if up else self.listing.children[number]
            else:
                near = sorted(self.listing.ancestors[number] if up else self.listing.descendants[number])
            found[code] = [flat.concepts[one].code for one in near]
        return found

    async def _chosen(self, selection: Selection) -> list[int]:
        chosen = await self._group(selection.group)
        for group in selection.left_out:
            chosen -= await self._group(group)
        also = set(selection.also)
        concepts, named = self.listing.flat.concepts, self.listing.words if selection.words else []
        return [
            number
            for number in sorted(chosen)
            if not (selection.active_only and concepts[number].inactive)
            and not (selection.selectable_only and concepts[number].abstract)
            and (
                not selection.words
                or speaks_of(selection.words, named[number])
                or concepts[number].code in also
            )
        ]  # fmt: skip

    async def _group(self, group: Group) -> set[int]:
        check(group.filters)
        if group.codes is None:
            chosen = set(range(len(self.listing.flat.concepts)))
        else:
            chosen = {number for code in group.codes if (number := self._number(code)) is not None}
        for one in group.filters:
            chosen &= await self._filtered(one)
        return chosen

    async def _filtered(self, one: Filter) -> set[int]:
        if one.op in HIERARCHICAL:
            return self._along(one)
        if one.name == "parent":
            return self._related(one, self.listing.children, self.listing.flat.parents)
        if one.name == "child":
            return self._related(one, self.listing.flat.parents, self.listing.children)
        have = self._values(one)
        if one.op == "exists":
            wanted = _truth(one)
            return {number for number, values in enumerate(have) if bool(values) is wanted}
        if one.op == "regex":
            matching = await matches(self.connection, one.value, {value for values in have for value in values})
            return {number for number, values in enumerate(have) if values & matching}
        named = {one.value} if one.op == "=" else set(one.values)
        if not self.header.case_sensitive and one.name in CODE:
            found = {number for code in named if (number := self._number(code)) is not None}
        else:
            found = {number for number, values in enumerate(have) if values & named}
        return self._all() - found if one.op == "not-in" else found

    def _all(self) -> set[int]:
        return set(range(len(self.listing.flat.concepts)))

    def _along(self, one: Filter) -> set[int]:
        number = self._number(one.value)
        if number is None:
            return self._all() if one.op == "is-not-a" else set()
        below = self.listing.descendants[number]
        if one.op == "is-a":
            return below | {number}
        if one.op == "descendent-of":
            return set(below)
        if one.op == "is-not-a":
            return self._all() - below - {number}
        if one.op == "generalizes":
            return self.listing.ancestors[number] | {number}
        if one.op == "child-of":
            return set(self.listing.children[number])
        return {leaf for leaf in below if not self.listing.children[leaf]}

    def _related(self, one: Filter, there: Sequence[Sequence[int]], back: Sequence[Sequence[int]]) -> set[int]:
        """Concepts by their parent or child: `there` leads from the one that is named, `back` to it."""
        if one.op == "exists":
            wanted = _truth(one)
            return {number for number, others in enumerate(back) if bool(others) is wanted}
        if one.op == "regex":
            raise Unprocessable.of(f"'regex' cannot be asked of '{one.name}'", code="not-supported")
        found: set[int] = set()
        for code in [one.value] if one.op == "=" else one.values:
            number = self._number(code)
            found.update(there[number] if number is not None else ())
        return self._all() - found if one.op == "not-in" else found

    def _values(self, one: Filter) -> list[set[str]]:
        """What each concept has under the filter's property. Raises Unprocessable where nobody said what it is."""
        concepts = self.listing.flat.concepts
        if one.name in CODE:
            return [{concept.code} for concept in concepts]
        if one.name == "display":
            return [{concept.display} if concept.display else set() for concept in concepts]
        if one.name == "inactive":
            return [{"true" if concept.inactive else "false"} for concept in concepts]
        if one.name == "notSelectable":
            return [{"true" if concept.abstract else "false"} for concept in concepts]
        known_property(self.header, one.name)
        return [values.get(one.name, set()) for values in self.listing.properties]


def known_property(header: Header, name: str) -> None:
    """Raise Unprocessable for a property that the code system does not declare: what it filters nobody knows."""
    if name not in header.declared:
        raise Unprocessable.of(
            f"the code system {header.canonical} has no property '{name}'",
            "ValueSet.compose.include.filter.property",
            "not-supported",
        )


def _truth(one: Filter) -> bool:
    if one.value not in {"true", "false"}:
        raise Unprocessable.of("'exists' is asked with true or false", "ValueSet.compose.include.filter.value")
    return one.value == "true"


async def matches(connection: Any, pattern: str, texts: set[str]) -> set[str]:
    """Those of `texts` that the whole of `pattern` matches. Raises Unprocessable for a pattern that is none."""
    try:
        rows = await connection.fetch(
            "select one from unnest($1::text[]) one where one ~ $2", sorted(texts), whole(pattern),
            timeout=PATTERN_SECONDS,
        )  # fmt: skip
    except asyncpg.InvalidRegularExpressionError:
        raise Unprocessable.of("the filter's regular expression cannot be read") from None
    except TimeoutError:
        raise Unprocessable.of("the filter's regular expression takes too long", code="too-costly") from None
    return {row["one"] for row in rows}


def whole(pattern: str) -> str:
    """The pattern as one that must match the whole text, as regular expressions of FHIR's filters do."""
    return f"^(?:{pattern})$"
