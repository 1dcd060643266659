"""The chain over the access log: each seal is a digest of the rows since the last one and of that one's digest, so
that a row altered, taken out or put in afterwards shows. Knows the tables trust_audit and trust_audit_seal.

Whoever owns the database could make a whole new chain. Against that a seal's name is kept elsewhere and given to
`verify`: each is printed by `varde audit seal`, and told in the worker's log once its transaction is committed, which
leaves the machine with all other logs. What `forgetting.py` took out is passed over by its seals' digests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog

from varde.clock import Clock
from varde.trust.audit import COLUMNS

SEAL_EVERY = timedelta(minutes=1)
"""How often the recurring job should run; a row not sealed yet is guarded by the table's trigger alone."""
_SEALED = ", ".join(("id", *COLUMNS))
_LATER = ("decision_ref",)
"""Columns younger than the chain: they count only where they say something, so that older seals go on fitting."""
_log = structlog.get_logger("varde.audit")
_AT_ONCE = 2000
_SEALS_AT_ONCE = 10_000
_LARGEST = 1_000_000
"""Rows that one seal takes, about: what a job has time for. The next takes the rest."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One link of the chain."""

    number: int
    digest: bytes
    rows: int

    @property
    def name(self) -> str:
        """To be kept outside the database: number and digest."""
        return f"{self.number}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found."""

    rows: int
    """Rows that were checked and hold."""
    seals: int
    wrong: int | None
    """Number of the first seal that does not fit; None when all do."""
    unsealed: int
    """Rows newer than the last seal."""
    missing: tuple[str, ...] = ()
    """Names of seals kept elsewhere that are not in the chain."""
    forgotten: int = 0
    """Seals whose rows were forgotten when their time was over; the chain goes through them unbroken."""

    @property
    def holds(self) -> bool:
        """Whether nothing was altered."""
        return self.wrong is None and not self.missing


async def seal(connection: Any, now: datetime, *, largest: int = _LARGEST) -> Seal | None:
    """Chain every row of finished transactions that is not sealed yet; None when there is none. In a transaction.

    Rows are taken by transaction, not by time, so that one committed late is never left out.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtext('trust_audit_seal'))")
    last = await connection.fetchrow("select * from trust_audit_seal order by number desc limit 1")
    horizon = await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text")
    start = str(last["horizon"]) if last else "0"
    nearer = await connection.fetchval(
        "select transaction_id::text from trust_audit where transaction_id >= $1::text::xid8"
        " order by transaction_id, id offset $2 limit 1", start, largest,
    )  # fmt: skip
    if nearer is not None and int(nearer) < int(horizon):
        horizon = str(int(nearer) + 1)  # whole transactions, and always one at least
    digest, rows = await _digest(connection, start, horizon, bytes(last["digest"]) if last else b"")
    if not rows:
        return None
    number = (last["number"] if last else 0) + 1
    await connection.execute(
        "insert into trust_audit_seal (number, horizon, rows, digest, sealed) values ($1, $2::text::xid8, $3, $4, $5)",
        number, horizon, rows, digest, now,
    )  # fmt: skip
    return Seal(number, digest, rows)


def sealing(clock: Clock) -> Callable[[Any, Sequence[Mapping[str, Any]]], Awaitable[None]]:
    """`seal` as the `run` of a recurring job: (connection in a transaction, payloads). Tells the log of the last seal
    that is committed, so that its name is kept outside the database too."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        last = await connection.fetchrow("select * from trust_audit_seal order by number desc limit 1")
        if await seal(connection, clock.now()) is not None and last is not None:
            _log.info("audit.sealed", seal=Seal(last["number"], bytes(last["digest"]), last["rows"]).name)

    return run


async def verify(connection: Any, kept: Sequence[str] = ()) -> Verdict:
    """Whether the log is as it was sealed, and has every seal whose name is in `kept`. In a transaction, best one
    of isolation repeatable read, so that sealing may go on meanwhile."""
    checked, wrong = 0, None
    seals = await connection.fetch("select number, horizon::text, rows, digest from trust_audit_seal order by number")
    cut = await cut_at(connection)
    previous, start, names = b"", "0", set()
    for place, one in enumerate(seals, start=1):
        if place > cut:
            digest, rows = await _digest(connection, start, one["horizon"], previous)
            fits = digest == bytes(one["digest"]) and rows == one["rows"]
        else:
            digest, rows = bytes(one["digest"]), one["rows"]
            fits = True
        if not fits or one["number"] != place:
            wrong = place
            break
        checked += rows if place > cut else 0
        previous, start = digest, one["horizon"]
        names.add(Seal(one["number"], digest, rows).name)
        if place == cut and await connection.fetchval(
            "select exists (select 1 from trust_audit where transaction_id < $1::text::xid8)", start
        ):
            wrong = place  # put in where all was forgotten
            break
    unsealed = await connection.fetchval(
        "select count(*) from trust_audit where transaction_id >= $1::text::xid8",
        seals[-1]["horizon"] if seals else "0",
    )
    missing = tuple(name for name in kept if name not in names)
    return Verdict(checked, len(seals), wrong, unsealed, missing, min(cut, len(seals)))


async def prove(connection: Any, after: int, most: int) -> tuple[int, int, int | None]:
    """Check the seals after number `after`, about `most` rows of them: (the last that was checked, rows, the first
    that does not fit or None). The last is the chain's end when nothing more is to be checked."""
    after = max(after, await cut_at(connection))
    before = await connection.fetchrow(
        "select number, horizon::text, digest from trust_audit_seal where number = $1", after
    )
    if after and before is None:
        return after, 0, after
    previous, start = (bytes(before["digest"]), before["horizon"]) if before else (b"", "0")
    checked = 0
    for one in await connection.fetch(
        "select number, horizon::text, rows, digest from trust_audit_seal where number > $1 order by number limit $2",
        after, _SEALS_AT_ONCE,
    ):  # fmt: skip
        if checked and checked + one["rows"] > most:
            break
        digest, rows = await _digest(connection, start, one["horizon"], previous)
        if digest != bytes(one["digest"]) or rows != one["rows"] or one["number"] != after + 1:
            return one["number"], checked, one["number"]
        checked += rows
        previous, start, after = digest, one["horizon"], one["number"]
    return after, checked, None


async def cut_at(connection: Any) -> int:
    """Number of the last seal whose rows were forgotten; 0 for none."""
    return int(await connection.fetchval("select coalesce(max(seal), 0) from trust_audit_cut"))


async def _digest(connection: Any, start: str, end: str, previous: bytes) -> tuple[bytes, int]:
    running = sha256(previous)
    rows = 0
    cursor = connection.cursor(
        f"select {_SEALED} from trust_audit where transaction_id >= $1::text::xid8 and transaction_id < $2::text::xid8"
        " order by transaction_id, id",
        start, end, prefetch=_AT_ONCE,
    )  # fmt: skip
    async for row in cursor:
        running.update(repr(_plain(row)).encode())
        rows += 1
    return running.digest(), rows


def _plain(row: Any) -> tuple[Any, ...]:
    values = tuple(_value(value) for value in row.values())
    while values[-1] is None and len(values) > len(COLUMNS) + 1 - len(_LATER):
        values = values[:-1]
    return values


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
