"""What operators see and decide, over the house's queues: `operator.Operations` as it is. Tells of no person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from varde.fhir.errors import NotFound
from varde.services.improvement.operator import CheckResult, DeadLetter, EdgeState, JobState, Situation
from varde.work import dead, reconcile, summary

if TYPE_CHECKING:
    from varde.db import Connection, Database
    from varde.services import Platform
    from varde.trust.scope import Scope


EDGES: Sequence[str] = ("notify", "post")
"""Shown also before anything has left by them."""


class _Decision(Protocol):
    async def __call__(
        self, connection: Connection, kind: dead.Kind, number: int, *, actor: str, reason: str, now: datetime
    ) -> None: ...


class Queues:
    """Operations over jobs, outbox and checks."""

    def __init__(self, platform: Platform) -> None:
        self._database: Database = platform.database
        self._clock = platform.clock

    async def situation(self, scope: Scope) -> Situation:
        """All that the page shows, in one snapshot."""
        now = self._clock.now()
        async with self._database.transaction("repeatable_read") as connection:
            stopped = await dead.page(connection)
            total = await dead.total(connection)
            edges = await summary.edges(connection, EDGES)
            jobs = await summary.jobs(connection, now)
            checks = await reconcile.results(connection)
        return Situation(
            [DeadLetter(str(d.id), d.kind.value, d.name, d.why, d.at, d.attempts, d.unknown) for d in stopped],
            total,
            [EdgeState(e.edge, e.waiting, e.sent, e.received, e.failed, e.unknown, e.oldest_waiting) for e in edges],
            [CheckResult(c.name, c.ran, c.found, c.fault or c.detail) for c in checks],
            [JobState(j.kind, j.waiting, j.overdue, j.oldest_due) for j in jobs],
        )

    async def retry(self, scope: Scope, kind: str, dead_id: str, reason: str) -> None:
        """Try it again. Raises NotFound when it has not stopped."""
        await self._decide(dead.retry, scope, kind, dead_id, reason)

    async def discard(self, scope: Scope, kind: str, dead_id: str, reason: str) -> None:
        """Let it be. Raises NotFound when it has not stopped."""
        await self._decide(dead.discard, scope, kind, dead_id, reason)

    async def _decide(self, decide: _Decision, scope: Scope, kind: str, dead_id: str, reason: str) -> None:
        if kind not in set(dead.Kind) or not dead_id.isdecimal() or len(dead_id) > 18:
            raise NotFound.of("it has not stopped")
        try:
            async with self._database.transaction() as connection:
                await decide(
                    connection, dead.Kind(kind), int(dead_id),
                    actor=scope.actor.key, reason=reason, now=self._clock.now(),
                )  # fmt: skip
        except LookupError:
            raise NotFound.of("it has not stopped") from None
