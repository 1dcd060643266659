"""Real worker processes killed with SIGKILL at each step: nothing is lost, and nothing takes effect twice (LET-56)."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.work.process import TABLES, JournalEdge, hearing, noting
from varde.clock import SystemClock
from varde.db import Database
from varde.work import jobs
from varde.work.jobs import Job
from varde.work.worker import Pace, Worker

ROOT = Path(__file__).parent.parent.parent
NUMBER = 10


async def start(url: str, journal: Path, *, recognises: bool, halt: str = "none", patience: float = 0.0) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.work.process", url, str(journal), "yes" if recognises else "no", halt,
        str(patience), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.stdout.readline() == b"started\n"
    return process


async def kill(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def put(database: Database, number: int) -> None:
    clock = SystemClock()
    async with database.transaction() as connection:
        await connection.execute(TABLES)
        await jobs.enqueue_many(connection, [Job("note", {"n": n}, clock.now(), key=f"n{n}") for n in range(number)])


def successor(database: Database, journal: Path, *, recognises: bool) -> tuple[Worker, JournalEdge]:
    clock = SystemClock()
    edge = JournalEdge(clock, journal, recognises_keys=recognises)
    return Worker(database, clock, [noting(clock)], [edge], {"post": hearing()}, Pace(grace=0.2)), edge


async def states(database: Database) -> dict[str, str]:
    async with database.connection() as connection:
        return {row["key"]: row["state"] for row in await connection.fetch("select key, state from work_outbox")}


async def assert_jobs_took_effect_once(database: Database, number: int) -> None:
    async with database.connection() as connection:
        effects = Counter(row["n"] for row in await connection.fetch("select n from effect"))
        assert effects == Counter(range(number))
        assert await connection.fetchval("select count(*) from work_job where state <> 'done'") == 0
        twice = await connection.fetch("select key, state from heard group by key, state having count(*) > 1")
        assert twice == []


@pytest.mark.parametrize("halt", ["job", "claimed", "during", "sent", "storing"])
@pytest.mark.parametrize("recognises", [True, False], ids=["recognises keys", "does not"])
async def test_a_worker_killed_at_a_step(
    database: Database, database_url: str, tmp_path: Path, halt: str, recognises: bool
) -> None:
    journal = tmp_path / "journal"
    await put(database, NUMBER)
    process = await start(database_url, journal, recognises=recognises, halt=halt)
    assert await process.stdout.readline() == b"halted\n"
    await kill(process)
    worker, edge = successor(database, journal, recognises=recognises)
    await worker.drain(SystemClock().now())

    await assert_jobs_took_effect_once(database, NUMBER)
    printed, after = Counter(edge.printed()), await states(database)
    assert set(after) == {f"n{n}" for n in range(NUMBER)}
    assert max(printed.values(), default=0) <= 1, "nothing is printed twice"
    if recognises or halt == "job":
        assert set(printed) == set(after), "nothing is lost"
        assert set(after.values()) == {"received"}
    else:
        assert set(after.values()) == {"unknown"}, "a person decides about what may have left"
        assert len(printed) == {"claimed": 0, "during": NUMBER // 2, "sent": NUMBER, "storing": NUMBER}[halt]
        async with database.connection() as connection:
            assert {row["state"] for row in await connection.fetch("select state from heard")} == {"Unknown"}


@pytest.mark.slow
@pytest.mark.parametrize("recognises", [True, False], ids=["recognises keys", "does not"])
async def test_workers_killed_at_any_time_again_and_again(
    database: Database, database_url: str, tmp_path: Path, recognises: bool
) -> None:
    number, kills, dice = 400, 12, random.Random(56)
    journal = tmp_path / "journal"
    await put(database, number)
    processes = [await start(database_url, journal, recognises=recognises, patience=0.5) for _ in range(2)]
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.0, 0.2))
        await kill(processes.pop(0))
        processes.append(await start(database_url, journal, recognises=recognises, patience=0.5))
    for process in processes:
        await kill(process)
    worker, edge = successor(database, journal, recognises=recognises)
    await worker.drain(SystemClock().now())

    await assert_jobs_took_effect_once(database, number)
    printed, after = Counter(edge.printed()), await states(database)
    assert len(after) == number
    if recognises:
        assert set(after.values()) == {"received"}
        assert printed == Counter(after.keys())
    else:
        assert max(printed.values()) == 1
        assert set(after.values()) == {"received", "unknown"}
        assert {key for key, state in after.items() if state == "received"} <= set(printed)
