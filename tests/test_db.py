"""Migrations: forward only, one migrator at a time, giving up rather than waiting, on a filled database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from tests.fhir.gates import OpenGate
from varde import db
from varde.clock import SetClock
from varde.db import Database, migrate, migrations
from varde.embedded import EmbeddedPostgres
from varde.fhir.definitions import type_number
from varde.fhir.keys import bucket_of, resource_key
from varde.fhir.reindex import reindex
from varde.fhir.store import Store

NAMES = [name for name, _ in migrations()]


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Address of a database without any schema."""
    name = f"bare_{uuid4().hex[:12]}"
    await db.ensure_database(postgres.url("postgres"), name)
    yield postgres.url(name)
    admin = await asyncpg.connect(postgres.url("postgres"))
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()


async def test_two_migrators_at_once_apply_each_migration_once(empty_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == NAMES
    assert await migrate(empty_url) == []


async def test_a_migration_gives_up_rather_than_wait_and_leaves_nothing_half_done(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty_url)
    more = [
        *migrations(),
        ("9999_more.sql", "create table half_done (a int); alter table resource add column more int"),
    ]
    monkeypatch.setattr(db, "migrations", lambda: more)
    other = await asyncpg.connect(empty_url)
    async with other.transaction():
        await other.execute("lock table resource in access share mode")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await migrate(empty_url, lock_timeout="200ms")
    assert await other.fetchval("select to_regclass('half_done')") is None
    assert await migrate(empty_url) == ["9999_more.sql"]
    await other.close()


async def test_a_filled_database_of_an_older_version_is_brought_up_to_date(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store as it first was, with people in it, gets all that came since; nothing of theirs changes."""
    old = [(name, sql) for name, sql in migrations() if name.startswith("0010")]
    monkeypatch.setattr(db, "migrations", lambda: old)
    await migrate(empty_url)
    database = Database(empty_url, connections=2)
    clock = SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    bodies = {
        f"p{n}": b'{"resourceType":"Patient","id":"p%d","name":[{"family":"Hansen%d"}]}' % (n, n) for n in range(500)
    }
    async with database.connection() as connection:
        await connection.executemany(
            "insert into resource (rid, patient, date, updated, version, type, bucket, id, body)"
            " values ($1, $1, '0001-01-02', $2, 1, $3, $4, $5, $6)",
            [(resource_key("Patient", i), clock.now(), type_number("Patient"), bucket_of(i), i, body)
             for i, body in bodies.items()],
        )  # fmt: skip
    monkeypatch.undo()
    assert await migrate(empty_url) == NAMES[1:]
    store = Store(database, clock)
    for identifier in ("p0", "p499"):
        assert (await store.read(OpenGate(), "Patient", identifier)).body == bodies[identifier]
    await reindex(database, clock, store.custom)
    assert len((await store.search(OpenGate(), "Patient", "family=Hansen499")).matches) == 1
    await database.close()


def test_migrations_have_numbers_of_their_own() -> None:
    numbers = [name[:4] for name in NAMES]
    assert len(set(numbers)) == len(numbers) and sorted(numbers) == numbers
