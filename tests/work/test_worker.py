"""Live workers: several at once, fair, woken at once, stopped gently, and through clock jumps and a database that
comes and goes."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.work.edges import DAY, HOUR, MINUTE, Hearing, KeepingEdge, counting, letter
from varde.clock import MovableClock, SetClock, SystemClock
from varde.db import Database, ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.work import jobs, outbox
from varde.work.jobs import Handler, Job
from varde.work.outbox import Receipt
from varde.work.worker import Pace, Worker

QUICK = Pace(poll=0.1, grace=0.2, receipts=0.1, stop=5)


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def until(true: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for `true`, a function or coroutine function, to hold."""
    end = monotonic() + seconds
    while True:
        value = true()
        if await value if isinstance(value, Awaitable) else value:
            return
        assert monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.01)


async def put(database: Database, *some: Job) -> None:
    async with database.transaction() as connection:
        await jobs.enqueue_many(connection, some)


async def send(database: Database, *some: outbox.Dispatch) -> None:
    async with database.transaction() as connection:
        await outbox.put_many(connection, some)


async def test_several_workers_do_each_job_and_send_each_message_once(
    database: Database, database_url: str, clock: SetClock
) -> None:
    done: list[Mapping[str, Any]] = []
    edges = [KeepingEdge(clock, batch=20) for _ in range(3)]
    others = [Database(database_url) for _ in range(3)]
    workers = [
        Worker(other, clock, [counting("note", done, batch=7)], [edge], {}, QUICK)
        for other, edge in zip(others, edges, strict=True)
    ]
    async with running(*workers):
        await put(database, *(Job("note", {"n": n}, clock.now()) for n in range(2000)))
        await send(database, *(letter(f"k{n}", clock.now()) for n in range(1000)))
        await until(lambda: len(done) >= 2000 and sum(len(edge.sent) for edge in edges) >= 1000)
    for other in others:
        await other.close()
    assert Counter(payload["n"] for payload in done) == Counter(range(2000))
    assert Counter(key for edge in edges for key in edge.keys) == Counter(f"k{n}" for n in range(1000))
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from work_outbox where state <> 'received'") == 0


async def test_ten_thousand_starve_no_single_urgent_job(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    urgent: list[Mapping[str, Any]] = []

    async def slow(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await asyncio.sleep(0.05)
        done.extend(payloads)

    work = Worker(database, clock, [Handler("bulk", slow, batch=100), counting("urgent", urgent)], [], {}, QUICK)
    await put(database, *(Job("bulk", {"n": n}, clock.now()) for n in range(10_000)))
    async with running(work):
        await until(lambda: len(done) >= 500)
        await put(database, Job("urgent", {}, clock.now()), Job("bulk", {"n": "first"}, clock.now() - HOUR))
        before = len(done)
        await until(lambda: urgent and {"n": "first"} in done)
        assert len(done) - before <= 800, "the batch went on before what was more urgent"


async def test_a_worker_is_woken_by_what_is_put_in(database: Database, clock: SetClock) -> None:
    done: list[Mapping[str, Any]] = []
    edge = KeepingEdge(clock)
    work = Worker(database, clock, [counting("note", done)], [edge], {}, Pace(poll=60))
    async with running(work):
        await asyncio.sleep(0.3)
        await put(database, Job("note", {}, clock.now()))
        await send(database, letter("a", clock.now()))
        await until(lambda: done and edge.sent, seconds=1)


async def test_a_recurring_job_has_one_instance_over_all_workers(database: Database, clock: SetClock) -> None:
    at_work, most, runs = 0, 0, 0

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        nonlocal at_work, most, runs
        at_work += 1
        most, runs = max(most, at_work), runs + len(payloads)
        await asyncio.sleep(0.1)
        at_work -= 1

    workers = [Worker(database, clock, [Handler("check", run, every=HOUR)], [], {}, QUICK) for _ in range(3)]
    async with running(*workers):
        await until(lambda: runs == 1)
        clock.advance(9 * DAY)
        await until(lambda: runs == 2)
        await asyncio.sleep(0.4)
    assert (runs, most) == (2, 1)


async def test_a_recurring_job_that_fails_goes_on(database: Database, clock: SetClock) -> None:
    runs = 0

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise ValueError

    work = Worker(database, clock, [Handler("check", run, every=HOUR, attempts=2)], [], {})
    for _ in range(4):
        await work.drain(clock.now())
        clock.advance(HOUR)
    async with database.connection() as connection:
        row = await connection.fetchrow("select state, attempts, why from work_job")
    assert (runs, row["state"], row["attempts"], row["why"]) == (4, "waiting", 0, None)


async def test_a_stopped_worker_finishes_what_is_under_way(database: Database, clock: SetClock) -> None:
    begun, done = asyncio.Event(), []

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        done.extend(payloads)

    edge = KeepingEdge(clock)
    edge.before = lambda: asyncio.sleep(0.3)
    await put(database, *(Job("note", {"n": n}, clock.now()) for n in range(100)))
    await send(database, letter("a", clock.now()))
    async with running(Worker(database, clock, [Handler("note", run)], [edge], {}, QUICK)):
        await begun.wait()
        await until(lambda: edge.before is not None)
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from work_job where state = 'done'") == len(done) < 100
        assert await connection.fetchval("select state from work_outbox") == "received"
        assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_what_does_not_end_in_time_is_dropped_and_taken_up(database: Database, clock: SetClock) -> None:
    edge = KeepingEdge(clock)
    begun = asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.sleep(60)

    edge.before = hangs
    await send(database, letter("a", clock.now()))
    async with running(Worker(database, clock, [], [edge], {}, Pace(stop=0.1))):
        await begun.wait()
    edge.before = None
    assert await Worker(database, clock, [], [edge], {}, QUICK).drain(clock.now()) == 1
    assert edge.keys == ["a"]


async def test_a_clock_that_jumps_makes_no_living_sender_look_dead(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    clock, other_database = MovableClock(tmp_path / "clock"), Database(database_url)
    edge, other = KeepingEdge(clock, recognises_keys=False), KeepingEdge(clock, recognises_keys=False)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await go_on.wait()

    edge.before = slow
    await send(database, letter("a", clock.now()))
    async with running(Worker(database, clock, [], [edge], {}, QUICK)):
        await begun.wait()
        draining = asyncio.create_task(
            Worker(other_database, clock, [], [other], {}, QUICK).drain(clock.advance(30 * DAY))
        )
        await asyncio.sleep(1)
        assert not draining.done(), "a drain waits for what others hold"
        go_on.set()
        assert await draining == 0
    await other_database.close()
    assert (edge.keys, other.keys) == (["a"], [])
    async with database.connection() as connection:
        assert await connection.fetchval("select state from work_outbox") == "received"


async def test_a_drain_waits_for_a_job_that_another_holds_and_does_what_it_causes(
    database: Database, database_url: str, clock: SetClock
) -> None:
    other_database, begun, done = Database(database_url), asyncio.Event(), []

    async def slow(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        await jobs.enqueue(connection, Job("caused", {}, clock.now()))

    await put(database, Job("slow", {}, clock.now()), Job("caused", {"later": True}, clock.now() + MINUTE))
    async with running(Worker(other_database, clock, [Handler("slow", slow)], [], {}, QUICK)):
        await begun.wait()
        work = Worker(database, clock, [Handler("slow", slow), counting("caused", done)], [], {})
        assert await work.drain(clock.now() + HOUR) == 2
    assert done == [{}, {"later": True}]
    await other_database.close()


async def test_a_living_sender_that_was_taken_for_dead_is_still_believed(database: Database, clock: SetClock) -> None:
    edge, hearing = KeepingEdge(clock, recognises_keys=False), Hearing()
    work = Worker(database, clock, [], [edge], {"post": hearing}, QUICK)

    async def lose_the_lock() -> None:
        async with database.connection() as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"
            )
        other = Worker(database, clock, [], [KeepingEdge(clock, recognises_keys=False)], {"post": hearing}, QUICK)
        await other.drain(clock.now())

    edge.before = lose_the_lock
    await send(database, letter("a", clock.now()))
    await work.drain(clock.now())
    async with database.connection() as connection:
        assert await connection.fetchval("select state from work_outbox") == "received"
    assert hearing.told == [("a", "Unknown"), ("a", "accepted")]


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="varde-test-")))
    server.start()
    yield server
    server.stop("immediate")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_worker_goes_on_through_a_restart_of_the_database(own_server: EmbeddedPostgres, mode: str) -> None:
    await ensure_database(own_server.url("postgres"), "varde")
    await migrate(own_server.url())
    clock, hearing = SystemClock(), Hearing()
    database, other_database = Database(own_server.url()), Database(own_server.url())
    edge = KeepingEdge(clock, recognises_keys=False, batch=5)
    other = KeepingEdge(clock, recognises_keys=False, batch=5)
    sending, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        sending.set()
        await go_on.wait()

    async def effect(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await connection.execute("insert into effect values ($1)", payload["n"])
        await asyncio.sleep(0.02)

    async with database.connection() as connection:
        await connection.execute("create table effect (n integer)")
    await put(database, *(Job("note", {"n": n}, clock.now()) for n in range(300)))
    await send(database, *(letter(f"k{n}", clock.now()) for n in range(20)))
    edge.before = other.before = slow
    pace = Pace(poll=0.1, grace=10, receipts=60)
    workers = [
        Worker(database, clock, [Handler("note", effect, batch=5)], [edge], {"post": hearing}, pace),
        Worker(other_database, clock, [Handler("note", effect, batch=5)], [other], {"post": hearing}, pace),
    ]
    async with running(*workers):
        await sending.wait()
        await asyncio.sleep(0.1)
        for _ in range(2):
            await asyncio.to_thread(own_server.stop, mode)
            go_on.set()  # the edge answers while the database is away
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_server.start)
            await asyncio.sleep(0.3)
        await until(lambda: quiet(database), seconds=40)
    async with database.connection() as connection:
        numbers = Counter(row["n"] for row in await connection.fetch("select n from effect"))
        states = Counter(row["state"] for row in await connection.fetch("select state from work_outbox"))
    assert numbers == Counter(range(300))
    assert states == {"received": 20}
    assert Counter(edge.keys + other.keys) == Counter(f"k{n}" for n in range(20))
    assert Counter(hearing.told) == Counter((f"k{n}", "accepted") for n in range(20))
    await database.close()
    await other_database.close()


async def quiet(database: Database) -> bool:
    try:
        async with database.connection() as connection:
            left = await connection.fetchval(
                "select (select count(*) from work_job where state = 'waiting')"
                " + (select count(*) from work_outbox where state in ('waiting', 'sending'))"
            )
    except Exception:
        return False
    return bool(left == 0)


async def test_two_handlers_for_one_kind_are_refused(database: Database, clock: SetClock) -> None:
    with pytest.raises(ValueError, match="two handlers"):
        Worker(database, clock, [counting("a", []), counting("a", [])], [], {})


async def test_an_edge_that_cannot_be_asked_for_receipts_stops_nothing(database: Database, clock: SetClock) -> None:
    class Deaf(KeepingEdge):
        asked = 0

        async def receipts(self) -> Sequence[Receipt]:
            self.asked += 1
            raise ConnectionRefusedError

    edge = Deaf(clock)
    async with running(Worker(database, clock, [], [edge], {}, QUICK)):
        await until(lambda: edge.asked >= 2)
        await send(database, letter("a", clock.now()))
        await until(lambda: edge.sent)


async def test_a_receipt_that_comes_late_reaches_a_live_worker(database: Database, clock: SetClock) -> None:
    edge, hearing = KeepingEdge(clock), Hearing()

    edge.answer = lambda message: Receipt(message.key, "accepted", clock.now())
    async with running(*(Worker(database, clock, [], [edge], {"post": hearing}, QUICK) for _ in range(2))):
        await send(database, letter("a", clock.now()))
        await until(lambda: len(hearing.told) == 1)
        edge.late.append(Receipt("a", "posted", clock.now()))
        await until(lambda: len(hearing.told) == 2)
        await asyncio.sleep(0.3)
    assert hearing.told == [("a", "accepted"), ("a", "posted")]
