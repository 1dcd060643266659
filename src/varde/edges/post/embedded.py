"""The embedded print house: keeps each PDF once per key, and says later that it was printed, posted or returned.

A letter is printed when its row is committed to the journal; its file is on disk before that. So a process killed at
any moment leaves either a printed letter, or nothing but a file that is no letter and that the next try puts in place.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, time
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from varde.clock import OSLO, Clock
from varde.edges.ledger import Ledger, moment, written
from varde.edges.post import EDGE, Print, read
from varde.work.outbox import Message, Outcome, Permanent, Receipt
from varde.workdays import next_working_day

POSTED_AT = time(15, 0)
"""In Norway, on the working day after the letter was printed."""
_RECEIPTS_AT_ONCE = 5_000
_SCHEMA = """
create table if not exists print (
    number integer primary key, key text not null unique, digest text not null, pages integer not null,
    at text not null
);
create table if not exists receipt (
    key text not null, state text not null, at text not null, acknowledged integer not null default 0,
    primary key (key, state)
) without rowid;
create index if not exists receipt_pending on receipt (at) where not acknowledged;
"""


@dataclass(frozen=True, slots=True)
class Printed:
    """A letter that was printed, once."""

    key: str
    digest: str
    pages: int
    at: datetime
    state: str
    """printed, posted or returned, by the clock."""
    document: Path


class EmbeddedPost:
    """The edge "post" without the outside world. Safe with several processes on one folder."""

    edge = EDGE
    recognises_keys = True
    batch = 100

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._parts = folder / "parts"
        self._ledger = Ledger(folder / "journal.sqlite", _SCHEMA, durable=True)
        self._clock = clock
        self._writers = ThreadPoolExecutor(4, thread_name_prefix="print")

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Print. A key printed before gets its first receipt, or Permanent when the document is another."""
        return await asyncio.to_thread(self._send, messages)

    def _send(self, messages: Sequence[Message]) -> list[Outcome]:
        prints = [read(message) for message in messages]
        wanted = [one for one in prints if isinstance(one, Print)]
        with self._ledger.read() as ledger:
            fresh = [one for one in wanted if not ledger.execute(_KNOWN, (one.key,)).fetchone()]
        if fresh:
            with self._writing():
                list(self._writers.map(self._keep, fresh))
                for folder in {self._path(one.key, one.digest).parent for one in fresh}:
                    _sync(folder)
        now = self._clock.now()
        with self._ledger.write() as ledger:
            outcomes: list[Outcome] = [
                one if isinstance(one, Permanent) else _entered(ledger, one, now) for one in prints
            ]
        for one, outcome in zip(prints, outcomes, strict=True):
            if isinstance(one, Print) and isinstance(outcome, Permanent):
                self._path(one.key, one.digest).unlink(missing_ok=True)
        return outcomes

    def _path(self, key: str, digest: str) -> Path:
        """Where a key's document lies. The digest is in its name, so that no document can take another's place."""
        name = sha256(key.encode()).hexdigest()
        return self._folder / "letters" / name[:2] / f"{name[:32]}-{digest[:16]}.pdf"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """While documents are written. Whoever finds that nobody writes clears away what killed writers left."""
        self._parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for part in self._parts.iterdir():
                    part.unlink(missing_ok=True)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def _keep(self, one: Print) -> None:
        """Put the document in place, whole and on disk, or not at all."""
        path = self._path(one.key, one.digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._parts / uuid4().hex
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(one.document)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    async def receipts(self) -> Sequence[Receipt]:
        """What happened to letters by now and is not acknowledged, the oldest first."""
        return await asyncio.to_thread(self._receipts)

    def _receipts(self) -> list[Receipt]:
        query = """select receipt.*, number from receipt join print using (key)
            where not acknowledged and receipt.at <= ? order by receipt.at, state limit ?"""
        with self._ledger.read() as ledger:
            rows = ledger.execute(query, (written(self._clock.now()), _RECEIPTS_AT_ONCE)).fetchall()
        return [Receipt(row["key"], row["state"], moment(row["at"]), str(row["number"])) for row in rows]

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """These are stored, and are not given again."""

        def acknowledged() -> None:
            with self._ledger.write() as ledger:
                ledger.executemany(
                    "update receipt set acknowledged = 1 where key = ? and state = ?",
                    [(receipt.key, receipt.state) for receipt in receipts],
                )

        await asyncio.to_thread(acknowledged)

    async def return_mail(self, key: str) -> None:
        """Let a letter come back as undeliverable (LET-11): demo and tests. Once is enough.

        Raises LookupError for one never printed, ValueError for one that is not posted yet.
        """
        await asyncio.to_thread(self._return, key)

    def _return(self, key: str) -> None:
        now = written(self._clock.now())
        with self._ledger.write() as ledger:
            posted = ledger.execute("select at from receipt where key = ? and state = 'posted'", (key,)).fetchone()
            if posted is None:
                raise LookupError("no such letter was printed")
            if posted["at"] > now:
                raise ValueError("the letter is not posted yet")
            ledger.execute(
                "insert into receipt (key, state, at) values (?, 'returned', ?) on conflict do nothing", (key, now)
            )

    async def printed(
        self, *, keys: Sequence[str] | None = None, since: datetime | None = None, limit: int = 100_000
    ) -> Sequence[Printed]:
        """What was printed, the newest first; of these keys only, or since a moment, when given."""
        return await asyncio.to_thread(self._printed, keys, since, limit)

    def _printed(self, keys: Sequence[str] | None, since: datetime | None, limit: int) -> list[Printed]:
        query = """select print.*, (select state from receipt where receipt.key = print.key and receipt.at <= ?
            order by receipt.at desc, state desc limit 1) as state from print"""
        now = written(self._clock.now())
        with self._ledger.read() as ledger:
            if keys is not None:
                rows = [row for key in keys for row in ledger.execute(f"{query} where key = ?", (now, key))]
            else:
                rows = ledger.execute(
                    f"{query} where at >= ? order by number desc limit ?", (now, written(since) if since else "", limit)
                ).fetchall()
        return [
            Printed(
                row["key"], row["digest"], row["pages"], moment(row["at"]), row["state"],
                self._path(row["key"], row["digest"]),
            )
            for row in rows
        ]  # fmt: skip

    async def count(self) -> int:
        """How many letters were printed."""

        def counted() -> int:
            with self._ledger.read() as ledger:
                return int(ledger.execute("select count(*) from print").fetchone()[0])

        return await asyncio.to_thread(counted)

    def close(self) -> None:
        """Close the journal."""
        self._writers.shutdown()
        self._ledger.close()


_KNOWN = "select number, digest, at from print where key = ?"


def _entered(ledger: sqlite3.Connection, one: Print, now: datetime) -> Receipt | Permanent:
    """The print in the journal with what will happen to it; its first receipt when it stands there already."""
    known = ledger.execute(_KNOWN, (one.key,)).fetchone()
    if known is not None:
        if known["digest"] != one.digest:
            return Permanent("another document has this key")
        return Receipt(one.key, "received", moment(known["at"]), str(known["number"]))
    cursor = ledger.execute(
        "insert into print (key, digest, pages, at) values (?, ?, ?, ?)",
        (one.key, one.digest, one.pages, written(now)),
    )
    ledger.executemany(
        "insert into receipt (key, state, at) values (?, ?, ?)",
        [(one.key, "printed", written(now)), (one.key, "posted", written(_posting(now)))],
    )
    return Receipt(one.key, "received", moment(written(now)), str(cursor.lastrowid))


def _posting(printed: datetime) -> datetime:
    """When a letter printed then is posted."""
    return datetime.combine(next_working_day(printed.astimezone(OSLO).date()), POSTED_AT, OSLO)


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
