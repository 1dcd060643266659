"""One slice of an export: some seconds of it, in the transaction of the job that asked for it, so that whatever a
killed worker had under way is as if it never was, and the next begins where the last commit stood.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from varde.fhir import splice
from varde.fhir.bulk import records
from varde.fhir.bulk.asked import Export, patient_types
from varde.fhir.bulk.files import FileWriter, one_line
from varde.fhir.bulk.moment import settled
from varde.fhir.bulk.records import Bulk
from varde.fhir.bulk.selecting import Place, Step, statement, types_in_use
from varde.fhir.definitions import resource_types, type_name, type_number
from varde.fhir.gate import Disclosure, Gate, Interaction
from varde.fhir.store import Store
from varde.fhir.summary import reduced

SLICE = 8.0
"""Seconds after which a slice comes to its end."""
FILE = 100_000
"""Resources of a file at most."""
_ROWS = 500
"""Resources of a step, and so of what is in memory at once."""
_MEMBERS = 100
"""Patients of a step, where an export is held to some."""
_DELETED = 500
"""Deletions of one Bundle."""
_LOGGED = 5000
"""Patients of one disclosure."""


class CalledOff(Exception):
    """The export was called off meanwhile: the slice must not be kept."""


async def export_slice(store: Store, gate: Gate, connection: Any, bulk: Bulk) -> bool:
    """Do some of it; whether more is to be done. Raises CalledOff, Forbidden."""
    export = Export.from_json(bulk.asked)
    moment = bulk.moment
    if "units" not in bulk.position:
        moment = await settled(connection, store.clock)
        bulk.position["units"] = await _units(connection, gate, export)
        bulk.position.update(unit=0, files=0, resources=0, after=None, batch=0)
    work = _Slice(store, gate, connection, bulk, export, moment)
    await work.run()
    done, units = bulk.position["unit"], len(bulk.position["units"])
    said = f"{done} of {units} types, {bulk.position['resources']} resources"
    if done < units:
        if not await records.step(connection, bulk, progress=said, moment=moment):
            raise CalledOff
        return True
    await _disclose(gate, connection, bulk)
    await _warn(connection, bulk, export)
    if not await records.step(connection, bulk, progress=said, moment=moment):
        raise CalledOff
    await records.end(connection, bulk.id, store.clock.now())
    return False


async def _units(connection: Any, gate: Gate, export: Export) -> list[tuple[str, str]]:
    """(role, type) of each part of the work, in order."""
    possible = resource_types() if export.level == "system" else sorted(patient_types())
    wanted = export.types or tuple(name for name in possible if gate.allows(Interaction.EXPORT, name))
    sql, values = types_in_use([type_number(name) for name in wanted])
    found = {type_name(row["t"]) for row in await connection.fetch(sql, *values)}
    used = [name for name in wanted if name in found]
    return [("output", name) for name in used] + [("deleted", name) for name in used if export.since]


class _Slice:
    def __init__(self, store: Store, gate: Gate, connection: Any, bulk: Bulk, export: Export, moment: datetime) -> None:
        self._store = store
        self._gate = gate
        self._connection = connection
        self._bulk = bulk
        self._export = export
        self._moment = moment
        self._position = bulk.position
        self._until = time.monotonic() + SLICE
        self._file: FileWriter | None = None
        self._gone: list[str] = []

    async def run(self) -> None:
        """Go on until the time is up or all is done."""
        units = self._position["units"]
        while self._position["unit"] < len(units) and time.monotonic() < self._until:
            role, kind = units[self._position["unit"]]
            # The right to it is looked at in each slice, as what it rests on may have ended.
            await self._store.allow(self._gate, Interaction.EXPORT, kind)
            if await self._unit(role, kind):
                self._position |= {"unit": self._position["unit"] + 1, "after": None, "batch": 0}
            await self._finish()

    async def _unit(self, role: str, kind: str) -> bool:
        """Go through one type; whether it came to its end."""
        deleted = role == "deleted"
        async for rows in self._held(kind, deleted) if self._bulk.patients is not None else self._all(kind, deleted):
            if rows:
                await self._take(role, kind, rows)
            if time.monotonic() >= self._until:
                return False
        return True

    async def _all(self, kind: str, deleted: bool) -> AsyncIterator[Sequence[Any]]:
        while True:
            kept = self._position["after"]
            after: Place | None = (datetime.fromisoformat(kept[0]), kept[1]) if kept else None
            sql, values = statement(
                self._gate, self._export, Step(kind, self._moment, deleted, after=after, limit=_ROWS)
            )
            rows = await self._connection.fetch(sql, *values)
            if rows:
                self._position["after"] = [rows[-1]["updated"].isoformat(), rows[-1]["rid"]]
                yield rows
            if len(rows) < _ROWS:
                return

    async def _held(self, kind: str, deleted: bool) -> AsyncIterator[Sequence[Any]]:
        members = self._bulk.patients or ()
        for first in range(self._position["batch"] * _MEMBERS, len(members), _MEMBERS):
            patients = members[first : first + _MEMBERS]
            sql, values = statement(self._gate, self._export, Step(kind, self._moment, deleted, patients=patients))
            cursor = await self._connection.cursor(sql, *values)
            while rows := await cursor.fetch(_ROWS):
                await self._take("deleted" if deleted else "output", kind, rows)
            self._position["batch"] = first // _MEMBERS + 1
            yield ()

    async def _take(self, role: str, kind: str, found: Sequence[Any]) -> None:
        # What no predicate can judge: whether a former version was within a narrowed scope.
        rows = [
            row
            for row in found
            if not (row["former"] and row["body"]) or self._gate.admits(Interaction.EXPORT, kind, row["body"])
        ]
        if not rows:
            return
        if self._file is None or self._file.resources >= FILE:
            await self._finish()
            self._file = await self._open(role, kind)
        await self._write(self._file, kind, rows, deleted=role == "deleted")
        self._position["resources"] += 0 if role == "deleted" else len(rows)

    async def _open(self, role: str, kind: str) -> FileWriter:
        number = self._position["files"]
        self._position["files"] = number + 1
        writer = FileWriter(self._connection, self._bulk.id, number, role, "Bundle" if role == "deleted" else kind)
        return await writer.open()

    async def _write(self, file: FileWriter, kind: str, rows: Sequence[Any], *, deleted: bool) -> None:
        file.patients.update(row["patient"] for row in rows if row["patient"] is not None)
        if deleted:
            self._gone += [f"{kind}/{row['id']}" for row in rows]
            while len(self._gone) >= _DELETED:
                await file.add(_deletions(self._gone[:_DELETED]))
                del self._gone[:_DELETED]
            return
        elements = _elements(self._export.elements, kind)
        for row in rows:
            body = row["body"]
            if elements:
                body = splice.dump(reduced(splice.parse_exact(body), None, elements))
            await file.add(one_line(body))

    async def _finish(self) -> None:
        if self._file is not None:
            if self._gone:
                await self._file.add(_deletions(self._gone))
                self._gone = []
            await self._file.close()
            self._file = None


def _elements(asked: Sequence[str], kind: str) -> str:
    """Those of `_elements` that are for a type, as `reduced` takes them."""
    return ",".join(one for one in asked if "." not in one or one.startswith(f"{kind}."))


def _deletions(references: Sequence[str]) -> bytes:
    """A transaction that deletes them, as the IG has a server tell of deletions."""
    entries = [{"request": {"method": "DELETE", "url": reference}} for reference in references]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


async def _disclose(gate: Gate, connection: Any, bulk: Bulk) -> None:
    """Write the access log, one row a patient, before anything can be fetched."""
    rows = await connection.fetch(
        "select types, array_agg(patient order by patient) as patients from (select patient, array_agg(distinct type"
        " order by type) as types from fhir_bulk_file, unnest(patients) as patient where bulk = $1 and role = 'output'"
        " group by patient) p group by types order by types",
        bulk.id,
    )
    if not rows:
        await gate.record(Disclosure(Interaction.EXPORT, "*", [], [], query=f"export={bulk.id}"), connection)
    for row in rows:
        kinds: list[str] = row["types"]
        said = "&".join([f"export={bulk.id}", *(f"type={kind}" for kind in kinds)])
        for first in range(0, len(row["patients"]), _LOGGED):
            patients = row["patients"][first : first + _LOGGED]
            named = kinds[0] if len(kinds) == 1 else "*"
            await gate.record(Disclosure(Interaction.EXPORT, named, [], patients, query=said), connection)


async def _warn(connection: Any, bulk: Bulk, export: Export) -> None:
    """Tell in the error file what was asked for in vain by a client that bears it."""
    if not export.ignored:
        return
    writer = await FileWriter(connection, bulk.id, bulk.position["files"], "error", "OperationOutcome").open()
    issues = [{"severity": "warning", "code": "not-supported", "diagnostics": why} for why in export.ignored]
    await writer.add(orjson.dumps({"resourceType": "OperationOutcome", "issue": issues}))
    await writer.close()
    bulk.position["files"] += 1


__all__ = ["CalledOff", "export_slice"]
