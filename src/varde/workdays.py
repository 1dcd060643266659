"""Norwegian working days: Monday to Friday, less the public holidays. Pure; what a day is for is decided elsewhere.

The holidays are those of lov om helligdager og helligdagsfred § 2 with 1 and 17 May (lov 26.04.1947 nr. 1), as the
library `holidays` keeps them. Christmas Eve and New Year's Eve are working days in law, and are so here.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holidays.countries.norway import Norway

_DAY = timedelta(days=1)


@cache
def _norway() -> Norway:
    """The calendar, read when the first day is asked for: to import it takes a fifth of a process's start."""
    from holidays.countries.norway import Norway

    return Norway()


def is_working_day(day: date) -> bool:
    """Whether offices are open and mail is carried on `day`."""
    return day.weekday() < 5 and day not in _norway()


def next_working_day(day: date) -> date:
    """The first working day after `day`, never `day` itself."""
    return add_working_days(day, 1)


def add_working_days(day: date, count: int) -> date:
    """The working day `count` working days after `day`, before it when `count` is negative.

    `day` is not counted, whether it is a working day or not. 0 gives `day` unchanged.
    """
    step = _DAY if count > 0 else -_DAY
    left = abs(count)
    while left:
        day += step
        left -= is_working_day(day)
    return day


def working_days_between(start: date, end: date) -> int:
    """How many working days lie after `start` up to and with `end`. Negative when `end` is before `start`.

    So `working_days_between(day, add_working_days(day, n)) == n`.
    """
    if end < start:
        return -_counted(start - _DAY, end - _DAY)
    return _counted(end, start)


def _counted(last: date, before_first: date) -> int:
    return sum(is_working_day(before_first + _DAY * number) for number in range(1, (last - before_first).days + 1))
