"""Edges and receivers for the tests of work: they keep what they were given and answer as they are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from varde.clock import Clock
from varde.work.jobs import Handler
from varde.work.outbox import Dispatch, Message, Outcome, Receipt, Told


class KeepingEdge:
    """Takes what it is given and keeps it in `sent`. `answer` decides otherwise."""

    def __init__(self, clock: Clock, edge: str = "post", *, recognises_keys: bool = True, batch: int = 100) -> None:
        self.clock = clock
        self.edge = edge
        self.recognises_keys = recognises_keys
        self.batch = batch
        self.sent: list[Message] = []
        self.times: dict[str, datetime] = {}
        self.late: list[Receipt] = []
        self.acknowledged: list[Receipt] = []
        self.answer: Callable[[Message], Awaitable[Outcome] | Outcome] | None = None
        self.before: Callable[[], Awaitable[None]] | None = None

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        if self.before is not None:
            await self.before()
        outcomes = []
        for message in messages:
            self.sent.append(message)
            self.times.setdefault(message.key, self.clock.now())
            outcome = (
                Receipt(message.key, "accepted", self.clock.now()) if self.answer is None else self.answer(message)
            )
            outcomes.append(await outcome if isinstance(outcome, Awaitable) else outcome)
        return outcomes

    async def receipts(self) -> Sequence[Receipt]:
        return tuple(self.late)

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        self.acknowledged += receipts
        self.late = [receipt for receipt in self.late if receipt not in receipts]

    @property
    def keys(self) -> list[str]:
        return [message.key for message in self.sent]


class Hearing:
    """A receiver that keeps what it was told. It fails while `failing` says so."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.failing: Callable[[str], bool] = lambda key: False

    async def __call__(self, connection: Any, told: Sequence[tuple[Message, Told]]) -> None:
        for message, _ in told:
            if self.failing(message.key):
                raise ValueError("cannot take that in")
        for message, outcome in told:
            self.told.append((message.key, outcome.state if isinstance(outcome, Receipt) else type(outcome).__name__))


def counting(kind: str, done: list[Mapping[str, Any]], **options: Any) -> Handler:
    """A handler that keeps the payloads it did."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        done.extend(payloads)

    return Handler(kind, run, **options)


def letter(key: str, due: datetime, edge: str = "post", **options: Any) -> Dispatch:
    """A message with a payload of its own."""
    return Dispatch(edge, key, {"letter": key}, due, **options)


SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
