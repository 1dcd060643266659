"""Youth access (FAM-06 to FAM-09): a holder of parental responsibility lets a child of 13 to 15 use the services, and
either of them withdraws it, at once and in open sessions too.

It is one Consent in the child's record, whose versions are its history. It takes nothing from the parents (FAM-08).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from varde.clock import today
from varde.fhir.errors import Gone, NotFound
from varde.services.family import rules, telling
from varde.services.family.identity import fixed_id
from varde.services.family.notices import Kind, Notice
from varde.services.family.relations import bonded
from varde.services.family.rules import NotAllowed
from varde.services.family.telling import own_scope
from varde.trust import consents
from varde.trust.access import Person
from varde.trust.consents import YouthAccess

if TYPE_CHECKING:
    from varde.services import Platform


def consent_id(child: str) -> str:
    """Id of the one Consent of a child, by the id of the Patient."""
    return fixed_id(child, "youth-access")


async def standing(platform: Platform, child: Person) -> YouthAccess | None:
    """What was last decided about a child's youth access, withdrawn or not; None when nobody ever gave it."""
    try:
        stored = await platform.store.read(own_scope(platform), "Consent", consent_id(child.id))
    except (NotFound, Gone):
        return None
    found = consents.from_fhir(stored.resource)
    return found if isinstance(found, YouthAccess) else None


async def decide(platform: Platform, parent: Person, child_id: str, *, give: bool) -> None:
    """Give or withdraw, by either holder of parental responsibility; the child and the other parents are told.

    Raises NotAllowed (FAM-06, FAM-07), LookupError for no such child, Unavailable while the register is away.
    """
    child = await platform.access.known(child_id)
    between = await bonded(platform, parent, child)
    rules.may_give_youth_access(between.facts, child.born, today(platform.clock))
    now = platform.clock.now()
    decision = YouthAccess(
        id=consent_id(child.id), patient=child.id, at=now, by=f"Patient/{parent.id}", withdrawn=not give
    )
    others = await _other_parents(platform, parent, child)
    scope = await platform.access.deciding(parent, child, "family")
    async with platform.store.transaction() as connection:
        before = await _before(platform, connection, child)
        if before is not None and before.withdrawn is decision.withdrawn:
            return
        if before is None and not give:
            raise NotAllowed("none")
        if before is not None and not give:
            decision = replace(decision, starts=before.starts or before.at)
        await platform.store.update(
            scope, "Consent", str(decision.id), consents.to_fhir(decision), connection=connection
        )
        own = Kind.YOUTH_ACCESS_GIVEN if give else Kind.YOUTH_ACCESS_WITHDRAWN
        other = Kind.OTHER_PARENT_GAVE if give else Kind.OTHER_PARENT_WITHDREW
        told = [Notice(own, child.id, parent.name, now), *(Notice(other, one.id, child.name, now) for one in others)]
        await telling.tell(platform, connection, told)


async def _before(platform: Platform, connection: object, child: Person) -> YouthAccess | None:
    found = await platform.store.read_many(
        own_scope(platform), "Consent", [consent_id(child.id)], connection=connection, for_update=True
    )
    for stored in found.values():
        decision = consents.from_fhir(stored.resource)
        if isinstance(decision, YouthAccess):
            return decision
    return None


async def _other_parents(platform: Platform, parent: Person, child: Person) -> Sequence[Person]:
    found = [one for one in await platform.access.bound_to(child) if one.id != parent.id]
    return [one for one in found if (await bonded(platform, one, child)).parent]
