"""The one connection by which a process is known to be alive, and by which it is woken.

A process that hands messages over holds the advisory lock of its number on this connection for as long as it
lives. PostgreSQL lets go of the lock when the connection ends, so a process killed in the middle is known to be
dead at once and by no clock: neither a demo's clock that jumps days forward nor two machines' clocks that differ
can make a living sender look dead. The same connection LISTENs for what is put in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from varde.db import Connection, Database
from varde.work.jobs import CHANNEL

_PATIENCE = 10.0
LOCK_CLASS = 0x576F726B  # "Work"
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
          TimeoutError, asyncpg.InternalClientError)  # fmt: skip
"""What a lost or refused connection raises."""


_SURELY_AWAY = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError,
                asyncpg.CannotConnectNowError)  # fmt: skip


async def is_away(database: Database, error: BaseException) -> bool:
    """Whether an error came of the database being away, so that nobody else is to be blamed for it. What could
    also be somebody's own time-out or broken connection is decided by asking the server."""
    if not isinstance(error, BROKEN):
        return False
    if isinstance(error, _SURELY_AWAY):
        return True
    try:
        async with asyncio.timeout(5):
            connection = await database.dedicated()
            await connection.close(timeout=2)
    except BROKEN:
        return True
    return False


class Presence:
    """This process's number and its proof of life. `keep` in a task; what is claimed only while `held`."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake
        self._connection: Any | None = None
        self._lock = asyncio.Lock()
        self.owner = 0

    @property
    def held(self) -> bool:
        """Whether this process is known to be alive, as far as it can know."""
        return self._connection is not None and not self._connection.is_closed()

    async def hold(self) -> int:
        """See to it that this process is known to be alive, with the number it had before if it had one, and
        return the number. Raises one of BROKEN when the server is away."""
        async with self._lock:
            if self.held:
                return self.owner
            connection = await self._database.dedicated()
            try:
                async with asyncio.timeout(_PATIENCE):
                    # A lock still held by our own broken connection is let go of when the server sees it broken.
                    owner = self.owner or await connection.fetchval("select nextval('work_owner')")
                    await connection.execute("select pg_advisory_lock($1, $2)", LOCK_CLASS, owner)
                    await connection.add_listener(CHANNEL, self._heard)
            except BaseException:
                connection.terminate()
                raise
            connection.add_termination_listener(self._lost)
            self._connection, self.owner = connection, int(owner)
            return self.owner

    async def check(self) -> None:
        """Ask the server whether the connection still stands. Raises one of BROKEN when it does not."""
        connection = self._connection
        if connection is None or connection.is_closed():
            await self.hold()
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await connection.execute("select 1")
        except BROKEN:
            connection.terminate()
            self._connection = None
            raise

    def _heard(self, *_: object) -> None:
        self._wake()

    def _lost(self, *_: object) -> None:
        self._wake()

    async def leave(self) -> None:
        """Let go: from now on others take up what this process left in sending."""
        async with self._lock:
            connection, self._connection, self.owner = self._connection, None, 0
            if connection is not None and not connection.is_closed():
                try:
                    await connection.close(timeout=2)
                except BROKEN:
                    connection.terminate()


async def is_dead(connection: Connection, owner: int) -> bool:
    """Whether the process with this number is dead. If so, it cannot come back before the caller's transaction
    ends."""
    return bool(await connection.fetchval("select pg_try_advisory_xact_lock($1, $2)", LOCK_CLASS, owner))


async def senders(connection: Connection) -> list[int]:
    """Numbers of the processes that have messages in sending, dead or alive."""
    rows = await connection.fetch("select distinct owner from work_outbox where state = 'sending'")
    return [row["owner"] for row in rows]


async def count(connection: Connection) -> int:
    """How many processes are known to be alive now: workers, and whoever drains."""
    return int(
        await connection.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and classid = $1::int8::oid and granted"
            " and database = (select oid from pg_database where datname = current_database())",
            LOCK_CLASS,
        )
    )
