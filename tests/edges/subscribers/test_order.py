"""Numbers without holes and each resource's versions in order, however writers and numbering fall together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edges.subscribers.receiver import Receiver, receiver
from tests.edges.subscribers.ward import House, observation, subscription
from varde.clock import SystemClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.errors import Conflict

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("undone"), st.lists(st.integers(0, 4), min_size=1, max_size=2, unique=True)),
        st.tuples(st.just("number"), st.just([])),
    ),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lanes=st.lists(STEPS, min_size=2, max_size=3))
def test_concurrent_writers_and_numbering(
    postgres: EmbeddedPostgres, database_url: str, tmp_path: Path, lanes: list[list[Any]]
) -> None:
    asyncio.run(_run(database_url, tmp_path, lanes))


async def _run(url: str, folder: Path, lanes: list[list[Any]]) -> None:
    database = Database(url, connections=8)
    house = House(database, SystemClock(), folder)
    with receiver(house.signer.jwks()) as hook:
        await _carry_out(house, database, hook, lanes)
    await house.close()
    await database.close()


async def _carry_out(house: House, database: Database, hook: Receiver, lanes: list[list[Any]]) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    house.look_again()
    before = {row["resource_id"]: row["version"] for row in await _versions(database)}

    async def number() -> None:
        async with database.transaction() as connection:
            rid = await connection.fetchval("select rid from subscription where id = $1", made)
            await house.delivery._number(connection, [{"subscriptions": [rid]}])

    class Undone(Exception):
        pass

    async def lane(steps: list[Any]) -> None:
        for what, which in steps:
            if what == "number":
                await number()
                continue
            some = [observation(f"o{n}") for n in which]
            try:
                async with house.store.transaction() as connection:
                    await house.store.write_many(house.access.for_system("test"), some, connection=connection)
                    await asyncio.sleep(0)
                    if what == "undone":
                        raise Undone
            except (Undone, Conflict):  # two made the same new resource at once: one of them is undone
                pass

    await asyncio.gather(*(lane(steps) for steps in lanes))
    await number()
    rows = await house.events(made)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    by_resource: dict[str, list[int]] = {}
    for row in rows:
        by_resource.setdefault(row["resource_id"], []).append(row["version"])
    after = {row["resource_id"]: row["version"] for row in await _versions(database)}
    for identifier, version in after.items():
        first = before.get(identifier, 0) + 1
        assert by_resource.get(identifier, []) == list(range(first, version + 1)), "each version once, in order"
    await house.store.delete(house.gate(), "Subscription", made)


async def _versions(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return list(
            await connection.fetch("select id as resource_id, version from resource where id ~ '^o[0-9]$' order by id")
        )


async def test_what_commits_after_it_became_active_is_told_also_by_a_slow_writer(
    database: Database, tmp_path: Path
) -> None:
    """A transaction that wrote before the subscription was known, and goes on: it becomes active only after it."""
    house = House(database, SystemClock(), tmp_path)
    with receiver(house.signer.jwks()) as hook:
        await house.write({"resourceType": "Patient", "id": "p1"})
        async with house.store.transaction() as connection:
            await house.store.write_many(house.access.for_system("test"), [observation("slow")], connection=connection)
            made = await house.subscribe(subscription("Observation", hook.base))
            worker = asyncio.create_task(house.settle(3))
            await asyncio.sleep(2.5)
            assert (await house.status(made))[0] == "requested"
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
        await house.settle(5)
        assert (await house.status(made))[0] == "active"
        await house.write(observation("after"))
        await house.settle(5)
        assert hook.numbers == [1]
    await house.close()
