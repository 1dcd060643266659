"""Who may be let in at all, and with what reach: pure decisions with their ground and reason.

The law they are made from is `law/table.py`; what a decision means in SQL is `scope.py`'s. Rules:
../shared/domain/family.md; numbers are in the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from varde.trust.grounds import Ground
from varde.trust.law.mandate import Bond, Facts, Mandate, mandate_of
from varde.trust.law.table import Narrowing, Reach, Relation, Situation, Verdict, band_of, look_up
from varde.trust.law.things import Thing
from varde.trust.persons import age


class ActorKind(StrEnum):
    """Who asks."""

    PATIENT = "patient"
    REPRESENTATIVE = "representative"
    STAFF = "staff"
    SYSTEM = "system"


class StaffRole(StrEnum):
    """What a member of staff does in the unit, as far as access goes."""

    CLINICIAN = "clinician"
    SECRETARY = "secretary"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    """The privacy officer: follows up the access log, and sees no record (pasientjournalloven § 22)."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Numbers and choices of the rules, per region."""

    care_relation_after: timedelta = timedelta(days=90)
    """How long a unit's access lasts after the last contact (FAM-30)."""
    narrowing: Narrowing = field(default_factory=Narrowing)
    """What units show less of than the law lets them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, on which ground, and why in a sentence (key of `REASONS`)."""

    allowed: bool
    ground: Ground
    why: str
    rules: str = ""
    """Numbers of the rules that decided."""


REASONS = {
    "own": "own things, from 16 years (FAM-01)",
    "own-child": "nobody under 13 logs in (FAM-06)",
    "own-young": "under 16: only what the referral's assessment opens (FAM-06, FAM-19)",
    "own-dead": "the person has died (FAM-16)",
    "youth": "13–15 years, with a parent's consent to youth access (FAM-06, FAM-19)",
    "youth-alone": "what law gives a young person alone (FAM-06)",
    "youth-no-consent": "13–15 years, without a parent's consent to youth access (FAM-06)",
    "youth-primary": "opened to the young person by primary care (FAM-23)",
    "parent": "parental responsibility, child under 12 (FAM-02)",
    "parent-contact": "parental responsibility: vaccines and contact data until 16 (FAM-03)",
    "parent-log": "parental responsibility: what they did themselves (FAM-03)",
    "parent-primary": "parental responsibility: what primary care opens (FAM-23)",
    "parent-assessed": "parental responsibility, and the referral is open to this parent (FAM-03, FAM-19, FAM-21)",
    "parent-address": "no parent is registered at the child's address (FAM-02)",
    "parent-youth": "from 12 years nothing without an assessment (FAM-03, FAM-19, FAM-21)",
    "parent-adult": "from 16 years every parental access ends (FAM-10, FAM-11)",
    "guardian": "guardian, within the mandate's areas (FAM-13)",
    "guardian-area": "guardian, but not of this area (FAM-13)",
    "attorney": "power of attorney, within its areas (FAM-12)",
    "attorney-area": "power of attorney, but not of this area (FAM-12)",
    "attorney-young": "who gave the power of attorney is under 16 (FAM-12)",
    "asker-young": "who asks is too young to act for another (FAM-06, FAM-12, FAM-13)",
    "no-bond": "nothing binds who asks to the patient (FAM-17)",
    "protected": "one of them lives at a protected address (FAM-14)",
    "placed": "the child is placed; parents' digital access is off (FAM-20)",
    "withheld": "withheld by who treats (FAM-05)",
    "withheld-youth": "withheld from the young person (FAM-05)",
    "withheld-parents": "withheld from those who act for the patient (FAM-04)",
    "withheld-staff": "only for those staff whom the patient allows (FAM-36)",
    "delayed": "not yet: opens at its time (FAM-35)",
    "narrowed": "the unit shows less than the law lets it (FAM-03)",
    "blocked": "blocked by the patient (FAM-33)",
    "decision-hidden": "a record of who may see what is not shown to those it concerns (FAM-24)",
    "staff": "staff of the unit that treats the patient (FAM-30)",
    "staff-administration": "administrative staff: appointments and letters (FAM-31)",
    "staff-none": "the unit does not treat the patient (FAM-30, FAM-37)",
    "staff-role": "not for this role (FAM-31)",
}


def of_verdict(verdict: Verdict) -> Decision:
    """A cell of the table as a decision."""
    return Decision(verdict.reach >= Reach.SEE, verdict.ground, verdict.why, verdict.rules)


def entry(mandate: Mandate) -> Decision:
    """May one get in at all, for oneself or for another? By the farthest that anything reaches."""
    return of_verdict(mandate.best)


def own_access(born: date, today: date, *, dead: bool, youth_access: bool = False) -> Decision:
    """May a person log in to their own services? (FAM-01, FAM-06, FAM-16, FAM-19)"""
    facts = Facts((Bond(Relation.SELF),), youth_access=youth_access, dead=dead)
    return entry(mandate_of(facts, born, today, asker_born=born))


@dataclass(frozen=True, slots=True)
class Parenthood:
    """What the population register says of a would-be parent and a child."""

    responsible: bool
    a_parent_at_childs_address: bool
    protected: bool
    """Either of them lives at a protected address (codes 6 and 7)."""
    child_dead: bool = False

    @property
    def facts(self) -> Facts:
        """The same in the words of the law."""
        at_home = Relation.PARENT_AT_HOME if self.a_parent_at_childs_address else Relation.PARENT_APART
        bonds = (Bond(at_home),) if self.responsible else ()
        return Facts(bonds, protected=self.protected, dead=self.child_dead)


def parental_access(child_born: date, today: date, facts: Parenthood) -> Decision:
    """Does this parent read the child's letters whatever they are tied to? (FAM-02, FAM-03, FAM-10, FAM-14, FAM-16)"""
    told = facts.facts
    relation = told.bonds[0].relation if told.bonds else Relation.NONE
    cell = Situation(
        band_of(age(child_born, today)), relation, Thing.LETTERS, protected=told.protected, dead=told.dead
    )  # fmt: skip
    return of_verdict(look_up(cell))


ADMINISTRATIVE_TYPES = frozenset(
    {"Patient", "Appointment", "Communication", "ServiceRequest", "EpisodeOfCare", "RelatedPerson", "Task", "Group"}
)
"""What a task of summoning and informing needs (FAM-31). No results, no notes."""


def staff_types(role: StaffRole) -> frozenset[str] | None:
    """The clinical types a role may read; None for all (FAM-30, FAM-31)."""
    if role is StaffRole.CLINICIAN:
        return None
    return ADMINISTRATIVE_TYPES if role is StaffRole.SECRETARY else frozenset()


def withheld_from(kind: ActorKind, mandate: Mandate | None = None) -> frozenset[str]:
    """Codes of code system 9603 in meta.security that hide a resource (FAM-04, FAM-05, FAM-35, SPECS 3.8). NORS, which
    hides from staff but those whom the patient allows, is `blocks.py`'s (FAM-36)."""
    return mandate.codes if mandate is not None else frozenset()
