"""Measures jobs and outbox: `.venv/bin/python bench/work.py` on an embedded PostgreSQL of its own.

Worker, PostgreSQL and this script share the machine's cores. Jobs do nothing and the edge answers at once, so what
is measured is what the house itself costs.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from varde.clock import SystemClock
from varde.db import Database, ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.work import jobs, outbox
from varde.work.jobs import Handler, Job
from varde.work.outbox import Dispatch, Message, Receipt
from varde.work.worker import Worker

NUMBER = 10_000
BODY = b"%PDF" + bytes(30_000)


class AnsweringEdge:
    """Answers at once."""

    edge = "post"
    recognises_keys = True
    batch = 100

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock

    async def send(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        return [Receipt(message.key, "accepted", self.clock.now()) for message in messages]

    async def receipts(self) -> Sequence[Receipt]:
        return ()

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        pass


async def nothing(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
    pass


async def wait_for_empty(database: Database) -> None:
    while True:
        async with database.connection() as connection:
            left = await connection.fetchval(
                "select (exists (select 1 from work_job where state = 'waiting'))"
                " or (exists (select 1 from work_outbox where state in ('waiting', 'sending')))"
            )
        if not left:
            return
        await asyncio.sleep(0.02)


async def measure(database: Database, name: str, put: Any, *, live: bool, batch: int = 100) -> None:
    clock = SystemClock()
    handlers = [Handler("nothing", nothing, batch=batch)]
    worker = Worker(database, clock, handlers, [AnsweringEdge(clock)], {})
    began = perf_counter()
    async with database.transaction() as connection:
        await put(connection, clock)
    stored = perf_counter()
    if live:
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        await wait_for_empty(database)
        done = perf_counter()
        stop.set()
        await running
    else:
        await worker.drain(clock.now())
        done = perf_counter()
    print(f"{name:<44} put {NUMBER / (stored - began):>8,.0f}/s   done {NUMBER / (done - stored):>8,.0f}/s", flush=True)


async def put_jobs(connection: Any, clock: SystemClock) -> None:
    await jobs.enqueue_many(connection, [Job("nothing", {"n": n}, clock.now()) for n in range(NUMBER)])


async def put_keyed(connection: Any, clock: SystemClock) -> None:
    now = clock.now()
    some = [Job("nothing", {"n": n}, now, key=f"{now.timestamp()}:{n}", patient=n) for n in range(NUMBER)]
    await jobs.enqueue_many(connection, some)


async def put_messages(connection: Any, clock: SystemClock, body: bytes | None = None) -> None:
    now = clock.now()
    some = [Dispatch("post", f"{now.timestamp()}:{n}", {"n": n}, now, body, patient=n) for n in range(NUMBER)]
    await outbox.put_many(connection, some)


async def put_letters(connection: Any, clock: SystemClock) -> None:
    await put_messages(connection, clock, BODY)


async def latency(database: Database) -> None:
    """From commit to run, one at a time, by NOTIFY."""
    clock = SystemClock()
    done: asyncio.Queue[float] = asyncio.Queue()

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        done.put_nowait(perf_counter())

    stop = asyncio.Event()
    running = asyncio.create_task(Worker(database, clock, [Handler("note", run)], [], {}).run(stop))
    await asyncio.sleep(1)
    took = []
    for _ in range(200):
        async with database.transaction() as connection:
            await jobs.enqueue(connection, Job("note", {}, clock.now()))
        committed = perf_counter()
        took.append(await done.get() - committed)
        await asyncio.sleep(0.005)
    took.sort()
    print(f"commit to run: median {took[100] * 1000:.1f} ms, 99 % {took[197] * 1000:.1f} ms", flush=True)
    stop.set()
    await running


async def main(url: str) -> None:
    database = Database(url)
    for live in (False, True):
        way = "worker" if live else "drain"
        await measure(database, f"jobs, batch 100, {way}", put_jobs, live=live)
        await measure(database, f"jobs with key and patient, batch 100, {way}", put_keyed, live=live)
        await measure(database, f"messages, batch 100, {way}", put_messages, live=live)
        await measure(database, f"messages of 30 kB, batch 100, {way}", put_letters, live=live)
    await measure(database, "jobs, batch 20, worker", put_jobs, live=True, batch=20)
    await measure(database, "jobs, batch 1, worker", put_jobs, live=True, batch=1)
    await latency(database)
    await database.close()


if __name__ == "__main__":
    server = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="varde-bench-")))
    server.start()
    try:
        asyncio.run(ensure_database(server.url("postgres"), "bench"))
        asyncio.run(migrate(server.url("bench")))
        uvloop.run(main(server.url("bench")))
    finally:
        server.stop("immediate")
