"""Which concepts of one code system are meant: what every place where concepts are found can answer. Pure.

A Selection is what a part of a value set, a search by words and a page of it become before they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from varde.fhir.errors import Unprocessable
from varde.fhir.terminology.concepts import Concept, Header

HIERARCHICAL = frozenset({"is-a", "descendent-of", "is-not-a", "generalizes", "child-of", "descendent-leaf"})
OPERATORS = HIERARCHICAL | {"=", "in", "not-in", "regex", "exists"}
CODE = frozenset({"concept", "code"})
"""Names by which filters mean the code itself."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a value set: property `name`, `op`, `value`, the words of R4's filter-operator."""

    name: str
    op: str
    value: str

    @property
    def values(self) -> list[str]:
        """Those of `in` and `not-in`."""
        return [one.strip() for one in self.value.split(",") if one.strip()]


@dataclass(frozen=True, slots=True)
class Group:
    """Concepts that meet every filter and, unless None, have one of the codes."""

    filters: tuple[Filter, ...] = ()
    codes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Concepts of one code system: in the group, in none of those left out, found by words."""

    group: Group = field(default_factory=Group)
    left_out: tuple[Group, ...] = ()
    words: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Codes that the words find in a supplement."""
    active_only: bool = False
    selectable_only: bool = False


class CodeSystem(Protocol):
    """Where the concepts of one code system, in one version, are found."""

    @property
    def header(self) -> Header:
        """What it says of itself."""
        ...

    @property
    def enumerable(self) -> bool:
        """Whether its concepts can be listed."""
        ...

    async def find(self, codes: Sequence[str]) -> dict[str, Concept]:
        """The concepts by the code asked for, of those that it has; heeds whether case matters."""
        ...

    async def select(self, selection: Selection, limit: int, offset: int = 0) -> list[Concept]:
        """Concepts in the code system's own order. Raises Unprocessable for a filter that it cannot tell."""
        ...

    async def count(self, selection: Selection) -> int:
        """How many `select` would give without limit."""
        ...

    async def relatives(self, codes: Sequence[str], *, up: bool, direct: bool) -> dict[str, list[str]]:
        """Ancestors (`up`) or descendants of each code, without itself; only the nearest when `direct`."""
        ...


def check(filters: Sequence[Filter]) -> None:
    """Raise Unprocessable for a filter that no code system could tell."""
    for one in filters:
        if one.op not in OPERATORS:
            raise Unprocessable.of(f"'{one.op}' is no filter operator", "ValueSet.compose.include.filter.op")
        if not one.value:
            raise Unprocessable.of(f"the filter on '{one.name}' has no value", "ValueSet.compose.include.filter.value")
        if len(one.value) > 20_000 or (one.op == "regex" and len(one.value) > 500):
            raise Unprocessable.of(f"the value of the filter on '{one.name}' is too long", code="too-costly")
        if one.op in HIERARCHICAL and one.name not in CODE | {"parent", "child", "subsumes", "subsumedBy"}:
            raise Unprocessable.of(f"'{one.op}' goes along the hierarchy, which 'concept' names", code="not-supported")
