"""From the facts of two persons to what one of them may see and do of the other's: a `Mandate`, worked out by asking
the table for every cell. Pure; `scope.py` makes SQL of it, `explaining.py` words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import lru_cache
from typing import Any

from varde.trust.law.marks import DELAYED, FROM_PARENTS, FROM_YOUTH, TO_PARENTS, TO_YOUTH, WITHHELD
from varde.trust.law.table import Assessment, Band, Narrowing, Reach, Relation, Situation, band_of, look_up
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, YOUTH_LOGIN, age


@dataclass(frozen=True, slots=True)
class Bond:
    """One bond between who asks and the patient, in force at the instant in question."""

    relation: Relation
    areas: frozenset[Thing] | None = None
    """What a guardianship or a power of attorney takes in; None for all, and for other bonds."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the registers and the record say of one who asks and one patient, at one instant (trust/mandates.py)."""

    bonds: tuple[Bond, ...]
    """All that are in force. Of one's own things: SELF alone (FAM-17)."""
    youth_access: bool = False
    """A parent consented to the young person's own access (FAM-06, FAM-07)."""
    placed: bool = False
    """Child welfare (FAM-20)."""
    protected: bool = False
    """Either lives at a protected address, codes 6 and 7 (FAM-14)."""
    dead: bool = False
    """The patient, or who asks, has died (FAM-16)."""


@dataclass(frozen=True, slots=True)
class Right:
    """How far a mandate reaches for one thing, by what opens it. The widest that fits counts."""

    always: Reach = Reach.NONE
    by_referral: Reach = Reach.NONE
    """Tied to a referral that is open to who asks, and to none that is not (FAM-19)."""
    by_referral_marked: Reach = Reach.NONE
    """And marked for who asks."""
    primary: Reach = Reach.NONE
    """From primary care (FAM-23)."""
    primary_marked: Reach = Reach.NONE
    alone: Reach = Reach.NONE
    """Marked as the young person's alone (FAM-06)."""

    @property
    def most(self) -> Reach:
        """The farthest that anything opens."""
        return max(
            self.always, self.by_referral, self.by_referral_marked, self.primary, self.primary_marked, self.alone
        )


@dataclass(frozen=True, slots=True)
class Mandate:
    """What one person may see and do of one patient's things, until the facts or the day change."""

    band: Band
    relations: tuple[Relation, ...]
    rights: Mapping[Thing | None, Right]
    """By thing; None for what stands in no row of table A."""
    codes: frozenset[str]
    """Of 9603: what hides a thing from who asks."""
    mark: str
    """The mark that opens single things to who asks."""
    narrowing: Narrowing = field(default_factory=Narrowing)

    @property
    def whole(self) -> bool:
        """Whether everything that is not withheld is seen, whatever it is tied to."""
        return all(right.always >= Reach.SEE for right in self.rights.values())

    @property
    def empty(self) -> bool:
        """Whether nothing can ever be seen."""
        return all(right.most is Reach.NONE for right in self.rights.values())

    def right(self, thing: Thing | None) -> Right:
        """How far it reaches for a thing."""
        return self.rights.get(thing, _NO_RIGHT)


_NO_RIGHT = Right()
_ROWS: Sequence[Thing | None] = (*Thing, None)
_CODES = (WITHHELD, DELAYED, FROM_PARENTS, FROM_YOUTH)
_YEARS: Mapping[Relation, int] = {
    Relation.SELF: YOUTH_LOGIN, Relation.ATTORNEY: MAJORITY, Relation.GUARDIAN: MAJORITY,
}  # fmt: skip
"""Years that who asks must have (FAM-06, FAM-12, FAM-13); those with parental responsibility the health majority,
before which one does not use all of the services for oneself either."""
_NARROWING = Narrowing()


def mandate_of(
    facts: Facts, born: date, today: date, *, asker_born: date, narrowing: Narrowing = _NARROWING
) -> Mandate:
    """What `facts` give of a patient born `born`, on the day `today` in Norway, to one born `asker_born`."""
    years = age(asker_born, today)
    bonds = tuple(bond for bond in facts.bonds if years >= _YEARS.get(bond.relation, HEALTH_MAJORITY))
    band = band_of(age(born, today))
    rights, codes = _worked_out(band, bonds, facts.youth_access, facts.placed, facts.protected, facts.dead)
    relations = tuple(bond.relation for bond in bonds)
    mark = TO_YOUTH if Relation.SELF in relations else TO_PARENTS
    return Mandate(band, relations, rights, codes, mark, narrowing)


@lru_cache(maxsize=1024)
def _worked_out(
    band: Band, bonds: tuple[Bond, ...], youth_access: bool, placed: bool, protected: bool, dead: bool
) -> tuple[Mapping[Thing | None, Right], frozenset[str]]:
    """(rights, codes that hide): each bond's cells asked of the table, the widest of each taken."""
    rights: dict[Thing | None, Right] = {}
    hiding: set[str] = set()
    for thing in _ROWS:
        found = []
        for bond in bonds:
            cell = Situation(
                band, bond.relation, thing, covered=bond.areas is None or thing in bond.areas,
                youth_access=youth_access, placed=placed, protected=protected, dead=dead,
            )  # fmt: skip
            found.append(_right(cell))
            hiding |= {code for code in _CODES if _hides(code, cell)}
        rights[thing] = _widest(found)
    return rights, frozenset(hiding)


def _right(cell: Situation) -> Right:
    def reach(**recorded: Any) -> Reach:
        return look_up(replace(cell, **recorded)).reach

    return Right(
        always=reach(),
        by_referral=reach(assessment=Assessment.TO_ACTOR),
        by_referral_marked=reach(assessment=Assessment.TO_ACTOR, opened=True),
        primary=reach(primary=True),
        primary_marked=reach(primary=True, opened=True),
        alone=reach(alone=True),
    )


def _hides(code: str, cell: Situation) -> bool:
    """Whether the code takes away anything that would be seen."""
    return any(
        look_up(seen).reach is not Reach.NONE and look_up(replace(seen, codes=frozenset({code}))).reach is Reach.NONE
        for seen in (
            replace(cell, assessment=Assessment.TO_ACTOR, opened=True),
            replace(cell, primary=True, opened=True),
            replace(cell, alone=True),
        )
    )


def _widest(rights: Sequence[Right]) -> Right:
    return Right(*(max((getattr(right, name) for right in rights), default=Reach.NONE) for name in _FIELDS))


_FIELDS = tuple(one.name for one in fields(Right))
