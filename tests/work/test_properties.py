"""Properties that hold for any mix of jobs and any faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.work.edges import DAY, HOUR
from varde.clock import SetClock
from varde.db import Database
from varde.work import jobs, waits
from varde.work.jobs import Handler, Job
from varde.work.worker import Worker


@given(st.integers(1, 10_000), st.text())
def test_waits_grow_to_an_hour_spread_by_a_quarter_and_the_same_for_the_same(attempts: int, seed: str) -> None:
    waited = waits.wait(attempts, seed)
    whole = min(waits.FIRST_WAIT * 2 ** min(attempts - 1, 16), waits.LONGEST_WAIT)
    assert whole * 0.75 <= waited <= whole * 1.25
    assert waited == waits.wait(attempts, seed)


@given(st.text(), st.integers(10**4, 10**11), st.text(), st.emails())
def test_what_an_edge_says_tells_of_no_number_and_no_address(one: str, number: int, other: str, address: str) -> None:
    told = waits.plain(f"{one} {number} {other} {address}")
    assert len(told) <= waits.LONGEST_WHY
    assert str(number) not in told
    assert address not in told


@given(st.text())
def test_a_fault_tells_its_type_and_not_its_text(text: str) -> None:
    assert waits.fault(ValueError(text)) == "ValueError"


JOBS = st.lists(
    st.tuples(
        st.integers(0, 50),  # hours until due
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([0, 0, 0, 1, 2, 3, 99]),  # how many times it fails
        st.one_of(st.none(), st.integers(0, 5)),  # key
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JOBS, st.integers(1, 10), st.integers(0, 60))
async def test_whatever_is_put_in_is_done_once_in_order_or_given_up(
    database: Database, some: list[tuple[int, str, int, int | None]], batch: int, hours: int
) -> None:
    start = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    clock = SetClock(start)
    async with database.connection() as connection:
        await connection.execute("truncate work_job")
        await connection.execute("create table if not exists effect (n integer); truncate effect")
    expected: dict[int, tuple[int, int]] = {}
    keys: set[int] = set()
    async with database.transaction() as connection:
        for number, (due, kind, fails, key) in enumerate(some):
            payload = {"n": number, "fails": fails}
            name = None if key is None else str(key)
            new = await jobs.enqueue(connection, Job(kind, payload, start + due * HOUR, name))
            assert new == (key is None or key not in keys)
            if key is not None:
                keys.add(key)
            if new:
                expected[number] = (due, fails)
    tries: Counter[int] = Counter()
    order: list[tuple[datetime, int]] = []

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await connection.execute("insert into effect values ($1)", payload["n"])
        for payload in payloads:
            # A batch that fails is run again one by one: only the try alone counts.
            if payload["fails"] > tries[payload["n"]]:
                if len(payloads) == 1:
                    tries[payload["n"]] += 1
                raise ValueError
        order.extend((clock.now(), payload["n"]) for payload in payloads)

    handlers = [Handler(kind, run, batch=batch, attempts=3) for kind in ("one", "two", "three")]
    end = start + hours * HOUR
    await Worker(database, clock, handlers, [], {}).drain(end, moving=clock.set)

    async with database.connection() as connection:
        effects = Counter(row["n"] for row in await connection.fetch("select n from effect"))
        dead = {row["n"] for row in await connection.fetch(
            "select (payload ->> 'n')::int as n from work_job where state = 'dead'")}  # fmt: skip
    longest = timedelta(seconds=5 * 1.25) + timedelta(seconds=10 * 1.25)
    for number, (due, fails) in expected.items():
        at = start + due * HOUR
        if at + longest <= end:
            assert effects[number] == (1 if fails < 3 else 0)
            assert (number in dead) == (fails >= 3)
        elif at > end:
            assert effects[number] == 0
    assert set(effects) <= set(expected)
    assert [at for at, _ in order] == sorted(at for at, _ in order)
    for at, number in order:
        planned = start + expected[number][0] * HOUR
        assert planned <= at <= planned + longest + timedelta(minutes=1)
        assert at < end + DAY
