"""A worker process: runs what is due and sends what leaves, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import asyncpg
import structlog

from varde.app import House, build
from varde.db import migrations
from varde.observe import configure_logging, share_metrics
from varde.settings import Settings

_WAIT_SECONDS = 0.5
_log = structlog.get_logger("varde.worker")


async def work(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT; what is under way is finished first."""
    share_metrics(settings.data / "metrics")
    configure_logging(settings, "worker")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    house = build(settings, process="worker")
    try:
        await _until_migrated(house, stop)
        if not stop.is_set():
            await house.worker().run(stop)
    finally:
        await house.close()


async def _until_migrated(house: House, stop: asyncio.Event) -> None:
    """Wait for the schema that this version needs: `varde migrate` may run beside us."""
    needed = {name for name, _ in migrations()}
    while not stop.is_set():
        try:
            async with house.platform.database.connection() as connection:
                if needed <= {row["name"] for row in await connection.fetch("select name from varde_migration")}:
                    return
            _log.warning("worker.waits", needs="varde migrate")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("worker.waits", fault=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _WAIT_SECONDS)
