"""The embedded edges behind the real outbox and worker: what is put in leaves once, and its receipts come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from tests.edges.messages import document, letter, sms
from varde.clock import SetClock
from varde.db import Connection, Database
from varde.edges import embedded_notify, embedded_post, senders
from varde.settings import Settings
from varde.work.outbox import Dispatch, Message, Told, put_many
from varde.work.worker import Worker


async def test_a_letter_is_printed_posted_and_returned(database: Database, clock: SetClock, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    told: list[tuple[str, str]] = []

    async def hear(connection: Connection, outcomes: Sequence[tuple[Message, Told]]) -> None:
        told.extend((message.key, getattr(outcome, "state", type(outcome).__name__)) for message, outcome in outcomes)

    worker = Worker(database, clock, [], senders(settings, clock), {"post": hear, "notify": hear})
    given = [*(letter(f"brev/{n}") for n in range(120)), sms("brev/0/sms"), sms("feil", "12")]
    given.append(letter("annet", document("annet"), digest="0" * 64))
    async with database.transaction() as connection:
        await put_many(connection, [Dispatch(one.edge, one.key, one.payload, clock.now(), one.body) for one in given])
    await worker.drain(clock.now())
    post = embedded_post(settings, clock)
    assert {printed.key for printed in await post.printed()} == {f"brev/{n}" for n in range(120)}
    assert [arrived.key for arrived in await embedded_notify(settings, clock).arrived()] == ["brev/0/sms"]
    assert {key for key, state in told if state == "Permanent"} == {"feil", "annet"}
    clock.advance(timedelta(days=2))
    await worker.drain(clock.now())
    await post.return_mail("brev/7")
    await worker.drain(clock.now())
    await worker.drain(clock.now())
    assert [state for key, state in told if key == "brev/7"] == ["received", "printed", "posted", "returned"]
    assert [state for key, state in told if key == "brev/8"] == ["received", "printed", "posted"]
    assert await post.receipts() == []
