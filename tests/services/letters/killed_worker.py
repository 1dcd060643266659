"""A real worker in a process of its own, to be killed while it takes letters to the printer. It says at which step it
stands still, and stands still until it is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.services.letters.ward import platform_on
from varde.clock import MovableClock
from varde.db import Database
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost
from varde.services.letters.jobs import handlers, receivers
from varde.services.letters.posting import PRINT
from varde.services.letters.sending import DEADLINE
from varde.work.jobs import Handler
from varde.work.outbox import Message, Outcome, Receipt, Receiver, Told
from varde.work.worker import Pace, Worker

STEPS = ("deadline", "hand-over", "claimed", "during", "sent", "storing", "fetched", "acknowledging")
"""In the deadline's transaction; in the print job's, with the PDF made; with messages claimed; with half of them
printed; with all printed and nothing stored; in the transaction that stores the outcome; with late receipts fetched;
with them stored."""
PACE = Pace(poll=0.1, receipts=0.05, grace=0.2)


class Halting:
    """Stands still for ever at one step."""

    def __init__(self, step: str, told: Connection) -> None:
        self._step = step
        self._told = told

    async def at(self, step: str) -> None:
        """Say so and stand still, at the step that was asked for."""
        if step == self._step:
            self._told.send(step)
            await asyncio.sleep(3600)


class HaltingPost(EmbeddedPost):
    """The embedded print house, with the steps around it."""

    def __init__(self, folder: Path, clock: MovableClock, halting: Halting) -> None:
        super().__init__(folder, clock)
        self._halting = halting

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        await self._halting.at("claimed")
        half = len(messages) // 2
        outcomes = [*await super().send(messages[:half])]
        await self._halting.at("during")
        outcomes += await super().send(messages[half:])
        await self._halting.at("sent")
        return outcomes

    async def receipts(self) -> Sequence[Receipt]:
        found = await super().receipts()
        if found:
            await self._halting.at("fetched")
        return found

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        if receipts:
            await self._halting.at("acknowledging")
        await super().acknowledge(receipts)


def _halting_handler(handler: Handler, halting: Halting) -> Handler:
    step = {DEADLINE: "deadline", PRINT: "hand-over"}.get(handler.kind)
    if step is None:
        return handler

    async def run(connection: Any, payloads: Any) -> None:
        await handler.run(connection, payloads)
        await halting.at(step)

    return replace(handler, run=run)


def _halting_receiver(receiver: Receiver, halting: Halting) -> Receiver:
    async def receive(connection: Any, told: Sequence[tuple[Message, Told]]) -> None:
        await receiver(connection, told)
        await halting.at("storing")

    return receive


def work(url: str, folder: Path, step: str, told: Connection) -> None:
    """Work until killed."""

    async def run() -> None:
        clock, halting = MovableClock(folder / "clock"), Halting(step, told)
        platform, _ = platform_on(Database(url, connections=6), clock, folder)
        post, notify = HaltingPost(folder / "post", clock, halting), EmbeddedNotify(folder / "notify", clock)
        hearing = receivers(platform)
        every = {**hearing, "post": _halting_receiver(hearing["post"], halting)}
        worker = Worker(
            platform.database, clock, [_halting_handler(one, halting) for one in handlers(platform)], [post, notify],
            every, PACE,
        )  # fmt: skip
        told.send("started")
        await worker.run(asyncio.Event())

    asyncio.run(run())
