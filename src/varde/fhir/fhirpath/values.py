"""What a FHIRPath collection holds: nodes of a resource, and system values: bool, int, Decimal, str, Temporal and
Quantity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_TEMPORAL = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?(?:T([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?)?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_TIME = re.compile(r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?)?", re.ASCII)
DATES = frozenset({"date", "dateTime", "instant"})
TEMPORAL = DATES | {"time"}
SECOND = 6
"""Precision in parts: year 1, month 2, day 3, hour 4, minute 5, second 6 (fractions count as seconds)."""


class Node:
    """An element of a resource: its JSON value (None where only `_name` stands), FHIR type, and where it hangs.

    `type` is a datatype, a resource type or the path of a nested element (`Patient.contact`). `extra` is what
    stands under `_name`. `holder[key]` is the value, for those who change it.
    """

    __slots__ = ("extra", "holder", "key", "primitive", "type", "value")

    def __init__(
        self, value: Any, kind: str, primitive: bool = False, extra: Any = None, holder: Any = None, key: Any = None
    ) -> None:
        self.value = value
        self.type = kind
        self.primitive = primitive
        self.extra = extra
        self.holder = holder
        self.key = key

    def __repr__(self) -> str:
        return f"<{self.type}>"


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, dateTime or time of some precision. Compared part by part, by what both have (FHIRPath 6.2)."""

    kind: str
    parts: tuple[Any, ...]
    """year, month, day, hour, minute, second (Decimal); of a time: hour, minute, second. As many as were given."""
    zone: int | None
    """Minutes east of UTC, when one was given."""
    text: str

    @classmethod
    def read(cls, kind: str, text: str) -> Temporal | None:
        """The value that `text` stands for; None when it is none of the calendar."""
        match = (_TIME if kind == "time" else _TEMPORAL).fullmatch(text)
        if match is None:
            return None
        groups = list(match.groups())
        zone = groups.pop() if kind != "time" else None
        fraction = groups.pop()
        parts: list[Any] = [int(g) for g in groups if g is not None]
        if kind != "time" and groups[3] is not None and None in groups[:3]:
            return None
        if fraction is not None:
            parts[-1] += Decimal("0" + fraction)
        if not _of_the_calendar(kind, parts):
            return None
        return cls(kind, tuple(parts), _minutes(zone), text)

    def normal(self) -> tuple[Any, ...]:
        """The parts, moved to UTC where there is a zone and a time of day."""
        if self.zone is None or self.kind == "time" or len(self.parts) < 5:
            return self.parts
        year, month, day, hour, minute = self.parts[:5]
        try:
            moved = datetime(year, month, day, hour, minute) - timedelta(minutes=self.zone)  # noqa: DTZ001
        except (OverflowError, ValueError):
            return self.parts
        return (moved.year, moved.month, moved.day, moved.hour, moved.minute, *self.parts[5:])

    def compare(self, other: Temporal) -> int | None:
        """-1, 0 or 1; None when their precisions leave it open or they are not of one kind."""
        if (self.kind == "time") != (other.kind == "time"):
            return None
        timed = self.kind != "time" and len(self.parts) > 3 and len(other.parts) > 3
        if timed and (self.zone is None) != (other.zone is None):
            return self._compare_unzoned(other)
        mine, theirs = (self.normal(), other.normal()) if timed else (self.parts, other.parts)
        for a, b in zip(mine, theirs, strict=False):
            if a != b:
                return -1 if a < b else 1
        return 0 if len(mine) == len(theirs) else None

    def _compare_unzoned(self, other: Temporal) -> int | None:
        """One has a zone, the other none: known only when they are more than a zone's reach apart."""
        mine, theirs = self._moment(), other._moment()
        if mine is None or theirs is None or abs(mine - theirs) <= timedelta(hours=14):
            return None
        return -1 if mine < theirs else 1

    def _moment(self) -> datetime | None:
        year, month, day, *rest = self.normal()
        try:
            hour, minute, second = (*(int(r) for r in rest), 0, 0, 0)[:3]
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001
        except ValueError:
            return None


def _minutes(zone: str | None) -> int | None:
    if zone is None or zone == "Z":
        return None if zone is None else 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _of_the_calendar(kind: str, parts: list[Any]) -> bool:
    first = [] if kind == "time" else [*parts[:3], 1, 1][:3]
    hour, minute, second = [*(int(p) for p in (parts if kind == "time" else parts[3:])), 0, 0, 0][:3]
    try:
        if first:
            year, month, day = first
            date(year, month, day)
        # A leap second is of the calendar (instant's pattern takes 60), though Python's time has none
        time(hour, minute, min(second, 59) if second <= 60 else second)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: a UCUM code, or a calendar unit by its name (`year`)."""

    value: Decimal
    unit: str

    def comparable(self, other: Quantity) -> tuple[Decimal, Decimal] | None:
        """Both numbers in one unit; None when the units do not measure the same."""
        mine, theirs = _in_base(self), _in_base(other)
        if mine[1] != theirs[1]:
            return None
        return mine[0], theirs[0]


_CALENDAR = {"year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
             "millisecond": "ms", "years": "a", "months": "mo", "weeks": "wk", "days": "d"}  # fmt: skip
_FACTORS = {
    "ms": (Decimal("0.001"), "s"), "min": (Decimal(60), "s"), "h": (Decimal(3600), "s"), "d": (Decimal(86400), "s"),
    "wk": (Decimal(604800), "s"), "mo": (Decimal(1), "mo"), "a": (Decimal(12), "mo"), "kg": (Decimal(1000), "g"),
    "mg": (Decimal("0.001"), "g"), "ug": (Decimal("0.000001"), "g"), "cm": (Decimal("0.01"), "m"),
    "mm": (Decimal("0.001"), "m"), "km": (Decimal(1000), "m"), "mL": (Decimal("0.001"), "L"),
    "dL": (Decimal("0.1"), "L"), "ml": (Decimal("0.001"), "L"), "l": (Decimal(1), "L"), "%": (Decimal("0.01"), "1"),
}  # fmt: skip
"""The units that are compared across: time, mass, length and volume. Others are compared with their like only."""


def _in_base(quantity: Quantity) -> tuple[Decimal, str]:
    unit = _CALENDAR.get(quantity.unit, quantity.unit)
    factor, base = _FACTORS.get(unit, (Decimal(1), unit))
    return quantity.value * factor, base
