"""National identity numbers and ages, for numbers of every kind."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.trust.persons import (
    DNR,
    FNR,
    NumberKind,
    age,
    birth_date,
    is_national_number,
    is_synthetic,
    kind_of,
    make_number,
    system_of,
)

BIRTHS = st.dates(date(1855, 1, 1), date(2039, 12, 31))


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, date, bool, bool]:
    """(number, birth date, synthetic, D-number)."""
    born, first = draw(BIRTHS), draw(st.integers(0, 999))
    synthetic, d_number = draw(st.booleans()), draw(st.booleans())
    possible = (make_number(born, (first + n) % 1000, synthetic=synthetic, d_number=d_number) for n in range(1000))
    return next(made for made in possible if made is not None), born, synthetic, d_number


@given(numbers())
def test_a_made_number_is_valid_and_holds_what_it_was_made_of(made: tuple[str, date, bool, bool]) -> None:
    number, born, synthetic, d_number = made
    assert is_national_number(number)
    assert birth_date(number) == born
    assert is_synthetic(number) is synthetic
    assert kind_of(number) is (NumberKind.D_NUMBER if d_number else NumberKind.BIRTH)
    assert system_of(number) == (DNR if d_number else FNR)


@given(numbers(), st.integers(0, 10), st.integers(1, 9))
def test_no_changed_digit_passes(made: tuple[str, date, bool, bool], place: int, by: int) -> None:
    number = made[0]
    changed = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert not is_national_number(changed)


@given(numbers(), st.integers(0, 9))
def test_no_two_neighbours_that_changed_places_pass(made: tuple[str, date, bool, bool], place: int) -> None:
    number = made[0]
    changed = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert changed == number or not is_national_number(changed)


@given(st.text(max_size=14))
def test_any_text_is_judged_without_failing(text: str) -> None:
    if is_national_number(text):
        assert len(text) == 11 and text.isascii()
    is_synthetic(text)
    birth_date(text)


@pytest.mark.parametrize("text", ["", "1", "00000000000", "٠١٠١٠٠٥٠٠٠٠", "1234567890a", " 1010150000", "01010150000 "])
def test_what_is_no_number(text: str) -> None:
    assert not is_national_number(text)


@given(st.dates(date(1900, 1, 1), date(2030, 1, 1)), st.integers(0, 40000))
def test_an_age_rises_by_one_at_each_birthday_and_never_falls(born: date, days: int) -> None:
    on = born + timedelta(days=days)
    today, tomorrow = age(born, on), age(born, on + timedelta(days=1))
    assert 0 <= today <= tomorrow <= today + 1
    leap_day = (born.month, born.day) == (2, 29)
    is_birthday = (on + timedelta(days=1)).month == born.month and (on + timedelta(days=1)).day == born.day
    if not leap_day:
        assert (tomorrow > today) is is_birthday
