"""Rows of the access log as FHIR AuditEvents: the trust framework's profile for Norway, with IHE BALP's elements
(SPECS 3.9). Pure. The log is the table alone; these are made of it whenever they are read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from varde.fhir.splice import instant
from varde.trust.grounds import GROUNDS
from varde.trust.persons import HPR

PROFILE = "http://hl7.no/fhir/StructureDefinition/no-domain-Trustframework-Auditevent"
OF_PATIENT = "http://hl7.no/fhir/StructureDefinition/auditevent-patient-extension"
CARE_RELATION = "http://hl7.no/fhir/StructureDefinition/auditevent-carerelation-metadata-extension"
POLICY = "https://varde.no/fhir/ground/"
"""Begins the uri that names a ground of trust/grounds.py."""
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_KIND = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_SOURCE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_APP = re.compile(r"App (.+) \(([\w.-]+)\)")
"""How `through` names an app (trust/smart/clients.py)."""
ACTIONS = {"create": "C", "update": "U", "patch": "U", "delete": "D", "search": "E"}
"""Of interactions; every other is a read, R."""


def event_id(row: int) -> str:
    """The id of the AuditEvent that a row of the log is."""
    return f"audit-{row}"


def row_of(event: str) -> int | None:
    """The row that an id of an AuditEvent names; None when it is no such id."""
    found = re.fullmatch(r"audit-([1-9][0-9]{0,17})", event)
    return int(found[1]) if found else None


def as_fhir(row: Mapping[str, Any], patient: str | None, references: Sequence[str]) -> dict[str, Any]:
    """A row as an AuditEvent. `patient` is the id of the one it tells of; `references` what of the row's things the
    reader may know of."""
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event_id(row["id"]),
        "meta": {"versionId": "1", "lastUpdated": instant(row["at"])},
        "type": {"system": _DICOM, "code": "110110", "display": "Patient Record"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": row["interaction"]}],
        "action": ACTIONS.get(row["interaction"], "R"),
        "recorded": instant(row["at"]),
        "outcome": "0" if row["allowed"] else "8",
        "purposeOfEvent": [_purpose(row)],
        "agent": [_agent(row), *_others(row)],
        "source": {
            "observer": {"display": row["through"]},
            "type": [{"system": _SOURCE, "code": "4", "display": "Application Server"}],
        },
    }
    if not row["allowed"]:
        event["outcomeDesc"] = "refused"
    if patient is not None:
        event["meta"]["profile"] = [PROFILE]
        event["extension"] = [{"url": OF_PATIENT, "valueReference": {"reference": f"Patient/{patient}"}}]
        if (relation := _care_relation(row["decision_ref"])) is not None:
            event["extension"].append(relation)
    if entities := _entities(row, patient, references):
        event["entity"] = entities
    return event


def _purpose(row: Mapping[str, Any]) -> dict[str, Any]:
    coded: dict[str, Any] = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": row["purpose"]}]
    }
    ground = GROUNDS.get(row["ground"])
    return coded | ({"text": f"{ground.law} {ground.section}"} if ground else {})


def _agent(row: Mapping[str, Any]) -> dict[str, Any]:
    """Who did it."""
    kind, name = row["actor_kind"], row["actor_name"]
    if kind == "staff":
        who: dict[str, Any] = {"type": "PractitionerRole"}
        if row["actor"]:
            who |= {"identifier": {"system": HPR, "value": row["actor"]}, "display": name}
        else:  # under threat: the unit alone (FAM-41)
            who["display"] = row["unit_name"] or "–"
    elif kind == "system":
        who = {"type": "Device", "identifier": {"value": row["actor"]}, "display": name}
    else:
        who = {"reference": f"Patient/{row['actor']}", "display": name}
    agent: dict[str, Any] = {
        "type": {"coding": [{"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}]},
        "who": who,
        "requestor": True,
        "policy": [POLICY + row["ground"]],
    }
    if row["role"]:
        agent["role"] = [{"text": row["role"]}]
    if kind == "staff" and row["actor"]:
        agent["altId"] = row["actor"]
    return agent


def _others(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The unit it was done for, and the app it was done with."""
    found = []
    if row["unit"]:
        who = {"reference": f"Organization/{row['unit']}"}
        found.append({"who": who | ({"display": row["unit_name"]} if row["unit_name"] else {}), "requestor": False})
    if (app := _APP.fullmatch(row["through"])) is not None:
        found.append(
            {
                "type": {"coding": [{"system": _DICOM, "code": "110150", "display": "Application"}]},
                "who": {"identifier": {"value": app[2]}, "display": app[1]},
                "requestor": False,
            }
        )
    return found


def _care_relation(decision_ref: str | None) -> dict[str, Any] | None:
    """The attestation's own decision. All four of its parts are mandatory: one that lacks some is left out whole."""
    told = orjson.loads(decision_ref) if decision_ref else {}
    if not {"id", "description", "user_selected", "toa"} <= told.keys():
        return None
    return {
        "url": CARE_RELATION,
        "extension": [
            {"url": "decision-ref-id", "valueString": told["id"]},
            {"url": "decision-ref-description", "valueString": told["description"]},
            {"url": "decision-ref-user-selected", "valueBoolean": told["user_selected"]},
            {"url": "toa", "valueUnsignedInt": told["toa"]},
        ],
    }


def _entities(row: Mapping[str, Any], patient: str | None, references: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "what": {"reference": one},
            "type": {"system": _KIND, "code": "2", "display": "System Object"},
            "role": {"system": _ROLE, "code": "4", "display": "Domain Resource"},
        }
        for one in references
    ]
    if patient is not None:
        found.append(
            {
                "what": {"reference": f"Patient/{patient}"},
                "type": {"system": _KIND, "code": "1", "display": "Person"},
                "role": {"system": _ROLE, "code": "1", "display": "Patient"},
            }
        )
    if row["query"]:
        found.append(
            {
                "type": {"system": _KIND, "code": "2", "display": "System Object"},
                "role": {"system": _ROLE, "code": "24", "display": "Query"},
                "query": base64.b64encode(row["query"].encode()).decode(),
            }
        )
    return found
