"""Rules of letters (LET-…), pure: whether one is posted, what comes next, and the face of the other rules.

Ways are decided in `routing.py`, deadlines in `deadlines.py`, states in `life.py`; what is said of them is
`reasons.py`. What a letter says is `library/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from varde.services.letters.deadlines import (
    DEFAULT,
    AfterFailure,
    Configuration,
    after_failed_notification,
    months_before,
    paper_arrives,
    print_deadline,
    quiet,
    reminder_at,
)
from varde.services.letters.life import TRANSITIONS, Action, Channel, NotAllowed, State, after, may
from varde.services.letters.reasons import DECISIONS, NEXT_STEPS, PATIENT_REASONS, REASONS
from varde.services.letters.routing import HIDDEN_ADDRESS, OWN, YOUTH, Facts, Route, reads_here, route

__all__ = [
    "DECISIONS",
    "DEFAULT",
    "HIDDEN_ADDRESS",
    "NEXT_STEPS",
    "OWN",
    "PATIENT_REASONS",
    "REASONS",
    "TRANSITIONS",
    "YOUTH",
    "Action",
    "AfterFailure",
    "Channel",
    "Configuration",
    "Decision",
    "Facts",
    "NotAllowed",
    "Route",
    "State",
    "Step",
    "after",
    "after_failed_notification",
    "may",
    "months_before",
    "must_post",
    "next_step",
    "paper_arrives",
    "print_deadline",
    "quiet",
    "reads_here",
    "reminder_at",
    "route",
]

_BEFORE_PAPER = frozenset({State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT})


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why: a key of DECISIONS."""

    yes: bool
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next for a letter: a key of NEXT_STEPS and when, None where nobody can know."""

    key: str
    at: datetime | None = None


def must_post(
    state: State,
    *,
    opened: bool,
    now: datetime,
    deadline: datetime,
    channel: Channel = Channel.DIGITAL,
    paper_always: bool = False,
    appointment_changed: bool = False,
) -> Decision:
    """Whether the letter goes to the printer now (LET-04, LET-06, LET-07, LET-55).

    `opened`: the content was shown to anyone who may act for the patient. Asked again just before it is handed
    over, so that one opened until the batch closes is taken out, unless its route is `paper_always`.
    `appointment_changed`: moved or cancelled since.
    """
    opened = opened or state is State.OPENED
    if opened and not paper_always and state in {State.OPENED, *_BEFORE_PAPER}:
        return Decision(False, "opened")
    if state not in _BEFORE_PAPER and state is not State.OPENED:
        ends = {State.WITHDRAWN: "withdrawn", State.REPLACED: "replaced", State.DRAFT: "not-sent",
                State.WAITING: "not-sent", State.FAILED: "failed"}  # fmt: skip
        return Decision(False, ends.get(state, "already-on-paper"))
    if appointment_changed:
        return Decision(False, "appointment-changed")
    if channel is Channel.NONE:
        return Decision(False, "no-way")
    if now < deadline:
        return Decision(False, "not-due")
    return Decision(True, "on-paper" if channel in (Channel.PAPER, Channel.BOTH) else "unopened")


def next_step(
    state: State,
    *,
    channel: Channel = Channel.DIGITAL,
    deadline: datetime | None = None,
    reminder: datetime | None = None,
    scheduled: datetime | None = None,
    now: datetime | None = None,
) -> Step | None:
    """What comes next and when, for staff (LET-50); None when nothing more happens by itself.

    `reminder` and `deadline` are `reminder_at` and `print_deadline`; one of them past `now` is not told as coming.
    """
    match state:
        case State.DRAFT:
            return Step("to-be-sent")
        case State.WAITING:
            return Step("send", scheduled)
        case State.SENT if channel in (Channel.DIGITAL, Channel.BOTH):
            return Step("notify")
        case State.SENT | State.DUE_FOR_PRINT:
            return Step("print", deadline)
        case State.NOTIFIED if channel is Channel.BOTH:
            return Step("print", deadline)
        case State.NOTIFIED:
            coming = reminder is not None and (now is None or reminder > now)
            return Step("remind", reminder) if coming else Step("print-unopened", deadline)
        case State.PRINTING:
            return Step("wait-for-printer")
        case State.PRINTED:
            return Step("wait-for-post")
        case State.RETURNED | State.FAILED:
            return Step("staff")
        case _:
            return None
