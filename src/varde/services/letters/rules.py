"""Rules of letters (LET-…), pure: states and channels, routes and deadlines. No input or output.

What a letter says is `library/`; the sentences that tell people why are `reasons.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from varde.clock import OSLO
from varde.services.letters.reasons import DECISIONS, NEXT_STEPS, PATIENT_REASONS, REASONS
from varde.workdays import add_working_days, is_working_day, working_days_between

__all__ = [
    "DECISIONS",
    "NEXT_STEPS",
    "PATIENT_REASONS",
    "REASONS",
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
    "must_post",
    "next_step",
    "paper_arrives",
    "print_deadline",
    "quiet",
    "reminder_at",
    "route",
]

YOUTH = 12
"""Years: until then the letter goes to those who represent the child (LET-03)."""
OWN = 16
"""Years: from then the letter goes to the person alone (LET-01; pbrl § 4-3)."""
HIDDEN_ADDRESS = frozenset({"fortrolig", "strengtFortrolig"})
"""The population register's words for codes 7 and 6 (LET-08)."""


_PAPER_ALWAYS = frozenset({"reserved", "parent-at-home", "referral-not-assessed"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The numbers of the rules: of a region, or of one unit. Days are calendar days where nothing else is said."""

    days_unopened: int = 4
    """LET-04."""
    mailbox_days_unopened: int = 4
    """LET-09: a digital mailbox has its own."""
    reminder_days: int | None = 2
    """LET-21; None: no reminders."""
    lead_days: int = 7
    """LET-05: paper is with the patient so long before the appointment."""
    postal_days: int = 5
    """LET-05: working days from print to letter box."""
    telephone_days: int = 3
    """LET-05: with fewer working days than this before the appointment, the ward telephones."""
    login_months: int = 18
    """LET-01."""
    quiet_from: time = time(21)
    quiet_until: time = time(8)
    """LET-22, Norwegian time."""
    texts_a_day: int = 3
    """LET-22: from all services together."""
    print_at: time = time(7)
    """LET-04: the batch of a working day closes then, Norwegian time."""
    mailbox_connected: bool = False
    """LET-09: whether the region sends to digital mailboxes."""


DEFAULT = Configuration()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides the way of a letter to one patient. Registers' facts, none guessed.

    `is_user` is consent to the portal given; `last_login` when it was last used. `protection` is the population
    register's word. `address_wrong`: a letter came back (LET-11). `a_representative_is_digital`: one who may
    represent the child meets LET-01; `parent_at_home_is_digital`: one of those lives at the child's address
    (LET-13). `referral_assessed`: seen as open to the patient (FAM-19), `parents_may_see` to the parents (FAM-21),
    and `withheld_from_parents` that they shall not be told (FAM-04); the three matter from 12 to 15 years.
    """

    age: int
    is_user: bool = False
    last_login: datetime | None = None
    reserved: bool = False
    notifiable: bool = False
    has_mailbox: bool = False
    protection: str = "ugradert"
    has_address: bool = True
    dead: bool = False
    emigrated: bool = False
    address_wrong: bool = False
    a_representative_is_digital: bool = False
    parent_at_home_is_digital: bool | None = None
    """None: the same as `a_representative_is_digital`."""
    referral_assessed: bool = False
    parents_may_see: bool = False
    withheld_from_parents: bool = False

    @property
    def reaches_a_parent_at_home(self) -> bool:
        """Whether a parent at the child's own address reads letters digitally (LET-13)."""
        if self.parent_at_home_is_digital is None:
            return self.a_representative_is_digital
        return self.parent_at_home_is_digital


@dataclass(frozen=True, slots=True)
class Route:
    """The way decided. `reason` is a key of REASONS, `problem` one of `staff.PROBLEMS` for the worklist.

    `to_representatives`: the letter is (also) theirs; on paper it is addressed to the child's parents.
    """

    channel: Channel
    reason: str
    problem: str | None = None
    telephone: bool = False
    to_representatives: bool = False

    @property
    def digital(self) -> bool:
        """Whether the letter can be opened in the portal and is notified."""
        return self.channel in (Channel.DIGITAL, Channel.BOTH)

    @property
    def printed_at_once(self) -> bool:
        """Whether it goes to the next print batch without waiting for an opening."""
        return self.channel in (Channel.PAPER, Channel.BOTH)

    @property
    def paper_always(self) -> bool:
        """Whether an opening does not spare the paper: for who reserved, and for a parent at home (LET-13)."""
        return self.printed_at_once and self.reason in _PAPER_ALWAYS


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


@dataclass(frozen=True, slots=True)
class AfterFailure:
    """LET-23: the way to try next, or None and the moment of the print batch that takes over."""

    way: str | None
    print_at: datetime | None = field(default=None)


class NotAllowed(Exception):
    """An action that a letter in this state does not allow (LET-50, LET-51)."""

    def __init__(self, state: State, action: Action) -> None:
        super().__init__(f"{action} is not allowed for a letter that is {state}")
        self.state, self.action = state, action


# The way (LET-01 to LET-13).


def route(
    facts: Facts, *, appointment: datetime | None, now: datetime, configuration: Configuration = DEFAULT
) -> Route:
    """The letter's way now; decided again at each step (LET-12). `appointment` is what the letter is about."""
    if facts.dead:
        return Route(Channel.NONE, "dead", "dead")
    if facts.age < YOUTH:
        chosen = _to_parents(facts)
    elif facts.age < OWN:
        chosen = _to_youth(facts, now, configuration)
    else:
        chosen = _to_person(facts, now, configuration)
    return _in_time(chosen, facts, appointment, now, configuration)


def _to_person(facts: Facts, now: datetime, configuration: Configuration) -> Route:
    """From 16 years: LET-01, LET-09, LET-11, LET-02."""
    why_not = _not_digital(facts, now, configuration)
    if why_not is None:
        return Route(Channel.DIGITAL, "digital", "emigrated" if facts.emigrated else None)
    if configuration.mailbox_connected and facts.has_mailbox and not facts.reserved:
        return Route(Channel.DIGITAL_MAILBOX, "mailbox")
    if facts.address_wrong and facts.notifiable and not facts.reserved:
        return Route(Channel.DIGITAL, "address-wrong", "returned")
    return _on_paper(facts, why_not)


def _to_parents(facts: Facts) -> Route:
    """Under 12 years: LET-03, LET-13. Nobody represents a child at a hidden address (FAM-14)."""
    hidden = facts.protection in HIDDEN_ADDRESS
    if not facts.a_representative_is_digital or hidden:
        return _on_paper(facts, "child-on-paper", to_representatives=True)
    if not facts.reaches_a_parent_at_home:
        paper = _on_paper(facts, "parent-at-home", to_representatives=True)
        if paper.channel is Channel.NONE:
            return Route(Channel.DIGITAL, "child-digital", paper.problem, to_representatives=True)
        return Route(Channel.BOTH, paper.reason, to_representatives=True)
    return Route(Channel.DIGITAL, "child-digital", to_representatives=True)


def _to_youth(facts: Facts, now: datetime, configuration: Configuration) -> Route:
    """From 12 to 15 years: LET-02, LET-13, FAM-04, FAM-19, FAM-21."""
    to_parents = not facts.withheld_from_parents
    if not facts.referral_assessed:
        if not to_parents:
            return Route(Channel.NONE, "withheld", "withheld")
        return _on_paper(facts, "referral-not-assessed", to_representatives=True)
    hidden = facts.protection in HIDDEN_ADDRESS
    by_youth = _not_digital(facts, now, configuration) is None
    by_parent = to_parents and facts.parents_may_see and facts.a_representative_is_digital and not hidden
    if not to_parents:
        return Route(Channel.DIGITAL, "youth-digital") if by_youth else Route(Channel.NONE, "withheld", "withheld")
    if by_parent and facts.reaches_a_parent_at_home:
        return Route(Channel.DIGITAL, "youth-digital" if by_youth else "child-digital", to_representatives=True)
    paper = _on_paper(facts, "parent-at-home" if by_youth or by_parent else "child-on-paper", to_representatives=True)
    if not (by_youth or by_parent):
        return paper
    if paper.channel is Channel.NONE:
        return Route(Channel.DIGITAL, "youth-digital", paper.problem, to_representatives=by_parent)
    return Route(Channel.BOTH, paper.reason, to_representatives=True)


def _not_digital(facts: Facts, now: datetime, configuration: Configuration) -> str | None:
    """Why LET-01 does not hold for the person's own use, None when it holds."""
    if facts.reserved:
        return "reserved"
    if not facts.is_user or facts.last_login is None:
        return "not-user"
    if facts.last_login < months_before(now, configuration.login_months):
        return "not-logged-in"
    return None if facts.notifiable else "not-notifiable"


def _on_paper(facts: Facts, reason: str, *, to_representatives: bool = False) -> Route:
    """Paper, or the reason that no paper can be sent: LET-08, LET-10, LET-11."""
    if facts.protection in HIDDEN_ADDRESS:
        return Route(Channel.NONE, "protected", "protected", to_representatives=to_representatives)
    if facts.address_wrong:
        return Route(Channel.NONE, "returned", "returned", to_representatives=to_representatives)
    if facts.emigrated:
        return Route(Channel.NONE, "emigrated", "emigrated", to_representatives=to_representatives)
    if not facts.has_address:
        return Route(Channel.NONE, "no-address", "no-address", to_representatives=to_representatives)
    return Route(Channel.PAPER, reason, to_representatives=to_representatives)


def _in_time(
    chosen: Route, facts: Facts, appointment: datetime | None, now: datetime, configuration: Configuration
) -> Route:
    """LET-05: paper at once where waiting would be too late, and a telephone task where paper is too late."""
    if appointment is None or appointment <= now:
        return chosen
    telephone = working_days_between(_day(now), _day(appointment)) < configuration.telephone_days
    problem = chosen.problem or ("telephone" if telephone else None)
    channel, reason = chosen.channel, chosen.reason
    latest = _latest_print(appointment, configuration)
    if channel is Channel.DIGITAL and _batch(now, configuration) > latest:
        paper = _on_paper(facts, "soon", to_representatives=chosen.to_representatives)
        may_be_printed = not (facts.withheld_from_parents and facts.age < OWN)
        if paper.channel is Channel.PAPER and may_be_printed:
            channel, reason = Channel.BOTH, "soon"
    return Route(channel, reason, problem, telephone, chosen.to_representatives)


# Deadlines (LET-04, LET-05, LET-09, LET-20 to LET-23).


def print_deadline(
    notified: datetime,
    appointment: datetime | None,
    configuration: Configuration = DEFAULT,
    *,
    channel: Channel = Channel.DIGITAL,
) -> datetime:
    """The print batch that takes a letter that nobody has opened: LET-04, shortened by LET-05.

    `notified` is when the notification was sent. Never later than the ordinary deadline and never before the first
    batch after `notified`. On paper (also) at once: that first batch.
    """
    first = _batch(notified, configuration)
    if channel in (Channel.PAPER, Channel.BOTH):
        return first
    days = configuration.days_unopened
    if channel is Channel.DIGITAL_MAILBOX:
        days = configuration.mailbox_days_unopened
    ordinary = _batch(_later(notified, days), configuration)
    if appointment is None or appointment <= notified:
        return ordinary
    return max(first, min(ordinary, _latest_print(appointment, configuration)))


def paper_arrives(printed: datetime, configuration: Configuration = DEFAULT) -> date:
    """The day a letter printed then is assumed to be with the patient (LET-05)."""
    return add_working_days(_day(printed), configuration.postal_days)


def reminder_at(
    notified: datetime, deadline: datetime, configuration: Configuration = DEFAULT, *, wanted: bool = True
) -> datetime | None:
    """When to remind of an unopened letter (LET-21); None when none is wanted or paper would come first.

    `wanted` is False for a letter that is tagged with no reminder (`paminnelse` 1).
    """
    if not wanted or configuration.reminder_days is None:
        return None
    at = quiet(_later(notified, configuration.reminder_days), configuration=configuration)
    return at if at < deadline else None


def quiet(
    moment: datetime, urgent: bool = False, *, sent_that_day: int = 0, configuration: Configuration = DEFAULT
) -> datetime:
    """The first moment from `moment` on when an SMS may go (LET-22). `urgent` breaks the night, not the day's limit.

    `sent_that_day`: how many SMS the person has been sent on `moment`'s day in Norway, from all services together.
    """
    local = moment.astimezone(OSLO)
    if sent_that_day >= configuration.texts_a_day:
        return _at(local.date() + timedelta(days=1), configuration.quiet_until)
    if urgent or configuration.quiet_until <= local.time() < configuration.quiet_from:
        return moment
    day = local.date() if local.time() < configuration.quiet_until else local.date() + timedelta(days=1)
    return _at(day, configuration.quiet_until)


def after_failed_notification(
    tried: Sequence[str],
    available: Sequence[str],
    *,
    now: datetime,
    deadline: datetime,
    configuration: Configuration = DEFAULT,
) -> AfterFailure:
    """LET-23: the first way (`sms`, `email`) not yet tried, else print with the next working morning's batch."""
    for way in available:
        if way not in tried:
            return AfterFailure(way)
    return AfterFailure(None, min(deadline, _batch(now, configuration)))


# Life (LET-50 to LET-56).

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
        Action.SEND: State.SENT,
        Action.MARK_DUE: State.DUE_FOR_PRINT,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.REPLACE: State.REPLACED,
    },
}
"""What may follow (LET-50). DUE_FOR_PRINT goes back to NOTIFIED when the person has become digital (LET-12)."""
for _state, _kept in _SEEN.items():
    TRANSITIONS[_state] = {**TRANSITIONS[_state], **_kept}

_BEFORE_PAPER = frozenset({State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT})
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


# Moments.


def months_before(moment: datetime, months: int) -> datetime:
    """The same day and hour `months` earlier, the month's last day where it has no such day."""
    count = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(count, 12)
    first_of_next = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _day(moment: datetime) -> date:
    return moment.astimezone(OSLO).date()


def _at(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, OSLO).astimezone(UTC)


def _later(moment: datetime, days: int) -> datetime:
    """The same hour by Norwegian clocks `days` later: a day is one that people live, 23 to 25 hours."""
    local = moment.astimezone(OSLO)
    return datetime.combine(local.date() + timedelta(days=days), local.time(), OSLO).astimezone(UTC)


def _batch(moment: datetime, configuration: Configuration) -> datetime:
    """The first print batch that closes at or after `moment` (LET-04)."""
    day = _day(moment)
    while not is_working_day(day) or _at(day, configuration.print_at) < moment:
        day += timedelta(days=1)
    return _at(day, configuration.print_at)


def _latest_print(appointment: datetime, configuration: Configuration) -> datetime:
    """The last batch whose paper is there `lead_days` before the appointment (LET-05)."""
    latest_arrival = _day(appointment) - timedelta(days=configuration.lead_days)
    day = add_working_days(latest_arrival + timedelta(days=1), -configuration.postal_days - 1)
    return _at(day, configuration.print_at)
