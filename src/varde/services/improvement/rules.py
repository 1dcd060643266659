"""What the evidence says of a service: pure decisions over the last runs of its journeys (IMP-01, IMP-04, IMP-05,
IMP-08, IMP-09). Nothing is ever called well without evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from varde.work.journey import Run

STALE = 3
"""After so many intervals without a run the evidence is too old to say anything (IMP-08)."""
DELIVERED_DAYS = 7
DELIVERED_SHARE = 0.99
"""A deliverable is delivered when this share of its runs was green for so many days (IMP-09)."""
UPTIME_DAYS = 90


class Condition(StrEnum):
    """How a service is."""

    GREEN = "green"
    SLOW = "slow"
    DOWN = "down"
    UNKNOWN = "unknown"


_WORST_FIRST = (Condition.DOWN, Condition.UNKNOWN, Condition.SLOW, Condition.GREEN)


def pause(every: timedelta) -> timedelta:
    """How long a time without a run is no evidence (IMP-08)."""
    return every * STALE


def condition(last: Run | None, every: timedelta, now: datetime) -> Condition:
    """What the last run of one journey says (IMP-04, IMP-08)."""
    if last is None or now - last.at > pause(every):
        return Condition.UNKNOWN
    if not last.passed:
        return Condition.DOWN
    return Condition.SLOW if last.slow else Condition.GREEN


def worst(conditions: Sequence[Condition]) -> Condition:
    """A service is as well as its worst path; without any path nobody knows (IMP-01)."""
    return next((one for one in _WORST_FIRST if one in conditions), Condition.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Day:
    """One day's runs of one or several journeys."""

    day: date
    runs: int
    failed: int

    @property
    def share(self) -> float | None:
        """Share of runs that were green; None for a day without evidence."""
        return None if not self.runs else (self.runs - self.failed) / self.runs

    @property
    def condition(self) -> Condition:
        """How the day is shown."""
        share = self.share
        if share is None:
            return Condition.UNKNOWN
        if share >= DELIVERED_SHARE:
            return Condition.GREEN
        return Condition.SLOW if share >= 0.9 else Condition.DOWN


def together(journeys: Sequence[Sequence[Day]]) -> list[Day]:
    """The days of several journeys as one row, oldest first."""
    by_day: dict[date, Day] = {}
    for days in journeys:
        for one in days:
            known = by_day.get(one.day, Day(one.day, 0, 0))
            by_day[one.day] = Day(one.day, known.runs + one.runs, known.failed + one.failed)
    return [by_day[day] for day in sorted(by_day)]


def delivered(journeys: Mapping[str, Sequence[Day]], today: date) -> bool:
    """Whether the evidence calls a deliverable delivered: each of its journeys ran on each of the last days, green
    on nearly all runs (IMP-09). A day that has just begun, without a run, is not one of them."""
    if not journeys:
        return False
    for days in journeys.values():
        begun = any(one.runs for one in days if one.day == today)
        wanted = {today - timedelta(days=back + (not begun)) for back in range(DELIVERED_DAYS)}
        recent = [one for one in days if one.day in wanted]
        if {one.day for one in recent if one.runs} != wanted:
            return False
        runs, failed = sum(one.runs for one in recent), sum(one.failed for one in recent)
        if (runs - failed) / runs < DELIVERED_SHARE:
            return False
    return True
