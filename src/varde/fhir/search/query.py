"""A search as it was understood: conditions, order, what is included. Pure data, made by `parse.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from varde.fhir.definitions import SearchParameter

DEFAULT_COUNT = 20
Codes = tuple[tuple[str, str], ...]
"""(system, code) pairs that a value set or a hierarchy of codes came to."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`parameter:modifier=values` on one type. Values are alternatives."""

    parameter: SearchParameter
    modifier: str | None
    values: tuple[str, ...]
    codes: Codes | None = None
    """Of `:in`, `:above` and `:below` of a token: what they came to (see `terms.py`)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """`parameter operator value` of a `_filter`, on some value of the parameter."""

    parameter: SearchParameter
    operator: str
    value: str
    codes: Codes | None = None


@dataclass(frozen=True, slots=True)
class Paired:
    """`composite[token eq code].component operator value` of a `_filter`."""

    parameter: SearchParameter
    token: str
    component: int
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A resource that `parameter` refers to must meet `inner`."""

    parameter: SearchParameter
    inner: tuple[tuple[str, Question], ...]
    """(target type, what it must meet): alternatives, one a possible target type."""


@dataclass(frozen=True, slots=True)
class Has:
    """Some resource of `source` type refers to this one by `parameter` and meets `inner`."""

    source: str
    parameter: SearchParameter
    inner: Question


@dataclass(frozen=True, slots=True)
class Every:
    """All must hold."""

    parts: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One at least must hold."""

    parts: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Must not hold."""

    part: Question


Question = Condition | Compared | Paired | Chain | Has | Every | Either | Not


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key."""

    parameter: SearchParameter | None
    """None for `_id` and `_lastUpdated`, told apart by `code`."""
    code: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` (or `_revinclude`, when `reverse`)."""

    source: str
    """"" for every type."""
    code: str
    """"*" for every reference."""
    target: str | None
    iterate: bool
    reverse: bool


@dataclass(slots=True)
class Search:
    """A whole search."""

    resource_type: str | None
    conditions: list[Question] = field(default_factory=list)
    ids: list[tuple[str, ...]] = field(default_factory=list)
    """Each `_id` given: alternatives."""
    updated: list[tuple[str, ...]] = field(default_factory=list)
    """Each `_lastUpdated` given: alternatives with prefixes."""
    types: tuple[str, ...] = ()
    """`_type` of a search over all types."""
    sort: list[Sort] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    total: Literal["none", "estimate", "accurate"] | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    contained: Literal["false", "true", "both"] = "false"
    contained_type: Literal["container", "contained"] = "container"
    page: str | None = None
    shaped: bool = False
    """Whether parameters that shape the result were given."""
    warnings: list[str] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    """What was passed over, with a warning: (name, value)."""

    @property
    def asks(self) -> bool:
        """Whether any condition is left once empty values are taken away."""
        return bool(self.conditions or self.ids or self.updated)

    @property
    def type_names(self) -> Sequence[str]:
        """The types that are searched; none for every type."""
        return (self.resource_type,) if self.resource_type is not None else self.types
