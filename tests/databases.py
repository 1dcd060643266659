"""Empty, migrated databases for tests, on the server that the fixture `postgres` started."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from varde.embedded import EmbeddedPostgres


async def make_database(postgres: EmbeddedPostgres) -> str:
    """The address of a new one, which stands until the server ends."""
    admin = await asyncpg.connect(postgres.url("postgres"))
    name = await _create(admin)
    await admin.close()
    return postgres.url(name)


@asynccontextmanager
async def fresh_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The address of a new one, which is dropped at the end unless VARDE_KEEP_TEST_DATABASES is set."""
    admin = await asyncpg.connect(postgres.url("postgres"))
    name = await _create(admin)
    try:
        yield postgres.url(name)
    finally:
        if not os.environ.get("VARDE_KEEP_TEST_DATABASES"):
            await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()


async def _create(admin: asyncpg.Connection) -> str:
    name = f"test_{uuid4().hex[:12]}"
    await admin.execute(f'create database "{name}" template varde_template strategy file_copy')
    return name
