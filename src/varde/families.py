"""The population register in the words of `trust.mandates`: what is said there of families and guardians, and which of
Varde's things a guardian's mandate takes in. The register itself is edges/registers; what follows is trust/law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b

from varde.clock import Clock
from varde.db import Database
from varde.edges.registers import GuardianKind, Guardianship, RegisteredPerson, Registers, RegisterUnavailable
from varde.fhir.errors import Unavailable
from varde.settings import Settings
from varde.trust.law.things import Thing
from varde.trust.mandates import Guardian, Relative
from varde.trust.registered import RegisteredMandates

AREAS: Mapping[str, Thing] = {
    "brev": Thing.LETTERS,
    "timer": Thing.APPOINTMENTS,
    "dialog": Thing.DIALOGUE,
    "skjema": Thing.FORMS,
    "planer": Thing.PLANS,
    "journaldokumenter": Thing.DOCUMENTS,
    "proevesvar": Thing.RESULTS,
    "innsynslogg": Thing.LOG,
    "kontaktopplysninger": Thing.CONTACT,
}
"""Single areas of a mandate (FAM-13). One that is not here opens nothing."""


class RegisteredFamilies:
    """`trust.mandates.FamilyRegister`. A register that is away means that nothing is shown of others' things."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def relatives(self, numbers: Sequence[str]) -> Mapping[str, Relative]:
        """See FamilyRegister. Raises Unavailable."""
        try:
            found = await self._registers.persons(numbers)
        except RegisterUnavailable as error:
            raise Unavailable.of("the population register is away; try again shortly") from error
        return {number: relative_of(person) for number, person in found.items()}


def mandates(settings: Settings, database: Database, clock: Clock, registers: Registers) -> RegisteredMandates:
    """The mandates of this process. The embedded register, in the same database, is asked every time."""
    outside = settings.population_base is not None
    fresh = timedelta(minutes=settings.population_cache_minutes) if outside else timedelta(0)
    return RegisteredMandates(database, clock, RegisteredFamilies(registers), fresh=fresh)


def relative_of(person: RegisteredPerson) -> Relative:
    """What acting for one another needs of a person: no name, and a home that can only be compared."""
    home = person.home
    return Relative(
        number=person.number,
        former=tuple(one.number for one in person.former),
        dead=person.is_dead,
        protected=person.protection.hides_address,
        placed=person.placed,
        home=None if home is None else blake2b(home.encode(), digest_size=16).hexdigest(),
        parents=person.parents,
        children=person.children,
        guardians=tuple(_guardian(one) for one in person.guardians),
        wards=person.wards,
    )


def _guardian(one: Guardianship) -> Guardian:
    """FAM-13: nothing without the personal area, all of it, or the single areas that are named."""
    areas: frozenset[Thing] | None
    if not one.extent.personal or one.kind is GuardianKind.OUTSIDE:
        areas = frozenset()
    elif one.areas:
        areas = frozenset(AREAS[area] for area in one.areas if area in AREAS)
    else:
        areas = None
    return Guardian(one.guardian, areas, one.starts, one.ends)
