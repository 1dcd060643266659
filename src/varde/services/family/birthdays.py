"""The birthdays on which the law changes what a person and those who act for them may do: days and moments. Pure.

What changes by itself, since every decision is made anew by the clock, is `trust`'s; what must be done about it is
`handover.py`'s.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from varde.clock import OSLO
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, PARENTS_FULL_UNTIL, YOUTH_LOGIN, age

YEARS = (PARENTS_FULL_UNTIL, YOUTH_LOGIN, HEALTH_MAJORITY, MAJORITY)
"""12: the parents' access is limited (FAM-03). 13: the young person may log in (FAM-06). 16: health majority
(FAM-10). 18: majority."""


def midnight(day: date) -> datetime:
    """The moment at which a day begins in Norway, and ages change."""
    return datetime.combine(day, time(0), OSLO)


def born_then(day: date, years: int) -> Sequence[date]:
    """The birth dates of those who turn `years` on `day`. One born on 29 February has a birthday on 1 March in
    years without it, as `trust.persons.age` has it."""
    found = []
    if (day.month, day.day) != (2, 29) or isleap(day.year - years):
        found.append(day.replace(year=day.year - years))
    if (day.month, day.day) == (3, 1) and not isleap(day.year) and isleap(day.year - years):
        found.append(date(day.year - years, 2, 29))
    return found


def turned(before: date | None, born: date, today: date) -> Sequence[int]:
    """The years that one has turned without a birthday, when the birth date was `before` and is corrected to `born`
    (FAM-15)."""
    then = age(before, today) if before is not None else 0
    return [years for years in YEARS if then < years <= age(born, today)] if before is not None else []


def next_day(day: date) -> date:
    """The day after."""
    return day + timedelta(days=1)
