"""The clinician's assessment of a referral of a person of 12–15 (FAM-19 to FAM-21): what waits for one, and the record.

An assessment is a Consent, one for each referral, whose versions are its history. Everything tied to the referral
follows it; how is `trust/referrals.py`'s, which also refuses what FAM-21 forbids, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from varde.clock import today
from varde.fhir.errors import Forbidden, Gone, NotFound
from varde.services.family.identity import fixed_id
from varde.services.family.relations import bonded
from varde.services.family.rules import NotAllowed
from varde.services.family.telling import SERVICE
from varde.trust import consents
from varde.trust.access import Person, name_of
from varde.trust.consents import KINDS, Kind, Paper, ReferralAssessment
from varde.trust.law.table import Relation
from varde.trust.law.things import Thing, thing_of
from varde.trust.persons import HEALTH_MAJORITY, PARENTS_FULL_UNTIL, age
from varde.trust.referrals import OPEN_STATUSES

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

MOST = 200
"""Referrals listed; a unit has few young patients at once."""


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral of a young patient to a unit."""

    id: str
    patient: str
    """Id of the Patient."""
    name: str
    years: int
    referred: date | None
    assessment: ReferralAssessment | None


@dataclass(frozen=True, slots=True)
class Holder:
    """One who has parental responsibility and a record here, so that they can be named."""

    person: Person
    at_home: bool
    barred: bool
    """Nothing is shown digitally all the same: placed child, protected address, nobody lives with the child."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the page for the conversation needs."""

    referral: Referral
    patient: Person
    parents: Sequence[Holder]
    history: Sequence[ReferralAssessment]
    """All assessments of it, the newest first."""
    version: int
    """Of the Consent; 0 when there is none."""
    clinicians: Mapping[str, str]
    """Names of who assessed, by reference."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the clinician records."""

    opened_to: frozenset[str]
    consented: datetime | None
    paper: Paper
    reason: str | None
    version: int
    """Of the assessment that it replaces, as the page showed it; 0: none."""


def consent_id(referral: Referral) -> str:
    """Id of the one Consent that holds the assessment of a referral."""
    return fixed_id(referral.patient, "assessment", referral.id)


async def waiting(platform: Platform, scope: Scope) -> Sequence[Referral]:
    """The unit's open referrals of patients of 12–15 whom the scope lets see: those not assessed first (FAM-19)."""
    day = today(platform.clock)
    query = [
        ("performer", f"Organization/{scope.actor.unit}"),
        ("status", ",".join(sorted(OPEN_STATUSES))),
        ("subject:Patient.birthdate", f"gt{_years_before(day, HEALTH_MAJORITY).isoformat()}"),
        ("subject:Patient.birthdate", f"le{_years_before(day, PARENTS_FULL_UNTIL).isoformat()}"),
        ("_include", "ServiceRequest:subject"),
        ("_count", str(MOST)),
    ]
    page = await platform.store.search(scope, "ServiceRequest", query)
    patients = {one.stored.id: one.stored.resource for one in page.entries if one.mode == "include"}
    rows = [
        match.resource for match in page.matches if thing_of("ServiceRequest", match.resource) is Thing.APPOINTMENTS
    ]
    made = await _assessments(platform, scope, [row["id"] for row in rows])
    found = []
    for row in rows:
        patient = patients.get(_patient_of(row))
        if patient is not None and _of_age(patient, day):
            found.append(_referral(row, patient, made.get(row["id"]), day))
    return sorted(found, key=lambda one: (one.assessment is not None, one.referred or day, one.name))


async def _assessments(platform: Platform, scope: Scope, referrals: Sequence[str]) -> Mapping[str, ReferralAssessment]:
    if not referrals:
        return {}
    query = [
        ("category", f"{KINDS}|{Kind.REFERRAL_ASSESSMENT.value}"),
        ("data", ",".join(f"ServiceRequest/{one}" for one in referrals)),
        ("status", "active"),
        ("_sort", "date"),
        ("_count", "1000"),
    ]
    page = await platform.store.search(scope, "Consent", query)
    made = [consents.from_fhir(match.resource) for match in page.matches]
    return {one.referral: one for one in made if isinstance(one, ReferralAssessment)}


async def conversation(platform: Platform, scope: Scope, referral_id: str) -> Conversation:
    """All that the page shows. Raises NotFound for a referral that the scope hides, that is none, or whose patient is
    not of 12–15; Unavailable while the register is away."""
    row = (await platform.store.read(scope, "ServiceRequest", referral_id)).resource
    day = today(platform.clock)
    performers = [one.get("reference") for one in row.get("performer", ())]
    if thing_of("ServiceRequest", row) is not Thing.APPOINTMENTS or row.get("status") not in OPEN_STATUSES:
        raise NotFound.of("no referral to assess")
    if f"Organization/{scope.actor.unit}" not in performers:
        raise NotFound.of("no referral of this unit")
    resource = (await platform.store.read(scope, "Patient", _patient_of(row))).resource
    if not _of_age(resource, day):
        raise NotFound.of("no referral that is assessed")
    patient = await platform.access.known(resource["id"])
    referral = _referral(row, resource, None, day)
    history, version = await _history(platform, scope, consent_id(referral))
    ids = sorted({made.by.removeprefix("Practitioner/") for made in history if made.by})
    names = await platform.store.read_many(scope, "Practitioner", ids)
    clinicians = {f"Practitioner/{one}": name_of(names[one].resource) for one in names}
    return Conversation(referral, patient, await _parents(platform, patient), history, version, clinicians)


async def _history(platform: Platform, scope: Scope, consent: str) -> tuple[Sequence[ReferralAssessment], int]:
    try:
        page = await platform.store.history(scope, "Consent", consent, count=100)
    except (NotFound, Gone):
        return [], 0
    found = []
    for entry in page.entries:
        if entry.stored.deleted:
            continue
        made = consents.from_fhir(entry.stored.resource)
        if isinstance(made, ReferralAssessment):
            found.append(made)
    return found, page.entries[0].stored.version if page.entries else 0


async def _parents(platform: Platform, patient: Person) -> Sequence[Holder]:
    found = []
    for person in await platform.access.bound_to(patient):
        if person.dead:
            continue
        between = await bonded(platform, person, patient)
        if between.parent:
            at_home = Relation.PARENT_AT_HOME in between.relations
            found.append(Holder(person, at_home, between.mandate.empty))
    return sorted(found, key=lambda one: (not one.at_home, one.person.name))


async def record(platform: Platform, scope: Scope, by: str, about: Conversation, choice: Choice) -> ReferralAssessment:
    """Record it; what is tied to the referral follows from the same moment. `by`: the clinician's reference.

    Raises NotAllowed (FAM-21), fhir.errors.Forbidden for whoever does not treat (FAM-31), and PreconditionFailed when
    another assessed meanwhile.
    """
    now = platform.clock.now()
    if scope.types is not None and "Consent" not in scope.types:
        raise Forbidden.of("a referral is assessed by those who treat")
    parents = {holder.person.id for holder in about.parents if not holder.barred}
    if not choice.opened_to <= parents | {about.patient.id}:
        raise NotAllowed("unknown")
    if choice.opened_to - {about.patient.id}:
        if choice.consented is None:
            raise NotAllowed("consent")
        if choice.consented > now:
            raise NotAllowed("when")
    made = ReferralAssessment(
        id=consent_id(about.referral), patient=about.patient.id, at=now, by=by, unit=scope.actor.unit,
        referral=about.referral.id, opened_to=choice.opened_to, consented=choice.consented, paper=choice.paper,
        reason=choice.reason,
    )  # fmt: skip
    await platform.store.update(
        scope.acting(SERVICE, {"Consent"}), "Consent", str(made.id), consents.to_fhir(made), if_match=choice.version
    )
    return made


def _referral(
    row: Mapping[str, Any], patient: Mapping[str, Any], assessment: ReferralAssessment | None, day: date
) -> Referral:
    written = str(row.get("authoredOn", ""))[:10]
    return Referral(
        str(row["id"]),
        str(patient["id"]),
        name_of(dict(patient)),
        age(date.fromisoformat(patient["birthDate"]), day),
        date.fromisoformat(written) if len(written) == len("2026-01-01") else None,
        assessment,
    )


def _patient_of(row: Mapping[str, Any]) -> str:
    return str((row.get("subject") or {}).get("reference", "")).removeprefix("Patient/")


def _of_age(patient: Mapping[str, Any], day: date) -> bool:
    try:
        return PARENTS_FULL_UNTIL <= age(date.fromisoformat(patient["birthDate"]), day) < HEALTH_MAJORITY
    except (KeyError, ValueError):
        return False


def _years_before(day: date, years: int) -> date:
    """The same day so many years ago; 28 February for a day that year does not have."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
