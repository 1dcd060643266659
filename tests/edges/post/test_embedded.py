"""The embedded print house: once per key, whatever happens to the processes; receipts by the clock."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from tests.edges.conftest import Killed, start
from tests.edges.messages import HOME, document, letter
from varde.clock import SetClock
from varde.edges.post.embedded import EmbeddedPost
from varde.work.outbox import Outcome, Permanent, Receipt


@pytest.fixture
def house(tmp_path: Path, clock: SetClock) -> EmbeddedPost:
    return EmbeddedPost(tmp_path / "post", clock)


def files(house: EmbeddedPost) -> list[Path]:
    return list((house._folder / "letters").rglob("*.pdf"))


def accepted(outcomes: object) -> Receipt:
    (outcome,) = outcomes  # type: ignore[misc]
    assert isinstance(outcome, Receipt)
    return outcome


async def test_keeps_the_document_and_says_so(house: EmbeddedPost, clock: SetClock) -> None:
    receipt = accepted(await house.send([letter("brev/1")]))
    assert (receipt.key, receipt.state, receipt.at) == ("brev/1", "received", clock.now())
    (printed,) = await house.printed()
    assert printed.document.read_bytes() == document("brev/1")
    assert (printed.key, printed.pages, printed.at, printed.state) == ("brev/1", 2, clock.now(), "printed")
    assert printed.document.stat().st_mode & 0o077 == 0


async def test_the_same_key_is_printed_once_and_gets_its_first_receipt_let_56(
    house: EmbeddedPost, clock: SetClock
) -> None:
    first = await house.send([letter("a"), letter("a")])
    clock.advance(timedelta(days=1))
    again = await EmbeddedPost(house._folder, clock).send([letter("a")])
    assert first[0] == first[1] == again[0]
    assert await house.count() == len(files(house)) == 1


async def test_another_document_under_the_same_key_is_refused(house: EmbeddedPost) -> None:
    assert isinstance((await house.send([letter("a")]))[0], Receipt)
    other = await house.send([letter("a", document("another")), letter("b")])
    assert isinstance(other[0], Permanent)
    assert isinstance(other[1], Receipt)
    both = await house.send([letter("c"), letter("c", document("another"))])
    assert [type(outcome) for outcome in both] == [Receipt, Permanent]
    assert len(files(house)) == await house.count() == 3


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"digest": "0" * 64}, None),
        ({"digest": sha256(b"text").hexdigest()}, b"text"),
        ({"digest": sha256(b"").hexdigest()}, b""),
        ({"digest": sha256(b"%PDF-1.7 cut").hexdigest()}, b"%PDF-1.7 cut"),
        ({"pages": 0}, None),
        ({"pages": None}, None),
        ({"recipient": None}, None),
        ({"recipient": {**HOME, "name": ""}}, None),
        ({"recipient": {"name": "A", "lines": []}}, None),
        ({"recipient": {**HOME, "lines": "Storgata 4"}}, None),
    ],
)
async def test_what_cannot_be_printed_is_refused_for_good(
    house: EmbeddedPost, changes: dict[str, object], body: bytes | None
) -> None:
    outcomes = await house.send([letter("a", body, **changes), letter("b")])
    assert isinstance(outcomes[0], Permanent)
    assert "Ánde" not in outcomes[0].why
    assert isinstance(outcomes[1], Receipt)
    assert [printed.key for printed in await house.printed()] == ["b"]


async def test_printed_at_once_posted_the_next_working_day_at_three(house: EmbeddedPost, clock: SetClock) -> None:
    clock.set(datetime(2026, 12, 23, 23, 30, tzinfo=UTC))  # 00:30 on Christmas Eve in Norway
    await house.send([letter("a")])
    (printed,) = await house.receipts()
    assert (printed.state, printed.at) == ("printed", clock.now())
    await house.acknowledge([printed])
    assert await house.receipts() == []
    clock.set(datetime(2026, 12, 28, 13, 59, tzinfo=UTC))
    assert await house.receipts() == []
    clock.set(datetime(2026, 12, 28, 14, 0, tzinfo=UTC))
    (posted,) = await house.receipts()
    assert (posted.state, posted.at) == ("posted", datetime(2026, 12, 28, 14, 0, tzinfo=UTC))
    assert (await house.printed())[0].state == "posted"


async def test_receipts_are_given_until_acknowledged(house: EmbeddedPost, clock: SetClock) -> None:
    await house.send([letter("a"), letter("b")])
    first = await house.receipts()
    assert first == await house.receipts()
    await house.acknowledge([receipt for receipt in first if receipt.key == "a"])
    assert [receipt.key for receipt in await EmbeddedPost(house._folder, clock).receipts()] == ["b"]


async def test_returned_mail_let_11(house: EmbeddedPost, clock: SetClock) -> None:
    await house.send([letter("a")])
    with pytest.raises(LookupError):
        await house.return_mail("b")
    with pytest.raises(ValueError, match="not posted"):
        await house.return_mail("a")
    clock.advance(timedelta(days=7))
    await house.return_mail("a")
    await house.return_mail("a")
    assert [receipt.state for receipt in await house.receipts()] == ["printed", "posted", "returned"]
    assert (await house.printed(keys=["a", "x"]))[0].state == "returned"


async def test_lists_the_newest_first_and_since(house: EmbeddedPost, clock: SetClock) -> None:
    await house.send([letter("a")])
    later = clock.advance(timedelta(hours=1))
    await house.send([letter("b"), letter("c")])
    assert [printed.key for printed in await house.printed()] == ["c", "b", "a"]
    assert [printed.key for printed in await house.printed(since=later)] == ["c", "b"]
    assert [printed.key for printed in await house.printed(limit=1)] == ["c"]


async def test_killed_at_any_moment_every_letter_is_printed_once(
    house: EmbeddedPost, killed: Killed, clock: SetClock
) -> None:
    random = Random(7)
    for number in range(8):
        await killed("post", house._folder, number, random.random() * 0.3)
    printed = await house.printed()
    assert printed
    assert all(sha256(one.document.read_bytes()).hexdigest() == one.digest for one in printed)
    for first in range(0, 2_000, 100):
        outcomes: list[Outcome] = list(await house.send([letter(f"k{n}") for n in range(first, first + 100)]))
        assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    assert sorted(one.key for one in await house.printed()) == sorted(f"k{number}" for number in range(2_000))
    assert len(files(house)) == 2_000
    assert list((house._folder / "parts").iterdir()) == []
    assert Counter(receipt.state for receipt in await house.receipts()) == {"printed": 2_000}


async def test_processes_at_once_print_each_letter_once(house: EmbeddedPost) -> None:
    processes = [await start("post", house._folder, str(number), 200) for number in range(4)]
    for process in processes:
        await process.communicate()
        assert process.returncode == 0
    assert await house.count() == len(files(house)) == 200


async def test_prints_more_than_a_hundred_letters_a_second(house: EmbeddedPost) -> None:
    batches = [[letter(f"{b}/{n}", document(f"{b}/{n}", 40_000)) for n in range(100)] for b in range(5)]
    start = time.perf_counter()
    for batch in batches:
        await house.send(batch)
    speed = 500 / (time.perf_counter() - start)
    print(f"{speed:.0f} letters a second on {os.cpu_count()} cores")
    assert speed > 100


async def test_tasks_at_once_in_one_process(house: EmbeddedPost) -> None:
    await asyncio.gather(*(house.send([letter(f"k{n}") for n in range(50)]) for _ in range(6)))
    assert await house.count() == len(files(house)) == 50
