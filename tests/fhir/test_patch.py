"""Patches without a database: FHIRPath Patch case by case as HL7's own test cases go, JSON Patch and merge patch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from varde.fhir.errors import BadRequest, FhirError, Unprocessable
from varde.fhir.patching.patch import PatchKind, apply_patch

IDENTIFIERS = {"identifier": [{"system": "urn:x", "value": f"value {n}"} for n in (1, 2, 3)]}


def _operation(kind: str, path: str, **more: Any) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in more.items():
        parts.append({"name": name, **value} if isinstance(value, dict) else _plain(name, value))
    return {"name": "operation", "part": parts}


def _plain(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "valueInteger" if isinstance(value, int) else "valueString": value}


def _patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    body = {"resourceType": "Patient", **resource}
    patch: dict[str, Any] = {"resourceType": "Parameters"}
    if operations:
        patch["parameter"] = list(operations)
    changed = json.loads(apply_patch(json.dumps(body).encode(), json.dumps(patch).encode(), PatchKind.FHIRPATH))
    kind = changed.pop("resourceType")
    assert kind == body["resourceType"]
    return changed


def _values(patient: dict[str, Any]) -> list[str]:
    return [identifier["value"][-1] for identifier in patient["identifier"]]


CONTACT = {"contact": [{"name": {"text": "a name"}, "gender": "male"}]}
FAMILY = {"name": [{"family": "du Marché", "_family": {"extension": [{"url": "urn:p", "valueString": "VV"}]}}]}


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"birthDate": "1920-01-01"}, [], {"birthDate": "1920-01-01"}),
        (
            {"birthDate": "1920-01-01"},
            [_operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"})],
            {"birthDate": "1930-01-01"},
        ),
        ({"birthDate": "1920-01-01", "active": True}, [_operation("delete", "Patient.birthDate")], {"active": True}),
        (
            {},
            [_operation("add", "Patient", name="birthDate", value={"valueDate": "1930-01-01"})],
            {"birthDate": "1930-01-01"},
        ),
        (
            CONTACT,
            [_operation("replace", "Patient.contact[0].gender", value={"valueCode": "female"})],
            {"contact": [{"name": {"text": "a name"}, "gender": "female"}]},
        ),
        (
            CONTACT,
            [_operation("replace", "Patient.contact[0].name.text", value={"valueString": "the name"})],
            {"contact": [{"name": {"text": "the name"}, "gender": "male"}]},
        ),
        (CONTACT, [_operation("delete", "Patient.contact[0].gender")], {"contact": [{"name": {"text": "a name"}}]}),
        # What is left empty goes as well.
        (CONTACT, [_operation("delete", "Patient.contact[0].name.text")], {"contact": [{"gender": "male"}]}),
        ({"contact": [{"name": {"text": "x"}}]}, [_operation("delete", "Patient.contact[0].name")], {}),
        (
            {"contact": [{"name": {"text": "a name"}}]},
            [_operation("add", "Patient.contact[0]", name="gender", value={"valueCode": "male"})],
            CONTACT,
        ),
        (
            {},
            [_operation("add", "Patient", name="maritalStatus", value={"valueCodeableConcept": {"text": "married"}})],
            {"maritalStatus": {"text": "married"}},
        ),
        (
            {"maritalStatus": {"id": "1", "text": "married"}},
            [
                _operation(
                    "replace",
                    "Patient.maritalStatus",
                    value={"valueCodeableConcept": {"id": "2", "text": "not married"}},
                )
            ],
            {"maritalStatus": {"id": "2", "text": "not married"}},
        ),
        ({"maritalStatus": {"text": "married"}}, [_operation("delete", "Patient.maritalStatus")], {}),
        # A type that has no name of its own is made of parts.
        (
            {},
            [
                _operation(
                    "add",
                    "Patient",
                    name="contact",
                    value={
                        "part": [
                            {"name": "name", "valueHumanName": {"text": "a name"}},
                            {"name": "telecom", "valueContactPoint": {"value": "1"}},
                        ]
                    },
                )
            ],
            {"contact": [{"name": {"text": "a name"}, "telecom": [{"value": "1"}]}]},
        ),
        ({"contact": [{"name": {"text": "a name"}}]}, [_operation("delete", "Patient.contact[0]")], {}),
        (
            IDENTIFIERS,
            [
                _operation("replace", "Patient.identifier[0].value", value={"valueString": "value 2"}),
                _operation("replace", "Patient.identifier[1].value", value={"valueString": "value 1"}),
            ],
            {
                "identifier": [
                    {"system": "urn:x", "value": "value 2"},
                    {"system": "urn:x", "value": "value 1"},
                    {"system": "urn:x", "value": "value 3"},
                ]
            },
        ),
        (
            {"identifier": [{"use": "official", "value": "1"}, {"use": "usual", "value": "2"}]},
            [_operation("delete", "Patient.identifier.where(use = 'official' and value='1')")],
            {"identifier": [{"use": "usual", "value": "2"}]},
        ),
        (
            {"identifier": [{"use": "official", "value": "1"}]},
            [
                _operation(
                    "add",
                    "Patient.identifier.where(use = 'official')",
                    name="period",
                    value={"valuePeriod": {"end": "2021-12-01"}},
                )
            ],
            {"identifier": [{"use": "official", "value": "1", "period": {"end": "2021-12-01"}}]},
        ),
        # Choices: added, found and replaced under their element's name.
        (
            {},
            [_operation("add", "Patient", name="deceased", value={"valueBoolean": True})],
            {"deceasedBoolean": True},
        ),
        (
            {"deceasedBoolean": True, "active": True},
            [_operation("replace", "Patient.deceased", value={"valueDateTime": "2026"})],
            {"deceasedDateTime": "2026", "active": True},
        ),
        (
            {"deceasedDateTime": "2026"},
            [_operation("delete", "(Patient.deceased as dateTime)")],
            {},
        ),
        # Extensions of primitives.
        (
            FAMILY,
            [_operation("replace", "Patient.name[0].family.extension[0].value", value={"valueString": "WW"})],
            {"name": [{"family": "du Marché", "_family": {"extension": [{"url": "urn:p", "valueString": "WW"}]}}]},
        ),
        (
            {"birthDate": "1970"},
            [
                _operation(
                    "add",
                    "Patient.birthDate",
                    name="extension",
                    value={"valueExtension": {"url": "urn:t", "valueDateTime": "1970-01-01T10:00:00Z"}},
                )
            ],
            {
                "birthDate": "1970",
                "_birthDate": {"extension": [{"url": "urn:t", "valueDateTime": "1970-01-01T10:00:00Z"}]},
            },
        ),
        (FAMILY, [_operation("delete", "Patient.name.family")], {}),
        (
            {"name": [{"given": ["a", "b"], "_given": [None, {"id": "x"}]}]},
            [_operation("delete", "Patient.name[0].given[0]")],
            {"name": [{"given": ["b"], "_given": [{"id": "x"}]}]},
        ),
        (
            {"extension": [{"url": "urn:a", "valueString": "1"}, {"url": "urn:b", "valueString": "2"}]},
            [_operation("replace", "Patient.extension('urn:b').value", value={"valueInteger": 2})],
            {"extension": [{"url": "urn:a", "valueString": "1"}, {"url": "urn:b", "valueInteger": 2}]},
        ),
        # A path may begin with the member; first() and last() are places as well.
        (
            {"name": [{"text": "a"}, {"text": "b"}]},
            [
                _operation("delete", "name.last()"),
                _operation("replace", "name.first().text", value={"valueString": "c"}),
            ],
            {"name": [{"text": "c"}]},
        ),
        (
            {"telecom": [{"value": "1"}, {"value": "2", "period": {"end": "2020"}}]},
            [_operation("delete", "Patient.telecom.where(period.end.exists())")],
            {"telecom": [{"value": "1"}]},
        ),
    ],
)
def test_fhirpath_patch(before: dict[str, Any], operations: list[dict[str, Any]], after: dict[str, Any]) -> None:
    assert _patched(before, *operations) == after


@pytest.mark.parametrize("at", range(4))
def test_fhirpath_insert(at: int) -> None:
    new = {"valueIdentifier": {"system": "urn:x", "value": "value 4"}}
    expected = ["1", "2", "3"]
    expected.insert(at, "4")
    assert _values(_patched(IDENTIFIERS, _operation("insert", "Patient.identifier", index=at, value=new))) == expected


@pytest.mark.parametrize("source", range(3))
@pytest.mark.parametrize("destination", range(3))
def test_fhirpath_move(source: int, destination: int) -> None:
    expected = ["1", "2", "3"]
    expected.insert(destination, expected.pop(source))
    move = _operation("move", "Patient.identifier", source=source, destination=destination)
    assert _values(_patched(IDENTIFIERS, move)) == expected


def test_fhirpath_moves_what_stands_beside_primitives_along() -> None:
    name = {"name": [{"given": ["a", "b"], "_given": [{"id": "of-a"}, None]}]}
    moved = _patched(name, _operation("move", "Patient.name[0].given", source=0, destination=1))
    assert moved == {"name": [{"given": ["b", "a"], "_given": [None, {"id": "of-a"}]}]}


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        # An element that is not there; several; none to be made of the path.
        (_operation("add", "Patient.identifier.where(use = 'x').period", name="end", value={"valueDate": "2021"}),
         Unprocessable),
        (_operation("replace", "Patient.gender", value={"valueCode": "male"}), Unprocessable),
        (_operation("delete", "Patient.identifier"), Unprocessable),
        (_operation("replace", "Patient.identifier", value={"valueIdentifier": {"value": "1"}}), Unprocessable),
        (_operation("insert", "Patient.identifier", index=4, value={"valueIdentifier": {}}), Unprocessable),
        (_operation("insert", "Patient.active", index=0, value={"valueBoolean": True}), Unprocessable),
        (_operation("move", "Patient.identifier", source=0, destination=3), Unprocessable),
        (_operation("add", "Patient", name="active", value={"valueBoolean": True}), Unprocessable),
        (_operation("delete", "Patient"), Unprocessable),
        (_operation("replace", "Patient", value={"valueString": "x"}), Unprocessable),
        (_operation("delete", "Patient.name.where("), BadRequest),
        (_operation("delete", "Patient.name.toString()"), BadRequest),
        (_operation("delete", "Patient.name + 1"), BadRequest),
        (_operation("grow", "Patient"), BadRequest),
        (_operation("add", "Patient", name="birthDate"), BadRequest),
        (_operation("add", "Patient", value={"valueBoolean": True}), BadRequest),
        (_operation("insert", "Patient.identifier", index=-1, value={"valueIdentifier": {}}), BadRequest),
        ({"name": "other"}, BadRequest),
        ({"name": "operation", "part": [1]}, BadRequest),
    ],
)  # fmt: skip
def test_fhirpath_patch_that_does_not_fit(operation: dict[str, Any], error: type[FhirError]) -> None:
    with pytest.raises(error):
        _patched({"active": True, **IDENTIFIERS}, operation)


def test_deleting_what_is_not_there_is_no_error() -> None:
    assert _patched({"active": True}, _operation("delete", "Patient.birthDate")) == {"active": True}
