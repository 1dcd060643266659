"""`$validate`, refused writes, and definitions that are written to the store: known at once here, soon elsewhere."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fhir.gates import HidingGate, OpenGate
from tests.fhir.test_profiles import APPOINTMENT, NORDMANN, NORWEGIAN, VITAL, WEIGHT, told
from varde.clock import SetClock
from varde.db import Database
from varde.fhir import knowing
from varde.fhir.errors import Unprocessable
from varde.fhir.http.rest import FhirApplication
from varde.fhir.load import load
from varde.fhir.store import Store

KARI = {"resourceType": "Patient", "name": [{"family": "Nordmann"}]}
PROFILES = Path(__file__).parent / "profiles" / "norwegian.ndjson"


def issues(answer: httpx.Response) -> set[tuple[str, str, str]]:
    """(severity, code, expression or "") of an outcome."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return {(i["severity"], i["code"], "".join(i.get("expression", ()))) for i in outcome["issue"]}


def call(resource: Any = None, **named: str) -> dict[str, Any]:
    """Parameters of the operation."""
    parameters: list[dict[str, Any]] = [{"name": "resource", "resource": resource}] if resource is not None else []
    parameters += [{"name": n, "valueUri" if n == "profile" else "valueCode": v} for n, v in named.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


async def test_a_write_is_refused_with_every_fault(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/Patient", json=KARI | {"gender": "x", "birthDate": "y", "contact": [{"gender": "male"}]}
    )
    assert answer.status_code == 422
    assert issues(answer) == {
        ("error", "code-invalid", "Patient.gender"),
        ("error", "value", "Patient.birthDate"),
        ("error", "invariant", "Patient.contact[0]"),
    }


async def test_validate_takes_a_resource_bare_or_named(client: httpx.AsyncClient) -> None:
    valid = KARI | {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Kari</div>'}}
    for body in (valid, call(valid), call(valid, mode="create")):
        answer = await client.post("/Patient/$validate", json=body)
        assert answer.status_code == 200 and issues(answer) == {("information", "informational", "")}
    answer = await client.post("/Patient/$validate", json=call(KARI | {"gender": "x"}))
    assert answer.status_code == 200
    assert issues(answer) == {("error", "code-invalid", "Patient.gender"), ("warning", "invariant", "Patient")}
    answer = await client.post("/Observation/$validate", json=KARI)
    assert ("error", "invalid", "Resource.resourceType") in issues(answer)


async def test_validate_by_a_profile(client: httpx.AsyncClient) -> None:
    bare = {k: v for k, v in WEIGHT.items() if k not in {"meta", "subject"}}
    for address, body in (
        ("/Observation/$validate", call(bare, mode="profile", profile=f"{VITAL}bodyweight")),
        (f"/Observation/$validate?profile={VITAL}bodyweight", bare),
    ):
        answer = await client.post(address, json=body)
        assert ("error", "required", "Observation.subject") in issues(answer)
    answer = await client.post("/Observation/$validate", json=call(bare, profile="urn:unknown"))
    assert ("warning", "not-found", "Observation") in issues(answer)


async def test_validate_what_is_stored(client: httpx.AsyncClient, store: Store, gate: OpenGate) -> None:
    written = (await client.put("/Observation/w", json=WEIGHT | {"id": "w"})).json()
    for answer in (
        await client.get("/Observation/w/$validate"),
        await client.get(f"/Observation/w/$validate?profile={VITAL}bodyweight"),
        await client.post("/Observation/w/$validate", json=call(mode="profile", profile=f"{VITAL}vitalsigns")),
        await client.post("/Observation/w/$validate", json=call(written, mode="update")),
    ):
        assert answer.status_code == 200 and not {i for i in issues(answer) if i[0] == "error"}, answer.text
    answer = await client.get(f"/Observation/w/$validate?profile={VITAL}bodyheight")
    assert ("error", "required", "Observation.code.coding") in issues(answer)
    answer = await client.post("/Observation/other/$validate", json=call(written, mode="update"))
    assert ("error", "invalid", "Observation.id") in issues(answer)
    assert (await client.get("/Observation/none/$validate")).status_code == 404
    assert gate.log[-1].resource_type == "Observation"


async def test_validate_a_deletion(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/p", json=KARI | {"id": "p"})
    answer = await client.get("/Patient/p/$validate?mode=delete")
    assert answer.status_code == 200 and "may be deleted" in answer.text
    assert (await client.post("/Patient/$validate", json=call(mode="delete"))).status_code == 400
    await client.delete("/Patient/p")
    assert "deleted before" in (await client.get("/Patient/p/$validate?mode=delete")).text


async def test_validate_tells_nothing_of_what_may_not_be_seen(store: Store, clock: SetClock) -> None:
    made = await store.create(OpenGate(), KARI)
    hiding = HidingGate([made.stored.patient or 0])

    async def authenticate(headers: Any, method: str, path: str) -> HidingGate:
        return hiding

    application = FhirApplication(store, authenticate, "http://test/fhir", dict, dict)
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for mode in ("", "?mode=delete", "?profile=urn:x"):
            there = await client.get(f"/Patient/{made.stored.id}/$validate{mode}")
            nowhere = await client.get(f"/Patient/nobody/$validate{mode}")
            assert (there.status_code, there.text) == (nowhere.status_code, nowhere.text) and there.status_code == 404


@pytest.mark.parametrize(
    "body",
    [None, {"resourceType": "Parameters"}, call(KARI, mode="sideways"), call(KARI, mode="profile"), call(mode="create"),
     {"resourceType": "Parameters", "parameter": [{"name": "x", "valueCode": "y"}]},
     {"resourceType": "Parameters", "parameter": [{"name": "resource", "valueString": "y"}]},
     {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueBoolean": True}]}],
)  # fmt: skip
async def test_a_call_that_makes_no_sense(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/Patient/$validate", content=b"" if body is None else json.dumps(body))
    assert answer.status_code == 400


async def test_definitions_of_the_store_are_known(client: httpx.AsyncClient, store: Store, gate: OpenGate) -> None:
    """Loaded after the resource was refused nothing, they are asked for at the next write."""
    wrong = NORDMANN | {"identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1"}]}
    assert (await client.post("/Patient", json=wrong)).status_code == 201
    done = await load(store, gate, [PROFILES])
    assert done.refused == 0 and done.written == len(NORWEGIAN)
    answer = await client.post("/Patient", json=wrong)
    assert answer.status_code == 422 and issues(answer) == {("error", "required", "Patient.identifier[0].value")}
    assert (await client.post("/Patient", json=NORDMANN)).status_code == 201
    assert (await client.post("/Appointment", json=APPOINTMENT)).status_code == 201
    assert not told(APPOINTMENT)
    broken = APPOINTMENT | {"status": "waitlist"}
    answer = await client.post("/Appointment/$validate", json=broken)
    assert ("error", "code-invalid", "Appointment.status") in issues(answer)
    bundle = {
        "resourceType": "Bundle", "type": "transaction",
        "entry": [{"request": {"method": "POST", "url": "Appointment"}, "resource": broken}],
    }  # fmt: skip
    answer = await client.post("/", json=bundle)
    assert answer.status_code == 422 and ("error", "code-invalid", "Bundle.entry[0].resource.status") in issues(answer)


def profile(**more: Any) -> dict[str, Any]:
    """A profile of Patient that asks for a birth date."""
    return {
        "resourceType": "StructureDefinition", "id": "born", "url": "urn:born", "name": "Born", "status": "active",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": f"{VITAL}Patient",
        "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]}, **more,
    }  # fmt: skip


async def test_other_processes_learn_of_a_definition(
    store: Store, database: Database, clock: SetClock, gate: OpenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = KARI | {"meta": {"profile": ["urn:born"]}}
    other = Store(database, clock)
    await other.create(gate, named)
    await store.create(gate, profile(), resource_id="born")
    with pytest.raises(Unprocessable):
        await store.create(gate, named)
    await other.create(gate, named)  # within the second, it need not know
    monkeypatch.setattr(knowing, "FRESH_SECONDS", 0.0)
    with pytest.raises(Unprocessable) as refused:
        await other.create(gate, named)
    assert refused.value.issues[0].expression == "Patient.birthDate"
    await store.update(gate, "StructureDefinition", "born", profile(id="born", differential={"element": [
        {"id": "Patient.active", "path": "Patient.active", "min": 1}]}))  # fmt: skip
    with pytest.raises(Unprocessable) as refused:
        await other.create(gate, named)
    assert refused.value.issues[0].expression == "Patient.active"
    await store.delete(gate, "StructureDefinition", "born")
    await other.create(gate, named)


async def test_a_definition_that_was_rolled_back_is_forgotten(
    store: Store, gate: OpenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowing, "FRESH_SECONDS", 0.0)
    named = KARI | {"meta": {"profile": ["urn:born"]}}
    with pytest.raises(Unprocessable):
        async with store.transaction() as connection:
            await store.create(gate, profile(), resource_id="born", connection=connection)
            await store.create(gate, named, connection=connection)
    await store.create(gate, named)


async def test_nobody_replaces_what_is_r4s_own(store: Store, gate: OpenGate) -> None:
    await store.create(
        gate,
        profile(
            url=f"{VITAL}bodyweight",
            type="Observation",
            baseDefinition=f"{VITAL}Observation",
            differential={"element": [{"id": "Observation", "path": "Observation"}]},
        ),
    )
    with pytest.raises(Unprocessable):
        await store.create(gate, {k: v for k, v in WEIGHT.items() if k != "subject"})


async def test_ordinary_writes_ask_the_database_nothing(store: Store, gate: OpenGate) -> None:
    asked: list[Any] = []
    original = store.knowing.learn

    async def learn(connection: Any, urls: Any) -> bool:
        asked.append(urls)
        return await original(connection, urls)

    store.knowing.learn = learn  # type: ignore[method-assign]
    await asyncio.gather(*(store.create(gate, KARI) for _ in range(3)))
    await store.create(gate, WEIGHT)
    assert not asked
    for _ in range(5):
        await store.create(gate, KARI | {"extension": [{"url": "http://x.no/y", "valueCode": "z"}]})
    assert len(asked) == 1
