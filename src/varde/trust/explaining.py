"""Who could see one resource, and by which rule: the patient, everybody bound to them, and the units that treat them.
For `$explain-access` and for what tells a patient who sees a thing.

The decisions are law/explaining.py's. Whoever asks this must have the right to: it reads as the house itself, and what
it tells of a patient's bonds is no less secret than the thing. That it was asked is logged by who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from varde.clock import today
from varde.fhir.gate import Parameters
from varde.fhir.keys import resource_key
from varde.trust import grounds, withholding
from varde.trust.access import Access, Person, Position
from varde.trust.audit import Unlogged
from varde.trust.law import ties
from varde.trust.law.explaining import Asking, Recorded, explain, explain_staff
from varde.trust.law.table import Relation
from varde.trust.policy import Decision, StaffRole
from varde.trust.referrals import Opened, assessed, together


@dataclass(frozen=True, slots=True)
class Seer:
    """Somebody who could, or could not, see a resource."""

    reference: str
    """Patient/… or Organization/…"""
    name: str
    relations: Sequence[Relation]
    """Of persons; empty for staff."""
    role: StaffRole | None
    """Of a unit's staff; None for persons."""
    decision: Decision


async def who_may_see(
    access: Access, resource_type: str, resource_id: str, *, labelled: Sequence[Mapping[str, str]] | None = None
) -> list[Seer]:
    """Everybody who could see a resource now, and those bound to the patient who could not, with the decision of each:
    the patient first, then persons by name, then units. Empty for what tells of no patient. `labelled`: as it would be
    with these codings in `meta.security` and nothing else withheld.

    Raises NotFound, Gone, Unavailable.
    """
    scope = replace(access.for_system("explain-access", grounds.RUNNING_SERVICE), log=Unlogged())
    stored = await access.store.read(scope, resource_type, resource_id)
    patient = await access.person_by_rid(stored.patient) if stored.patient is not None else None
    if patient is None or stored.patient is None:
        return []
    async with access.store.database.connection() as connection:
        opened = await assessment_of(connection, access, stored.patient, stored.rid)
        units = await _units(connection, access, stored.patient)
        held = await withholding.codes_of(connection, stored.rid, stored.patient, access.clock.now())
    if labelled is None:
        recorded = Recorded.of(stored.resource, opened.to if opened else None, held)
    else:
        meta = {**(stored.resource.get("meta") or {}), "security": list(labelled)}
        recorded = Recorded.of({**stored.resource, "meta": meta}, opened.to if opened else None)
    found = [await _person(access, recorded, patient, patient)]
    others = [await _person(access, recorded, one, patient) for one in await access.bound_to(patient)]
    found += sorted(others, key=lambda one: one.name)
    for unit, name in sorted(units.items(), key=lambda one: one[1]):
        for role in (StaffRole.CLINICIAN, StaffRole.SECRETARY):
            blocked = not await _seen_by_unit(access, unit, role, resource_type, stored.rid)
            decision = explain_staff(recorded, role, treats=True)
            if decision.allowed and blocked:
                decision = explain_staff(recorded, role, treats=True, blocked=True)
            found.append(Seer(f"Organization/{unit}", name, (), role, decision))
    return found


async def _person(access: Access, recorded: Recorded, one: Person, patient: Person) -> Seer:
    facts = await access.facts(one, patient)
    asking = Asking(
        resource_key("Patient", one.id), one.born, patient.born, facts, today(access.clock), access.clock.now()
    )  # fmt: skip
    decision = explain(recorded, asking)
    return Seer(f"Patient/{one.id}", one.name, [bond.relation for bond in facts.bonds], None, decision)


async def who_would_see(
    access: Access, connection: Any, patient_id: str, rid: int, resource: Mapping[str, Any]
) -> tuple[frozenset[str], Opened | None]:
    """(ids of the Patients of those who would see such a resource of the patient's if it hung together with the one
    that has this rid, the assessment of its referrals): for a service that sends what is not written yet (FAM-19).

    Raises LookupError, Unavailable.
    """
    patient = await access.known(patient_id)
    opened = await assessment_of(connection, access, resource_key("Patient", patient_id), rid)
    held = await withholding.codes_of(connection, rid, resource_key("Patient", patient_id), access.clock.now())
    recorded = Recorded.of(resource, opened.to if opened else None, held)
    asked = [patient, *await access.bound_to(patient)]
    seers = [await _person(access, recorded, one, patient) for one in asked]
    allowed = (one.reference.removeprefix("Patient/") for one in seers if one.decision.allowed)
    return frozenset(allowed), opened


async def assessment_of(connection: Any, access: Access, patient: int, rid: int) -> Opened | None:
    """What is assessed of every referral that a resource is tied to (rids of the Patient and of the resource); None
    where one of these is not assessed, or there is none."""
    made = await assessed(connection, [patient], access.clock.now())
    parameters = Parameters()
    rows = await connection.fetch(ties.roots(f"{parameters.add(patient)}::bigint", parameters), *parameters.values)
    return together(made, {row["referral"] for row in rows if row["rid"] == rid})


async def _units(connection: Any, access: Access, patient: int) -> Mapping[str, str]:
    """The units that treat the patient now (FAM-30), by id, with their names."""
    now = access.clock.now()
    rows = await connection.fetch(
        "select distinct unit from trust_care_relation where patient = $1 and starts <= $2 and ends > $2",
        patient, now,
    )  # fmt: skip
    ids = [row["unit"] for row in rows]
    scope = replace(access.for_system("explain-access", grounds.RUNNING_SERVICE), log=Unlogged())
    named = await access.store.read_many(scope, "Organization", ids)
    return {one: str(named[one].resource.get("name") or one) if one in named else one for one in ids}


async def _seen_by_unit(access: Access, unit: str, role: StaffRole, resource_type: str, rid: int) -> bool:
    """Whether the gate shows it to staff of the unit: what the patient blocked for the unit is blocked here."""
    scope = access.staff_scope(Position("", "", role, role.value, unit, unit))
    parameters = Parameters()
    key = parameters.add(rid)
    predicate = scope.predicate("r", resource_type, parameters)
    async with access.store.database.connection() as connection:
        return bool(
            await connection.fetchval(
                f"select 1 from resource r where r.rid = {key}::bigint and ({predicate})", *parameters.values
            )
        )
