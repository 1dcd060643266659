"""What is recorded of a patient in the proofs: one thing of nearly every kind, tied to one another and across the line
between what is hidden and what is seen. As FHIR.

`things("open", …)` and `things("hid", …)` are the same things with other words and dates; each points at the other's,
whether that is there or not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.access.people import DOCTOR, WARD
from varde.services.letters.document import Document, Paragraph, Sender
from varde.services.letters.model import Change, Letter, Party, to_fhir
from varde.services.letters.rules import Channel, State
from varde.trust.law.marks import RESTRICTION

Resource = dict[str, Any]
LOINC = "http://loinc.org"
LAB_CODES = {"open": "718-7", "hid": "4548-4"}
_DAYS = {"open": 2, "hid": 9}
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def labelled(resource: Resource, code: str | None) -> Resource:
    """The resource, withheld by a code of 9603."""
    if code is None:
        return resource
    meta = {**resource.get("meta", {})}
    return {**resource, "meta": {**meta, "security": [{"system": RESTRICTION, "code": code}]}}


def letter(identifier: str, whose: str, word: str, day: datetime, unit: str, **more: Any) -> Resource:
    """A letter as the service itself writes one, sent and told of."""
    document = Document("nb", f"Brev om {word}", (Paragraph(f"Dette gjelder {word}."),), Sender("Helse Nord", unit),
                        date(2026, 11, 1))  # fmt: skip
    made = Letter(
        id=identifier, key=f"key-{identifier}", state=State.NOTIFIED, subject=Party(f"Patient/{whose}", whose),
        unit=Party(f"Organization/{unit}", unit), recipients=(Party(f"Patient/{whose}", whose),),
        title=f"Brev om {word}", kind="summons", template="summons", template_version="1", language="nb",
        document=document.to_json(), text=document.plain_text(), channel=Channel.DIGITAL, reason="digital",
        appointment=more.pop("appointment", None), sent=day,
        changes=(Change(State.SENT, day, "sent", "Ansatt"), Change(State.NOTIFIED, day, "notified", "Varde")),
    )  # fmt: skip
    return to_fhir(made) | more


def things(
    p: str, o: str, whose: str, *, unit: str = WARD, code: str | None = None, apart: bool = False
) -> list[Resource]:
    """Things of `whose` under ids that begin with `p`, with references to those that begin with `o`; all withheld by
    `code`. `apart`: no reference by which law or block would take one in with the other (law/ties.py, hidden.py)."""
    t = p if apart else o
    day = datetime(2026, 11, _DAYS.get(p, 5), 10, 0, tzinfo=UTC)
    later = datetime(2026, 12, _DAYS.get(p, 5), 8, 30, tzinfo=UTC)
    on, at = day.date().isoformat(), day.isoformat()
    word = {"open": "åpenhet", "hid": "hemmelighet", "kept": "forbehold"}.get(p, p)
    mine, doctor, ward = _to("Patient", whose), _to("Practitioner", f"p{DOCTOR}"), _to("Organization", unit)
    lab, value = LAB_CODES.get(p, "2345-7"), 5.0 if p == "hid" else 4.0
    base: list[Resource] = [
        {"resourceType": "ServiceRequest", "id": f"{p}-referral", "status": "active", "intent": "order",
         "identifier": [{"system": "urn:referral", "value": p}], "subject": mine, "authoredOn": on,
         "requester": doctor, "code": {"text": f"Henvist for {word}"}, "performer": [ward],
         "encounter": _to("Encounter", f"{p}-encounter"), "replaces": [_to("ServiceRequest", f"{o}-referral")]},
        {"resourceType": "Encounter", "id": f"{p}-encounter", "status": "finished", "class": {"code": "AMB"},
         "subject": mine, "period": {"start": at, "end": (day + timedelta(hours=1)).isoformat()},
         "serviceProvider": ward, "location": [{"location": _to("Location", "room")}],
         "partOf": _to("Encounter", f"{t}-encounter"), "basedOn": [_to("ServiceRequest", f"{p}-referral")],
         "reasonCode": [{"text": word}]},
        {"resourceType": "Observation", "id": f"{p}-lab", "status": "final", "subject": mine,
         "identifier": [{"system": "urn:lab", "value": p}],
         "category": [{"coding": [{"system": _CATEGORY, "code": "laboratory"}]}],
         "code": {"coding": [{"system": LOINC, "code": lab, "display": word}], "text": f"Prøve {word}"},
         "effectiveDateTime": at, "issued": at, "performer": [doctor], "note": [{"text": f"Om {word}"}],
         "valueQuantity": {"value": value, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
         "encounter": _to("Encounter", f"{p}-encounter"), "basedOn": [_to("ServiceRequest", f"{p}-referral")],
         "hasMember": [_to("Observation", f"{t}-vital")], "derivedFrom": [_to("Observation", f"{t}-vital")],
         "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">Prøve {word}</div>'}},
        {"resourceType": "Observation", "id": f"{p}-vital", "status": "preliminary", "subject": mine,
         "category": [{"coding": [{"system": _CATEGORY, "code": "vital-signs"}]}],
         "code": {"coding": [{"system": LOINC, "code": "85354-9"}]}, "effectiveDateTime": on,
         "component": [{"code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
                        "valueQuantity": {"value": 120 + value, "unit": "mmHg"}}],
         "hasMember": [_to("Observation", f"{p}-lab")], "basedOn": [_to("ServiceRequest", f"{p}-referral")]},
        {"resourceType": "Condition", "id": f"{p}-condition", "subject": mine, "onsetDateTime": on, "recordedDate": on,
         "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                        "code": "active"}]},
         "code": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7110", "code": f"X{value:.0f}"}], "text": word},
         "encounter": _to("Encounter", f"{p}-encounter"), "evidence": [{"detail": [_to("Observation", f"{p}-lab")]}]},
        {"resourceType": "Appointment", "id": f"{p}-appointment", "status": "booked", "description": f"Time for {word}",
         "start": later.isoformat(), "end": (later + timedelta(minutes=30)).isoformat(), "created": on,
         "supportingInformation": [ward], "basedOn": [_to("ServiceRequest", f"{p}-referral")],
         "participant": [{"actor": mine, "status": "accepted"},
                         {"actor": _to("Location", "room"), "status": "accepted"}]},
        letter(f"{p}-letter", whose, word, day, unit, appointment=f"{p}-appointment"),
        {"resourceType": "Communication", "id": f"{p}-message", "status": "completed", "subject": mine, "sent": at,
         "category": [{"coding": [{"system": "urn:x", "code": "dialogue"}]}], "sender": doctor, "recipient": [mine],
         "basedOn": [_to("ServiceRequest", f"{p}-referral")], "partOf": [_to("Communication", f"{t}-letter")],
         "topic": {"text": f"Samtale om {word}"}, "payload": [{"contentString": f"Vi snakket om {word}"}]},
        {"resourceType": "Task", "id": f"{p}-task", "status": "requested", "intent": "order", "for": mine,
         "description": f"Følg opp {word}", "authoredOn": at, "focus": _to("Communication", f"{p}-message"),
         "basedOn": [_to("ServiceRequest", f"{p}-referral")], "owner": ward},
        {"resourceType": "DiagnosticReport", "id": f"{p}-report", "status": "final", "subject": mine, "issued": at,
         "code": {"coding": [{"system": LOINC, "code": "58410-2"}]}, "conclusion": f"Svar om {word}",
         "basedOn": [_to("ServiceRequest", f"{p}-referral")], "effectiveDateTime": on,
         "result": [_to("Observation", f"{p}-lab"), _to("Observation", f"{t}-vital")]},
        {"resourceType": "DocumentReference", "id": f"{p}-document", "status": "current", "subject": mine, "date": at,
         "type": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9602", "code": "A03-2"}], "text": word},
         "description": f"Notat om {word}", "context": {"related": [_to("ServiceRequest", f"{p}-referral")],
                                                        "encounter": [_to("Encounter", f"{p}-encounter")]},
         "content": [{"attachment": {"contentType": "text/plain", "data": "aGVtbWVsaWc=", "title": word}}]},
        {"resourceType": "CarePlan", "id": f"{p}-plan", "status": "active", "intent": "plan", "subject": mine,
         "title": f"Plan for {word}", "created": on, "period": {"start": on},
         "replaces": [_to("CarePlan", f"{o}-plan")], "basedOn": [_to("CarePlan", f"{t}-older")],
         "supportingInfo": [_to("ServiceRequest", f"{p}-referral")],
         "activity": [{"reference": _to("ServiceRequest", f"{p}-referral")}]},
        {"resourceType": "QuestionnaireResponse", "id": f"{p}-answers", "status": "completed", "subject": mine,
         "questionnaire": "http://q/form", "authored": at, "basedOn": [_to("ServiceRequest", f"{p}-referral")],
         "item": [{"linkId": "1", "answer": [{"valueString": f"Svar om {word}"}]}]},
        {"resourceType": "MedicationRequest", "id": f"{p}-medicine", "status": "active", "intent": "order",
         "subject": mine, "authoredOn": on, "medicationReference": {"reference": "#m"},
         "contained": [{"resourceType": "Medication", "id": "m",
                        "code": {"coding": [{"system": "urn:atc", "code": f"N0{value:.0f}"}], "text": word}}]},
        {"resourceType": "Procedure", "id": f"{p}-procedure", "status": "completed", "subject": mine,
         "performedDateTime": on, "code": {"text": f"Inngrep for {word}"},
         "basedOn": [_to("ServiceRequest", f"{p}-referral")]},
        {"resourceType": "Immunization", "id": f"{p}-vaccine", "status": "completed", "patient": mine,
         "vaccineCode": {"coding": [{"system": "urn:atc", "code": f"J07{value:.0f}"}]}, "occurrenceDateTime": on},
        {"resourceType": "AllergyIntolerance", "id": f"{p}-allergy", "patient": mine, "recordedDate": on,
         "clinicalStatus": {"coding": [{
             "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
         "code": {"text": f"Tåler ikke {word}"}},
        {"resourceType": "List", "id": f"{p}-list", "status": "current", "mode": "working", "subject": mine,
         "date": on, "title": f"Liste over {word}",
         "entry": [{"item": _to("Observation", "open-lab")}, {"item": _to("Observation", "hid-lab")}]},
        {"resourceType": "Provenance", "id": f"{p}-origin", "recorded": at, "agent": [{"who": doctor}],
         "target": [_to("Observation", f"{t}-lab"), _to("Observation", f"{p}-lab"), mine]},
        {"resourceType": "AuditEvent", "id": f"{p}-event", "recorded": at, "type": {"code": "110110"},
         "agent": [{"who": doctor, "requestor": True}], "source": {"observer": {"display": "Varde"}},
         "entity": [{"what": _to("Observation", f"{p}-lab")}, {"what": mine}]},
        {"resourceType": "RelatedPerson", "id": f"{p}-relative", "active": True, "patient": mine,
         "name": [{"family": word.title(), "given": ["Slektning"]}], "birthDate": on},
        {"resourceType": "Flag", "id": f"{p}-flag", "status": "active", "subject": mine, "period": {"start": on},
         "code": {"text": f"Merk {word}"}},
        {"resourceType": "Basic", "id": f"{p}-basic", "subject": mine, "created": on, "code": {"text": word}},
    ]  # fmt: skip
    return [labelled(one, code) for one in base]


def _to(kind: str, identifier: str) -> dict[str, str]:
    return {"reference": f"{kind}/{identifier}"}
