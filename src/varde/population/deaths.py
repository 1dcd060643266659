"""A death, whoever tells of it: noticed in the transaction that writes it, and what it ends done in a job at once
(FAM-16). What each service ends is its own: `Service.died`. Access ends by itself: every decision is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from varde.clock import Clock
from varde.fhir.model import ProjectedRow
from varde.population.form import is_dead
from varde.work import jobs
from varde.work.jobs import Handler, Job

if TYPE_CHECKING:
    from varde.services import Platform, Service

DEATH = "population.death"


class Deaths:
    """Projection of the store: a job for each Patient who was alive before and is not now. Of one that came dead
    nothing is under way."""

    types = frozenset({"Patient"})

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Put the jobs in."""
        now = self._clock.now()
        died = [row for row in rows if row.old and row.new and is_dead(row.new) and not is_dead(row.old)]
        await jobs.enqueue_many(
            connection,
            [Job(DEATH, {"patient": row.id}, now, f"{DEATH}:{row.id}:{row.version}", row.rid) for row in died],
        )


def deaths(platform: Platform, services: Sequence[Service]) -> Handler:
    """The job of one death: all or nothing."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            for service in services:
                if service.died is not None:
                    await service.died(platform, connection, str(payload["patient"]))

    return Handler(DEATH, run, attempts=40, timeout=timedelta(minutes=2))
