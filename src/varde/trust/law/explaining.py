"""Why somebody sees one resource or does not: a decision with its ground, from what is recorded of the resource and
what binds the two. `rendering.py` says the same in SQL of all resources at once; a test holds the two together.

Who could see a resource, and by which rule, is gathered in `trust/explaining.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from varde.fhir.definitions import canonical_system
from varde.trust import consents, grounds
from varde.trust.consents import Kind
from varde.trust.law import marks
from varde.trust.law.mandate import Bond, Facts, mandate_of, old_enough
from varde.trust.law.rendering import HIDDEN_FROM_PERSONS, HIDDEN_FROM_STAFF
from varde.trust.law.table import Assessment, Reach, Relation, Situation, Verdict, band_of, look_up
from varde.trust.law.things import Thing, thing_of
from varde.trust.persons import age
from varde.trust.policy import Decision, StaffRole, of_verdict, staff_types


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of one resource, as far as who may see it goes."""

    type: str
    thing: Thing | None
    labels: frozenset[str] = frozenset()
    """Of meta.security, as "system|code"."""
    kind: Kind | None = None
    """Of a Consent that holds a decision of access."""
    assessed: bool = False
    """Whether every referral that it is tied to, one at least, is assessed."""
    opened: frozenset[int] = frozenset()
    """rids of the Patients to whom all of these are open."""
    withheld: frozenset[str] = frozenset()
    """Codes of 9603 by which a clinician's decision withholds it now (trust/withholding.py)."""

    @classmethod
    def of(
        cls, resource: Mapping[str, Any], opened: Iterable[int] | None = None, withheld: Iterable[str] = ()
    ) -> Recorded:
        """From a resource as stored. `opened`: to whom its referrals are open; None: not assessed, or none."""
        kind = str(resource["resourceType"])
        labels = frozenset(
            marks.label(canonical_system(one.get("system") or ""), str(one["code"]))
            for one in (resource.get("meta") or {}).get("security") or ()
            if one.get("code")
        )
        return cls(
            kind, thing_of(kind, resource), labels, consents.kind_of(resource), opened is not None,
            frozenset(opened or ()), frozenset(withheld),
        )  # fmt: skip

    def codes(self, now: datetime) -> frozenset[str]:
        """The codes of 9603 in force at `now`: what is delayed is so until all its moments have come (FAM-35)."""
        found = set(_codes(self.labels, marks.RESTRICTION))
        moments = _codes(self.labels, marks.OPENS)
        come = all(marks.MOMENT.match(one) and one <= marks.moment_text(now) for one in moments)
        if marks.DELAYED in found and moments and come:
            found.remove(marks.DELAYED)
        return self.withheld | found

    def assessment(self, who: int) -> Assessment:
        """How its referrals look to somebody."""
        if not self.assessed:
            return Assessment.NONE
        if who in self.opened:
            return Assessment.TO_ACTOR
        return Assessment.TO_OTHERS if self.opened else Assessment.CLOSED


def _codes(labels: frozenset[str], system: str) -> list[str]:
    return [one.removeprefix(f"{system}|") for one in labels if one.startswith(f"{system}|")]


@dataclass(frozen=True, slots=True)
class Asking:
    """One who asks for the things of one patient, at a moment."""

    rid: int
    """Of their own Patient."""
    born: date
    patient_born: date
    facts: Facts
    today: date
    now: datetime


def explain(recorded: Recorded, asking: Asking) -> Decision:
    """May this person see the resource, on which ground, and why? The farthest that any bond reaches decides."""
    if recorded.kind in HIDDEN_FROM_PERSONS:
        return Decision(False, grounds.NONE, "decision-hidden", "FAM-24")
    verdict = max(
        (_verdict(recorded, asking, bond) for bond in asking.facts.bonds or (Bond(Relation.NONE),)),
        key=lambda one: one.reach,
    )
    if verdict.reach is Reach.NONE and not recorded.codes(asking.now):
        # Nothing of theirs is open to this one at all: say so, rather than what holds for one thing.
        best = mandate_of(asking.facts, asking.patient_born, asking.today, asker_born=asking.born).best
        verdict = best if best.reach is Reach.NONE else verdict
    return of_verdict(verdict)


def _verdict(recorded: Recorded, asking: Asking, bond: Bond) -> Verdict:
    facts = asking.facts
    if not old_enough(bond, asking.born, asking.today):
        bond = Bond(Relation.NONE)
    own = bond.relation is Relation.SELF
    mine = marks.TO_YOUTH if own else marks.TO_PARENTS
    verdict = look_up(
        Situation(
            band_of(age(asking.patient_born, asking.today)), bond.relation, recorded.thing,
            recorded.assessment(asking.rid), recorded.codes(asking.now),
            covered=bond.areas is None or recorded.thing in bond.areas,
            opened=marks.label(marks.MARK, mine) in recorded.labels,
            alone=marks.label(marks.MARK, marks.YOUTH_ALONE) in recorded.labels,
            primary=marks.label(marks.MARK, marks.PRIMARY_CARE) in recorded.labels,
            youth_access=facts.youth_access, placed=facts.placed, protected=facts.protected, dead=facts.dead,
        )
    )  # fmt: skip
    return verdict if bond.acting else replace(verdict, reach=min(verdict.reach, Reach.SEE))


def explain_staff(recorded: Recorded, role: StaffRole, *, treats: bool, blocked: bool = False) -> Decision:
    """May staff of a unit see the resource? `treats`: there is a treatment relation now (FAM-30); `blocked`: by the
    patient, for this unit or person (FAM-33)."""
    if not treats:
        return Decision(False, grounds.NONE, "staff-none", "FAM-30 FAM-37")
    types = staff_types(role)
    if types is not None and recorded.type not in types:
        return Decision(False, grounds.NONE, "staff-role", "FAM-31")
    if recorded.kind in HIDDEN_FROM_STAFF:
        return Decision(False, grounds.NONE, "decision-hidden", "FAM-33")
    if marks.label(marks.RESTRICTION, marks.FROM_STAFF) in recorded.labels:
        return Decision(False, grounds.BLOCKED, "withheld-staff", "FAM-36")
    if blocked:
        return Decision(False, grounds.BLOCKED, "blocked", "FAM-33")
    if role is StaffRole.CLINICIAN:
        return Decision(True, grounds.TREATMENT, "staff", "FAM-30")
    return Decision(True, grounds.ADMINISTRATION, "staff-administration", "FAM-31")
