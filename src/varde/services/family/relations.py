"""Who acts for whom now, as the family's pages tell of it: facts of `trust.mandates`, what the law makes of them.

Nothing is decided here, and nobody's things are read: names, ages and bonds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varde.clock import today
from varde.trust.access import Person
from varde.trust.law.mandate import Facts, Mandate
from varde.trust.law.table import PARENTS, Relation
from varde.trust.persons import HEALTH_MAJORITY, YOUTH_LOGIN, age

if TYPE_CHECKING:
    from varde.services import Platform


@dataclass(frozen=True, slots=True)
class Bonded:
    """One person and another, and what the one may see and do of the other's."""

    asker: Person
    patient: Person
    facts: Facts
    mandate: Mandate
    years: int
    """The patient's age today."""

    @property
    def relations(self) -> frozenset[Relation]:
        """The bonds in force."""
        return frozenset(self.mandate.relations)

    @property
    def parent(self) -> bool:
        """Whether by parental responsibility."""
        return bool(self.relations & PARENTS)

    @property
    def youth(self) -> bool:
        """Whether the patient is of the age at which a parent gives youth access (FAM-06)."""
        return YOUTH_LOGIN <= self.years < HEALTH_MAJORITY


async def bonded(platform: Platform, asker: Person, patient: Person) -> Bonded:
    """What `asker` may of `patient`'s, by the clock now. Raises Unavailable."""
    facts, mandate = await platform.access.between(asker, patient)
    return Bonded(asker, patient, facts, mandate, age(patient.born, today(platform.clock)))


async def acts_for(platform: Platform, person: Person) -> Sequence[Bonded]:
    """Those for whom `person` may do anything now, the eldest first (FAM-02, FAM-12, FAM-13). Raises Unavailable."""
    found = [await bonded(platform, person, other) for other in await platform.access.may_act_for(person)]
    return sorted((one for one in found if not one.mandate.empty), key=lambda one: (one.patient.born, one.patient.name))


async def act_for(platform: Platform, person: Person) -> Sequence[Bonded]:
    """Those who may do anything for `person` now, the eldest first. Raises Unavailable."""
    found = [await bonded(platform, other, person) for other in await platform.access.bound_to(person)]
    return sorted((one for one in found if not one.mandate.empty), key=lambda one: (one.asker.born, one.asker.name))
