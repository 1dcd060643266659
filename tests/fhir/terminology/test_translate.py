"""`$translate`: by maps of the specification, the store and the request, forwards and backwards."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fhir.terminology.conftest import parameters, put, said, value_set

A, B, C = "http://example.no/a", "http://example.no/b", "http://example.no/c"
MAP: dict[str, Any] = {
    "resourceType": "ConceptMap", "id": "ab", "url": "http://example.no/ab", "status": "active",
    "sourceUri": "http://example.no/vs-a", "targetUri": "http://example.no/vs-b",
    "group": [
        {"source": A, "target": B, "unmapped": {"mode": "provided"}, "element": [
            {"code": "1", "display": "En", "target": [{"code": "x", "display": "Eks", "equivalence": "equal"}]},
            {"code": "2", "target": [{"code": "y", "equivalence": "wider"}, {"code": "z", "equivalence": "narrower",
                                                                                    "comment": "snevrere"}]},
            {"code": "3", "target": [{"equivalence": "unmatched", "comment": "finnes ikke"}]},
            {"code": "4", "target": [
                {"code": "m", "equivalence": "equivalent",
                 "dependsOn": [{"property": "http://example.no/sex", "system": C, "value": "male"}]},
                {"code": "f", "equivalence": "equivalent",
                 "dependsOn": [{"property": "http://example.no/sex", "system": C, "value": "female"}],
                 "product": [{"property": "http://example.no/side", "system": C, "value": "left"}]}]},
            {"code": "5", "target": [{"code": "d", "equivalence": "disjoint"}]},
        ]},
        {"source": A, "target": C, "unmapped": {"mode": "fixed", "code": "other", "display": "Annet"}, "element": [
            {"code": "1", "target": [{"code": "c1", "equivalence": "relatedto"}]}]},
    ],
}  # fmt: skip


async def translate(client: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    response = await client.post("/ConceptMap/$translate", json=parameters(**given))
    return {**said(response), "matches": matches(response)}


def matches(response: httpx.Response) -> list[tuple[str, str | None]]:
    """(equivalence, code) of each match."""
    found = []
    for one in response.json()["parameter"]:
        if one["name"] == "match":
            parts = {part["name"]: part for part in one["part"]}
            found.append(
                (parts["equivalence"]["valueCode"], parts.get("concept", {}).get("valueCoding", {}).get("code"))
            )
    return found


@pytest.mark.parametrize("way", ["stored", "given"])
async def test_every_kind_of_match(client: httpx.AsyncClient, way: str) -> None:
    if way == "stored":
        await put(client, MAP)
    named: dict[str, Any] = {"url": MAP["url"]} if way == "stored" else {"conceptMap": MAP}

    async def of(code: str, **more: Any) -> list[tuple[str, str | None]]:
        answer = await translate(client, **named, system=A, code=code, **more)
        assert answer["result"] is any(e not in {"unmatched", "disjoint"} for e, _ in answer["matches"])
        return list(answer["matches"])

    assert await of("1") == [("equal", "x"), ("relatedto", "c1")]
    assert await of("1", targetsystem=B) == [("equal", "x")]
    assert await of("2", targetsystem=B) == [("wider", "y"), ("narrower", "z")]
    assert await of("3", targetsystem=B) == [("unmatched", None)]
    assert await of("4", targetsystem=B) == []
    assert await of("5", targetsystem=B) == [("disjoint", "d")]
    assert await of("nowhere", targetsystem=B) == [("equal", "nowhere")]
    assert await of("nowhere", targetsystem=C) == [("inexact", "other")]
    answer = await translate(client, **named, system=B, code="y", reverse=True)
    assert answer["matches"] == [("narrower", "2")]
    answer = await translate(client, **named, coding={"system": A, "code": "1"}, targetsystem=B)
    assert answer["match"][1]["valueCoding"] == {"system": B, "code": "x", "display": "Eks"}
    both = {"coding": [{"system": A, "code": "1"}, {"system": A, "code": "2"}]}
    answer = await translate(client, **named, codeableConcept=both, targetsystem=B)
    assert answer["matches"] == [("equal", "x"), ("wider", "y"), ("narrower", "z")]
    sex = {"name": "dependency", "part": [
        {"name": "element", "valueUri": "http://example.no/sex"},
        {"name": "concept", "valueCodeableConcept": {"coding": [{"system": C, "code": "female"}]}},
    ]}  # fmt: skip
    body = parameters(**named, system=A, code="4", targetsystem=B)
    body["parameter"].append(sex)
    response = await client.post("/ConceptMap/$translate", json=body)
    assert matches(response) == [("equivalent", "f")]
    assert "product" in response.text


async def test_maps_are_found_by_what_they_map(client: httpx.AsyncClient) -> None:
    await put(client, MAP)
    answer = await translate(client, system=A, code="1", targetsystem=B)
    assert answer["matches"] == [("equal", "x")]
    answer = await translate(client, system=A, code="1", source=MAP["sourceUri"], target=MAP["targetUri"])
    assert answer["matches"] == [("equal", "x"), ("relatedto", "c1")]
    assert (await translate(client, system=A, code="1", target="http://example.no/other"))["matches"] == []
    limited = value_set({"system": C}, url=MAP["targetUri"], id="vs-b")
    await put(client, {"resourceType": "CodeSystem", "id": "c", "url": C, "status": "active", "content": "complete",
                       "concept": [{"code": "c1", "display": "Se en"}]})  # fmt: skip
    await put(client, limited)
    answer = await translate(client, system=A, code="1", target=MAP["targetUri"])
    assert answer["matches"] == [("relatedto", "c1")]
    assert answer["match"][1]["valueCoding"]["display"] == "Se en"
    response = await client.get("/ConceptMap/ab/$translate", params={"system": A, "code": "2", "targetsystem": B})
    assert matches(response) == [("wider", "y"), ("narrower", "z")]


async def test_a_map_of_the_specification(client: httpx.AsyncClient) -> None:
    response = await client.get("/ConceptMap/$translate", params={
        "url": "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3", "code": "male",
        "system": "http://hl7.org/fhir/administrative-gender"})  # fmt: skip
    assert ("equal", "M") in matches(response) or ("equivalent", "M") in matches(response)


async def test_maps_that_send_on(client: httpx.AsyncClient) -> None:
    def sending(name: str, to: str) -> dict[str, Any]:
        element = {"code": name, "target": [{"code": name * 2, "equivalence": "equal"}]}
        group = {"source": A, "target": B, "element": [element],
                 "unmapped": {"mode": "other-map", "url": f"http://example.no/{to}"}}  # fmt: skip
        return {
            "resourceType": "ConceptMap",
            "id": name,
            "url": f"http://example.no/{name}",
            "status": "active",
            "group": [group],
        }

    await put(client, sending("p", "q"))
    await put(client, sending("q", "p"))
    assert (await translate(client, url="http://example.no/p", system=A, code="q"))["matches"] == [("equal", "qq")]
    body = parameters(url="http://example.no/p", system=A, code="none")
    assert (await client.post("/ConceptMap/$translate", json=body)).status_code == 422


async def test_wrong_questions(client: httpx.AsyncClient) -> None:
    for given, status in (
        ({"code": "1", "system": A}, 400), ({"code": "1", "url": "x"}, 400),
        ({"url": "x", "code": "1", "system": A}, 404),
        ({"url": "x"}, 400), ({"url": "x", "code": "1", "coding": {"code": "1"}}, 400),
    ):  # fmt: skip
        response = await client.post("/ConceptMap/$translate", json=parameters(**given))
        assert response.status_code == status, (given, response.text)
