"""The search values of one resource, as rows for the index tables: what `search.extract` gives `store`.

Resources inside others have rows of their own, under keys made of their container's name and theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from varde.fhir.definitions import type_number
from varde.fhir.keys import resource_key

Quantity = tuple[int, float, float, int, str, str | None, int | None, float | None, float | None, int]
"""(param, low, high, system key, code, unit as shown where it is not the code, and for units of UCUM: what they can be
compared with, low and high in base units; system key of the token that it stands beside in a pair of a composite, 0 for
none)"""


@dataclass(slots=True)
class IndexRows:
    """Rows per index table of migration 0010, without the columns that the store adds (rid, patient, date,
    bucket). The first member of each tuple is the parameter's key."""

    tokens: list[tuple[int, int, str]] = field(default_factory=list)
    """(param, system key, code)"""
    references: list[tuple[int, int, int | None, str]] = field(default_factory=list)
    """(param, target key, target type number, form)"""
    strings: list[tuple[int, str, str]] = field(default_factory=list)
    """(param, folded, exact)"""
    dates: list[tuple[int, datetime, datetime]] = field(default_factory=list)
    """(param, low, high), high exclusive"""
    quantities: list[Quantity] = field(default_factory=list)
    uris: list[tuple[int, str]] = field(default_factory=list)
    """(param, value)"""

    inside: list[tuple[int, str]] = field(default_factory=list)
    """(param, id of a resource inside this one) of references to it; see `contained.py`."""
    contained: list[tuple[str, str, IndexRows]] = field(default_factory=list)
    """(type, id, rows) of the resources inside this one."""

    date: datetime | None = None
    """The type's main date, for the column `date`."""
    patient: str | None = None
    """Id of the Patient in whose compartment the resource is, by literal reference (a Patient: itself)."""
    patient_identifier: tuple[str, str] | None = None
    """(system, value) when the patient is named by a logical reference only; the store looks it up."""
    security: list[str] = field(default_factory=list)
    """"system|code" of every meta.security coding, systems in canonical spelling."""


def inside_key(resource_type: str, resource_id: str, name: str) -> int:
    """The key of the resource `name` inside a resource."""
    return resource_key(resource_type, f"{resource_id}#{name}")


def inside_of(rows: IndexRows, resource_type: str, resource_id: str) -> Iterator[tuple[int, str, str, IndexRows]]:
    """(key, type, id, rows) of each resource inside a resource, each id once."""
    seen: set[str] = set()
    for kind, name, own in rows.contained:
        if name not in seen:
            seen.add(name)
            yield inside_key(resource_type, resource_id, name), kind, name, own


def name_inside(rows: IndexRows, resource_type: str, resource_id: str) -> None:
    """Make references to what is inside a resource into rows, now that its id is known; of what is inside too."""
    kinds = {name: kind for kind, name, _ in rows.contained}
    for one in (rows, *(own for _, _, own in rows.contained)):
        one.references += [
            (param, inside_key(resource_type, resource_id, name), type_number(kinds[name]), "k")
            for param, name in dict.fromkeys(one.inside)
            if name in kinds
        ]
        one.inside = []
