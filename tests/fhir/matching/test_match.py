"""`Patient/$match` against a store: found by indexes, ranked, through the gate, and logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.fhir.gates import HidingGate, OpenGate
from varde.fhir.gate import Gate, Interaction
from varde.fhir.http.rest import FhirApplication
from varde.fhir.keys import resource_key
from varde.fhir.matching.operation import GRADE, matching
from varde.fhir.store import Store

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"


@pytest.fixture
async def client(store: Store, gate: OpenGate) -> AsyncIterator[httpx.AsyncClient]:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(store, authenticate, "http://test/fhir", dict, dict, [matching(frozenset({FNR}))])
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        made.headers["content-type"] = "application/fhir+json"
        yield made


def patient(identifier: str, family: str, given: str, born: str, number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": identifier, "identifier": [{"system": FNR, "value": number}],
        "name": [{"family": family, "given": given.split()}], "birthDate": born, **more,
    }  # fmt: skip


PEOPLE = [
    patient("kari", "Nilsen Hætta", "Kari Ánne", "1981-03-14", "14838112345", gender="female",
            telecom=[{"system": "phone", "value": "+4790012345"}],
            address=[{"line": ["Storgata 1"], "postalCode": "9008"}]),
    patient("karin", "Nilsen", "Karin", "1981-03-15", "15838154321", gender="female"),
    patient("ola", "Berg", "Ola", "1950-07-02", "02875011111", gender="male"),
    patient("twin", "Nilsen Hætta", "Per", "1981-03-14", "14838199999", gender="male"),
    patient("old", "Bakken", "Kari", "1981-03-14", "54838100000",
            link=[{"type": "replaced-by", "other": {"reference": "Patient/kari"}}]),
]  # fmt: skip


async def match(client: httpx.AsyncClient, asked: dict[str, Any], **given: Any) -> list[tuple[str, str, float]]:
    """(id, grade, score) of each match."""
    response = await client.post("/Patient/$match", json=body(asked, **given))
    assert response.status_code == 200, response.text
    bundle = response.json()
    assert bundle["type"] == "searchset"
    assert bundle["total"] == len(bundle.get("entry", []))
    found = []
    for entry in bundle.get("entry", []):
        assert entry["fullUrl"] == f"http://test/fhir/Patient/{entry['resource']['id']}"
        assert entry["search"]["mode"] == "match"
        assert entry["search"]["extension"][0]["url"] == GRADE
        found.append((entry["resource"]["id"], entry["search"]["extension"][0]["valueCode"], entry["search"]["score"]))
    return found


def body(asked: dict[str, Any], **given: Any) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"name": "resource", "resource": {"resourceType": "Patient", **asked}}]
    for name, value in given.items():
        listed.append({"name": name, "valueBoolean" if isinstance(value, bool) else "valueInteger": value})
    return {"resourceType": "Parameters", "parameter": listed}


async def test_who_is_found(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    await store.write_many(gate, PEOPLE)
    number = {"identifier": [{"system": FNR, "value": "14838112345"}]}
    assert (await match(client, number))[0][:2] == ("kari", "certain")
    assert [one[0] for one in await match(client, number, onlyCertainMatches=True)] == ["kari"]
    name: dict[str, Any] = {"name": [{"family": "nilsen haetta", "given": ["kari"]}], "birthDate": "1981-03-14"}
    # ae is not æ (search/fold.py), but the family name is alike for all that.
    assert (await match(client, name))[0][:2] == ("kari", "possible")
    name["name"][0]["family"] = "nilsen hætta"
    assert (await match(client, name))[0][:2] == ("kari", "probable")
    assert await match(client, name, onlyCertainMatches=True) == []
    near = {"name": [{"family": "Nilsen Hætta", "given": ["Kari"]}], "birthDate": "1981-04-14"}
    assert (await match(client, near))[0][:2] == ("kari", "possible")
    turned = {"name": [{"text": "Kari Ánne Hætta"}], "birthDate": "1981-03-14", "gender": "female"}
    ranked = await match(client, turned)
    assert ranked[0][0] == "kari"
    assert [one[2] for one in ranked] == sorted((one[2] for one in ranked), reverse=True)
    assert (await match(client, {"telecom": [{"system": "phone", "value": "900 12 345"}]}))[0][0] == "kari"
    assert await match(client, {"name": [{"family": "Ukjent", "given": ["Person"]}], "birthDate": "1999-01-01"}) == []
    assert len(await match(client, turned, count=1)) == 1


async def test_a_replaced_record_leads_to_the_one_that_counts(
    client: httpx.AsyncClient, store: Store, gate: Any
) -> None:
    await store.write_many(gate, PEOPLE)
    old = {"identifier": [{"system": FNR, "value": "54838100000"}]}
    assert [one[:2] for one in await match(client, old)] == [("kari", "certain")]


async def test_several_certain_matches_are_none(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    await store.write_many(gate, [*PEOPLE, {**PEOPLE[0], "id": "double"}])
    number = {"identifier": [{"system": FNR, "value": "14838112345"}]}
    assert len(await match(client, number)) == 2
    assert await match(client, number, onlyCertainMatches=True) == []


async def test_who_may_not_be_seen_is_not_there(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    await store.write_many(gate, PEOPLE)
    hidden = HidingGate([resource_key("Patient", "kari")])
    gate.predicate = hidden.predicate
    everything = {name: PEOPLE[0][name] for name in ("identifier", "name", "birthDate", "gender", "telecom")}
    seen = await client.post("/Patient/$match", json=body(everything))
    assert "kari" not in seen.text
    old = {"identifier": [{"system": FNR, "value": "54838100000"}]}
    assert [one[0] for one in await match(client, old)] == ["old"]
    gate.predicate = OpenGate().predicate
    await client.delete("/Patient/kari")
    assert (await client.post("/Patient/$match", json=body(everything))).content == seen.content


async def test_the_log_and_the_right_to_search(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    await store.write_many(gate, PEOPLE)
    gate.log.clear()
    await match(client, {"identifier": [{"system": FNR, "value": "02875011111"}]})
    (logged,) = gate.log
    assert (logged.interaction, logged.resource_type) == (Interaction.SEARCH, "Patient")
    assert list(logged.patients) == [resource_key("Patient", "ola")]
    assert "02875011111" not in logged.query
    gate.allows = lambda interaction, kind: (interaction, kind) != (Interaction.SEARCH, "Patient")
    response = await client.post("/Patient/$match", json=body({"identifier": [{"system": FNR, "value": "1"}]}))
    assert response.status_code == 403
    assert gate.log[-1].allowed is False


async def test_what_is_no_question(client: httpx.AsyncClient) -> None:
    for given in (
        {}, {"resourceType": "Parameters"}, body({}), body({"gender": "male"}), body({"birthDate": 7}),
        body({"name": [{"family": "Berg"}]}, count=0), {"resourceType": "Practitioner"},
    ):  # fmt: skip
        response = await client.post("/Patient/$match", json=given)
        assert response.status_code == 400, given
        assert response.json()["resourceType"] == "OperationOutcome"
    for name in ("name", "telecom", "identifier", "address", "birthDate", "gender", "link"):
        for value in (7, [7], {}, [{}], [None], "x", [{"value": 7, "family": 7, "given": 7, "line": 7, "text": 7}]):
            asked = body({"birthDate": "1981-03-14", name: value})
            assert (await client.post("/Patient/$match", json=asked)).status_code in {200, 400}, asked
    assert (await client.get("/Patient/$match")).status_code == 400
    assert (await client.post("/Observation/$match", json=body({}))).status_code == 404


async def test_no_way_in_looks_through_all_patients(store: Store, gate: Any) -> None:
    """With sequential scans forbidden to matter, every way in names an index on what it is asked."""
    from varde.fhir.matching import candidates as room
    from varde.fhir.matching.demographics import read

    asked = {
        "resourceType": "Patient",
        **{name: PEOPLE[0][name] for name in ("identifier", "name", "birthDate", "telecom")},
    }
    plans: list[str] = []

    async def explained(connection: Any, sql: str, values: list[Any]) -> list[Any]:
        rows = await connection.fetch(f"explain {sql}", *values)
        plans.append("\n".join(row[0] for row in rows))
        return []

    original, room.fetch = room.fetch, explained
    try:
        async with store.database.transaction() as connection:
            await connection.execute("set local enable_seqscan = off")
            await room.candidates(connection, gate, read(asked), asked)
    finally:
        room.fetch = original
    assert "Seq Scan" not in plans[0]
    for index in ("index_token_value", "index_date", "index_string"):
        assert index in plans[0]
