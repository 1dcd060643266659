"""UCUM as a code system: which codes are units, and which are of one dimension. The reading is `varde.fhir.ucum`'s."""

from __future__ import annotations

from varde.fhir.ucum import SYSTEM as URL
from varde.fhir.ucum import unit

__all__ = ["URL", "dimension", "valid"]


def valid(code: str) -> bool:
    """Whether `code` is a unit."""
    return unit(code) is not None


def dimension(code: str) -> str | None:
    """What the unit measures, alike for units that convert into each other; None for no unit."""
    found = unit(code)
    return found.dimension if found is not None else None
