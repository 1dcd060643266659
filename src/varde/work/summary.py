"""What operators see of work: how much waits, leaves and has come back. Kinds, keys and times, never a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from varde.db import Connection

OVERDUE = timedelta(minutes=5)
"""A job that has been due for longer is overdue: no worker keeps up, or it fails again and again."""


@dataclass(frozen=True, slots=True)
class EdgeCount:
    """How many messages of one edge are in each state. `sent`: handed over just now, with no answer yet."""

    edge: str
    waiting: int
    sent: int
    received: int
    failed: int
    unknown: int
    oldest_waiting: datetime | None
    """When the oldest that waits was due."""


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of one kind wait, for their time or for a worker."""

    kind: str
    waiting: int
    overdue: int
    oldest_due: datetime | None
    """When the one that has waited longest was due; None when none waits."""
    failing: int
    """Those that have failed at least once and are tried again."""


_EDGES = """
select edge,
    sum(number) filter (where state = 'waiting') as waiting, sum(number) filter (where state = 'sending') as sent,
    sum(number) filter (where state = 'received') as received, sum(number) filter (where state = 'failed') as failed,
    sum(number) filter (where state = 'unknown') as unknown,
    (select min(due) from work_outbox waiting where waiting.edge = counted.edge and state = 'waiting') as oldest
from (select edge, state, count(*) as number from work_outbox group by edge, state) counted
group by edge order by edge
"""
_STATES = ("waiting", "sent", "received", "failed", "unknown")


async def edges(connection: Connection, names: Sequence[str] = ()) -> list[EdgeCount]:
    """The count of each edge that has or had messages, and of those named."""
    found: dict[str, EdgeCount] = {}
    for row in await connection.fetch(_EDGES):
        waiting, sent, received, failed, unknown = (int(row[state] or 0) for state in _STATES)
        found[row["edge"]] = EdgeCount(row["edge"], waiting, sent, received, failed, unknown, row["oldest"])
    for name in names:
        found.setdefault(name, EdgeCount(name, 0, 0, 0, 0, 0, None))
    return [found[name] for name in sorted(found)]


_JOBS = """
select kind, count(*) as waiting, count(*) filter (where due < $1) as overdue, min(due) as oldest,
    count(*) filter (where attempts > 0) as failing
from work_job where state = 'waiting' group by kind order by kind
"""


async def jobs(connection: Connection, now: datetime) -> list[JobCount]:
    """The count of each kind that has waiting jobs."""
    rows = await connection.fetch(_JOBS, now - OVERDUE)
    return [JobCount(row["kind"], row["waiting"], row["overdue"], row["oldest"], row["failing"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Left:
    """A message with its receipts: what left, by which edge, and how far it came. For the demo's list of what
    left; it holds what was sent, so it is for no operator's page."""

    id: int
    edge: str
    key: str
    state: str
    due: datetime
    handed_over: datetime | None
    attempts: int
    payload: Mapping[str, Any]
    receipts: Sequence[tuple[str, datetime]]
    """(state, at), as they were heard."""


_LEFT = """
select id, edge, key, state, due, handed_over, attempts, payload,
    (select coalesce(json_agg(json_build_array(state, at) order by id), '[]')
        from work_receipt where message = work_outbox.id) as receipts
from work_outbox
where id < $1 and ($2::text is null or edge = $2) and ($4::text is null or key = $4)
order by id desc limit $3
"""


async def messages(
    connection: Connection,
    *,
    edge: str | None = None,
    key: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Left]:
    """Messages, newest first, from the one before number `before` on; of one edge, with one key."""
    rows = await connection.fetch(_LEFT, before if before is not None else 2**63 - 1, edge, limit, key)
    return [
        Left(
            row["id"], row["edge"], row["key"], row["state"], row["due"], row["handed_over"], row["attempts"],
            orjson.loads(row["payload"]),
            [(state, datetime.fromisoformat(at)) for state, at in orjson.loads(row["receipts"])],
        )
        for row in rows
    ]  # fmt: skip
