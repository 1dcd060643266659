"""The moment that an export shows: the latest one after which nobody can still write what was before it.

Writers stamp a resource with the clock inside their transaction. So what was stamped up to a moment is all there
once the transactions that were open then have ended; for one that goes on too long, the moment is laid before it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from varde.clock import Clock

_WAIT = 5.0
"""Seconds that transactions under way are waited for."""
_PAUSE = 0.05
_READERS = 5.0
"""Seconds after which a transaction that has written nothing is held for a reader: a dump, a report."""

_UNDER_WAY = """
select a.pid, a.xact_start, extract(epoch from clock_timestamp() - a.xact_start)::float8 as age
from pg_stat_activity a
where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
    and a.xact_start is not null
    and (a.backend_xid is not null or clock_timestamp() - a.xact_start < make_interval(secs => $1))
"""


async def settled(connection: Any, clock: Clock) -> datetime:
    """The latest moment up to which nothing is stamped any more. Waits a few seconds for those who are writing."""
    moment = clock.now()
    opened = {(row["pid"], row["xact_start"]): row["age"] for row in await _under_way(connection)}
    for _ in range(round(_WAIT / _PAUSE)):
        if not opened:
            return moment
        await asyncio.sleep(_PAUSE)
        now = {(row["pid"], row["xact_start"]) for row in await _under_way(connection)}
        opened = {one: age for one, age in opened.items() if one in now}
    return moment - timedelta(seconds=max(opened.values()))


async def _under_way(connection: Any) -> list[Any]:
    # The statistics of a transaction are those of its first look: each look must be a fresh one.
    await connection.execute("select pg_stat_clear_snapshot()")
    return list(await connection.fetch(_UNDER_WAY, _READERS))
