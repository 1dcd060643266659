"""When letters are told of, reminded of and printed: LET-04, LET-05, LET-09, LET-20 to LET-23. Pure.

A day is one that people live by Norwegian clocks; moments come and go in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from varde.clock import OSLO
from varde.services.letters.life import Channel
from varde.workdays import add_working_days, is_working_day


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


@dataclass(frozen=True, slots=True)
class AfterFailure:
    """LET-23: the way to try next, or None and the moment of the print batch that takes over."""

    way: str | None
    print_at: datetime | None = None


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
    first = first_batch(notified, configuration)
    if channel in (Channel.PAPER, Channel.BOTH):
        return first
    days = configuration.days_unopened
    if channel is Channel.DIGITAL_MAILBOX:
        days = configuration.mailbox_days_unopened
    ordinary = first_batch(later(notified, days), configuration)
    if appointment is None or appointment <= notified:
        return ordinary
    return max(first, min(ordinary, latest_batch(appointment, configuration)))


def paper_arrives(printed: datetime, configuration: Configuration = DEFAULT) -> date:
    """The day a letter printed then is assumed to be with the patient (LET-05)."""
    return add_working_days(day_of(printed), configuration.postal_days)


def reminder_at(
    notified: datetime, deadline: datetime, configuration: Configuration = DEFAULT, *, wanted: bool = True
) -> datetime | None:
    """When to remind of an unopened letter (LET-21); None when none is wanted or paper would come first.

    `wanted` is False for a letter that is tagged with no reminder (`paminnelse` 1).
    """
    if not wanted or configuration.reminder_days is None:
        return None
    at = quiet(later(notified, configuration.reminder_days), configuration=configuration)
    return at if at < deadline else None


def quiet(
    moment: datetime, urgent: bool = False, *, sent_that_day: int = 0, configuration: Configuration = DEFAULT
) -> datetime:
    """The first moment from `moment` on when an SMS may go (LET-22). `urgent` breaks the night, not the day's limit.

    `sent_that_day`: how many SMS the person has been sent on `moment`'s day in Norway, from all services together.
    """
    local = moment.astimezone(OSLO)
    if sent_that_day >= configuration.texts_a_day:
        return at_hour(local.date() + timedelta(days=1), configuration.quiet_until)
    if urgent or configuration.quiet_until <= local.time() < configuration.quiet_from:
        return moment
    day = local.date() if local.time() < configuration.quiet_until else local.date() + timedelta(days=1)
    return at_hour(day, configuration.quiet_until)


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
    return AfterFailure(None, min(deadline, first_batch(now, configuration)))


def months_before(moment: datetime, months: int) -> datetime:
    """The same day and hour `months` earlier, the month's last day where it has no such day."""
    count = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(count, 12)
    first_of_next = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def day_of(moment: datetime) -> date:
    """The date in Norway then."""
    return moment.astimezone(OSLO).date()


def at_hour(day: date, hour: time) -> datetime:
    """That hour by Norwegian clocks, in UTC."""
    return datetime.combine(day, hour, OSLO).astimezone(UTC)


def later(moment: datetime, days: int) -> datetime:
    """The same hour by Norwegian clocks `days` later: a day is one that people live, 23 to 25 hours."""
    local = moment.astimezone(OSLO)
    return datetime.combine(local.date() + timedelta(days=days), local.time(), OSLO).astimezone(UTC)


def first_batch(moment: datetime, configuration: Configuration) -> datetime:
    """The first print batch that closes at or after `moment` (LET-04)."""
    day = day_of(moment)
    while not is_working_day(day) or at_hour(day, configuration.print_at) < moment:
        day += timedelta(days=1)
    return at_hour(day, configuration.print_at)


def latest_batch(appointment: datetime, configuration: Configuration) -> datetime:
    """The last batch whose paper is there `lead_days` before the appointment (LET-05)."""
    latest_arrival = day_of(appointment) - timedelta(days=configuration.lead_days)
    day = add_working_days(latest_arrival + timedelta(days=1), -configuration.postal_days - 1)
    return at_hour(day, configuration.print_at)
