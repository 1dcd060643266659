"""What may be used once: also when the server of the database crashes and forgets."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from varde.clock import SetClock
from varde.db import AWAY, Database, ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.trust.replay import AHEAD, Replays

MINUTE = timedelta(minutes=1)


async def test_each_is_fresh_once(database: Database, clock: SetClock) -> None:
    replays, now = Replays(database, clock), clock.now()
    assert await replays.proof("key", "one", now, now + MINUTE)
    assert not await replays.proof("key", "one", now, now + MINUTE)
    assert await replays.proof("key", "two", now, now + MINUTE)
    assert await replays.proof("other", "one", now, now + MINUTE)
    assert await replays.assertion("app", "one", now + MINUTE)
    assert not await Replays(database, clock).assertion("app", "one", now + MINUTE)
    assert await replays.assertion("other", "one", now + MINUTE)


async def test_what_is_good_no_more_is_forgotten(database: Database, clock: SetClock) -> None:
    replays, now = Replays(database, clock), clock.now()
    await replays.proof("key", "old", now, now + MINUTE)
    await replays.assertion("app", "old", now + MINUTE)
    clock.advance(MINUTE)
    await replays.proof("key", "new", clock.now(), clock.now() + MINUTE)
    async with database.connection() as connection:
        await replays.sweep(connection)
        assert await connection.fetchval("select count(*) from trust_proof") == 1
        assert await connection.fetchval("select count(*) from smart_assertion") == 0


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of this test's own, to crash."""
    server = EmbeddedPostgres(tmp_path)
    server.start()
    await ensure_database(server.url("postgres"), "varde")
    await migrate(server.url("varde"))
    yield server
    server.stop("immediate")


async def test_after_a_crash_nothing_that_was_used_before_is_taken(
    own_server: EmbeddedPostgres, clock: SetClock
) -> None:
    database = Database(own_server.url("varde"))
    replays, now = Replays(database, clock), clock.now()
    assert await replays.proof("key", "one", now, now + MINUTE)
    assert await replays.assertion("app", "one", now + MINUTE)
    await _crash(database)
    assert not await replays.proof("key", "one", now, now + MINUTE), "forgotten, and refused all the same"
    assert not await replays.proof("key", "never seen", now, now + MINUTE), "of the time that was forgotten"
    clock.advance(AHEAD)
    assert await replays.proof("key", "new", clock.now(), clock.now() + MINUTE)
    assert not await replays.assertion("app", "one", now + MINUTE), "assertions are never forgotten"
    await database.close()


async def _crash(database: Database) -> None:
    """Kill a process of the server's, as it would be by the kernel: all of it is recovered from its log."""
    async with database.connection() as connection:
        process = await connection.fetchval("select pg_backend_pid()")
    os.kill(process, signal.SIGKILL)
    for _ in range(200):
        try:
            async with database.connection() as connection:
                await connection.fetchval("select 1")
                return
        except (*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.05)
    raise AssertionError("the server did not come back")
