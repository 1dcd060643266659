"""Norwegian national identity numbers and ages by law. Pure.

Sources: folkeregisterforskriften § 2-2-1 (fødselsnummer), § 2-2-5 (d-nummer); Skatteetaten's rules for
synthetic persons (month + 80); SPECS.md section 2 (identifier systems).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
DNR = "urn:oid:2.16.578.1.12.4.1.4.2"
HPR = "urn:oid:2.16.578.1.12.4.1.4.4"
ENH = "urn:oid:2.16.578.1.12.4.1.4.101"
RESH = "urn:oid:2.16.578.1.12.4.1.4.102"

HEALTH_MAJORITY = 16
"""Years: legal majority in health matters (pbrl § 4-3)."""
MAJORITY = 18
YOUTH_LOGIN = 13
"""Years: the youngest that may log in (FAM-06)."""
PARENTS_FULL_UNTIL = 12
"""Years: parents represent the child fully until then (FAM-02, FAM-03)."""

_FIRST = (3, 7, 6, 1, 8, 9, 4, 5, 2)
_SECOND = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


class NumberKind(StrEnum):
    """What a national identity number is."""

    BIRTH = "fødselsnummer"
    D_NUMBER = "d-nummer"


def _control(digits: list[int], weights: tuple[int, ...]) -> int | None:
    rest = (11 - sum(d * w for d, w in zip(digits, weights, strict=False)) % 11) % 11
    return None if rest == 10 else rest


def control_digits(nine: str) -> str | None:
    """The two control digits of the first nine digits; None when no number has them."""
    digits = [int(c) for c in nine]
    first = _control(digits, _FIRST)
    if first is None:
        return None
    second = _control([*digits, first], _SECOND)
    return None if second is None else f"{first}{second}"


def birth_date(number: str) -> date | None:
    """The date of birth in a national identity number of any kind; None when it holds none."""
    if len(number) != 11 or not number.isascii() or not number.isdigit():
        return None
    day, month, year, individual = int(number[:2]), int(number[2:4]), int(number[4:6]), int(number[6:9])
    day -= 40 if day > 40 else 0
    month -= 80 if month > 80 else 40 if month > 40 else 0
    if individual < 500:
        century = 1900
    elif individual < 750 and year >= 54:
        century = 1800
    elif year < 40:
        century = 2000
    elif individual >= 900:
        century = 1900
    else:
        return None
    try:
        return date(century + year, month, day)
    except ValueError:
        return None


def is_national_number(number: str) -> bool:
    """Whether `number` is a valid fødselsnummer or d-nummer, synthetic ones included."""
    return birth_date(number) is not None and control_digits(number[:9]) == number[9:]


def is_synthetic(number: str) -> bool:
    """Whether a number belongs to a synthetic person (month + 80, or + 40 in older series)."""
    return len(number) == 11 and number.isdigit() and int(number[2:4]) > 40


def kind_of(number: str) -> NumberKind:
    """Whether it is a fødselsnummer or a d-nummer (day + 40)."""
    return NumberKind.D_NUMBER if int(number[:2]) > 40 else NumberKind.BIRTH


def system_of(number: str) -> str:
    """The identifier system of a national identity number."""
    return DNR if kind_of(number) is NumberKind.D_NUMBER else FNR


def born_of(patient: Mapping[str, Any]) -> date | None:
    """The day on which a Patient was born; None where the record does not say the whole day."""
    try:
        return date.fromisoformat(str(patient.get("birthDate", "")))
    except ValueError:
        return None


def age(born: date, on: date) -> int:
    """Whole years at the beginning of the day `on` in Norway. One born on 29 February has a birthday on
    1 March in years without it."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def make_number(born: date, individual: int, *, synthetic: bool = True, d_number: bool = False) -> str | None:
    """A national identity number with this birth date and individual number (000–999); None when its control
    digits do not exist or the individual number is of another century."""
    day = born.day + (40 if d_number else 0)
    month = born.month + (80 if synthetic else 0)
    nine = f"{day:02d}{month:02d}{born.year % 100:02d}{individual:03d}"
    control = control_digits(nine)
    if control is None or birth_date(nine + control) != born:
        return None
    return nine + control
