"""What operators see: counts, checks and their results, and what is swept away when it has been kept long enough."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.work.edges import DAY, HOUR, MINUTE, KeepingEdge, counting, letter
from varde.clock import SetClock
from varde.db import Database
from varde.work import dead, jobs, outbox, reconcile, summary, sweep
from varde.work.jobs import Handler, Job
from varde.work.outbox import Message, Passing, Permanent, Receipt, Unknown
from varde.work.reconcile import Check, Finding
from varde.work.worker import Worker


def answers(message: Message) -> Any:
    return {
        "passing": Passing("busy"),
        "failed": Permanent("no such number"),
        "unknown": Unknown("no answer"),
    }.get(message.key, Receipt(message.key, "accepted", datetime(2026, 11, 24, 9, 0, tzinfo=UTC)))


@pytest.fixture
def edge(clock: SetClock) -> KeepingEdge:
    made = KeepingEdge(clock)
    made.answer = answers
    return made


async def fill(database: Database, clock: SetClock, edge: KeepingEdge) -> None:
    async def fails(connection: Any, payloads: Any) -> None:
        raise ValueError

    async with database.transaction() as connection:
        keys = ["passing", "failed", "unknown", "one", "two"]
        await outbox.put_many(connection, [letter(key, clock.now()) for key in keys])
        await outbox.put(connection, letter("tomorrow", clock.now() + DAY))
        await jobs.enqueue(connection, Job("fails", {}, clock.now()))
        await jobs.enqueue(connection, Job("stops", {}, clock.now()))
        await jobs.enqueue(connection, Job("later", {}, clock.now() + DAY))
    handlers = [Handler("fails", fails), Handler("stops", fails, attempts=1)]
    await Worker(database, clock, handlers, [edge], {}).drain(clock.now())


async def test_counts_by_edge_and_kind(database: Database, clock: SetClock, edge: KeepingEdge) -> None:
    await fill(database, clock, edge)
    async with database.connection() as connection:
        notify, post = await summary.edges(connection, ["notify"])
        counted = await summary.jobs(connection, clock.now() + HOUR)
        stopped = await dead.page(connection)
        left = await summary.messages(connection, edge="post", limit=3)
        older = await summary.messages(connection, before=left[-1].id)
    assert notify == summary.EdgeCount("notify", 0, 0, 0, 0, 0, None)
    assert post == summary.EdgeCount("post", 2, 0, 2, 1, 1, clock.now())
    assert counted == [
        summary.JobCount("fails", 1, 1, clock.now(), 1),
        summary.JobCount("later", 1, 0, clock.now() + DAY, 0),
    ]
    assert [(one.kind, one.name, one.unknown) for one in stopped] == [
        (dead.Kind.JOB, "stops", False), (dead.Kind.MESSAGE, "post", False), (dead.Kind.MESSAGE, "post", True),
    ]  # fmt: skip
    assert [one.key for one in left] == ["tomorrow", "two", "one"]
    assert [[state for state, _ in one.receipts] for one in left] == [[], ["accepted"], ["accepted"]]
    assert [one.key for one in older] == ["unknown", "failed", "passing"]


async def test_a_dead_job_is_tried_again_when_a_person_says_so(
    database: Database, clock: SetClock, edge: KeepingEdge
) -> None:
    await fill(database, clock, edge)
    async with database.transaction() as connection:
        [job] = [one for one in await dead.page(connection) if one.kind is dead.Kind.JOB]
        await dead.retry(connection, job.kind, job.id, actor="1234567", reason="mended", now=clock.now())
    done: list[Any] = []
    await Worker(database, clock, [counting("stops", done)], [], {}).drain(clock.now())
    assert done == [{}]


async def test_checks_run_by_a_recurring_job_and_one_that_fails_stops_no_other(
    database: Database, clock: SetClock, edge: KeepingEdge
) -> None:
    await fill(database, clock, edge)
    found = 3

    async def own(connection: Any, now: datetime) -> Finding:
        return Finding(found, "three letters")

    async def broken(connection: Any, now: datetime) -> Finding:
        raise LookupError("Ola Nordmann")

    async def writes(connection: Any, now: datetime) -> Finding:
        await connection.execute("delete from work_job")
        return Finding(0)

    checks = [
        Check("broken", broken), Check("writes", writes), Check("letters", own), *reconcile.own_checks(),
        reconcile.receipt_missing("post", ["posted"], 5 * HOUR),
    ]  # fmt: skip
    worker = Worker(database, clock, [reconcile.handler(checks, clock)], [], {})
    async with database.connection() as connection:
        assert all(result.ran is None for result in await reconcile.results(connection, checks))
    clock.advance(6 * HOUR)
    first = clock.now()
    await worker.drain(clock.now())
    clock.advance(HOUR)
    await worker.drain(clock.now())
    async with database.connection() as connection:
        results = {result.name: result for result in await reconcile.results(connection)}
    assert (results["broken"].found, (results["broken"].fault or "")[:14]) == (0, "LookupError in")
    assert "ReadOnlySQL" in (results["writes"].fault or "")
    assert (results["letters"].found, results["letters"].since, results["letters"].ran) == (3, first, clock.now())
    counts = {name: result.found for name, result in results.items() if name.startswith("work.")}
    assert counts == {
        "work.jobs-overdue": 1, "work.messages-waiting": 1, "work.messages-sending": 0, "work.stopped": 3,
        "work.receipts-of-strangers": 0, "work.receipt-missing.post.posted": 2,
    }  # fmt: skip
    found = 0
    clock.advance(HOUR)
    await worker.drain(clock.now())
    async with database.connection() as connection:
        [result] = [one for one in await reconcile.results(connection) if one.name == "letters"]
    assert (result.found, result.since) == (0, None)


async def test_what_is_ended_is_kept_for_a_time_and_then_swept(
    database: Database, clock: SetClock, edge: KeepingEdge
) -> None:
    await fill(database, clock, edge)
    async with database.transaction() as connection:
        await outbox.put(connection, letter("big", clock.now(), body=b"%PDF"))
        await jobs.enqueue(connection, Job("note", {}, clock.now(), key="a"))
    done: list[Any] = []
    worker = Worker(database, clock, [counting("note", done), sweep.handler(clock)], [edge], {})

    async def after(days: int) -> dict[str, Any]:
        clock.advance(days * DAY)
        await worker.drain(clock.now())
        async with database.transaction() as connection:
            messages = {
                row["key"]: row["body"]
                for row in await connection.fetch("select key, body from work_outbox where state = 'received'")
            }
            again = await jobs.enqueue(connection, Job("note", {}, clock.now() + 1000 * DAY, key="a"))
            receipts = await connection.fetchval("select count(*) from work_receipt")
            return {"big": messages.get("big", "gone"), "key": again, "receipts": receipts}

    assert await after(0) == {"big": b"%PDF", "key": False, "receipts": 3}
    assert await after(29) == {"big": b"%PDF", "key": False, "receipts": 4}
    assert await after(2) == {"big": None, "key": False, "receipts": 4}
    assert await after(60) == {"big": None, "key": True, "receipts": 4}
    assert await after(320) == {"big": "gone", "key": False, "receipts": 1}
    async with database.connection() as connection:
        assert await dead.total(connection) == 3, "what waits for a person is never swept"


async def test_nothing_due_is_overdue_until_it_has_waited(database: Database, clock: SetClock) -> None:
    async with database.transaction() as connection:
        await jobs.enqueue(connection, Job("note", {}, clock.now()))
        [young] = await summary.jobs(connection, clock.now() + MINUTE)
        [old] = await summary.jobs(connection, clock.now() + 6 * MINUTE)
    assert (young.overdue, old.overdue) == (0, 1)
