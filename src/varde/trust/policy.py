"""Who may be let in at all, and with what reach: pure decisions with their ground and reason.

What a decision means in SQL is `scope.py`'s. Rules: ../shared/domain/family.md; numbers are in the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from varde.trust import grounds
from varde.trust.grounds import Ground
from varde.trust.persons import HEALTH_MAJORITY, PARENTS_FULL_UNTIL, age


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


@dataclass(frozen=True, slots=True)
class Configuration:
    """Numbers of the rules, per region."""

    care_relation_after: timedelta = timedelta(days=90)
    """How long a unit's access lasts after the last contact (FAM-30)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, on which ground, and why in a sentence (key of `REASONS`)."""

    allowed: bool
    ground: Ground
    why: str


REASONS = {
    "own": "own things, from 16 years (FAM-01)",
    "own-young": "under 16: only what the referral's assessment opens (FAM-06, FAM-19)",
    "own-dead": "the person has died (FAM-16)",
    "parent": "parental responsibility, child under 12 (FAM-02)",
    "parent-none": "not registered as having parental responsibility",
    "parent-address": "no parent is registered at the child's address (FAM-02)",
    "parent-youth": "from 12 years nothing without an assessment (FAM-03, FAM-19, FAM-21)",
    "parent-adult": "from 16 years every parental access ends (FAM-10)",
    "parent-protected": "one of them lives at a protected address (FAM-14)",
    "staff": "staff of the unit that treats the patient (FAM-30)",
    "staff-administration": "administrative staff: appointments and letters (FAM-31)",
}


def own_access(born: date, today: date, *, dead: bool) -> Decision:
    """May a person log in to their own services? (FAM-01, FAM-06, FAM-16, FAM-19)"""
    if dead:
        return Decision(False, grounds.NONE, "own-dead")
    if age(born, today) >= HEALTH_MAJORITY:
        return Decision(True, grounds.OWN_RECORD, "own")
    # Nothing tied to a referral shows before its assessment, and every hospital service is tied to one.
    return Decision(False, grounds.NONE, "own-young")


@dataclass(frozen=True, slots=True)
class Parenthood:
    """What the population register says of a would-be parent and a child."""

    responsible: bool
    a_parent_at_childs_address: bool
    protected: bool
    """Either of them lives at a protected address (codes 6 and 7)."""
    child_dead: bool = False


def parental_access(child_born: date, today: date, facts: Parenthood) -> Decision:
    """May this person act for the child? (FAM-02, FAM-03, FAM-10, FAM-14, FAM-16)"""
    if facts.child_dead:
        return Decision(False, grounds.NONE, "own-dead")
    if not facts.responsible:
        return Decision(False, grounds.NONE, "parent-none")
    if facts.protected:
        return Decision(False, grounds.NONE, "parent-protected")
    years = age(child_born, today)
    if years >= HEALTH_MAJORITY:
        return Decision(False, grounds.NONE, "parent-adult")
    if years >= PARENTS_FULL_UNTIL:
        return Decision(False, grounds.NONE, "parent-youth")
    if not facts.a_parent_at_childs_address:
        return Decision(False, grounds.NONE, "parent-address")
    return Decision(True, grounds.PARENT_OF_CHILD, "parent")


ADMINISTRATIVE_TYPES = frozenset(
    {"Patient", "Appointment", "Communication", "ServiceRequest", "EpisodeOfCare", "RelatedPerson", "Task", "Group"}
)
"""What a task of summoning and informing needs (FAM-31). No results, no notes."""


def staff_types(role: StaffRole) -> frozenset[str] | None:
    """The clinical types a role may read; None for all (FAM-30, FAM-31)."""
    if role is StaffRole.CLINICIAN:
        return None
    return ADMINISTRATIVE_TYPES if role is StaffRole.SECRETARY else frozenset()


def withheld_from(kind: ActorKind) -> frozenset[str]:
    """Codes of code system 9603 in meta.security that hide a resource (FAM-04, FAM-05, FAM-35, SPECS 3.8)."""
    if kind is ActorKind.PATIENT:
        return frozenset({"N", "NORU"})
    if kind is ActorKind.REPRESENTATIVE:
        return frozenset({"N", "NORU", "NORN_FORANS"})
    if kind is ActorKind.STAFF:
        return frozenset({"NORS"})
    return frozenset()
