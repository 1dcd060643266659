"""What is valid R4: HL7's examples, examples that were broken in one place, and examples that were broken anyhow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fhir.test_load import REFUSED
from varde.fhir.splice import parse_exact
from varde.fhir.validate import faults_of, findings

EXAMPLES = Path("node_modules/hl7.fhir.r4.examples")
KINDS_OF_FILES = ("SearchParameter-", "ValueSet-", "CodeSystem-", "StructureDefinition-", "Bundle-", "ig-", "package")
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def example(name: str) -> dict[str, Any]:
    """An example of HL7's package."""
    found: dict[str, Any] = orjson.loads((EXAMPLES / f"{name}.json").read_bytes())
    return found


def faults(resource: dict[str, Any]) -> list[tuple[str | None, str]]:
    """(expression, what is told) of the faults."""
    return [(issue.expression, issue.diagnostics) for issue in faults_of(resource)]


@pytest.mark.slow
def test_the_quick_way_and_the_general_engine_agree_on_every_example() -> None:
    """`findings` asks the general engine of every constraint, a write the Python that was made of them. Both find
    nothing wrong with HL7's examples but with those of the table."""
    judged = 0
    for file in sorted(EXAMPLES.glob("*.json")):
        if file.name.startswith(("package", "ig-", "ImplementationGuide-")) or file.stat().st_size > 300_000:
            continue
        if file.name.startswith(KINDS_OF_FILES) and judged % 12:
            judged += 1
            continue
        resource = orjson.loads(file.read_bytes())
        quick = faults_of(resource)
        general = [issue for issue in findings(resource).issues if issue.severity == "error"]
        assert quick == general[:50], file.name
        assert not quick or file.name in REFUSED or file.name.startswith("SearchParameter-"), (file.name, quick)
        judged += 1
    assert judged > 5000


def _set(path: str, value: Any) -> Callable[[Any], None]:
    """Put a value at a path of members and indexes: `name.0.family`."""

    def change(resource: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            resource = resource[int(step)] if isinstance(resource, list) else resource[step]
        if isinstance(resource, list):
            resource[int(last)] = value
        else:
            resource[last] = value

    return change


def _without(path: str) -> Callable[[Any], None]:
    def change(resource: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            resource = resource[int(step)] if isinstance(resource, list) else resource[step]
        del resource[last]

    return change


OBSERVATION, PATIENT, BUNDLE = "Observation-example", "Patient-example", "Bundle-bundle-example"
CODED = "the code is not of the required value set http://hl7.org/fhir/ValueSet/"
BROKEN: list[tuple[str, Callable[[Any], None], str, str]] = [
    # structure and cardinality
    (PATIENT, _set("colour", "red"), "Patient", "unknown element 'colour'"),
    (PATIENT, _set("name.0.colour", "red"), "Patient.name[0]", "unknown element 'colour'"),
    (PATIENT, _set("valueString", "x"), "Patient", "unknown element 'valueString'"),
    (PATIENT, _set("name.0", {}), "Patient.name[0]", "an object may not be empty (ele-1)"),
    (PATIENT, _set("name.0", {"id": "n"}), "Patient.name[0]", "an object may not be empty (ele-1)"),
    (PATIENT, _set("name", {"family": "x"}), "Patient.name", "must be an array"),
    (PATIENT, _set("name", []), "Patient.name", "an array may not be empty"),
    (PATIENT, _set("name.0.family", ["x"]), "Patient.name[0].family", "must not be an array"),
    (PATIENT, _set("name.0.given", [None]), "Patient.name[0].given[0]", "null is not a value"),
    (PATIENT, _set("name.0", "Chalmers"), "Patient.name[0]", "must be an object"),
    (PATIENT, _set("birthDate", None), "Patient.birthDate", "null is not a value"),
    (OBSERVATION, _without("status"), "Observation.status", "'status' is required"),
    (OBSERVATION, _without("code"), "Observation.code", "'code' is required"),
    # primitives
    (PATIENT, _set("id", "a b"), "Patient.id", "is not a valid id"),
    (PATIENT, _set("active", "true"), "Patient.active", "must be true or false"),
    (PATIENT, _set("birthDate", "1974-13"), "Patient.birthDate", "is not a valid date"),
    (PATIENT, _set("birthDate", "1974-02-30"), "Patient.birthDate", "is no day of the calendar"),
    (PATIENT, _set("_birthDate", {}), "Patient.birthDate", "an object may not be empty (ele-1)"),
    (PATIENT, _set("_birthDate.colour", "x"), "Patient.birthDate", "unknown element 'colour'"),
    (PATIENT, _set("name.0.family", ""), "Patient.name[0].family", "a string may not be empty"),
    (PATIENT, _set("name.0.family", " \n"), "Patient.name[0].family", "a string may not be empty"),
    (PATIENT, _set("multipleBirthInteger", 2**31), "Patient.multipleBirth.ofType(integer)",
     "must be a whole number from -2147483648 to 2147483647"),
    (PATIENT, _set("multipleBirthInteger", True), "Patient.multipleBirth.ofType(integer)",
     "must be a whole number from -2147483648 to 2147483647"),
    (PATIENT, _set("photo", [{"contentType": "image/png", "data": "a*b"}]), "Patient.photo[0].data", "must be base64"),
    (PATIENT, _set("implicitRules", "a b"), "Patient.implicitRules", "is not a valid uri"),
    (OBSERVATION, _set("valueQuantity.value", "185"), "Observation.value.ofType(Quantity).value", "must be a number"),
    # choices
    (PATIENT, _set("deceasedDateTime", "2020"), "Patient.deceased",
     "only one of the choices of 'deceased[x]' may be given"),
    (OBSERVATION, _set("valueString", "x"), "Observation.value", "only one of the choices of 'value[x]' may be given"),
    (OBSERVATION, _set("_valueString", {"id": "x"}), "Observation.value",
     "only one of the choices of 'value[x]' may be given"),
    # references
    (OBSERVATION, _set("subject.reference", "Medication/1"), "Observation.subject.reference",
     "may not refer to Medication"),
    (OBSERVATION, _set("subject.reference", "http://x.no/fhir/Medication/1"), "Observation.subject.reference",
     "may not refer to Medication"),
    (OBSERVATION, _set("subject.reference", "Nobody/1"), "Observation.subject.reference",
     "names no resource type of R4"),
    (OBSERVATION, _set("subject.reference", "patient 1"), "Observation.subject.reference",
     "a relative reference is written Type/id"),
    (OBSERVATION, _set("subject.reference", "#p"), "Observation.subject.reference",
     "names a contained resource that is not there (ref-1)"),
    (OBSERVATION, _set("subject", {"type": "Medication", "display": "x"}), "Observation.subject.type",
     "may not refer to Medication"),
    # contained resources
    (PATIENT, _set("contained", [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]), "Patient",
     "dom-3: If the resource is contained in another resource, it SHALL be referred to from elsewhere in the resource"
     " or SHALL refer to the containing resource"),
    # required bindings
    (PATIENT, _set("gender", "x"), "Patient.gender", f"{CODED}administrative-gender"),
    ("Condition-example", _set("clinicalStatus.coding.0.code", "x"), "Condition.clinicalStatus",
     f"{CODED}condition-clinical"),
    ("Condition-example", _set("clinicalStatus", {"text": "active"}), "Condition.clinicalStatus",
     f"{CODED}condition-clinical"),
    # invariants
    (PATIENT, _set("contact.0", {"gender": "male"}), "Patient.contact[0]",
     "pat-1: SHALL at least contain a contact's details or a reference to an organization"),
    (PATIENT, _set("name.0.period", {"start": "2002", "end": "2001"}), "Patient.name[0].period",
     "per-1: If present, start SHALL have a lower value than end"),
    (PATIENT, _set("extension", [{"url": "u:x", "valueString": "a", "extension": [{"url": "b", "valueCode": "c"}]}]),
     "Patient.extension[0]", "ext-1: Must have either extensions or value[x], not both"),
    (PATIENT, _set("telecom.0", {"value": "1"}), "Patient.telecom[0]",
     "cpt-2: A system is required if a value is provided."),
    (OBSERVATION, _set("dataAbsentReason", {"text": "x"}), "Observation",
     "obs-6: dataAbsentReason SHALL only be present if Observation.value[x] is not present"),
    (OBSERVATION, _without("valueQuantity.system"), "Observation.value.ofType(Quantity)",
     "qty-3: If a code for the unit is present, the system SHALL also be present"),
    ("Organization-f001", _set("telecom.0.use", "home"), "Organization.telecom[0]",
     "org-3: The telecom of an organization can never be of use 'home'"),
    ("Appointment-example", _without("end"), "Appointment",
     "app-2: Either start and end are specified, or neither"),
    (BUNDLE, _set("type", "batch"), "Bundle", "bdl-1: total only when a search or history"),
    (BUNDLE, _set("entry.0.resource.status", "x"), "Bundle.entry[0].resource.status",
     f"{CODED}medicationrequest-status"),
    ("Questionnaire-3141", _set("item.0.linkId", "2"), "Questionnaire",
     "que-2: The link ids for groups and questions must be unique within the questionnaire"),
    # narratives
    (PATIENT, _set("text.div", DIV.format("<script>x</script>")), "Patient.text.div",
     "txt-1: The narrative SHALL contain only the basic html formatting elements and attributes described in chapters"
     " 7-11 (except section 4 of chapter 9) and 15 of the HTML 4.0 standard, <a> elements (either name or href), images"
     " and internally contained style attributes"),
    (PATIENT, _set("text.div", DIV.format(" ")), "Patient.text.div",
     "txt-2: The narrative SHALL have some non-whitespace content"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "expression", "text"), BROKEN, ids=[f"{b[2]}: {b[3][:40]}" for b in BROKEN])
def test_one_fault_is_told_where_it_is(name: str, change: Callable[[Any], None], expression: str, text: str) -> None:
    resource = example(name)
    assert not faults_of(resource)
    change(resource)
    assert (expression, text) in faults(resource)


@pytest.mark.parametrize(
    "inner",
    ["<a href='javascript:x'>a</a>", "<p onclick='x'>a</p>", "<form>a</form>", "<p>a", "<b>a</i>", "<object/>a",
     "<p/>&nope;", "<a href=' data: text/html,x'>a</a>", "<p style='behavior: url(x)'>a</p>",
     "<svg xmlns='http://www.w3.org/2000/svg'/>a"],
)  # fmt: skip
def test_what_may_not_stand_in_a_narrative(inner: str) -> None:
    found = faults({"resourceType": "Patient", "text": {"status": "additional", "div": DIV.format(inner)}})
    assert found and found[0][0] == "Patient.text.div"


@pytest.mark.parametrize(
    "inner", ["a&nbsp;b &lt;", "<img src='#i' alt='x'/>", "<p style='color: red' xml:lang='nb'>å</p>"]
)
def test_what_may_stand_in_a_narrative(inner: str) -> None:
    assert not faults({"resourceType": "Patient", "text": {"status": "additional", "div": DIV.format(inner)}})


def test_every_fault_is_told_and_no_value() -> None:
    resource = example(PATIENT) | {
        "gender": "SECRET",
        "birthDate": "SECRET",
        "SECRET å": 1,
        "name": [{"use": "SECRET"}],
    }
    found = faults(resource)
    assert {e for e, _ in found} == {"Patient", "Patient.gender", "Patient.birthDate", "Patient.name[0].use"}
    assert "SECRET" not in str([text for e, text in found if e != "Patient"])


def test_contained_resources() -> None:
    """dom-2 to dom-5, and `#`: within a contained resource, to its neighbour and to the container."""
    organization = {"resourceType": "Organization", "id": "o", "name": "x"}
    holder = {"resourceType": "Patient", "managingOrganization": {"reference": "#o"}, "contained": [organization]}
    assert not faults(holder)
    assert [t[:5] for _, t in faults(holder | {"contained": [organization | {"meta": {"versionId": "1"}}]})] == [
        "dom-4"
    ]
    labelled = organization | {"meta": {"security": [{"code": "R", "system": "urn:x"}]}}
    assert [t[:5] for _, t in faults(holder | {"contained": [labelled]})] == ["dom-5"]
    nested = organization | {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]}
    assert "dom-2" in {t[:5] for _, t in faults(holder | {"contained": [nested]})}
    provenance = {
        "resourceType": "Provenance", "id": "p", "target": [{"reference": "#"}], "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"reference": "#o"}}],
    }  # fmt: skip
    assert not faults(holder | {"contained": [organization, provenance]})
    person = {"resourceType": "Patient", "id": "o"}
    assert faults(holder | {"contained": [person]}) == [
        ("Patient.managingOrganization.reference", "may not refer to Patient")
    ]


def test_dates_of_different_precision_break_no_order() -> None:
    for start, end in (("2012", "2012-05"), ("2012-05-01", "2012-05"), ("2012-05-01T10:00:00Z", "2012-05-01")):
        assert not faults(
            {"resourceType": "Patient", "name": [{"family": "x", "period": {"start": start, "end": end}}]}
        )


SMALL = sorted(
    file.name.removesuffix(".json")
    for file in EXAMPLES.glob("*.json")
    if not file.name.startswith(KINDS_OF_FILES) and file.name not in REFUSED and file.stat().st_size < 12_000
)
FILES = [*SMALL[::9], "Questionnaire-3141", "StructureDefinition-Coding", "Observation-blood-pressure"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["#", "#x", "Patient/1", "2020-02-30", "", "\x00"])
    | st.just("http://hl7.org/fhir/StructureDefinition/bodyweight"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=5)
        | st.sampled_from(["id", "url", "extension", "value", "valueString", "reference", "resourceType", "contained",
                           "meta", "profile", "coding", "code", "system", "start", "end", "_value"]),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """An example with a few of its values replaced, taken away, doubled or added to."""
    resource = copy.deepcopy(example(draw(st.sampled_from(FILES))))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = resource
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans() | st.just(True)):
                place = inner
                continue
            match draw(st.integers(0, 4)):
                case 0:
                    place[key] = draw(JSON)
                case 1:
                    del place[key]
                case 2 if isinstance(place, dict):
                    place[f"_{key}"] = draw(JSON)
                case 3 if isinstance(place, dict):
                    place[draw(st.sampled_from(["extension", "contained", "meta", "valueString", "x"]))] = draw(JSON)
                case _:
                    place[key] = [inner, inner]
            break
    return resource


@given(broken())
@settings(max_examples=1500, deadline=None)
def test_a_broken_resource_gives_faults_and_nothing_else(resource: dict[str, Any]) -> None:
    """And the quick way never lets through what the general engine holds against it."""
    quick = faults_of(resource)
    general = [issue for issue in findings(resource).issues if issue.severity == "error"]
    assert bool(quick) == bool(general)


@given(
    st.sampled_from(["Patient", "Bundle", "Questionnaire", "StructureDefinition", "Observation", "Parameters"]), JSON
)
@settings(max_examples=500, deadline=None)
def test_any_json_is_judged(kind: str, value: Any) -> None:
    faults_of({"resourceType": kind, **(value if isinstance(value, dict) else {"x": value})})


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: dict[str, Any] = {"url": "u", "valueCode": "a"}
    for _ in range(900):
        deep = {"url": "u", "extension": [deep]}
    for resource in ({"resourceType": "Patient", "extension": [deep]}, {"resourceType": "Patient", "name": [deep]}):
        assert faults(resource)
        assert findings(resource).issues


def test_numbers_that_keep_their_text_are_numbers() -> None:
    """As Bundles and patches are parsed (splice.parse_exact)."""
    text = orjson.dumps(example(OBSERVATION)).replace(b'"value":185', b'"value":185.10')
    resource = parse_exact(text)
    assert not faults_of(resource)
    assert not [issue for issue in findings(resource).issues if issue.severity == "error"]
    big = parse_exact(b'{"resourceType":"Patient","multipleBirthInteger":12345678901234567890}')
    assert faults(big)
