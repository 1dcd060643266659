"""Journeys: the steps a user takes, run against the live system over HTTP, each with what is expected and in what
time. Here are the journey, its recorder and its record; the visitor who walks it is in `visitor.py`, what becomes
of the record is `services/improvement`'s. Knows no service.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from varde.clock import Clock
from varde.work.visitor import Refused, Visitor


class JourneyFailed(Exception):
    """What was seen is not what was expected (IMP-04). Texts are Norwegian, for everybody to read, and tell of no
    person."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"ventet {expected}; så {seen}")
        self.expected = expected
        self.seen = seen


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it went. Times are real ones, not the clock's, which a demo moves."""

    text: str
    took: timedelta
    within: timedelta
    passed: bool
    expected: str = ""
    seen: str = ""

    @property
    def slow(self) -> bool:
        """It passed, and took more than half of what it may."""
        return self.passed and self.took > self.within / 2


@dataclass(frozen=True, slots=True)
class Probe:
    """The synthetic persons whom journeys use (IMP-02). Numbers are national identity numbers and HPR numbers."""

    unit: str
    """Id of an Organization of their own, so that no ward's lists ever show them (IMP-03)."""
    location: str
    """Id of a Location there."""
    staff: str
    """A secretary."""
    clinician: str
    leader: str
    """Leads the unit."""
    patient: str
    """Uses the portal."""
    paper_patient: str
    """Does not."""
    adult: str
    """Uses the portal, blocks and gives powers of attorney."""
    parent: str
    """Has parental responsibility for `child`, at the same address."""
    child: str
    """Under 12."""
    surname: str
    """Of all these patients."""

    @property
    def patients(self) -> tuple[str, ...]:
        """The numbers of all."""
        return (self.patient, self.paper_patient, self.adult, self.parent, self.child)


@dataclass(slots=True)
class Steps:
    """Records one run. A step that fails ends the journey; what was begun is cleaned up all the same."""

    base: str
    """Address of the live system, without a slash at its end."""
    probe: Probe
    clock: Clock
    token: Callable[[str], str]
    """SMART scopes -> bearer token of the record system that journeys play."""
    done: list[Step] = field(default_factory=list)
    _cleaning: list[tuple[str, Callable[[], Awaitable[None]]]] = field(default_factory=list)

    @asynccontextmanager
    async def step(self, text: str, within: timedelta = timedelta(seconds=5)) -> AsyncIterator[None]:
        """One step, in words that a patient understands. Taking longer than `within` is a failure (IMP-04).

        Raises JourneyFailed for whatever went wrong in it, after it was recorded.
        """
        started = time.monotonic()
        try:
            yield
            took = timedelta(seconds=time.monotonic() - started)
            if took > within:
                raise JourneyFailed(f"høyst {_seconds(within)}", _seconds(took))
        except Exception as error:
            failure = as_failure(error)
            took = timedelta(seconds=time.monotonic() - started)
            self.done.append(Step(text, took, within, False, failure.expected, failure.seen))
            raise failure from error
        self.done.append(Step(text, took, within, True))

    def expect(self, holds: bool, expected: str, seen: object) -> None:
        """Raise JourneyFailed unless `holds`. Neither text may tell of a person."""
        if not holds:
            raise JourneyFailed(expected, str(seen)[:200])

    def visitor(self) -> Visitor:
        """Somebody with a browser, who knows nothing yet. Use it as a context."""
        return Visitor(self.base)

    def finally_do(self, text: str, act: Callable[[], Awaitable[None]]) -> None:
        """`act` is done at the end, the last said first, whatever happens; failing at it fails the journey."""
        self._cleaning.append((text, act))

    async def clean(self) -> None:
        """Do all that was said to `finally_do`. Raises the first JourneyFailed, after all were tried."""
        failure: JourneyFailed | None = None
        while self._cleaning:
            text, act = self._cleaning.pop()
            try:
                async with self.step(text):
                    await act()
            except JourneyFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure


def _seconds(took: timedelta) -> str:
    return f"{took.total_seconds():.2f} s".replace(".", ",")


def as_failure(error: Exception) -> JourneyFailed:
    """Any fault of a step as a failure of the journey, without texts from outside."""
    if isinstance(error, JourneyFailed):
        return error
    if isinstance(error, Refused):
        return JourneyFailed(error.expected, error.seen)
    return JourneyFailed("ingen feil", type(error).__name__)


@dataclass(frozen=True, slots=True)
class Journey:
    """One main path through a service (IMP-01)."""

    name: str
    """Its key, for ever: `letters-digital`."""
    service: str
    """Name of the service whose path it is."""
    title: Mapping[str, str]
    """What it shows, by language: nb, nn, se, en."""
    run: Callable[[Steps], Awaitable[None]]
    every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Run:
    """A journey's run as it went: the evidence, before it is FHIR."""

    journey: str
    service: str
    at: datetime
    """When it ended, by the clock."""
    version: str
    """Of Varde."""
    steps: Sequence[Step]

    @property
    def passed(self) -> bool:
        """Whether every step did."""
        return bool(self.steps) and all(step.passed for step in self.steps)

    @property
    def slow(self) -> bool:
        """Whether it passed with a step slower than it should be."""
        return self.passed and any(step.slow for step in self.steps)

    @property
    def took(self) -> timedelta:
        """All steps together."""
        return sum((step.took for step in self.steps), timedelta(0))


async def walk(journey: Journey, steps: Steps, version: str) -> Run:
    """Run `journey` to its end, clean up after it, and give its record. Raises nothing that a step raised."""

    async def travel() -> None:
        await journey.run(steps)

    for act in (travel, steps.clean):
        try:
            await act()
        except JourneyFailed:
            continue  # it is in the record
        except Exception as error:  # outside every step
            failure = as_failure(error)
            steps.done.append(Step("Mellom stegene", timedelta(0), timedelta(0), False, failure.expected, failure.seen))
    return Run(journey.name, journey.service, steps.clock.now(), version, tuple(steps.done))
