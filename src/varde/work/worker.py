"""The worker: runs what is due, hands over what leaves, and hears what comes back. Any number of them at once.

Fairness: each kind of job and each edge gets a turn in rotation, a short slice at a time, and none ever has all
lanes, so that one urgent job waits for no batch of ten thousand. Within a kind, the soonest due comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog

from varde.clock import Clock
from varde.db import Database
from varde.work import jobs, sending, waits
from varde.work.draining import Drain
from varde.work.handing import Handing
from varde.work.jobs import Handler
from varde.work.outbox import Receiver, Sender
from varde.work.presence import Presence
from varde.work.running import run_jobs

_log = structlog.get_logger("varde.work")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a worker beats, in real seconds. The clock may jump; the worker's own heart does not."""

    lanes: int = 4
    """How many batches at once; each holds a connection while it works on the database."""
    slice: float = 0.25
    """How long one kind or edge keeps a lane while others may be waiting."""
    poll: float = 1.0
    """How often it looks without being woken: for what has become due, and what others let go of."""
    receipts: float = 5.0
    """How often each edge is asked what came in later."""
    grace: float = 5.0
    """How long a process is found dead before its messages are taken up."""
    stop: float = 30.0
    """How long what is under way may take after a stop."""


class Worker:
    """Runs jobs and the outbox for one process: `run` until stopped, or `drain` up to a moment."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        handlers: Sequence[Handler],
        senders: Sequence[Sender],
        receivers: Mapping[str, Receiver],
        pace: Pace | None = None,
    ) -> None:
        """Raises ValueError when two handlers do one kind, or two senders one edge."""
        self._database = database
        self._clock = clock
        self._pace = pace or Pace()
        self._wake = asyncio.Event()
        self._presence = Presence(database, self._put_in)
        self._edges = {sender.edge: sender for sender in senders}
        self._handing = Handing(database, self._presence, self._edges, receivers)
        every = [*handlers, self._handing.handler]
        self._handlers = {handler.kind: handler for handler in every}
        if len(self._handlers) < len(every) or len(self._edges) < len(senders):
            raise ValueError("two handlers for one kind of job, or two senders for one edge")
        self._lanes: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._served: dict[str, float] = {}
        self._quiet: set[str] = set()
        self._running = False
        self._draining = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is under way. Goes on through a database that comes and goes.

        What is not finished in time is dropped: jobs are as if not begun, and messages that are just being handed
        over are taken up by another as after a death.
        """
        self._running = True
        beats = [
            asyncio.create_task(self._beat(stop, pause, act), name=name)
            for name, pause, act in (
                ("work-presence", 5.0, self._presence.check),
                ("work-recurring", 60.0, self._seed),
                ("work-dead", max(self._pace.grace / 2, 0.05), self._take_up),
                *(("work-receipts", self._pace.receipts, self._asking(edge)) for edge in self._edges),
            )
        ]
        beats.append(asyncio.create_task(self._watch(stop)))
        try:
            await self._dispatch(stop)
            if self._lanes:
                await asyncio.wait(self._lanes, timeout=self._pace.stop)
        finally:
            self._running = False
            under_way = [*beats, *self._lanes]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await self._presence.leave()

    async def drain(self, until: datetime, *, moving: Callable[[datetime], object] | None = None) -> int:
        """Run everything due by `until` and all that it causes, in order of due time to the minute: jobs, messages,
        late receipts; then each recurring job that is due, once. Returns how many jobs were run and messages
        handed over here. Waits for what other workers hold. Where the clock runs, what is caused meanwhile and due at
        once is within it.

        `moving` is called with each moment before what is due then is run, and at the end with `until`: a clock
        that it moves lets handlers see each thing at its own time. Raises TimeoutError when others hold what is
        due for two minutes, and the database's errors when it is away.
        """
        async with self._draining:
            try:
                drain = Drain(self._database, self._clock, self._handlers, self._handing, list(self._edges), moving)
                return await drain.run(until, self._pace.grace)
            finally:
                if not self._running:
                    await self._presence.leave()

    # What is due gets lanes.

    async def _dispatch(self, stop: asyncio.Event) -> None:
        polled, faults = monotonic(), 0
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._start_due()
                faults = 0
            except Exception as error:
                faults += 1
                _log.warning("worker cannot look", faults=faults, why=waits.fault(error))
                await self._pause(stop, min(0.1 * 2 ** min(faults, 5), 2.0))
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(self._pace.poll - (monotonic() - polled), 0.001))
            if monotonic() - polled >= self._pace.poll:
                self._quiet.clear()
                polled = monotonic()

    async def _start_due(self) -> None:
        if len(self._lanes) >= self._pace.lanes:
            return
        now = self._clock.now()
        async with self._database.connection() as connection:
            kinds = await jobs.earliest(connection, [k for k in self._handlers if f"job {k}" not in self._quiet], now)
            edges = await sending.earliest(connection, [e for e in self._edges if f"edge {e}" not in self._quiet], now)
        ready = [f"job {kind}" for kind in kinds] + [f"edge {edge}" for edge in edges]
        most = max(1, self._pace.lanes - 1)
        for _ in range(most):
            for name in sorted(ready, key=lambda name: (self._busy[name], self._served.get(name, 0.0))):
                if len(self._lanes) < self._pace.lanes and self._busy[name] < most:
                    self._start(name)

    def _start(self, name: str) -> None:
        self._busy[name] += 1
        self._served[name] = monotonic()
        lane = asyncio.create_task(self._lane(name), name=f"work {name}")
        self._lanes.add(lane)

        def ended(task: asyncio.Task[None]) -> None:
            self._lanes.discard(task)
            self._busy[name] -= 1
            self._wake.set()

        lane.add_done_callback(ended)

    async def _lane(self, name: str) -> None:
        began = monotonic()
        try:
            while await self._once(name):
                if monotonic() - began >= self._pace.slice:
                    return
        except Exception as error:
            _log.warning("work interrupted", name=name, why=waits.fault(error))
        # Nothing is left but what others hold: not looked for again until woken or the next poll.
        self._quiet.add(name)

    async def _once(self, name: str) -> int:
        what, _, which = name.partition(" ")
        if what == "job":
            return await run_jobs(self._database, self._handlers[which], self._clock, self._clock.now())
        return await self._handing.send(which, self._clock, self._clock.now())

    def _put_in(self) -> None:
        self._quiet.clear()
        self._wake.set()

    # What is done at intervals.

    async def _beat(self, stop: asyncio.Event, pause: float, act: Callable[[], Awaitable[object]]) -> None:
        while not stop.is_set():
            try:
                await act()
                await self._pause(stop, pause)
            except Exception as error:
                _log.warning("worker's beat failed", why=waits.fault(error))
                await self._pause(stop, min(pause, 0.5))

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    async def _seed(self) -> None:
        async with self._database.transaction() as connection:
            await jobs.seed(connection, list(self._handlers.values()), self._clock.now())
        self._put_in()

    async def _take_up(self) -> None:
        await self._handing.take_up(self._pace.grace, self._clock)

    def _asking(self, edge: str) -> Callable[[], Awaitable[object]]:
        async def ask() -> None:
            await self._handing.fetch_receipts(edge, self._clock)

        return ask
