"""Dates and times plus and minus calendar quantities (FHIRPath 6.6.7)."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from varde.fhir.fhirpath.syntax import FhirPathError
from varde.fhir.fhirpath.values import Quantity, Temporal

_UNITS = {"a": "year", "mo": "month", "wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second",
          "ms": "millisecond"}  # fmt: skip
_SECONDS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}


def moved(start: Temporal, by: Quantity, sign: int) -> list[Any]:
    """The date or time moved; of its own precision. Raises FhirPathError for a unit that is no time."""
    unit = _UNITS.get(by.unit, by.unit)
    if unit == "millisecond":
        by, unit = Quantity(by.value / 1000, "s"), "second"
    if unit in {"year", "month"}:
        return _months(start, int(by.value) * (12 if unit == "year" else 1) * sign)
    if unit not in _SECONDS:
        raise FhirPathError("a date is moved by a quantity of time")
    return _seconds(start, by.value * _SECONDS[unit] * sign)


def _months(start: Temporal, months: int) -> list[Any]:
    if start.kind == "time":
        return []
    year, month = start.parts[0], start.parts[1] if len(start.parts) > 1 else 1
    total = year * 12 + month - 1 + (months if len(start.parts) > 1 else months // 12 * 12)
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        return []
    parts = [year, month + 1, *start.parts[2:]][: len(start.parts)]
    if len(parts) > 2:
        parts[2] = min(parts[2], calendar.monthrange(parts[0], parts[1])[1])
    return _read(start, parts)


def _seconds(start: Temporal, seconds: Decimal) -> list[Any]:
    if start.kind == "time":
        parts = [*start.parts, 0, 0][:3]
        total = (parts[0] * 3600 + parts[1] * 60 + Decimal(parts[2]) + seconds) % 86400
        whole = int(total)
        return _read(start, [whole // 3600, whole // 60 % 60, total % 60][: len(start.parts)])
    year, month, day, hour, minute, second = [*start.parts, 1, 1, 0, 0, 0][:6] if len(start.parts) < 3 else [
        *start.parts, 0, 0, 0][:6]  # fmt: skip
    fraction = Decimal(second) % 1
    try:
        begun = datetime(year, month, day, hour, minute, int(second))  # noqa: DTZ001
        end = begun + timedelta(seconds=float(seconds + fraction))
    except (OverflowError, ValueError):
        return []
    parts = [end.year, end.month, end.day, end.hour, end.minute, Decimal(end.second) + Decimal(end.microsecond) / 10**6]
    return _read(start, parts[: len(start.parts)])


def _read(start: Temporal, parts: list[Any]) -> list[Any]:
    if start.kind == "time":
        text = ":".join(_two(p) for p in parts)
    else:
        text = "-".join([f"{parts[0]:04d}", *(_two(p) for p in parts[1:3])])
        if len(parts) > 3:
            text += "T" + ":".join(_two(p) for p in parts[3:])
            text += start.text[start.text.index("T") :].lstrip("T0123456789:.") if start.zone is not None else ""
    found = Temporal.read(start.kind, text)
    return [found] if found is not None else []


def _two(part: Any) -> str:
    whole = int(part)
    rest = Decimal(part) - whole
    return f"{whole:02d}" + (format(rest.normalize(), "f")[1:] if rest else "")
