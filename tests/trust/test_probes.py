"""Who is known as a person of journeys: by mark and number together, so that no real person ever is (IMP-03)."""

from __future__ import annotations

from typing import Any

import pytest

from varde.trust.persons import FNR
from varde.trust.probes import PROBE, is_probe


def patient(number: str | None, *tags: dict[str, str]) -> dict[str, Any]:
    named = [{"system": FNR, "value": number}] if number else []
    return {"resourceType": "Patient", "identifier": named, "meta": {"tag": list(tags)}}


@pytest.mark.parametrize(
    ("one", "known"),
    [
        (patient("04418510264", PROBE), True),
        (patient("04418510264"), False),
        (patient("04018510264", PROBE), False),
        (patient(None, PROBE), False),
        (patient("04418510264", {**PROBE, "code": "other"}), False),
        ({"resourceType": "Patient"}, False),
    ],
)
def test_imp_03_by_mark_and_synthetic_number_together(one: dict[str, Any], known: bool) -> None:
    assert is_probe(one) is known
