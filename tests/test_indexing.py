"""The upkeep of search as a worker does it: words come into the index, values become current, and both are told of."""

from __future__ import annotations

from datetime import timedelta

from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.store import Store
from varde.indexing import handlers, stale_types
from varde.work.worker import Worker


async def test_a_worker_keeps_words_and_values_current(database: Database, clock: SetClock) -> None:
    store = Store(database, clock)
    await store.write_many(OpenGate(), [{"resourceType": "Basic", "id": "b", "code": {"text": "Kreft"}}])
    assert await stale_types(store) == ["Basic"]
    worker = Worker(database, clock, handlers(store), [], {})
    for _ in range(4):
        clock.advance(timedelta(minutes=2))
        await worker.drain(clock.now())
    assert await stale_types(store) == []
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from index_text where content is not null") == 1
    assert (await store.search(OpenGate(), "Basic", "_content=kreft")).total == 1
