"""Draining: everything due by a moment, and what that causes, in order of due time. For the demo's clock and for
tests; it works beside live workers, and waits for what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic

from varde.clock import Clock
from varde.db import Database
from varde.work import jobs, reconcile, sending
from varde.work.handing import Handing
from varde.work.jobs import Handler
from varde.work.running import Later, run_jobs

STEP = timedelta(minutes=1)
"""What is due within the same minute is due at the same time, so that batches stay batches."""
PATIENCE = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2


class Drain:
    """One draining. Made anew by the worker for each."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        handlers: Mapping[str, Handler],
        handing: Handing,
        edges: Sequence[str],
        moving: Callable[[datetime], object] | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._handlers = handlers
        self._handing = handing
        self._edges = edges
        self._moving = moving
        self._progress = monotonic()
        self._pause = _FIRST_PAUSE
        self._asked: datetime | None = None

    def _by(self, until: datetime) -> datetime:
        """A clock that runs has gone past `until` while draining: what is caused now is due now."""
        return max(until, self._clock.now())

    async def run(self, until: datetime, grace: float) -> int:
        """Drain, as Worker.drain says. `grace`: as Pace.grace."""
        async with self._database.transaction() as connection:
            await jobs.seed(connection, list(self._handlers.values()), self._clock.now())
        total = 0
        rested: set[str] = set()
        while True:
            total += await self._ordinary(until, grace)
            if self._moving is not None and self._clock.now() < until:
                self._moving(until)
            if await self._receipts(Later(self._clock, until)):
                continue
            ran = await self._recurring(until, rested, grace)
            total += ran
            if not ran:
                return total

    async def _ordinary(self, until: datetime, grace: float) -> int:
        total = 0
        while True:
            due, busy = await self._look(self._by(until))
            if not due:
                if not busy:
                    return total
                await self._wait_for_others(grace)
                continue
            (at, what, which) = due[0]
            if self._moving is not None and at > self._clock.now():
                # What came in before that moment is heard before it.
                if (self._asked is None or at >= self._asked + STEP) and await self._receipts(self._clock):
                    continue
                self._asked = at
                self._moving(at)
            moment, bound = Later(self._clock, at), min(self._by(until), _end_of_step(at))
            if what == "job":
                ran = await run_jobs(self._database, self._handlers[which], moment, bound, recurring=False)
            else:
                ran = await self._handing.send(which, moment, bound)
            total += ran
            await self._note(ran, grace)

    async def _look(self, until: datetime) -> tuple[list[tuple[datetime, str, str]], bool]:
        """What is due, soonest first, and whether others are handing over: in one snapshot, so that nothing can
        slip from one to the other between two looks."""
        async with self._database.transaction("repeatable_read") as connection:
            kinds = await jobs.earliest(connection, list(self._handlers), until, recurring=False)
            edges = await sending.earliest(connection, self._edges, until)
            busy = await sending.is_sending(connection, self._edges)
        due = [(at, "job", kind) for kind, at in kinds.items()] + [(at, "message", edge) for edge, at in edges.items()]
        return sorted(due), busy

    async def _receipts(self, moment: Clock | Later) -> int:
        heard = 0
        for edge in self._edges:
            heard += await self._handing.fetch_receipts(edge, moment)
        return heard

    async def _recurring(self, until: datetime, rested: set[str], grace: float) -> int:
        """Run each recurring job that is due, once in a drain: a clock that jumped a week has one night's check
        behind it, not seven."""
        total = 0
        while True:
            async with self._database.connection() as connection:
                due = await jobs.recurring_due(
                    connection, [k for k in self._handlers if k not in rested], self._by(until)
                )
            if not due:
                return total
            # Reconciliation last: it would find the others overdue, which the clock's jump alone made them.
            for kind in sorted(due, key=lambda kind: kind == reconcile.KIND):
                ran = await run_jobs(
                    self._database, self._handlers[kind], Later(self._clock, until), self._by(until), recurring=True
                )
                if ran:
                    rested.add(kind)
                total += ran
                await self._note(ran, grace)

    async def _note(self, ran: int, grace: float) -> None:
        if ran:
            self._progress, self._pause = monotonic(), _FIRST_PAUSE
        else:
            await self._wait_for_others(grace)

    async def _wait_for_others(self, grace: float) -> None:
        if monotonic() - self._progress > PATIENCE:
            raise TimeoutError("other workers hold what is due")
        if await self._handing.take_up(grace, self._clock):
            self._progress = monotonic()
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)


def _end_of_step(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0) + STEP - timedelta(microseconds=1)
