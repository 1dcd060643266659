"""Every interaction of the FHIR API over HTTP, against a real database."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from tests.fhir.gates import HidingGate, OpenGate
from varde.clock import SetClock
from varde.fhir.errors import Forbidden, NotFound
from varde.fhir.keys import resource_key
from varde.fhir.store import Store

PATIENT = {"resourceType": "Patient", "name": [{"family": "Hætta", "given": ["Čáhppe"]}], "gender": "female"}


async def _create(client: httpx.AsyncClient, resource: dict) -> dict:
    answer = await client.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_create_read_and_history(client: httpx.AsyncClient, clock: SetClock) -> None:
    answer = await client.post("/Patient", json=PATIENT)
    assert answer.status_code == 201
    created = answer.json()
    assert answer.headers["location"] == f"http://test/fhir/Patient/{created['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    read = await client.get(f"/Patient/{created['id']}")
    assert read.json() == created and read.headers["content-type"].startswith("application/fhir+json")
    clock.advance(timedelta(minutes=1))
    changed = {**created, "gender": "other"}
    put = await client.put(f"/Patient/{created['id']}", json=changed, headers={"if-match": 'W/"1"'})
    assert put.status_code == 200 and put.json()["meta"]["versionId"] == "2"
    late = await client.put(f"/Patient/{created['id']}", json=changed, headers={"if-match": 'W/"1"'})
    assert late.status_code == 412
    first = await client.get(f"/Patient/{created['id']}/_history/1")
    assert first.json()["gender"] == "female"
    history = (await client.get(f"/Patient/{created['id']}/_history")).json()
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"]
    assert (await client.get("/Patient/_history?_count=1")).json()["link"][1]["relation"] == "next"
    assert len((await client.get("/_history")).json()["entry"]) == 2
    not_modified = await client.get(f"/Patient/{created['id']}", headers={"if-none-match": 'W/"2"'})
    assert not_modified.status_code == 304


async def test_delete_leaves_gone_and_history(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    assert (await client.delete(f"/Patient/{created['id']}")).status_code == 204
    assert (await client.get(f"/Patient/{created['id']}")).status_code == 410
    assert (await client.get("/Patient?family=hætta")).json()["total"] == 0
    history = (await client.get(f"/Patient/{created['id']}/_history")).json()
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "POST"]
    again = await client.put(f"/Patient/{created['id']}", json=created)
    assert again.status_code == 201 and again.json()["meta"]["versionId"] == "3"
    assert (await client.get("/Patient?family=hætta")).json()["total"] == 1


async def test_bytes_come_back_as_they_went_in(client: httpx.AsyncClient) -> None:
    text = (
        '{ "valueQuantity":{"value":1.00,"unit":"g"},\n "resourceType":"Observation","status":"final",'
        '"code":{"text":"å"}, "referenceRange":[{"low":{"value":0.10}}]}'
    )
    answer = await client.post("/Observation", content=text.encode())
    assert answer.status_code == 201, answer.text
    read = (await client.get(f"/Observation/{answer.json()['id']}")).text
    assert '"value":1.00' in read and '{"value":0.10}' in read and read.index("valueQuantity") < read.index("code")


async def test_update_as_create_and_conditions(client: httpx.AsyncClient) -> None:
    put = await client.put("/Patient/kari-1", json={**PATIENT, "id": "kari-1"})
    assert put.status_code == 201
    identified = {**PATIENT, "identifier": [{"system": "urn:x", "value": "1"}]}
    once = await client.post("/Patient", json=identified, headers={"if-none-exist": "identifier=urn:x|1"})
    twice = await client.post("/Patient", json=identified, headers={"if-none-exist": "identifier=urn:x|1"})
    assert (once.status_code, twice.status_code) == (201, 200)
    assert once.json()["id"] == twice.json()["id"]
    updated = await client.put("/Patient?identifier=urn:x|1", json={**identified, "gender": "male"})
    assert updated.status_code == 200 and updated.json()["id"] == once.json()["id"]
    assert (await client.delete("/Patient?identifier=urn:x|1")).status_code == 204
    assert (await client.delete("/Patient")).status_code == 412


async def test_patches(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    json_patch = [{"op": "replace", "path": "/gender", "value": "male"}]
    one = await client.patch(
        address, content=json.dumps(json_patch), headers={"content-type": "application/json-patch+json"}
    )
    assert one.status_code == 200 and one.json()["gender"] == "male"
    two = await client.patch(
        address, content=json.dumps({"gender": None}), headers={"content-type": "application/merge-patch+json"}
    )
    assert "gender" not in two.json()
    operation = [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "birthDate"}, {"name": "value", "valueDate": "1950-01-02"},
    ]  # fmt: skip
    three = await client.patch(
        address, json={"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    )
    assert three.json()["birthDate"] == "1950-01-02", three.text
    wrong = await client.patch(
        address, content=b'[{"op":"remove","path":"/nothing"}]', headers={"content-type": "application/json-patch+json"}
    )
    assert wrong.status_code == 422


async def test_transaction_rewrites_references_and_is_all_or_nothing(client: httpx.AsyncClient) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "urn:uuid:1b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a001"},
        "effectiveDateTime": "2026-11-01",
    }
    entries = [
        {"fullUrl": "urn:uuid:x2", "resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {
            "fullUrl": "urn:uuid:1b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a001",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await client.post("/", json=bundle)
    assert answer.status_code == 200, answer.text
    locations = [e["response"]["location"] for e in answer.json()["entry"]]
    patient = locations[1].split("/_history")[0]
    found = (await client.get(f"/Observation?patient={patient}&code=http://loinc.org|718-7")).json()
    assert found["total"] == 1 and found["entry"][0]["resource"]["subject"]["reference"] == patient
    entries[1]["resource"] = {**PATIENT, "gender": "wrong"}
    refused = await client.post("/", json=bundle)
    assert refused.status_code == 422
    assert (await client.get("/Observation?_summary=count")).json()["total"] == 1


async def test_searches(client: httpx.AsyncClient) -> None:
    patient = await _create(client, {**PATIENT, "birthDate": "1980-05", "active": True})
    other = await _create(client, {"resourceType": "Patient", "name": [{"family": "Åsen"}], "birthDate": "1990-01-01"})
    for number in range(5):
        await _create(
            client,
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin"}]},
                "subject": {"reference": f"Patient/{patient['id']}"},
                "effectiveDateTime": f"2026-11-0{number + 1}T10:00:00Z",
                "valueQuantity": {"value": 12 + number, "system": "http://unitsofmeasure.org", "code": "g/dL"},
            },
        )

    async def ids(query: str) -> list[str]:
        answer = await client.get(f"/{query}")
        assert answer.status_code == 200, answer.text
        return [e["resource"]["id"] for e in answer.json().get("entry", [])]

    assert await ids("Patient?name=cahppe") == [patient["id"]]
    assert await ids("Patient?family:exact=Hætta") == [patient["id"]]
    assert await ids("Patient?family=asen") == []
    assert await ids("Patient?birthdate=ge1985") == [other["id"]]
    assert await ids("Patient?birthdate=1980") == [patient["id"]]
    assert await ids("Patient?active:missing=true") == [other["id"]]
    assert await ids("Patient?gender:not=female") == [other["id"]]
    assert len(await ids("Observation?code=718-7&date=gt2026-11-02&date=lt2026-11-05")) == 2
    assert len(await ids("Observation?value-quantity=gt14")) == 2
    assert len(await ids("Observation?value-quantity=13|http://unitsofmeasure.org|g/dL")) == 1
    assert len(await ids("Observation?code:text=hemo")) == 5
    assert len(await ids("Observation?subject:Patient.name=hætta")) == 5
    assert await ids("Patient?_has:Observation:patient:code=718-7") == [patient["id"]]
    assert len(await ids(f"Patient/{patient['id']}/Observation?code=718-7")) == 5
    included = (await client.get("/Observation?code=718-7&_include=Observation:subject&_count=2")).json()
    assert [e["search"]["mode"] for e in included["entry"]] == ["match", "match", "include"]
    reverse = (await client.get(f"/Patient?_id={patient['id']}&_revinclude=Observation:subject")).json()
    assert len(reverse["entry"]) == 6
    posted = await client.post(
        "/Patient/_search",
        content="family=hætta".encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert posted.json()["total"] == 1
    for bad in ("Patient?foo=1", "Patient?birthdate=x", "Observation?value-quantity=abc", "Patient?_sort=foo",
                "Patient?family:in=x", "Patient?_page=zzz", "Patient?name=%00"):  # fmt: skip
        answer = await client.get(f"/{bad}")
        assert answer.status_code == 400 and answer.json()["resourceType"] == "OperationOutcome", bad
    lenient = await client.get("/Patient?foo=1", headers={"prefer": "handling=lenient"})
    assert lenient.status_code == 200 and lenient.json()["entry"][-1]["search"]["mode"] == "outcome"


@pytest.mark.parametrize("sort", ["", "&_sort=-date", "&_sort=date", "&_sort=_lastUpdated", "&_sort=-value-quantity",
                                  "&_sort=status,-date", "&_sort=code"])  # fmt: skip
async def test_pages_follow_by_key(client: httpx.AsyncClient, sort: str) -> None:
    for number in range(7):
        resource = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "s", "code": "c"}]},
            "valueQuantity": {"value": number % 3},
        }
        if number:
            resource["effectiveDateTime"] = f"2026-11-0{number}"
        await _create(client, resource)
    seen: list[str] = []
    address = f"/Observation?code=s|c&_count=2{sort}"
    while address:
        page = (await client.get(address)).json()
        seen += [e["resource"]["id"] for e in page.get("entry", [])]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        address = following[0].replace("http://test/fhir", "") if following else ""
    assert len(seen) == len(set(seen)) == 7


async def test_invalid_resources_are_refused_precisely(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/Patient", json={"resourceType": "Patient", "gender": "x", "birthDate": "2026-02-30", "foo": 1}
    )
    assert answer.status_code == 422
    assert {i["expression"][0] for i in answer.json()["issue"]} == {"Patient.gender", "Patient.birthDate", "Patient"}
    for body in (b"{", b"[]", b'{"resourceType":"Nothing"}', b"\xff", b'{"resourceType":"Patient","id":1}',
                 b'{"resourceType":"Patient","active":true,"active":false}', b"[" * 100_000):  # fmt: skip
        assert (await client.post("/Patient", content=body)).status_code in {400, 422}


async def test_logical_reference_joins_the_compartment_whichever_comes_first(store: Store, gate: OpenGate) -> None:
    identifier = {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12345678901"}
    communication = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"type": "Patient", "identifier": identifier},
    }
    before = await store.create(gate, communication)
    patient = await store.create(gate, {**PATIENT, "identifier": [identifier]})
    after = await store.create(gate, communication)
    assert after.stored.patient == patient.stored.rid
    page = await store.search(gate, "Communication", "", compartment=patient.stored.id)
    assert {m.id for m in page.matches} == {before.stored.id, after.stored.id}


async def test_what_the_gate_hides_is_hidden_everywhere(store: Store, gate: OpenGate) -> None:
    secret = (await store.create(gate, PATIENT)).stored
    mine = (await store.create(gate, {"resourceType": "Patient", "name": [{"family": "Nilsen"}]})).stored
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    hidden = await store.create(gate, {**observation, "subject": {"reference": secret.reference}})
    shown = await store.create(gate, {**observation, "subject": {"reference": mine.reference}})
    hiding = HidingGate([secret.rid])
    with pytest.raises(NotFound) as one:
        await store.read(hiding, "Patient", secret.id)
    with pytest.raises(NotFound) as two:
        await store.read(hiding, "Patient", "nobody")
    assert one.value.outcome() == two.value.outcome()
    assert hiding.log[0].allowed is False and hiding.log[0].patients == [secret.rid]
    with pytest.raises(NotFound):
        await store.history(hiding, "Patient", secret.id)
    with pytest.raises(NotFound):
        await store.vread(hiding, "Patient", secret.id, 1)
    for query in ("_total=accurate", "subject:Patient.family=h&_total=accurate", "_has:Provenance:target:_id=x"):
        page = await store.search(hiding, "Observation", query)
        assert hidden.stored.id not in {m.id for m in page.matches}
        assert (page.total or 0) <= 1
    assert [m.id for m in (await store.search(hiding, "Observation", "")).matches] == [shown.stored.id]
    with pytest.raises(NotFound):
        await store.update(hiding, "Patient", secret.id, {**PATIENT, "id": secret.id})
    with pytest.raises(Forbidden):
        await store.create(hiding, {**observation, "subject": {"reference": secret.reference}})
    assert resource_key("Patient", secret.id) == secret.rid
