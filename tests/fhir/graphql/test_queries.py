"""$graphql as hl7.org/fhir/R4/graphql.html has it: reads, searches, references both ways, directives, by HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.fhir.gates import HidingGate, OpenGate
from varde.db import Database
from varde.fhir.gate import Gate
from varde.fhir.graphql import costs
from varde.fhir.graphql.operation import GRAPHQL
from varde.fhir.http.rest import FhirApplication
from varde.fhir.keys import resource_key
from varde.fhir.store import Store

Json = dict[str, Any]


def api(store: Store, gate: Gate) -> httpx.AsyncClient:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(store, authenticate, "http://test/fhir", dict, dict, [GRAPHQL])
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)


RESOURCES: list[Json] = [
    {"resourceType": "Organization", "id": "org", "name": "Sykehuset"},
    {
        "resourceType": "Patient", "id": "kari", "active": True, "birthDate": "1980-05-17",
        "name": [
            {"use": "official", "family": "Nordmann", "given": ["Kari", "Anne"]},
            {"use": "nickname", "given": ["Kaia"]},
        ],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}],
        "managingOrganization": {"reference": "Organization/org"},
        "generalPractitioner": [{"reference": "Organization/gone"}, {"reference": "http://elsewhere.example/Practitioner/x"}],
    },
    {"resourceType": "Patient", "id": "ola", "name": [{"family": "Hansen", "given": ["Ola"]}]},
    *(
        {
            "resourceType": "Observation", "id": f"o{n}", "status": "final" if n % 2 else "preliminary",
            "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}], "text": f"Hb {n}"},
            "subject": {"reference": f"Patient/{'kari' if n < 6 else 'ola'}"},
            "effectiveDateTime": f"2026-11-{n + 1:02}",
            "valueQuantity": {"value": 1.5, "unit": "g/dL"},
        }
        for n in range(9)
    ),
    {
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/kari"}, "medicationReference": {"reference": "#med"},
        "contained": [{"resourceType": "Medication", "id": "med", "code": {"text": "Paracet"}}],
    },
    {
        "resourceType": "MedicationRequest", "id": "m2", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/kari"}, "medicationReference": {"reference": "#med"},
        "contained": [{"resourceType": "Medication", "id": "med", "code": {"text": "Ibux"}}],
    },
]  # fmt: skip


@pytest.fixture
async def client(store: Store, gate: OpenGate) -> AsyncIterator[httpx.AsyncClient]:
    await store.write_many(gate, RESOURCES)
    async with api(store, gate) as made:
        yield made


async def ask(client: httpx.AsyncClient, query: str, path: str = "/$graphql", **variables: Any) -> Any:
    answer = await client.post(path, json={"query": query, "variables": variables})
    body = answer.json()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "errors" not in body and answer.status_code == 200, body
    return body["data"]


async def errors(client: httpx.AsyncClient, query: str, path: str = "/$graphql", **variables: Any) -> list[str]:
    answer = await client.post(path, json={"query": query, "variables": variables})
    return [one["message"] for one in answer.json()["errors"]]


async def test_one_resource(client: httpx.AsyncClient) -> None:
    assert await ask(client, '{Patient(id: "kari") {resourceType id active birthDate name {use family given}}}') == {
        "Patient": {
            "resourceType": "Patient", "id": "kari", "active": True, "birthDate": "1980-05-17",
            "name": [
                {"use": "official", "family": "Nordmann", "given": ["Kari", "Anne"]},
                {"use": "nickname", "family": None, "given": ["Kaia"]},
            ],
        }
    }  # fmt: skip


async def test_the_ways_to_ask(client: httpx.AsyncClient) -> None:
    query = "query One($id: ID!) {Patient(id: $id) {id}}"
    expected = {"data": {"Patient": {"id": "kari"}}}
    variables = json.dumps({"id": "kari"})
    get = await client.get("/$graphql", params={"query": query, "variables": variables, "operationName": "One"})
    assert get.json() == expected
    plain = await client.post(
        "/$graphql", content='{Patient(id: "kari") {id}}', headers={"content-type": "application/graphql"}
    )
    assert plain.json() == expected
    parameter = {"name": "query", "valueString": '{Patient(id: "kari") {id}}'}
    wrapped = await client.post("/$graphql", json={"resourceType": "Parameters", "parameter": [parameter]})
    assert wrapped.json() == expected
    for body in ({}, {"query": ""}, {"query": 5}, {"query": "{x}", "variables": "["}, {"query": "{x}", "variables": 5}):
        assert (await client.post("/$graphql", json=body)).status_code == 400


async def test_lists_are_searches(client: httpx.AsyncClient) -> None:
    found = await ask(
        client, '{ObservationList(patient: "Patient/kari", status: final, _sort: "date", _count: 2) {id}}'
    )
    assert found == {"ObservationList": [{"id": "o1"}, {"id": "o3"}]}
    found = await ask(client, '{ObservationList(date: ["ge2026-11-03", "le2026-11-04"], _sort: "date") {id}}')
    assert found == {"ObservationList": [{"id": "o2"}, {"id": "o3"}]}
    assert await ask(client, '{PatientList(name: "nord") {id}}') == {"PatientList": [{"id": "kari"}]}
    assert await errors(client, '{ObservationList(nonsense: "x") {id}}')
    assert await errors(client, '{ObservationList(date: "yesterday") {id}}') == ["not a FHIR date"]


async def test_connections_have_pages(client: httpx.AsyncClient) -> None:
    query = """query Page($cursor: SearchValue) {
        ObservationConnection(patient: "Patient/kari", _sort: "date", _count: 4, _total: accurate, _cursor: [$cursor]) {
            count pagesize next edges {mode resource {id}}}}"""
    seen, cursor = [], None
    for _ in range(2):
        page = (await ask(client, query, cursor=cursor))["ObservationConnection"]
        assert (page["count"], page["pagesize"]) == (6, 4)
        seen += [edge["resource"]["id"] for edge in page["edges"]]
        cursor = page["next"]
    assert seen == [f"o{n}" for n in range(6)]
    assert cursor is None


async def test_references_are_followed(client: httpx.AsyncClient) -> None:
    found = await ask(client, """{Patient(id: "kari") {
        managingOrganization {reference resource {id ... on Organization {name}}}
        generalPractitioner {resource(optional: true) {id}}}}""")  # fmt: skip
    assert found["Patient"]["managingOrganization"]["resource"] == {"id": "org", "name": "Sykehuset"}
    assert found["Patient"]["generalPractitioner"] == [{"resource": None}, {"resource": None}]
    assert (
        await errors(client, '{Patient(id: "kari") {generalPractitioner {resource {id}}}}')
        == ["the resource does not exist"] * 2
    )
    typed = await ask(client, '{Patient(id: "kari") {managingOrganization {resource(type: Practitioner) {id}}}}')
    assert typed == {"Patient": {"managingOrganization": {"resource": None}}}


async def test_contained_resources_are_those_of_the_resource_they_stand_in(client: httpx.AsyncClient) -> None:
    found = await ask(client, """{MedicationRequestList(_sort: "_id") {id
        medicationReference {resource {... on Medication {code {text}}}}}}""")  # fmt: skip
    assert [
        (one["id"], one["medicationReference"]["resource"]["code"]["text"]) for one in found["MedicationRequestList"]
    ] == [("m", "Paracet"), ("m2", "Ibux")]


async def test_what_refers_to_a_resource(client: httpx.AsyncClient) -> None:
    found = await ask(client, """{PatientList(_sort: "_id") {id
        ObservationList(_reference: subject, status: final, _count: 2) {id}
        ObservationConnection(_reference: patient, _count: 1) {edges {resource {id}}}}}""")  # fmt: skip
    assert [(p["id"], [o["id"] for o in p["ObservationList"]]) for p in found["PatientList"]] == [
        ("kari", ["o5", "o3"]), ("ola", ["o7"]),
    ]  # fmt: skip
    assert found["PatientList"][0]["ObservationConnection"]["edges"] == [{"resource": {"id": "o5"}}]
    assert await errors(client, "{PatientList {ObservationList(_reference: status) {id}}}")


async def test_on_one_resource(client: httpx.AsyncClient) -> None:
    found = await ask(
        client, "{id name {family} ObservationList(_reference: subject) {id}}", path="/Patient/kari/$graphql"
    )
    assert found["id"] == "kari" and len(found["ObservationList"]) == 6
    missing = await client.post("/Patient/nobody/$graphql", json={"query": "{id}"})
    assert (missing.status_code, missing.json()["resourceType"]) == (404, "OperationOutcome")


async def test_lists_are_narrowed(client: httpx.AsyncClient) -> None:
    query = """{Patient(id: "kari") {
        official: name(use: official) {family}
        path: name(fhirpath: "given.count() > 1") {use}
        first: name(fhirpath: "$index = 0") {use}
        second: name(_offset: 1, _count: 1) {use}
        phone: telecom(system: "phone") {value}}}"""
    found = (await ask(client, query))["Patient"]
    assert found == {
        "official": [{"family": "Nordmann"}], "path": [{"use": "official"}], "first": [{"use": "official"}],
        "second": [{"use": "nickname"}], "phone": [{"value": "1"}],
    }  # fmt: skip
    assert await errors(client, '{Patient(id: "kari") {name(fhirpath: "((") {use}}}')
    assert await errors(client, '{Patient(id: "kari") {name(fhirpath: "true) | contact.where(true") {use}}}')


async def test_directives(client: httpx.AsyncClient) -> None:
    flat = await ask(client, '{Patient(id: "kari") {id name @flatten {given family}}}')
    assert flat["Patient"] == {"id": "kari", "given": ["Kari", "Anne", "Kaia"], "family": ["Nordmann"]}
    first = await ask(client, '{Patient(id: "kari") {name @first {family}}}')
    assert first["Patient"] == {"name": {"family": "Nordmann"}}
    both = await ask(client, '{Patient(id: "kari") {name @flatten @first {given family}}}')
    assert both["Patient"] == {"given": ["Kari", "Anne"], "family": "Nordmann"}
    single = await ask(client, '{Patient(id: "kari") {name(use: official) @flatten @singleton {family}}}')
    assert single["Patient"] == {"family": "Nordmann"}
    assert await errors(client, '{Patient(id: "kari") {name @singleton {family}}}') == [
        "@singleton: 'name' has 2 values"
    ]
    sliced = await ask(client, '{Patient(id: "kari") {name @slice(fhirpath: "use") {given}}}')
    assert sliced["Patient"] == {"name.official": {"given": ["Kari", "Anne"]}, "name.nickname": {"given": ["Kaia"]}}
    indexed = await ask(client, '{Patient(id: "kari") {telecom @slice(fhirpath: "$index") {value}}}')
    assert indexed["Patient"] == {"telecom.0": {"value": "1"}, "telecom.1": {"value": "a@b"}}
    deep = await ask(client, """{Patient(id: "kari") {
        managingOrganization @flatten {resource @flatten {... on Organization {organisation: name}}}}}""")  # fmt: skip
    assert deep["Patient"] == {"organisation": "Sykehuset"}


async def test_fragments_variables_skip_and_include(client: httpx.AsyncClient) -> None:
    query = """query Q($id: ID!, $names: Boolean!) {Patient(id: $id) {...Who name @include(if: $names) {family}
        birthDate @skip(if: $names)}} fragment Who on Patient {id active}"""
    assert (await ask(client, query, id="kari", names=False))["Patient"] == {
        "id": "kari", "active": True, "birthDate": "1980-05-17",
    }  # fmt: skip
    assert "name" in (await ask(client, query, id="kari", names=True))["Patient"]


async def test_numbers_keep_their_text(client: httpx.AsyncClient, store: Store, gate: OpenGate) -> None:
    body = (
        b'{"resourceType":"Observation","id":"n","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10}}'
    )
    await store.update(gate, "Observation", "n", body)
    answer = await client.post("/$graphql", json={"query": '{Observation(id: "n") {valueQuantity {value}}}'})
    assert b'"value":1.10}' in answer.content


async def test_extensions_of_primitives(client: httpx.AsyncClient, store: Store, gate: OpenGate) -> None:
    await store.update(gate, "Patient", "x", {
        "resourceType": "Patient", "id": "x", "birthDate": "1980-01-01",
        "_birthDate": {"extension": [{"url": "http://example.org/time", "valueString": "morning"}]}})  # fmt: skip
    found = await ask(client, '{Patient(id: "x") {birthDate _birthDate {extension {url valueString}}}}')
    assert found["Patient"]["_birthDate"]["extension"] == [{"url": "http://example.org/time", "valueString": "morning"}]


async def test_it_tells_of_itself(client: httpx.AsyncClient) -> None:
    found = await ask(client, '{__schema {queryType {name} directives {name}} __type(name: "Patient") {fields {name}}}')
    assert {"flatten", "first", "singleton", "slice"} <= {one["name"] for one in found["__schema"]["directives"]}
    names = {one["name"] for one in found["__type"]["fields"]}
    assert {"name", "_birthDate", "ObservationList", "ObservationConnection"} <= names


async def statements(database: Database, store: Store, gate: Gate, query: str) -> int:
    """How many statements a query costs."""
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    async with api(store, gate) as client:
        await ask(client, query)
        held = list(database._idle)
        for connection in held:
            connection.add_query_logger(note)
        await ask(client, query)
        for connection in held:
            connection.remove_query_logger(note)
    return count


async def test_a_statement_a_level_however_many_there_are(store: Store, gate: OpenGate, database: Database) -> None:
    for number in (3, 30):
        await store.write_many(gate, [
            {"resourceType": "Organization", "id": "org", "name": "x"},
            *({"resourceType": "Practitioner", "id": f"d{n}"} for n in range(number)),
            *({"resourceType": "Patient", "id": f"p{n}", "managingOrganization": {"reference": "Organization/org"},
               "generalPractitioner": [{"reference": f"Practitioner/d{n}"}]} for n in range(number)),
            *({"resourceType": "Observation", "id": f"p{n}-{m}", "status": "final", "code": {"text": "x"},
               "subject": {"reference": f"Patient/p{n}"}, "performer": [{"reference": f"Practitioner/d{m}"}]}
              for n in range(number) for m in range(3)),
        ])  # fmt: skip
        query = """{PatientList(_count: 100) {id
            managingOrganization {resource {id}} generalPractitioner {resource {id}}
            ObservationList(_reference: subject) {id performer {resource {id}}}}}"""
        assert await statements(database, store, gate, query) <= 4, number


async def test_hidden_and_absent_are_alike(store: Store, database: Database) -> None:
    everything = OpenGate()
    await store.write_many(everything, RESOURCES)
    hiding = HidingGate([resource_key("Patient", "kari")])
    async with api(store, hiding) as client:
        hidden = await client.post("/$graphql", json={"query": '{Patient(id: "kari") {id}}'})
        absent = await client.post("/$graphql", json={"query": '{Patient(id: "nobod") {id}}'})
        assert hidden.status_code == absent.status_code == 200
        assert hidden.content == absent.content
        one = await client.post("/Patient/kari/$graphql", json={"query": "{id}"})
        other = await client.post("/Patient/nobody/$graphql", json={"query": "{id}"})
        assert (one.status_code, one.content) == (other.status_code, other.content)
        lists = await ask(
            client, "{ObservationList(_total: accurate) {id} ObservationConnection(_total: accurate) {count}}"
        )
        assert {one["id"] for one in lists["ObservationList"]} == {"o6", "o7", "o8"}
        assert lists["ObservationConnection"]["count"] == 3
        found = await ask(client, "{OrganizationList {id PatientList(_reference: organization) {id}}}")
        assert found == {"OrganizationList": [{"id": "org", "PatientList": []}]}


async def test_what_is_shown_is_in_the_log(client: httpx.AsyncClient, gate: OpenGate) -> None:
    gate.log.clear()
    await ask(
        client, '{Patient(id: "kari") {managingOrganization {resource {id}} ObservationList(_reference: subject) {id}}}'
    )
    told = {(one.resource_type, len(one.resource_ids)) for one in gate.log}
    assert told == {("Patient", 1), ("Organization", 1), ("Observation", 6)}


def nested(levels: int) -> str:
    """Searches within searches."""
    inner = "{id}"
    for _ in range(levels):
        inner = "{ObservationList(_reference: subject) {subject {resource {... on Patient " + inner + "}}}}"
    return "{PatientList " + inner + "}"


def doubling(times: int) -> str:
    """Fragments that spread one another twice."""
    fragments = " ".join(f"fragment F{n} on Patient {{...F{n + 1} ...F{n + 1}}}" for n in range(times))
    return f"{{PatientList {{...F0}}}} {fragments} fragment F{times} on Patient {{id active birthDate}}"


@pytest.mark.parametrize(
    "query",
    [
        '{Patient(id: "kari") ' + "{link {other " * 30 + "{id}" + "}}" * 30 + "}",
        "{" + " ".join(f"a{n}: PatientList {{id}}" for n in range(costs.MAXIMUM_LISTS + 1)) + "}",
        doubling(14),
        "query Q {PatientList {...A}} fragment A on Patient {...A}",
        "{" * 5000,
        nested(costs.MAXIMUM_LEVELS),
        "mutation {x}",
        "subscription {x}",
        "{nonsense}",
        "{Patient {id}}",
        "query A {__typename} query B {__typename}",
        "\x00",
        "[",
    ],
    ids=lambda query: query[:30],
)
async def test_too_much_and_nonsense_are_refused(client: httpx.AsyncClient, gate: OpenGate, query: str) -> None:
    gate.log.clear()
    answer = await client.post("/$graphql", json={"query": query})
    assert answer.status_code == 400
    assert answer.json().get("errors") or answer.json()["resourceType"] == "OperationOutcome"
    assert gate.log == [], "nothing was read"
