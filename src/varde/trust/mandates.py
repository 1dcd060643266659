"""What one person is to another now: the facts that decisions stand on, and nothing decided (`law/` does).

From two sources, asked in one round trip: what the population register said at most an hour ago (FAM-15), kept in
`trust_relative`, and the Consents by which people let others act for them, kept in `trust_decision` by
`granted.py` in the store's own transaction, so that what is withdrawn is withdrawn at once. A chain of mandates is
never followed: a bond is always between the two themselves (FAM-17). Pure; `registered.py` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from varde.clock import OSLO
from varde.trust.consents import AccessDecision, ChildWelfare, PowerOfAttorney, YouthAccess
from varde.trust.law.mandate import Bond, Facts
from varde.trust.law.table import Relation
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, age


class Party(Protocol):
    """One of the two, as the record has them (`trust.access.Person`)."""

    @property
    def id(self) -> str:
        """Id of the Patient."""
        ...

    @property
    def number(self) -> str:
        """A national identity number, of several perhaps."""
        ...

    @property
    def born(self) -> date:
        """Date of birth."""
        ...

    @property
    def dead(self) -> bool:
        """Whether the record says so."""
        ...


@dataclass(frozen=True, slots=True)
class Guardian:
    """Who acts for a person by a guardianship or a power for the future that is in force (FAM-13)."""

    number: str
    areas: frozenset[Thing] | None
    """None: everything personal; empty: nothing that Varde holds (economy alone)."""
    starts: date | None = None
    ends: date | None = None
    """The first day it no longer holds."""

    def holds(self, today: date) -> bool:
        """Whether it is in force on this day."""
        return (self.starts is None or self.starts <= today) and (self.ends is None or today < self.ends)


@dataclass(frozen=True, slots=True)
class Relative:
    """What the population register says of one person, as far as acting for one another goes."""

    number: str
    """The number in use now."""
    former: tuple[str, ...] = ()
    """Numbers that they had before, and those that they have beside it."""
    dead: bool = False
    protected: bool = False
    """Codes 6 and 7 (FAM-14)."""
    placed: bool = False
    """A placed or unaccompanied child (FAM-20)."""
    home: str | None = None
    """The same for those registered at one address; None when unknown or hidden."""
    parents: tuple[str, ...] = ()
    """With parental responsibility."""
    children: tuple[str, ...] = ()
    guardians: tuple[Guardian, ...] = ()
    wards: tuple[str, ...] = ()
    """For whom they are guardian."""

    @property
    def numbers(self) -> frozenset[str]:
        """All their numbers."""
        return frozenset({self.number, *self.former})


class FamilyRegister(Protocol):
    """The population register in the words of this room (varde/families.py)."""

    async def relatives(self, numbers: Sequence[str]) -> Mapping[str, Relative]:
        """By the number asked with, which may be a former one; missing: unknown there. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """Persons between whom and somebody there may be a bond: each is then asked about with `facts`."""

    numbers: tuple[str, ...] = ()
    """Known by a national identity number, from the register."""
    patients: tuple[str, ...] = ()
    """Known by the id of their Patient, from a power of attorney."""


class Mandates(Protocol):
    """The question, as `Access` asks it."""

    async def facts(self, asker: Party, patient: Party) -> Facts:
        """What `asker` is to `patient` now. Raises Unavailable while the register is away; of one's own things the
        register is not asked."""
        ...

    async def whom(self, asker: Party) -> Bound:
        """For whom `asker` may be able to act. Raises Unavailable."""
        ...

    async def who(self, patient: Party) -> Bound:
        """Who may be able to act for `patient`. Raises Unavailable."""
        ...


def facts_of(
    asker: Party,
    patient: Party,
    known: Mapping[str, Relative],
    decisions: Iterable[AccessDecision],
    now: datetime,
) -> Facts:
    """What `asker` is to `patient` at `now` (aware).

    `known` holds the two and the patient's parents, by any of their numbers, as far as the register knows them;
    `decisions` are those that concern the patient. Whoever the register does not know has no bond but to themselves:
    nothing is known of their address or of their being alive.
    """
    today = now.astimezone(OSLO).date()
    one, other = known.get(asker.number), known.get(patient.number)
    concerning = [decision for decision in decisions if decision.patient == patient.id]
    dead = asker.dead or patient.dead or any(it.dead for it in (one, other) if it is not None)
    # One person who has two records is no representative of themselves (FAM-17).
    same = asker.id == patient.id or (one is not None and other is not None and bool(one.numbers & other.numbers))
    placed = (other is not None and other.placed) or _placed(concerning, now)
    if same:
        return Facts((Bond(Relation.SELF),), youth_access=_youth_access(concerning, now), placed=placed, dead=dead)
    if one is None or other is None:
        return Facts((), placed=placed, dead=dead)
    bonds = [*_parental(one, other, known), *_guardianship(one, other, today)]
    bonds += _powers(asker, patient, concerning, now)
    return Facts(tuple(bonds), placed=placed, protected=one.protected or other.protected, dead=dead)


def _parental(one: Relative, child: Relative, known: Mapping[str, Relative]) -> list[Bond]:
    """FAM-02: which kind of parent, by who is registered at the child's address."""
    if one.numbers.isdisjoint(child.parents):
        return []
    if _at_home(one, child):
        return [Bond(Relation.PARENT_AT_HOME)]
    others = (known[number] for number in child.parents if number in known)
    anybody = any(_at_home(parent, child) and not parent.dead for parent in others)
    return [Bond(Relation.PARENT_ELSEWHERE if anybody else Relation.PARENT_APART)]


def _at_home(one: Relative, other: Relative) -> bool:
    return one.home is not None and one.home == other.home


def _guardianship(one: Relative, ward: Relative, today: date) -> list[Bond]:
    """FAM-13."""
    return [
        Bond(Relation.GUARDIAN, guardian.areas)
        for guardian in ward.guardians
        if guardian.number in one.numbers and guardian.holds(today)
    ]


def _powers(asker: Party, giver: Party, decisions: Iterable[AccessDecision], now: datetime) -> list[Bond]:
    """FAM-12: by the giver themselves, 16 or more when they gave it, to one who is 18 or more now."""
    if age(asker.born, now.astimezone(OSLO).date()) < MAJORITY:
        return []
    return [
        Bond(Relation.ATTORNEY, frozenset(Thing(code) for code in power.things if code in _CODES))
        for power in decisions
        if isinstance(power, PowerOfAttorney)
        and power.receiver == asker.id
        and power.holds(now)
        and given_by_the_giver(power)
        and age(giver.born, power.at.astimezone(OSLO).date()) >= HEALTH_MAJORITY
    ]


def given_by_the_giver(power: PowerOfAttorney) -> bool:
    """Whether a power was given by the patient, or put down by staff from paper: never by another representative
    (FAM-17)."""
    return power.by is None or not power.by.startswith("Patient/") or power.by == f"Patient/{power.patient}"


def _youth_access(decisions: Iterable[AccessDecision], now: datetime) -> bool:
    """FAM-07: either holder gives and withdraws, and the last word counts; of two at one moment the one that closes."""
    spoken = [one for one in decisions if isinstance(one, YouthAccess) and one.at <= now]
    return bool(spoken) and max(spoken, key=lambda one: (one.at, one.withdrawn)).holds(now)


def _placed(decisions: Iterable[AccessDecision], now: datetime) -> bool:
    """FAM-20: staff's flag."""
    return any(isinstance(one, ChildWelfare) and one.holds(now) for one in decisions)


_CODES = frozenset(thing.value for thing in Thing)
