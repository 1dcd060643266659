"""Who may give another a power of attorney or youth access: pure decisions, each with its rule number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from varde.clock import OSLO
from varde.edges.registers import PersonStatus, RegisteredPerson
from varde.trust.law.mandate import Facts
from varde.trust.law.table import Relation
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, YOUTH_LOGIN, age

LONGEST = timedelta(days=365 * 20)
"""A power of attorney with an end is for so long at most; one without is until it is withdrawn."""
GIVERS = frozenset({Relation.PARENT_AT_HOME, Relation.PARENT_ELSEWHERE})
"""Either holder of parental responsibility, as long as one lives with the child (FAM-02, FAM-07)."""


class NotAllowed(Exception):
    """A rule says no. `fault` is a key of the pages' texts."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Dates:
    """From and with the first day, to and with the last; None: until it is withdrawn."""

    first: date
    last: date | None

    @property
    def starts(self) -> datetime:
        """The moment it begins."""
        return datetime.combine(self.first, time(0), OSLO)

    @property
    def ends(self) -> datetime | None:
        """The first moment it no longer holds."""
        return None if self.last is None else datetime.combine(self.last + timedelta(days=1), time(0), OSLO)


def check_dates(dates: Dates, today: date) -> None:
    """Raises NotAllowed for a period that is past, backwards or too long (FAM-12)."""
    if dates.first < today:
        raise NotAllowed("first")
    if dates.last is not None and not dates.first <= dates.last <= today + LONGEST:
        raise NotAllowed("last")


def may_give(giver: RegisteredPerson | None, receiver: RegisteredPerson | None, surname: str, today: date) -> None:
    """May one give the other a power of attorney? Raises NotAllowed (FAM-12, FAM-14, FAM-16, FAM-17).

    One who does not exist, has died, lives at a protected address or has another name than was written is told of
    in the same words: nobody learns anything of a person by trying numbers.
    """
    if giver is None or giver.protection.hides_address or age(giver.born, today) < HEALTH_MAJORITY:
        raise NotAllowed("giver")
    unfit = receiver is None or receiver.dead is not None or receiver.protection.hides_address
    if receiver is None or unfit or receiver.status in {PersonStatus.DEAD, PersonStatus.CEASED}:
        raise NotAllowed("receiver")
    if not same_surname(receiver.name, surname):
        raise NotAllowed("receiver")
    if receiver.number == giver.number:
        raise NotAllowed("self")
    if age(receiver.born, today) < MAJORITY:
        raise NotAllowed("young")


def same_surname(name: str, written: str) -> bool:
    """Whether `written` is how a full name ends, whatever the case; a family name may be several words."""
    told, full = written.casefold().split(), name.casefold().split()
    return bool(told) and len(told) < len(full) and full[-len(told) :] == told


def may_give_youth_access(facts: Facts, child_born: date, today: date) -> None:
    """May this parent give or withdraw youth access? Raises NotAllowed (FAM-06, FAM-07, FAM-14, FAM-16, FAM-20)."""
    if not YOUTH_LOGIN <= age(child_born, today) < HEALTH_MAJORITY:
        raise NotAllowed("age")
    if facts.dead or facts.protected or facts.placed:
        raise NotAllowed("not-parent")
    if not any(bond.relation in GIVERS for bond in facts.bonds):
        raise NotAllowed("not-parent")
