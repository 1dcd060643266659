"""What is withdrawn is withdrawn at the next request, at the API too, though a token was let in a moment before and its
holder's own things stay open (FAM-07, FAM-12)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.access import decisions, people
from tests.access.varde_in_process import Caller, InProcess


def withdrawn(consent: dict[str, Any]) -> dict[str, Any]:
    return {**consent, "status": "inactive"}


@pytest.mark.parametrize(
    ("caller", "thing", "consent"),
    [
        (people.person("fullmektig", "kari"), "kari-appointment",
         decisions.power("kari", "fullmektig", "letters", "appointments")),
        (people.person("ung"), "ung-appointment", decisions.youth_access("ung", "kari")),
    ],
    ids=["power", "youth-access"],
)  # fmt: skip
async def test_at_the_next_request(varde: InProcess, caller: Caller, thing: str, consent: dict[str, Any]) -> None:
    own = people.person("fullmektig")
    headers = {"authorization": (await varde.headers_of(caller))["authorization"]}

    async def asked() -> int:
        return (await varde.call("GET", f"/fhir/Appointment/{thing}", headers=headers)).status

    assert [await asked(), await asked()] == [200, 200]
    await varde.write(withdrawn(consent))
    assert await asked() in {401, 403, 404}
    assert (await varde.ask(own, "GET", "/fhir/Patient/fullmektig")).status == 200
    await varde.write(consent)
    assert await asked() == 200
