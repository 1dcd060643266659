"""The embedded telephones and mailboxes: keeps what reached them, once per key, in the data folder.

Not written through to the disk: a text message need not outlive a loss of power, only the death of a process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from varde.clock import Clock
from varde.edges.ledger import Ledger, moment, written
from varde.edges.notify import EDGE, Channel, Notification, read
from varde.work.outbox import Message, Outcome, Permanent, Receipt

_SCHEMA = """
create table if not exists message (
    number integer primary key, key text not null unique, at text not null, channel text not null,
    recipient text not null, sender text not null, text text not null, subject text not null
);
create table if not exists unknown_recipient (recipient text primary key) without rowid;
"""
_COLUMNS = "channel, recipient, sender, text, subject"


def _kept(
    ledger: sqlite3.Connection, key: str, told: Notification, now: str, unknown: frozenset[str]
) -> Receipt | Permanent:
    values = (told.channel.value, told.to, told.sender, told.text, told.subject)
    kept = ledger.execute(f"select number, at, {_COLUMNS} from message where key = ?", (key,)).fetchone()
    if kept is not None:
        if tuple(kept)[2:] != values:
            return Permanent("another message has this key")
        return Receipt(key, "received", moment(kept["at"]), str(kept["number"]))
    if told.to in unknown:
        return Permanent("unknown recipient")
    cursor = ledger.execute(
        f"insert into message (key, at, {_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", (key, now, *values)
    )
    return Receipt(key, "received", moment(now), str(cursor.lastrowid))


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that reached a telephone or a mailbox."""

    key: str
    at: datetime
    notification: Notification


class EmbeddedNotify:
    """The edge "notify" without the outside world. Safe with several processes on one folder."""

    edge = EDGE
    recognises_keys = True
    batch = 200

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._ledger = Ledger(folder / "notify.sqlite", _SCHEMA, durable=False)
        self._clock = clock

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Keep the messages. A key seen before gets its first receipt, or Permanent when the content is another."""
        return await asyncio.to_thread(self._send, messages)

    def _send(self, messages: Sequence[Message]) -> list[Outcome]:
        now = written(self._clock.now())
        outcomes: list[Outcome] = []
        with self._ledger.write() as ledger:
            unknown = frozenset(row[0] for row in ledger.execute("select recipient from unknown_recipient"))
            for message in messages:
                told = read(message.payload)
                outcomes.append(told if isinstance(told, Permanent) else _kept(ledger, message.key, told, now, unknown))
        return outcomes

    async def receipts(self) -> Sequence[Receipt]:
        """None come later."""
        return ()

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Nothing to acknowledge."""

    async def arrived(self, *, keys: Sequence[str] | None = None, limit: int = 100_000) -> Sequence[Arrived]:
        """What arrived, the newest first; of these keys only, when given."""
        return await asyncio.to_thread(self._arrived, keys, limit)

    def _arrived(self, keys: Sequence[str] | None, limit: int) -> list[Arrived]:
        query = f"select key, at, {_COLUMNS} from message"
        with self._ledger.read() as ledger:
            if keys is None:
                rows = ledger.execute(f"{query} order by number desc limit ?", (limit,)).fetchall()
            else:
                rows = [row for key in keys for row in ledger.execute(f"{query} where key = ?", (key,))]
        return [
            Arrived(row["key"], moment(row["at"]), Notification(Channel(row["channel"]), *tuple(row)[3:]))
            for row in rows
        ]

    async def count(self) -> int:
        """How many messages arrived."""

        def counted() -> int:
            with self._ledger.read() as ledger:
                return int(ledger.execute("select count(*) from message").fetchone()[0])

        return await asyncio.to_thread(counted)

    async def set_known(self, recipient: str, known: bool) -> None:
        """Let a telephone number or e-mail address be out of use, or in use again (LET-23): demo and tests."""
        statement = (
            "delete from unknown_recipient where recipient = ?"
            if known
            else "insert into unknown_recipient values (?) on conflict do nothing"
        )

        def changed() -> None:
            with self._ledger.write() as ledger:
                ledger.execute(statement, (recipient,))

        await asyncio.to_thread(changed)

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()
