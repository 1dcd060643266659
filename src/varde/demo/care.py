"""The synthetic region's care: referrals, episodes, appointments and results of a patient at a ward, as FHIR."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from varde.clock import OSLO
from varde.demo.people import Human, Resource, Unit, Worker, stable_id
from varde.fhir.keys import bucket_of
from varde.trust.persons import system_of

_KINDS = (("Poliklinisk konsultasjon", 30), ("Kontroll", 20), ("Undersøkelse", 45), ("Dagbehandling", 180))


def at(day: date, hour: int, minute: int) -> datetime:
    """A moment by Norwegian clocks, in UTC."""
    return datetime.combine(day, time(hour, minute), OSLO).astimezone(UTC)


def _subject(human: Human) -> Resource:
    return {
        "reference": f"Patient/{human.id}",
        "type": "Patient",
        "identifier": {"system": system_of(human.number), "value": human.number},
    }


def working_day(day: date) -> date:
    """`day`, or the Monday after a weekend."""
    return day + timedelta(days=(7 - day.weekday()) % 7 if day.weekday() > 4 else 0)


def course(
    random: Random, human: Human, unit: Unit, workers: list[Worker], today: date, *, days: int | None = None
) -> list[Resource]:
    """A referral, its episode of care and one appointment at `unit`, `days` from today (drawn when None)."""
    bucket = bucket_of(human.id)
    referred = today - timedelta(days=random.randrange(20, 120))
    referral: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": stable_id(random, bucket),
        "status": "active",
        "intent": "order",
        "subject": _subject(human),
        "authoredOn": referred.isoformat(),
        "performer": [{"reference": f"Organization/{unit.id}", "display": unit.name}],
    }
    if random.random() < 0.96:  # a few come without the date that the assessment must set: LET-33 refuses them
        latest = referred + timedelta(days=random.randrange(90, 270, 7))
        referral["occurrencePeriod"] = {"end": latest.isoformat()}
    episode = {
        "resourceType": "EpisodeOfCare",
        "id": stable_id(random, bucket),
        "status": "active",
        "patient": {"reference": f"Patient/{human.id}"},
        "managingOrganization": {"reference": f"Organization/{unit.id}", "display": unit.name},
        "period": {"start": (referred + timedelta(days=7)).isoformat()},
        "referralRequest": [{"reference": f"ServiceRequest/{referral['id']}"}],
    }
    away = days if days is not None else random.randrange(-40, 60)
    text, minutes = random.choice(_KINDS)
    start = at(working_day(today + timedelta(days=away)), random.randrange(8, 15), random.choice((0, 15, 30, 45)))
    clinicians = [w for w in workers if w.unit.id == unit.id and w.role == "doctor"]
    participants: list[Resource] = [
        {"actor": _subject(human), "status": "accepted"},
        {"actor": {"reference": f"Location/{unit.location}"}, "status": "accepted"},
    ]
    if clinicians:
        one = random.choice(clinicians)
        participants.append(
            {"actor": {"reference": f"Practitioner/{one.id}", "display": one.name}, "status": "accepted"}
        )
    appointment = {
        "resourceType": "Appointment",
        "id": stable_id(random, bucket),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{stable_id(random, bucket)}"}],
        "status": "booked" if away >= 0 else "fulfilled",
        "serviceCategory": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-category", "code": "27"}]}
        ],
        "description": text,
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=minutes)).isoformat(),
        "created": (referred + timedelta(days=8)).isoformat(),
        "basedOn": [{"reference": f"ServiceRequest/{referral['id']}"}],
        "supportingInformation": [{"reference": f"Organization/{unit.id}", "display": unit.name}],
        "participant": participants,
    }
    return [referral, episode, appointment]


def report(random: Random, human: Human, record: list[Resource], about: str, today: date) -> Resource:
    """The report of results that the unit of the first referral in the record has from the laboratory since
    yesterday."""
    referral = next(one for one in record if one["resourceType"] == "ServiceRequest")
    return {
        "resourceType": "DiagnosticReport",
        "id": stable_id(random, bucket_of(human.id)),
        "status": "final",
        "code": {"text": about},
        "subject": _subject(human),
        "basedOn": [{"reference": f"ServiceRequest/{referral['id']}"}],
        "performer": referral["performer"],
        "effectiveDateTime": at(today - timedelta(days=3), 9, 0).isoformat(),
        "issued": at(today - timedelta(days=1), 14, 30).isoformat(),
        "conclusion": "Svaret er klart.",
    }
