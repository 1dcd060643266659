"""Batches and transactions to the letter (R4 3.1.0.11), over HTTP against a real database."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

PATIENT = {"resourceType": "Patient", "name": [{"family": "Hætta"}], "gender": "female"}
URN = "urn:uuid:1b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a001"
OID = "urn:oid:1.2.3.4"


def _entry(method: str, url: str, resource: Any = None, full: str | None = None, **more: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        entry["resource"] = resource
    if full is not None:
        entry["fullUrl"] = full
    return entry


def _bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _identified(value: str, **more: Any) -> dict[str, Any]:
    return {**PATIENT, "identifier": [{"system": "urn:x", "value": value}], **more}


def _observation(subject: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject},
            **more}  # fmt: skip


async def _done(client: httpx.AsyncClient, *entries: Any, **headers: str) -> list[dict[str, Any]]:
    answer = await client.post("/", json=_bundle("transaction", *entries), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "transaction-response"
    done: list[dict[str, Any]] = answer.json()["entry"]
    assert len(done) == len(entries)
    return done


async def _refused(client: httpx.AsyncClient, status: int, place: int | None, *entries: Any) -> dict[str, Any]:
    """A transaction that fails, points to its entry, and leaves nothing behind."""
    before = (await client.get("/_history?_count=1000")).json().get("entry")
    answer = await client.post("/", json=_bundle("transaction", *entries))
    outcome: dict[str, Any] = answer.json()
    assert answer.status_code == status and outcome["resourceType"] == "OperationOutcome", answer.text
    if place is not None:
        assert all(i["expression"][0].startswith(f"Bundle.entry[{place}]") for i in outcome["issue"]), outcome
    assert (await client.get("/_history?_count=1000")).json().get("entry") == before
    return outcome


def _reference(entry: dict[str, Any]) -> str:
    location: str = entry["response"]["location"]
    return location.split("/_history")[0]


async def test_a_batch_answers_each_entry_by_itself(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/p", json={**PATIENT, "id": "p"})
    answer = await client.post("/", json=_bundle(
        "batch",
        _entry("GET", "Patient/p"),
        _entry("GET", "Patient/none"),
        _entry("POST", "Patient", {**PATIENT, "gender": "wrong"}),
        _entry("POST", "Patient", _identified("1"), ifNoneExist="identifier=urn:x|1"),
        _entry("POST", "Patient", _identified("1"), ifNoneExist="identifier=urn:x|1"),
        _entry("PUT", "Patient/p", {**PATIENT, "id": "p"}, ifMatch='W/"7"'),
        _entry("PUT", "Patient/p", {**PATIENT, "id": "p"}, ifMatch='W/"1"'),
        _entry("GET", "Patient/p", ifNoneMatch='W/"2"'),
        _entry("GET", "Patient?family=hætta&_summary=count"),
        _entry("HEAD", "Patient/p"),
        _entry("GET", "Patient/p/_history/1"),
        _entry("GET", "Patient/p/_history"),
        _entry("POST", "Patient/$validate", PATIENT),
        _entry("DELETE", "Patient/p"),
        _entry("GET", "Patient/p"),
        "nonsense",
        _entry("BREW", "Patient"),
        _entry("POST", "", _bundle("batch")),
        _entry("GET", "Patient?nonsense=1"),
        _entry("POST", "Patient/_search?identifier=urn:x|1"),
        _entry("GET", "http://test/fhir/Observation?_count=0"),
    ))  # fmt: skip
    assert answer.status_code == 200 and answer.json()["type"] == "batch-response"
    entries = answer.json()["entry"]
    assert [e["response"]["status"][:3] for e in entries] == [
        "200", "404", "422", "201", "200", "412", "200", "304", "200", "200", "200", "200", "200", "204", "410",
        "400", "400", "400", "400", "200", "200",
    ]  # fmt: skip
    for place, entry in enumerate(entries):
        failed = entry["response"]["status"] >= "400"
        assert ("outcome" in entry["response"]) == failed, entry
        if failed:
            assert entry["response"]["outcome"]["issue"][0]["expression"][0].startswith(f"Bundle.entry[{place}]")
    assert entries[0]["resource"]["id"] == "p" and entries[0]["response"]["etag"] == 'W/"1"'
    assert "lastModified" in entries[3]["response"] and "resource" not in entries[3]
    assert _reference(entries[3]) == _reference(entries[4])
    assert entries[8]["resource"]["total"] == 2 and entries[8]["resource"]["type"] == "searchset"
    assert "resource" not in entries[9] and entries[11]["resource"]["type"] == "history"
    assert entries[12]["resource"]["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_entries_say_as_much_as_is_preferred(client: httpx.AsyncClient, kind: str) -> None:
    for prefer, has in (("return=minimal", None), ("return=representation", "resource"),
                        ("return=OperationOutcome", "outcome")):  # fmt: skip
        bundle = _bundle(kind, _entry("POST", "Patient", PATIENT), _entry("PUT", "Patient/q", {**PATIENT, "id": "q"}))
        answer = await client.post("/", json=bundle, headers={"prefer": prefer})
        for entry in answer.json()["entry"]:
            assert ("resource" in entry) == (has == "resource"), entry
            assert ("outcome" in entry["response"]) == (has == "outcome")
            assert entry["response"]["etag"] and entry["response"]["lastModified"] and entry["response"]["location"]


async def test_the_order_is_the_standards(client: httpx.AsyncClient) -> None:
    old = await client.post("/Patient", json=_identified("1"))
    await client.put("/Patient/b", json={**PATIENT, "id": "b"})
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "male"}]}]}  # fmt: skip
    done = await _done(
        client,
        _entry("GET", "Patient/b"),
        _entry("GET", "Patient?identifier=urn:x|1"),
        _entry("PATCH", "Patient/b", patch),
        _entry("PUT", "Patient/c", {**PATIENT, "id": "c"}),
        # What is deleted is no match any more for a create on a condition.
        _entry("POST", "Patient", _identified("1"), ifNoneExist="identifier=urn:x|1"),
        _entry("DELETE", f"Patient/{old.json()['id']}"),
        _entry("GET", "Patient/c"),
        _entry("HEAD", "Patient/c"),
    )
    assert [e["response"]["status"][:3] for e in done] == ["200", "200", "200", "201", "201", "204", "200", "200"]
    assert done[0]["resource"]["gender"] == "male" and done[6]["resource"]["id"] == "c"
    found = done[1]["resource"]["entry"]
    assert [e["fullUrl"].split("/")[-1] for e in found] == [_reference(done[4]).split("/")[1]]
    assert found[0]["resource"]["id"] != old.json()["id"]


async def test_links_between_entries(client: httpx.AsyncClient) -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href=\'{URN}\'>x</a><img src="{OID}"/>{URN}</div>'
    observation = _observation(URN) | {
        "text": {"status": "additional", "div": div},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "extension": [{"url": "urn:e", "valueUri": URN}, {"url": "urn:f", "valueString": URN},
                      {"url": "urn:g", "valueUrl": OID}, {"url": "urn:h", "valueCanonical": URN},
                      {"url": "urn:i", "valueOid": "urn:oid:1.2.3.5"}],
        "hasMember": [{"reference": "http://old/fhir/Observation/o2"}, {"reference": "Observation/o2"}],
        "focus": [{"reference": f"{OID}/_history/7"}],
        "performer": [{"reference": "Practitioner/elsewhere"}],
        "contained": [{"resourceType": "Device", "id": "d", "patient": {"reference": URN}}],
        "device": {"reference": "#d"},
    }  # fmt: skip
    document = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"url": OID}}],
                "meta": {"profile": [URN]}}  # fmt: skip
    done = await _done(
        client,
        _entry("POST", "Observation", observation, "urn:uuid:1b7cdd5e-3e3f-4a52-8c5f-2d7ce2e5a009"),
        _entry("POST", "Patient", PATIENT, URN),
        _entry("POST", "Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}, OID),
        _entry("POST", "Observation", _observation(URN), "http://old/fhir/Observation/o2"),
        _entry("POST", "DocumentReference", document),
        _entry("GET", f"Observation?subject={URN}"),
    )
    patient, binary, other = (_reference(done[place]) for place in (1, 2, 3))
    kept = (await client.get(f"/{_reference(done[0])}")).json()
    assert kept["subject"]["reference"] == patient and kept["contained"][0]["patient"]["reference"] == patient
    assert f"href='{patient}'" in kept["text"]["div"] and f'src="{binary}"' in kept["text"]["div"]
    assert kept["text"]["div"].endswith(f"{URN}</div>") and kept["identifier"][0]["value"] == URN
    assert [next(v for k, v in e.items() if k != "url") for e in kept["extension"]] == [
        patient, URN, binary, URN, "urn:oid:1.2.3.5"
    ]  # fmt: skip
    assert [m["reference"] for m in kept["hasMember"]] == [other, other]
    assert kept["focus"][0]["reference"] == f"{binary}/_history/7"
    assert kept["performer"][0]["reference"] == "Practitioner/elsewhere"
    assert {e["resource"]["id"] for e in done[5]["resource"]["entry"]} == {_reference(done[0]).split("/")[1],
                                                                        other.split("/")[1]}  # fmt: skip
    attached = (await client.get(f"/{_reference(done[4])}")).json()
    assert attached["content"][0]["attachment"]["url"] == binary and attached["meta"]["profile"] == [URN]


async def test_fullurls_in_conditions_and_patches(client: httpx.AsyncClient) -> None:
    await client.put("/Observation/o", json={**_observation("Patient/x"), "id": "o"})
    json_patch = [{"op": "replace", "path": "/subject/reference", "value": URN}]
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json",
              "data": base64.b64encode(json.dumps(json_patch).encode()).decode()}  # fmt: skip
    entries = [
        _entry("POST", "Patient", _identified("1"), URN, ifNoneExist="identifier=urn:x|1"),
        _entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": URN}},
               ifNoneExist=f"subject={URN}"),
        _entry("PUT", f"Observation?subject={URN}&status=amended", {**_observation(URN), "status": "amended"}),
        _entry("PATCH", "Observation/o", binary),
    ]  # fmt: skip
    first = await _done(client, *entries)
    patient = _reference(first[0])
    assert (await client.get(f"/{_reference(first[1])}")).json()["subject"]["reference"] == patient
    assert (await client.get("/Observation/o")).json()["subject"]["reference"] == patient
    again = await _done(client, *entries)
    assert [e["response"]["status"][:3] for e in again] == ["200", "200", "200", "200"]
    assert [_reference(e) for e in again] == [_reference(e) for e in first]


async def test_conditional_references_find_also_what_the_transaction_makes(client: httpx.AsyncClient) -> None:
    await client.post("/Patient", json=_identified("1"))
    done = await _done(
        client,
        _entry("POST", "Observation", _observation("Patient?identifier=urn:x|1", performer=[
            {"reference": "Practitioner?identifier=urn:hpr|7"}])),
        _entry("POST", "Observation", _observation("Patient?identifier=urn:x|2")),
        _entry("POST", "Practitioner", {"resourceType": "Practitioner", "identifier": [
            {"system": "urn:hpr", "value": "7"}]}),
        _entry("PUT", "Patient/two", _identified("2", id="two", managingOrganization={
            "reference": "Organization?identifier=urn:org|1"})),
        _entry("POST", "Organization", {"resourceType": "Organization", "name": "x", "identifier": [
            {"system": "urn:org", "value": "1"}]}),
    )  # fmt: skip
    kept = (await client.get(f"/{_reference(done[0])}")).json()
    assert kept["performer"][0]["reference"] == _reference(done[2])
    assert (await client.get(f"/{_reference(done[1])}")).json()["subject"]["reference"] == "Patient/two"
    assert (await client.get("/Patient/two")).json()["managingOrganization"]["reference"] == _reference(done[4])
    await client.post("/Patient", json=_identified("1"))
    for wanted in ("identifier=urn:x|1", "identifier=urn:x|9"):
        entries = (_entry("POST", "Patient", PATIENT), _entry("POST", "Observation", _observation(f"Patient?{wanted}")))
        await _refused(client, 412, 1, *entries)
    await _refused(client, 400, 0, _entry("POST", "Observation", _observation("Patient?nonsense=1")))
    # Outside a transaction such a reference is only a text.
    alone = await client.post("/Observation", json=_observation("Patient?identifier=urn:x|1"))
    assert alone.status_code in {201, 422}


async def test_conditional_writes_in_a_transaction(client: httpx.AsyncClient) -> None:
    made = await client.post("/Patient", json=_identified("1"))
    address = f"Patient/{made.json()['id']}"
    for _ in range(2):
        await client.post("/Patient", json=_identified("2"))
    done = await _done(
        client,
        _entry("PUT", "Patient?identifier=urn:x|1", _identified("1", gender="male"), URN, ifMatch='W/"1"'),
        _entry("PUT", "Patient?identifier=urn:x|3", _identified("3", id="three")),
        _entry("DELETE", "Patient?identifier=urn:x|2"),
        _entry("DELETE", "Patient?identifier=urn:x|9"),
        _entry("POST", "Observation", _observation(URN)),
    )
    assert [e["response"]["status"][:3] for e in done] == ["200", "201", "204", "204", "201"]
    assert _reference(done[0]) == address and _reference(done[1]) == "Patient/three"
    assert (await client.get(f"/{_reference(done[4])}")).json()["subject"]["reference"] == address
    assert (await client.get("/Patient?identifier=urn:x|2&_summary=count")).json()["total"] == 0
    put = _entry("PUT", "Patient?identifier=urn:x|1", _identified("1"))
    await _refused(client, 412, 0, {**put, "request": {**put["request"], "ifMatch": 'W/"1"'}})
    await _refused(client, 400, 0, _entry("PUT", "Patient?identifier=urn:x|1", _identified("1", id="other")))
    await _refused(client, 409, 0, _entry("PUT", "Patient?identifier=urn:x|8", _identified("8", id="three")))
    await _refused(client, 412, 1, _entry("POST", "Patient", PATIENT), _entry("DELETE", "Patient"))
    merge = {"resourceType": "Binary", "contentType": "application/merge-patch+json",
             "data": base64.b64encode(b'{"gender":"other"}').decode()}  # fmt: skip
    await _done(client, _entry("PATCH", "Patient?identifier=urn:x|1", merge))
    assert (await client.get(f"/{address}")).json()["gender"] == "other"
    await _refused(client, 404, 0, _entry("PATCH", "Patient?identifier=urn:x|9", merge))


async def test_whatever_fails_undoes_all_and_points_to_the_entry(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/p", json={**PATIENT, "id": "p"})
    good = _entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x"}})
    wrong = await _refused(client, 422, 1, good, _entry("POST", "Patient", {**PATIENT, "gender": "x"}))
    assert wrong["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    await _refused(client, 412, 1, good, _entry("PUT", "Patient/p", {**PATIENT, "id": "p"}, ifMatch='W/"9"'))
    await _refused(client, 412, 1, good, _entry("PUT", "Patient/p", {**PATIENT, "id": "p"}, ifNoneMatch="*"))
    await _refused(client, 412, 1, good, _entry("DELETE", "Patient/p", ifMatch='W/"9"'))
    await _refused(client, 404, 1, good, _entry("GET", "Patient/none"))
    await _refused(client, 400, 1, good, _entry("GET", "Patient?nonsense=1"))
    await _refused(client, 404, 1, good, _entry("POST", "Nothing", PATIENT))
    await _refused(client, 400, 1, good, _entry("POST", "Observation", PATIENT))
    await _refused(client, 400, 1, good, _entry("PUT", "Patient/p", {**PATIENT, "id": "q"}))
    await _refused(client, 400, 1, good, _entry("PUT", "Patient/p"))
    await _refused(client, 422, 1, good, _entry("POST", "Patient"))
    await _refused(client, 400, 1, good, _entry("POST", "Observation", _observation("urn:uuid:nobody")))
    await _refused(client, 400, 1, good, {"resource": PATIENT})
    await _refused(client, 400, 1, good, _entry("POST", "", _bundle("transaction")))
    await _refused(client, 422, 1, good, _entry("PATCH", "Patient/p", {
        "resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": base64.b64encode(b'[{"op":"remove","path":"/none"}]').decode()}))  # fmt: skip
    await _refused(client, 415, 1, good, _entry("PATCH", "Patient/p", {
        "resourceType": "Binary", "contentType": "text/plain", "data": "e30="}))  # fmt: skip


async def test_a_resource_stands_once_in_a_transaction(client: httpx.AsyncClient) -> None:
    kept = await client.post("/Patient", json=_identified("1"))
    address = f"Patient/{kept.json()['id']}"
    put = _entry("PUT", address, {**_identified("1"), "id": kept.json()["id"]})
    merge = {"resourceType": "Binary", "contentType": "application/merge-patch+json", "data": "e30="}
    for other in (
        put, _entry("DELETE", address), _entry("DELETE", "Patient?identifier=urn:x|1"),
        _entry("PUT", "Patient?identifier=urn:x|1", _identified("1")), _entry("PATCH", address, merge),
    ):  # fmt: skip
        outcome = await _refused(client, 400, 1, put, other)
        assert outcome["issue"][0]["code"] == "duplicate"
    same = _entry("POST", "Patient", _identified("5"), ifNoneExist="identifier=urn:x|5")
    assert (await _refused(client, 400, 1, same, same))["issue"][0]["code"] == "duplicate"
    twice = [_entry("POST", "Patient", PATIENT, URN) for _ in range(2)]
    await _refused(client, 400, 1, *twice)


async def test_bundles_that_are_none(client: httpx.AsyncClient) -> None:
    for body in (PATIENT, _bundle("collection"), _bundle("x"), {"resourceType": "Bundle", "type": "batch", "entry": 1},
                 [], {"resourceType": "Bundle", "type": "transaction", "entry": {"a": 1}}):  # fmt: skip
        answer = await client.post("/", json=body)
        assert answer.status_code == 400 and answer.json()["resourceType"] == "OperationOutcome", body
    for kind in ("batch", "transaction"):
        empty = await client.post("/", json={"resourceType": "Bundle", "type": kind})
        assert empty.status_code == 200 and empty.json()["type"] == f"{kind}-response"


async def test_operations_in_a_transaction(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/p", json={**PATIENT, "id": "p"})
    tag = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]}
    done = await _done(
        client,
        _entry("POST", "Patient/$validate", PATIENT),
        _entry("POST", "Patient/p/$meta-add", tag),
        _entry("PUT", "Patient/q", {**PATIENT, "id": "q"}),
        _entry("GET", "Patient/p/$meta"),
    )
    assert done[3]["resource"]["parameter"][0]["valueMeta"]["tag"] == [{"code": "t"}]
    await _refused(client, 404, 0, _entry("POST", "Patient/$nothing", PATIENT))
