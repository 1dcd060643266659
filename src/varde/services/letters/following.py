"""What follows a letter, in FHIR both ways: a Task for the unit, a Flag on the patient, the printed document. Pure.

The letter itself is `model.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.services.letters.model import (
    DOCUMENT_TYPE,
    EXTENSION,
    KEY,
    LETTER,
    NOT_YET,
    RESTRICTION,
    Letter,
    Party,
    instant,
    letter_id,
    party_of,
    reference_to,
    value_of,
)

PROBLEM = "https://varde.no/fhir/CodeSystem/letter-problem"
ATTENTION = "https://varde.no/fhir/CodeSystem/letter-attention"
"""Tag of an open Task: id of the unit that must see to it."""
FLAG = "https://varde.no/fhir/CodeSystem/patient-flag"
ADDRESS_WRONG = "address-wrong"
"""LET-11."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about a letter that a person must see to: a FHIR Task for the unit. `problem` is a key of
    `staff.PROBLEMS`. `letter` is None where none could be made (LET-31)."""

    key: str
    problem: str
    unit: Party
    patient: Party
    title: str
    at: datetime
    letter: str | None = None
    appointment: str | None = None
    detail: str = ""
    done: bool = False

    @property
    def id(self) -> str:
        """The task's id, the same for the same key."""
        patient = self.patient.reference.removeprefix("Patient/")
        return letter_id(self.unit.reference, f"task {self.key}", patient)


def problem_of(letter: Letter, kind: str, at: datetime, detail: str = "") -> Problem:
    """What a person must see to about a letter. `kind` is a key of staff.PROBLEMS."""
    return Problem(
        key=f"{letter.id}:{kind}",
        problem=kind,
        unit=letter.unit,
        patient=letter.subject,
        title=letter.title,
        at=at,
        letter=letter.id,
        detail=detail,
    )


def problem_to_fhir(item: Problem) -> dict[str, Any]:
    """A Problem as a Task. Hidden from the patient: it speaks of staff's work."""
    unit = item.unit.reference.removeprefix("Organization/")
    meta: dict[str, Any] = {"security": [{"system": RESTRICTION, "code": NOT_YET}]}
    if not item.done:
        meta["tag"] = [{"system": ATTENTION, "code": unit}]
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": item.id,
        "meta": meta,
        "identifier": [{"system": KEY, "value": item.key}],
        "status": "completed" if item.done else "requested",
        "intent": "order",
        "code": {"coding": [{"system": PROBLEM, "code": item.problem}]},
        "description": item.title,
        "for": reference_to(item.patient),
        "authoredOn": instant(item.at),
        "owner": reference_to(item.unit),
    }
    if item.letter is not None:
        task["focus"] = {"reference": f"Communication/{item.letter}"}
    elif item.appointment is not None:
        task["focus"] = {"reference": f"Appointment/{item.appointment}"}
    if item.detail:
        task["note"] = [{"text": item.detail}]
    return task


def problem_from_fhir(task: Mapping[str, Any]) -> Problem:
    """The Problem in a Task."""
    focus = (task.get("focus") or {}).get("reference", "")
    kind, _, identifier = focus.partition("/")
    return Problem(
        key=task["identifier"][0]["value"],
        problem=task["code"]["coding"][0]["code"],
        unit=party_of(task["owner"]),
        patient=party_of(task["for"]),
        title=task.get("description", ""),
        at=datetime.fromisoformat(task["authoredOn"]),
        letter=identifier if kind == "Communication" else None,
        appointment=identifier if kind == "Appointment" else None,
        detail=" ".join(note["text"] for note in task.get("note", ())),
        done=task["status"] == "completed",
    )


def address_flag(patient: Party, at: datetime, digest: str = "") -> dict[str, Any]:
    """LET-11: mail came back. One flag a patient, set anew when it is so again. `digest` marks the address without
    telling it, so that the flag speaks of that address alone; empty: of whichever they have."""
    return {
        "resourceType": "Flag",
        "id": flag_id(patient.reference.removeprefix("Patient/")),
        "extension": [{"url": EXTENSION + "address", "valueString": digest or "-"}],
        "status": "active",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/flag-category", "code": "contact"}]}
        ],
        "code": {"coding": [{"system": FLAG, "code": ADDRESS_WRONG}]},
        "subject": reference_to(patient),
        "period": {"start": instant(at)},
    }


def flag_id(patient: str) -> str:
    """Id of a patient's flag "address wrong"."""
    return letter_id("", ADDRESS_WRONG, patient)


def flagged_address(flag: Mapping[str, Any]) -> str:
    """The digest in a flag; empty when it speaks of any address."""
    value = str(value_of(flag["extension"][0])) if flag.get("extension") else ""
    return "" if value == "-" else value


def printed_document(letter: Letter, pdf: bytes, at: datetime, digest: str) -> dict[str, Any]:
    """The exact PDF that was handed to print, as a DocumentReference (LET-54). `digest` marks where it went."""
    return {
        "resourceType": "DocumentReference",
        "id": printed_id(letter),
        "extension": [{"url": EXTENSION + "address", "valueString": digest or "-"}],
        "language": letter.language,
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": DOCUMENT_TYPE, "code": LETTER, "display": "Brev"}]},
        "category": [{"coding": [{"system": DOCUMENT_TYPE, "code": "I00-1"}]}],
        "subject": reference_to(letter.subject),
        "date": instant(at),
        "author": [reference_to(letter.unit)],
        "custodian": reference_to(letter.unit),
        "description": letter.title,
        "content": [
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "language": letter.language,
                    "data": base64.b64encode(pdf).decode(),
                    "size": len(pdf),
                    "title": letter.title,
                    "creation": instant(at),
                }
            }
        ],
        "context": {"related": [{"reference": f"Communication/{letter.id}"}]},
    }


def printed_id(letter: Letter) -> str:
    """Id of the DocumentReference of a letter's paper."""
    return letter_id(letter.unit_id, f"printed {letter.id}", letter.patient)


def printed_pdf(resource: Mapping[str, Any]) -> bytes:
    """The PDF in a DocumentReference of `printed_document`."""
    return base64.b64decode(resource["content"][0]["attachment"]["data"])
