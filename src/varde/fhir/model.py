"""What the store gives back: stored versions, the outcome of a write, a page of a search or a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import orjson

from varde.fhir.gate import Gate
from varde.fhir.splice import instant

ANY_VERSION = -1
"""As the version expected by a write: whichever there is, if one is."""
NO_VERSION = 0
"""As the version expected by a write: the resource is not there."""


@dataclass(frozen=True)
class Stored:
    """One version of one resource."""

    rid: int
    type: str
    id: str
    version: int
    updated: datetime
    deleted: bool
    body: bytes
    """Its JSON as stored; empty when deleted."""
    patient: int | None = None
    """rid of the Patient in whose compartment it is."""

    @cached_property
    def resource(self) -> dict[str, Any]:
        """The parsed resource. Treat it as read only."""
        parsed: dict[str, Any] = orjson.loads(self.body)
        return parsed

    @property
    def reference(self) -> str:
        """Its relative literal reference."""
        return f"{self.type}/{self.id}"

    @property
    def etag(self) -> str:
        """Weak entity tag of the version."""
        return f'W/"{self.version}"'

    @property
    def last_updated(self) -> str:
        """`updated` as a FHIR instant."""
        return instant(self.updated)


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write."""

    stored: Stored
    created: bool
    changed: bool = True
    """False when a conditional create found what was there already."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a page."""

    stored: Stored
    mode: str = "match"
    """match or include."""
    method: str = "GET"
    """In a history: POST, PUT or DELETE."""
    inside: str | None = None
    """Id of the contained resource that is meant, where a search asked for those themselves."""


@dataclass(slots=True)
class Page:
    """One page of a search or history."""

    entries: list[Entry]
    total: int | None = None
    next: str | None = None
    """Key of the next page, None on the last."""
    previous: str | None = None
    """Key of the page before, None on the first and where none can be told."""
    warnings: list[str] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    """Parameters (name, value) that were passed over, by the client's leave."""

    @property
    def matches(self) -> list[Stored]:
        """The resources that matched, without what was included."""
        return [entry.stored for entry in self.entries if entry.mode == "match"]


@dataclass(frozen=True, slots=True)
class ProjectedRow:
    """A written resource, as other floors' derived tables need it."""

    rid: int
    type: str
    id: str
    patient: int | None
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    """None when it was deleted."""
    version: int = 0
    by: Gate | None = None
    """Who writes it; None for what became a patient's without being written."""


class Projection(Protocol):
    """Keeps a derived table in the store's own transaction."""

    @property
    def types(self) -> frozenset[str]:
        """The resource types it wants to hear of."""
        ...

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Called after the rows were written, before the commit."""
        ...
