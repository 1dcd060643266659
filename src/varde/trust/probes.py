"""How the records of synthetic persons are known, whom production's own proofs use (IMP-02, IMP-03). Pure.

They are kept out of what people follow up. A real person can never be: a mark alone is not enough, the number must be
a synthetic one.
"""

from __future__ import annotations

from typing import Any

from varde.trust.access import national_number
from varde.trust.persons import is_synthetic

PROBE = {"system": "https://varde.no/fhir/CodeSystem/probe", "code": "journey"}
"""Mark in `meta.tag`. FHIR's own for what is there to test (HTEST) would not tell: all of a demo has it."""


def is_probe(patient: dict[str, Any]) -> bool:
    """Whether a Patient is one of those that journeys use."""
    marks = patient.get("meta", {}).get("tag", ())
    if not any(one.get("system") == PROBE["system"] and one.get("code") == PROBE["code"] for one in marks):
        return False
    try:
        return is_synthetic(national_number(patient))
    except LookupError:
        return False
