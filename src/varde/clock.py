"""Time: one injectable clock. Nothing else in Varde asks the operating system what time it is.

Rules that speak of days and hours a person lives by use `OSLO`; everything stored is UTC.
"""

from __future__ import annotations

import mmap
import struct
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from varde.settings import Settings

OSLO = ZoneInfo("Europe/Oslo")


class Clock(Protocol):
    """Tells the time. All of Varde's waiting, ages and deadlines are judged by it."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


def today(clock: Clock) -> date:
    """The date in Norway now. Ages change at its midnight (rule FAM, introduction)."""
    return clock.now().astimezone(OSLO).date()


class SystemClock:
    """The operating system's time: production."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class MovableClock:
    """The system's time plus an offset that every process of one demo shares through a mapped file.

    `advance` in one process is seen by all at their next `now()`. Only forward, as time goes.
    """

    _format = struct.Struct("<d")

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_bytes(self._format.pack(0.0))
        self._handle = file.open("r+b")
        self._map = mmap.mmap(self._handle.fileno(), self._format.size)

    def now(self) -> datetime:
        """The demo's present moment, aware, in UTC."""
        (offset,) = self._format.unpack_from(self._map)
        return datetime.now(UTC) + timedelta(seconds=offset)

    def advance(self, by: timedelta) -> datetime:
        """Move the clock forward by `by` and return the new time. Raises ValueError when `by` is negative."""
        if by < timedelta(0):
            raise ValueError("a clock only goes forward")
        (offset,) = self._format.unpack_from(self._map)
        self._format.pack_into(self._map, 0, offset + by.total_seconds())
        return self.now()


class SetClock:
    """A clock that stands still until moved: for tests and for asking "what if it were that day"."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a moment without time zone")
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The moment it was set to, in UTC."""
        return self._at

    def advance(self, by: timedelta) -> datetime:
        """Move forward by `by` and return the new time."""
        self._at += by
        return self._at

    def set(self, at: datetime) -> None:
        """Move to `at`, forward or back."""
        self._at = at.astimezone(UTC)


def clock_of(settings: Settings) -> Clock:
    """The system's time; in the demo, the one that all its processes share and `POST /demo/clock` moves."""
    return MovableClock(settings.data / "clock") if settings.demo else SystemClock()
