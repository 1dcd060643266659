"""The embedded telephones and mailboxes: once per key, whatever happens to the processes, and fast."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from tests.edges.conftest import Killed, start
from tests.edges.messages import mail, sms
from varde.clock import SetClock
from varde.edges.notify import Channel
from varde.edges.notify.embedded import EmbeddedNotify
from varde.work.outbox import Permanent, Receipt


@pytest.fixture
def world(tmp_path: Path, clock: SetClock) -> EmbeddedNotify:
    return EmbeddedNotify(tmp_path / "notify", clock)


async def test_keeps_what_it_is_given(world: EmbeddedNotify, clock: SetClock) -> None:
    outcomes = await world.send([sms("a"), mail("b")])
    assert [(o.key, o.state, o.at) for o in outcomes if isinstance(o, Receipt)] == [
        ("a", "received", clock.now()), ("b", "received", clock.now()),
    ]  # fmt: skip
    newest, oldest = await world.arrived()
    assert (oldest.key, oldest.notification.channel, oldest.notification.to) == ("a", Channel.SMS, "+4799999999")
    assert (newest.key, newest.notification.subject, newest.at) == ("b", "Nytt brev", clock.now())
    assert oldest.notification.text == "Du har fått et nytt brev fra UNN."
    assert [one.key for one in await world.arrived(keys=["a", "x"])] == ["a"]


async def test_a_key_arrives_once_and_gets_its_first_receipt(world: EmbeddedNotify, clock: SetClock) -> None:
    first = await world.send([sms("a"), sms("a")])
    clock.advance(timedelta(hours=1))
    await world.set_known("+4799999999", False)
    assert list(await world.send([sms("a")])) == [first[0]] == [first[1]]
    assert isinstance((await world.send([sms("a", text="Noe annet")]))[0], Permanent)
    assert await world.count() == 1


async def test_a_number_out_of_use_is_refused_until_it_is_back_let_23(world: EmbeddedNotify) -> None:
    await world.set_known("+4799999999", False)
    await world.set_known("+4799999999", False)
    outcomes = await world.send([sms("a"), mail("b")])
    assert [type(outcome) for outcome in outcomes] == [Permanent, Receipt]
    await world.set_known("+4799999999", True)
    assert isinstance((await world.send([sms("a")]))[0], Receipt)


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "99999999"}, {"to": ""}, {"to": None}, {"to": 4799999999}, {"text": ""}, {"sender": ""},
        {"channel": "fax"}, {"channel": "email", "to": "+4799999999"},
        {"channel": "email", "to": "a@b.no\nBcc: c@d.no"},
        {"channel": "email", "to": "å@example.no"}, {"sender": "UNN\r\nX: y"},
    ],
)  # fmt: skip
async def test_what_nobody_could_send_is_refused_for_good(world: EmbeddedNotify, changes: dict[str, object]) -> None:
    (outcome,) = await world.send([sms("a", **{"to": "+4799999999", **changes})])
    assert isinstance(outcome, Permanent)
    assert "99999999" not in outcome.why
    assert await world.count() == 0


async def test_killed_at_any_moment_every_message_arrives_once(world: EmbeddedNotify, killed: Killed) -> None:
    random = Random(7)
    for number in range(8):
        await killed("notify", world._ledger._file.parent, number, random.random() * 0.05)
    assert await world.count()
    for first in range(0, 2_000, 200):
        assert all(
            isinstance(outcome, Receipt)
            for outcome in await world.send([sms(f"k{n}") for n in range(first, first + 200)])
        )
    assert sorted(one.key for one in await world.arrived()) == sorted(f"k{number}" for number in range(2_000))


async def test_processes_at_once_deliver_each_message_once(world: EmbeddedNotify) -> None:
    processes = [await start("notify", world._ledger._file.parent, str(number), 2_000) for number in range(4)]
    for process in processes:
        await process.communicate()
        assert process.returncode == 0
    assert await world.count() == 2_000


async def test_takes_more_than_a_thousand_messages_a_second(world: EmbeddedNotify) -> None:
    batches = [[sms(f"{batch}/{n}") for n in range(200)] for batch in range(25)]
    start = time.perf_counter()
    for batch in batches:
        await world.send(batch)
    speed = 5_000 / (time.perf_counter() - start)
    print(f"{speed:.0f} messages a second")
    assert speed > 1_000
