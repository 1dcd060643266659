"""The outbox: a message leaves once per key, its outcome is stored with the service's reaction, receipts are told
once, and what nobody knows is put before a person."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.work.edges import DAY, HOUR, MINUTE, Hearing, KeepingEdge, letter
from varde.clock import SetClock
from varde.db import Database
from varde.work import dead, outbox, sending
from varde.work.outbox import Dispatch, Message, Passing, Permanent, Receipt, Unknown, merge
from varde.work.worker import Worker

State = Callable[[str], Awaitable[Any]]


@pytest.fixture
def hearing() -> Hearing:
    return Hearing()


@pytest.fixture
def edge(clock: SetClock) -> KeepingEdge:
    return KeepingEdge(clock)


@pytest.fixture
def work(database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing) -> Worker:
    return Worker(database, clock, [], [edge], {"post": hearing})


@pytest.fixture
def row(database: Database) -> State:
    async def find(key: str) -> Any:
        async with database.connection() as connection:
            return await connection.fetchrow("select * from work_outbox where key = $1", key)

    return find


async def put(database: Database, *some: Dispatch) -> int:
    async with database.transaction() as connection:
        return await outbox.put_many(connection, some)


async def test_a_message_leaves_once_and_its_receipt_is_told(
    database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing, work: Worker, row: State
) -> None:
    dispatch = letter("a", clock.now(), body=b"%PDF", patient=7)
    assert await put(database, dispatch, letter("b", clock.now() + DAY), dispatch) == 2
    assert await work.drain(clock.now()) == 1
    assert await put(database, dispatch) == 0
    assert await work.drain(clock.now()) == 0
    [sent] = edge.sent
    assert (sent.key, sent.payload, sent.body, sent.patient, sent.attempts) == ("a", {"letter": "a"}, b"%PDF", 7, 1)
    assert hearing.told == [("a", "accepted")]
    assert (await row("a"))["state"] == "received"
    assert (await row("b"))["state"] == "waiting"


async def test_a_passing_fault_is_tried_again_with_growing_waits_and_at_last_given_up(
    database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing, work: Worker, row: State
) -> None:
    edge.answer = lambda message: Passing("ConnectError for ola@example.no, 91234567")
    await put(database, letter("a", clock.now()))
    waits = []
    for _ in range(sending.ATTEMPTS):
        await work.drain(clock.now())
        after = await row("a")
        if after["state"] == "waiting":
            waits.append(after["next_try"] - clock.now())
            assert after["why"] == "ConnectError for # #"
            clock.set(after["next_try"])
    assert after["state"] == "failed"
    assert len(edge.sent) == sending.ATTEMPTS
    assert hearing.told == [("a", "Permanent")]
    assert all(later > earlier for earlier, later in itertools.pairwise(waits[:10]))
    assert max(waits) <= timedelta(minutes=75)


async def test_what_will_never_leave_is_a_dead_letter(
    database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing, work: Worker, row: State
) -> None:
    edge.answer = lambda message: Permanent("number does not exist")
    await put(database, letter("a", clock.now()))
    await work.drain(clock.now() + 10 * DAY)
    assert ((await row("a"))["state"], len(edge.sent), hearing.told) == ("failed", 1, [("a", "Permanent")])


@pytest.mark.parametrize("recognises", [True, False])
async def test_an_edge_that_breaks_off_is_asked_again_only_if_it_knows_keys(
    database: Database, clock: SetClock, hearing: Hearing, row: State, recognises: bool
) -> None:
    edge = KeepingEdge(clock, recognises_keys=recognises)

    def breaks_off(message: Message) -> Receipt:
        raise ConnectionResetError("somewhere")

    edge.answer = breaks_off
    work = Worker(database, clock, [], [edge], {"post": hearing})
    await put(database, letter("a", clock.now()))
    await work.drain(clock.now())
    after = await row("a")
    assert after["state"] == ("waiting" if recognises else "unknown")
    assert after["why"].startswith("ConnectionResetError")
    edge.answer = None
    await work.drain(clock.now() + DAY)
    assert len(edge.sent) == (2 if recognises else 1)
    assert hearing.told == [("a", "accepted" if recognises else "Unknown")]


async def test_outcomes_that_do_not_fit_are_not_believed(
    database: Database, clock: SetClock, hearing: Hearing, row: State
) -> None:
    edge = KeepingEdge(clock, recognises_keys=False)
    answers = {
        "a": Receipt("b", "accepted", clock.now()),
        "c": Receipt("c", "accepted", clock.now(), detail={"x": object()}),
        "d": Receipt("d", "accepted", clock.now()),
    }
    edge.answer = lambda message: answers[message.key]
    await put(database, *(letter(key, clock.now()) for key in answers))
    await Worker(database, clock, [], [edge], {"post": hearing}).drain(clock.now())
    assert [(await row(key))["state"] for key in answers] == ["unknown", "unknown", "received"]


async def test_late_receipts_are_told_once_in_the_transaction_that_stores_them(
    database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing, work: Worker
) -> None:
    await put(database, letter("a", clock.now()), letter("b", clock.now()))
    await work.drain(clock.now())
    posted = [Receipt(key, "posted", clock.now() + HOUR, reference="X1") for key in ("a", "b")]
    edge.late = [*posted, Receipt("stranger", "posted", clock.now())]
    await work.drain(clock.now())
    edge.late = [*posted, Receipt("a", "returned", clock.now() + DAY)]
    await work.drain(clock.now())
    assert hearing.told == [
        ("a", "accepted"), ("b", "accepted"), ("a", "posted"), ("b", "posted"), ("a", "returned"),
    ]  # fmt: skip
    assert edge.late == []
    async with database.connection() as connection:
        strangers = await connection.fetch("select key from work_receipt where message is null")
    assert [one["key"] for one in strangers] == ["stranger"]


async def test_a_receiver_that_fails_loses_no_outcome_and_holds_up_no_other(
    database: Database, clock: SetClock, edge: KeepingEdge, hearing: Hearing, work: Worker, row: State
) -> None:
    hearing.failing = lambda key: key == "b"
    await put(database, *(letter(key, clock.now()) for key in "abc"))
    await work.drain(clock.now())
    assert hearing.told == [("a", "accepted"), ("c", "accepted")]
    assert (await row("b"))["state"] == "received"
    hearing.failing = lambda key: False
    await work.drain(clock.now() + HOUR)
    assert hearing.told[2:] == [("b", "accepted")]
    assert len(edge.sent) == 3


async def test_a_message_is_cancelled_until_it_is_handed_over(
    database: Database, clock: SetClock, edge: KeepingEdge, work: Worker, row: State
) -> None:
    await put(database, letter("a", clock.now()), letter("b", clock.now()))

    async def try_to_cancel() -> None:
        async with database.transaction() as connection:
            assert await outbox.cancel(connection, "post", ["b"]) == frozenset()

    edge.before = try_to_cancel
    async with database.transaction() as connection:
        assert await outbox.cancel(connection, "post", ["a", "x"]) == {"a"}
    await work.drain(clock.now())
    assert edge.keys == ["b"]
    assert (await row("a"))["state"] == "cancelled"
    assert await put(database, letter("a", clock.now())) == 0, "what was cancelled is not put in again"


async def test_what_may_have_left_cannot_be_cancelled_though_it_waits(
    database: Database, clock: SetClock, edge: KeepingEdge, work: Worker, row: State
) -> None:
    def breaks_off(message: Message) -> Receipt:
        raise ConnectionResetError

    edge.answer = lambda message: breaks_off(message) if message.key == "a" else Passing("busy")
    await put(database, letter("a", clock.now()), letter("b", clock.now()))
    edge.batch = 1
    await work.drain(clock.now())
    assert [(await row(key))["state"] for key in "ab"] == ["waiting", "waiting"]
    async with database.transaction() as connection:
        assert await outbox.cancel(connection, "post", ["a", "b"]) == {"b"}


async def test_cancelling_races_with_sending_and_never_both_happen(
    database: Database, clock: SetClock, edge: KeepingEdge, work: Worker
) -> None:
    keys = [f"k{n}" for n in range(300)]
    await put(database, *(letter(key, clock.now()) for key in keys))
    edge.batch = 7
    cancelled: set[str] = set()

    async def cancel() -> None:
        for n in range(299, -1, -3):
            async with database.transaction() as connection:
                got = await outbox.cancel(connection, "post", keys[n - 2 : n + 1])
            cancelled.update(got)

    await asyncio.gather(cancel(), work.drain(clock.now()))
    assert cancelled.isdisjoint(edge.keys)
    assert cancelled | set(edge.keys) == set(keys)
    assert len(edge.keys) == len(set(edge.keys))
    assert cancelled


async def test_a_person_decides_about_the_unknown_with_a_reason(
    database: Database, clock: SetClock, hearing: Hearing, row: State
) -> None:
    edge = KeepingEdge(clock, recognises_keys=False)
    edge.answer = lambda message: Unknown("no answer")
    work = Worker(database, clock, [], [edge], {"post": hearing})
    await put(database, letter("a", clock.now()), letter("b", clock.now() + MINUTE))
    await work.drain(clock.now() + DAY)
    edge.answer = None
    async with database.transaction() as connection:
        first, second = await dead.page(connection)
        assert await dead.total(connection) == 2
        assert (first.kind, first.name, first.unknown, first.why) == (dead.Kind.MESSAGE, "post", True, "no answer")
        assert await dead.page(connection, after=first) == [second]
        await dead.retry(connection, first.kind, first.id, actor="1234567", reason="asked them", now=clock.now())
        await dead.discard(connection, second.kind, second.id, actor="1234567", reason="came", now=clock.now())
        with pytest.raises(LookupError):
            await dead.retry(connection, first.kind, first.id, actor="1234567", reason="again", now=clock.now())
        with pytest.raises(ValueError, match="reason"):
            await dead.retry(connection, first.kind, first.id, actor="1234567", reason=" ", now=clock.now())
    await work.drain(clock.now())
    assert hearing.told == [("a", "Unknown"), ("b", "Unknown"), ("a", "accepted")]
    async with database.transaction() as connection:
        [kept] = await dead.decisions(connection, second.kind, second.id)
        assert await dead.page(connection) == []
    assert (kept.decision, kept.actor, kept.reason, kept.state) == ("discard", "1234567", "came", "unknown")


async def test_messages_of_a_patient_are_counted_since_a_moment(
    database: Database, clock: SetClock, edge: KeepingEdge, work: Worker
) -> None:
    now = clock.now()
    edge.answer = lambda message: Permanent("no") if message.key == "failed" else Receipt(message.key, "accepted", now)
    await put(
        database,
        letter("old", now - 2 * DAY, patient=1),
        letter("failed", now, patient=1),
        letter("sent", now, patient=1),
        letter("tonight", now + HOUR, patient=1),
        letter("cancelled", now + HOUR, patient=1),
        letter("other", now, patient=2),
    )
    await work.drain(now)
    async with database.transaction() as connection:
        await outbox.cancel(connection, "post", ["cancelled"])
        assert await outbox.count_since(connection, "post", [1, 2, 3], now - DAY) == {1: 2, 2: 1}
        assert await outbox.count_since(connection, "notify", [1, 2, 3], now - DAY) == {}


async def test_services_that_share_an_edge_each_hear(database: Database, clock: SetClock) -> None:
    edge, one, other = KeepingEdge(clock), Hearing(), Hearing()
    work = Worker(database, clock, [], [edge], merge([{"post": one}, {"post": other, "notify": other}]))
    await put(database, letter("a", clock.now()))
    await work.drain(clock.now())
    assert one.told == other.told == [("a", "accepted")]
