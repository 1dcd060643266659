"""The stack of connections: one that was broken off in the middle of something is never lent out again."""

from __future__ import annotations

import asyncio

import pytest

from varde.db import Database


async def test_what_was_broken_off_is_thrown_away(database_url: str) -> None:
    database = Database(database_url, connections=1)
    async with database.connection() as connection:
        first = await connection.fetchval("select pg_backend_pid()")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), database.connection() as connection:
                await connection.execute("select pg_sleep(5)")
    async with database.connection() as connection:
        assert await connection.fetchval("select pg_backend_pid()") != first
    await database.close()


async def test_an_error_of_the_statement_keeps_the_connection(database_url: str) -> None:
    database = Database(database_url, connections=1)
    async with database.connection() as connection:
        first = await connection.fetchval("select pg_backend_pid()")
    with pytest.raises(Exception, match="division by zero"):
        async with database.connection() as connection:
            await connection.fetchval("select 1 / 0")
    async with database.connection() as connection:
        assert await connection.fetchval("select pg_backend_pid()") == first
    await database.close()
