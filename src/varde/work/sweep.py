"""Sweeping: what is ended is kept for a while, so that its key still stands, and then taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from varde.clock import Clock
from varde.db import Connection
from varde.work.jobs import Handler

KEEP_JOBS = timedelta(days=90)
"""How long a job that is done or discarded is kept, and its key with it."""
KEEP_BODIES = timedelta(days=30)
"""How long the body of a message that is ended is kept: it lies in the record too."""
KEEP_MESSAGES = timedelta(days=400)
"""How long a message that is ended is kept, with its key and its receipts: a letter is returned within weeks, and
somebody asks about it within a year."""
_AT_ONCE = 20_000

_STATEMENTS = (
    ("delete from work_job where id in (select id from work_job where state in ('done', 'discarded')"
     " and ended < $1 order by ended limit $2)", KEEP_JOBS),
    ("update work_outbox set body = null where id in (select id from work_outbox where body is not null"
     " and state in ('received', 'cancelled', 'discarded') and ended < $1 order by ended limit $2)", KEEP_BODIES),
    ("with gone as (delete from work_outbox where id in (select id from work_outbox"
     " where state in ('received', 'cancelled', 'discarded') and ended < $1 order by ended limit $2) returning id)"
     " delete from work_receipt using gone where message = gone.id", KEEP_MESSAGES),
    ("delete from work_receipt where id in (select id from work_receipt where message is null and heard < $1"
     " order by id limit $2)", KEEP_MESSAGES),
)  # fmt: skip


KEEP_BRIEFLY = timedelta(days=1)
"""How long jobs and messages are kept that come by the thousand and whose keys are never used again."""
_BRIEFLY = (
    "delete from work_job where id in (select id from work_job where state = 'done' and ended < $1"
    " and kind = any($3::text[]) order by ended limit $2)",
    "with gone as (delete from work_outbox where id in (select id from work_outbox where state = 'received'"
    " and ended < $1 and edge = any($3::text[]) order by ended limit $2) returning id)"
    " delete from work_receipt using gone where message = gone.id",
)


async def sweep(connection: Connection, now: datetime, brief: Sequence[str] = ()) -> None:
    """Take away what has been kept long enough, some thousands of each at most. What stopped and waits for a
    person is never swept; what people decided about it is kept for ever. `brief`: kinds of jobs and edges of which
    nobody asks later."""
    for sql, keep in _STATEMENTS:
        await connection.execute(sql, now - keep, _AT_ONCE)
    for sql in _BRIEFLY if brief else ():
        await connection.execute(sql, now - KEEP_BRIEFLY, _AT_ONCE * 10, list(brief))


def handler(clock: Clock, every: timedelta = timedelta(hours=1), brief: Sequence[str] = ()) -> Handler:
    """The recurring job that sweeps."""

    async def run(connection: Connection, _: Sequence[Mapping[str, Any]]) -> None:
        await sweep(connection, clock.now(), brief)

    return Handler("work.sweep", run, timeout=timedelta(minutes=5), every=every)
