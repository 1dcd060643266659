"""Who acts for whom now, as the family's pages tell of it: facts of `trust.mandates`, what the law makes of them.

Nothing is decided here, and nobody's things are read: names, ages and bonds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from varde.clock import today
from varde.trust.access import Person
from varde.trust.law.mandate import Facts, Mandate, mandate_of
from varde.trust.law.table import PARENTS, Relation
from varde.trust.mandates import Bound
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
    facts = await platform.access.mandates.facts(asker, patient)
    day = today(platform.clock)
    mandate = mandate_of(facts, patient.born, day, asker_born=asker.born)
    return Bonded(asker, patient, facts, mandate, age(patient.born, day))


async def acts_for(platform: Platform, person: Person) -> Sequence[Bonded]:
    """Those for whom `person` may do anything now, the eldest first (FAM-02, FAM-12, FAM-13). Raises Unavailable."""
    others = await _persons(platform, await platform.access.mandates.whom(person), person)
    found = [await bonded(platform, person, other) for other in others]
    return [one for one in found if one.relations and not one.mandate.empty]


async def act_for(platform: Platform, person: Person) -> Sequence[Bonded]:
    """Those who may do anything for `person` now. Raises Unavailable."""
    others = await _persons(platform, await platform.access.mandates.who(person), person)
    found = [await bonded(platform, other, person) for other in others]
    return [one for one in found if one.relations and not one.mandate.empty]


async def _persons(platform: Platform, bound: Bound, but: Person) -> Sequence[Person]:
    """Those who have a record here, each once."""
    found: dict[str, Person] = {}
    for number in bound.numbers:
        one = await platform.access.person(number)
        if one is not None:
            found[one.id] = one
    for patient in bound.patients:
        if patient not in found:
            try:
                found[patient] = await platform.access.known(patient)
            except LookupError:
                continue
    found.pop(but.id, None)
    return sorted(found.values(), key=lambda one: (one.born or date.max, one.name))
