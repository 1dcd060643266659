"""A case: one appointment that a letter may be about, with all that routing and writing it needs, gathered in bulk.

What is known of the patient is `people.py`'s. No decision is made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.keys import resource_key
from varde.services.letters import young
from varde.services.letters.keeping import own_scope
from varde.services.letters.library import LetterFacts
from varde.services.letters.model import NOT_YET, RESTRICTION, Party
from varde.services.letters.people import Known, known_people
from varde.trust.persons import ENH

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

NO_LETTER = frozenset({"cancelled", "noshow", "entered-in-error", "fulfilled"})
"""Statuses of an appointment that no letter summons to."""
NOT_FOR_PARENTS = "NORN_FORANS"
"""9603: withheld from those who act for the patient (FAM-04)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The sender: a ward with its hospital and trust."""

    party: Party
    trust: str
    hospital: str
    phone: str
    website: str
    address: tuple[str, ...]
    hours: str = ""

    @property
    def id(self) -> str:
        """Id of the Organization."""
        return self.party.reference.removeprefix("Organization/")


@dataclass(frozen=True, slots=True)
class Case:
    """An appointment and its patient."""

    id: str
    start: datetime
    status: str
    restrictions: tuple[str, ...]
    known: Known
    unit: Unit
    facts: LetterFacts

    @property
    def withheld(self) -> bool:
        """Whether the parents shall not be told of it (FAM-04)."""
        return NOT_FOR_PARENTS in self.restrictions


def patient_of(appointment: Mapping[str, Any]) -> str | None:
    """Id of the Patient who has the appointment."""
    for participant in appointment.get("participant", ()):
        reference = str((participant.get("actor") or {}).get("reference", ""))
        if reference.startswith("Patient/"):
            return reference.removeprefix("Patient/")
    return None


def restrictions_of(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of 9603 that a letter about this carries too."""
    labels = (resource.get("meta") or {}).get("security", ())
    return tuple(one["code"] for one in labels if one.get("system") == RESTRICTION and one["code"] != NOT_YET)


def start_of(appointment: Mapping[str, Any]) -> datetime | None:
    """When it begins; None for one without a time."""
    return datetime.fromisoformat(appointment["start"]) if appointment.get("start") else None


def belongs_to(appointment: Mapping[str, Any], unit: str) -> bool:
    """Whether it is an appointment of the unit."""
    return any(one.get("reference") == f"Organization/{unit}" for one in appointment.get("supportingInformation", ()))


async def read_unit(platform: Platform, connection: Any, unit: str) -> Unit:
    """The sender, with the hospital and trust above it. Raises NotFound."""
    scope = own_scope(platform)
    line: list[Mapping[str, Any]] = []
    following: str | None = unit
    while following and len(line) < 5:
        stored = await platform.store.read(scope, "Organization", following, connection=connection)
        line.append(stored.resource)
        reference = str((stored.resource.get("partOf") or {}).get("reference", ""))
        following = reference.removeprefix("Organization/") if reference.startswith("Organization/") else None
    ward = line[0]
    # The trust is the nearest with a number of its own in the register of legal entities; the region owns it.
    trust = next((one for one in line if any(i.get("system") == ENH for i in one.get("identifier", ()))), line[-1])
    hospital = str(line[1]["name"]) if len(line) > 1 and line[1] is not trust and ward is not trust else ""
    address: Mapping[str, Any] = next((one for org in line for one in org.get("address", ())), {})
    return Unit(
        party=Party(f"Organization/{unit}", str(ward["name"])),
        trust=str(trust["name"]),
        hospital=hospital,
        phone=_telecom(ward, "phone"),
        website=_telecom(trust, "url"),
        address=_lines(address),
    )


async def gather(
    platform: Platform, scope: Scope, connection: Any, appointment_ids: Sequence[str], unit: Unit
) -> list[Case]:
    """The cases of these appointments of the unit, in the order asked for, seen through `scope`; those that it
    hides, or that have no patient or time, are left out. Raises RegisterUnavailable."""
    store = platform.store
    found = await store.read_many(scope, "Appointment", list(appointment_ids), connection=connection)
    appointments = [
        found[one].resource
        for one in dict.fromkeys(appointment_ids)
        if one in found and belongs_to(found[one].resource, unit.id) and start_of(found[one].resource)
    ]
    wanted = sorted({patient for one in appointments if (patient := patient_of(one))})
    patients = await store.read_many(scope, "Patient", wanted, connection=connection)
    known = await known_people(platform, connection, [one.resource for one in patients.values()])
    own = own_scope(platform)
    places = await store.read_many(own, "Location", _references(appointments, "Location"), connection=connection)
    referrals = await store.read_many(
        own, "ServiceRequest", _references(appointments, "ServiceRequest"), connection=connection
    )
    cases = []
    for appointment in appointments:
        one = known.get(patient_of(appointment) or "")
        if one is not None:
            rid = resource_key("Appointment", str(appointment["id"]))
            one = await young.assessed(platform, connection, one, rid, restrictions_of(appointment))
            place = next((places[p].resource for p in _references([appointment], "Location") if p in places), {})
            referral = next(
                (referrals[r].resource for r in _references([appointment], "ServiceRequest") if r in referrals), {}
            )
            cases.append(_case(appointment, one, unit, place, referral))
    return cases


def _case(
    appointment: Mapping[str, Any], known: Known, unit: Unit, place: Mapping[str, Any], referral: Mapping[str, Any]
) -> Case:
    start = start_of(appointment)
    assert start is not None
    facts = LetterFacts(
        patient=known.party.name,
        unit=unit.party.name,
        trust=unit.trust,
        born=known.born,
        hospital=unit.hospital,
        unit_phone=unit.phone,
        opening_hours=unit.hours,
        website=unit.website,
        sender_address=unit.address,
        start=start,
        minutes=_minutes(appointment, start),
        kind=str(appointment.get("description", "")),
        place=str(place.get("name", "")),
        address=_lines(place.get("address") or {}),
        room=str(place.get("description", "")),
        practitioner=_practitioner(appointment),
        instruction=str(appointment.get("patientInstruction", "")),
        referral_date=_day(referral.get("authoredOn")),
        deadline=_day((referral.get("occurrencePeriod") or {}).get("end")),
    )
    return Case(
        id=str(appointment["id"]),
        start=start,
        status=str(appointment["status"]),
        restrictions=restrictions_of(appointment),
        known=known,
        unit=unit,
        facts=facts,
    )


def _references(appointments: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    found: dict[str, None] = {}
    for one in appointments:
        referred = [p.get("actor") or {} for p in one.get("participant", ())]
        for reference in (*referred, *one.get("basedOn", ()), *one.get("supportingInformation", ())):
            text = str(reference.get("reference", ""))
            if text.startswith(f"{kind}/"):
                found[text.removeprefix(f"{kind}/")] = None
    return list(found)


def _practitioner(appointment: Mapping[str, Any]) -> str:
    for participant in appointment.get("participant", ()):
        actor = participant.get("actor") or {}
        if str(actor.get("reference", "")).startswith("Practitioner"):
            return str(actor.get("display", ""))
    return ""


def _minutes(appointment: Mapping[str, Any], start: datetime) -> int | None:
    if "minutesDuration" in appointment:
        return int(appointment["minutesDuration"])
    if appointment.get("end"):
        return int((datetime.fromisoformat(appointment["end"]) - start).total_seconds() // 60) or None
    return None


def _day(text: Any) -> date | None:
    """A whole date; a year or month alone is none."""
    return date.fromisoformat(text[:10]) if isinstance(text, str) and len(text) >= 10 else None


def _telecom(organisation: Mapping[str, Any], system: str) -> str:
    return next((str(one["value"]) for one in organisation.get("telecom", ()) if one.get("system") == system), "")


def _lines(address: Mapping[str, Any]) -> tuple[str, ...]:
    town = " ".join(filter(None, (address.get("postalCode"), address.get("city"))))
    return tuple(filter(None, (*address.get("line", ()), town)))
