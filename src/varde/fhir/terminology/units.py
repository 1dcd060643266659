"""UCUM as a code system: which codes are units, and which measure the same. The reading is `varde.fhir.ucum`'s."""

from __future__ import annotations

from varde.fhir.ucum import SYSTEM as URL
from varde.fhir.ucum import unit

__all__ = ["URL", "dimension", "valid"]

_LOGARITHMIC = frozenset(
    {"Np", "B", "B[SPL]", "B[V]", "B[mV]", "B[uV]", "B[10.nV]", "B[W]", "B[kW]", "bit_s", "[pH]", "[p'diop]",
     "%[slope]", "[hp'_X]", "[hp'_C]", "[hp'_M]", "[hp'_Q]", "[degRe]", "[m/s2/Hz^(1/2)]"}
)  # fmt: skip
"""UCUM's special units (UCUM, section 4), which no factor converts and which `unit` therefore does not know."""


def valid(code: str) -> bool:
    """Whether `code` is a unit."""
    plain = code.partition("{")[0]
    return unit(code) is not None or plain in _LOGARITHMIC or (plain[:1] == "d" and plain[1:] in _LOGARITHMIC)


def dimension(code: str) -> str | None:
    """What the unit measures, alike for units that convert into each other; None for no unit."""
    found = unit(code)
    return found.dimension if found is not None else None
