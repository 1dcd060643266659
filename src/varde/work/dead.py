"""Dead letters: jobs that were given up, messages that failed or whose outcome nobody knows (LET-56). A person
decides about each, with a reason that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from varde.db import Connection
from varde.work.jobs import CHANNEL

PAGE = 50


class Kind(StrEnum):
    """What stopped."""

    JOB = "job"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Dead:
    """One thing that stopped. It tells of no person."""

    kind: Kind
    id: int
    name: str
    """Kind of the job, or edge of the message."""
    why: str
    at: datetime
    attempts: int
    unknown: bool
    """The outcome is unknown: a person asks the other side before it is tried again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about something that stopped."""

    at: datetime
    decision: str
    """retry or discard."""
    actor: str
    reason: str
    state: str
    """What it was in before: dead, failed, unknown."""
    why: str


_PAGE = """
select * from (
    (select 'job' as kind, id, kind as name, coalesce(why, '') as why, ended as at, attempts, false as unknown
        from work_job where state = 'dead' and ($2::timestamptz is null or (ended, 'job', id) > ($2, $3, $4))
        order by ended, id limit $1)
    union all
    (select 'message', id, edge, coalesce(why, ''), ended, attempts, state = 'unknown'
        from work_outbox where state in ('failed', 'unknown')
            and ($2::timestamptz is null or (ended, 'message', id) > ($2, $3, $4))
        order by ended, id limit $1)
) dead order by at, kind, id limit $1
"""


async def page(connection: Connection, *, after: Dead | None = None, limit: int = PAGE) -> list[Dead]:
    """What stopped and nobody has decided about, oldest first, from the one after `after` on."""
    key = (after.at, after.kind.value, after.id) if after else (None, None, None)
    rows = await connection.fetch(_PAGE, limit, *key)
    return [
        Dead(Kind(row["kind"]), row["id"], row["name"], row["why"], row["at"], row["attempts"], row["unknown"])
        for row in rows
    ]


async def total(connection: Connection) -> int:
    """How much has stopped that nobody has decided about."""
    return int(
        await connection.fetchval(
            "select (select count(*) from work_job where state = 'dead')"
            " + (select count(*) from work_outbox where state in ('failed', 'unknown'))"
        )
    )


_HOLD = {
    Kind.JOB: "select kind as name, state, attempts, why from work_job where id = $1 and state = 'dead' for update",
    Kind.MESSAGE: "select edge as name, state, attempts, why from work_outbox where id = $1"
    " and state in ('failed', 'unknown') for update",
}
_RETRY = {
    Kind.JOB: "update work_job set state = 'waiting', ended = null, attempts = 0, next_try = $2 where id = $1",
    # A person has asked the other side: it has not left, and may be cancelled again.
    Kind.MESSAGE: "update work_outbox set state = 'waiting', ended = null, attempts = 0, next_try = $2,"
    " uncertain = false where id = $1",
}
_DISCARD = {
    Kind.JOB: "update work_job set state = 'discarded', ended = $2 where id = $1",
    Kind.MESSAGE: "update work_outbox set state = 'discarded', ended = $2 where id = $1",
}
_NOTE = """
insert into work_dead_decision (at, job, message, decision, actor, reason, name, state, attempts, why)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def retry(connection: Connection, kind: Kind, number: int, *, actor: str, reason: str, now: datetime) -> None:
    """Try it again as if for the first time. `actor`: who decides, as the access log names them. In a transaction.

    Raises LookupError when it has not stopped or somebody has decided already, ValueError without a reason.
    """
    await _decide(connection, kind, number, "retry", _RETRY[kind], actor, reason, now)
    await connection.execute(f"select pg_notify('{CHANNEL}', '')")


async def discard(connection: Connection, kind: Kind, number: int, *, actor: str, reason: str, now: datetime) -> None:
    """Let it be: it is not tried again. In a transaction.

    Raises LookupError when it has not stopped or somebody has decided already, ValueError without a reason.
    """
    await _decide(connection, kind, number, "discard", _DISCARD[kind], actor, reason, now)


async def _decide(
    connection: Connection, kind: Kind, number: int, decision: str, change: str, actor: str, reason: str, now: datetime
) -> None:
    if not reason.strip() or not actor:
        raise ValueError("a decision needs a reason and somebody who decides")
    was = await connection.fetchrow(_HOLD[kind], number)
    if was is None:
        raise LookupError("it has not stopped")
    await connection.execute(change, number, now)
    job, message = (number, None) if kind is Kind.JOB else (None, number)
    await connection.execute(
        _NOTE,
        now,
        job,
        message,
        decision,
        actor,
        reason.strip(),
        was["name"],
        was["state"],
        was["attempts"],
        was["why"],
    )


async def decisions(connection: Connection, kind: Kind, number: int) -> Sequence[Decision]:
    """What was decided about a job or message, oldest first."""
    rows = await connection.fetch(
        "select at, decision, actor, reason, state, coalesce(why, '') as why from work_dead_decision"
        f" where {kind.value} = $1 order by id",
        number,
    )
    return [Decision(**row) for row in rows]
