"""Processes that check and write what is loaded, beside the one that reads: each has a connection and a gate of its
own, and goes when its parent does.

The parent (`Lanes`) hands out chunks. They are checked at once and in any order; a chunk is written when no earlier
one that holds the same resource is still to be written, so that the later of two wins, as it stands in the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog

from varde.app import House, build
from varde.fhir import load as loading
from varde.fhir.bulk import importing
from varde.fhir.bulk.checking import Ready
from varde.fhir.bulk.lane import Lane, Taken, Undone
from varde.fhir.errors import FhirError
from varde.fhir.gate import Gate
from varde.fhir.load import Result
from varde.observe import configure_logging
from varde.settings import settings

_MOST = 8
_log = structlog.get_logger("varde.lanes")


def usual() -> int:
    """How many lanes this machine bears: one a core, and one more while another waits for the database."""
    return min(len(os.sched_getaffinity(0)) + 1, _MOST)


class LaneFailed(Exception):
    """A lane could not do a chunk. The text is a fault's name, or the store's own words."""


@dataclass(frozen=True, slots=True)
class Task:
    """One chunk: what to do, as JSON, and the text that it is done to."""

    header: Mapping[str, Any]
    text: bytes = b""


class Lanes:
    """The lanes of one parent. `start` first, `stop` at the end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: list[_Process] = []

    async def start(self, kept: Mapping[str, Any]) -> None:
        """Start what does not run, and have every lane write with the scope that `kept` makes (trust/keeping.py).

        Raises LaneFailed when its holder is not let in."""
        self._processes = [one for one in self._processes if one.alive]
        while len(self._processes) < self._count:
            self._processes.append(await _Process.start())
        await asyncio.gather(*(one.ask({"do": "begin", "scope": dict(kept)}) for one in self._processes))

    async def run(
        self, tasks: AsyncIterator[Task], told: Callable[[Task, Result], None], *, at_once: int | None = None
    ) -> None:
        """Have all tasks done. `at_once`: how many chunks are written at a time; with 1 they are written strictly in
        their order. Raises LaneFailed."""
        turns = _Turns(at_once or max(1, self._count - 1))
        taking = asyncio.Lock()
        async with asyncio.TaskGroup() as group:
            for process in self._processes:
                group.create_task(self._work(process, tasks, taking, turns, told))

    @staticmethod
    async def _work(
        process: _Process, tasks: AsyncIterator[Task], taking: asyncio.Lock, turns: _Turns,
        told: Callable[[Task, Result], None],
    ) -> None:  # fmt: skip
        while True:
            async with taking:
                task = await anext(tasks, None)
                if task is None:
                    return
                number = turns.enter()
            try:
                answer, keys = await process.ask({"do": "check", **task.header}, task.text)
                if answer.get("gone"):
                    continue
                await turns.wait(number, frozenset(array("q", keys)))
                answer, _ = await process.ask({"do": "write"})
                if not answer.get("gone"):
                    told(task, Result(answer["written"], answer["unchanged"], [tuple(r) for r in answer["refused"]]))
            finally:
                await turns.leave(number)

    async def stop(self) -> None:
        """End every lane."""
        await asyncio.gather(*(one.stop() for one in self._processes))
        self._processes = []


class LaneWriter:
    """Writes what `fhir.load` reads through lanes, strictly in its order."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def write(self, chunks: AsyncIterator[loading.Texts], told: loading.Told) -> None:
        """Take care of all chunks, and tell of each. Raises LaneFailed."""
        under_way: dict[int, loading.Texts] = {}
        number = 0

        async def tasks() -> AsyncIterator[Task]:
            nonlocal number
            async for chunk in chunks:
                header, text = chunk.packed()
                number += 1
                under_way[number] = chunk
                yield Task({**header, "number": number}, text)

        await self._lanes.run(
            tasks(), lambda task, result: told(under_way.pop(task.header["number"]), result), at_once=1
        )


class _Turns:
    """Which chunk may be written now."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._open: dict[int, frozenset[int] | None] = {}
        self._writing: set[int] = set()
        self._entered = 0
        self._changed = asyncio.Condition()

    def enter(self) -> int:
        """A chunk comes; its number."""
        self._entered += 1
        self._open[self._entered] = None
        return self._entered

    async def wait(self, number: int, keys: frozenset[int]) -> None:
        """Wait until a chunk that holds these resources may be written."""
        async with self._changed:
            self._open[number] = keys
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._may(number, keys))
            self._writing.add(number)

    def _may(self, number: int, keys: frozenset[int]) -> bool:
        if self._at_once == 1:
            return number == min(self._open)
        earlier = [held for other, held in self._open.items() if other < number]
        return len(self._writing) < self._at_once and all(
            held is not None and held.isdisjoint(keys) for held in earlier
        )

    async def leave(self, number: int) -> None:
        """A chunk is done, or will not be."""
        async with self._changed:
            self._writing.discard(number)
            del self._open[number]
            self._changed.notify_all()


class _Process:
    """A lane as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> _Process:
        """Start one."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "varde.lanes", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    async def ask(self, header: Mapping[str, Any], text: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Have it do something. Raises LaneFailed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(_frame(header, text))
            await self._process.stdin.drain()
            answer = await _read(self._process.stdout)
        except (ConnectionError, asyncio.IncompleteReadError):
            answer = None
        if answer is None:
            raise LaneFailed("the lane died")
        if "fault" in answer[0]:
            raise LaneFailed(answer[0]["fault"])
        return answer

    async def stop(self) -> None:
        """Let it finish what it does, and wait until it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 20)
        if self.alive:
            self._process.kill()
            await self._process.wait()


def _frame(header: Mapping[str, Any], text: bytes) -> bytes:
    said = orjson.dumps(header)
    return len(said).to_bytes(4, "big") + len(text).to_bytes(4, "big") + said + text


async def _read(stream: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None at the end."""
    try:
        lengths = await stream.readexactly(8)
    except asyncio.IncompleteReadError:
        return None
    header = orjson.loads(await stream.readexactly(int.from_bytes(lengths[:4], "big")))
    return header, await stream.readexactly(int.from_bytes(lengths[4:], "big"))


class _Child:
    """What runs in a lane's own process."""

    def __init__(self, house: House) -> None:
        self._house = house
        store = house.platform.store
        self._lane = Lane(store)
        self._gate: Gate | None = None
        self._write: Callable[[], Any] | None = None

    async def answer(self, header: dict[str, Any], text: bytes) -> bytes:
        """Do what the parent says, and what is answered."""
        try:
            return await self._do(header, text)
        except Undone:
            return _frame({"gone": True}, b"")
        except Exception as error:
            _log.error("lane.failure", exc_info=error)
            said = str(error) if isinstance(error, FhirError) else type(error).__name__
            return _frame({"fault": said}, b"")

    async def _do(self, header: dict[str, Any], text: bytes) -> bytes:
        if header["do"] == "begin":
            self._gate = await self._house.keeper.again(header["scope"])
            return _frame({}, b"")
        assert self._gate is not None
        if header["do"] == "write":
            assert self._write is not None
            taken: Taken = await self._write()
            refused = [(one.place, one.reference, one.reason) for one in taken.refused]
            return _frame({"written": taken.written, "unchanged": taken.unchanged, "refused": refused}, b"")
        gate, lane = self._gate, self._lane
        ready: Sequence[Ready]
        if "bulk" in header:
            prepared = await importing.prepare(lane, UUID(header["bulk"]), header["file"], header["number"])
            if prepared is None:
                return _frame({"gone": True}, b"")
            self._write = lambda: importing.write(lane, gate, prepared)
            ready = prepared.ready
        else:
            chunk = loading.Texts.unpacked(header, text)
            await lane.ready()
            ready, faulty = chunk.checked()
            self._write = lambda: loading.write_texts(lane, gate, chunk, ready, faulty)
        return _frame({}, array("q", [one.rid for one in ready]).tobytes())


async def _run() -> None:
    chosen = settings()
    configure_logging(chosen, "lane")
    house = build(chosen, process="lane", connections=2)
    child = _Child(house)
    # What is parsed has no cycles, and is much: looking for them took a fifth of the time.
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    try:
        while (frame := await _read(reader)) is not None:
            sys.stdout.buffer.write(await child.answer(*frame))
            sys.stdout.buffer.flush()
    finally:
        await house.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_run())
