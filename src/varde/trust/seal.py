"""The chain over the access log: each seal is a digest of the rows since the last one and of that one's digest, so
that a row altered, taken out or put in afterwards shows. Knows the tables trust_audit and trust_audit_seal.

Whoever owns the database could make a whole new chain. Against that a seal's name is kept elsewhere (`Seal.name`,
printed by `varde audit seal`) and given to `verify`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from varde.clock import Clock
from varde.trust.audit import COLUMNS

SEAL_EVERY = timedelta(minutes=1)
"""How often the recurring job should run; a row not sealed yet is guarded by the table's trigger alone."""
_SEALED = ", ".join(("id", *COLUMNS))
_AT_ONCE = 2000
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
    """`seal` as the `run` of a recurring job: (connection in a transaction, payloads)."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await seal(connection, clock.now())

    return run


async def verify(connection: Any, kept: Sequence[str] = ()) -> Verdict:
    """Whether the log is as it was sealed, and has every seal whose name is in `kept`. In a transaction, best one
    of isolation repeatable read, so that sealing may go on meanwhile."""
    previous, start, checked, wrong = b"", "0", 0, None
    names = set()
    seals = await connection.fetch("select number, horizon::text, rows, digest from trust_audit_seal order by number")
    for place, one in enumerate(seals, start=1):
        digest, rows = await _digest(connection, start, one["horizon"], previous)
        if digest != bytes(one["digest"]) or rows != one["rows"] or one["number"] != place:
            wrong = place
            break
        checked += rows
        previous, start = digest, one["horizon"]
        names.add(Seal(one["number"], digest, rows).name)
    unsealed = await connection.fetchval(
        "select count(*) from trust_audit where transaction_id >= $1::text::xid8",
        seals[-1]["horizon"] if seals else "0",
    )
    missing = tuple(name for name in kept if name not in names)
    return Verdict(checked, len(seals), wrong, unsealed, missing)


async def _digest(connection: Any, start: str, end: str, previous: bytes) -> tuple[bytes, int]:
    running = sha256(previous)
    rows = 0
    cursor = connection.cursor(
        f"select {_SEALED} from trust_audit where transaction_id >= $1::text::xid8 and transaction_id < $2::text::xid8"
        " order by transaction_id, id",
        start, end, prefetch=_AT_ONCE,
    )  # fmt: skip
    async for row in cursor:
        running.update(repr(tuple(_plain(value) for value in row)).encode())
        rows += 1
    return running.digest(), rows


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
