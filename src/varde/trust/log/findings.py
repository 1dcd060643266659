"""The privacy officer's list of what looks like snooping, and what was decided of it. Finding is `watching.py`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from varde.trust.log.snooping import Kind

SHOWN = 50
OPEN, EXPLAINED, BREACH = "open", "explained", "breach"
DECISIONS = frozenset({EXPLAINED, BREACH})


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `patient` is the rid of the Patient, None where it is about one person's whole day."""

    id: int
    kind: Kind
    day: date
    actor: str | None
    name: str
    unit_name: str | None
    patient: int | None
    first: datetime
    last: datetime
    rows: int
    refused: int
    state: str
    decided: datetime | None
    decided_name: str | None
    reason: str | None


async def listed(connection: Any, state: str = OPEN, most: int = SHOWN) -> tuple[Sequence[Finding], int]:
    """(the serious first, then the newest; how many there are) of one state."""
    serious = [kind.value for kind in Kind if kind.serious]
    rows = await connection.fetch(
        "select * from trust_finding where state = $1 order by kind = any($2::text[]) desc, last_at desc, id limit $3",
        state, serious, most,
    )  # fmt: skip
    total = await connection.fetchval("select count(*) from trust_finding where state = $1", state)
    return [_finding(row) for row in rows], int(total)


async def one(connection: Any, number: int) -> Finding | None:
    """One finding."""
    row = await connection.fetchrow("select * from trust_finding where id = $1", number)
    return None if row is None else _finding(row)


async def unanswered(
    connection: Any, patient: int, unit: str | None, unit_name: str, day: date, asked: datetime, now: datetime
) -> None:
    """Keep that a patient's question about the log, asked on `day`, was not answered in time."""
    await connection.execute(
        "insert into trust_finding (kind, day, actor_name, unit, unit_name, patient, first_at, last_at, rows, refused,"
        " found) values ($1, $2, '', $3, $4, $5, $6, $7, 1, 0, $7) on conflict do nothing",
        Kind.UNANSWERED.value, day, unit, unit_name, patient, asked, now,
    )  # fmt: skip


async def unjustified(
    connection: Any,
    patient: int,
    actor: tuple[str, str],
    unit: tuple[str, str],
    day: date,
    opened: datetime,
    seen: int,
    now: datetime,
) -> None:
    """Keep that an emergency access, opened at `opened` by the health worker `actor` (HPR number, name), was found not
    to be needed, or was not gone through in time (FAM-34). `seen`: rows of the log."""
    await connection.execute(
        "insert into trust_finding (kind, day, actor, actor_name, unit, unit_name, patient, first_at, last_at, rows,"
        " refused, found) values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, 0, $10) on conflict do nothing",
        Kind.EMERGENCY.value, day, *actor, *unit, patient, opened, seen, now,
    )  # fmt: skip


async def decide(
    connection: Any, number: int, state: str, *, actor: str, name: str, reason: str, now: datetime
) -> bool:
    """Keep what was decided, by whom and why; False when it was decided before. Raises ValueError for another state."""
    if state not in DECISIONS:
        raise ValueError("no such decision")
    done = await connection.execute(
        "update trust_finding set state = $2, decided = $3, decided_by = $4, decided_name = $5, reason = $6"
        " where id = $1 and state = 'open'",
        number, state, now, actor, name, reason,
    )  # fmt: skip
    return bool(done == "UPDATE 1")


def _finding(row: Any) -> Finding:
    return Finding(
        row["id"], Kind(row["kind"]), row["day"], row["actor"], row["actor_name"], row["unit_name"], row["patient"],
        row["first_at"], row["last_at"], row["rows"], row["refused"], row["state"], row["decided"], row["decided_name"],
        row["reason"],
    )  # fmt: skip
