"""Jobs: put in by the transaction that causes them, done once, tried again, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.work.edges import DAY, HOUR, MINUTE, SECOND, counting
from varde.clock import SetClock
from varde.db import Database
from varde.work import jobs
from varde.work.jobs import Handler, Job
from varde.work.worker import Worker


def worker(database: Database, clock: SetClock, *handlers: Handler) -> Worker:
    return Worker(database, clock, handlers, [], {})


async def put(database: Database, *some: Job) -> int:
    async with database.transaction() as connection:
        return await jobs.enqueue_many(connection, some)


async def test_a_job_is_put_in_by_the_transaction_that_causes_it(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await jobs.enqueue(connection, Job("note", {"n": 1}, clock.now()))
            raise ZeroDivisionError
    await put(database, Job("note", {"n": 2}, clock.now()))
    assert await worker(database, clock, counting("note", done)).drain(clock.now()) == 1
    assert done == [{"n": 2}]


async def test_a_key_stands_once_waiting_or_done(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    job = Job("note", {"n": 1}, clock.now(), key="a")
    assert await put(database, job, Job("note", {"n": 2}, clock.now(), key="b"), job) == 2
    assert await put(database, job) == 0
    work = worker(database, clock, counting("note", done, batch=10))
    assert await work.drain(clock.now()) == 2
    async with database.transaction() as connection:
        assert not await jobs.enqueue(connection, job)
    assert await work.drain(clock.now()) == 0


async def test_a_cancelled_job_is_not_done_and_its_key_is_free(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    await put(database, Job("note", {"n": 1}, clock.now() + DAY, key="a"))
    async with database.transaction() as connection:
        assert await jobs.cancel(connection, ["a", "nobody's"]) == 1
        assert await jobs.enqueue(connection, Job("note", {"n": 2}, clock.now() + HOUR, key="a"))
    work = worker(database, clock, counting("note", done))
    await work.drain(clock.now() + HOUR)
    assert done == [{"n": 2}]
    async with database.transaction() as connection:
        assert await jobs.cancel(connection, ["a"]) == 0


async def test_cancelling_does_not_wait_for_a_job_that_has_begun(database: Database, clock: SetClock) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        begun.set()
        await go_on.wait()

    await put(database, Job("slow", {}, clock.now(), key="a"))
    draining = asyncio.create_task(worker(database, clock, Handler("slow", run)).drain(clock.now()))
    await begun.wait()
    async with database.transaction() as connection:
        assert await jobs.cancel(connection, ["a"]) == 0
    go_on.set()
    assert await draining == 1


async def test_one_bad_job_in_a_batch_holds_up_no_other(database: Database, clock: SetClock) -> None:
    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await connection.execute("insert into effect values ($1)", payload["n"])
            if payload["n"] == 7:
                raise ValueError("04019912345 is the patient")

    await database_table(database)
    await put(database, *(Job("note", {"n": n}, clock.now()) for n in range(20)))
    work = worker(database, clock, Handler("note", run, batch=20, attempts=3))
    await work.drain(clock.now())
    async with database.connection() as connection:
        effects = [row["n"] for row in await connection.fetch("select n from effect order by n")]
        bad = await connection.fetchrow("select * from work_job where state = 'waiting'")
    assert effects == [n for n in range(20) if n != 7]
    assert bad["attempts"] == 1
    assert bad["why"].startswith("ValueError in ")
    assert "patient" not in bad["why"], "the error's own words may tell of a person"
    assert timedelta(seconds=3) < bad["next_try"] - clock.now() < timedelta(seconds=7)
    await work.drain(clock.now() + HOUR)
    async with database.connection() as connection:
        bad = await connection.fetchrow("select * from work_job where state <> 'done'")
    assert (bad["state"], bad["attempts"]) == ("dead", 3)


async def database_table(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("create table effect (n integer)")


async def test_a_job_that_takes_too_long_is_stopped_and_tried_again(database: Database, clock: SetClock) -> None:
    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await connection.execute("select pg_sleep(30)")

    await put(database, Job("slow", {}, clock.now()))
    await worker(database, clock, Handler("slow", run, timeout=timedelta(milliseconds=50))).drain(clock.now())
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from work_job")
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["why"].startswith("TimeoutError")


async def test_a_recurring_job_runs_once_however_far_the_clock_is_moved(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    work = worker(database, clock, counting("check", done, every=MINUTE))
    await work.drain(clock.now())
    assert len(done) == 1
    await work.drain(clock.now() + SECOND)
    assert len(done) == 1
    clock.advance(5 * DAY)
    await work.drain(clock.now())
    await work.drain(clock.now())
    assert len(done) == 2
    clock.advance(MINUTE)
    await work.drain(clock.now())
    assert len(done) == 3


async def test_draining_is_in_order_of_due_time_with_what_is_caused(database: Database, clock: SetClock) -> None:
    order: list[tuple[str, Any]] = []
    start = clock.now()

    def handler(kind: str, causes: timedelta | None) -> Handler:
        async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
            for payload in payloads:
                order.append((kind, clock.now() - start))
                if causes:
                    await jobs.enqueue(connection, Job("caused", payload, clock.now() + causes))

        return Handler(kind, run, batch=10)

    await put(database, Job("late", {}, start + 3 * DAY), Job("early", {}, start + DAY))
    work = worker(database, clock, handler("late", None), handler("early", DAY), handler("caused", None))
    await work.drain(start + 4 * DAY, moving=clock.set)
    assert order == [("early", DAY), ("caused", 2 * DAY), ("late", 3 * DAY)]
    assert clock.now() == start + 4 * DAY
