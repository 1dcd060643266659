"""The prober: a process that runs every journey against the live system when it is due, around the clock. What a
journey is and what becomes of it is elsewhere.

It is a process of its own, over HTTP like everybody: what proves the system must not stand inside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from varde.app import House, build
from varde.observe import configure_logging
from varde.services.improvement import flow
from varde.services.improvement.flow import Visit
from varde.settings import Settings
from varde.work.journey import Journey

_LOCK = 0x50524F42  # "PROB"
_LOOK_SECONDS = 2.0
_AGAIN = timedelta(seconds=30)
_log = structlog.get_logger("varde.prober")


class CannotProbe(Exception):
    """There is nobody to run journeys as; the text says what is not set."""


def visit_of(settings: Settings, base: str | None = None) -> Visit:
    """Where journeys go and as whom: the demo's own synthetic persons, or those that the settings name.

    Raises CannotProbe.
    """
    if settings.demo:
        from varde.demo import probe, tokens

        return Visit(
            (base or settings.base).rstrip("/"),
            probe.PROBE,
            lambda scopes: tokens.for_system(settings, "varde-journeys", scopes),
        )
    raise CannotProbe("Journeys need a demo until synthetic persons can log in at the national test issuers.")


def journeys_of(house: House, name: str | None = None) -> Sequence[Journey]:
    """All journeys of all services, or the one named. Raises LookupError."""
    found = [one for service in house.services for one in service.journeys if name in (None, one.name)]
    if not found:
        raise LookupError("no such journey")
    return found


async def watch(settings: Settings) -> None:
    """Run what is due until SIGTERM or SIGINT. Of several such processes one works, the others stand by."""
    configure_logging(settings, "prober")
    visit = visit_of(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    house = build(settings, process="prober", connections=2)
    held: Any = None
    try:
        while not stop.is_set():
            try:
                held = await _hold(house, held)
                if held is not None:
                    await _run_due(house, visit, stop)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("prober.waits", fault=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
    finally:
        if held is not None:
            held.terminate()
        await house.close()


async def _hold(house: House, held: Any) -> Any:
    """A connection that holds the lock of the one prober; None while another process holds it."""
    if held is not None and not held.is_closed():
        return held
    connection = await house.platform.database.dedicated()
    if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        return connection
    await connection.close()
    return None


async def _run_due(house: House, visit: Visit, stop: asyncio.Event) -> None:
    for journey in journeys_of(house):
        if stop.is_set():
            return
        last = await flow.last_runs(house.platform, journey.name, most=1)
        # What failed is tried again soon: is it mended, and is it certain (IMP-05)?
        wait = min(journey.every, _AGAIN) if last and not last[0][1].passed else journey.every
        if not last or last[0][1].at + wait <= house.platform.clock.now():
            report, ended = await flow.run(house.platform, journey, visit)
            failed = next((step for step in ended.steps if not step.passed), None)
            say = _log.info if ended.passed else _log.error
            say(
                "journey.ran", journey=journey.name, report=report, passed=ended.passed,
                milliseconds=int(ended.took.total_seconds() * 1000),
                **({"step": failed.text, "expected": failed.expected, "seen": failed.seen} if failed else {}),
            )  # fmt: skip
