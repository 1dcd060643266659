"""From the facts of two persons to what one of them may see and do of the other's: a `Mandate`, worked out by asking
the table for every cell. Pure; `scope.py` makes SQL of it, `explaining.py` words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import lru_cache
from typing import Any

from varde.trust import grounds
from varde.trust.law.marks import DELAYED, FROM_PARENTS, FROM_YOUTH, TO_PARENTS, TO_YOUTH, WITHHELD
from varde.trust.law.table import Assessment, Band, Narrowing, Reach, Relation, Situation, Verdict, band_of, look_up
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, age


@dataclass(frozen=True, slots=True)
class Bond:
    """One bond between who asks and the patient, in force at the instant in question."""

    relation: Relation
    areas: frozenset[Thing] | None = None
    """What a guardianship or a power of attorney takes in; None for all, and for other bonds."""
    acting: bool = True
    """Whether the mandate lets one do things, not only see them."""


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
    best: Verdict
    """The farthest that anything reaches, and why; where nothing does, why not."""
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
    Relation.SELF: 0, Relation.ATTORNEY: MAJORITY, Relation.GUARDIAN: MAJORITY,
}  # fmt: skip
"""Years that who asks must have (FAM-12, FAM-13); those with parental responsibility the health majority, before which
one does not use all of the services for oneself either (FAM-06)."""
_TOO_YOUNG = Verdict(Reach.NONE, grounds.NONE, "FAM-06 FAM-12 FAM-13", "asker-young")
_NARROWING = Narrowing()


def mandate_of(
    facts: Facts, born: date, today: date, *, asker_born: date, narrowing: Narrowing = _NARROWING
) -> Mandate:
    """What `facts` give of a patient born `born`, on the day `today` in Norway, to one born `asker_born`."""
    bonds = tuple(bond for bond in facts.bonds if old_enough(bond, asker_born, today))
    band = band_of(age(born, today))
    rights, codes, best = _worked_out(band, bonds, facts.youth_access, facts.placed, facts.protected, facts.dead)
    if facts.bonds and not bonds and not facts.dead:
        best = _TOO_YOUNG
    relations = tuple(bond.relation for bond in bonds)
    mark = TO_YOUTH if Relation.SELF in relations else TO_PARENTS
    return Mandate(band, relations, rights, codes, mark, best, narrowing)


def old_enough(bond: Bond, asker_born: date, today: date) -> bool:
    """Whether who asks has the years that the bond asks for."""
    return age(asker_born, today) >= _YEARS.get(bond.relation, HEALTH_MAJORITY)


@lru_cache(maxsize=1024)
def _worked_out(
    band: Band, bonds: tuple[Bond, ...], youth_access: bool, placed: bool, protected: bool, dead: bool
) -> tuple[Mapping[Thing | None, Right], frozenset[str], Verdict]:
    """(rights, codes that hide, best): each bond's cells asked of the table, the widest of each taken."""
    rights: dict[Thing | None, Right] = {}
    hiding: set[str] = set()
    verdicts: list[Verdict] = []
    for thing in _ROWS:
        found = []
        for bond in bonds or (_NO_BOND,):
            cell = Situation(
                band, bond.relation, thing, covered=bond.areas is None or thing in bond.areas,
                youth_access=youth_access, placed=placed, protected=protected, dead=dead,
            )  # fmt: skip
            found.append(_right(cell, Reach.ACT if bond.acting else Reach.SEE))
            seen = [replace(cell, **recorded) for recorded in _RECORDED.values()]
            hiding |= {code for code in _CODES if any(_hides(code, one) for one in seen)}
            verdicts += [look_up(one) for one in seen]
        rights[thing] = _widest(found)
    # The first of those that reach as far: of letters tied to an open referral, before all else.
    best = max(verdicts, key=lambda verdict: verdict.reach)
    return rights, frozenset(hiding), best


_NO_BOND = Bond(Relation.NONE)
_RECORDED: Mapping[str, Mapping[str, Any]] = {
    "by_referral_marked": {"assessment": Assessment.TO_ACTOR, "opened": True},
    "by_referral": {"assessment": Assessment.TO_ACTOR},
    "primary_marked": {"primary": True, "opened": True},
    "primary": {"primary": True},
    "alone": {"alone": True},
    "always": {},
}
"""What is recorded of a thing, by the field of Right that it decides."""


def _right(cell: Situation, most: Reach) -> Right:
    return Right(**{name: min(most, look_up(replace(cell, **recorded)).reach) for name, recorded in _RECORDED.items()})


def _hides(code: str, seen: Situation) -> bool:
    """Whether the code takes away what would be seen."""
    hidden = replace(seen, codes=frozenset({code}))
    return look_up(seen).reach is not Reach.NONE and look_up(hidden).reach is Reach.NONE


def _widest(rights: Sequence[Right]) -> Right:
    return Right(*(max(getattr(right, name) for right in rights) for name in _FIELDS))


_FIELDS = tuple(one.name for one in fields(Right))
