"""What those who watch over Varde ask: is it alive, is it ready, how is it doing. No personal data."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import asyncpg
import orjson

from varde.app import House
from varde.db import migrations
from varde.indexing import stale_types
from varde.observe import exposition
from varde.services.improvement import alarms
from varde.work import presence, summary

Labels = tuple[tuple[str, str], ...]


class Health:
    """/health/live, /health/ready and /metrics, as a bare ASGI application."""

    PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})

    def __init__(self, house: House) -> None:
        self._platform = house.platform

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        if scope["method"] not in {"GET", "HEAD"}:
            await _send(send, 405, b"", "text/plain")
        elif scope["path"] == "/health/live":
            await _send(send, 200, b'{"live":true}', "application/json")
        elif scope["path"] == "/health/ready":
            parts = await self.parts()
            ready = all(parts.values())
            stale = await self._stale() if parts["migrations"] else []
            # Told, but no reason to send nobody here: all else is answered as ever.
            body = orjson.dumps({"ready": ready, **parts, "being_indexed": stale})
            await _send(send, 200 if ready else 503, body, "application/json")
        else:
            await _send(send, 200, exposition(await self._gauges()), "text/plain; version=0.0.4; charset=utf-8")

    async def parts(self) -> dict[str, bool]:
        """What must be in order before requests are sent here, and whether it is."""
        try:
            async with self._platform.database.connection() as connection:
                done = {row["name"] for row in await connection.fetch("select name from varde_migration")}
                working = await presence.count(connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return {"database": False, "migrations": False, "worker": False}
        return {
            "database": True,
            "migrations": all(name in done for name, _ in migrations()),
            "worker": working > 0,
        }

    async def _stale(self) -> list[str]:
        """The types whose search values are being made anew."""
        try:
            return await stale_types(self._platform.store)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return []

    async def _gauges(self) -> Mapping[str, tuple[str, Mapping[Labels, float]]]:
        """Jobs, outbox and journeys as they stand in the database: the same from whichever process is asked."""
        try:
            async with self._platform.database.connection() as connection:
                jobs = await summary.jobs(connection, self._platform.clock.now())
                edges = await summary.edges(connection)
                working = await presence.count(connection)
                passed, age = await alarms.gauges(self._platform, connection)
            stale = await stale_types(self._platform.store)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return {"varde_database_up": ("Whether the database answers", {(): 0.0})}
        states = ("waiting", "sent", "received", "failed", "unknown")
        return {
            "varde_database_up": ("Whether the database answers", {(): 1.0}),
            "varde_workers": ("Worker processes alive", {(): float(working)}),
            "varde_search_stale_types": (
                "Resource types whose search values are being made anew",
                {(): float(len(stale))},
            ),
            "varde_journey_passed": (
                "Whether a journey's last run passed (IMP-05)",
                {(("journey", name),): float(well) for name, well in passed.items()},
            ),
            "varde_journey_age_seconds": (
                "Time since a journey's last run",
                {(("journey", name),): seconds for name, seconds in age.items()},
            ),
            "varde_jobs_waiting": ("Jobs that wait", {(("kind", one.kind),): float(one.waiting) for one in jobs}),
            "varde_jobs_overdue": (
                "Jobs that should have run long ago",
                {(("kind", one.kind),): float(one.overdue) for one in jobs},
            ),
            "varde_jobs_failing": (
                "Jobs that failed and are tried again",
                {(("kind", one.kind),): float(one.failing) for one in jobs},
            ),
            "varde_outbox_messages": (
                "Messages by edge and state",
                {
                    (("edge", one.edge), ("state", state)): float(getattr(one, state))
                    for one in edges
                    for state in states
                },
            ),
        }


async def _send(send: Any, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
