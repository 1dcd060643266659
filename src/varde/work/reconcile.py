"""Reconciliation: what should have happened against what did. Checks run by a recurring job, and their results.

Services bring checks of their own; here are also those of the house, over jobs and outbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from varde.clock import Clock
from varde.db import Connection
from varde.work import waits
from varde.work.jobs import Handler

_log = structlog.get_logger("varde.work")

KIND = "work.reconcile"
EVERY = timedelta(minutes=15)
JOB_OVERDUE = timedelta(minutes=15)
MESSAGE_WAITING = timedelta(hours=1)
MESSAGE_SENDING = timedelta(minutes=15)
"""Longer than any edge is listened to, so that nothing under way is found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `detail` says it with kinds, keys and times, never a person."""

    count: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Compares what should have happened with what did, in a savepoint that may only read."""

    name: str
    run: Callable[[Connection, datetime], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found when it last ran. `ran` is None for one that has not run yet."""

    name: str
    ran: datetime | None
    found: int
    detail: str
    since: datetime | None = None
    """Since when it has found something at every run."""
    fault: str | None = None
    """The check itself failed when it last ran; `found` and `detail` are from before."""


_KEEP = """
insert into work_check (name, ran, since, found, detail, fault)
values ($1, $2, case when $3 > 0 then $2::timestamptz end, $3, $4, null)
on conflict (name) do update set ran = excluded.ran, found = excluded.found, detail = excluded.detail, fault = null,
    since = case when excluded.found > 0 then coalesce(work_check.since, excluded.ran) end
"""
_KEEP_FAULT = """
insert into work_check (name, ran, since, found, detail, fault) values ($1, $2, null, 0, '', $3)
on conflict (name) do update set ran = excluded.ran, fault = excluded.fault
"""


async def run_checks(connection: Connection, checks: Sequence[Check], now: datetime) -> list[Finding | None]:
    """Run checks and store what they found; None for one that failed itself, which stops no other. In a
    transaction."""
    findings: list[Finding | None] = []
    for check in checks:
        try:
            async with connection.transaction():
                await connection.execute("set local transaction_read_only = on")
                finding = await check.run(connection, now)
        except Exception as error:
            if connection.is_closed():
                raise
            fault = waits.fault(error)
            _log.error("check failed", check=check.name, why=fault)
            await connection.execute(_KEEP_FAULT, check.name, now, fault)
            findings.append(None)
            continue
        if finding.count:
            _log.warning("check found", check=check.name, found=finding.count)
        await connection.execute(_KEEP, check.name, now, finding.count, finding.detail)
        findings.append(finding)
    return findings


def handler(checks: Sequence[Check], clock: Clock, every: timedelta = EVERY) -> Handler:
    """The recurring job that runs the checks. Raises ValueError when two bear one name."""
    if len({check.name for check in checks}) < len(checks):
        raise ValueError("two checks with one name")

    async def run(connection: Connection, _: Sequence[Mapping[str, Any]]) -> None:
        await run_checks(connection, checks, clock.now())

    return Handler(KIND, run, timeout=timedelta(minutes=5), every=every)


async def results(connection: Connection, checks: Sequence[Check] = ()) -> list[Result]:
    """What every check found when it last ran, by name; with `checks`, those and no other, run or not."""
    rows = await connection.fetch("select name, ran, found, detail, since, fault from work_check order by name")
    found = {row["name"]: Result(**row) for row in rows}
    if not checks:
        return list(found.values())
    return [found.get(check.name, Result(check.name, None, 0, "")) for check in checks]


def own_checks() -> list[Check]:
    """The house's own checks of jobs and outbox."""
    return [
        Check("work.jobs-overdue", _jobs_overdue),
        Check("work.messages-waiting", _messages_waiting),
        Check("work.messages-sending", _messages_sending),
        Check("work.stopped", _stopped),
        Check("work.receipts-of-strangers", _strangers),
    ]


def receipt_missing(edge: str, states: Sequence[str], within: timedelta) -> Check:
    """A check that every message received by `edge` longer ago than `within` has a receipt in one of `states`:
    posted, deposited… (LET-54: missing receipts are chased and listed)."""

    async def run(connection: Connection, now: datetime) -> Finding:
        return await _grouped(
            connection,
            "select edge as name, count(*) as number, min(ended) as oldest from work_outbox message"
            " where edge = $1 and state = 'received' and ended < $2 and not exists (select 1 from work_receipt receipt"
            " where receipt.message = message.id and receipt.state = any($3::text[])) group by edge",
            edge,
            now - within,
            list(states),
        )

    return Check(f"work.receipt-missing.{edge}.{states[0]}", run)


async def _grouped(connection: Connection, sql: str, *values: Any) -> Finding:
    rows = await connection.fetch(sql, *values)
    detail = "; ".join(
        f"{row['name']}: {row['number']}" + (f" ({row['oldest']:%Y-%m-%d %H:%M} UTC)" if row["oldest"] else "")
        for row in rows[:10]
    )
    return Finding(sum(row["number"] for row in rows), detail)


async def _jobs_overdue(connection: Connection, now: datetime) -> Finding:
    # By `due`, not by the next try: what fails again and again is overdue too. Recurring ones are left out: after a
    # clock's jump they are all due at once, this check among them.
    return await _grouped(
        connection,
        "select kind as name, count(*) as number, min(due) as oldest from work_job"
        " where state = 'waiting' and due < $1 and not recurring group by kind order by kind",
        now - JOB_OVERDUE,
    )


async def _messages_waiting(connection: Connection, now: datetime) -> Finding:
    return await _grouped(
        connection,
        "select edge as name, count(*) as number, min(due) as oldest from work_outbox"
        " where state = 'waiting' and due < $1 group by edge order by edge",
        now - MESSAGE_WAITING,
    )


async def _messages_sending(connection: Connection, now: datetime) -> Finding:
    return await _grouped(
        connection,
        "select edge as name, count(*) as number, min(handed_over) as oldest from work_outbox"
        " where state = 'sending' and handed_over < $1 group by edge order by edge",
        now - MESSAGE_SENDING,
    )


async def _stopped(connection: Connection, now: datetime) -> Finding:
    return await _grouped(
        connection,
        "select name, count(*) as number, min(ended) as oldest from ("
        " select kind as name, ended from work_job where state = 'dead'"
        " union all select edge, ended from work_outbox where state in ('failed', 'unknown')"
        ") stopped group by name order by name",
    )


async def _strangers(connection: Connection, now: datetime) -> Finding:
    return await _grouped(
        connection,
        "select edge as name, count(*) as number, min(heard) as oldest from work_receipt"
        " where message is null group by edge order by edge",
    )
