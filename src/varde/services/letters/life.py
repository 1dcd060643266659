"""The life of a letter (LET-50 to LET-52, LET-56): its states, what may follow, and the ways it goes. Pure."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a letter is in its life (LET-50)."""

    DRAFT = "draft"
    WAITING = "waiting"
    SENT = "sent"
    NOTIFIED = "notified"
    OPENED = "opened"
    DUE_FOR_PRINT = "due-for-print"
    PRINTING = "printing"
    PRINTED = "printed"
    POSTED = "posted"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    FAILED = "failed"


class Channel(StrEnum):
    """The way a letter goes."""

    DIGITAL = "digital"
    PAPER = "paper"
    BOTH = "both"
    DIGITAL_MAILBOX = "digital-mailbox"
    NONE = "none"


class Action(StrEnum):
    """What happens to a letter and may change its state (LET-50)."""

    SCHEDULE = "schedule"
    SEND = "send"
    NOTIFY = "notify"
    OPEN = "open"
    MARK_DUE = "mark-due"
    HAND_OVER = "hand-over"
    PRINT = "print"
    POST = "post"
    RETURN = "return"
    WITHDRAW = "withdraw"
    REPLACE = "replace"
    FAIL = "fail"


class NotAllowed(Exception):
    """An action that a letter in this state does not allow (LET-50, LET-51)."""

    def __init__(self, state: State, action: Action) -> None:
        super().__init__(f"{action} is not allowed for a letter that is {state}")
        self.state, self.action = state, action


_SEEN = {
    state: {Action.OPEN: state}
    for state in (State.OPENED, State.PRINTING, State.PRINTED, State.POSTED, State.RETURNED,
                  State.WITHDRAWN, State.REPLACED)
}  # fmt: skip
"""LET-06, LET-07, LET-52: opening these is noted, and changes nothing."""

TRANSITIONS: dict[State, dict[Action, State]] = {
    State.DRAFT: {
        Action.SCHEDULE: State.WAITING,
        Action.SEND: State.SENT,
        Action.FAIL: State.FAILED,
    },
    State.WAITING: {
        Action.SEND: State.SENT,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
        Action.FAIL: State.FAILED,
    },
    State.SENT: {
        Action.NOTIFY: State.NOTIFIED,
        Action.OPEN: State.OPENED,
        Action.MARK_DUE: State.DUE_FOR_PRINT,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
        Action.FAIL: State.FAILED,
    },
    State.NOTIFIED: {
        Action.NOTIFY: State.NOTIFIED,
        Action.OPEN: State.OPENED,
        Action.MARK_DUE: State.DUE_FOR_PRINT,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
        Action.FAIL: State.FAILED,
    },
    State.OPENED: {
        Action.REPLACE: State.REPLACED,
        Action.MARK_DUE: State.DUE_FOR_PRINT,
        Action.HAND_OVER: State.PRINTING,
    },
    State.DUE_FOR_PRINT: {
        Action.NOTIFY: State.NOTIFIED,
        Action.OPEN: State.OPENED,
        Action.HAND_OVER: State.PRINTING,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
        Action.FAIL: State.FAILED,
    },
    State.PRINTING: {
        Action.PRINT: State.PRINTED,
        Action.POST: State.POSTED,
        Action.RETURN: State.RETURNED,
        Action.FAIL: State.FAILED,
    },
    State.PRINTED: {
        Action.POST: State.POSTED,
        Action.RETURN: State.RETURNED,
        Action.REPLACE: State.REPLACED,
    },
    State.POSTED: {Action.RETURN: State.RETURNED, Action.REPLACE: State.REPLACED},
    State.RETURNED: {Action.REPLACE: State.REPLACED},
    State.WITHDRAWN: {},
    State.REPLACED: {},
    State.FAILED: {
        Action.OPEN: State.OPENED,  # it could not go on paper, and was read here after all (LET-06)
        Action.SEND: State.SENT,
        Action.MARK_DUE: State.DUE_FOR_PRINT,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
    },
}
"""What may follow (LET-50). DUE_FOR_PRINT goes back to NOTIFIED when the person has become digital (LET-12)."""
for _state, _kept in _SEEN.items():
    TRANSITIONS[_state] = {**TRANSITIONS[_state], **_kept}

_TOWARDS_PAPER = frozenset({Action.MARK_DUE, Action.HAND_OVER})


def may(state: State, action: Action | str, *, opened: bool = False, paper_always: bool = False) -> bool:
    """Whether a letter in `state` allows `action`. One that was ever `opened` is not withdrawn (LET-51), and is
    printed only when its route is `paper_always` (LET-06, LET-13)."""
    wanted = Action(action)
    opened = opened or state is State.OPENED
    if opened and (wanted is Action.WITHDRAW or (wanted in _TOWARDS_PAPER and not paper_always)):
        return False
    return wanted in TRANSITIONS[state]


def after(state: State, action: Action | str, *, opened: bool = False, paper_always: bool = False) -> State:
    """The state after `action`. Raises NotAllowed."""
    wanted = Action(action)
    if not may(state, wanted, opened=opened, paper_always=paper_always):
        raise NotAllowed(state, wanted)
    return TRANSITIONS[state][wanted]
