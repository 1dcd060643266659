"""R4's RESTful API to the letter (http.html), interaction by interaction, over HTTP against a real database."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from varde.clock import SetClock

PATIENT = {"resourceType": "Patient", "name": [{"family": "Hætta"}], "gender": "female"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def _identified(value: str, **more: Any) -> dict[str, Any]:
    return {**PATIENT, "identifier": [{"system": "urn:x", "value": value}], **more}


async def _create(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def _refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text)
    outcome: dict[str, Any] = answer.json()
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"]
    return outcome


async def test_create_tells_where_and_ignores_a_given_id(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/Patient", json={**PATIENT, "id": "mine", "meta": {"versionId": "9", "lastUpdated": "2000-01-01T00:00:00Z"}}
    )
    created = answer.json()
    assert answer.status_code == 201 and created["id"] != "mine" and created["meta"]["versionId"] == "1"
    assert answer.headers["location"] == f"http://test/fhir/Patient/{created['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"' and answer.headers["last-modified"].endswith("GMT")
    _refused(await client.post("/Observation", json=PATIENT), 400)
    _refused(await client.post("/Patient", content=b""), 400)
    _refused(await client.post("/Nothing", json=PATIENT), 404)


async def test_conditional_create_in_its_three_cases(client: httpx.AsyncClient) -> None:
    for condition in ("identifier=urn:x|1", "?identifier=urn:x|1", "Patient?identifier=urn:x|1"):
        answer = await client.post("/Patient", json=_identified("1"), headers={"if-none-exist": condition})
        assert answer.status_code == (201 if condition == "identifier=urn:x|1" else 200)
        assert answer.headers["etag"] == 'W/"1"' and "/_history/1" in answer.headers["location"]
    await _create(client, _identified("1"))
    _refused(await client.post("/Patient", json=_identified("1"), headers={"if-none-exist": "identifier=urn:x|1"}), 412)
    for condition in ("nonsense=1", "_count=1"):
        _refused(await client.post("/Patient", json=PATIENT, headers={"if-none-exist": condition}), 400)


async def test_conditional_read(client: httpx.AsyncClient, clock: SetClock) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    read = await client.get(address)
    assert read.headers["content-location"] == f"http://test/fhir/Patient/{created['id']}/_history/1"
    modified = read.headers["last-modified"]
    for headers, status in (
        ({"if-none-match": 'W/"1"'}, 304),
        ({"if-none-match": '"1"'}, 304),
        ({"if-none-match": 'W/"7", W/"1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": 'W/"2"'}, 200),
        ({"if-none-match": "1"}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-none-match": 'W/"2"', "if-modified-since": modified}, 200),
    ):
        answer = await client.get(address, headers=headers)
        assert answer.status_code == status, headers
        assert answer.headers["etag"] == 'W/"1"' and bool(answer.content) == (status == 200)
    clock.advance(timedelta(seconds=2))
    await client.put(address, json={**created, "gender": "male"})
    assert (await client.get(address, headers={"if-modified-since": modified})).status_code == 200


async def test_head_says_what_get_says(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    own = f"/Patient/{created['id']}"
    others = ("/Patient?_id=x", "/_history", "/metadata", "/Patient/none", "/", "/Patient/none/_history")
    for path in (own, f"{own}/_history/1", f"{own}/_history", *others):
        get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert dict(head.headers) == dict(get.headers), path


async def test_what_is_gone_says_so_with_its_version(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    deleted = await client.delete(address)
    assert deleted.status_code == 204 and deleted.headers["etag"] == 'W/"2"' and not deleted.content
    again = await client.delete(address)
    assert again.status_code == 204 and "etag" not in again.headers
    gone = await client.get(address)
    assert _refused(gone, 410)["issue"][0]["code"] == "deleted"
    assert gone.headers["etag"] == 'W/"2"' and gone.headers["location"].endswith(f"{address}/_history/2")
    _refused(await client.get(f"{address}/_history/2"), 410)
    assert (await client.get(f"{address}/_history/1")).json()["id"] == created["id"]
    _refused(await client.get(f"{address}/_history/3"), 404)
    _refused(await client.get(f"{address}/_history/x"), 404)
    _refused(await client.patch(address, json=[], headers={"content-type": "application/json-patch+json"}), 410)
    back = await client.put(address, json=created)
    assert back.status_code == 201 and back.headers["etag"] == 'W/"3"'
    told = await client.delete(address, headers={"prefer": "return=OperationOutcome"})
    assert told.status_code == 200 and told.json()["resourceType"] == "OperationOutcome"


async def test_update_asks_for_the_id_and_keeps_versions(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    _refused(await client.put(address, json=PATIENT), 400)
    _refused(await client.put(address, json={**PATIENT, "id": "other"}), 400)
    _refused(await client.put(address, json={"resourceType": "Basic", "id": created["id"]}), 400)
    same = await client.put(address, json=created)
    assert same.status_code == 200 and same.headers["etag"] == 'W/"2"' and same.json()["meta"]["versionId"] == "2"
    for tag, status in (('W/"1"', 412), ('W/"2"', 200), ('"3"', 200), ("*", 200), ('W/"x"', 412), ('W/"0"', 412),
                        ("nonsense", 400), ('W/"1", W/"2"', 400)):  # fmt: skip
        assert (await client.put(address, json=created, headers={"if-match": tag})).status_code == status, tag
    new = {**PATIENT, "id": "not-yet"}
    _refused(await client.put("/Patient/not-yet", json=new, headers={"if-match": 'W/"1"'}), 412)
    _refused(await client.put("/Patient/not-yet", json=new, headers={"if-match": "*"}), 412)
    assert (await client.put("/Patient/not-yet", json=new, headers={"if-none-match": "*"})).status_code == 201
    _refused(await client.put("/Patient/not-yet", json=new, headers={"if-none-match": "*"}), 412)
    _refused(await client.put("/Patient/" + "x" * 65, json={**PATIENT, "id": "x" * 65}), 404)
    _refused(await client.delete("/Patient/not-yet", headers={"if-match": 'W/"7"'}), 412)


async def test_conditional_update_in_its_five_cases(client: httpx.AsyncClient) -> None:
    made = await client.put("/Patient?identifier=urn:x|1", json=_identified("1"))
    assert made.status_code == 201
    identifier = made.json()["id"]
    own = await client.put("/Patient?identifier=urn:x|2", json=_identified("2", id="own-id"))
    assert own.status_code == 201 and own.json()["id"] == "own-id"
    updated = await client.put("/Patient?identifier=urn:x|1", json=_identified("1", gender="male"))
    assert updated.status_code == 200 and updated.json()["id"] == identifier
    matching = await client.put("/Patient?identifier=urn:x|1", json=_identified("1", id=identifier))
    assert matching.status_code == 200 and matching.headers["etag"] == 'W/"3"'
    _refused(await client.put("/Patient?identifier=urn:x|1", json=_identified("1", id="own-id")), 400)
    _refused(await client.put("/Patient?identifier=urn:x|3", json=_identified("3", id="own-id")), 409)
    _refused(await client.put("/Patient?family=hætta", json=PATIENT), 412)
    _refused(await client.put("/Patient", json=PATIENT), 412)
    late = await client.put("/Patient?identifier=urn:x|1", json=_identified("1"), headers={"if-match": 'W/"1"'})
    _refused(late, 412)


async def test_conditional_patch_and_delete(client: httpx.AsyncClient) -> None:
    patch = json.dumps([{"op": "replace", "path": "/gender", "value": "other"}])
    kind = {"content-type": "application/json-patch+json"}
    _refused(await client.patch("/Patient?identifier=urn:x|1", content=patch, headers=kind), 404)
    await _create(client, _identified("1"))
    assert (await client.patch("/Patient?identifier=urn:x|1", content=patch, headers=kind)).json()["gender"] == "other"
    late = await client.patch("/Patient?identifier=urn:x|1", content=patch, headers={**kind, "if-match": 'W/"1"'})
    _refused(late, 412)
    await _create(client, _identified("1"))
    _refused(await client.patch("/Patient?identifier=urn:x|1", content=patch, headers=kind), 412)
    assert (await client.delete("/Patient?identifier=urn:x|9")).status_code == 204
    _refused(await client.delete("/Patient"), 412)
    _refused(await client.delete("/Patient?nonsense=1"), 400)
    assert (await client.delete("/Patient?identifier=urn:x|1")).status_code == 204
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 0


async def test_a_conditional_delete_of_too_many_deletes_none(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varde.fhir.storing.conditional.MAXIMUM_DELETED", 2)
    for number in range(3):
        await _create(client, _identified(str(number)))
    assert _refused(await client.delete("/Patient?family=hætta"), 412)["issue"][0]["code"] == "multiple-matches"
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 3


@pytest.mark.parametrize(
    ("prefer", "body"),
    [
        ("return=minimal", None),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        ('return="minimal"; wait=5, x=y', None),
        ("RETURN=Minimal", None),
        ("return=nonsense", "Patient"),
        ("handling=strict", "Patient"),
        (";,=", "Patient"),
    ],
)
async def test_preferences(client: httpx.AsyncClient, prefer: str, body: str | None) -> None:
    headers = {"prefer": prefer}
    created = await client.post("/Patient", json=PATIENT, headers=headers)
    assert created.status_code == 201
    address = "/" + created.headers["location"].removeprefix("http://test/fhir/").split("/_history")[0]
    current = (await client.get(address)).json()
    updated = await client.put(address, json=current, headers=headers)
    patched = await client.patch(
        address, content=b'{"active":true}', headers={**headers, "content-type": "application/merge-patch+json"}
    )
    assert (updated.status_code, patched.status_code) == (200, 200)
    for answer in (created, updated, patched):
        assert (answer.json()["resourceType"] if answer.content else None) == body


async def test_formats(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    for accept, kind in (
        ("application/fhir+json", "application/fhir+json"),
        ("application/fhir+json; charset=utf-8", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
        ("application/json", "application/json"),
        ("text/json", "text/json"),
        ("*/*", "application/fhir+json"),
        ("application/*", "application/fhir+json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/fhir+json"),
        ("application/fhir+xml, application/json;q=0.1", "application/json"),
        ("application/json;q=0.5, application/fhir+json", "application/fhir+json"),
        ("application/fhir+xml", None),
        ("application/fhir+json; fhirVersion=3.0", None),
        ("application/json;q=0", None),
        ("text/plain", None),
        ("json;;;=,", "application/fhir+json"),
    ):
        answer = await client.get(address, headers={"accept": accept})
        if kind is None:
            _refused(answer, 406)
        else:
            assert answer.status_code == 200 and answer.headers["content-type"] == f"{kind}; charset=utf-8", accept
    for wanted, status in (
        ("json", 200), ("application/json", 200), ("application/fhir%2Bjson", 200), ("application/fhir+json", 200),
        ("xml", 406), ("application/fhir+xml", 406), ("ttl", 406), ("html", 406), ("", 200), ("jsonx", 406),
    ):  # fmt: skip
        for accept in ("application/fhir+xml", "application/fhir+json"):  # _format comes before Accept
            answer = await client.get(f"{address}?_format={wanted}", headers={"accept": accept})
            assert answer.status_code == (status if wanted else 406 if "xml" in accept else 200), (wanted, accept)
    pretty = (await client.get(f"{address}?_pretty=true")).text
    assert "\n" in pretty and json.loads(pretty) == created
    assert "\n" not in (await client.get(f"{address}?_pretty=false")).text
    _refused(await client.get(f"{address}?_pretty=perhaps"), 400)
    for kind, status in (("application/json", 201), ("application/fhir+json; charset=UTF-8", 201), ("text/plain", 415),
                         ("application/fhir+xml", 415), ("application/fhir+json; charset=latin-1", 415),
                         ("application/fhir+json; fhirVersion=3.0", 415), ("", 415)):  # fmt: skip
        answer = await client.post("/Patient", content=json.dumps(PATIENT), headers={"content-type": kind})
        assert answer.status_code == status, kind


async def test_parts_of_a_resource(client: httpx.AsyncClient) -> None:
    whole = await _create(
        client,
        {
            **_identified("1"),
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
            "birthDate": "1980-01-01",
            "_birthDate": {"extension": [{"url": "urn:x", "valueBoolean": True}]},
            "contact": [{"name": {"text": "y"}}],
            "photo": [{"contentType": "image/png", "data": "aaaa"}],
            "deceasedBoolean": False,
        },
    )
    address = f"/Patient/{whole['id']}"

    async def names(query: str) -> set[str]:
        found = (await client.get(f"{address}?{query}")).json()
        tags = [tag["code"] for tag in found["meta"].get("tag", [])]
        assert tags == (["SUBSETTED"] if query != "_summary=false" else [])
        return set(found) - {"resourceType", "id", "meta"}

    everything = set(whole) - {"resourceType", "id", "meta"}
    assert await names("_summary=false") == everything
    assert await names("_summary=data") == everything - {"text"}
    assert await names("_summary=true") == everything - {"text", "contact", "photo"}
    assert await names("_summary=text") == {"text", "deceasedBoolean"}
    # What changes the meaning of the resource stays; of the rest only what was asked for.
    assert await names("_elements=birthDate,gender") == {"birthDate", "_birthDate", "gender", "deceasedBoolean"}
    assert await names("_elements=Patient.name,Observation.status") == {"name", "deceasedBoolean"}
    _refused(await client.get(f"{address}?_summary=some"), 400)
    found = (await client.get("/Patient?_elements=gender")).json()["entry"][0]["resource"]
    assert set(found) == {"resourceType", "id", "meta", "gender", "deceasedBoolean"}
    assert (await client.get("/Patient?_summary=count")).json().get("entry") is None


async def test_history_on_three_levels(client: httpx.AsyncClient, clock: SetClock) -> None:
    first = await _create(client, PATIENT)
    address = f"/Patient/{first['id']}"
    times = [first["meta"]["lastUpdated"]]
    for gender in ("male", "other"):
        clock.advance(timedelta(hours=1))
        updated = await client.put(address, json={**first, "gender": gender})
        times.append(updated.json()["meta"]["lastUpdated"])
    clock.advance(timedelta(hours=1))
    await client.delete(address)
    other = await _create(client, {"resourceType": "Basic", "code": {"text": "x"}})
    listed = await _create(client, {"resourceType": "List", "status": "current", "mode": "working",
                                    "entry": [{"item": {"reference": f"Basic/{other['id']}"}}]})  # fmt: skip

    async def versions(path: str) -> list[str]:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle["type"] == "history"
        return [f"{e['fullUrl'].split('/')[-2]}{e['response']['etag'][3:-1]}" for e in bundle.get("entry", [])]

    assert await versions(f"{address}/_history") == ["Patient4", "Patient3", "Patient2", "Patient1"]
    assert await versions("/Basic/_history") == ["Basic1"]
    assert await versions("/_history") == ["List1", "Basic1", "Patient4", "Patient3", "Patient2", "Patient1"]
    assert await versions(f"{address}/_history?_since={times[1]}") == ["Patient4", "Patient3", "Patient2"]
    assert await versions(f"{address}/_history?_at={times[1]}") == ["Patient2"]
    assert await versions(f"/_history?_list={listed['id']}") == ["Basic1"]
    assert await versions(f"/_history?_list=List/{listed['id']}") == ["Basic1"]
    assert await versions(f"{address}/_history?_sort=-_lastUpdated&_count=1") == ["Patient4"]
    bundle = (await client.get(f"{address}/_history")).json()
    entries = bundle["entry"]
    assert [e["request"]["method"] for e in entries] == ["DELETE", "PUT", "PUT", "POST"]
    assert [e["request"]["url"] for e in entries] == [address[1:]] * 3 + ["Patient"]
    assert "resource" not in entries[0] and all("lastModified" in e["response"] for e in entries)
    seen, page = [], f"{address}/_history?_count=3"
    while page:
        bundle = (await client.get(page)).json()
        seen += [e["response"]["etag"] for e in bundle["entry"]]
        page = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        page = page.replace("http://test/fhir", "")
    assert seen == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    for wrong in ("_since=x", "_at=2026-13", "_count=-1", "_count=1&_count=2", "_sort=name", "_list=$x", "name=x"):
        _refused(await client.get(f"{address}/_history?{wrong}"), 400)
    _refused(await client.get("/Patient/nobody/_history"), 404)
    _refused(await client.post(f"{address}/_history", json={}), 405)


async def test_searches_by_post(client: httpx.AsyncClient) -> None:
    patient = await _create(client, _identified("1"))
    encounter = await _create(client, {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
                                       "subject": {"reference": f"Patient/{patient['id']}"}})  # fmt: skip
    observation = await _create(client, {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient['id']}"},
        "encounter": {"reference": f"Encounter/{encounter['id']}"},
        "device": {"reference": "Device/d1"}, "performer": [{"reference": "Practitioner/p1"}],
    })  # fmt: skip
    await _create(
        client, {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": f"Patient/{patient['id']}"}}
    )

    async def ids(path: str, form: str = "", **headers: str) -> set[str]:
        answer = await client.post(path, content=form, headers={**FORM, **headers})
        assert answer.status_code == 200, answer.text
        assert answer.json()["link"][0]["url"].startswith(f"http://test/fhir{path.split('/_search')[0]}")
        return {e["resource"]["resourceType"] for e in answer.json().get("entry", [])}

    assert await ids("/Patient/_search", "identifier=urn:x%7C1") == {"Patient"}
    assert await ids("/Patient/_search?gender=female", "identifier=urn:x%7C1") == {"Patient"}
    assert await ids("/Patient/_search?gender=male", "identifier=urn:x%7C1") == set()
    assert await ids("/_search", f"_type=Encounter&_id={encounter['id']}") == {"Encounter"}
    inside = f"/Patient/{patient['id']}"
    assert await ids(f"{inside}/Observation/_search", "status=final") == {"Observation"}
    assert await ids(f"{inside}/_search") == {"Patient", "Encounter", "Observation", "RelatedPerson"}
    assert await ids(f"/Encounter/{encounter['id']}/*/_search") == {"Encounter", "Observation"}
    assert await ids("/Device/d1/Observation/_search") == {"Observation"}
    assert await ids("/Practitioner/p1/_search") == {"Observation"}
    assert await ids("/RelatedPerson/nobody/_search") == set()
    for path, found in ((f"/Encounter/{encounter['id']}/Observation", 1), (f"{inside}/*", 4), ("/Device/d1/*", 1)):
        assert len((await client.get(path)).json().get("entry", [])) == found, path
    assert (await client.get(f"/Observation/_search?_id={observation['id']}")).json()["total"] == 1
    _refused(await client.get(f"/Observation/{observation['id']}/*"), 404)
    _refused(await client.get(f"{inside}/Nothing"), 404)
    _refused(await client.post("/Nothing/_search", content="", headers=FORM), 404)
    _refused(await client.post("/Patient/_search", json={}), 415)
    _refused(await client.post("/Patient/_search", content=b"name=%ff", headers=FORM), 400)
    _refused(await client.post("/Patient/_search", content="nonsense=1", headers=FORM), 400)
    _refused(await client.put("/Patient/_search", json={}), 405)


async def test_addresses_that_take_other_methods(client: httpx.AsyncClient) -> None:
    created = await _create(client, PATIENT)
    address = f"/Patient/{created['id']}"
    version = f"{address}/_history/1"
    for method, path in (("PUT", "/"), ("DELETE", "/"), ("POST", address), ("DELETE", version), ("PUT", version),
                         ("POST", f"{address}/Observation"), ("BREW", "/Patient")):  # fmt: skip
        answer = await client.request(method, path, json=PATIENT)
        assert _refused(answer, 405)["issue"][0]["code"] == "not-supported"
        assert "GET" in answer.headers["allow"]


async def test_metadata_has_a_tag_and_can_be_cut_down(client: httpx.AsyncClient) -> None:
    whole = await client.get("/metadata")
    tag = whole.headers["etag"]
    assert whole.headers["cache-control"] == "no-cache"
    assert (await client.get("/metadata", headers={"if-none-match": tag})).status_code == 304
    for mode in ("full", "normative", "terminology"):
        assert (await client.get(f"/metadata?mode={mode}")).json()["resourceType"] == "CapabilityStatement"
    _refused(await client.get("/metadata?mode=other"), 400)
    part = await client.get("/metadata?_elements=format,software")
    assert "rest" not in part.json() and part.json()["software"] and part.json()["fhirVersion"] == "4.0.1"
    assert part.headers["etag"] != tag
    assert len((await client.get("/metadata?_summary=true")).content) <= len(whole.content) + 200
    _refused(await client.get("/metadata", headers={"accept": "application/fhir+xml"}), 406)
    _refused(await client.post("/metadata", json={}), 404)


async def test_pages_of_browsers_are_let_in(client: httpx.AsyncClient) -> None:
    origin = {"origin": "https://app.example"}
    asked = await client.options(
        "/Patient/1", headers={**origin, "access-control-request-method": "PUT",
                               "access-control-request-headers": "authorization,if-match"}
    )  # fmt: skip
    assert asked.status_code == 204 and asked.headers["access-control-allow-origin"] == "*"
    assert "PUT" in asked.headers["access-control-allow-methods"]
    for header in ("authorization", "content-type", "if-match", "if-none-exist", "prefer"):
        assert header in asked.headers["access-control-allow-headers"]
    for answer in (await client.get("/Patient", headers=origin), await client.get("/Patient/none", headers=origin),
                   await client.get("/metadata", headers=origin)):  # fmt: skip
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in (await client.get("/Patient")).headers
    assert "GET" in (await client.options("/Patient")).headers["allow"]


async def test_labels_by_operation(client: httpx.AsyncClient) -> None:
    tag, label = {"system": "urn:t", "code": "a"}, {"system": "urn:s", "code": "R"}
    created = await _create(client, {**PATIENT, "meta": {"tag": [tag]}})
    address = f"/Patient/{created['id']}"

    def given(**meta: Any) -> dict[str, Any]:
        return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}

    def meta(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["parameter"][0]["valueMeta"]
        return found

    assert meta(await client.get(f"{address}/$meta"))["tag"] == [tag]
    added = meta(await client.post(f"{address}/$meta-add", json=given(tag=[tag], security=[label], profile=["urn:p"])))
    assert (added["tag"], added["security"], added["profile"]) == ([tag], [label], ["urn:p"])
    assert added["versionId"] == "2"
    unchanged = meta(await client.post(f"{address}/$meta-add", json=given(tag=[{**tag, "display": "A"}])))
    assert unchanged["versionId"] == "2"
    for level in ("/$meta", "/Patient/$meta"):
        found = meta(await client.get(level))
        assert (found["tag"], found["security"], found["profile"]) == ([tag], [label], ["urn:p"])
    assert meta(await client.get("/Observation/$meta")) == {}
    removed = meta(await client.post(f"{address}/$meta-delete", json=given(security=[label], tag=[{"code": "a"}])))
    assert "security" not in removed and removed["tag"] == [tag] and removed["versionId"] == "3"
    _refused(await client.get(f"{address}/$meta-add"), 405)
    _refused(await client.post(f"{address}/$meta-add", json=given(tag=[{"code": 1}])), 400)
    _refused(await client.post(f"{address}/$meta-add", json={"resourceType": "Parameters"}), 400)
    _refused(await client.post("/Patient/none/$meta-add", json=given(tag=[tag])), 404)
    _refused(await client.post("/Patient/$meta-add", json=given(tag=[tag])), 404)


async def test_a_binary_goes_in_and_out_as_what_it_is(client: httpx.AsyncClient) -> None:
    pdf = b"%PDF-1.7 \x00\xff"
    kind = {"content-type": "application/pdf", "x-security-context": "Patient/p"}
    made = await client.post("/Binary", content=pdf, headers=kind)
    assert made.status_code == 201, made.text
    resource = made.json()
    assert resource["contentType"] == "application/pdf" and resource["securityContext"]["reference"] == "Patient/p"
    address = f"/Binary/{resource['id']}"
    for accept in ("*/*", "application/pdf", "image/png"):
        for path in (address, f"{address}/_history/1"):
            read = await client.get(path, headers={"accept": accept})
            assert read.content == pdf and read.headers["content-type"] == "application/pdf"
            assert read.headers["etag"] == 'W/"1"' and "sandbox" in read.headers["content-security-policy"]
    for accept in ("application/fhir+json", "application/json", "application/fhir+json, */*;q=0.1"):
        assert (await client.get(address, headers={"accept": accept})).json() == resource
    assert (await client.get(f"{address}?_format=json")).json() == resource
    _refused(await client.get(address, headers={"accept": "application/fhir+xml"}), 406)
    changed = await client.put(address, content=b"text", headers={"content-type": "text/plain"})
    assert changed.status_code == 200 and changed.json()["meta"]["versionId"] == "2"
    assert (await client.get(address)).text == "text"
    again = await client.put(address, json=resource, headers={"content-type": "application/json"})
    assert again.status_code == 200 and (await client.get(address)).content == pdf
    raw = await client.post("/Binary", content=b"[1]", headers={"content-type": "application/json"})
    assert (await client.get(f"/Binary/{raw.json()['id']}")).content == b"[1]"
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": address}}]}
    told = (await client.post("/", json=batch)).json()["entry"][0]
    assert told["resource"]["contentType"] == "application/pdf"
    _refused(await client.get("/Binary/none"), 404)
    listed = (await client.get("/Binary")).json()
    assert listed["resourceType"] == "Bundle"


async def test_a_request_keeps_its_mark(client: httpx.AsyncClient) -> None:
    answer = await client.get("/Patient", headers={"x-request-id": "a-1"})
    assert answer.headers["x-request-id"] == "a-1"
    assert "x-request-id" not in (await client.get("/Patient", headers={"x-request-id": "x" * 200})).headers
