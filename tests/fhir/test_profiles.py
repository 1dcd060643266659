"""Profiles: R4's vital signs (snapshots), Norwegian ones (differentials over each other), and slices of every kind."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fhir.test_validate import example
from varde.fhir.known import CORE, Known
from varde.fhir.validate import faults_of, findings

VITAL = "http://hl7.org/fhir/StructureDefinition/"
NORWEGIAN = {
    (resource["resourceType"], resource["url"]): resource
    for line in (Path(__file__).parent / "profiles" / "norwegian.ndjson").read_text(encoding="utf-8").splitlines()
    for resource in [json.loads(line)]
}
KNOWN = Known(NORWEGIAN)
NO_BASIS = "http://hl7.no/fhir/StructureDefinition/"
HELSENORGE = "http://helsenorge.no/fhir/StructureDefinition/"
UCUM = "http://unitsofmeasure.org"


def told(resource: Mapping[str, Any], known: Known = KNOWN) -> set[tuple[str | None, str]]:
    """(expression, text without the profile's name) of the faults."""
    return {(i.expression, i.diagnostics.partition(" (profile ")[0]) for i in faults_of(resource, known)}


WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "meta": {"profile": [f"{VITAL}bodyweight"]},
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}, {"system": "urn:x", "code": "vekt"}]},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-11-24",
    "valueQuantity": {"value": 70, "unit": "kg", "system": UCUM, "code": "kg"},
}


def test_a_weight_as_r4_wants_it() -> None:
    assert not told(WEIGHT, CORE)
    assert not told(WEIGHT | {"effectivePeriod": {"start": "2026"}, "effectiveDateTime": "2026-11-24"}, CORE) - {
        ("Observation.effective", "only one of the choices of 'effective[x]' may be given")
    }
    period = {k: v for k, v in WEIGHT.items() if k != "effectiveDateTime"} | {"effectivePeriod": {"start": "2026"}}
    assert not told(period, CORE)


@pytest.mark.parametrize(
    ("change", "expression", "text"),
    [
        ({"category": [{"text": "x"}]}, "Observation.category", "the slice 'VSCat' is required"),
        ({"category": None}, "Observation.category", "'category' is required"),
        ({"code": {"text": "vekt"}}, "Observation.code.coding", "the slice 'BodyWeightCode' is required"),
        ({"subject": None}, "Observation.subject", "'subject' is required"),
        ({"subject": {"reference": "Group/1"}}, "Observation.subject", "may not refer to Group"),
        ({"effectiveDateTime": None}, "Observation.effective", "'effective' is required"),
        ({"effectiveDateTime": "2026"}, "Observation.effective.ofType(dateTime)",
         "vs-1: if Observation.effective[x] is dateTime and has a value then that value shall be precise to the day"),
        ({"effectiveDateTime": None, "effectiveInstant": "2026-11-24T10:00:00Z"},
         "Observation.effective.ofType(instant)",
         "'effective[x]' must be of type Period or dateTime"),
        ({"valueQuantity": None}, "Observation",
         "vs-2: If there is no component or hasMember element then either a value[x] or a data absent reason must be"
         " present."),
        ({"valueQuantity": None, "valueString": "70"}, "Observation.value.ofType(string)",
         "'value[x]' must be of type Quantity"),
        ({"valueQuantity": {"value": 70, "unit": "kg", "system": UCUM, "code": "mg"}},
         "Observation.value.ofType(Quantity).code",
         "the code is not of the required value set http://hl7.org/fhir/ValueSet/ucum-bodyweight"),
        ({"valueQuantity": {"value": 70, "unit": "kg", "system": "urn:x", "code": "kg"}},
         "Observation.value.ofType(Quantity).system", "must be the value that the profile fixes"),
        ({"valueQuantity": {"value": 70, "system": UCUM, "code": "kg"}}, "Observation.value.ofType(Quantity).unit",
         "'unit' is required"),
    ],
)  # fmt: skip
def test_a_weight_with_one_fault(change: dict[str, Any], expression: str, text: str) -> None:
    resource = {k: v for k, v in (WEIGHT | change).items() if v is not None}
    assert (expression, text) in told(resource, CORE)


def test_a_profile_names_itself_and_its_type() -> None:
    (fault,) = faults_of(WEIGHT | {"category": [{"text": "x"}]})
    assert fault.diagnostics.endswith(f"(profile {VITAL}bodyweight)")
    assert told({"resourceType": "Patient", "meta": {"profile": [f"{VITAL}bodyweight"]}}, CORE) == {
        ("Patient.meta.profile", f"the profile {VITAL}bodyweight is of Observation, not of Patient")
    }


def test_extensions_are_judged_by_their_definitions() -> None:
    """Wherever they stand, in elements and beside primitives, whether a profile is named or not."""
    patient: dict[str, Any] = {"resourceType": "Patient", "birthDate": "1970-01-01"}
    time = f"{VITAL}patient-birthTime"
    assert not told(patient | {"_birthDate": {"extension": [{"url": time, "valueDateTime": "1970-01-01T10:00:00Z"}]}})
    assert told(patient | {"_birthDate": {"extension": [{"url": time, "valueString": "x"}]}}) == {
        ("Patient.birthDate.extension[0].value.ofType(string)", "'value[x]' must be of type dateTime")
    }
    name = {
        "resourceType": "Patient",
        "name": [{"family": "x", "extension": [{"url": f"{NO_BASIS}no-basis-middlename"}]}],
    }
    assert ("Patient.name[0].extension[0]", "ext-1: Must have either extensions or value[x], not both") in told(name)


FNR = {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "13031353453"}
NORDMANN: dict[str, Any] = {
    "resourceType": "Patient",
    "meta": {"profile": [f"{NO_BASIS}no-basis-Patient"]},
    "identifier": [FNR, {"system": "urn:x", "value": "1"}],
    "name": [{"family": "Nordmann", "given": ["Kari"],
              "extension": [{"url": f"{NO_BASIS}no-basis-middlename", "valueString": "Bakke"}]}],
    "address": [{"use": "home", "city": "Tromsø",
                 "extension": [{"url": f"{NO_BASIS}no-basis-urban-district",
                                "valueCoding": {"system": "urn:oid:2.16.578.1.12.4.1.1.3403", "code": "1"}}]}],
    "generalPractitioner": [{"reference": "Practitioner/1"}],
}  # fmt: skip


def test_a_norwegian_patient() -> None:
    assert not told(NORDMANN)


@pytest.mark.parametrize(
    ("path", "value", "expression", "text"),
    [
        (["identifier", 0], {"system": FNR["system"]}, "Patient.identifier[0].value", "'value' is required"),
        (["name", 0, "extension", 0], {"url": f"{NO_BASIS}no-basis-middlename", "valueBoolean": True},
         "Patient.name[0].extension[0].value.ofType(boolean)", "'value[x]' must be of type string"),
        (["generalPractitioner", 0], {"reference": "Patient/1"}, "Patient.generalPractitioner[0].reference",
         "may not refer to Patient"),
    ],
)  # fmt: skip
def test_a_norwegian_patient_with_one_fault(path: list[Any], value: Any, expression: str, text: str) -> None:
    resource = copy.deepcopy(NORDMANN)
    place: Any = resource
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert told(resource) == {(expression, text)}


APPOINTMENT: dict[str, Any] = {
    "resourceType": "Appointment",
    "meta": {
        "profile": [f"{HELSENORGE}hn-basis-appointment"],
        "security": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "N"}],
    },
    "contained": [
        {"resourceType": "Organization", "id": "k", "name": "UNN", "identifier": [{"value": "1"}],
         "meta": {"profile": [f"{HELSENORGE}kommunikasjonspart-Organization"]}},
        {"resourceType": "Location", "id": "hu", "name": "Tromsø", "managingOrganization": {"reference": "#k"},
         "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "HU"}]}]},
        {"resourceType": "Location", "id": "hosp", "name": "UNN", "managingOrganization": {"reference": "#k"},
         "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "HOSP"}]}]},
    ],
    "identifier": [{"system": "urn:x", "value": "1", "assigner": {"reference": "#k"}}],
    "status": "booked",
    "serviceCategory": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-category", "code": "30"}]}
    ],
    "appointmentType": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.8432", "code": "1"}]},
    "supportingInformation": [{"reference": "#k"}],
    "start": "2026-12-01T10:00:00+01:00",
    "end": "2026-12-01T10:30:00+01:00",
    "participant": [
        {"actor": {"reference": "#hu"}, "status": "accepted"},
        {"actor": {"reference": "#hosp"}, "status": "accepted"},
        {"actor": {"type": "Patient", "identifier": FNR}, "status": "accepted"},
    ],
}  # fmt: skip
"""As the hospital's system sends it to Helsenorge: a differential over no-basis-Appointment, itself a differential."""


def test_an_appointment_for_helsenorge() -> None:
    assert not told(APPOINTMENT)


@pytest.mark.parametrize(
    ("change", "expression", "text"),
    [
        ({"identifier": None}, "Appointment.identifier", "'identifier' is required"),
        ({"comment": "x"}, "Appointment.comment", "'comment' is not allowed here"),
        ({"description": "x" * 1001}, "Appointment.description", "must-be-max-1000-chars: Length MUST be <= 1000"),
        ({"status": "waitlist"}, "Appointment.status",
         "the code is not of the required value set http://helsenorge.no/fhir/ValueSet/hn-appointment-status-vs"),
        ({"supportingInformation": [{"reference": "#hu"}]}, "Appointment.supportingInformation",
         "the slice 'kommunikasjonspart' is required"),
        ({"extension": [{"url": f"{HELSENORGE}hn-basis-consultationType", "valueCodeableConcept": {"text": "x"}}]},
         "Appointment.extension", "the slice 'consultationType' is not allowed"),
        ({"participant": [{"status": "accepted", "type": [{"text": "x"}]}]}, "Appointment.participant[0].actor",
         "'actor' is required"),
        ({"meta": APPOINTMENT["meta"] | {"tag": [{"system": "http://helsenorge.no/fhir/varsling", "code": "x"}]}},
         "Appointment.meta.tag[0]",
         "the code is not of the required value set http://helsenorge.no/fhir/ValueSet/hn-varsling-vs"),
    ],
)  # fmt: skip
def test_an_appointment_for_helsenorge_with_one_fault(change: dict[str, Any], expression: str, text: str) -> None:
    resource = {k: v for k, v in (APPOINTMENT | change).items() if v is not None}
    found = told(resource)
    assert any(e == expression and t.startswith(text[:60]) for e, t in found), found


def profile(*elements: dict[str, Any], of: str = "Patient", **more: Any) -> Known:
    """A profile `urn:p` of these differential elements."""
    made = {
        "resourceType": "StructureDefinition", "url": "urn:p", "name": "P", "status": "active", "kind": "resource",
        "abstract": False, "type": of, "derivation": "constraint", "baseDefinition": f"{VITAL}{of}",
        "differential": {"element": list(elements)}, **more,
    }  # fmt: skip
    return Known({("StructureDefinition", "urn:p"): made})


def sliced(path: str, kind: str, discriminator: str, rules: str = "open", ordered: bool = False) -> dict[str, Any]:
    """The element that says how another is sliced."""
    by = {"discriminator": [{"type": kind, "path": discriminator}], "rules": rules, "ordered": ordered}
    return {"id": path, "path": path, "slicing": by}


def patient(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "meta": {"profile": ["urn:p"]}, **members}


def slice_of(path: str, name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{path}:{name}", "path": path, "sliceName": name, **more}


def fixed(path: str, name: str, below: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{path}:{name}.{below}", "path": f"{path}.{below}", **more}


def test_slices_by_value_closed_ordered_and_open_at_end() -> None:
    elements = [
        slice_of("Patient.telecom", "phone", min=1, max="1"),
        fixed("Patient.telecom", "phone", "system", fixedCode="phone"),
        slice_of("Patient.telecom", "mail", max="1"), fixed("Patient.telecom", "mail", "system", fixedCode="email"),
        fixed("Patient.telecom", "mail", "value", min=1),
    ]  # fmt: skip
    phone, mail, fax = ({"system": s, "value": "1"} for s in ("phone", "email", "fax"))
    open_one = profile(sliced("Patient.telecom", "value", "system"), *elements)
    assert not told(patient(telecom=[fax, mail, phone]), open_one)
    assert told(patient(telecom=[phone, phone]), open_one) == {
        ("Patient.telecom", "the slice 'phone' may be given 1 times at most")
    }
    assert told(patient(telecom=[mail]), open_one) == {("Patient.telecom", "the slice 'phone' is required")}
    assert told(patient(telecom=[phone, {"system": "email"}]), open_one) == {
        ("Patient.telecom[1].value", "'value' is required")
    }
    closed = profile(sliced("Patient.telecom", "value", "system", "closed", ordered=True), *elements)
    assert told(patient(telecom=[phone, fax]), closed) == {
        ("Patient.telecom[1]", "is of none of the slices, and the profile allows no others")
    }
    assert told(patient(telecom=[mail, phone]), closed) == {
        ("Patient.telecom", "the slices are not in the order of the profile")
    }
    at_end = profile(sliced("Patient.telecom", "value", "system", "openAtEnd"), *elements)
    assert not told(patient(telecom=[mail, phone, fax]), at_end)
    assert told(patient(telecom=[phone, fax, mail]), at_end) == {
        ("Patient.telecom", "items of no slice may only come last")
    }


def test_slices_by_pattern_type_existence_and_profile() -> None:
    pattern = profile(
        sliced("Patient.maritalStatus.coding", "pattern", "$this"),
        slice_of("Patient.maritalStatus.coding", "no", min=1, patternCoding={"system": "urn:no"}),
    )
    assert not told(patient(maritalStatus={"coding": [{"system": "urn:no", "code": "1"}]}), pattern)
    assert told(patient(maritalStatus={"coding": [{"system": "urn:x", "code": "1"}]}), pattern) == {
        ("Patient.maritalStatus.coding", "the slice 'no' is required")
    }
    by_type = profile(
        sliced("Patient.deceased[x]", "type", "$this"),
        slice_of("Patient.deceased[x]", "deceasedDateTime", type=[{"code": "dateTime"}]),
        {"id": "Patient.deceased[x]:deceasedDateTime.extension", "path": "Patient.deceased[x].extension", "min": 1},
    )
    assert not told(patient(deceasedBoolean=True), by_type)
    assert told(patient(deceasedDateTime="2020"), by_type) == {
        ("Patient.deceased.ofType(dateTime).extension", "'extension' is required")
    }
    short = profile({"id": "Patient.deceasedBoolean", "path": "Patient.deceasedBoolean", "fixedBoolean": False})
    assert not told(
        patient(deceasedDateTime="2020"), profile({"id": "Patient.deceased[x]", "path": "Patient.deceased[x]"})
    )
    assert told(patient(deceasedBoolean=True), short) == {
        ("Patient.deceased.ofType(boolean)", "must be the value that the profile fixes")
    }
    exists = profile(
        sliced("Patient.name", "exists", "period"),
        slice_of("Patient.name", "old"), fixed("Patient.name", "old", "period", min=1),
        fixed("Patient.name", "old", "use", fixedCode="old"),
        slice_of("Patient.name", "now", min=1, max="1"), fixed("Patient.name", "now", "period", max="0"),
    )  # fmt: skip
    past = {"family": "x", "period": {"end": "2000"}}
    assert not told(patient(name=[past | {"use": "old"}, {"family": "y"}]), exists)
    assert told(patient(name=[past]), exists) == {
        ("Patient.name", "the slice 'now' is required"),
    }
    assert told(patient(name=[past | {"use": "usual"}, {"family": "y"}]), exists) == {
        ("Patient.name[0].use", "must be the value that the profile fixes")
    }
    by_profile = profile(
        sliced("Bundle.entry", "profile", "resource", "closed"),
        slice_of("Bundle.entry", "weight", min=1),
        fixed("Bundle.entry", "weight", "resource", type=[{"code": "Observation", "profile": [f"{VITAL}bodyweight"]}]),
        of="Bundle",
    )
    bundle = {"resourceType": "Bundle", "meta": {"profile": ["urn:p"]}, "type": "collection"}
    weight = {k: v for k, v in WEIGHT.items() if k != "meta"}
    assert not told(bundle | {"entry": [{"resource": weight}]}, by_profile)
    assert ("Bundle.entry", "the slice 'weight' is required") in told(
        bundle | {"entry": [{"resource": {"resourceType": "Patient"}}]}, by_profile
    )


def test_slices_of_slices() -> None:
    known = profile(
        sliced("Patient.identifier", "value", "system"),
        slice_of("Patient.identifier", "no", max="2"), fixed("Patient.identifier", "no", "system", fixedUri="urn:no"),
        {"id": "Patient.identifier:no", "path": "Patient.identifier", "sliceName": "no",
         "slicing": {"discriminator": [{"type": "value", "path": "use"}], "rules": "closed"}},
        slice_of("Patient.identifier", "no/official", max="1"),
        fixed("Patient.identifier", "no/official", "use", fixedCode="official"),
        slice_of("Patient.identifier", "no/old"), fixed("Patient.identifier", "no/old", "use", fixedCode="old"),
    )  # fmt: skip
    official, old = ({"system": "urn:no", "use": use, "value": "1"} for use in ("official", "old"))
    assert not told(patient(identifier=[{"system": "urn:x", "value": "2"}, official, old]), known)
    assert ("Patient.identifier", "the slice 'no/official' may be given 1 times at most") in told(
        patient(identifier=[official, official]), known
    )


def test_limits_of_values() -> None:
    known = profile(
        {"id": "Patient.birthDate", "path": "Patient.birthDate", "minValueDate": "1900-01-01",
         "maxValueDate": "2026-12-31"},
        {"id": "Patient.multipleBirth[x]", "path": "Patient.multipleBirth[x]", "type": [{"code": "integer"}],
         "maxValueInteger": 8},
        {"id": "Patient.name.family", "path": "Patient.name.family", "maxLength": 5},
        {"id": "Patient.contact", "path": "Patient.contact", "max": "1"},
        {"id": "Patient.maritalStatus", "path": "Patient.maritalStatus", "fixedCodeableConcept": {"text": "x"}},
    )  # fmt: skip
    assert not told(patient(birthDate="1970", multipleBirthInteger=8, name=[{"family": "Moen"}]), known)
    assert told(
        patient(birthDate="1899-12-31", multipleBirthInteger=9, name=[{"family": "Nordmann"}],
                maritalStatus={"text": "x", "id": "1"}, contact=[{"name": {"text": "a"}}, {"name": {"text": "b"}}]),
        known,
    ) == {
        ("Patient.birthDate", "is less than the profile allows"),
        ("Patient.multipleBirth.ofType(integer)", "is more than the profile allows"),
        ("Patient.name[0].family", "has more than the 5 characters that the profile allows"),
        ("Patient.maritalStatus", "must be the value that the profile fixes"),
        ("Patient.contact", "'contact' may be given 1 times at most"),
    }  # fmt: skip


def test_what_the_server_sets_need_not_be_sent() -> None:
    known = profile(
        {"id": "Patient.id", "path": "Patient.id", "min": 1},
        {"id": "Patient.meta", "path": "Patient.meta", "min": 1},
        {"id": "Patient.meta.lastUpdated", "path": "Patient.meta.lastUpdated", "min": 1},
    )
    assert not told(patient(), known)


def test_a_profile_that_is_not_known_stops_no_write_but_is_told() -> None:
    resource = patient(extension=[{"url": "http://x.no/y", "valueCode": "z"}])
    assert not told(resource, CORE)
    found = {(i.severity, i.code): i.diagnostics for i in findings(resource).issues}
    assert "the profile urn:p is not known here" in found["warning", "not-found"]
    assert "http://x.no/y" in found["information", "not-found"]


def test_advice() -> None:
    """Warnings of R4's own, bindings that are not required, and extensions out of their place."""
    resource = example("Patient-example") | {
        "maritalStatus": {"coding": [{"system": "urn:x", "code": "x"}]},
        "extension": [{"url": f"{VITAL}patient-birthTime", "valueDateTime": "2020-01-01T10:00:00Z"}],
    }
    del resource["text"]
    assert not told(resource, CORE)
    found = {(i.severity, i.expression, i.diagnostics[:40]) for i in findings(resource).issues}
    assert ("warning", "Patient", "dom-6: A resource should have narrative ") in found
    assert ("information", "Patient.maritalStatus", "the code is not of the value set http://") in found
    assert ("warning", "Patient.extension[0]", "the extension http://hl7.org/fhir/Struct") in found


@pytest.mark.parametrize(
    "element",
    [{"id": "Patient.name", "path": "Patient.name", "type": "x"}, {"path": 1}, {},
     {"id": "Patient.x:y.z", "path": "Patient.x.z"},
     {"id": "Patient.name", "path": "Patient.name", "min": 1,
      "slicing": {"discriminator": [{"type": "value", "path": "((("}]}},
     {"id": "Patient", "path": "Patient", "constraint": [{"key": "x", "severity": "error", "expression": "((("}]},
     {"id": "Patient.name", "path": "Patient.name", "min": "x", "max": 3, "binding": "x"}],
)  # fmt: skip
def test_a_profile_that_makes_no_sense_breaks_nothing(element: dict[str, Any]) -> None:
    told(patient(name=[{"family": "x"}]), profile(element, slice_of("Patient.name", "s", min=0)))


def test_profiles_that_go_in_circles() -> None:
    circle = profile({"id": "Patient.link.other", "path": "Patient.link.other", "type": [
        {"code": "Reference", "targetProfile": ["urn:p"]}]}, baseDefinition="urn:p")  # fmt: skip
    assert circle.profile("urn:p") is None
    itself = profile({"id": "Patient.link.other", "path": "Patient.link.other", "type": [
        {"code": "Reference", "targetProfile": ["urn:p"]}]})  # fmt: skip
    link = [{"other": {"reference": "#me"}, "type": "seealso"}]
    assert not told(patient(link=link, contained=[{"resourceType": "Patient", "id": "me", "link": link}]), itself)
