"""The lane of loads: some thousand checked resources into the store at once, by COPY where they are new.

Every rule of the store holds here as anywhere: rights, versions and history, search rows, derived tables, access log.
What is there already goes the store's own way, and so does all that COPY could not take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from varde.fhir import splice
from varde.fhir.bulk.checking import Ready, Refused, said
from varde.fhir.definitions import type_number
from varde.fhir.errors import FhirError, Forbidden, Unavailable
from varde.fhir.gate import Gate, Interaction
from varde.fhir.keys import bucket_of, resource_key
from varde.fhir.store import Store
from varde.fhir.storing.committing import Item, by_type
from varde.fhir.storing.rewriting import adopt, new_identifiers, write_inside
from varde.fhir.storing.tables import TABLES
from varde.fhir.storing.versions import NewVersion, resolve_logical

_RESOURCE = ("rid", "patient", "date", "updated", "version", "type", "bucket", "security", "id", "body", "indexed")
_FAULTS = (FhirError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What is wrong with a resource, not with the database."""
_BEYOND = "a value is beyond what the store can index"


@dataclass(slots=True)
class Taken:
    """What became of a chunk."""

    written: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)


Mark = Callable[[Any, Taken], Awaitable[bool]]
"""Notes in the transaction of the resources that they are taken care of; False undoes all."""


class Undone(Exception):
    """The chunk was taken care of by another, or nobody wants it any more."""


class Lane(Store):
    """A store that takes loads: another way into the one it is made of."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.database, store.clock)
        self.custom, self.knowing, self.projections = store.custom, store.knowing, store.projections

    async def ready(self) -> None:
        """Know by which definitions resources are found now. Called before what is to be put is checked."""
        if self.custom.due:
            async with self.database.connection() as connection:
                await self.custom.refresh(connection)

    async def put(self, gate: Gate, chunk: Sequence[Ready], mark: Mark) -> Taken:
        """Write a chunk and mark it in one transaction. One that is refused holds up no other. Where a resource
        stands twice, the later one wins.

        Raises Undone when the mark says so, and what the database raises when it is away.
        """
        for copying in (True, False):
            taken = Taken()
            try:
                async with self.transaction() as connection:
                    allowed = await self._allowed(gate, chunk, taken)
                    for part in _rounds(await self._judged(connection, allowed, taken)):
                        await self._part(gate, connection, part, taken, copying=copying)
                    await _marked(mark, connection, taken)
                return taken
            except asyncpg.UniqueViolationError:
                continue  # another writer was there first: what it wrote is now found, and followed
            except Unavailable:
                raise
            except _FAULTS:
                break
        return await self._one_by_one(gate, chunk, mark)

    async def _allowed(self, gate: Gate, chunk: Sequence[Ready], taken: Taken) -> Sequence[Ready]:
        """Those whose type the gate lets be written; the others are refused."""
        closed: dict[str, str] = {}
        for kind in {one.type for one in chunk}:
            try:
                await self.allow(gate, Interaction.UPDATE, kind)
            except Forbidden as error:
                closed[kind] = str(error)
        if not closed:
            return chunk
        taken.refused += [
            Refused(one.place, f"{one.type}/{one.id}", closed[one.type]) for one in chunk if one.type in closed
        ]
        return [one for one in chunk if one.type not in closed]

    async def _judged(self, connection: Any, chunk: Sequence[Ready], taken: Taken) -> Sequence[Ready]:
        """Those that are valid by what the store itself defines; the others are refused."""
        refused: set[int] = set()
        for one in chunk:
            if one.wanted and await self.knowing.concerns(connection, one.wanted):
                faults = await self.faults_of(one.parsed, connection)
                if faults:
                    refused.add(one.place)
                    taken.refused.append(Refused(one.place, f"{one.type}/{one.id}", said(faults)))
        return [one for one in chunk if one.place not in refused] if refused else chunk

    async def _part(self, gate: Gate, connection: Any, part: Sequence[Ready], taken: Taken, *, copying: bool) -> None:
        """Write resources of which none stands twice."""
        there: set[int] = set()
        if copying:
            there = {
                row["rid"]
                for row in await connection.fetch(
                    "select rid from resource where rid = any($1::bigint[])", [one.rid for one in part]
                )
            }
            fresh = [one for one in part if one.rid not in there]
            if fresh:
                await self._copy(gate, connection, fresh)
                taken.written += len(fresh)
        known = [one for one in part if not copying or one.rid in there]
        if known:
            items = [Item(one.text, one.parsed | {"id": one.id}, one.id) for one in known]
            written = await self._write(gate, connection, items, Interaction.UPDATE, checked=True, skip_same=True)
            changed = sum(one.changed for one in written)
            taken.written += changed
            taken.unchanged += len(written) - changed

    async def _copy(self, gate: Gate, connection: Any, fresh: Sequence[Ready]) -> None:
        """Write resources that were never there."""
        now = self.clock.now()
        versions = []
        logical = []
        # In the order of their keys, as every writer: who meets another waits, and none for ever.
        for one in sorted(fresh, key=lambda one: one.rid):
            body = splice.stamp(one.text, one.id, 1, now, one.parsed)
            parsed = one.parsed if "id" in one.parsed else one.parsed | {"id": one.id}
            version = NewVersion(one.type, one.id, 1, body, parsed, rows=one.rows)
            if one.type == "Patient":
                one.rows.patient = one.id
            if one.rows.patient is not None:
                version.patient = resource_key("Patient", one.rows.patient)
            elif one.rows.patient_identifier is not None:
                logical.append(version)
            versions.append(version)
        if logical:
            await resolve_logical(connection, versions, logical)
        await self._may_keep(gate, connection, versions, Interaction.UPDATE)
        await _copied(connection, versions, now, {one.type: one.indexed for one in fresh})
        targets = new_identifiers(versions)
        adopted = await adopt(connection, targets) if targets else []
        await self._project(gate, connection, versions)
        await self._project_adopted(connection, adopted)
        for disclosure in by_type(versions, Interaction.UPDATE)():
            await gate.record(disclosure, connection)

    async def _one_by_one(self, gate: Gate, chunk: Sequence[Ready], mark: Mark) -> Taken:
        """Find out which resource of a chunk the store refuses; the others are written."""
        taken = Taken()
        async with self.transaction() as connection:
            for one in await self._allowed(gate, chunk, taken):
                try:
                    async with connection.transaction():
                        await self._part(gate, connection, [one], taken, copying=False)
                except Unavailable:
                    raise
                except _FAULTS as error:
                    reason = str(error) if isinstance(error, FhirError) else _BEYOND
                    taken.refused.append(Refused(one.place, f"{one.type}/{one.id}", reason))
            await _marked(mark, connection, taken)
        return taken


async def _marked(mark: Mark, connection: Any, taken: Taken) -> None:
    if not await mark(connection, taken):
        raise Undone


def _rounds(chunk: Sequence[Ready]) -> list[list[Ready]]:
    """The chunk in parts of which each names a resource once, in order."""
    seen: dict[int, int] = {}
    rounds: list[list[Ready]] = []
    for one in chunk:
        number = seen.get(one.rid, -1) + 1
        seen[one.rid] = number
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(one)
    return rounds


async def _copied(connection: Any, versions: Sequence[NewVersion], updated: Any, digests: Mapping[str, int]) -> None:
    """The rows of new resources and of all that finds them. `digests`: by which definitions each type was indexed."""
    records = []
    indexed: list[list[tuple[Any, ...]]] = [[] for _ in TABLES]
    buckets: dict[str, int] = {}
    for version in versions:
        rows = version.rows
        assert rows is not None
        named = rows.patient or version.id
        bucket = buckets.get(named)
        if bucket is None:
            bucket = buckets[named] = bucket_of(named)
        own = {"rid": version.rid, "patient": version.patient, "date": version.date, "bucket": bucket}
        records.append(
            (version.rid, version.patient, own["date"], updated, version.version, type_number(version.type), bucket,
             rows.security or None, version.id, version.body, digests[version.type])
        )  # fmt: skip
        for table, into in zip(TABLES, indexed, strict=True):
            found = getattr(rows, table.rows)
            if found:
                first = tuple([own[name] for name in table.own])
                into += [first + row for row in found]
    await connection.copy_records_to_table("resource", records=records, columns=_RESOURCE)
    for table, into in zip(TABLES, indexed, strict=True):
        if into:
            names = (*table.own, *(name for name, _ in table.columns))
            if table.name == "index_reference":  # asyncpg writes a "char" as bytes
                into = [(*row[:-1], row[-1].encode()) for row in into]
            await connection.copy_records_to_table(table.name, records=into, columns=names)
    if any(version.rows is not None and version.rows.contained for version in versions):
        await write_inside(connection, versions, {})
