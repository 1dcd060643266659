"""FHIR dates, partial dates and periods as half-open ranges of moments, and the prefixes' arithmetic.

A date without time is a day in Norway (the server's zone, as the standard lets a server choose).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from varde.clock import OSLO

OPEN_LOW = datetime(1, 1, 2, tzinfo=UTC)
OPEN_HIGH = datetime(9999, 12, 30, tzinfo=UTC)

_PATTERN = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?)?)?"
)


@lru_cache(maxsize=8192)
def date_range(text: str) -> tuple[datetime, datetime]:
    """The first moment that `text` covers and the first after it. Raises ValueError for no FHIR date."""
    match = _PATTERN.fullmatch(text)
    if not match:
        raise ValueError("not a FHIR date")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if year == "0000":
        raise ValueError("no year 0")
    if hour is None:
        low = datetime(int(year), int(month or 1), int(day or 1), tzinfo=OSLO)
        try:
            if day:
                high = low + timedelta(days=1)
            elif month:
                high = low.replace(year=low.year + (low.month == 12), month=low.month % 12 + 1)
            else:
                high = low.replace(year=low.year + 1)
        except (OverflowError, ValueError):
            return _bounded(low), OPEN_HIGH
        return _bounded(low), _bounded(high)
    carry = timedelta(0)
    if second == "60":  # a leap second is the last of its minute
        second, carry = "59", timedelta(seconds=1)
    microsecond = int(((fraction or ".0")[1:] + "000000")[:6])
    low = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond)  # noqa: DTZ001 its zone is set below
    offset = OSLO if zone is None else UTC
    shift = timedelta(0)
    if zone not in {None, "Z"}:
        sign = -1 if zone[0] == "-" else 1
        shift = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    try:
        low = (low - shift).replace(tzinfo=offset) + carry
    except OverflowError:  # at the ends of the calendar
        low = low.replace(tzinfo=UTC)
    if second is None:
        width = timedelta(minutes=1)
    elif fraction:
        width = timedelta(microseconds=max(1, 10 ** (6 - min(6, len(fraction) - 1))))
    else:
        width = timedelta(seconds=1)
    low = _bounded(low)
    return low, OPEN_HIGH if low >= OPEN_HIGH else _bounded(low + width)


def _bounded(moment: datetime) -> datetime:
    if moment.year <= 1:
        return OPEN_LOW
    if moment.year >= 9999:
        return OPEN_HIGH
    return moment.astimezone(UTC)
