"""Every form that a search may take, each by a question whose answer R4 gives in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.fhir.gates import OpenGate
from varde.fhir.errors import BadRequest
from varde.fhir.search.fulltext import index_words
from varde.fhir.search.references import set_own_base
from varde.fhir.store import Store

UCUM = "http://unitsofmeasure.org"
Find = Callable[..., Awaitable[set[str]]]


@pytest.fixture
def find(store: Store, gate: OpenGate) -> Find:
    """The ids of what a question finds."""

    async def found(kind: str | None, query: str | list[tuple[str, str]]) -> set[str]:
        page = await store.search(gate, kind, query)
        ids = [entry.inside or entry.stored.id for entry in page.entries if entry.mode == "match"]
        assert len(set(ids)) == len(ids), query
        return set(ids)

    return found


def _observation(identifier: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": identifier, "status": "final", "code": {"text": "x"}, **more}


async def _put(store: Store, gate: OpenGate, *resources: dict[str, Any]) -> None:
    await store.write_many(gate, resources)


async def test_places_near_a_point(store: Store, gate: OpenGate, find: Find) -> None:
    places = {"tromso": (69.6492, 18.9553), "breivika": (69.6813, 18.9769), "bodo": (67.2804, 14.4049),
              "fiji": (-17.0, 179.9), "samoa": (-17.0, -179.9)}  # fmt: skip
    await _put(store, gate, *(
        {"resourceType": "Location", "id": name, "position": {"latitude": lat, "longitude": lon}}
        for name, (lat, lon) in places.items()
    ), {"resourceType": "Location", "id": "nowhere"})  # fmt: skip
    assert await find("Location", "near=69.6492|18.9553|5|km") == {"tromso", "breivika"}
    assert await find("Location", "near=69.6492|18.9553") == {"tromso", "breivika"}
    assert await find("Location", "near=69.6492|18.9553|3") == {"tromso"}
    assert await find("Location", "near=69.6492|18.9553|3000|m") == {"tromso"}
    assert await find("Location", "near=69.6492|18.9553|3|[mi_i]") == {"tromso", "breivika"}
    assert await find("Location", "near=69.6492|18.9553|400|km") == {"tromso", "breivika", "bodo"}
    assert await find("Location", "near=-17|180|50|km") == {"fiji", "samoa"}  # over the date line
    assert await find("Location", "near=67.28|14.4|1|km,69.6813|18.9769|100|m") == {"bodo", "breivika"}
    assert await find("Location", "near:missing=true") == {"nowhere"}
    for wrong in ("69", "91|0", "0|0|-1", "0|0|1|kg", "a|b", "0|0|1|km|x", "nan|0"):
        with pytest.raises(BadRequest):
            await find("Location", f"near={wrong}")


async def test_amounts_in_any_unit_of_the_same_kind(store: Store, gate: OpenGate, find: Find) -> None:
    def amount(identifier: str, value: float, code: str | None, unit: str | None = None, **more: Any) -> dict[str, Any]:
        quantity = {"value": value, "code": code, "unit": unit, "system": UCUM if code else None, **more}
        return _observation(identifier, valueQuantity={k: v for k, v in quantity.items() if v is not None})

    await _put(
        store, gate, amount("mg", 5.4, "mg", "milligram"), amount("g", 0.0054, "g"), amount("ug", 5400, "ug"),
        amount("heavy", 1, "kg"), amount("warm", 37, "Cel"), amount("fahrenheit", 98.6, "[degF]"),
        amount("shown", 5.4, None, "mg"), amount("less", 6, "mg", comparator="<"), amount("iu", 5, "[IU]"),
        {**_observation("range"), "component": [{"code": {"text": "c"}, "valueQuantity":
            {"value": 140, "code": "mm[Hg]", "system": UCUM}}]},
    )  # fmt: skip
    same = {"mg", "g", "ug"}
    for asked in (f"5.4|{UCUM}|mg", f"0.0054|{UCUM}|g", f"5400|{UCUM}|ug", f"5.4e-6|{UCUM}|kg"):
        assert await find("Observation", f"value-quantity={asked}") == same, asked
        assert await find("Observation", f"value-quantity=ge{asked}") == {*same, "heavy", "less"}, asked
        assert await find("Observation", f"value-quantity=gt{asked}") == {"heavy", "less"}, asked
        assert await find("Observation", f"value-quantity=lt{asked}") == {"less"}, asked
    assert await find("Observation", "value-quantity=5.4||mg") == {"mg", "shown"}
    assert await find("Observation", "value-quantity=5.4||milligram") == {"mg"}
    assert await find("Observation", "value-quantity=5.4") == {"mg", "shown"}
    assert await find("Observation", f"value-quantity=310.15|{UCUM}|K") == {"warm", "fahrenheit"}
    assert await find("Observation", f"value-quantity=5|{UCUM}|[IU]") == {"iu"}
    assert await find("Observation", f"component-value-quantity=18.7|{UCUM}|kPa") == {"range"}
    assert await find("Observation", f"value-quantity=ap5|{UCUM}|mg") == {*same}
    # Sorted by what they are, not by what they are written as.
    page = await store.search(gate, "Observation", f"value-quantity=gt1|{UCUM}|ug&_sort=value-quantity,_id")
    assert [m.id for m in page.matches] == ["less", "g", "mg", "ug", "heavy"]


async def test_references_in_every_form(store: Store, gate: OpenGate, find: Find) -> None:
    set_own_base("http://own/fhir")
    forms = {
        "relative": {"reference": "Patient/1"}, "absolute": {"reference": "http://own/fhir/Patient/1"},
        "foreign": {"reference": "http://other/fhir/Patient/1"}, "versioned": {"reference": "Patient/1/_history/2"},
        "urn": {"reference": "urn:uuid:6f0b41f0-1111-4a8e-9a5e-0123456789ab"},
        "logical": {"type": "Patient", "identifier": {"system": "urn:p", "value": "17"}},
        "group": {"reference": "Group/1"},
    }  # fmt: skip
    await _put(store, gate, *(_observation(name, subject=subject) for name, subject in forms.items()))
    here = {"relative", "absolute", "versioned"}
    for asked in ("subject=Patient/1", "subject:Patient=1", "subject:Patient=Patient/1", "patient=1",
                  "patient=Patient/1", "subject=http://own/fhir/Patient/1"):  # fmt: skip
        assert await find("Observation", asked) == here, asked
    assert await find("Observation", "subject=1") == {*here, "group"}
    assert await find("Observation", "subject=Patient/1/_history/2") == {"versioned"}
    assert await find("Observation", "subject=http://other/fhir/Patient/1") == {"foreign"}
    assert await find("Observation", "subject=urn:uuid:6f0b41f0-1111-4a8e-9a5e-0123456789ab") == {"urn"}
    for asked in ("urn:p|17", "17", "urn:p|"):
        assert await find("Observation", [("subject:identifier", asked)]) == {"logical"}, asked
    assert await find("Observation", "subject:identifier=|17") == set()
    assert await find("Observation", "subject=Patient/1,Group/1") == {*here, "group"}
    for wrong in ("subject:exact=1", "subject:Nothing=1", "status.x=1", "subject.nothing=1"):
        with pytest.raises(BadRequest):
            await find("Observation", wrong)


async def test_canonical_references_lead_to_what_bears_the_url(store: Store, gate: OpenGate, find: Find) -> None:
    def asks(identifier: str, version: str) -> dict[str, Any]:
        return {"resourceType": "Questionnaire", "id": identifier, "status": "active", "url": "http://q/1",
                "version": version, "title": f"Nr {version}"}  # fmt: skip

    def answers(identifier: str, questionnaire: str) -> dict[str, Any]:
        return {"resourceType": "QuestionnaireResponse", "id": identifier, "status": "completed",
                "questionnaire": questionnaire}  # fmt: skip

    await _put(store, gate, asks("one", "1"), asks("two", "2"), answers("any", "http://q/1"),
               answers("first", "http://q/1|1"), answers("other", "http://q/12"))  # fmt: skip
    kind = "QuestionnaireResponse"
    assert await find(kind, "questionnaire=http://q/1") == {"any", "first"}
    assert await find(kind, [("questionnaire", "http://q/1|1")]) == {"first"}
    assert await find(kind, "questionnaire.title=nr 1") == {"any", "first"}
    assert await find(kind, "questionnaire.title=nr 2") == {"any"}
    assert await find("Questionnaire", f"_has:{kind}:questionnaire:_id=first") == {"one"}
    assert await find("Questionnaire", f"_has:{kind}:questionnaire:_id=any") == {"one", "two"}

    async def included(kind: str, query: str) -> set[str]:
        page = await store.search(gate, kind, query)
        return {entry.stored.id for entry in page.entries if entry.mode == "include"}

    assert await included(kind, f"_id=first&_include={kind}:questionnaire") == {"one"}
    assert await included(kind, f"_id=any&_include={kind}:questionnaire") == {"one", "two"}
    assert await included(kind, "_id=any&_include=*") == {"one", "two"}
    assert await included("Questionnaire", f"_id=two&_revinclude={kind}:questionnaire") == {"any"}
    assert await included("Questionnaire", "_id=one&_revinclude=*") == {"any", "first"}


async def test_parts_of_parts(store: Store, gate: OpenGate, find: Find) -> None:
    def place(identifier: str, above: str | None) -> dict[str, Any]:
        part = {"partOf": {"reference": f"Location/{above}"}} if above else {}
        return {"resourceType": "Location", "id": identifier, **part}

    places = [("house", None), ("floor", "house"), ("room", "floor"), ("bed", "room"), ("shed", None)]
    await _put(store, gate, *(place(*one) for one in places), *(
        {"resourceType": "Encounter", "id": name, "status": "finished", "class": {"code": "IMP"},
         "location": [{"location": {"reference": f"Location/{name}"}}]} for name, _ in places
    ))  # fmt: skip
    assert await find("Encounter", "location:below=Location/floor") == {"floor", "room", "bed"}
    assert await find("Encounter", "location:below=house") == {"house", "floor", "room", "bed"}
    assert await find("Encounter", "location:above=Location/room") == {"house", "floor", "room"}
    assert await find("Location", "partof:below=floor") == {"room", "bed"}
    assert await find("Location", "partof:above=floor") == {"floor", "room"}
    with pytest.raises(BadRequest):
        await find("Observation", "performer:below=Patient/1")


SNOMED = "urn:sct"
CODES = {
    "resourceType": "CodeSystem",
    "id": "sct",
    "status": "active",
    "content": "complete",
    "url": SNOMED,
    "concept": [
        {
            "code": "disease",
            "concept": [{"code": "infection", "concept": [{"code": "flu"}, {"code": "cold"}]}, {"code": "injury"}],
        }
    ],
}
VALUES = {"resourceType": "ValueSet", "id": "vs", "status": "active", "url": "http://vs/x", "version": "2", "compose": {
    "include": [{"system": SNOMED, "concept": [{"code": "flu"}, {"code": "injury"}]}, {"valueSet": ["http://vs/y"]}],
    "exclude": [{"system": SNOMED, "concept": [{"code": "injury"}]}]}}  # fmt: skip
MORE = {"resourceType": "ValueSet", "id": "more", "status": "active", "url": "http://vs/y", "compose": {
    "include": [{"system": "urn:other"}]}}  # fmt: skip
OTHER = {"resourceType": "CodeSystem", "id": "other", "status": "active", "content": "complete", "url": "urn:other",
         "concept": [{"code": "z"}]}  # fmt: skip
GENDERS = {"resourceType": "ValueSet", "id": "g", "status": "active", "url": "http://vs/g", "compose": {"include": [
    {"system": "http://hl7.org/fhir/administrative-gender", "concept": [{"code": "male"}]}]}}  # fmt: skip


async def test_codes_by_value_set_and_by_hierarchy(store: Store, gate: OpenGate, find: Find) -> None:
    def sick(code: str, system: str = SNOMED) -> dict[str, Any]:
        return {"resourceType": "Condition", "id": code, "subject": {"reference": "Patient/m"},
                "code": {"coding": [{"system": system, "code": code}]}}  # fmt: skip

    await _put(
        store,
        gate,
        CODES,
        VALUES,
        MORE,
        OTHER,
        GENDERS,
        *map(sick, ("disease", "infection", "flu", "cold", "injury")),
        sick("z", "urn:other"),
        {"resourceType": "Condition", "id": "none", "subject": {"reference": "Patient/f"}},
        {"resourceType": "Patient", "id": "m", "gender": "male"},
        {"resourceType": "Patient", "id": "f", "gender": "female"},
    )
    assert await find("Condition", [("code:below", f"{SNOMED}|infection")]) == {"infection", "flu", "cold"}
    assert await find("Condition", [("code:above", f"{SNOMED}|flu")]) == {"disease", "infection", "flu"}
    assert await find("Condition", [("code:below", f"{SNOMED}|flu,{SNOMED}|injury")]) == {"flu", "injury"}
    for url in ("http://vs/x", "http://vs/x|2", "ValueSet/vs"):
        assert await find("Condition", [("code:in", url)]) == {"flu", "z"}, url
        assert await find("Condition", [("code:not-in", url)]) == {"disease", "infection", "cold", "injury", "none"}
    assert await find("Condition", [("_filter", "code in http://vs/x")]) == {"flu", "z"}
    assert await find("Condition", [("_filter", f"code ss {SNOMED}|infection")]) == {"infection", "flu", "cold"}
    assert await find("Condition", [("_filter", f"code sb {SNOMED}|flu")]) == {"disease", "infection", "flu"}
    # A plain code belongs to the system of its binding, though no resource says so.
    assert await find("Patient", [("gender", "http://hl7.org/fhir/administrative-gender|male")]) == {"m"}
    assert await find("Patient", [("gender", "|male")]) == {"m"}
    assert await find("Patient", [("gender", "urn:x|male")]) == set()
    assert await find("Patient", "gender:in=http://vs/g") == {"m"}
    assert await find("Patient", [("_has:Condition:patient:code:in", "http://vs/x")]) == {"m"}
    assert await find("Condition", "subject:Patient.gender:in=http://vs/g") == {
        "disease", "infection", "flu", "cold", "injury", "z",
    }  # fmt: skip
    for wrong in (("code:in", "http://vs/none"), ("code:in", "http://vs/x|9"), ("code:below", "flu"),
                  ("code:below", "urn:none|flu"), ("_filter", "code in http://vs/none")):  # fmt: skip
        with pytest.raises(BadRequest):
            await find("Condition", [wrong])


SPELLINGS = ("urn:oid:2.16.578.1.12.4.1.1.8451", "http://ehelse.no/fhir/CodeSystem/no-kodeverk-8451",
             "2.16.578.1.12.4.1.1.8451")  # fmt: skip


async def test_norwegian_code_systems_in_any_spelling(store: Store, gate: OpenGate, find: Find) -> None:
    for number, system in enumerate(SPELLINGS):
        await _put(store, gate, {"resourceType": "Patient", "id": f"p{number}"}, {
            **_observation(f"o{number}", subject={"reference": f"Patient/p{number}"}, valueQuantity={"value": 5}),
            "code": {"coding": [{"system": system, "code": "A"}]}, "meta": {"tag": [{"system": system, "code": "T"}]},
        })  # fmt: skip
    every = {"o0", "o1", "o2"}
    for system in SPELLINGS:
        assert await find("Observation", [("code", f"{system}|A")]) == every
        assert await find("Observation", [("code", f"{system}|")]) == every
        assert await find("Observation", [("code:not", f"{system}|A")]) == set()
        assert await find("Observation", [("code-value-quantity", f"{system}|A$5")]) == every
        assert await find("Observation", [("_tag", f"{system}|T")]) == every
        assert await find(None, [("_tag", f"{system}|T")]) == every
        assert await find("Patient", [("_has:Observation:patient:code", f"{system}|A")]) == {"p0", "p1", "p2"}
        assert await find("Observation", [("_filter", f"code eq {system}|A")]) == every


async def test_lists(store: Store, gate: OpenGate, find: Find) -> None:
    await _put(
        store, gate, *(_observation(name, subject={"reference": f"Patient/{name}"}) for name in "abc"),
        *({"resourceType": "Patient", "id": name} for name in "abc"),
        {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": [
            {"item": {"reference": "Observation/a"}}, {"item": {"reference": "Patient/b"}}]},
        {"resourceType": "List", "id": "k", "status": "current", "mode": "working", "entry": [
            {"item": {"reference": "Observation/c"}}]},
    )  # fmt: skip
    assert await find("Observation", "_list=l") == {"a"}
    assert await find("Observation", "_list=l,List/k") == {"a", "c"}
    assert await find("Observation", "subject:Patient._list=l") == {"b"}
    assert await find(None, "_list=l") == {"a", "b"}
    with pytest.raises(BadRequest):
        await find("Observation", "_list=$current-problems")


async def test_words_of_narrative_and_content(store: Store, gate: OpenGate, find: Find) -> None:
    def told(identifier: str, narrative: str, note: str) -> dict[str, Any]:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{narrative}</p></div>'
        return _observation(identifier, text={"status": "generated", "div": div}, note=[{"text": note}])

    await _put(
        store, gate, told("bone", "Kreft i beina med spredning", "Čáhppe Åsen"), told("liver", "Lever", "kreften")
    )

    async def asked() -> None:
        assert await find("Observation", "_text=kreft") == {"bone"}
        assert await find("Observation", "_content=kreft") == {"bone", "liver"}
        assert await find("Observation", "_content=kreftens") == {"bone", "liver"}  # by the stem
        assert await find("Observation", "_content=cahppe") == await find("Observation", "_content=ČÁHPPE") == {"bone"}
        assert await find("Observation", "_content=åsen") == {"bone"}
        assert await find("Observation", "_content=asen") == set()
        assert await find("Observation", [("_text", "(lever OR bein) AND NOT spredning")]) == {"liver"}
        assert await find("Observation", [("_text", '"kreft i beina"')]) == {"bone"}
        assert await find("Observation", [("_text", "div xmlns")]) == set()
        assert await find("Observation", "_text=kreft,lever") == {"bone", "liver"}
        assert await find("Observation", [("_filter", '_text eq "kreft" or _id eq liver')]) == {"bone", "liver"}
        assert await find(None, "_content=spredning") == {"bone"}

    await asked()  # as they are, before any index

    async def index() -> int:
        total = 0
        for _ in range(6):
            async with store.transaction() as connection:
                total += await index_words(connection)
        return total

    assert await index() == 2
    async with store.database.connection() as connection:
        assert await connection.fetchval("select count(*) from index_text") == 2
    await asked()
    await _put(store, gate, told("bone", "Frisk", "Čáhppe"))
    assert await find("Observation", "_text=kreft") == set()
    assert await find("Observation", "_text=frisk") == {"bone"}
    await store.delete(gate, "Observation", "liver")
    await index()
    assert await find("Observation", "_text=frisk") == {"bone"}
    assert await find("Observation", "_content=kreften") == set()
    for wrong in ("(", "(a", "a)", "OR", "", "NOT"):
        with pytest.raises(BadRequest):
            await find("Observation", [("_text", wrong), ("_text", "(")])


async def test_contained_resources(store: Store, gate: OpenGate, find: Find) -> None:
    def given(identifier: str, code: str) -> dict[str, Any]:
        drug = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": "urn:atc", "code": code}]}}
        return {"resourceType": "MedicationRequest", "id": identifier, "status": "active", "intent": "order",
                "subject": {"reference": "Patient/p"}, "contained": [drug],
                "medicationReference": {"reference": "#m"}}  # fmt: skip

    plain = {"resourceType": "Medication", "id": "plain", "code": {"coding": [{"system": "urn:atc", "code": "A"}]}}
    await _put(store, gate, given("one", "A"), given("two", "B"), plain, {"resourceType": "Patient", "id": "p"})
    chain = "medication.code"
    assert await find("MedicationRequest", [(chain, "urn:atc|A")]) == {"one"}
    assert await find("MedicationRequest", [("medication:Medication.code", "B")]) == {"two"}
    assert await find("Medication", "code=A") == {"plain"}
    assert await find("Medication", "code=A&_contained=true") == {"one"}
    assert await find("Medication", "code=A&_contained=both") == {"one", "plain"}
    page = await store.search(gate, "Medication", "code=A,B&_contained=both&_containedType=contained&_count=2")
    assert page.next and len(page.entries) == 2
    rest = await store.search(
        gate, "Medication", f"code=A,B&_contained=both&_containedType=contained&_count=2&_page={page.next}"
    )
    shown = [(e.stored.id, e.inside) for e in (*page.entries, *rest.entries)]
    assert sorted(shown, key=str) == [("one", "m"), ("plain", None), ("two", "m")] and rest.next is None
    assert (await store.search(gate, "Medication", "_contained=true&_summary=count")).total == 2
    await store.update(gate, "MedicationRequest", "one", given("one", "B"))
    assert await find("MedicationRequest", [(chain, "urn:atc|A")]) == set()
    assert await find("MedicationRequest", [(chain, "urn:atc|B")]) == {"one", "two"}
    await store.delete(gate, "MedicationRequest", "one")
    assert await find("Medication", "code=B&_contained=true") == {"two"}
    for wrong in ("_contained=true&_sort=code", "_contained=perhaps", "_containedType=x"):
        with pytest.raises(BadRequest):
            await find("Medication", wrong)


async def test_a_document_is_found_by_its_composition(store: Store, gate: OpenGate, find: Find) -> None:
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "x"},
        "title": "Epikrise",
        "date": "2026-01-01",
        "author": [{"reference": "Practitioner/a"}],
    }
    entries = [{"fullUrl": "http://x/Composition/c", "resource": composition},
               {"fullUrl": "http://x/Patient/p", "resource": {"resourceType": "Patient", "id": "p"}}]  # fmt: skip
    bundle = {"resourceType": "Bundle", "id": "b", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
              "identifier": {"system": "urn:b", "value": "1"}, "entry": entries}  # fmt: skip
    await _put(store, gate, bundle)
    assert await find("Bundle", "composition=Composition/c") == {"b"}
    assert await find("Bundle", "composition.title=epi") == {"b"}
    assert await find("Bundle", "composition.title=x") == set()
    assert await find("Bundle", "message:missing=true") == {"b"}
    assert await find("Bundle", "message=MessageHeader/p") == set()


async def test_dates_of_periods_and_timings(store: Store, gate: OpenGate, find: Find) -> None:
    timings = {
        "events": {"event": ["2026-01-10", "2026-03-10"]},
        "bounds": {"repeat": {"boundsPeriod": {"start": "2026-02-01"}, "frequency": 1, "period": 1, "periodUnit": "d"}},
        "both": {"event": ["2026-05-01"], "repeat": {"boundsPeriod": {"start": "2026-06-01", "end": "2026-06-30"}}},
        "open": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
    }
    await _put(store, gate, *(
        {"resourceType": "ServiceRequest", "id": name, "status": "active", "intent": "order",
         "subject": {"reference": "Patient/p"}, "occurrenceTiming": timing} for name, timing in timings.items()
    ))  # fmt: skip
    kind = "ServiceRequest"
    assert await find(kind, "occurrence=ap2026-02-10") >= {"events", "bounds", "open"}
    assert await find(kind, "occurrence=eq2026") == {"events", "both"}
    assert await find(kind, "occurrence=ge2026-07") == {"bounds", "open"}
    assert await find(kind, "occurrence=sa2026-04-01") == {"both"}
    assert await find(kind, "occurrence=eb2026-04-01") == {"events"}
    assert await find(kind, "occurrence=lt2026-02-01") == {"events", "open"}
    assert await find(kind, [("_filter", "occurrence po 2026-05-15")]) == {"bounds", "both", "open"}
    # To the letter: what begins before the day asked for and ends within it is neither after it nor contained in it.
    period = {"start": "2026-03-13T12:00:00+01:00", "end": "2026-03-14T12:00:00+01:00"}
    await _put(store, gate, _observation("o", effectivePeriod=period))
    assert await find("Observation", "date=ge2026-03-14") == set()
    assert await find("Observation", "date=ge2026-03-13") == {"o"}
    assert await find("Observation", "date=le2026-03-13") == set()
    assert await find("Observation", "date=lt2026-03-14") == {"o"} == await find("Observation", "date=le2026-03-14")


async def test_ages_and_births(store: Store, gate: OpenGate, find: Find) -> None:
    born = {"old": "1926-11-24", "day": "1926-11-25", "child": "2020-02-29", "dead": "1926-01-01", "year": "2000"}
    await _put(
        store,
        gate,
        *(
            {
                "resourceType": "Patient",
                "id": name,
                "birthDate": date,
                **({"deceasedBoolean": True} if name == "dead" else {}),
            }
            for name, date in born.items()
        ),
        {"resourceType": "Patient", "id": "twin", "multipleBirthInteger": 2},
        {"resourceType": "Patient", "id": "single", "multipleBirthBoolean": False},
    )
    assert await find("Patient", "age=100") == {"old"}  # the clock stands at 24 November 2026
    assert await find("Patient", "age=99") == {"day"}
    assert await find("Patient", "age=6") == {"child"}
    assert await find("Patient", "age=ge99") == {"old", "day"}
    assert await find("Patient", "age=lt18") == {"child"}
    assert await find("Patient", "age=gt99") == {"old"}
    assert await find("Patient", "age=le6,100") == {"child", "old"}
    assert await find("Patient", "birthOrderBoolean=true") == {"twin"}
    assert await find("Patient", "birthOrderBoolean=false") == {"single"}
    assert await find("Patient", "deceased=true") == {"dead"}
    for wrong in ("age=x", "age=1.5", "age:missing=true"):
        with pytest.raises(BadRequest):
            await find("Patient", wrong)


async def test_urls_above_and_below(store: Store, gate: OpenGate, find: Find) -> None:
    urls = {"deep": "http://a/fhir/ValueSet/123/x", "mid": "http://a/fhir/ValueSet/123", "near": "http://a/fhir/ValueSet/12",
            "top": "http://a/fhir/", "urn": "urn:oid:1.2.3"}  # fmt: skip
    await _put(store, gate, *(
        {"resourceType": "ValueSet", "id": name, "status": "draft", "url": url} for name, url in urls.items()
    ))  # fmt: skip
    assert await find("ValueSet", "url:below=http://a/fhir/") == {"deep", "mid", "near", "top"}
    assert await find("ValueSet", "url:above=http://a/fhir/ValueSet/123/x") == {"deep", "mid", "top"}
    assert await find("ValueSet", "url:below=urn:oid:1.2") == set()
    assert await find("ValueSet", "url:above=urn:oid:1.2.3") == {"urn"}


async def test_escapes(store: Store, gate: OpenGate, find: Find) -> None:
    named = {"identifier": [{"system": "urn:a|b", "value": "x,y$z\\w"}]}
    await _put(store, gate, {**_observation("o", valueString="a,b"), **named})
    assert await find("Observation", [("identifier", r"urn:a\|b|x\,y\$z\\w")]) == {"o"}
    assert await find("Observation", [("identifier", r"x\,y\$z\\w")]) == {"o"}
    assert await find("Observation", [("value-string", r"a\,b")]) == {"o"}
    assert await find("Observation", [("value-string:exact", r"a\,b")]) == {"o"}


FILTERS = {
    'name co "pet"': {"p"},
    "given eq peter and birthdate ge 1990-10-10": {"p"},
    'given eq "PETER"': {"p"},
    "family sw van": {"p"},
    "family ew BERG": {"p"},
    "family ne Olsen": {"p"},
    "name pr false": {"n"},
    "not (name pr true)": {"n"},
    "(gender eq male or gender eq female) and birthdate lt 1990": {"q"},
    "birthdate po 1990": {"p"},
    "id eq q": {"q"},
    "_id ne q and _id ne n": {"p"},
    "gender eq male or id eq n and id eq q": {"q"},
    "organization re Organization/o": {"p"},
    'organization.name eq "sykehuset"': {"p"},
    "organization[address-city eq Tromsø].name co hus": {"p"},
    "organization:Organization.name sw syk": {"p"},
    "_has:Observation:patient:value-quantity gt 5": {"q"},
    "_has:Observation:patient:status eq final": {"p", "q"},
    "identifier eq urn:i|1": {"p"},
    "identifier sw 1": {"p", "q"},
    "identifier co 2": {"q"},
    "age ge 18": {"p", "q"},
    "_lastUpdated ge 2026-11-24": {"p", "q", "n"},
    "_tag eq x": {"p"},
    "_list eq l": {"p"},
}
WRONG_FILTERS = (
    "",
    "name",
    "name eq",
    "name xx y",
    "name eq x and",
    "(name eq x",
    "name eq x)",
    "not name eq x",
    "nothing eq 1",
    "name gt",
    "birthdate co 1",
    "gender.x eq 1",
    "organization. eq 1",
    "organization[name eq x] eq 1",
    '"a" eq b',
    'name eq "a',
    "organization[name eq x",
    "_has:X:y:z eq 1",
    "age eq x",
    "(" * 50 + "name eq x" + ")" * 50,
    "name pr x",
    "birthdate eq x",
    "organization.partof.partof.partof.partof.partof.partof.partof.partof.partof.name eq x",
)


async def test_filters(store: Store, gate: OpenGate, find: Find) -> None:
    await _put(
        store,
        gate,
        {"resourceType": "Organization", "id": "o", "name": "Sykehuset", "address": [{"city": "Tromsø"}]},
        {
            "resourceType": "Patient",
            "id": "p",
            "name": [{"family": "van der Berg", "given": ["Peter"]}],
            "birthDate": "1990-12-01",
            "managingOrganization": {"reference": "Organization/o"},
            "identifier": [{"system": "urn:i", "value": "1"}],
            "meta": {"tag": [{"code": "x"}]},
        },
        {
            "resourceType": "Patient",
            "id": "q",
            "name": [{"family": "Olsen"}],
            "gender": "male",
            "birthDate": "1980",
            "identifier": [{"system": "urn:i", "value": "12"}],
        },
        {"resourceType": "Patient", "id": "n"},
        _observation("a", subject={"reference": "Patient/p"}, valueQuantity={"value": 5}),
        _observation(
            "b",
            subject={"reference": "Patient/q"},
            valueQuantity={"value": 6},
            component=[
                {"code": {"coding": [{"code": "s"}]}, "valueQuantity": {"value": 140}},
                {"code": {"coding": [{"code": "d"}]}, "valueQuantity": {"value": 90}},
            ],
        ),
        {
            "resourceType": "List",
            "id": "l",
            "status": "current",
            "mode": "working",
            "entry": [{"item": {"reference": "Patient/p"}}],
        },
    )
    for text, expected in FILTERS.items():
        assert await find("Patient", [("_filter", text)]) == expected, text
    assert await find(
        "Observation",
        [("_filter", "component-code-value-quantity[component-code eq s].component-value-quantity gt 100")],
    ) == {"b"}
    assert (
        await find(
            "Observation", [("_filter", "component-code-value-quantity[code eq d].component-value-quantity gt 100")]
        )
        == set()
    )
    assert await find("Observation", [("_filter", "combo-code-value-quantity eq s$140")]) == {"b"}
    assert await find("Patient", [("_filter", "name co pet"), ("gender:missing", "true")]) == {"p"}
    for text in WRONG_FILTERS:
        with pytest.raises(BadRequest):
            page = await find("Patient", [("_filter", text), ("_filter", text or "x")])
            raise AssertionError((text, page))


async def test_searches_over_several_types(store: Store, gate: OpenGate, find: Find) -> None:
    await _put(
        store, gate, {"resourceType": "Patient", "id": "p", "name": [{"family": "Berg"}], "active": True},
        {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Berg"}], "active": True},
        {"resourceType": "Organization", "id": "o", "name": "Berg", "active": True},
    )  # fmt: skip
    assert await find(None, "_type=Patient,Practitioner&family=berg") == {"p", "d"}
    assert await find(None, "family=berg&_type=Patient,Practitioner") == {"p", "d"}
    assert await find(None, "_type=Patient,Organization&name=berg") == {"p", "o"}
    assert await find(None, "_type=Patient&family=berg") == {"p"}
    assert await find(None, "_type=Patient,Practitioner,Organization&active=true") == {"p", "d", "o"}
    assert await find(None, "_id=p,d") == {"p", "d"}
    for wrong in (
        "family=berg",
        "_type=Patient,Organization&family=berg",
        "_type=Nothing",
        "_type=Patient&_sort=family",
    ):
        with pytest.raises(BadRequest):
            await find(None, wrong)


REFUSED = (
    "Patient?family:text=x", "Patient?gender:exact=x", "Patient?gender:identifier=x", "ValueSet?url:contains=x",
    "Patient?birthdate:not=1980", "Patient?nothing=1", "Patient?_sort=nothing", "Patient?_query=x", "Patient?_total=x",
    "Patient?_summary=x", "Patient?_count=-1", "Patient?_include=Patient", "Patient?_include=Patient:name",
    "Patient?_include:recurse=Patient:organization", "Patient?_revinclude:x=Observation:subject",
    "Observation?code-value-quantity:missing=true", "Observation?_has:Patient=x", "Observation?subject:identifier=|",
    "Patient?_summary=text&_include=Patient:organization", "Patient?_id:exact=x", "Patient?_type=Patient",
    "Patient?gender=|", "Patient?identifier:of-type=a|b", "Observation?value-quantity=5|x", "Observation?date=x",
)  # fmt: skip


async def test_what_is_not_understood_is_refused_or_told_of(client: httpx.AsyncClient) -> None:
    for query in REFUSED:
        answer = await client.get(f"/{query}")
        assert answer.status_code == 400 and answer.json()["resourceType"] == "OperationOutcome", query
    lenient = {"prefer": "handling=lenient"}
    answer = await client.get("/Patient?nothing=1&gender:exact=x&_query=y", headers=lenient)
    assert answer.status_code == 200
    outcome = answer.json()["entry"][0]
    assert outcome["search"]["mode"] == "outcome" and len(outcome["resource"]["issue"]) == 3
    assert answer.json()["link"] == [{"relation": "self", "url": "http://test/fhir/Patient"}]
    assert (await client.get("/Patient?birthdate=x", headers=lenient)).status_code == 400
    assert (await client.get("/Patient?birthdate=&nothing=")).status_code == 200  # asks for nothing


async def test_totals_and_counts(store: Store, gate: OpenGate) -> None:
    await _put(store, gate, *({"resourceType": "Patient", "id": f"p{n}"} for n in range(5)))

    async def total(query: str) -> tuple[int | None, int]:
        page = await store.search(gate, "Patient", query)
        return page.total, len(page.entries)

    assert await total("_count=0") == (5, 0) == await total("_summary=count")
    assert await total("_count=2") == (None, 2)
    assert await total("_count=2&_total=accurate") == (5, 2) == await total("_count=2&_total=estimate")
    assert await total("_count=2&_total=none") == (None, 2)
    assert await total("_total=none") == (None, 5)
    assert await total("") == (5, 5)


async def test_every_kind_sorts_with_what_has_no_value_last(store: Store, gate: OpenGate) -> None:
    names = ["Ås", "Ærr", "Øyt", "Zoy", "abe", "Čahp"]
    await _put(
        store, gate, {"resourceType": "Patient", "id": "none"},
        *({"resourceType": "Patient", "id": f"p{n}", "name": [{"family": name}], "gender": ["male", "female"][n % 2],
           "birthDate": f"19{n}0-01-01", "managingOrganization": {"reference": f"Organization/{name[-1]}{n % 2}"},
           "meta": {"profile": [f"http://p/{9 - n}"]}} for n, name in enumerate(names)),
    )  # fmt: skip

    async def order(sort: str, kind: str = "Patient") -> list[str]:
        told: list[str] = []
        page: str | None = ""
        while page is not None:
            found = await store.search(gate, kind, f"_sort={sort}&_count=2" + (f"&_page={page}" if page else ""))
            told += [m.id for m in found.matches]
            page = found.next
        return told

    byname = ["p4", "p5", "p3", "p1", "p2", "p0"]  # abe, Čahp, Zoy, Ærr, Øyt, Ås
    assert await order("family") == [*byname, "none"]
    assert await order("-family") == [*reversed(byname), "none"]
    assert await order("birthdate") == [f"p{n}" for n in range(6)] + ["none"]
    assert await order("-birthdate") == [f"p{n}" for n in reversed(range(6))] + ["none"]
    assert await order("gender,-birthdate") == ["p5", "p3", "p1", "p4", "p2", "p0", "none"]
    assert await order("-gender,_id") == ["p0", "p2", "p4", "p1", "p3", "p5", "none"]
    assert await order("_profile") == ["p5", "p4", "p3", "p2", "p1", "p0", "none"]
    byref = [f"p{n}" for n in sorted(range(6), key=lambda n: f"{names[n][-1]}{n % 2}")]
    assert await order("organization,_id") == [*byref, "none"]
    assert await order("-organization,_id") == [*reversed(byref), "none"]
    assert await order("-_lastUpdated,-_id") == ["p5", "p4", "p3", "p2", "p1", "p0", "none"]


async def test_pages_lead_back_too(store: Store, gate: OpenGate) -> None:
    await _put(store, gate, *({"resourceType": "Patient", "id": f"p{n}"} for n in range(7)))
    first = await store.search(gate, "Patient", "_sort=_id&_count=3")
    assert first.previous is None and first.next
    second = await store.search(gate, "Patient", f"_sort=_id&_count=3&_page={first.next}")
    third = await store.search(gate, "Patient", f"_sort=_id&_count=3&_page={second.next}")
    assert [m.id for m in third.matches] == ["p6"] and third.next is None
    back = await store.search(gate, "Patient", f"_sort=_id&_count=3&_page={third.previous}")
    assert [m.id for m in back.matches] == ["p3", "p4", "p5"] and back.previous and back.next
    start = await store.search(gate, "Patient", f"_sort=_id&_count=3&_page={back.previous}")
    assert [m.id for m in start.matches] == ["p0", "p1", "p2"] and start.previous is None
    again = await store.search(gate, "Patient", f"_sort=_id&_count=3&_page={start.next}")
    assert [m.id for m in again.matches] == ["p3", "p4", "p5"]


async def test_links_and_contained_resources_over_http(client: httpx.AsyncClient) -> None:
    drug = {"resourceType": "Medication", "id": "m", "code": {"text": "x"}}
    for number in range(5):
        made = {"resourceType": "MedicationRequest", "id": f"r{number}", "status": "active", "intent": "order",
                "subject": {"reference": "Patient/p"}, "contained": [drug],
                "medicationReference": {"reference": "#m"}}  # fmt: skip
        assert (await client.put(f"/MedicationRequest/r{number}", json=made)).status_code == 201
    bundle = (await client.get("/Medication?_contained=true&_containedType=contained")).json()
    assert sorted(e["fullUrl"] for e in bundle["entry"]) == [
        f"http://test/fhir/MedicationRequest/r{number}#m" for number in range(5)
    ]
    assert bundle["entry"][0]["resource"] == drug and bundle["total"] == 5
    links = []
    page = (await client.get("/MedicationRequest?status=active&_sort=_id&_count=2")).json()
    while True:
        named = {link["relation"]: link["url"] for link in page["link"]}
        links.append(set(named))
        if "next" not in named:
            break
        page = (await client.get(named["next"].removeprefix("http://test/fhir"))).json()
    assert links == [{"self", "next"}, {"self", "next", "previous", "first"}, {"self", "previous", "first"}]
    back = (await client.get(named["previous"].removeprefix("http://test/fhir"))).json()
    assert [e["resource"]["id"] for e in back["entry"]] == ["r2", "r3"]
