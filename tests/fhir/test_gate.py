"""What a gate hides is hidden everywhere: two stores alike but for one hidden resource give the same answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.databases import fresh_database
from tests.fhir.gates import LabelGate, OpenGate, VeiledGate
from varde.clock import SetClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.errors import FhirError, Gone, NotFound
from varde.fhir.gate import Gate
from varde.fhir.http.rest import FhirApplication
from varde.fhir.keys import resource_key
from varde.fhir.store import Store

LOINC = "http://loinc.org"


def _observation(identifier: str, patient: str, value: float, date: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identifier, "status": "final",
        "identifier": [{"system": "urn:lab", "value": identifier}],
        "code": {"coding": [{"system": LOINC, "code": "718-7"}]}, "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": date, "valueQuantity": {"value": value}, **more,
    }  # fmt: skip


SECRET: list[dict[str, Any]] = [
    # One hidden resource of each kind of tie: pointed at, pointing, in the middle of a sort, sharing an identifier.
    {
        "resourceType": "Patient", "id": "secret", "name": [{"family": "Hemmelig"}], "birthDate": "1980-01-01",
        "identifier": [{"system": "urn:p", "value": "1"}],
        "generalPractitioner": [{"reference": "Practitioner/seen"}],
    },
    _observation("hidden", "open", 5, "2026-05-05", derivedFrom=[{"reference": "Observation/a"}]),
    {"resourceType": "Practitioner", "id": "hidden", "name": [{"family": "Skjult"}]},
    {"resourceType": "Location", "id": "hidden", "position": {"latitude": 69.65, "longitude": 18.95},
     "partOf": {"reference": "Location/house"}, "name": "Hemmelig"},
    {"resourceType": "List", "id": "hidden", "status": "current", "mode": "working",
     "entry": [{"item": {"reference": "Observation/a"}}]},
    {"resourceType": "Questionnaire", "id": "hidden", "status": "active", "url": "http://q/1", "title": "Hemmelig"},
    {"resourceType": "QuestionnaireResponse", "id": "hidden", "status": "completed", "questionnaire": "http://q/2"},
    {"resourceType": "ValueSet", "id": "hidden", "status": "active", "url": "http://vs/hidden",
     "compose": {"include": [{"system": LOINC, "concept": [{"code": "718-7"}]}]}},
    {"resourceType": "MedicationRequest", "id": "hidden", "status": "active", "intent": "order",
     "subject": {"reference": "Patient/open"}, "medicationReference": {"reference": "#m"},
     "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "Hemmelig", "coding": [{"code": "M"}]}}]},
]  # fmt: skip
COMMON: list[dict[str, Any]] = [
    {
        "resourceType": "Patient", "id": "open", "name": [{"family": "Åpen"}], "birthDate": "1990-01-01",
        "generalPractitioner": [{"reference": "Practitioner/hidden"}],
    },
    {"resourceType": "Practitioner", "id": "seen", "name": [{"family": "Synlig"}]},
    _observation("a", "open", 1, "2026-01-01", performer=[{"reference": "Practitioner/hidden"}],
                 hasMember=[{"reference": "Observation/hidden"}]),
    _observation("b", "open", 9, "2026-09-09"),
    _observation("c", "secret", 6, "2026-06-06"),
    {"resourceType": "Location", "id": "house", "position": {"latitude": 69.66, "longitude": 18.96}},
    {"resourceType": "Location", "id": "room", "partOf": {"reference": "Location/hidden"}},
    {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "IMP"},
     "location": [{"location": {"reference": "Location/room"}}]},
    {"resourceType": "Questionnaire", "id": "seen", "status": "active", "url": "http://q/2", "title": "Synlig"},
    {"resourceType": "QuestionnaireResponse", "id": "seen", "status": "completed", "questionnaire": "http://q/1"},
]  # fmt: skip


class World:
    """A store in a database of its own, with what a client of one gate is told by it."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self.store, self.gate = store, gate

        async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
            return self.gate

        application = FhirApplication(store, authenticate, "http://test/fhir", dict, dict)
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def say(self, method: str, url: str, **more: Any) -> tuple[int, Any]:
        headers = {"content-type": "application/fhir+json", **more.pop("headers", {})}
        answer = await self.client.request(method, url, headers=headers, **more)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "new-id", answer.text)
        # The key of the next page of a history is the store's own count of writes, hidden ones too: it is opaque.
        text = re.sub(r"_history\?([^\"]*)_page=\d+", r"_history?\1_page=", text)
        return answer.status_code, json.loads(text) if text else None


async def _world(url: str, clock: SetClock, gate: Gate, resources: list[dict[str, Any]]) -> World:
    store = Store(Database(url, connections=4), clock)
    for resource in resources:
        await store.write_many(OpenGate(), [resource])
        if resource["resourceType"] == "Observation":
            await store.write_many(OpenGate(), [{**resource, "status": "amended"}])

    return World(store, gate)


@pytest.fixture
async def twins(postgres: EmbeddedPostgres, database_url: str, clock: SetClock) -> AsyncIterator[tuple[World, World]]:
    """(the world with the hidden resources, the one where they never were)."""
    gate = VeiledGate([resource_key(s["resourceType"], s["id"]) for s in SECRET])
    with_secret = await _world(database_url, clock, gate, SECRET + COMMON)
    async with fresh_database(postgres) as url:
        without = await _world(url, clock, gate, COMMON)
        yield with_secret, without
        for world in (with_secret, without):
            await world.client.aclose()
            await world.store.database.close()


SEEN = [
    "Patient/secret",
    "Observation/hidden",
    "Patient/secret/_history",
    "Observation/hidden/_history",
    "Observation/hidden/_history/1",
    "Observation/hidden/_history/2",
    "Observation/_history",
    "Patient/_history",
    "_history",
    "_history?_count=3",
    "Observation/_history?_at=2026-11-24",
    "Patient?_total=accurate",
    "Patient?_summary=count",
    "Observation?_total=accurate",
    "Observation?_count=0",
    "Observation?_count=1",
    "Observation?_sort=date",
    "Observation?_sort=-date&_count=2",
    "Observation?_sort=value-quantity&_count=2",
    "Observation?_sort=-value-quantity&_count=2",
    "Observation?_sort=-_lastUpdated",
    "Observation?_sort=patient,_id",
    "Observation?value-quantity=gt4",
    "Observation?value-quantity=lt6&_total=accurate",
    "Observation?code=718-7",
    f"Observation?code={LOINC}|718-7&patient=open&_sort=-date",
    "Observation?patient=secret",
    "Observation?patient.family=hemmelig",
    "Observation?patient:Patient.family=hemmelig&_total=accurate",
    "Observation?subject:Patient.birthdate=1980",
    "Observation?subject.identifier=urn:p|1",
    "Observation?performer:Practitioner.family=skjult",
    "Observation?performer.family:missing=false",
    "Observation?has-member:Observation.value-quantity=5",
    "Observation?has-member.status=amended",
    "Patient?general-practitioner.family=skjult",
    "Patient?general-practitioner:Practitioner.family=synlig",
    "Patient?general-practitioner:Practitioner.active:missing=true",
    "Patient?_has:Observation:patient:value-quantity=5",
    "Patient?_has:Observation:patient:_id=hidden",
    "Observation?_has:Observation:derived-from:value-quantity=5",
    "Observation?_has:Observation:has-member:status=final",
    "Practitioner?_has:Patient:general-practitioner:birthdate=1980",
    "Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:code=718-7",
    "Observation?_include=Observation:subject",
    "Observation?_include=*",
    "Observation?_include=Observation:*",
    "Observation?_include=Observation:has-member&_include:iterate=Observation:performer",
    "Patient?_revinclude=Observation:subject",
    "Patient?_revinclude=*",
    "Practitioner?_revinclude=Patient:general-practitioner&_revinclude:iterate=Observation:patient",
    "Observation/a/_history",
    "Patient/secret/Observation",
    "Patient/secret/*",
    "Patient/open/Observation?_sort=date",
    "Patient/open/*?_count=3",
    "?_id=hidden",
    "?_type=Patient,Practitioner&_sort=_id",
    "Observation?_id=hidden,a",
    "Observation?_id:not=a",
    "Observation?identifier=urn:lab|hidden",
    "Observation?identifier:not=urn:lab|hidden",
    "Observation?code-value-quantity=718-7$gt4",
    "Patient?family:contains=e",
    "Patient?birthdate=lt1985",
    "Observation?derived-from=Observation/a",
    "Observation?subject:missing=true",
    # Places, lists, words, filters, hierarchies, canonicals, value sets, contained resources, several types.
    "Location?near=69.65|18.95|10|km",
    "Location?near=69.65|18.95|10|km&_total=accurate&_count=1",
    "Encounter?location:below=Location/house",
    "Encounter?location:below=house&_total=accurate",
    "Location?partof:above=Location/room",
    "Location?partof:below=Location/house",
    "Encounter?location.partof=house",
    "Observation?_list=hidden",
    "?_list=hidden",
    "Observation?_filter=_list eq hidden",
    "Observation?_text=hemmelig",
    "Patient?_content=hemmelig",
    "Location?_content=hemmelig",
    "?_content=hemmelig",
    "?_content=hemmelig&_count=0",
    "Observation?_filter=subject.family eq hemmelig",
    "Observation?_filter=not (subject:Patient.family eq hemmelig)",
    "Patient?_filter=_has:Observation:patient:value-quantity eq 5",
    "Observation?_filter=value-quantity gt 4",
    "Patient?_filter=family co e or birthdate lt 1985",
    "Observation?_filter=subject[family co hem].birthdate lt 1985",
    "Observation?_filter=code in http://vs/hidden",
    "Observation?code:in=http://vs/hidden",
    "Observation?code:not-in=http://vs/hidden",
    "QuestionnaireResponse?questionnaire.title=hemmelig",
    "QuestionnaireResponse?questionnaire.title:missing=false",
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=hidden",
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed",
    "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire",
    "Questionnaire?_revinclude=*",
    "Questionnaire?_revinclude=QuestionnaireResponse:questionnaire",
    "QuestionnaireResponse?_include=*",
    "MedicationRequest?medication.code=M",
    "MedicationRequest?medication:Medication.code:text=hemmelig",
    "Medication?_contained=true",
    "Medication?code=M&_contained=both&_containedType=contained",
    "Medication?_contained=true&_summary=count",
    "Medication?_contained=true&_total=accurate&_count=1",
    "?_type=Patient,Practitioner&family=skjult,hemmelig,synlig",
    "?_type=Patient,Practitioner&_total=accurate&_count=1",
    "Observation?_sort=subject,_id",
    "Observation?_sort=-performer&_count=2",
    "Patient?_sort=general-practitioner",
    "Patient?age=ge40",
    "Patient?_id:missing=false&_count=1",
    "Location?_has:Encounter:location:status=finished",
    "Location?_include:iterate=Location:partof&_include=Location:partof",
    "Encounter?_include=Encounter:location&_include:iterate=Location:partof",
    "Location?_id=house&_revinclude:iterate=Location:partof",
]


async def test_reads_and_searches_tell_nothing(twins: tuple[World, World]) -> None:
    hidden, never = twins
    for url in SEEN:
        assert await hidden.say("GET", f"/{url}") == await never.say("GET", f"/{url}"), url


async def test_the_questions_would_notice(twins: tuple[World, World]) -> None:
    """With nothing hidden nearly every question tells the two worlds apart, so the test above has teeth."""
    hidden, never = twins
    hidden.gate = never.gate = OpenGate()
    alike = [url for url in SEEN if await hidden.say("GET", f"/{url}") == await never.say("GET", f"/{url}")]
    assert len(alike) <= len(SEEN) // 5, alike


def _transaction(*entries: tuple[str, str, Any, dict[str, str]]) -> bytes:
    listed = [
        {"request": {"method": method, "url": url, **more}, **({"resource": resource} if resource else {})}
        for method, url, resource, more in entries
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": listed}).encode()


PATIENT = {"resourceType": "Patient", "name": [{"family": "Ny"}]}
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
JSON_PATCH = {"content-type": "application/json-patch+json"}
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/Patient/secret", {"json": {**PATIENT, "id": "secret"}}),
    ("PUT", "/Patient/secret", {"json": {**PATIENT, "id": "secret"}, "headers": {"if-match": 'W/"1"'}}),
    ("PUT", "/Patient/secret", {"json": {**PATIENT, "id": "secret"}, "headers": {"if-match": 'W/"7"'}}),
    ("PUT", "/Patient/secret", {"json": {**PATIENT, "id": "secret", "gender": "no such"}}),
    ("PUT", "/Patient/secret", {"content": b"{"}),
    ("DELETE", "/Patient/secret", {}),
    ("DELETE", "/Patient/secret", {"headers": {"if-match": 'W/"1"'}}),
    ("PATCH", "/Patient/secret", {"content": b'[{"op":"remove","path":"/name"}]', "headers": JSON_PATCH}),
    ("PATCH", "/Patient/secret", {"content": b'[{"op":"test","path":"/name","value":1}]', "headers": JSON_PATCH}),
    ("PATCH", "/Observation?identifier=urn:lab|hidden", {"content": b"[]", "headers": JSON_PATCH}),
    ("PUT", "/Observation?identifier=urn:lab|hidden", {"json": {**OBSERVATION, "id": "hidden"}}),
    ("DELETE", "/Observation?identifier=urn:lab|hidden", {}),
    ("DELETE", "/Observation?value-quantity=5", {}),
    ("POST", "/", {"content": _transaction(("DELETE", "Patient/secret", None, {}))}),
    ("POST", "/", {"content": _transaction(("PUT", "Patient/secret", {**PATIENT, "id": "secret"}, {}))}),
    ("POST", "/", {"content": _transaction(("PUT", "Patient/secret", {**PATIENT, "id": "secret"},
                                            {"ifMatch": 'W/"1"'}))}),
    ("POST", "/", {"content": _transaction(("GET", "Patient/secret", None, {}))}),
    ("POST", "/", {"content": _transaction(("GET", "Observation?code=718-7&_sort=date", None, {}))}),
    ("POST", "/", {"content": _transaction(("POST", "Observation",
        {**OBSERVATION, "subject": {"reference": "Patient?identifier=urn:p|1"}}, {}))}),
    ("POST", "/", {"content": _transaction(("PUT", "Patient?identifier=urn:p|1", {**PATIENT, "id": "secret"}, {}))}),
    # Those that write come last.
    ("POST", "/Patient", {"json": PATIENT, "headers": {"if-none-exist": "identifier=urn:p|1"}}),
    ("PUT", "/Observation?identifier=urn:lab|hidden", {"json": OBSERVATION}),
    ("POST", "/", {"content": _transaction(("POST", "Patient", PATIENT, {"ifNoneExist": "identifier=urn:p|1"}))}),
    ("POST", "/", {"content": _transaction(("PUT", "Patient?identifier=urn:p|1", PATIENT, {}))}),
    ("DELETE", "/Observation?value-quantity=lt6", {}),
    ("POST", "/Observation/_search", {"content": "value-quantity=gt4&_total=accurate",
                                      "headers": {"content-type": "application/x-www-form-urlencoded"}}),
]  # fmt: skip


async def test_writes_tell_nothing_and_change_nothing(twins: tuple[World, World]) -> None:
    hidden, never = twins
    before = await _everything(hidden)
    for method, url, more in WRITES:
        ours, theirs = await hidden.say(method, url, **more), await never.say(method, url, **more)
        assert ours == theirs, (method, url, more)
        assert ours[0] < 500
    assert await _everything(hidden) == before


async def _everything(world: World) -> list[tuple[str, int]]:
    async with world.store.database.connection() as connection:
        rows = await connection.fetch(
            "select type, id, version from resource where rid = any($1::bigint[])",
            [resource_key(s["resourceType"], s["id"]) for s in SECRET],
        )
    return sorted((row["id"], row["version"]) for row in rows)


async def test_denied_is_logged_and_free_ids_are_told_only_to_who_sees_all(store: Store, clock: SetClock) -> None:
    secret = (await store.create(OpenGate(), {**PATIENT})).stored
    gate = VeiledGate([secret.rid])
    for identifier in (secret.id, "free"):
        with pytest.raises(NotFound):
            await store.update(gate, "Patient", identifier, {**PATIENT, "id": identifier}, upsert=False)
        with pytest.raises(NotFound):
            await store.delete(gate, "Patient", identifier, upsert=False)
    assert [d.allowed for d in gate.log] == [False] * 4
    assert gate.log[0].patients == [secret.rid] and gate.log[2].patients == []
    assert (await store.update(OpenGate(), "Patient", "free", {**PATIENT, "id": "free"})).created


async def test_what_became_restricted_hides_its_former_versions(store: Store, clock: SetClock) -> None:
    label = {"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "NORN_KJ"}
    stored = (await store.create(OpenGate(), PATIENT)).stored
    clock.advance(timedelta(minutes=1))
    restricted = {**PATIENT, "id": stored.id, "meta": {"security": [label]}}
    await store.update(OpenGate(), "Patient", stored.id, restricted)
    gate = LabelGate("urn:oid:2.16.578.1.12.4.1.1.9603|NORN_KJ")
    hidden: list[FhirError] = []
    for call in (
        store.read(gate, "Patient", stored.id), store.vread(gate, "Patient", stored.id, 1),
        store.vread(gate, "Patient", stored.id, 2), store.history(gate, "Patient", stored.id),
    ):  # fmt: skip
        with pytest.raises(NotFound) as caught:
            await call
        hidden.append(caught.value)
    assert (await store.history(gate, "Patient")).entries == []
    # Deleting does not lift it: "was deleted" is told only to those who could read it.
    await store.delete(OpenGate(), "Patient", stored.id)
    with pytest.raises(NotFound):
        await store.read(gate, "Patient", stored.id)
    with pytest.raises(NotFound):
        await store.history(gate, "Patient", stored.id)
    with pytest.raises(Gone):
        await store.read(OpenGate(), "Patient", stored.id)
