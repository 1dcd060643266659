"""The search values of one resource, as rows for the index tables: what `search.extract` gives `store`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


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
    quantities: list[tuple[int, float, float, int, str]] = field(default_factory=list)
    """(param, low, high, system key, code)"""
    uris: list[tuple[int, str]] = field(default_factory=list)
    """(param, value)"""

    date: datetime | None = None
    """The type's main date, for the column `date`."""
    patient: str | None = None
    """Id of the Patient in whose compartment the resource is, by literal reference (a Patient: itself)."""
    patient_identifier: tuple[str, str] | None = None
    """(system, value) when the patient is named by a logical reference only; the store looks it up."""
    security: list[str] = field(default_factory=list)
    """"system|code" of every meta.security coding, systems in canonical spelling."""
