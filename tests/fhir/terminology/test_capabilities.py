"""`metadata?mode=terminology`, and terminology as search asks for it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.fhir.terminology.conftest import SIMPLE, put, value_set
from varde.demo.codes import code_systems
from varde.fhir.store import Store
from varde.fhir.validate import faults_of


async def test_terminology_capabilities(client: httpx.AsyncClient) -> None:
    response = await client.get("/metadata", params={"mode": "terminology"})
    document = response.json()
    assert document["resourceType"] == "TerminologyCapabilities"
    assert faults_of(document) == []
    named = {one["uri"] for one in document["codeSystem"]}
    assert {"http://hl7.org/fhir/administrative-gender", "http://unitsofmeasure.org", "urn:ietf:bcp:47"} <= named
    assert "system-version" in {one["name"] for one in document["expansion"]["parameter"]}
    statement = (await client.get("/metadata")).json()
    assert statement["resourceType"] == "CapabilityStatement"
    offered = {r["type"]: [o["name"] for o in r.get("operation", ())] for r in statement["rest"][0]["resource"]}
    assert {"expand", "validate-code"} <= set(offered["ValueSet"])
    assert {"lookup", "validate-code", "subsumes"} <= set(offered["CodeSystem"])
    assert "translate" in offered["ConceptMap"]


def observation(identifier: str, code: str, system: str = SIMPLE["url"]) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identifier, "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
    }  # fmt: skip


async def test_search_by_value_sets_and_hierarchies(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    await put(client, SIMPLE)
    await put(client, value_set(
        {"system": SIMPLE["url"], "filter": [{"property": "concept", "op": "is-a", "value": "b"}]},
        url="http://example.no/breaks", id="breaks"))  # fmt: skip
    await store.write_many(gate, [observation("o1", "a"), observation("o2", "b11"), observation("o3", "b2")])

    async def found(**asked: str) -> set[str]:
        response = await client.get("/Observation", params={name.replace("_", ":"): v for name, v in asked.items()})
        assert response.status_code == 200, response.text
        return {entry["resource"]["id"] for entry in response.json().get("entry", [])}

    assert await found(code_in="http://example.no/breaks") == {"o2", "o3"}
    assert await found(code_in="ValueSet/breaks") == {"o2", "o3"}
    assert await found(**{"code_not-in": "http://example.no/breaks"}) == {"o1"}
    assert await found(code_below=f"{SIMPLE['url']}|b1") == {"o2"}
    assert await found(code_above=f"{SIMPLE['url']}|b2") == {"o3"}
    for asked in ({"code:in": "http://example.no/nowhere"}, {"code:below": "http://example.no/nowhere|x"}):
        assert (await client.get("/Observation", params=asked)).status_code == 400


async def test_the_code_systems_of_the_demo(client: httpx.AsyncClient, store: Store, gate: Any) -> None:
    systems = code_systems()
    assert [faults_of(one) for one in systems] == [[] for _ in systems]
    assert len({(one["resourceType"], one["id"]) for one in systems}) == len(systems)
    await store.write_many(gate, systems)
    for system, code, display in (
        ("urn:oid:2.16.578.1.12.4.1.1.9603", "NORU", None), ("urn:oid:2.16.578.1.12.4.1.1.9602", "I02-2", "Brev"),
        ("http://ehelse.no/fhir/CodeSystem/no-kodeverk-8116", "FNR", "Fødselsnummer"),
        ("https://varde.no/fhir/CodeSystem/letter-state", "sent", "Sendt"),
        ("https://varde.no/fhir/CodeSystem/staff-role", "nurse", "Sykepleier"),
    ):  # fmt: skip
        response = await client.get("/CodeSystem/$lookup", params={"system": system, "code": code})
        assert response.status_code == 200, (system, response.text)
        said = {one["name"]: one.get("valueString") for one in response.json()["parameter"]}
        assert display is None or said["display"] == display


async def test_what_was_stored_before_the_tables_is_taken_apart(client: httpx.AsyncClient, store: Store) -> None:
    from varde.fhir.terminology.projection import fill_missing

    await put(client, SIMPLE)
    async with store.transaction() as connection:
        for table in ("resource", "name", "concept", "word", "ancestor", "property"):
            await connection.execute(f"delete from terminology_{table}")
    asked = {"system": SIMPLE["url"], "code": "a"}
    assert (await client.get("/CodeSystem/$lookup", params=asked)).status_code == 404
    async with store.transaction() as connection:
        assert await fill_missing(connection) == 1
        assert await fill_missing(connection) == 0
    assert (await client.get("/CodeSystem/$lookup", params=asked)).status_code == 200
