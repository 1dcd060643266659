"""The operators' queues on the real work tables: what stopped is seen and decided about, once, with a reason kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from varde.clock import SetClock
from varde.db import Database
from varde.fhir.errors import NotFound
from varde.services.improvement.operations import Queues
from varde.work import dead
from varde.work.jobs import Handler, Job, enqueue
from varde.work.worker import Worker

SCOPE: Any = SimpleNamespace(actor=SimpleNamespace(key="8190000"))


async def stopped_job(database: Database, clock: SetClock) -> None:
    async def fails(connection: Any, payloads: Any) -> None:
        raise KeyError("no such thing")

    async with database.transaction() as connection:
        await enqueue(connection, Job("letters.remind", {}, clock.now()))
    worker = Worker(database, clock, [Handler("letters.remind", fails, attempts=1)], [], {})
    await worker.drain(clock.now())


async def test_what_stopped_is_seen_and_tried_again_with_a_reason(database: Database, clock: SetClock) -> None:
    queues = Queues(SimpleNamespace(database=database, clock=clock))  # type: ignore[arg-type]
    await stopped_job(database, clock)
    situation = await queues.situation(SCOPE)
    assert situation.dead_total == 1 and situation.dead[0].name == "letters.remind"
    assert {edge.edge for edge in situation.edges} == {"notify", "post"}
    await queues.retry(SCOPE, "job", situation.dead[0].id, "Feilen er rettet")
    assert (await queues.situation(SCOPE)).dead_total == 0
    async with database.connection() as connection:
        (decision,) = await dead.decisions(connection, dead.Kind.JOB, int(situation.dead[0].id))
    assert (decision.actor, decision.reason, decision.decision) == ("8190000", "Feilen er rettet", "retry")


@pytest.mark.parametrize(("kind", "number"), [("job", "1"), ("nothing", "1"), ("message", "x"), ("job", "9" * 30)])
async def test_what_has_not_stopped_is_not_found(database: Database, clock: SetClock, kind: str, number: str) -> None:
    queues = Queues(SimpleNamespace(database=database, clock=clock))  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await queues.discard(SCOPE, kind, number, "Fordi")
