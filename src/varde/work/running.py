"""Running jobs: a batch in one transaction that also ends it, and each alone when the batch fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import structlog

from varde.clock import Clock
from varde.db import Connection, Database
from varde.work import jobs, waits
from varde.work.jobs import Handler, Taken
from varde.work.presence import is_away

_log = structlog.get_logger("varde.work")


class Moment(Protocol):
    """What time it is for what is run: the clock's, or a later moment that a drain has come to."""

    def now(self) -> datetime: ...


class Later:
    """The clock's time, but never before a moment."""

    def __init__(self, clock: Clock, earliest: datetime) -> None:
        self._clock = clock
        self._earliest = earliest

    def now(self) -> datetime:
        """The later of the two, in UTC."""
        return max(self._clock.now(), self._earliest)


async def run_jobs(
    database: Database, handler: Handler, moment: Moment, until: datetime, *, recurring: bool | None = None
) -> int:
    """Run up to a batch of a kind's jobs that are due by `until` and that nobody holds. Returns how many were
    taken, done or failed; 0 when there was none. `recurring` asks for only those that are, or are not.

    Raises one of BROKEN when the database is lost: then nothing has happened to the jobs it was doing.
    """
    taken: Sequence[Taken] = ()
    try:
        async with database.transaction() as connection:
            taken = await jobs.take(connection, handler.kind, until, handler.batch, recurring=recurring)
            if taken:
                await _do(connection, handler, taken, moment)
        return len(taken)
    except Exception as error:
        if not taken or await is_away(database, error):
            raise
        if len(taken) == 1:
            await _note(database, handler, taken[0], moment, error)
            return 1
    for job in taken:
        await _run_alone(database, handler, job, moment, until)
    return len(taken)


async def _run_alone(database: Database, handler: Handler, job: Taken, moment: Moment, until: datetime) -> None:
    try:
        async with database.transaction() as connection:
            held = await jobs.take_one(connection, job.id, until)
            if held is not None:
                await _do(connection, handler, [held], moment)
    except Exception as error:
        if await is_away(database, error):
            raise
        await _note(database, handler, job, moment, error)


async def _do(connection: Connection, handler: Handler, taken: Sequence[Taken], moment: Moment) -> None:
    begun = moment.now()
    async with asyncio.timeout(handler.timeout.total_seconds()):
        await handler.run(connection, [job.payload for job in taken])
    await jobs.finish(connection, taken, begun=begun, ended=moment.now(), every=handler.every)


async def _note(database: Database, handler: Handler, job: Taken, moment: Moment, error: Exception) -> None:
    now = moment.now()
    attempts = job.attempts + 1
    why = waits.fault(error)
    pause = waits.wait(attempts, f"job:{job.id}")
    if handler.every is not None:
        pause = min(pause, handler.every)
    async with database.transaction() as connection:
        state = await jobs.fail(
            connection, job, now=now, why=why, next_try=now + pause, last=attempts >= handler.attempts
        )
    if state is not None:
        _log.warning("job failed", kind=handler.kind, job=job.id, attempts=attempts, state=state, why=why)
