"""What a clinician may withhold from whom, until when, what hangs together, and what is old enough to be looked at
again: pure decisions, each with its rule number (FAM-03, FAM-04, FAM-05, FAM-09, FAM-35)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from varde.fhir.keys import resource_key
from varde.services.family.rules import NotAllowed
from varde.trust.consents import Withholding
from varde.trust.hidden import Told, read, taken_in
from varde.trust.law.marks import DELAYED, FROM_PARENTS, FROM_YOUTH, TO_PARENTS, TO_YOUTH, WITHHELD
from varde.trust.law.table import Assessment, Reach, Relation, Situation, band_of, look_up
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY
from varde.trust.policy import StaffRole

LONGEST = timedelta(days=366)
"""The farthest ahead that a delay may end; what must be withheld longer is withheld until it is lifted."""
SHORTEST_REASON = 3


class Way(StrEnum):
    """What the clinician chooses for a thing."""

    OPEN = "apen"
    """Withheld from nobody."""
    UNTIL = "tid"
    """Delayed to a time (FAM-35)."""
    EVENT = "hendelse"
    """Delayed until something has happened, or to a time at the latest (FAM-35)."""
    PARENTS = "foreldre"
    """From those who act for the patient (FAM-04)."""
    YOUTH = "unge"
    """From the young person (FAM-05)."""
    ALL = "alle"
    """From the patient and those who act for them (FAM-05)."""


CODES: Mapping[Way, frozenset[str]] = {
    Way.OPEN: frozenset(),
    Way.UNTIL: frozenset({DELAYED}),
    Way.EVENT: frozenset({DELAYED}),
    Way.PARENTS: frozenset({FROM_PARENTS}),
    Way.YOUTH: frozenset({FROM_YOUTH}),
    Way.ALL: frozenset({WITHHELD}),
}
"""Of code system 9603."""


class Event(StrEnum):
    """What a delayed thing waits for."""

    TALKED = "talked"
    """A clinician says that they have talked with the patient."""
    VISIT = "visit"
    """The patient's next visit to the unit is over, as the record system says; then it opens by itself."""


class Cause(StrEnum):
    """Why; each is the law's own (pbrl § 3-2, § 3-4, § 5-1)."""

    TALK_FIRST = "talk-first"
    YOUNG_WISH = "young-wish"
    DANGER = "danger"
    CLOSE_PERSONS = "close-persons"
    CHILD = "child"
    OVER = "over"
    MISTAKE = "mistake"
    OTHER = "other"


CAUSES: Mapping[Way, Sequence[Cause]] = {
    Way.OPEN: (Cause.OVER, Cause.MISTAKE, Cause.OTHER),
    Way.UNTIL: (Cause.TALK_FIRST, Cause.OTHER),
    Way.EVENT: (Cause.TALK_FIRST, Cause.OTHER),
    Way.PARENTS: (Cause.YOUNG_WISH, Cause.DANGER, Cause.CLOSE_PERSONS, Cause.OTHER),
    Way.YOUTH: (Cause.CHILD, Cause.DANGER, Cause.OTHER),
    Way.ALL: (Cause.DANGER, Cause.CLOSE_PERSONS, Cause.OTHER),
}
"""The grounds that fit each way."""
REVIEWED: Mapping[str, timedelta] = {
    WITHHELD: timedelta(days=30),
    DELAYED: timedelta(days=14),
    FROM_PARENTS: timedelta(days=180),
    FROM_YOUTH: timedelta(days=180),
}
"""How long a decision stands before somebody should look at it again (*design*: the law asks for a need that lasts)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a clinician wants of one thing."""

    way: Way
    until: datetime | None = None
    event: Event | None = None
    cause: Cause | None = None
    reason: str = ""
    marks: frozenset[str] = frozenset()
    """To whom of a person of 12–15 it is released (table A)."""

    @property
    def codes(self) -> frozenset[str]:
        """Of code system 9603."""
        return CODES[self.way]


def released(way: Way, marks: frozenset[str]) -> frozenset[str]:
    """The marks that mean anything beside a way: what is withheld from somebody is not released to them."""
    hidden = {Way.PARENTS: {TO_PARENTS}, Way.YOUTH: {TO_YOUTH}, Way.ALL: {TO_PARENTS, TO_YOUTH}}
    return marks - hidden.get(way, set())


def ways(years: int) -> Sequence[Way]:
    """What can be chosen for a patient of this age: the code for the young person means nothing from 16 (FAM-05)."""
    return [way for way in Way if way is not Way.YOUTH or years < HEALTH_MAJORITY]


def way_of(decision: Withholding | None) -> Way:
    """What was chosen last."""
    if decision is None or decision.withdrawn or not decision.codes:
        return Way.OPEN
    if DELAYED in decision.codes:
        return Way.EVENT if decision.event else Way.UNTIL
    return next(way for way, codes in CODES.items() if codes == decision.codes)


def marks_asked(years: int, thing: Thing | None) -> frozenset[str]:
    """The marks without which the law shows such a thing of one of this age to nobody: to parents (FAM-03), or to the
    young person (FAM-06). Asked of the table itself."""
    asked = set()
    for relation, mark in ((Relation.PARENT_AT_HOME, TO_PARENTS), (Relation.SELF, TO_YOUTH)):
        closed, opened = (_reach(years, relation, thing, opened=one) for one in (False, True))
        if opened > closed:
            asked.add(mark)
    return frozenset(asked)


def _reach(years: int, relation: Relation, thing: Thing | None, *, opened: bool) -> Reach:
    cell = Situation(band_of(years), relation, thing, Assessment.TO_ACTOR, youth_access=True, opened=opened)
    return look_up(cell).reach


def check(choice: Choice, years: int, thing: Thing | None, now: datetime) -> None:
    """Raises NotAllowed for what the law does not know, or without its ground and reason."""
    if choice.way not in ways(years):
        raise NotAllowed("way")
    if not choice.marks <= marks_asked(years, thing):
        raise NotAllowed("marks")
    if choice.way is Way.UNTIL and choice.until is None:
        raise NotAllowed("when")
    if choice.until is not None and not now < choice.until <= now + LONGEST:
        raise NotAllowed("when")
    if (choice.event is not None) != (choice.way is Way.EVENT):
        raise NotAllowed("event")
    if choice.until is not None and choice.way not in {Way.UNTIL, Way.EVENT}:
        raise NotAllowed("when")
    if choice.cause not in CAUSES[choice.way]:
        raise NotAllowed("cause")
    if len(choice.reason.strip()) < SHORTEST_REASON:
        raise NotAllowed("reason")


def may_withhold(role: str | None) -> bool:
    """Those who treat; nobody else decides what a patient sees (FAM-04, FAM-09)."""
    return role == StaffRole.CLINICIAN.value


def due(decision: Withholding, now: datetime) -> bool:
    """Whether it is old enough to be looked at again. What opens at a time looks after itself."""
    if decision.ends is not None or not decision.codes:
        return False
    return now - decision.at >= min(REVIEWED[code] for code in decision.codes)


class Tie(StrEnum):
    """How a thing hangs together with the one that is decided of."""

    PART = "part"
    """A part of it, or something that belongs to it: a report's results, a thread's messages, what a visit left."""
    WHOLE = "whole"
    """What it is part of: the report that has the result, the thread of the message."""
    ABOUT = "about"
    """The letter about the appointment, or the appointment that the letter is about."""


def hanging(root: str, resources: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Tie]:
    """What hangs together with a thing (its reference), among a patient's things by reference. Showing the one and
    withholding the other would tell of what is withheld."""
    told = {_key(one): _told(resource) for one, resource in resources.items()}
    names = {_key(one): one for one in resources}
    mine, own = _key(root), told[_key(root)]
    found: dict[str, Tie] = {}

    def add(keys: Any, tie: Tie) -> None:
        for key in keys:
            if key in names and key != mine:
                found.setdefault(names[key], tie)

    add(taken_in({mine}, told), Tie.PART)
    wholes = {key for key, one in told.items() if mine in one.parts} | {
        key for key in own.belongs if names.get(key, "").startswith(("Communication/", "DiagnosticReport/"))
    }
    add(wholes, Tie.WHOLE)
    if root.startswith("Communication/"):
        add(taken_in(wholes, told), Tie.WHOLE)
    about = {key for key in own.stands_on if names.get(key, "").startswith("Appointment/")}
    letters = {key for key, one in told.items() if mine in one.stands_on and names[key].startswith("Communication/")}
    add((about if root.startswith("Communication/") else set()) | taken_in(letters, told), Tie.ABOUT)
    return found


def _told(resource: Mapping[str, Any]) -> Told:
    told = Told()
    read(resource, told)
    for related in (resource.get("context") or {}).get("related", ()) if "context" in resource else ():
        reference = str(related.get("reference", ""))
        if reference.count("/") == 1:
            told.belongs.add(_key(reference))  # the paper of a letter
    return told


def _key(reference: str) -> int:
    return resource_key(*reference.split("/", 1))
