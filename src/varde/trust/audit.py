"""The access log: every disclosure and refused try, durable before the answer leaves, append only.
The chain over it is `seal.py`'s; reading it is `log/`'s.

Reads outside a transaction are flushed together (group commit): each waits only for the flush that holds
its own row. If the log cannot be written, nothing is shown (FAM-40).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

import asyncpg

from varde.clock import Clock
from varde.db import Database
from varde.fhir.arrays import column, placed
from varde.fhir.errors import Unavailable
from varde.fhir.gate import Disclosure, Interaction, Parameters

COLUMNS = (
    "at", "disclosure", "patient", "allowed", "actor_kind", "actor", "actor_name", "role", "unit", "unit_name",
    "acting_for", "purpose", "ground", "interaction", "resource_type", "resource_ids", "query", "through",
    "decision_ref",
)  # fmt: skip
_INSERT = (
    f"insert into trust_audit ({', '.join(COLUMNS)}) values ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))})"
)
_WHO = ("actor_kind", "actor", "actor_name", "role", "unit", "unit_name", "acting_for", "purpose", "ground", "through",
        "decision_ref")  # fmt: skip
_MAXIMUM_IDS = 1000
_PIPELINED = 100
_BETWEEN = "\x1f"
"""Parts the ids of one disclosure, where a column of lists is sent as a column of texts."""
_NUMBER = re.compile(r"(?<!\d)\d{11}(?!\d)")
"""What could be a national identity number: never in the log, whatever a caller put into an id or a name."""
_OWN_ID = re.compile(r"(?:[A-Za-z]+/)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids that the store makes are drawn: eleven digits in a row come up in one of a hundred, and tell of nobody."""
_UNREADABLE = re.compile(r"[^\w:.\-&=]")


def masked(identifier: str) -> str:
    """`identifier` as it may stand in the log."""
    if _OWN_ID.fullmatch(identifier):
        return identifier
    return _NUMBER.sub("…", identifier).replace(_BETWEEN, "?")


def _told(disclosure: Disclosure) -> list[tuple[UUID, int | None, list[str], str]]:
    """(disclosure, patient, ids, query) of each row. One row a patient, so that each patient's log tells only of that
    patient; one without a patient when there is none or the disclosure tells of several."""
    ids = [masked(one) for one in list(disclosure.resource_ids)[:_MAXIMUM_IDS]]
    query = disclosure.query and _NUMBER.sub("…", _UNREADABLE.sub("?", disclosure.query))
    identity = uuid4()
    patients = list(disclosure.patients)
    if len(patients) <= 1:
        return [(identity, patients[0] if patients else None, ids, query)]
    return [(identity, None, ids, query), *((identity, patient, [], query) for patient in patients)]


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
    decision_ref: str | None = None
    """The local decision behind another system's call, as its attestation names it: JSON of id, description,
    user_selected and toa (IDENTITY.md 1.3), none of it personal."""


class Log(Protocol):
    """Where a scope writes what it showed, changed or refused."""

    @property
    def patience(self) -> float:
        """Seconds that an answer waits for the log at most."""
        ...

    def found(
        self, who: Who, interaction: Interaction, resource_type: str, found: str, parameters: Parameters
    ) -> str | None:
        """See LoggingGate.log_found."""
        ...

    def values(self, who: Who, disclosures: Sequence[Disclosure], parameters: Parameters) -> str | None:
        """See LoggingGate.log_values."""
        ...

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Log it: in the connection's transaction, or durable when this returns. Raises Unavailable."""
        ...


class Unlogged:
    """In the log's place where a lookup only decides, or only finds words for what the log tells already: what is then
    shown is logged by the scope it leads to. Else every page would leave rows about nothing in the patient's log."""

    patience = 10.0

    def found(self, who: Who, interaction: Interaction, resource_type: str, found: str, parameters: Parameters) -> None:
        """Nothing."""

    def values(self, who: Who, disclosures: Sequence[Disclosure], parameters: Parameters) -> None:
        """Nothing."""

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Nothing."""


class AuditLog:
    """The access log of one process. `stop` at the end.

    What is flushed goes over a connection of the log's own: a refusal is logged while its transaction still holds
    one of the pool's, and must never wait for it.
    """

    def __init__(self, database: Database, clock: Clock, *, patience: float = 10.0) -> None:
        """`patience`: seconds that an answer waits for the log at most."""
        self._database = database
        self._clock = clock
        self.patience = patience
        self._waiting: list[_Entry] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._own: Any | None = None

    def rows(self, who: Who, disclosure: Disclosure) -> list[tuple[Any, ...]]:
        """Rows of the log, in the order of COLUMNS."""
        now = self._clock.now()
        return [
            (
                now, identity, patient, disclosure.allowed, who.actor_kind, who.actor, who.actor_name,
                who.role, who.unit, who.unit_name, who.acting_for, who.purpose, who.ground,
                disclosure.interaction.value, disclosure.resource_type, ids, query, who.through, who.decision_ref,
            )
            for identity, patient, ids, query in _told(disclosure)
        ]  # fmt: skip

    def found(
        self, who: Who, interaction: Interaction, resource_type: str, found: str, parameters: Parameters
    ) -> str | None:
        """An `insert` that logs each row of the relation `found` (disclosure, patient, allowed, ids, query). The ids
        must have gone through `masked`."""
        told = {
            "disclosure": "disclosure", "patient": "patient", "allowed": "allowed", "resource_ids": "ids",
            "interaction": f"{parameters.add(interaction.value)}::text", "query": "query",
            "resource_type": f"{parameters.add(resource_type)}::text",
        }  # fmt: skip
        return self._insert(who, told, found, parameters)

    def values(self, who: Who, disclosures: Sequence[Disclosure], parameters: Parameters) -> str:
        """An `insert` that logs `disclosures`."""
        columns: list[list[Any]] = [[], [], [], [], [], [], []]
        for disclosure in disclosures:
            for identity, patient, ids, query in _told(disclosure):
                row = (identity.hex, patient, disclosure.allowed, disclosure.interaction.value,
                       disclosure.resource_type, _BETWEEN.join(ids), query)  # fmt: skip
                for values, value in zip(columns, row, strict=True):
                    values.append(value)
        types = ("uuid", "bigint", "boolean", "text", "text", "text", "text")
        listed = ", ".join(placed(parameters.add(column(c, t)), t) for c, t in zip(columns, types, strict=True))
        names = ("disclosure", "patient", "allowed", "interaction", "resource_type", "resource_ids", "query")
        told = {name: f"told.{name}" for name in names}
        told["resource_ids"] = f"string_to_array(told.resource_ids, E'\\x{ord(_BETWEEN):02x}')"
        return self._insert(who, told, f"unnest({listed}) as told({', '.join(names)})", parameters)

    def _insert(self, who: Who, told: dict[str, str], source: str, parameters: Parameters) -> str:
        """`told`: what the columns that differ from row to row are, as SQL over `source`."""
        alike = {"at": f"{parameters.add(self._clock.now())}::timestamptz"}
        alike |= {name: f"{parameters.add(getattr(who, name))}::text" for name in _WHO}
        values = ", ".join(told.get(name) or alike[name] for name in COLUMNS)
        return f"insert into trust_audit ({', '.join(COLUMNS)}) select {values} from {source}"

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Log `disclosure`: in the connection's transaction, or durable when this returns.

        Raises Unavailable when the log cannot be written.
        """
        if connection is not None:
            await self._insert_all(connection, [(who, disclosure)])
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush_for_ever(), name="audit")
        entry = _Entry(who, disclosure, asyncio.get_running_loop().create_future())
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
            await self._keep([(entry.who, entry.disclosure) for entry in batch])
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

    async def _keep(self, told: Sequence[tuple[Who, Disclosure]]) -> None:
        done = False
        try:
            async with asyncio.timeout(self.patience):
                if self._own is None or self._own.is_closed():
                    self._own = await self._database.dedicated()
                await self._insert_all(self._own, told)
            done = True
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            done = True  # the row's fault, not the connection's
            raise
        finally:
            if not done and self._own is not None:
                self._own.terminate()
                self._own = None

    async def _insert_all(self, connection: Any, told: Sequence[tuple[Who, Disclosure]]) -> None:
        """Insert the rows of some disclosures. Those of one actor share what tells of the actor."""
        whos = {who for who, _ in told}
        if len(whos) == 1:
            parameters = Parameters()
            statement = self.values(whos.pop(), [disclosure for _, disclosure in told], parameters)
            await connection.execute(statement, *parameters.values)
            return
        rows = [row for who, disclosure in told for row in self.rows(who, disclosure)]
        if len(rows) <= _PIPELINED:
            await connection.executemany(_INSERT, rows)
        else:
            await connection.copy_records_to_table("trust_audit", records=rows, columns=COLUMNS)

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
    """A disclosure on its way into the log, and who waits for it."""

    who: Who
    disclosure: Disclosure
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
