"""How the records of synthetic persons are known, whom production's own proofs use (IMP-02, IMP-03). Pure.

They are kept out of what people follow up. A real person can never be: a mark alone is not enough, the number must be
a synthetic one.
"""

from __future__ import annotations

from typing import Any

from varde.trust.access import national_number
from varde.trust.persons import is_synthetic

TEST = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
"""FHIR's own mark in `meta.security` of what is there to test a system that is in use."""


def is_probe(patient: dict[str, Any]) -> bool:
    """Whether a Patient is one of those that journeys use."""
    marks = patient.get("meta", {}).get("security", ())
    if not any(one.get("system") == TEST["system"] and one.get("code") == TEST["code"] for one in marks):
        return False
    try:
        return is_synthetic(national_number(patient))
    except LookupError:
        return False
