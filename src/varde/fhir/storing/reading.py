"""Reading one resource, now or as it was. Part of the Store; what all its parts share is here too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from varde.clock import Clock
from varde.db import Database
from varde.fhir.arrays import column, placed
from varde.fhir.definitions import is_type, type_name
from varde.fhir.errors import BadRequest, FhirError, Forbidden, Gone, Issue, NotFound, Unavailable
from varde.fhir.gate import Disclosure, Gate, Interaction, LoggingGate, Parameters, logging_gate
from varde.fhir.keys import resource_key
from varde.fhir.knowing import Knowing
from varde.fhir.model import Projection, Stored
from varde.fhir.search.custom import CustomParameters
from varde.fhir.search.sql import COLUMNS
from varde.fhir.search.terms import Definitions, Terminology
from varde.fhir.storing.gathering import Gathering

ABSENT = "the resource does not exist"
SELECT = ", ".join(f"r.{c}" for c in COLUMNS.split(", "))


def stored(row: Any) -> Stored:
    """A database row as a Stored."""
    return Stored(
        row["rid"], type_name(row["type"]), row["id"], row["version"], row["updated"], row["deleted"],
        row["body"] or b"", row["patient"],
    )  # fmt: skip


def reaches_all(gate: Gate, resource_type: str) -> bool:
    """Whether a write's answer may tell that an id is free, so that its sender can choose ids: where no resource of the
    type is beyond the gate, and where no new one is refused (a record system, of which a patient's block may hide one
    whose id it would have to know). Whoever else could be denied gets "does not exist" for what is denied and for what
    is not there."""
    logging = logging_gate(gate)
    if logging is not None and logging.takes_every(resource_type):
        return True
    if gate.predicate("r", resource_type, Parameters()) == "true":
        return True
    judges = logging is not None and logging.judges_content
    return not judges and gate.write_predicate("r", resource_type, Parameters()) == "true"


async def fetch(connection: Any, sql: str, values: list[Any]) -> list[Any]:
    """The rows of a statement whose values come from outside. Raises BadRequest when one is out of range."""
    try:
        return list(await connection.fetch(sql, *values))
    except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError):
        raise BadRequest.of("a value of the search is out of range") from None


class Reading:
    """read and vread."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        projections: Sequence[Projection] = (),
        terminology: Terminology | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.custom = CustomParameters(clock)
        self.knowing = Knowing()
        self.projections: tuple[Projection, ...] = (self.custom, self.knowing, *projections)
        self.terminology = terminology or Definitions()
        self._reads: Gathering[_Asked, Stored] = Gathering(self._read_together, lanes=1)

    async def faults_of(self, resource: Mapping[str, Any], connection: Any = None) -> list[Issue]:
        """The faults of a resource, by the definitions that the store holds too; empty when it is valid."""
        found = self.knowing.judge(resource)
        if found.wanted and self.knowing.may_learn(found.wanted):
            async with self.reading(connection) as own:
                learnt = await self.knowing.learn(own, found.wanted)
            found = self.knowing.judge(resource) if learnt else found
        return found.issues

    @asynccontextmanager
    async def reading(self, connection: Any | None) -> AsyncIterator[Any]:
        """The caller's connection, or one of its own without a transaction."""
        if connection is not None:
            yield connection
        else:
            async with self.database.connection() as own:
                yield own

    @staticmethod
    async def allow(gate: Gate, interaction: Interaction, resource_type: str | None) -> None:
        """Raise NotFound for no type of R4 and, after logging the try, Forbidden where the gate does not take this
        kind of request."""
        if resource_type is not None and not is_type(resource_type):
            raise NotFound.of("no such resource type", code="not-supported")
        if not gate.allows(interaction, resource_type or "*"):
            await gate.record(Disclosure(interaction, resource_type or "*", [], [], allowed=False), None)
            raise Forbidden.of("this is not open to you")

    async def read(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        *,
        connection: Any = None,
        for_update: bool = False,
    ) -> Stored:
        """The current version. Raises NotFound (also for what may not be seen), Gone, Forbidden."""
        await self.allow(gate, Interaction.READ, resource_type)
        if connection is None and not for_update and (logging := logging_gate(gate)) is not None:
            parameters = Parameters()
            predicate = gate.predicate("r", resource_type, parameters)
            key = (resource_type, predicate, logging.log_key(), _hashable(parameters.values))
            return await self._reads.ask(key, _Asked(logging, resource_type, resource_id))
        parameters = Parameters()
        rid = parameters.add(resource_key(resource_type, resource_id))
        predicate = gate.predicate("r", resource_type, parameters)
        lock = " for update of r" if for_update else ""
        sql = f"select {SELECT}, ({predicate}) as visible from resource r where r.rid = {rid}{lock}"
        async with self.reading(connection) as own:
            row = await own.fetchrow(sql, *parameters.values)
        return await self._shown(gate, Interaction.READ, resource_type, resource_id, row, connection)

    async def fetch_logged(self, gate: LoggingGate, sql: str, values: list[Any]) -> list[Any]:
        """The rows of a statement that writes its own access log. Raises BadRequest when a value is out of range,
        Unavailable when the log cannot be written."""
        try:
            async with asyncio.timeout(gate.log_patience), self.database.connection() as own:
                return await fetch(own, sql, values)
        except asyncpg.PostgresConnectionError:
            raise
        except (asyncpg.PostgresError, TimeoutError) as error:
            raise Unavailable.of("the access log cannot be written, so nothing is shown") from error

    async def _read_together(self, batch: Sequence[_Asked]) -> list[Stored | Exception]:
        """What each that was asked for shows, with its row of the access log written by the same statement. All ask
        with the same right for the same type. Raises Unavailable when the log cannot be written."""
        gate, resource_type = batch[0].gate, batch[0].type
        parameters = Parameters()
        keys = [resource_key(resource_type, one.id) for one in batch]
        rids = placed(parameters.add(column(keys, "bigint")), "bigint")
        ids = placed(parameters.add(column([gate.log_id(one.id) for one in batch], "text")), "text")
        predicate = gate.predicate("r", resource_type, parameters)
        told = (
            "(select gen_random_uuid() as disclosure, patient, '' as query,"
            " rid is not null and coalesce(visible, false) as allowed,"
            " case when rid is null then '{}'::text[] else array[asked_id] end as ids from found) as told"
        )
        log = gate.log_found(Interaction.READ, resource_type, told, parameters)
        logged = f", logged as ({log})" if log else ""
        sql = (
            f"with found as (select q.place, q.id as asked_id, {SELECT}, ({predicate}) as visible"
            f" from unnest({rids}, {ids}) with ordinality as q(rid, id, place)"
            f" left join resource r on r.rid = q.rid){logged}"
            " select place, patient, version, updated, deleted, body from found where rid is not null and visible"
        )
        shown: dict[int, Stored | Exception] = {}
        for place, patient, version, updated, deleted, body in await self.fetch_logged(gate, sql, parameters.values):
            key, identifier = keys[place - 1], batch[place - 1].id
            shown[place] = (
                _gone(version)
                if deleted
                else Stored(key, resource_type, identifier, version, updated, False, body, patient)
            )
        return [shown.get(place) or NotFound.of(ABSENT) for place in range(1, len(batch) + 1)]

    async def read_many(
        self,
        gate: Gate,
        resource_type: str,
        resource_ids: Sequence[str],
        *,
        connection: Any = None,
        for_update: bool = False,
    ) -> dict[str, Stored]:
        """The current versions by id, of those that are there and may be seen: the fast lane of batches.

        `for_update` locks them in the order of their keys, as writes do. Raises Forbidden.
        """
        await self.allow(gate, Interaction.READ, resource_type)
        parameters = Parameters()
        rids = parameters.add([resource_key(resource_type, one) for one in resource_ids])
        predicate = gate.predicate("r", resource_type, parameters)
        lock = " order by r.rid for update of r" if for_update else ""
        sql = (
            f"select {SELECT} from resource r where r.rid = any({rids}::bigint[])"
            f" and not r.deleted and ({predicate}){lock}"
        )
        async with self.reading(connection) as own:
            rows = await fetch(own, sql, parameters.values) if resource_ids else []
        found = {row["id"]: stored(row) for row in rows}
        patients = sorted({one.patient for one in found.values() if one.patient is not None})
        await gate.record(Disclosure(Interaction.READ, resource_type, sorted(found), patients), connection)
        return found

    async def vread(
        self, gate: Gate, resource_type: str, resource_id: str, version: int, *, connection: Any = None
    ) -> Stored:
        """One version. Raises NotFound, Gone (a version that deleted), Forbidden.

        A former version is seen by those who may see both it and the resource as it is now: what is hidden
        today was not hidden in vain.
        """
        await self.allow(gate, Interaction.VREAD, resource_type)
        parameters = Parameters()
        rid = parameters.add(resource_key(resource_type, resource_id))
        number = parameters.add(version)
        current = gate.predicate("r", resource_type, parameters)
        former = gate.predicate("h", resource_type, parameters)
        old = ", ".join(f"h.{c}" for c in COLUMNS.split(", "))
        sql = (
            f"select {SELECT}, ({current}) as visible from resource r where r.rid = {rid} and version = {number}::int"
            f" union all select {old}, ({current}) and ({former}) as visible from resource_history h"
            f" join resource r on r.rid = h.rid where h.rid = {rid} and h.version = {number}::int"
        )
        async with self.reading(connection) as own:
            row = await own.fetchrow(sql, *parameters.values)
        if (
            row is not None
            and row["visible"]
            and row["body"]
            and not gate.admits(Interaction.VREAD, resource_type, row["body"])
        ):
            row = None
        return await self._shown(gate, Interaction.VREAD, resource_type, resource_id, row, connection)

    async def _shown(
        self,
        gate: Gate,
        interaction: Interaction,
        resource_type: str,
        resource_id: str,
        row: Any,
        connection: Any,
    ) -> Stored:
        """Log what a read gives, then give it. What is hidden and what is not there are alike."""
        patients = [row["patient"]] if row is not None and row["patient"] is not None else []
        visible = row is not None and bool(row["visible"])
        ids = [resource_id] if row is not None else []
        await gate.record(Disclosure(interaction, resource_type, ids, patients, allowed=visible), connection)
        return _visible(row)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A read to be answered together with others."""

    gate: LoggingGate
    type: str
    id: str


def _visible(row: Any) -> Stored:
    """What a row with its column `visible` shows. Raises NotFound for what is hidden or not there, Gone."""
    if row is None or not row["visible"]:
        raise NotFound.of(ABSENT)
    if row["deleted"]:
        raise _gone(row["version"])
    return stored(row)


def _gone(version: int) -> FhirError:
    gone = Gone.of("the resource was deleted")
    gone.headers = {"etag": f'W/"{version}"'}
    return gone


def _hashable(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
