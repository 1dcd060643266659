"""Fixtures that every test may use: a real PostgreSQL, a fresh migrated database, a clock that stands still."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from tests import markers
from tests.databases import fresh_database
from tests.demo_server import DemoServer, running
from varde.clock import SetClock
from varde.db import Database, ensure_database, migrate
from varde.embedded import EmbeddedPostgres

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):  # There the same change gives the same answer; new cases are looked for by those who develop.
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for the whole test run, with the migrated database `varde_template`."""
    folder = Path(tempfile.mkdtemp(prefix="varde-test-"))
    server = EmbeddedPostgres(folder)
    server.start()
    asyncio.run(_template(server))
    yield server
    server.stop("immediate")


async def _template(server: EmbeddedPostgres) -> None:
    """The tests kill processes, never the machine: what the kernel has been given is kept, on disk or not."""
    admin = await asyncpg.connect(server.url("postgres"))
    for setting in ("fsync", "full_page_writes"):
        await admin.execute(f"alter system set {setting} = off")
    await admin.execute("select pg_reload_conf()")
    await admin.close()
    await ensure_database(server.url("postgres"), "varde_template")
    await migrate(server.url("varde_template"))


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Address of an empty, migrated database of this test's own."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Connections to this test's own database."""
    made = Database(database_url, connections=8)
    yield made
    await made.close()


@pytest.fixture
def clock() -> SetClock:
    """A clock that stands at a Tuesday morning until moved."""
    return SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))


@pytest.fixture(scope="session", autouse=True)
def swept() -> Iterator[None]:
    """Every answer of the run is looked through for the marker of a patient whom nobody may see: tests/markers.py."""
    with markers.swept_answers():
        yield


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoServer]:
    """One running demo for the whole test run: see tests/demo_server.py for what it offers and asks. In it is a patient
    whose marker must turn up nowhere; what the demo leaves behind is looked through at its end."""
    with running() as server:
        markers.plant(server.fhir, server.headers("--system", "markers", "--scopes", "system/*.cruds"))
        yield server
        assert markers.sweep_folder(server.data), "the demo left nothing to look through"
