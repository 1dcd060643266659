"""A worker in a process of its own, to be killed: `python -m tests.work.process URL JOURNAL RECOGNISES HALT PATIENCE`.

HALT names the step at which it says "halted" and stands still: claimed, during, sent, storing, job; or none.
PATIENCE is how many seconds each hand-over takes, to give a killer time. It does jobs of kind `note`, which put a
row into `effect` and a message into the outbox, and hands over by the edge `post`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varde.clock import Clock, SystemClock
from varde.db import Database
from varde.work import outbox
from varde.work.jobs import Handler
from varde.work.outbox import Dispatch, Message, Outcome, Receipt, Told
from varde.work.worker import Pace, Worker

Halt = Any


async def _go_on(step: str) -> None:
    pass


class JournalEdge:
    """A print house that writes each key it prints to a file, durable before it answers. One that recognises keys
    prints none twice; the other prints whatever it is given."""

    edge = "post"
    batch = 10

    def __init__(
        self, clock: Clock, journal: Path, *, recognises_keys: bool, halt: Halt = _go_on, patience: float = 0.0
    ) -> None:
        self.clock = clock
        self.journal = journal
        self.recognises_keys = recognises_keys
        self._halt = halt
        self._patience = patience

    def printed(self) -> list[str]:
        return self.journal.read_text().split() if self.journal.exists() else []

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        await self._halt("claimed")
        for number, message in enumerate(messages):
            if number == len(messages) // 2:
                await self._halt("during")
            if not self.recognises_keys or message.key not in self.printed():
                handle = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.write(handle, f"{message.key}\n".encode())
                os.fsync(handle)
                os.close(handle)
            await asyncio.sleep(self._patience / len(messages))
        await self._halt("sent")
        return [Receipt(message.key, "printed", self.clock.now()) for message in messages]

    async def receipts(self) -> Sequence[Receipt]:
        return ()

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        pass


def noting(clock: Clock, halt: Halt = _go_on) -> Handler:
    """Does `note` jobs: an effect in the database and a message, in the job's transaction."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await connection.execute("insert into effect values ($1)", payload["n"])
        some = [Dispatch("post", f"n{payload['n']}", {}, clock.now()) for payload in payloads]
        await outbox.put_many(connection, some)
        await halt("job")

    return Handler("note", run, batch=10)


def hearing(halt: Halt = _go_on) -> Any:
    """A receiver that keeps what it was told in the table `heard`."""

    async def receive(connection: Any, told: Sequence[tuple[Message, Told]]) -> None:
        for message, outcome in told:
            state = outcome.state if isinstance(outcome, Receipt) else type(outcome).__name__
            await connection.execute("insert into heard values ($1, $2)", message.key, state)
        await halt("storing")

    return receive


TABLES = "create table effect (n integer); create table heard (key text, state text)"


async def main(url: str, journal: str, recognises: str, halt_at: str, patience: str) -> None:
    async def halt(step: str) -> None:
        if step == halt_at:
            print("halted", flush=True)
            await asyncio.sleep(600)

    clock = SystemClock()
    database = Database(url)
    edge = JournalEdge(clock, Path(journal), recognises_keys=recognises == "yes", halt=halt, patience=float(patience))
    pace = Pace(poll=0.2, grace=0.3, receipts=60)
    worker = Worker(database, clock, [noting(clock, halt)], [edge], {"post": hearing(halt)}, pace)
    print("started", flush=True)
    await worker.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
