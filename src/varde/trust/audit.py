"""The access log: every disclosure and refused try, durable before the answer leaves, append only.
The chain over it is `seal.py`'s.

Reads outside a transaction are flushed together (group commit): each waits only for the flush that holds
its own row. If the log cannot be written, nothing is shown (FAM-40).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

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
_PIPELINED = 100
_NUMBER = re.compile(r"(?<!\d)\d{11}(?!\d)")
"""What could be a national identity number: never in the log, whatever a caller put into an id or a name."""
_UNREADABLE = re.compile(r"[^\w:.\-&=]")


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


class Log(Protocol):
    """Where a scope writes what it showed, changed or refused."""

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Log it: in the connection's transaction, or durable when this returns. Raises Unavailable."""
        ...


class AuditLog:
    """The access log of one process. `stop` at the end.

    What is flushed goes over a connection of the log's own: a refusal is logged while its transaction still holds
    one of the pool's, and must never wait for it.
    """

    def __init__(self, database: Database, clock: Clock, *, patience: float = 10.0) -> None:
        """`patience`: seconds that an answer waits for the log at most."""
        self._database = database
        self._clock = clock
        self._patience = patience
        self._waiting: list[_Entry] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._own: Any | None = None

    def rows(self, who: Who, disclosure: Disclosure) -> list[tuple[Any, ...]]:
        """One row a patient, so that each patient's log tells only of that patient; one without a patient when
        there is none or the disclosure tells of several."""
        ids = [_NUMBER.sub("…", one) for one in list(disclosure.resource_ids)[:_MAXIMUM_IDS]]
        query = _NUMBER.sub("…", _UNREADABLE.sub("?", disclosure.query))
        identity, now = uuid4(), self._clock.now()

        def row(patient: int | None, named: list[str]) -> tuple[Any, ...]:
            return (
                now, identity, patient, disclosure.allowed, who.actor_kind, who.actor, who.actor_name,
                who.role, who.unit, who.unit_name, who.acting_for, who.purpose, who.ground,
                disclosure.interaction.value, disclosure.resource_type, named, query, who.through,
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
            await _insert(connection, rows)
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush_for_ever(), name="audit")
        entry = _Entry(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._wake.set()
        await entry.done

    async def _flush_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._flush(batch)
            finally:
                # Whatever went wrong, nobody waits for ever, and nobody is answered without a row.
                for entry in batch:
                    entry.fail(None)

    async def _flush(self, batch: Sequence[_Entry]) -> None:
        try:
            await self._keep([row for entry in batch for row in entry.rows])
        except asyncpg.PostgresConnectionError as error:
            self._all_failed(batch, error)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            # One row that the database does not take holds up nobody else's.
            for entry in batch:
                await self._flush([entry])
        except OSError as error:  # the server is away, or did not answer in time
            self._all_failed(batch, error)
        else:
            for entry in batch:
                entry.kept()

    @staticmethod
    def _all_failed(batch: Sequence[_Entry], error: Exception) -> None:
        for entry in batch:
            entry.fail(error)

    async def _keep(self, rows: Sequence[tuple[Any, ...]]) -> None:
        done = False
        try:
            async with asyncio.timeout(self._patience):
                if self._own is None or self._own.is_closed():
                    self._own = await self._database.dedicated()
                await _insert(self._own, rows)
            done = True
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            done = True  # the row's fault, not the connection's
            raise
        finally:
            if not done and self._own is not None:
                self._own.terminate()
                self._own = None

    async def stop(self) -> None:
        """End the flusher, after what waits is written."""
        if self._waiting:
            await asyncio.wait([entry.done for entry in self._waiting])
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._own is not None:
            await self._own.close()
            self._own = None


@dataclass(slots=True)
class _Entry:
    """Rows of one disclosure on their way, and who waits for them."""

    rows: list[tuple[Any, ...]]
    done: asyncio.Future[None]

    def kept(self) -> None:
        """They are durable."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception | None) -> None:
        """They are not, unless it was said before."""
        if not self.done.done():
            failure = Unavailable.of("the access log cannot be written, so nothing is shown")
            failure.__cause__ = error
            self.done.set_exception(failure)


async def _insert(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    if len(rows) == 1:
        await connection.execute(_INSERT, *rows[0])
    elif len(rows) <= _PIPELINED:
        await connection.executemany(_INSERT, rows)
    else:
        await connection.copy_records_to_table("trust_audit", records=rows, columns=COLUMNS)


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
