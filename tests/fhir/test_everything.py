"""`Patient/$everything` and `Patient/$summary`: whole, paged, with what is referred to, and nothing of anybody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.fhir.gates import HidingGate, OpenGate, VeiledGate
from varde.fhir.everything import EVERYTHING
from varde.fhir.gate import Gate, Interaction
from varde.fhir.http.rest import FhirApplication
from varde.fhir.ips.operation import SUMMARY
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.fhir.validate import faults_of

LOINC, SCT = "http://loinc.org", "http://snomed.info/sct"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
GUIDE = Path(__file__).parent / "ips" / "composition-uv-ips.json"
"""The differential of StructureDefinition Composition-uv-ips of hl7.fhir.uv.ips 2.0.0, its sections."""


def concept(system: str, code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def observation(identifier: str, of: str, category: str, code: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identifier, "status": "final", "code": concept(LOINC, code, f"<{code}>"),
        "category": [concept(CATEGORY, category, category)], "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": day, "valueQuantity": {"value": 5.5, "unit": "g/dL"},
        "performer": [{"reference": "PractitionerRole/role"}], **more,
    }  # fmt: skip


def status(name: str, code: str) -> dict[str, Any]:
    return concept(f"http://terminology.hl7.org/CodeSystem/{name}", code, code)


A = {"reference": "Patient/a"}
WORLD: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "a", "name": [{"family": "Å", "given": ["Kari"]}], "birthDate": "1980-01-01",
     "identifier": [{"system": "urn:p", "value": "1"}], "managingOrganization": {"reference": "Organization/hospital"}},
    {"resourceType": "Patient", "id": "b", "name": [{"family": "B"}]},
    {"resourceType": "Organization", "id": "hospital", "name": "Sykehuset"},
    {"resourceType": "Organization", "id": "other", "name": "Ingen nevner denne"},
    {"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Lege"}]},
    {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/doctor"},
     "organization": {"reference": "Organization/hospital"}},
    {"resourceType": "Medication", "id": "drug", "code": concept("http://www.whocc.no/atc", "C09AA02", "Enalapril")},
    observation("hb", "a", "laboratory", "718-7", "2026-01-01"),
    observation("hb-old", "a", "laboratory", "718-7", "2020-01-01"),
    observation("bp", "a", "vital-signs", "85354-9", "2026-02-01"),
    observation("theirs", "b", "laboratory", "718-7", "2026-01-01"),
    {"resourceType": "Condition", "id": "ill", "subject": A, "code": concept(SCT, "38341003", "Hypertensjon & <b>"),
     "clinicalStatus": status("condition-clinical", "active"), "onsetDateTime": "2019-05-01"},
    {"resourceType": "Condition", "id": "was", "subject": A, "code": concept(SCT, "1", "Brukket arm"),
     "clinicalStatus": status("condition-clinical", "resolved")},
    {"resourceType": "Condition", "id": "wrong", "subject": A, "code": concept(SCT, "2", "Feil"),
     "verificationStatus": status("condition-ver-status", "entered-in-error")},
    {"resourceType": "MedicationRequest", "id": "order", "status": "active", "intent": "order", "subject": A,
     "medicationReference": {"reference": "Medication/drug", "display": "Enalapril"}, "authoredOn": "2026-03-01",
     "dosageInstruction": [{"text": "1 tablett daglig"}], "requester": {"reference": "Practitioner/doctor"}},
    {"resourceType": "Immunization", "id": "shot", "status": "completed", "patient": A,
     "vaccineCode": concept("http://www.whocc.no/atc", "J07BB02", "Influensa"), "occurrenceDateTime": "2025-10-01"},
    {"resourceType": "Appointment", "id": "both", "status": "proposed", "participant": [
        {"actor": {"reference": "Patient/b"}, "status": "accepted"}, {"actor": A, "status": "accepted"}]},
]  # fmt: skip
OF_A = {
    "Patient/a", "Observation/hb", "Observation/hb-old", "Observation/bp", "Condition/ill", "Condition/was",
    "Condition/wrong", "MedicationRequest/order", "Immunization/shot", "Appointment/both",
}  # fmt: skip
BESIDE = {"Organization/hospital", "Practitioner/doctor", "PractitionerRole/role", "Medication/drug"}


@asynccontextmanager
async def face(store: Store, gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(store, authenticate, "http://test/fhir", dict, dict, [EVERYTHING, SUMMARY])
    transport = httpx.ASGITransport(application, root_path="/fhir")  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def world(store: Store) -> Store:
    await store.write_many(OpenGate(), WORLD)
    return store


def parts(bundle: dict[str, Any]) -> tuple[list[str], list[str]]:
    found: dict[str, list[str]] = {"match": [], "include": []}
    for entry in bundle.get("entry", ()):
        resource = entry["resource"]
        assert entry["fullUrl"] == f"http://test/fhir/{resource['resourceType']}/{resource['id']}"
        found[entry["search"]["mode"]].append(f"{resource['resourceType']}/{resource['id']}")
    return found["match"], found["include"]


async def every_page(client: httpx.AsyncClient, url: str) -> tuple[list[str], set[str], int]:
    matches, included, pages = [], set(), 0
    following: str | None = url
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        some, others = parts(answer.json())
        matches += some
        included |= set(others)
        pages += 1
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        following = links.get("next")
    return matches, included, pages


async def test_everything_of_one(world: Store) -> None:
    gate = OpenGate()
    async with face(world, gate) as client:
        matches, included, pages = await every_page(client, "/fhir/Patient/a/$everything")
        assert set(matches) == OF_A and matches[0] == "Patient/a" and included == BESIDE and pages == 1
        assert set(gate.log[-1].resource_ids) == OF_A | BESIDE
        for count in (1, 2, 3, 9, 10):
            paged, _, pages = await every_page(client, f"/fhir/Patient/a/$everything?_count={count}")
            assert paged == matches and pages == -(-len(OF_A) // count)
        some, others, _ = await every_page(client, "/fhir/Patient/a/$everything?_type=Patient,Observation,Organization")
        assert set(some) == {"Patient/a", "Observation/hb", "Observation/hb-old", "Observation/bp"}
        assert others == {"Organization/hospital"}
        recent, _, _ = await every_page(client, "/fhir/Patient/a/$everything?start=2026-01-01&end=2026-02-28")
        # What has no date is in it; what has another is not.
        assert set(recent) == {"Patient/a", "Observation/hb", "Observation/bp", "Appointment/both", "Condition/was",
                               "Condition/wrong"}  # fmt: skip
        body = {"resourceType": "Parameters", "parameter": [{"name": "_since", "valueInstant": "2030-01-01T00:00:00Z"}]}
        none = await client.post("/fhir/Patient/a/$everything", json=body)
        assert "entry" not in none.json()
        for wrong in ("_count=0", "_count=x", "_type=Nothing", "start=never", "_page=x", "other=1"):
            assert (await client.get(f"/fhir/Patient/a/$everything?{wrong}")).status_code == 400, wrong


async def test_everything_of_all(world: Store) -> None:
    async with face(world, OpenGate()) as client:
        whole, _, _ = await every_page(client, "/fhir/Patient/$everything")
        assert set(whole) == OF_A | {"Patient/b", "Observation/theirs"}
        for count in (1, 3, 4):
            paged, _, _ = await every_page(client, f"/fhir/Patient/$everything?_count={count}")
            assert paged == whole


@pytest.mark.parametrize("operation", ["$everything", "$summary"])
async def test_nothing_that_is_hidden(world: Store, operation: str) -> None:
    hidden = ["Patient/b", "Organization/hospital", "Observation/hb"]
    veiled = VeiledGate([resource_key(*one.split("/")) for one in hidden])
    async with face(world, veiled) as client:
        answer = await client.get(f"/fhir/Patient/a/{operation}")
        assert answer.status_code == 200
        found = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json()["entry"]}
        assert not found & set(hidden)
        assert (await client.get(f"/fhir/Patient/b/{operation}")).status_code == 404
    hiding = HidingGate([resource_key("Patient", "a")])
    async with face(world, hiding) as client:
        assert (await client.get(f"/fhir/Patient/a/{operation}")).status_code == 404
        text = (await client.get("/fhir/Patient/$everything")).text
        assert "Patient/a" not in text.replace('Patient/a"},"status":"accepted', "") and "Hypertensjon" not in text
        by = await client.post("/fhir/Patient/$summary", json=identifier("urn:p|1"))
        assert by.status_code == 404


def identifier(text: str) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "identifier", "valueString": text}]}


async def test_a_summary_is_an_ips_document(world: Store) -> None:
    gate = OpenGate()
    async with face(world, gate) as client:
        answer = await client.get("/fhir/Patient/a/$summary")
        bundle = answer.json()
        assert bundle["type"] == "document" and bundle["identifier"]["value"] and bundle["timestamp"]
        assert faults_of(bundle) == []
        for entry in bundle["entry"]:
            assert faults_of(entry["resource"]) == [], entry["fullUrl"]
        composition = bundle["entry"][0]["resource"]
        assert bundle["entry"][1]["resource"]["id"] == "a"
        urls = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(urls) == len(set(urls)) and f"http://test/fhir/Composition/{composition['id']}" == urls[0]
        sections = {s["code"]["coding"][0]["code"]: s for s in composition["section"]}
        named = {code: [e["reference"] for e in s.get("entry", ())] for code, s in sections.items()}
        assert named == {
            "11450-4": ["Condition/ill"], "48765-2": [], "10160-0": ["MedicationRequest/order"],
            "11369-6": ["Immunization/shot"], "30954-2": ["Observation/hb"], "8716-3": ["Observation/bp"],
            "11348-0": ["Condition/was"],
        }  # fmt: skip
        assert {f"http://test/fhir/{one}" for several in named.values() for one in several} <= set(urls)
        assert {f"http://test/fhir/{one}" for one in BESIDE} <= set(urls)
        for reference in (composition["author"][0], composition["custodian"], composition["subject"]):
            assert f"http://test/fhir/{reference['reference']}" in urls
        assert sections["48765-2"]["emptyReason"]["coding"][0]["code"] == "unavailable"
        text = sections["11450-4"]["text"]["div"]
        assert (
            "Hypertensjon &amp; &lt;b&gt;" in text and "Hva" in text and sections["11450-4"]["title"].startswith("Prob")
        )
        assert set(gate.log[-1].resource_ids) >= {"Patient/a", "Condition/ill", "Medication/drug"}
        assert (await client.get("/fhir/Patient/a/$summary")).content == answer.content
        english = (await client.get("/fhir/Patient/a/$summary", headers={"accept-language": "en-GB, nb;q=0.5"})).json()
        assert english["entry"][0]["resource"]["title"] == "Patient summary"
        same = await client.post("/fhir/Patient/$summary", json=identifier("urn:p|1"))
        assert same.content == answer.content
        assert (await client.get("/fhir/Patient/$summary?identifier=urn:p|9")).status_code == 404
        assert (await client.get("/fhir/Patient/$summary")).status_code == 400
        assert (await client.get("/fhir/Patient/a/$summary?profile=http://example.org/x")).status_code == 400


async def test_the_sections_are_those_of_the_guide(world: Store) -> None:
    """Each section against the slices of Composition-uv-ips: code, types of entries, what must be there."""
    guide = json.loads(GUIDE.read_text(encoding="utf-8"))
    slices: dict[str, dict[str, Any]] = {}
    for element in guide["differential"]["element"]:
        name, _, rest = element["id"].removeprefix("Composition.section:").partition(".")
        if not element["id"].startswith("Composition.section:"):
            continue
        found = slices.setdefault(name, {"min": 0})
        if rest == "":
            found["min"] = element.get("min", 0)
        elif rest == "code":
            found["code"] = element["patternCodeableConcept"]["coding"][0]["code"]
        elif rest == "entry" and "type" in element:
            found["types"] = {url.rpartition("/")[2] for url in element["type"][0].get("targetProfile", ())}
    by_code = {found["code"]: found for found in slices.values() if "code" in found}
    async with face(world, OpenGate()) as client:
        for patient in ("a", "b"):
            bundle = (await client.get(f"/fhir/Patient/{patient}/$summary")).json()
            sections = bundle["entry"][0]["resource"]["section"]
            codes = [section["code"]["coding"][0]["code"] for section in sections]
            assert {code for code, found in by_code.items() if found["min"]} <= set(codes) <= by_code.keys()
            assert len(codes) == len(set(codes))
            for section in sections:
                found = by_code[section["code"]["coding"][0]["code"]]
                assert section["title"] and section["text"]["div"]
                assert bool(section.get("entry")) != bool(section.get("emptyReason"))
                for entry in section.get("entry", ()):
                    assert entry["reference"].partition("/")[0] in found["types"]


async def test_types_that_are_not_open_are_told_of_as_withheld(world: Store) -> None:
    class Narrow(OpenGate):
        def allows(self, interaction: Interaction, resource_type: str) -> bool:
            return resource_type not in {"AllergyIntolerance", "Condition"}

    async with face(world, Narrow()) as client:
        bundle = (await client.get("/fhir/Patient/a/$summary")).json()
        sections = {s["code"]["coding"][0]["code"]: s for s in bundle["entry"][0]["resource"]["section"]}
        assert sections["11450-4"]["emptyReason"]["coding"][0]["code"] == "withheld" and "11348-0" not in sections
        assert "Hypertensjon" not in orjson.dumps(bundle).decode()
        matches, _, _ = await every_page(client, "/fhir/Patient/a/$everything")
        assert not {one for one in matches if one.startswith("Condition")}
