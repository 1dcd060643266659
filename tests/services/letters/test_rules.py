"""The LET-rules as decided: a table of cases a rule, and what must hold whatever the facts are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.clock import OSLO
from varde.services.letters import rules
from varde.services.letters.rules import (
    DEFAULT,
    TRANSITIONS,
    Action,
    Channel,
    Configuration,
    Facts,
    NotAllowed,
    Route,
    State,
    after,
    after_failed_notification,
    may,
    months_before,
    must_post,
    next_step,
    paper_arrives,
    print_deadline,
    quiet,
    reminder_at,
    route,
)
from varde.services.letters.staff import PROBLEMS
from varde.web.languages import LANGUAGES
from varde.workdays import is_working_day, working_days_between

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
"""A Tuesday, 10.00 in Norway."""
GROWN = Facts(age=40, is_user=True, last_login=NOW - timedelta(days=30), notifiable=True)
CHILD = Facts(age=5)
YOUTH = Facts(age=14)
FAR = NOW + timedelta(days=60)


def oslo(text: str) -> datetime:
    """A moment by Norwegian clocks."""
    return datetime.fromisoformat(text).replace(tzinfo=OSLO)


def way(facts: Facts, appointment: datetime | None = None, configuration: Configuration = DEFAULT) -> Route:
    return route(facts, appointment=appointment, now=NOW, configuration=configuration)


@pytest.mark.parametrize(
    ("rule", "facts", "channel", "reason", "problem"),
    [
        ("LET-01", GROWN, Channel.DIGITAL, "digital", None),
        ("LET-01", replace(GROWN, age=16), Channel.DIGITAL, "digital", None),
        ("LET-01", replace(GROWN, last_login=months_before(NOW, 18)), Channel.DIGITAL, "digital", None),
        ("LET-02", replace(GROWN, last_login=months_before(NOW, 18) - timedelta(seconds=1)),
         Channel.PAPER, "not-logged-in", None),
        ("LET-02", replace(GROWN, reserved=True), Channel.PAPER, "reserved", None),
        ("LET-02", replace(GROWN, is_user=False), Channel.PAPER, "not-user", None),
        ("LET-02", replace(GROWN, last_login=None), Channel.PAPER, "not-user", None),
        ("LET-02", replace(GROWN, notifiable=False), Channel.PAPER, "not-notifiable", None),
        ("LET-02", YOUTH, Channel.PAPER, "referral-not-assessed", None),
        ("LET-02", replace(YOUTH, is_user=True, last_login=NOW, notifiable=True, a_representative_is_digital=True),
         Channel.PAPER, "referral-not-assessed", None),
        ("LET-02", replace(GROWN, declined=True), Channel.PAPER, "declined", None),
        ("LET-02", replace(GROWN, declined=True, reserved=True), Channel.PAPER, "declined", None),
        ("LET-02", replace(GROWN, declined=True, age=16), Channel.PAPER, "declined", None),
        ("LET-02", replace(CHILD, declined=True, a_representative_is_digital=True), Channel.PAPER, "declined", None),
        ("LET-02", replace(GROWN, age=13, declined=True, referral_assessed=True, parents_may_see=True,
                           a_representative_is_digital=True), Channel.PAPER, "declined", None),
        ("FAM-19", replace(YOUTH, declined=True), Channel.PAPER, "referral-not-assessed", None),
        ("FAM-04", replace(YOUTH, declined=True, referral_assessed=True, withheld_from_parents=True),
         Channel.NONE, "withheld", "withheld"),
        ("LET-08", replace(GROWN, declined=True, protection="fortrolig"), Channel.NONE, "protected", "protected"),
        ("LET-10", replace(GROWN, declined=True, dead=True), Channel.NONE, "dead", "dead"),
        ("LET-11", replace(GROWN, declined=True, address_wrong=True), Channel.NONE, "returned", "returned"),
        ("LET-03", replace(CHILD, a_representative_is_digital=True), Channel.DIGITAL, "child-digital", None),
        ("LET-03", CHILD, Channel.PAPER, "child-on-paper", None),
        ("LET-13", replace(CHILD, a_representative_is_digital=True, parent_at_home_is_digital=False),
         Channel.BOTH, "parent-at-home", None),
        ("LET-13", replace(GROWN, age=13, referral_assessed=True), Channel.BOTH, "parent-at-home", None),
        ("LET-13", replace(GROWN, age=13, referral_assessed=True, parents_may_see=True,
                           a_representative_is_digital=True), Channel.DIGITAL, "youth-digital", None),
        ("FAM-21", replace(YOUTH, referral_assessed=True, a_representative_is_digital=True),
         Channel.PAPER, "child-on-paper", None),
        ("FAM-04", replace(GROWN, age=13, referral_assessed=True, withheld_from_parents=True),
         Channel.DIGITAL, "youth-digital", None),
        ("FAM-04", replace(YOUTH, referral_assessed=True, withheld_from_parents=True),
         Channel.NONE, "withheld", "withheld"),
        ("FAM-04", replace(YOUTH, withheld_from_parents=True), Channel.NONE, "withheld", "withheld"),
        ("FAM-19", replace(YOUTH, referral_assessed=True, paper="none"), Channel.NONE, "no-paper", "withheld"),
        ("FAM-19", replace(YOUTH, referral_assessed=True, paper="youth"), Channel.PAPER, "youth-on-paper", None),
        ("FAM-04", replace(YOUTH, referral_assessed=True, paper="youth", withheld_from_parents=True),
         Channel.PAPER, "youth-on-paper", None),
        ("FAM-19", replace(GROWN, age=13, referral_assessed=True, paper="none"),
         Channel.DIGITAL, "youth-digital", None),
        ("FAM-19", replace(GROWN, age=13, referral_assessed=True, paper="youth"),
         Channel.DIGITAL, "youth-digital", None),
        ("FAM-19", replace(GROWN, age=13, referral_assessed=True, young_may_see=False),
         Channel.PAPER, "child-on-paper", None),
        ("FAM-21", replace(GROWN, age=13, referral_assessed=True, young_may_see=False, parents_may_see=True,
                           a_representative_is_digital=True), Channel.DIGITAL, "child-digital", None),
        ("LET-08", replace(GROWN, protection="strengtFortrolig"), Channel.DIGITAL, "digital", None),
        ("LET-08", replace(GROWN, reserved=True, protection="strengtFortrolig"),
         Channel.NONE, "protected", "protected"),
        ("LET-08", replace(GROWN, reserved=True, protection="fortrolig"), Channel.NONE, "protected", "protected"),
        ("LET-08", replace(GROWN, reserved=True, protection="klientadresse"), Channel.PAPER, "reserved", None),
        ("FAM-14", replace(CHILD, a_representative_is_digital=True, protection="fortrolig"),
         Channel.NONE, "protected", "protected"),
        ("LET-10", replace(GROWN, dead=True), Channel.NONE, "dead", "dead"),
        ("LET-10", replace(GROWN, reserved=True, emigrated=True), Channel.NONE, "emigrated", "emigrated"),
        ("LET-10", replace(GROWN, emigrated=True), Channel.DIGITAL, "digital", "emigrated"),
        ("LET-10", replace(GROWN, reserved=True, has_address=False), Channel.NONE, "no-address", "no-address"),
        ("LET-10", replace(GROWN, has_address=False), Channel.DIGITAL, "digital", None),
        ("LET-11", replace(GROWN, last_login=None, address_wrong=True), Channel.DIGITAL, "address-wrong", "returned"),
        ("LET-11", replace(GROWN, address_wrong=True), Channel.DIGITAL, "digital", None),
        ("LET-11", replace(GROWN, reserved=True, address_wrong=True), Channel.NONE, "returned", "returned"),
        ("LET-11", replace(GROWN, notifiable=False, address_wrong=True), Channel.NONE, "returned", "returned"),
    ],
)  # fmt: skip
def test_the_way_of_a_letter(rule: str, facts: Facts, channel: Channel, reason: str, problem: str | None) -> None:
    found = way(facts, FAR)
    assert (found.channel, found.reason, found.problem) == (channel, reason, problem), rule


def test_a_digital_mailbox_comes_before_paper_where_it_is_connected() -> None:
    """LET-09."""
    connected = Configuration(mailbox_connected=True)
    has_one = replace(GROWN, is_user=False, has_mailbox=True)
    assert way(has_one, configuration=connected).channel is Channel.DIGITAL_MAILBOX
    assert way(has_one).channel is Channel.PAPER
    assert way(replace(has_one, reserved=True), configuration=connected).channel is Channel.PAPER
    assert way(replace(has_one, declined=True), configuration=connected).channel is Channel.PAPER
    assert way(replace(GROWN, has_mailbox=True), configuration=connected).channel is Channel.DIGITAL


def test_the_way_is_decided_again_at_each_step() -> None:
    """LET-12: one who becomes digital before the print is reached digitally."""
    before = replace(GROWN, is_user=False, last_login=None)
    assert way(before).channel is Channel.PAPER
    assert way(replace(before, is_user=True, last_login=NOW)).channel is Channel.DIGITAL
    assert after(State.DUE_FOR_PRINT, Action.NOTIFY) is State.NOTIFIED


@pytest.mark.parametrize(
    ("appointment", "channel", "telephone"),
    [
        (None, Channel.DIGITAL, False),
        ("2027-01-15T12:00", Channel.DIGITAL, False),
        ("2026-12-09T12:00", Channel.DIGITAL, False),
        ("2026-12-08T12:00", Channel.BOTH, False),  # paper would be there on 2 December at the earliest
        ("2026-11-27T12:00", Channel.BOTH, False),  # three working days
        ("2026-11-26T12:00", Channel.BOTH, True),
        ("2026-11-24T15:00", Channel.BOTH, True),
        ("2026-11-23T15:00", Channel.DIGITAL, False),  # past
    ],
)
def test_paper_at_once_and_a_telephone_task_when_the_appointment_is_soon(
    appointment: str | None, channel: Channel, telephone: bool
) -> None:
    """LET-05."""
    found = way(GROWN, oslo(appointment) if appointment else None)
    assert (found.channel, found.telephone) == (channel, telephone)
    assert found.problem == ("telephone" if telephone else None)


def test_the_ward_telephones_also_one_who_is_on_paper_only() -> None:
    """LET-05."""
    found = way(replace(GROWN, reserved=True), NOW + timedelta(days=1))
    assert (found.channel, found.telephone, found.problem) == (Channel.PAPER, True, "telephone")


def test_paper_at_once_needs_an_address() -> None:
    """LET-05, LET-08: nobody's hidden address is printed because the appointment is soon."""
    for facts in (replace(GROWN, protection="fortrolig"), replace(GROWN, has_address=False)):
        found = way(facts, NOW + timedelta(days=2))
        assert (found.channel, found.telephone) == (Channel.DIGITAL, True)


@pytest.mark.parametrize(
    ("notified", "appointment", "batch"),
    [
        ("2026-11-24T10:00", None, "2026-11-30T07:00"),  # Tuesday + 4 days = Saturday: Monday's batch
        ("2026-11-25T10:00", None, "2026-11-30T07:00"),
        ("2026-11-26T10:00", None, "2026-12-01T07:00"),  # Monday 10.00: the next morning's
        ("2026-11-26T06:00", None, "2026-11-30T07:00"),  # Monday 06.00: the same morning's
        ("2026-12-21T10:00", None, "2026-12-28T07:00"),  # Christmas Day is no working day
        ("2026-03-26T12:00", None, "2026-03-31T07:00"),  # over summer time: four days by the clock on the wall
        ("2026-11-24T10:00", "2027-02-01T12:00", "2026-11-30T07:00"),
        ("2026-11-24T10:00", "2026-12-11T12:00", "2026-11-27T07:00"),  # there on 4 December
        ("2026-11-24T10:00", "2026-12-09T12:00", "2026-11-25T07:00"),
        ("2026-11-24T10:00", "2026-12-01T12:00", "2026-11-25T07:00"),  # too late: the first batch all the same
    ],
)
def test_the_deadline_and_how_it_shortens(notified: str, appointment: str | None, batch: str) -> None:
    """LET-04, LET-05."""
    assert print_deadline(oslo(notified), oslo(appointment) if appointment else None) == oslo(batch)


def test_paper_goes_with_the_first_batch() -> None:
    """LET-02, LET-05."""
    for channel in (Channel.PAPER, Channel.BOTH):
        assert print_deadline(NOW, FAR, channel=channel) == oslo("2026-11-25T07:00")


def test_a_mailbox_has_its_own_deadline() -> None:
    """LET-09."""
    own = Configuration(mailbox_days_unopened=9)
    assert print_deadline(NOW, None, own, channel=Channel.DIGITAL_MAILBOX) == oslo("2026-12-04T07:00")


@pytest.mark.parametrize(
    ("notified", "reminded"),
    [
        ("2026-11-24T10:00", "2026-11-26T10:00"),
        ("2026-11-24T22:30", "2026-11-27T08:00"),
        ("2026-11-24T05:00", "2026-11-26T08:00"),
    ],
)
def test_reminded_after_two_days_and_not_at_night(notified: str, reminded: str) -> None:
    """LET-21, LET-22."""
    assert reminder_at(oslo(notified), print_deadline(oslo(notified), None)) == oslo(reminded)


def test_no_reminder_when_none_is_wanted_or_paper_comes_first() -> None:
    """LET-21."""
    deadline = print_deadline(NOW, None)
    assert reminder_at(NOW, deadline, wanted=False) is None
    assert reminder_at(NOW, deadline, Configuration(reminder_days=None)) is None
    assert reminder_at(NOW, NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("moment", "urgent", "sent", "goes"),
    [
        ("2026-11-24T20:59", False, 0, "2026-11-24T20:59"),
        ("2026-11-24T21:00", False, 0, "2026-11-25T08:00"),
        ("2026-11-24T23:59", False, 2, "2026-11-25T08:00"),
        ("2026-11-24T07:59", False, 0, "2026-11-24T08:00"),
        ("2026-11-24T08:00", False, 0, "2026-11-24T08:00"),
        ("2026-11-24T23:00", True, 0, "2026-11-24T23:00"),
        ("2026-11-24T12:00", False, 2, "2026-11-24T12:00"),
        ("2026-11-24T12:00", False, 3, "2026-11-25T08:00"),
        ("2026-11-24T12:00", True, 3, "2026-11-25T08:00"),
        ("2026-10-24T22:00", False, 0, "2026-10-25T08:00"),  # the night that is an hour longer
    ],
)
def test_quiet_hours_and_three_a_day(moment: str, urgent: bool, sent: int, goes: str) -> None:
    """LET-22."""
    assert quiet(oslo(moment), urgent, sent_that_day=sent) == oslo(goes)


def test_a_failed_notification_tries_the_next_way_and_then_shortens_the_deadline() -> None:
    """LET-23."""
    deadline = print_deadline(NOW, None)
    second = after_failed_notification(["sms"], ["sms", "email"], now=NOW, deadline=deadline)
    assert (second.way, second.print_at) == ("email", None)
    last = after_failed_notification(["sms", "email"], ["sms", "email"], now=NOW, deadline=deadline)
    assert (last.way, last.print_at) == (None, oslo("2026-11-25T07:00"))
    late = after_failed_notification(["sms"], ["sms"], now=deadline - timedelta(minutes=1), deadline=deadline)
    assert late.print_at == deadline


@pytest.mark.parametrize(
    ("rule", "state", "more", "yes", "why"),
    [
        ("LET-04", State.NOTIFIED, {}, True, "unopened"),
        ("LET-04", State.SENT, {}, True, "unopened"),
        ("LET-04", State.NOTIFIED, {"now": NOW - timedelta(seconds=1)}, False, "not-due"),
        ("LET-06", State.NOTIFIED, {"opened": True}, False, "opened"),
        ("LET-06", State.OPENED, {}, False, "opened"),
        ("LET-07", State.DUE_FOR_PRINT, {"opened": True}, False, "opened"),
        ("LET-07", State.DUE_FOR_PRINT, {}, True, "unopened"),
        ("LET-13", State.DUE_FOR_PRINT, {"opened": True, "paper_always": True, "channel": Channel.BOTH},
         True, "on-paper"),
        ("LET-13", State.OPENED, {"paper_always": True, "channel": Channel.BOTH}, True, "on-paper"),
        ("LET-02", State.SENT, {"channel": Channel.PAPER}, True, "on-paper"),
        ("LET-10", State.SENT, {"channel": Channel.NONE}, False, "no-way"),
        ("LET-55", State.NOTIFIED, {"appointment_changed": True}, False, "appointment-changed"),
        ("LET-55", State.DUE_FOR_PRINT, {"appointment_changed": True}, False, "appointment-changed"),
        ("LET-56", State.PRINTING, {}, False, "already-on-paper"),
        ("LET-56", State.POSTED, {}, False, "already-on-paper"),
        ("LET-51", State.WITHDRAWN, {}, False, "withdrawn"),
        ("LET-52", State.REPLACED, {}, False, "replaced"),
        ("LET-50", State.WAITING, {}, False, "not-sent"),
        ("LET-50", State.FAILED, {}, False, "failed"),
    ],
)  # fmt: skip
def test_whether_a_letter_is_posted(rule: str, state: State, more: dict[str, object], yes: bool, why: str) -> None:
    asked = {"opened": False, "now": NOW, "deadline": NOW, **more}
    found = must_post(state, **asked)  # type: ignore[arg-type]
    assert (found.yes, found.why) == (yes, why), rule


def test_withdrawn_only_before_it_is_opened_or_printed() -> None:
    """LET-51."""
    allowed = {state for state in State if may(state, Action.WITHDRAW)}
    assert allowed == {State.WAITING, State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT, State.FAILED}
    assert not any(may(state, Action.WITHDRAW, opened=True) for state in State)


def test_opening_ends_the_waiting_but_not_what_is_on_its_way() -> None:
    """LET-06, LET-07, LET-52."""
    for state in (State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT):
        assert after(state, Action.OPEN) is State.OPENED
    for state in (State.PRINTING, State.PRINTED, State.POSTED, State.RETURNED, State.WITHDRAWN, State.REPLACED):
        assert after(state, Action.OPEN) is state
    for state in (State.DRAFT, State.WAITING):
        assert not may(state, Action.OPEN)


def test_an_opened_letter_is_printed_only_when_its_route_says_paper_always() -> None:
    """LET-06, LET-13."""
    assert not may(State.OPENED, Action.HAND_OVER)
    assert after(State.OPENED, Action.HAND_OVER, paper_always=True) is State.PRINTING
    assert not may(State.DUE_FOR_PRINT, Action.HAND_OVER, opened=True)
    assert way(replace(GROWN, reserved=True)).paper_always
    assert not way(GROWN, NOW + timedelta(days=5)).paper_always


def test_a_letter_is_handed_over_once() -> None:
    """LET-56: from no state after hand-over is there a way back to before it, but by failing and a person's choice."""
    handed_over = {State.PRINTING, State.PRINTED, State.POSTED, State.RETURNED}
    for state in handed_over:
        assert not may(state, Action.HAND_OVER, paper_always=True)
        assert set(TRANSITIONS[state].values()) <= handed_over | {State.REPLACED, State.FAILED}


def test_what_is_not_allowed_is_refused() -> None:
    """LET-50."""
    with pytest.raises(NotAllowed, match="withdraw is not allowed for a letter that is posted"):
        after(State.POSTED, "withdraw")


@pytest.mark.parametrize(
    ("state", "more", "key", "at"),
    [
        (State.SENT, {}, "notify", None),
        (State.SENT, {"channel": Channel.PAPER}, "print", NOW),
        (State.NOTIFIED, {"reminder": NOW - timedelta(days=2)}, "remind", NOW - timedelta(days=2)),
        (State.NOTIFIED, {"reminder": NOW - timedelta(days=2), "now": NOW - timedelta(days=1)}, "print-unopened", NOW),
        (State.NOTIFIED, {}, "print-unopened", NOW),
        (State.NOTIFIED, {"channel": Channel.BOTH}, "print", NOW),
        (State.DUE_FOR_PRINT, {}, "print", NOW),
        (State.PRINTING, {}, "wait-for-printer", None),
        (State.RETURNED, {}, "staff", None),
    ],
)
def test_what_comes_next(state: State, more: dict[str, object], key: str, at: datetime | None) -> None:
    """LET-50."""
    found = next_step(state, deadline=NOW, **more)  # type: ignore[arg-type]
    assert found is not None
    assert (found.key, found.at) == (key, at)
    assert next_step(State.OPENED) is None


def test_every_reason_is_said_in_every_language() -> None:
    """LET-02."""
    for texts in (rules.REASONS, rules.PATIENT_REASONS, rules.DECISIONS, rules.NEXT_STEPS):
        for key, said in texts.items():
            assert set(said) == set(LANGUAGES), key
            assert all(said.values()), key
    assert rules.REASONS.keys() == rules.PATIENT_REASONS.keys()


def test_months_before() -> None:
    """LET-01."""
    assert months_before(datetime(2026, 8, 31, tzinfo=UTC), 18) == datetime(2025, 2, 28, tzinfo=UTC)
    assert months_before(datetime(2025, 12, 24, tzinfo=UTC), 12) == datetime(2024, 12, 24, tzinfo=UTC)
    assert months_before(datetime(2026, 1, 1, tzinfo=UTC), 1) == datetime(2025, 12, 1, tzinfo=UTC)


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
some_facts = st.builds(
    Facts,
    age=st.integers(0, 105),
    is_user=st.booleans(),
    last_login=st.none() | moments,
    reserved=st.booleans(),
    declined=st.booleans(),
    notifiable=st.booleans(),
    has_mailbox=st.booleans(),
    protection=st.sampled_from(["ugradert", "klientadresse", "fortrolig", "strengtFortrolig"]),
    has_address=st.booleans(),
    dead=st.booleans(),
    emigrated=st.booleans(),
    address_wrong=st.booleans(),
    a_representative_is_digital=st.booleans(),
    parent_at_home_is_digital=st.none() | st.booleans(),
    referral_assessed=st.booleans(),
    young_may_see=st.booleans(),
    parents_may_see=st.booleans(),
    withheld_from_parents=st.booleans(),
    paper=st.sampled_from(["parents", "youth", "none"]),
)
configurations = st.builds(
    Configuration,
    days_unopened=st.integers(1, 10),
    lead_days=st.integers(0, 14),
    postal_days=st.integers(1, 8),
    telephone_days=st.integers(0, 5),
    mailbox_connected=st.booleans(),
)


@given(some_facts, st.none() | moments, moments, configurations)
def test_whatever_the_facts(
    facts: Facts, appointment: datetime | None, now: datetime, configuration: Configuration
) -> None:
    found = route(facts, appointment=appointment, now=now, configuration=configuration)
    assert found.reason in rules.REASONS
    assert found.problem is None or found.problem in PROBLEMS
    assert found.channel is not Channel.NONE or found.problem, "a letter that goes nowhere is on somebody's list"
    if found.telephone:
        assert found.problem
    if facts.dead:
        assert found.channel is Channel.NONE
    if found.printed_at_once:
        assert facts.protection not in rules.HIDDEN_ADDRESS, "LET-08"
        assert facts.has_address
        assert not facts.address_wrong
    if facts.reserved and facts.age >= 16:
        assert not found.digital, "LET-02"
    if facts.declined:
        assert not found.digital, "who said no to letters here gets none here"
        assert found.reason in rules.PATIENT_REASONS or found.channel is Channel.NONE
    if 12 <= facts.age < 16:
        if not facts.referral_assessed:
            assert not found.digital, "FAM-19"
        if facts.withheld_from_parents:
            assert not found.to_representatives, "FAM-04"
            assert not found.printed_at_once or facts.paper == "youth", "FAM-04"
        if facts.paper == "none":
            assert not found.printed_at_once, "the clinician chose that no paper goes"
        if not facts.young_may_see and not facts.parents_may_see:
            assert not found.digital, "FAM-19"
    if facts.age >= 16:
        assert not found.to_representatives, "FAM-10"


@given(some_facts, st.integers(1, 90), moments, configurations)
def test_paper_is_there_in_time_or_something_is_done_about_it(
    facts: Facts, days: int, now: datetime, configuration: Configuration
) -> None:
    """LET-05: unopened, a letter is on paper with the patient `lead_days` before, unless it went at once."""
    appointment = now + timedelta(days=days)
    found = route(facts, appointment=appointment, now=now, configuration=configuration)
    if found.channel is not Channel.DIGITAL or found.problem == "returned":
        return
    deadline = print_deadline(now, appointment, configuration)
    wanted = appointment.astimezone(OSLO).date() - timedelta(days=configuration.lead_days)
    can_be_printed = facts.has_address and not facts.address_wrong and not facts.emigrated
    hidden = facts.protection in rules.HIDDEN_ADDRESS or facts.withheld_from_parents
    assert paper_arrives(deadline, configuration) <= wanted or not can_be_printed or hidden


@given(moments, st.none() | moments, configurations)
def test_a_deadline_is_a_batch_and_never_later_than_the_ordinary(
    notified: datetime, appointment: datetime | None, configuration: Configuration
) -> None:
    """LET-04, LET-05."""
    found = print_deadline(notified, appointment, configuration)
    assert found <= print_deadline(notified, None, configuration)
    assert found >= notified
    local = found.astimezone(OSLO)
    assert local.time() == configuration.print_at
    assert is_working_day(local.date())
    assert found >= print_deadline(notified, None, configuration, channel=Channel.PAPER)


@given(moments, st.booleans(), st.integers(0, 5))
def test_no_text_at_night_nor_a_fourth(moment: datetime, urgent: bool, sent: int) -> None:
    """LET-22."""
    goes = quiet(moment, urgent, sent_that_day=sent)
    assert goes >= moment
    if not urgent:
        assert time(8) <= goes.astimezone(OSLO).time() < time(21)
    if sent >= 3:
        assert goes.astimezone(OSLO).date() > moment.astimezone(OSLO).date()
    assert goes - moment < timedelta(hours=34)


@given(moments)
def test_a_letter_is_never_telephoned_about_with_three_working_days_left(now: datetime) -> None:
    """LET-05."""
    for days in range(1, 12):
        appointment = now + timedelta(days=days)
        left = working_days_between(now.astimezone(OSLO).date(), appointment.astimezone(OSLO).date())
        found = route(GROWN, appointment=appointment, now=now)
        assert found.telephone is (left < 3)


def test_every_state_and_action_has_an_answer() -> None:
    """LET-50: nothing is left undecided, and no letter is lost: every state leads somewhere, or is an end."""
    for state, action in product(State, Action):
        assert may(state, action) in (True, False)
    ends = {state for state in State if not set(TRANSITIONS[state].values()) - {state}}
    assert ends == {State.WITHDRAWN, State.REPLACED}
