"""The derived table of runs on the real store: it follows the reports, and says since when and how many a day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.store import Store
from varde.services.improvement import runs
from varde.services.improvement.model import to_fhir
from varde.services.improvement.rules import Day
from varde.work.journey import Run, Step

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
PAUSE = {"a": timedelta(minutes=15)}


def report(minutes_ago: float, *, passed: bool = True, journey: str = "a", **more: Any) -> dict[str, Any]:
    step = Step("Et steg", timedelta(seconds=1), timedelta(seconds=5), passed, *(() if passed else ("noe", "annet")))
    return to_fhir(Run(journey, "letters", NOW - timedelta(minutes=minutes_ago), "0.1.0", (step,))) | more


@pytest.fixture
async def store(database: Database, clock: SetClock) -> AsyncIterator[Store]:
    yield Store(database, clock, [runs.Runs()])


async def write(store: Store, reports: Sequence[dict[str, Any]]) -> None:
    await store.write_many(OpenGate(), reports)


@pytest.mark.parametrize(
    ("row", "since"),
    [
        ([(1, False), (6, False), (11, True)], 6),
        ([(1, True), (6, True), (11, False), (16, True)], 6),
        ([(1, True), (6, True), (30, True)], 6),  # nobody knows of the time between (IMP-08)
        ([(1, True)], 1),
    ],
)
async def test_since_is_the_first_of_the_unbroken_row(
    store: Store, database: Database, row: list[tuple[int, bool]], since: int
) -> None:
    await write(store, [report(ago, passed=passed) for ago, passed in row])
    async with database.connection() as connection:
        found = await runs.since(connection, PAUSE, TODAY)
        last = await runs.last_of(connection, ["a", "b"])
    assert found == {"a": NOW - timedelta(minutes=since)}
    assert {name: (one.at, one.passed) for name, one in last.items()} == {"a": (NOW - timedelta(minutes=1), row[0][1])}


async def test_days_are_norways_and_empty_ones_are_there(store: Store, database: Database) -> None:
    # 23:30 by Norwegian clocks is the same day still, although it is 22:30 in UTC; 00:30 is the next.
    await write(store, [report(10 * 60 + 30), report(9 * 60 + 30, passed=False), report(1), report(1, journey="b")])
    async with database.connection() as connection:
        found = await runs.days(connection, ["a"], TODAY)
    assert set(found) == {"a"} and len(found["a"]) == 90
    assert found["a"][-2:] == [Day(TODAY - timedelta(days=1), 1, 0), Day(TODAY, 2, 1)]
    assert found["a"][0] == Day(TODAY - timedelta(days=89), 0, 0)


async def test_the_table_follows_the_reports(store: Store, database: Database) -> None:
    async def kept() -> list[tuple[str, bool]]:
        async with database.connection() as connection:
            rows = await connection.fetch("select id, passed from improvement_run order by id")
        return [(row["id"], row["passed"]) for row in rows]

    await write(store, [report(1, id="r1"), report(2, id="r2"), report(3, id="r3", testScript={"display": "other"})])
    assert await kept() == [("r1", True), ("r2", True)]
    await store.update(OpenGate(), "TestReport", "r1", report(1, passed=False, id="r1"))
    await store.delete(OpenGate(), "TestReport", "r2")
    assert await kept() == [("r1", False)]
