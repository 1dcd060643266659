"""A worker is killed with SIGKILL a hundred times on the way to the printer, at each step and at any moment: every
letter is printed exactly once by the print house's keys, and none is lost (LET-53, LET-56).
"""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import random
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.services.letters import killed_worker
from tests.services.letters.killed_worker import PACE, STEPS
from tests.services.letters.ward import Someone, Ward, ward_on
from varde.clock import MovableClock
from varde.db import Database
from varde.services.letters import keeping
from varde.services.letters.jobs import handlers, receivers
from varde.services.letters.rules import State
from varde.work.worker import Worker

AT_EACH_STEP = 10
AT_ANY_MOMENT = 100 - AT_EACH_STEP * len(STEPS)
LETTERS = 3
"""New ones for each kill, so that there is something at every step."""


class Nursery:
    """Makes workers that are quick to start: forked from a process that has read all the code."""

    def __init__(self, url: str, folder: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([killed_worker.__name__])
        self._url, self._folder = url, folder

    async def start(self, step: str) -> tuple[Any, Connection]:
        """A worker that stands still at `step`; returns when it has begun."""
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=killed_worker.work, args=(self._url, self._folder, step, there))
        await asyncio.to_thread(process.start)
        there.close()
        assert await asyncio.to_thread(here.recv) == "started"
        return process, here


async def killed(process: Any) -> None:
    """SIGKILL, and gone."""
    process.kill()
    await asyncio.to_thread(process.join, 10)
    assert process.exitcode == -9


@pytest.mark.slow
async def test_a_hundred_kills_print_every_letter_once(database: Database, database_url: str, tmp_path: Path) -> None:
    clock, dice = MovableClock(tmp_path / "clock"), random.Random(56)
    nursery = Nursery(database_url, tmp_path)
    kills: Counter[str] = Counter()
    async with ward_on(database, clock, tmp_path) as ward:  # type: ignore[arg-type]
        order = [*(STEPS * AT_EACH_STEP), *["any"] * AT_ANY_MOMENT]
        dice.shuffle(order)
        sent = 0
        for number, step in enumerate(order):
            people = await ward.add(LETTERS, user=False, days=700)
            await ward.send(people, f"key{number}")
            sent += len(people)
            await _to_the_batch(ward, clock, people)
            process, told = await nursery.start(step)
            if step == "any":
                await asyncio.sleep(dice.uniform(0.0, 0.4))
            else:
                assert await asyncio.wait_for(asyncio.to_thread(told.recv), 30) == step
            await killed(process)
            kills[step] += 1
        assert sum(kills.values()) == 100 and all(kills[step] == AT_EACH_STEP for step in STEPS)
        await _the_rest(ward, clock)
        await _each_printed_once(ward, sent)


async def _to_the_batch(ward: Ward, clock: MovableClock, people: list[Someone]) -> None:
    """Go to the next print batch of these letters."""
    letter = await ward.letter(people[0])
    assert letter.state is State.DUE_FOR_PRINT and letter.deadline is not None
    clock.advance(max(letter.deadline - clock.now(), timedelta(0)) + timedelta(seconds=1))


async def _the_rest(ward: Ward, clock: MovableClock) -> None:
    """A worker that nobody kills does what is left, and the post is carried."""
    platform = ward.platform
    worker = Worker(platform.database, clock, handlers(platform), [ward.post, ward.notify], receivers(platform), PACE)
    await worker.drain(clock.now())
    clock.advance(timedelta(days=7))
    await worker.drain(clock.now())


async def _each_printed_once(ward: Ward, sent: int) -> None:
    letters = await ward.letters()
    assert len(letters) == sent
    printed = await ward.printed()
    assert Counter(one.key for one in printed) == Counter(keeping.print_key(letter.id) for letter in letters)
    assert {letter.state for letter in letters} == {State.POSTED}
    for letter in letters:
        states = [change.state for change in letter.changes]
        assert states == [State.SENT, State.DUE_FOR_PRINT, State.PRINTING, State.PRINTED, State.POSTED]
    scope = ward.platform.access.for_system("test")
    found = await ward.platform.store.search(scope, "DocumentReference", "_count=1000")
    kept = {one.resource["content"][0]["attachment"]["data"] for one in found.matches}
    assert len(found.matches) == sent
    # LET-54: what is kept is what was printed, to the last byte.
    assert {sha256(base64.b64decode(one)).hexdigest() for one in kept} == {one.digest for one in printed}
    async with ward.platform.database.connection() as connection:
        left = await connection.fetchval("select count(*) from work_job where state <> 'done' and not recurring")
        assert left == 0
