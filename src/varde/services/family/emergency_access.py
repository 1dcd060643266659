"""Use cases of emergency access (FAM-34): opening a patient's record over blocks with a reason, for a short time;
reading it; ending it. Those concerned are told at once, and the unit's leader goes through each (emergency_reviews.py).

What an opened one lets see is trust/emergency.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Forbidden, NotFound, PreconditionFailed
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import lasting_id, resource_key
from varde.fhir.model import NO_VERSION
from varde.services.family import emergency_reviews, notices, telling
from varde.services.family.emergency_rules import ends
from varde.services.family.naming import KINDS, Named, named
from varde.services.family.notices import Kind, Notice
from varde.trust import consents, emergency
from varde.trust.access import name_of
from varde.trust.audit import Unlogged
from varde.trust.consents import Emergency
from varde.trust.law.table import PARENTS
from varde.trust.persons import PARENTS_FULL_UNTIL, age, born_of
from varde.trust.policy import entry

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.access import Person
    from varde.trust.scope import Scope

SERVICE = "emergency"
MOST_OF_A_KIND = 50


@dataclass(frozen=True, slots=True)
class Open:
    """One that is open now."""

    id: str
    patient: str
    """Id of the Patient."""
    name: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of the record, with what it says."""

    named: Named
    says: str


@dataclass(frozen=True, slots=True)
class Record:
    """What an emergency access shows of a patient."""

    open: Open
    born: date | None
    things: Mapping[str, Sequence[Thing]]
    """By kind (source language), the newest first; what matters most when life is at stake comes first."""


_FIRST = ("AllergyIntolerance", "MedicationStatement", "MedicationRequest", "Condition", "Observation",
          "DiagnosticReport", "DocumentReference", "Procedure", "Encounter", "Immunization", "ServiceRequest",
          "EpisodeOfCare", "CarePlan", "Appointment", "Communication", "QuestionnaireResponse")  # fmt: skip


async def find(platform: Platform, scope: Scope, number: str) -> Person | None:
    """The living or dead patient with a national identity number, shown to whoever asks so that they can tell whether
    it is the right one; that is logged in their name. None when nobody here has it."""
    person = await platform.access.person(number)
    if person is not None:
        rid = resource_key("Patient", person.id)
        await scope.record(Disclosure(Interaction.SEARCH, "Patient", [person.id], [rid]), None)
    return person


async def open_it(
    platform: Platform, scope: Scope, by: str, patient: Person, *, cause: str, reason: str, key: str
) -> str:
    """Open the record of a patient; the id of the Consent that says so. The same `key` (of the form) opens one. The
    patient, and the parents of a child under 12, are told in the same transaction.

    Raises Forbidden for whoever does not treat.
    """
    if scope.types is not None or scope.actor.unit is None:
        raise Forbidden.of("emergency access is for those who give health care")
    now = platform.clock.now()
    made = Emergency(
        id=lasting_id(f"emergency {scope.actor.key} {key}", patient.id), patient=patient.id, at=now, by=by,
        unit=scope.actor.unit, hpr=scope.actor.key, reason=" ".join(reason.split()), cause=cause,
        ends=ends(now, platform.settings.emergency_hours),
    )  # fmt: skip
    identifier = str(made.id)
    told = await _concerned(platform, patient, now)
    try:
        async with platform.store.transaction() as connection:
            await platform.store.update(
                _own(platform), "Consent", identifier, consents.to_fhir(made), if_match=NO_VERSION,
                connection=connection,
            )  # fmt: skip
            opened = Disclosure(Interaction.CREATE, "Consent", [identifier], [resource_key("Patient", patient.id)])
            await replace(scope, purpose=emergency.PURPOSE, decision_ref=identifier).record(opened, connection)
            await telling.tell(platform, connection, told)
            await emergency_reviews.begin(platform, connection, made, scope.actor.unit_name or "")
    except PreconditionFailed:
        pass  # the form was sent twice
    return identifier


async def _concerned(platform: Platform, patient: Person, now: datetime) -> Sequence[Notice]:
    """Who is told: the patient, and of a child under 12 those parents who see all of it."""
    if patient.dead:
        return []
    told = [Notice(Kind.EMERGENCY, patient.id, "", now)]
    if age(patient.born, now.date()) < PARENTS_FULL_UNTIL:
        for person in await platform.access.bound_to(patient):
            _, mandate = await platform.access.between(person, patient)
            if entry(mandate).allowed and mandate.whole and PARENTS & set(mandate.relations):
                told.append(Notice(Kind.EMERGENCY_CHILD, person.id, patient.name, now))
    return told


async def mine(platform: Platform, scope: Scope) -> Sequence[Open]:
    """Those that a health worker has open now where they work, the newest first."""
    if scope.actor.unit is None:
        return []
    async with platform.database.connection() as connection:
        every = await emergency.opened(connection, scope.actor.key, scope.actor.unit, platform.clock.now())
    found = []
    for one in every:
        patient = await platform.store.read(emergency.scope_of(scope, one), "Patient", one.patient)
        found.append(Open(one.id, one.patient, name_of(patient.resource), one.ends))
    return found


async def record(platform: Platform, scope: Scope, identifier: str) -> Record:
    """The patient's record under an access that is open now, read in its name. Raises NotFound for one that is over,
    and for another's."""
    opened, reading = await _standing(platform, scope, identifier)
    patient = (await platform.store.read(reading, "Patient", opened.patient)).resource
    things: dict[str, Sequence[Thing]] = {}
    for kind in _FIRST:
        page = await platform.store.search(reading, kind, [("_count", str(MOST_OF_A_KIND))])
        shown = [Thing(named(one), says(one)) for one in (match.resource for match in page.matches) if not _told(one)]
        if shown:
            things[KINDS[kind]] = sorted(shown, key=_when, reverse=True)
    return Record(
        Open(opened.id, opened.patient, name_of(patient), opened.ends), born_of(patient), things
    )  # fmt: skip


def _told(resource: Mapping[str, Any]) -> bool:
    """Whether it is a notice about who acts for whom, which helps nobody in need."""
    codings = [coding for concept in resource.get("category", ()) if isinstance(concept, Mapping)
               for coding in concept.get("coding", ())]  # fmt: skip
    return any(coding.get("system") == notices.CATEGORY for coding in codings)


def _when(thing: Thing) -> float:
    return thing.named.at.timestamp() if thing.named.at is not None else 0.0


async def end(platform: Platform, scope: Scope, identifier: str) -> None:
    """End one before its time. Raises NotFound."""
    opened, _ = await _standing(platform, scope, identifier)
    now = platform.clock.now()
    async with platform.store.transaction() as connection:
        stored = await platform.store.read(
            _own(platform), "Consent", identifier, connection=connection, for_update=True
        )
        decision = consents.from_fhir(stored.resource)
        if not isinstance(decision, Emergency):
            raise NotFound.of("no such emergency access")
        ended = replace(decision, at=now, starts=opened.starts, withdrawn=True)
        await platform.store.update(
            _own(platform), "Consent", identifier, consents.to_fhir(ended), connection=connection
        )
        patients = [resource_key("Patient", opened.patient)]
        await scope.record(Disclosure(Interaction.UPDATE, "Consent", [identifier], patients), connection)


async def _standing(platform: Platform, scope: Scope, identifier: str) -> tuple[emergency.Opened, Scope]:
    if scope.actor.unit is not None:
        async with platform.database.connection() as connection:
            every = await emergency.opened(connection, scope.actor.key, scope.actor.unit, platform.clock.now())
        for one in every:
            if one.id == identifier:
                return one, emergency.scope_of(scope, one)
    raise NotFound.of("no such emergency access is open")


def _own(platform: Platform) -> Scope:
    """What writes the Consent: no health worker's own scope reaches the record before it stands. Who it was is logged
    beside it, in their name."""
    types = frozenset({"Consent"})
    return replace(platform.access.for_system(SERVICE, types=types, write_types=types), log=Unlogged())


def says(resource: Mapping[str, Any]) -> str:
    """What a thing says beside its name: a result's value, a report's conclusion, a medicine's dosage, a message. Of a
    letter its subject is enough."""
    quantity = resource.get("valueQuantity")
    if isinstance(quantity, Mapping) and "value" in quantity:
        return f"{quantity['value']} {quantity.get('unit', '')}".strip()
    for name in ("valueString", "conclusion", "description"):
        if isinstance(resource.get(name), str):
            return str(resource[name])
    for name in ("valueCodeableConcept", "outcome"):
        if isinstance(resource.get(name), Mapping) and resource[name].get("text"):
            return str(resource[name]["text"])
    if resource.get("topic"):
        return ""
    for name, inner in (("dosageInstruction", "text"), ("dosage", "text"), ("payload", "contentString"),
                        ("note", "text"), ("reaction", "description")):  # fmt: skip
        texts = [one[inner] for one in resource.get(name, ()) if isinstance(one, Mapping) and one.get(inner)]
        if texts:
            return " ".join(str(text) for text in texts)
    return ""
