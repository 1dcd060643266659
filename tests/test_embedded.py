"""The embedded PostgreSQL through its bad days: a socket swept away, a second start, a stop that leaves nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from varde.embedded import EmbeddedPostgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, running."""
    made = EmbeddedPostgres(tmp_path / "data")
    made.start()
    yield made
    made.stop("immediate")


async def answers(server: EmbeddedPostgres) -> bool:
    """Whether it takes a connection and answers."""
    connection = await asyncpg.connect(server.url("postgres"))
    found = await connection.fetchval("select 1")
    await connection.close()
    return bool(found == 1)


async def test_a_second_start_finds_it_running(server: EmbeddedPostgres) -> None:
    EmbeddedPostgres(server.folder).start()
    assert await answers(server)


async def test_it_comes_back_when_its_socket_was_swept_away(server: EmbeddedPostgres) -> None:
    shutil.rmtree(Path(server.url().partition("host=")[2]))
    EmbeddedPostgres(server.folder).start()
    assert await answers(server)


async def test_a_stop_leaves_nothing_running_and_may_be_repeated(server: EmbeddedPostgres) -> None:
    pid = int((server.folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not server.running()
    server.stop()
    server.start()
    assert await answers(server)
