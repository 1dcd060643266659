"""The law as a table: what the bonds between two persons, the age, the thing and what is recorded of it let one see.

`LAW` is read from the top; the first row that fits decides, and where none does nothing is shown. A unit may show less
(`Narrowing`), never more. Sources: ../shared/domain/family.md, tables A and B. Pure data; who holds which bond is
`trust/mandates.py`'s, what it means in SQL `scope.py`'s. docs/access.md is printed from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from varde.trust import grounds
from varde.trust.grounds import Ground
from varde.trust.law.marks import DELAYED, FROM_PARENTS, FROM_YOUTH, WITHHELD
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, PARENTS_FULL_UNTIL, YOUTH_LOGIN


class Band(StrEnum):
    """The patient's age by law."""

    CHILD = "0–11"
    TWELVE = "12"
    YOUTH = "13–15"
    ADOLESCENT = "16–17"
    ADULT = "18+"


def band_of(years: int) -> Band:
    """The band of a patient of this age."""
    if years < PARENTS_FULL_UNTIL:
        return Band.CHILD
    if years < YOUTH_LOGIN:
        return Band.TWELVE
    if years < HEALTH_MAJORITY:
        return Band.YOUTH
    return Band.ADOLESCENT if years < MAJORITY else Band.ADULT


class Relation(StrEnum):
    """What binds who asks to the patient."""

    SELF = "self"
    PARENT_AT_HOME = "parent-at-home"
    """With parental responsibility, registered at the child's address."""
    PARENT_ELSEWHERE = "parent-elsewhere"
    """With parental responsibility; another parent is registered at the child's address."""
    PARENT_APART = "parent-apart"
    """With parental responsibility; no parent is registered at the child's address."""
    GUARDIAN = "guardian"
    ATTORNEY = "power-of-attorney"
    NONE = "none"
    """Any other relative, and strangers."""


PARENTS = frozenset({Relation.PARENT_AT_HOME, Relation.PARENT_ELSEWHERE, Relation.PARENT_APART})
REPRESENTATIVES = PARENTS | {Relation.GUARDIAN, Relation.ATTORNEY}
EVERYBODY = frozenset(Relation)


class Assessment(StrEnum):
    """What the treating clinician has recorded of the referral that a thing is tied to (FAM-19)."""

    NONE = "not-assessed"
    """Also: tied to no referral at all."""
    TO_ACTOR = "open"
    """Open to who asks."""
    TO_OTHERS = "open-to-others"
    CLOSED = "closed"
    """Open to nobody."""


class Reach(IntEnum):
    """How far somebody reaches; each takes in those before it."""

    NONE = 0
    OWN = 1
    """Only what they did themselves (the access log)."""
    SEE = 2
    ACT = 3


@dataclass(frozen=True, slots=True)
class Situation:
    """One cell of the table."""

    band: Band
    relation: Relation
    thing: Thing | None
    """None: what stands in no row of table A."""
    assessment: Assessment = Assessment.NONE
    codes: frozenset[str] = frozenset()
    """Of code system 9603, still in force."""
    covered: bool = True
    """Whether a guardian's or an attorney's mandate takes in the thing."""
    opened: bool = False
    """Marked as opened, addressed or released to who asks (marks TO_PARENTS, TO_YOUTH)."""
    alone: bool = False
    """Marked as given to the young person alone."""
    primary: bool = False
    """From general practitioner or municipality."""
    youth_access: bool = False
    """A parent consented to the young person's own access."""
    placed: bool = False
    """The child is placed or unaccompanied (child welfare)."""
    protected: bool = False
    """Either of the two lives at a protected address, codes 6 and 7."""
    dead: bool = False
    """The patient has died."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far, on which ground, by which rules; `why` is a key of policy.REASONS."""

    reach: Reach
    ground: Ground
    rules: str
    why: str


_BANDS = frozenset(Band)
_UNDER_16 = frozenset({Band.CHILD, Band.TWELVE, Band.YOUTH})
_12_TO_15 = frozenset({Band.TWELVE, Band.YOUTH})
_FROM_16 = frozenset({Band.ADOLESCENT, Band.ADULT})
_THINGS: frozenset[Thing | None] = frozenset({*Thing, None})
_READ: frozenset[Thing | None] = frozenset({Thing.DOCUMENTS, Thing.RESULTS, Thing.LOG})
"""There is nothing to do with them but read."""
_DONE = _THINGS - _READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A row of the law: where everything that it names fits, it decides."""

    rules: str
    why: str
    reach: Reach = Reach.NONE
    ground: Ground = grounds.NONE
    bands: frozenset[Band] = _BANDS
    relations: frozenset[Relation] = EVERYBODY
    things: frozenset[Thing | None] = _THINGS
    code: str | None = None
    """A code that withholds it."""
    facts: Mapping[str, bool | Assessment] = field(default_factory=dict)
    """Fields of Situation and what they are."""

    def fits(self, one: Situation) -> bool:
        """Whether it decides this cell."""
        return (
            one.band in self.bands
            and one.relation in self.relations
            and one.thing in self.things
            and (self.code is None or self.code in one.codes)
            and all(getattr(one, name) == value for name, value in self.facts.items())
        )


_SELF = frozenset({Relation.SELF})
_GUARDIAN = frozenset({Relation.GUARDIAN})
_ATTORNEY = frozenset({Relation.ATTORNEY})
_AT_HAND = frozenset({Relation.PARENT_AT_HOME, Relation.PARENT_ELSEWHERE})
_RESPONSIBLE = PARENTS | _GUARDIAN


def _things(*things: Thing | None) -> frozenset[Thing | None]:
    return frozenset(things)


_OPEN: Mapping[str, bool | Assessment] = {"assessment": Assessment.TO_ACTOR, "primary": False}
_OPENED: Mapping[str, bool | Assessment] = {**_OPEN, "opened": True}
_SENT: Mapping[str, bool | Assessment] = {"primary": True}
_SENT_OPENED: Mapping[str, bool | Assessment] = {"primary": True, "opened": True}
_SERVICES = _things(Thing.LETTERS, Thing.APPOINTMENTS, Thing.DIALOGUE, Thing.FORMS, Thing.PLANS)

LAW: tuple[Clause, ...] = (
    # Before everything else: death, no bond, what is withheld, hidden addresses.
    Clause(rules="FAM-16", why="own-dead", ground=grounds.DEAD, facts={"dead": True}),
    Clause(rules="FAM-17", why="no-bond", relations=frozenset({Relation.NONE})),
    Clause(rules="FAM-14", why="protected", ground=grounds.PROTECTED_ADDRESS, relations=REPRESENTATIVES,
           facts={"protected": True}),
    Clause(rules="FAM-05", why="withheld", ground=grounds.WITHHELD, code=WITHHELD),
    Clause(rules="FAM-35", why="delayed", ground=grounds.DELAYED, code=DELAYED),
    Clause(rules="FAM-04", why="withheld-parents", ground=grounds.WITHHELD_FROM_PARENTS, relations=REPRESENTATIVES,
           code=FROM_PARENTS),
    Clause(rules="FAM-05", why="withheld-youth", ground=grounds.WITHHELD, relations=_SELF, bands=_UNDER_16,
           code=FROM_YOUTH),
    # The person themselves.
    Clause(rules="FAM-01", why="own", reach=Reach.SEE, ground=grounds.OWN_RECORD, relations=_SELF, bands=_FROM_16,
           things=_READ),
    Clause(rules="FAM-01", why="own", reach=Reach.ACT, ground=grounds.OWN_RECORD, relations=_SELF, bands=_FROM_16),
    Clause(rules="FAM-06", why="own-child", relations=_SELF, bands=frozenset({Band.CHILD, Band.TWELVE})),
    Clause(rules="FAM-06", why="youth-alone", reach=Reach.ACT, ground=grounds.YOUTH_ALONE, relations=_SELF,
           things=_SERVICES, facts={"alone": True}),
    Clause(rules="FAM-06", why="youth-no-consent", ground=grounds.NO_YOUTH_ACCESS, relations=_SELF,
           facts={"youth_access": False}),
    Clause(rules="FAM-06", why="youth", reach=Reach.SEE, ground=grounds.YOUTH_ACCESS, relations=_SELF,
           things=_things(Thing.CONTACT)),
    Clause(rules="FAM-23", why="youth-primary", reach=Reach.ACT, ground=grounds.YOUTH_ACCESS, relations=_SELF,
           things=_SERVICES, facts=_SENT_OPENED),
    Clause(rules="FAM-06 FAM-19", why="youth", reach=Reach.ACT, ground=grounds.YOUTH_ACCESS, relations=_SELF,
           things=_things(Thing.LETTERS, Thing.APPOINTMENTS), facts=_OPEN),
    Clause(rules="FAM-06 FAM-19", why="youth", reach=Reach.ACT, ground=grounds.YOUTH_ACCESS, relations=_SELF,
           things=_things(Thing.DIALOGUE, Thing.FORMS, Thing.PLANS), facts=_OPENED),
    Clause(rules="FAM-19", why="own-young", ground=grounds.NOT_ASSESSED, relations=_SELF),
    # Those with parental responsibility.
    Clause(rules="FAM-10 FAM-11", why="parent-adult", ground=grounds.PARENTS_END, relations=PARENTS,
           bands=frozenset({Band.ADOLESCENT})),
    Clause(rules="FAM-10", why="parent-adult", ground=grounds.PARENTS_END, relations=PARENTS,
           bands=frozenset({Band.ADULT})),
    Clause(rules="FAM-20", why="placed", ground=grounds.CHILD_WELFARE, relations=PARENTS, facts={"placed": True}),
    Clause(rules="FAM-02", why="parent-address", relations=frozenset({Relation.PARENT_APART})),
    Clause(rules="FAM-02", why="parent", reach=Reach.SEE, ground=grounds.PARENT_OF_CHILD, relations=_AT_HAND,
           bands=frozenset({Band.CHILD}), things=_READ),
    Clause(rules="FAM-02", why="parent", reach=Reach.ACT, ground=grounds.PARENT_OF_CHILD, relations=_AT_HAND,
           bands=frozenset({Band.CHILD})),
    # A guardian within the areas of the mandate, a holder of a power of attorney within those of the power.
    Clause(rules="FAM-12", why="attorney-young", relations=_ATTORNEY, bands=_UNDER_16),
    Clause(rules="FAM-12", why="attorney-area", relations=_ATTORNEY, facts={"covered": False}),
    Clause(rules="FAM-12", why="attorney", reach=Reach.SEE, ground=grounds.POWER_OF_ATTORNEY, relations=_ATTORNEY,
           things=_READ),
    Clause(rules="FAM-12", why="attorney", reach=Reach.ACT, ground=grounds.POWER_OF_ATTORNEY, relations=_ATTORNEY),
    Clause(rules="FAM-13", why="guardian-area", relations=_GUARDIAN, facts={"covered": False}),
    Clause(rules="FAM-13", why="guardian", reach=Reach.SEE, ground=grounds.GUARDIANSHIP, relations=_GUARDIAN,
           bands=_FROM_16 | {Band.CHILD}, things=_READ),
    Clause(rules="FAM-13", why="guardian", reach=Reach.ACT, ground=grounds.GUARDIANSHIP, relations=_GUARDIAN,
           bands=_FROM_16 | {Band.CHILD}),
    # Parents and guardians of 12–15: table A.
    Clause(rules="FAM-03", why="parent-contact", reach=Reach.ACT, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.CONTACT)),
    Clause(rules="FAM-03", why="parent-log", reach=Reach.OWN, ground=grounds.PARENT_OF_YOUTH, relations=_RESPONSIBLE,
           things=_things(Thing.LOG)),
    Clause(rules="FAM-23", why="parent-primary", reach=Reach.ACT, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.APPOINTMENTS), facts=_SENT),
    Clause(rules="FAM-23", why="parent-primary", reach=Reach.SEE, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.DOCUMENTS, Thing.RESULTS), facts=_SENT_OPENED),
    Clause(rules="FAM-23", why="parent-primary", reach=Reach.ACT, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_SERVICES, facts=_SENT_OPENED),
    Clause(rules="FAM-03 FAM-19 FAM-21", why="parent-assessed", reach=Reach.ACT, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.LETTERS, Thing.APPOINTMENTS, Thing.PLANS), facts=_OPEN),
    Clause(rules="FAM-03 FAM-19 FAM-21", why="parent-assessed", reach=Reach.ACT, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.DIALOGUE, Thing.FORMS), facts=_OPENED),
    Clause(rules="FAM-03 FAM-19 FAM-21", why="parent-assessed", reach=Reach.SEE, ground=grounds.PARENT_OF_YOUTH,
           relations=_RESPONSIBLE, things=_things(Thing.DOCUMENTS, Thing.RESULTS), facts=_OPENED),
    Clause(rules="FAM-03 FAM-19 FAM-21", why="parent-youth", ground=grounds.NOT_ASSESSED, relations=_RESPONSIBLE),
)  # fmt: skip
_NOTHING = Verdict(Reach.NONE, grounds.NONE, "FAM-17", "no-bond")


def clause_of(one: Situation) -> Clause | None:
    """The row that decides a cell; None where no row fits."""
    return next((clause for clause in LAW if clause.fits(one)), None)


def look_up(one: Situation) -> Verdict:
    """What the law says of a cell."""
    clause = clause_of(one)
    if clause is None:
        return _NOTHING
    return Verdict(clause.reach, clause.ground, clause.rules, clause.why)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What units show less of than the law lets them to those who act for a person of 12–15 and to the young person:
    things by the Organization's id. There is no way to write more."""

    hidden: Mapping[str, frozenset[Thing]] = field(default_factory=dict)

    def narrowed(self, verdict: Verdict, one: Situation, unit: str | None) -> Verdict:
        """The verdict as the unit has it."""
        if one.band in _12_TO_15 and one.thing is not None and one.thing in self.hidden.get(unit or "", ()):
            return Verdict(Reach.NONE, grounds.NONE, "FAM-03", "narrowed")
        return verdict
