"""The state of every service and deliverable, gathered from the evidence; what the status page shows. No texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

from varde.clock import today
from varde.services.improvement.deliverables import DELIVERABLES, SERVICE_TITLES, Deliverable
from varde.services.improvement.flow import Evidence, last_runs
from varde.services.improvement.rules import Condition, Day, condition, delivered, since, together, worst
from varde.work.journey import Journey, Run

if TYPE_CHECKING:
    from varde.services import Platform

KEPT_SECONDS = 5.0
"""How long an answer is given again: the page must bear that everybody looks at once when something is wrong."""


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


class Situation:
    """Gathers the state, at most once in KEPT_SECONDS a process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._evidence = Evidence(platform)
        self._kept: tuple[float, State] | None = None
        self._lock = asyncio.Lock()

    async def now(self) -> State:
        """The state. Raises what the store raises when the database is away."""
        async with self._lock:
            if self._kept is None or monotonic() - self._kept[0] > KEPT_SECONDS:
                self._kept = (monotonic(), await self._gather())
            return self._kept[1]

    async def _gather(self) -> State:
        by_service = {service.name: service for service in self._platform.services}
        services = [
            await self._service(name, by_service[name].journeys if name in by_service else ())
            for name in SERVICE_TITLES
        ]
        day = today(self._platform.clock)
        proven = {
            number: delivered({one.journey.name: one.days for one in state.journeys}, day)
            for state in services
            if state.name in by_service
            for number in by_service[state.name].deliverables
        }
        return State(self._platform.clock.now(), services, proven)

    async def _service(self, name: str, journeys: Sequence[Journey]) -> ServiceState:
        states = [await self._journey(journey) for journey in journeys]
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

    async def _journey(self, journey: Journey) -> JourneyState:
        found = await last_runs(self._platform, journey.name)
        runs = [run for _, run in found]
        now_is = condition(runs[0] if runs else None, journey.every, self._platform.clock.now())
        return JourneyState(
            journey,
            now_is,
            since(runs, now_is),
            runs[0] if runs else None,
            found[0][0] if found else None,
            await self._evidence.days(journey.name),
        )
