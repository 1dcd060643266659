"""PostgreSQL: connections, transactions and migrations. Knows no table but its own list of migrations.

Connections lie in a last-in-first-out stack without a reset between uses, because the reset asyncpg's own
pool sends costs a third of a read's time (measured: docs/decisions). Hence the one rule for all who use
them: never leave session state behind (no SET, LISTEN or session advisory lock on a borrowed connection).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import asyncpg

Connection = asyncpg.Connection

AWAY = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError,
        asyncpg.InternalClientError)  # fmt: skip
"""What says that the database is away, not that something was wrong with a statement. The last is what asyncpg says of
a connection that broke in the middle of something."""
_MIGRATION_LOCK = 0x56415244  # "VARD"


class Database:
    """The connections of one process to one database."""

    def __init__(self, url: str, connections: int = 8, application: str = "varde") -> None:
        self.url = url
        self._limit = connections
        self._application = application
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(connections)
        self._closed = False

    async def dedicated(self) -> Any:
        """A connection of its own outside the stack, for LISTEN and long locks. The caller closes it."""
        return await asyncpg.connect(
            self.url,
            server_settings={"application_name": self._application, "timezone": "UTC"},
            statement_cache_size=400,
            max_cached_statement_lifetime=0,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Borrow a connection. One that broke is thrown away, and the next borrower gets a new one.

        Waits while all are lent out. Raises OSError or asyncpg.PostgresError when the server is away.
        """
        async with self._free:
            connection = self._take() or await self.dedicated()
            try:
                yield connection
            except (asyncio.CancelledError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                connection.terminate()  # broken off in the middle: what it is in cannot be known
                raise
            finally:
                if connection.is_closed() or self._closed or connection.is_in_transaction():
                    connection.terminate()
                else:
                    self._idle.append(connection)

    @asynccontextmanager
    async def transaction(self, isolation: str | None = None) -> AsyncIterator[Any]:
        """Borrow a connection inside a transaction: committed at the end, rolled back on any error."""
        async with self.connection() as connection, connection.transaction(isolation=isolation):
            yield connection

    def _take(self) -> Any | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def close(self) -> None:
        """Close what lies idle; what is lent out is closed when it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close(timeout=2)


def migrations() -> list[tuple[str, str]]:
    """(name, SQL) of every migration, in the order they are applied."""
    folder = resources.files("varde.migrations")
    names = sorted(f.name for f in folder.iterdir() if re.fullmatch(r"\d{4}_\w+\.sql", f.name))
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in names]


async def migrate(url: str, lock_timeout: str = "5s") -> list[str]:
    """Bring the database up to this version's schema, forward only, and return the names applied now.

    One process at a time under an advisory lock; each migration is a transaction of its own, and gives up
    rather than wait longer than `lock_timeout` for a table others use (asyncpg.LockNotAvailableError).
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "create table if not exists varde_migration"
            " (name text primary key, applied timestamptz not null default now())"
        )
        done = {row["name"] for row in await connection.fetch("select name from varde_migration")}
        applied = []
        for name, sql in migrations():
            if name in done:
                continue
            async with connection.transaction():
                await connection.execute("select set_config('lock_timeout', $1, true)", lock_timeout)
                await connection.execute(sql)
                await connection.execute("insert into varde_migration (name) values ($1)", name)
            applied.append(name)
        return applied
    finally:
        await connection.close()


async def ensure_database(server_url: str, name: str) -> None:
    """Create database `name` on the server that `server_url` reaches, unless it is there."""
    connection = await asyncpg.connect(server_url)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
            await connection.execute(f'create database "{name}" template template0')
    finally:
        await connection.close()
