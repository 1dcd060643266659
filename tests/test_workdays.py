"""Norwegian working days against the calendars of years that went and come, and their own arithmetic."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.workdays import add_working_days, is_working_day, next_working_day, working_days_between


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 1, 1), date(2026, 4, 2), date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 14),
        date(2026, 5, 25), date(2026, 12, 25), date(2024, 5, 17), date(2038, 4, 26), date(2018, 5, 10),
        date(2026, 7, 18), date(2026, 7, 19),
    ],
)  # fmt: skip
def test_holidays_and_weekends_are_not_working_days(day: date) -> None:
    assert not is_working_day(day)


@pytest.mark.parametrize("day", [date(2026, 12, 24), date(2026, 12, 31), date(2026, 4, 1), date(2026, 5, 18)])
def test_ordinary_days_and_the_eves_are_working_days(day: date) -> None:
    assert is_working_day(day)


def test_easter_is_stepped_over() -> None:
    assert next_working_day(date(2026, 4, 1)) == date(2026, 4, 7)
    assert add_working_days(date(2026, 3, 31), 2) == date(2026, 4, 7)
    assert add_working_days(date(2026, 4, 7), -2) == date(2026, 3, 31)
    assert working_days_between(date(2026, 4, 1), date(2026, 4, 10)) == 4


def test_from_a_day_off_the_first_working_day_counts_as_one() -> None:
    assert next_working_day(date(2026, 7, 18)) == date(2026, 7, 20)
    assert add_working_days(date(2026, 7, 18), 0) == date(2026, 7, 18)


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(-40, 40))
def test_adding_and_counting_agree(day: date, count: int) -> None:
    there = add_working_days(day, count)
    assert count == 0 or is_working_day(there)
    assert working_days_between(day, there) == count


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 60))
def test_the_count_is_that_of_the_days_one_by_one(day: date, span: int) -> None:
    days = [day + timedelta(days=number) for number in range(1, span + 1)]
    assert working_days_between(day, day + timedelta(days=span)) == sum(map(is_working_day, days))
