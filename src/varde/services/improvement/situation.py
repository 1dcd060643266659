"""The state of every service and deliverable, gathered from the evidence; what the status page shows. No texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic
from typing import TYPE_CHECKING

from varde.clock import OSLO, today
from varde.services.improvement import runs
from varde.services.improvement.deliverables import DELIVERABLES, SERVICE_TITLES, Deliverable
from varde.services.improvement.flow import runs_of
from varde.services.improvement.rules import Condition, Day, condition, delivered, pause, together, worst
from varde.work.journey import Journey, Run

if TYPE_CHECKING:
    from varde.db import Connection
    from varde.services import Platform

KEPT_SECONDS = 5.0
"""How long an answer is given again: the page must bear that everybody looks at once when something is wrong."""
COUNTED_SECONDS = 60.0
"""How long the counts of days are given again while no journey changes its outcome."""


@dataclass(frozen=True, slots=True)
class JourneyState:
    """One journey as the evidence has it."""

    journey: Journey
    condition: Condition
    since: datetime | None
    last: Run | None
    report: str | None
    """Id of the last report."""
    days: Sequence[Day] = ()


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One service as its journeys have it; without journeys it is not verified (IMP-01)."""

    name: str
    condition: Condition
    since: datetime | None
    checked: datetime | None
    journeys: Sequence[JourneyState]
    days: Sequence[Day]

    @property
    def share(self) -> float | None:
        """Share of green runs over all days; None without evidence."""
        runs = sum(day.runs for day in self.days)
        return None if not runs else (runs - sum(day.failed for day in self.days)) / runs

    @property
    def first_day(self) -> date | None:
        """The first of the days that has evidence."""
        return next((day.day for day in self.days if day.runs), None)

    @property
    def always(self) -> bool:
        """Whether it has been as it is for as long as is looked back: since when is then not known."""
        return self.since is not None and bool(self.days) and self.since.astimezone(OSLO).date() <= self.days[0].day


@dataclass(frozen=True, slots=True)
class State:
    """Everything, at one moment."""

    at: datetime
    services: Sequence[ServiceState]
    delivered: Mapping[int, bool]
    deliverables: Sequence[Deliverable] = field(default=DELIVERABLES)

    @property
    def condition(self) -> Condition:
        """Of all services that have journeys together."""
        return worst([one.condition for one in self.services if one.journeys])


@dataclass(frozen=True, slots=True)
class _Past:
    """What takes a while to count: tens of milliseconds a journey."""

    counted: float
    day: date
    outcomes: Mapping[str, bool]
    """Of the last runs when it was counted: another outcome makes it old."""
    since: Mapping[str, datetime]
    days: Mapping[str, Sequence[Day]]


class Situation:
    """Gathers the state, at most once in KEPT_SECONDS a process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._journeys = {one.name: one for service in platform.services for one in service.journeys}
        self._kept: tuple[float, State] | None = None
        self._past: _Past | None = None
        self._lock = asyncio.Lock()

    async def now(self) -> State:
        """The state. Raises what the store raises when the database is away."""
        async with self._lock:
            if self._kept is None or monotonic() - self._kept[0] > KEPT_SECONDS:
                self._kept = (monotonic(), await self._gather())
            return self._kept[1]

    async def _gather(self) -> State:
        now, day = self._platform.clock.now(), today(self._platform.clock)
        async with self._platform.database.connection() as connection:
            last = await runs.last_of(connection, list(self._journeys))
            past = self._past = await self._counted(connection, {name: one.passed for name, one in last.items()}, day)
        found = await runs_of(self._platform, [one.report for one in last.values()])
        states = [_journey(one, last.get(name), found, past, now) for name, one in self._journeys.items()]
        services = [_service(name, [one for one in states if one.journey.service == name]) for name in SERVICE_TITLES]
        by_name = {state.name: state for state in services}
        proven = {
            number: delivered({one.journey.name: one.days for one in by_name[service.name].journeys}, day)
            for service in self._platform.services
            for number in service.deliverables
        }
        return State(now, services, proven)

    async def _counted(self, connection: Connection, outcomes: Mapping[str, bool], day: date) -> _Past:
        past = self._past
        if (
            past is not None
            and (past.day, past.outcomes) == (day, outcomes)
            and monotonic() - past.counted < COUNTED_SECONDS
        ):
            return past
        pauses = {name: pause(one.every) for name, one in self._journeys.items()}
        return _Past(
            monotonic(),
            day,
            outcomes,
            await runs.since(connection, pauses, day),
            await runs.days(connection, list(self._journeys), day),
        )


def _journey(
    journey: Journey, last: runs.Last | None, found: Mapping[str, Run], past: _Past, now: datetime
) -> JourneyState:
    days = past.days[journey.name]
    run = found.get(last.report) if last else None
    if last is None or run is None:
        return JourneyState(journey, Condition.UNKNOWN, None, None, None, days)
    now_is = condition(run, journey.every, now)
    since = last.at if now_is is Condition.UNKNOWN else past.since.get(journey.name, last.at)
    return JourneyState(journey, now_is, since, run, last.report, days)


def _service(name: str, states: Sequence[JourneyState]) -> ServiceState:
    now_is = worst([state.condition for state in states])
    like = [state for state in states if state.condition is now_is]
    return ServiceState(
        name,
        now_is,
        min((state.since for state in like if state.since), default=None),
        min((state.last.at for state in states if state.last), default=None),
        states,
        together([state.days for state in states]),
    )
