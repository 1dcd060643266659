"""Jobs: what happens later. Put in by the transaction that causes them, run by `worker.py`.

Here are the face that services use and the statements that move a job from state to state; when and in what
order they are run is the worker's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from varde.db import Connection

CHANNEL = "varde_work"
"""Listeners are told here, at commit, that something was put in."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done at `due` (aware). `payload` is plain JSON and comes back as such."""

    kind: str
    payload: Mapping[str, Any]
    due: datetime
    key: str | None = None
    """Names the job over all kinds. A key stands once, waiting or done, for as long as the row is kept."""
    patient: int | None = None
    """rid of the Patient it is about."""


Run = Callable[[Connection, Sequence[Mapping[str, Any]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    """Who does the jobs of one kind.

    `run` gets up to `batch` payloads and a connection in the transaction that also ends those jobs: effects in
    the database take place once. When it raises or takes longer than `timeout`, all is rolled back and each job
    is run alone, so that one bad job holds up no other; one that fails alone waits longer each time and is dead
    after `attempts`. It must not end the transaction, and must not block the event loop.
    """

    kind: str
    run: Run
    batch: int = 1
    attempts: int = 8
    timeout: timedelta = timedelta(seconds=60)
    every: timedelta | None = None
    """A recurring job: one over all workers, with an empty payload, run at once when it is new and then at this
    interval. A clock that jumps past many intervals runs it once. It is never dead: it is tried again."""


_ENQUEUE = f"""
with given as (
    select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::bigint[])
        with ordinality as given (kind, payload, due, key, patient, number)
), new as (
    insert into work_job (kind, payload, due, next_try, key, patient)
    select kind, payload::json, due, due, key, patient from given order by number
    on conflict (key) where key is not null do nothing
    returning 1
)
select count(*), case when count(*) > 0 then pg_notify('{CHANNEL}', '')::text end from new
"""


async def enqueue_many(connection: Connection, jobs: Sequence[Job]) -> int:
    """Put jobs into the connection's transaction. Returns how many were new: one whose key stands is left as it
    is. Raises TypeError for a payload that is not JSON."""
    if not jobs:
        return 0
    row = await connection.fetchrow(
        _ENQUEUE,
        [job.kind for job in jobs],
        [orjson.dumps(job.payload).decode() for job in jobs],
        [job.due for job in jobs],
        [job.key for job in jobs],
        [job.patient for job in jobs],
    )
    return int(row[0])


async def enqueue(connection: Connection, job: Job) -> bool:
    """Put one job in. False when its key stands already."""
    return await enqueue_many(connection, [job]) == 1


_CANCEL = """
delete from work_job where id in (
    select id from work_job where key = any($1::text[]) and state = 'waiting' and not recurring
    for update skip locked)
"""


async def cancel(connection: Connection, keys: Sequence[str]) -> int:
    """Take out the jobs with these keys that have not begun, and return how many that were. A cancelled job's key
    is free again, so that a deadline is moved by cancelling and enqueueing in one transaction.

    One that a worker holds has begun. It is not waited for, since it may be waiting for the caller.
    """
    if not keys:
        return 0
    return _count(await connection.execute(_CANCEL, list(keys)))


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that a worker holds, locked until its transaction ends."""

    id: int
    payload: Mapping[str, Any]
    attempts: int


_TAKE = """
select id, payload, attempts from work_job
where kind = $1 and state = 'waiting' and next_try <= $2 and ($4::boolean is null or recurring = $4)
order by next_try, id limit $3 for update skip locked
"""
_TAKE_ONE = """
select id, payload, attempts from work_job
where id = $1 and state = 'waiting' and next_try <= $2 for update skip locked
"""


async def take(
    connection: Connection, kind: str, until: datetime, limit: int, *, recurring: bool | None = None
) -> list[Taken]:
    """The first jobs of a kind that are due by `until` and that nobody holds, locked by the transaction.
    `recurring` asks for only those that are, or are not."""
    return [_taken(row) for row in await connection.fetch(_TAKE, kind, until, limit, recurring)]


async def take_one(connection: Connection, job: int, until: datetime) -> Taken | None:
    """One job if it is due by `until` and nobody holds it, locked by the transaction."""
    row = await connection.fetchrow(_TAKE_ONE, job, until)
    return _taken(row) if row else None


def _taken(row: Any) -> Taken:
    return Taken(row["id"], orjson.loads(row["payload"]), row["attempts"])


_FINISH = """
update work_job set
    attempts = case when recurring then 0 else attempts + 1 end,
    why = null,
    state = case when recurring then 'waiting' else 'done' end,
    ended = case when recurring then null else $2::timestamptz end,
    next_try = case when not recurring then next_try
        when due + $3::interval > $4 then due + $3 else $4::timestamptz + $3::interval end,
    due = case when not recurring then due
        when due + $3::interval > $4 then due + $3 else $4::timestamptz + $3::interval end
where id = any($1::bigint[])
"""


async def finish(
    connection: Connection, jobs: Sequence[Taken], *, begun: datetime, ended: datetime, every: timedelta | None
) -> None:
    """End jobs in the transaction that did them. A recurring one keeps its rhythm, unless its next time was past
    when it was begun: then it comes `every` after that."""
    await connection.execute(_FINISH, [job.id for job in jobs], ended, every or timedelta(0), begun)


_FAIL = """
update work_job set attempts = attempts + 1, why = $4, next_try = $5,
    state = case when $6 and not recurring then 'dead' else 'waiting' end,
    ended = case when $6 and not recurring then $3::timestamptz end
where id = $1 and attempts = $2 and state = 'waiting'
returning state
"""


async def fail(
    connection: Connection, job: Taken, *, now: datetime, why: str, next_try: datetime, last: bool
) -> str | None:
    """Note that a job failed alone. Returns its state (waiting, dead), or None when another worker has
    meanwhile done it or failed at it."""
    state: str | None = await connection.fetchval(_FAIL, job.id, job.attempts, now, why, next_try, last)
    return state


_SEED = """
insert into work_job (kind, payload, due, next_try, key, recurring)
select kind, '{}', $2, $2, 'every:' || kind, true from unnest($1::text[], $3::interval[]) as given (kind, every)
on conflict (key) where key is not null do nothing
"""
_SHORTEN = """
update work_job job set due = $2::timestamptz + given.every, next_try = $2::timestamptz + given.every
from unnest($1::text[], $3::interval[]) as given (kind, every)
where job.key = 'every:' || given.kind and job.recurring and job.next_try > $2::timestamptz + given.every
"""


async def seed(connection: Connection, handlers: Sequence[Handler], now: datetime) -> None:
    """See to it that each recurring job stands, and comes no later than its interval from now."""
    every = [(handler.kind, handler.every) for handler in handlers if handler.every is not None]
    if every:
        kinds, intervals = [kind for kind, _ in every], [interval for _, interval in every]
        await connection.execute(_SEED, kinds, now, intervals)
        await connection.execute(_SHORTEN, kinds, now, intervals)


_EARLIEST = """
select kind, next_try from unnest($1::text[]) as wanted (name)
cross join lateral (
    select kind, next_try from work_job
    where kind = wanted.name and state = 'waiting' and next_try <= $2 and ($3 or not recurring)
    order by next_try, id limit 1
) first
"""


async def earliest(
    connection: Connection, kinds: Sequence[str], until: datetime, *, recurring: bool = True
) -> dict[str, datetime]:
    """When the first job of each kind is due, for kinds that have one by `until`, held by somebody or not.
    Without the recurring ones when `recurring` is False."""
    return {row["kind"]: row["next_try"] for row in await connection.fetch(_EARLIEST, list(kinds), until, recurring)}


async def recurring_due(connection: Connection, kinds: Sequence[str], until: datetime) -> list[str]:
    """The kinds whose recurring job is due by `until`, soonest first."""
    rows = await connection.fetch(
        "select kind from work_job where key = any($1::text[]) and recurring and next_try <= $2 order by next_try, id",
        [f"every:{kind}" for kind in kinds],
        until,
    )
    return [row["kind"] for row in rows]


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])
