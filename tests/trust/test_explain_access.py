"""`$explain-access`: who could see a resource, and by which rule; told to staff who see it and to auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.trust.region import CHILD, DOCTOR, KARI, OTHER_DOCTOR, WARD, World, labelled, observation, staff
from varde.fhir.http.rest import FhirApplication
from varde.fhir.validate import validate
from varde.trust.explain_access import explain_access

AUDITOR = "8100009"


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    application = FhirApplication(
        world.store, world.authenticator, "http://test/fhir", dict, dict, [explain_access(world.access)]
    )
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        made.headers["content-type"] = "application/fhir+json"
        await world.write(*staff(AUDITOR, "auditor", WARD))
        yield made


async def _ask(client: httpx.AsyncClient, headers: Any, reference: str, whose: str = "kari") -> httpx.Response:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "valueReference": {"reference": reference}}],
    }
    return await client.post(f"/Patient/{whose}/$explain-access", json=body, headers=headers)


def _told(answer: httpx.Response) -> dict[tuple[str, str], tuple[bool, str]]:
    validate(answer.json())
    found = {}
    for who in answer.json()["parameter"]:
        parts = {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in who["part"]}
        found[parts["actor"]["reference"], parts.get("role", "")] = (parts["allowed"], parts["rule"])
    return found


async def test_staff_and_auditors_are_told_by_which_rule(world: World, client: httpx.AsyncClient) -> None:
    for hpr in (DOCTOR, AUDITOR):
        told = _told(await _ask(client, world.bearer(hpr=hpr), "Observation/result-kari"))
        assert told["Patient/kari", ""] == (True, "FAM-01")
        assert told["Organization/ward-a", "clinician"] == (True, "FAM-30")
        assert told["Organization/ward-a", "secretary"] == (False, "FAM-31")
    told = _told(await _ask(client, world.bearer(hpr=AUDITOR), "Observation/result-child", "child"))
    assert told["Patient/child", ""][0] is False
    assert told["Patient/kari", ""] == (True, "FAM-02")
    await world.write(labelled(observation("hidden", "kari"), "N"))
    told = _told(await _ask(client, world.bearer(hpr=DOCTOR), "Observation/hidden"))
    assert told["Patient/kari", ""] == (False, "FAM-05")
    (row,) = await world.rows(f"query = 'explain-access' and actor = '{DOCTOR}' and resource_ids = '{{hidden}}'")
    assert row["allowed"]


async def test_nobody_is_told_of_what_they_may_not_see(world: World, client: httpx.AsyncClient) -> None:
    for headers, reference, whose, status in (
        (world.bearer(pid=KARI), "Observation/result-kari", "kari", 403),
        (world.bearer(pid=KARI, for_=CHILD), "Observation/result-child", "child", 403),
        (world.bearer(system="lab", scope="system/*.*"), "Observation/result-kari", "kari", 403),
        (world.bearer(hpr=OTHER_DOCTOR), "Observation/result-kari", "kari", 404),
        (world.bearer(hpr=DOCTOR), "Observation/result-ola", "ola", 404),
        (world.bearer(hpr=DOCTOR), "Observation/none", "kari", 404),
        (world.bearer(hpr=AUDITOR), "Observation/result-kari", "ola", 404),
        (world.bearer(hpr=AUDITOR), "nothing", "kari", 400),
        (world.bearer(hpr=AUDITOR), "Nothing/x", "kari", 400),
    ):
        assert (await _ask(client, headers, reference, whose)).status_code == status, (reference, whose)
