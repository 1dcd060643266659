"""The access log: every disclosure and refused try, durable before the answer leaves, append only, chained.

Reads outside a transaction are flushed together (group commit): each waits only for the flush that holds
its own row. If the log cannot be written, nothing is shown (FAM-40).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from varde.clock import Clock
from varde.db import Database
from varde.fhir.errors import Unavailable
from varde.fhir.gate import Disclosure

COLUMNS = (
    "at", "disclosure", "patient", "allowed", "actor_kind", "actor", "actor_name", "role", "unit", "unit_name",
    "acting_for", "purpose", "ground", "interaction", "resource_type", "resource_ids", "query", "through",
)  # fmt: skip
_INSERT = (
    f"insert into trust_audit ({', '.join(COLUMNS)}) values ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))})"
)
_MAXIMUM_IDS = 1000
_SEALED = ", ".join(("id", *COLUMNS))


@dataclass(frozen=True, slots=True)
class Who:
    """The part of a log row that is the same for all that one scope does."""

    actor_kind: str
    actor: str
    actor_name: str
    role: str
    unit: str | None
    unit_name: str | None
    acting_for: str | None
    purpose: str
    ground: str
    through: str


class AuditLog:
    """The access log of one process. `start` before use, `stop` at the end."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: list[tuple[list[tuple[Any, ...]], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def rows(self, who: Who, disclosure: Disclosure) -> list[tuple[Any, ...]]:
        """One row a patient, so that each patient's log tells only of that patient; one without a patient when
        there is none or the disclosure tells of several."""
        ids = list(disclosure.resource_ids)[:_MAXIMUM_IDS]
        identity = uuid4()

        def row(patient: int | None, named: list[str]) -> tuple[Any, ...]:
            return (
                self._clock.now(), identity, patient, disclosure.allowed, who.actor_kind, who.actor, who.actor_name,
                who.role, who.unit, who.unit_name, who.acting_for, who.purpose, who.ground,
                disclosure.interaction.value, disclosure.resource_type, named, disclosure.query, who.through,
            )  # fmt: skip

        patients = list(disclosure.patients)
        if len(patients) <= 1:
            return [row(patients[0] if patients else None, ids)]
        return [row(None, ids), *(row(patient, []) for patient in patients)]

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Log `disclosure`: in the connection's transaction, or durable when this returns.

        Raises Unavailable when the log cannot be written.
        """
        rows = self.rows(who, disclosure)
        if connection is not None:
            if len(rows) == 1:
                await connection.execute(_INSERT, *rows[0])
            else:
                await connection.copy_records_to_table("trust_audit", records=rows, columns=COLUMNS)
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush_for_ever(), name="audit")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._wake.set()
        await done

    async def _flush_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if not batch:
                continue
            try:
                async with self._database.connection() as connection:
                    records = [row for rows, _ in batch for row in rows]
                    if len(records) == 1:
                        await connection.execute(_INSERT, *records[0])
                    else:
                        await connection.copy_records_to_table("trust_audit", records=records, columns=COLUMNS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                for _, done in batch:
                    if not done.done():
                        failure = Unavailable.of("the access log cannot be written, so nothing is shown")
                        failure.__cause__ = error
                        done.set_exception(failure)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    async def stop(self) -> None:
        """End the flusher, after what waits is written."""
        if self._waiting:
            await asyncio.wait([done for _, done in self._waiting])
        if self._task is not None:
            self._task.cancel()


async def seal(connection: Any, now: datetime) -> int:
    """Chain every row of finished transactions that is not sealed yet; how many were. In a transaction.

    Rows are taken by transaction, not by time, so that one committed late is never left out.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtext('trust_audit_seal'))")
    last = await connection.fetchrow("select * from trust_audit_seal order by number desc limit 1")
    horizon = await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text")
    start = str(last["horizon"]) if last else "0"
    digest, rows = await _digest(connection, start, horizon, bytes(last["digest"]) if last else b"")
    if rows:
        await connection.execute(
            "insert into trust_audit_seal (number, horizon, rows, digest, sealed)"
            " values ($1, $2::text::xid8, $3, $4, $5)",
            (last["number"] if last else 0) + 1, horizon, rows, digest, now,
        )  # fmt: skip
    return rows


async def _digest(connection: Any, start: str, end: str, previous: bytes) -> tuple[bytes, int]:
    running = sha256(previous)
    rows = 0
    cursor = connection.cursor(
        f"select {_SEALED} from trust_audit where transaction_id >= $1::text::xid8 and transaction_id < $2::text::xid8"
        " order by transaction_id, id",
        start, end,
    )  # fmt: skip
    async for row in cursor:
        running.update(repr(tuple(_plain(value) for value in row)).encode())
        rows += 1
    return running.digest(), rows


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


async def verify(connection: Any) -> tuple[int, int | None]:
    """(rows that were checked, number of the first seal that does not fit or None). In a transaction."""
    previous, start, checked = b"", "0", 0
    for one in await connection.fetch("select * from trust_audit_seal order by number"):
        digest, rows = await _digest(connection, start, str(one["horizon"]), previous)
        if digest != bytes(one["digest"]) or rows != one["rows"]:
            return checked, int(one["number"])
        checked += rows
        previous, start = digest, str(one["horizon"])
    return checked, None


_ACTIONS = {"create": "C", "update": "U", "patch": "U", "delete": "D"}


def as_fhir(row: Any) -> dict[str, Any]:
    """A log row as FHIR AuditEvent, as far as SPECS.md 3.9's profile has data for it."""
    references: Sequence[str] = row["resource_ids"]
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"audit-{row['id']}",
        "type": {
            "system": "http://dicom.nema.org/resources/ontology/DCM",
            "code": "110110",
            "display": "Patient Record",
        },
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": row["interaction"]}],
        "action": _ACTIONS.get(row["interaction"], "E" if row["interaction"] == "search" else "R"),
        "recorded": row["at"].isoformat(),
        "outcome": "0" if row["allowed"] else "8",
        "purposeOfEvent": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": row["purpose"]}]}
        ],
        "agent": [
            {
                "who": {"identifier": {"value": row["actor"]}, "display": row["actor_name"]},
                "role": [{"text": row["role"]}],
                "requestor": True,
                "policy": [row["ground"]],
            }
        ],
        "source": {"observer": {"display": row["through"]}},
        "entity": [{"what": {"reference": r if "/" in r else f"{row['resource_type']}/{r}"}} for r in references],
    }
    if row["unit"]:
        event["agent"].append(
            {
                "who": {"reference": f"Organization/{row['unit']}", "display": row["unit_name"] or ""},
                "requestor": False,
            }
        )
    if not event["entity"]:
        del event["entity"]
    return event
