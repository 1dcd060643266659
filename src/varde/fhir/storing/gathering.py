"""Answering together what is asked at the same time: one statement and one commit for many requests.

Knows nothing of what is asked. A request that comes while nobody is at work is answered at once; those that come
while others are being answered wait for that, and are then answered together. So nobody waits for company, and the
busier the store is, the less each request costs (group commit, as a database does for its own log).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import asyncpg

from varde.fhir.errors import FhirError, Unavailable

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class Gathering(Generic[Asked, Got]):
    """Requests of one kind. Only those with the same key are answered together."""

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Got | Exception]]],
        *,
        most: int = 32,
        lanes: int = 2,
    ) -> None:
        """`answer` gives an answer or an error for each, in their order; if it raises and has done nothing, each is
        asked alone, so that nobody suffers for another's request.
        At most `most` are answered together, by `lanes` at a time a key."""
        self._answer = answer
        self._most = most
        self._lanes = lanes
        self._waiting: dict[Hashable, _Queue[Asked, Got]] = {}

    async def ask(self, key: Hashable, asked: Asked) -> Got:
        """The answer to `asked`. Raises what became of it."""
        queue = self._waiting.get(key)
        if queue is None:
            queue = self._waiting[key] = _Queue()
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        queue.waiting.append((asked, future))
        if queue.lanes < self._lanes:
            queue.lanes += 1
            task = asyncio.create_task(self._work(key, queue))
            queue.tasks.add(task)
        return await future

    async def _work(self, key: Hashable, queue: _Queue[Asked, Got]) -> None:
        try:
            while queue.waiting:
                batch, queue.waiting = queue.waiting[: self._most], queue.waiting[self._most :]
                try:
                    await self._settle(batch)
                finally:
                    # Whatever went wrong, nobody waits for ever.
                    for _, future in batch:
                        if not future.done():
                            future.cancel()
        finally:
            queue.lanes -= 1
            if task := asyncio.current_task():
                queue.tasks.discard(task)
            if not queue.lanes and self._waiting.get(key) is queue:
                del self._waiting[key]

    async def _settle(self, batch: Sequence[tuple[Asked, asyncio.Future[Got]]]) -> None:
        batch = [(asked, future) for asked, future in batch if not future.done()]  # who went away meanwhile
        if not batch:
            return
        try:
            answers = await self._answer([asked for asked, _ in batch])
        except Exception as error:
            if len(batch) > 1 and _undone(error):
                for one in batch:
                    await self._settle([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _undone(error: Exception) -> bool:
    """Whether it is sure that nothing of what failed took effect. Of a broken connection nobody knows: what was asked
    for there is never done a second time."""
    return isinstance(error, FhirError | asyncpg.PostgresError) and not isinstance(
        error, asyncpg.PostgresConnectionError | Unavailable
    )


class _Queue(Generic[Asked, Got]):
    """What waits under one key, and who works on it."""

    __slots__ = ("lanes", "tasks", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[Asked, asyncio.Future[Got]]] = []
        self.lanes = 0
        self.tasks: set[asyncio.Task[Any]] = set()
