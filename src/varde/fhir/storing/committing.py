"""From resources that somebody wants to write to rows: rights, versions, projections and the log. Part of the Store.

All steps are inside the caller's transaction. The SQL of writing is write.py's, what callers use is writing.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from varde.fhir import splice
from varde.fhir.definitions import type_name, type_number
from varde.fhir.errors import BadRequest, Forbidden, NotFound, Overtaken, PreconditionFailed, Unprocessable
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters, logging_gate
from varde.fhir.ids import bucket_for, check_id
from varde.fhir.keys import new_id, resource_key
from varde.fhir.model import ANY_VERSION, ProjectedRow, Stored, Written
from varde.fhir.storing.reading import ABSENT, SELECT, Reading, stored
from varde.fhir.storing.versions import NewVersion, prepare
from varde.fhir.storing.write import write


@dataclass(slots=True)
class Item:
    """One resource to be written: its text as it came (None: made from `parsed`), its id and condition."""

    body: bytes | None
    parsed: dict[str, Any]
    id: str | None = None
    if_match: int | None = None
    new: bool = False
    """Whether the id was made here just now, so that nothing can be there."""


class Committing(Reading):
    """The steps of a write."""

    async def hold(self, connection: Any, references: Sequence[str]) -> dict[str, int]:
        """Lock the rows of `references` ("Type/id") in the order of their keys, so that transactions which
        write the same resources wait for one another and never deadlock. Their versions, of those not deleted."""
        if not references:
            return {}
        by_key = {resource_key(*reference.split("/", 1)): reference for reference in references}
        rows = await connection.fetch(
            "select rid, version, deleted from resource where rid = any($1::bigint[]) order by rid for update",
            sorted(by_key),
        )
        return {by_key[row["rid"]]: row["version"] for row in rows if not row["deleted"]}

    async def _lock(self, gate: Gate, connection: Any, rids: Sequence[int], *, wait: bool = True) -> dict[int, Any]:
        """The current rows of `rids`, locked in key order, with whether the gate lets them be changed. Without
        `wait` those that somebody else holds are left out."""
        parameters = Parameters()
        keys = parameters.add(list(rids))
        predicate = gate.write_predicate("r", "*", parameters)
        readable = gate.predicate("r", None, parameters)
        rows = await connection.fetch(
            f"select {SELECT}, r.date, r.bucket, r.security, r.indexed, ({predicate}) as writable,"
            f" ({readable}) as visible from resource r where r.rid = any({keys}::bigint[])"
            f" order by r.rid for update of r{'' if wait else ' skip locked'}",
            *parameters.values,
        )
        return {row["rid"]: row for row in rows}

    async def _write(
        self,
        gate: Gate,
        connection: Any,
        items: Sequence[Item],
        interaction: Interaction,
        *,
        checked: bool = False,
        upsert: bool | Collection[str] = True,
        skip_same: bool = False,
    ) -> list[Written]:
        if self.custom.due:
            await self.custom.refresh(connection)
        every: list[NewVersion] = []
        given: list[int] = []
        for item in items:
            if not checked and (faults := await self.faults_of(item.parsed, connection)):
                raise Unprocessable(faults)
            every.append(new_version(item))
            if item.id is not None and not item.new:
                given.append(every[-1].rid)
        if len(set(given)) != len(given):
            raise BadRequest.of("the same resource is written twice in one transaction", code="duplicate")
        present = await self._lock(gate, connection, given) if given else {}
        same: dict[int, Written] = {}
        for version, item in zip(every, items, strict=True):
            row = present.get(version.rid)
            if row is not None:
                await self._may_change(gate, row, version.type, version.id, interaction)
                if skip_same and _is_same(row, item):
                    same[version.rid] = Written(stored(row), created=False, changed=False)
                version.follow(row)
            elif item.id is not None and not item.new and not _may_be_new(f"{version.type}/{version.id}", upsert):
                await self._refuse(gate, interaction, version.type, [version.id], [])
            check_version(row, item.if_match)
        versions = [version for version in every if version.rid not in same] if same else every
        if not versions:
            return list(same.values())
        written = await self._keep(gate, connection, versions, interaction, by_type(versions, interaction))
        return [same.get(v.rid) or written[v.rid] for v in every]

    async def _keep(
        self,
        gate: Gate,
        connection: Any,
        versions: Sequence[NewVersion],
        interaction: Interaction,
        told: Callable[[], Sequence[Disclosure]],
    ) -> dict[int, Written]:
        """Write versions that are judged, all or none, by rid; `told` is what the access log is to say of it, once
        the patients are known. Raises Forbidden for what the writer has no right to write, Overtaken."""
        now = self.clock.now()
        await prepare(connection, versions)
        await self._may_keep(gate, connection, versions, interaction)
        for version in versions:
            assert version.resource is not None
            if version.body is None:
                version.body = splice.stamped(version.resource, version.id, version.version, now)
            else:
                version.body = splice.stamp(version.body, version.id, version.version, now, version.resource)
        await self._put(gate, connection, versions, now, told)
        return {
            v.rid: Written(
                Stored(v.rid, v.type, v.id, v.version, now, False, v.body or b"", v.patient), created=v.old is None
            )
            for v in versions
        }

    async def _put(
        self,
        gate: Gate,
        connection: Any,
        versions: Sequence[NewVersion],
        now: datetime,
        told: Callable[[], Sequence[Disclosure]],
    ) -> None:
        """Rows, derived tables and the access log."""
        logging = logging_gate(gate)
        log = None if logging is None else lambda parameters: logging.log_values(told(), parameters)
        try:
            # In key order, so that writers of the same new resources wait for one another and never deadlock.
            adopted = await write(connection, sorted(versions, key=lambda version: version.rid), now, log)
        except asyncpg.UniqueViolationError:
            raise Overtaken.of("another writer created the resource at the same time") from None
        await self._project(gate, connection, versions)
        await self._project_adopted(connection, adopted)
        if logging is None:
            for disclosure in told():
                await gate.record(disclosure, connection)

    async def _may_change(
        self, gate: Gate, row: Any, resource_type: str, resource_id: str, interaction: Interaction
    ) -> None:
        former = row["body"]  # none of what was deleted
        if row["writable"] and (not former or gate.admits(interaction, resource_type, former)):
            return
        patients = [row["patient"]] if row["patient"] is not None else []
        if not row["visible"]:
            await self._refuse(gate, interaction, resource_type, [resource_id], patients)
        await gate.record(Disclosure(interaction, resource_type, [resource_id], patients, allowed=False), None)
        raise Forbidden.of("you may read this resource, but not change it")

    @staticmethod
    async def _refuse(
        gate: Gate, interaction: Interaction, resource_type: str, ids: Sequence[str], patients: Sequence[int]
    ) -> None:
        """Log the try (outside the transaction that now fails) and raise NotFound."""
        await gate.record(Disclosure(interaction, resource_type, ids, patients, allowed=False), None)
        raise NotFound.of(ABSENT)

    async def _may_keep(
        self, gate: Gate, connection: Any, versions: Sequence[NewVersion], interaction: Interaction
    ) -> None:
        """Refuse new content that the writer would have no right to write: somebody else's patient, or content
        that a scope does not open."""
        for version in versions:
            assert version.resource is not None
            if not gate.admits(interaction, version.type, version.resource) and (
                version.exists or not gate.admits(Interaction.CREATE, version.type, version.resource)
            ):
                patients = [version.patient] if version.patient is not None else []
                await gate.record(Disclosure(interaction, version.type, [], patients, allowed=False), None)
                raise Forbidden.of("you may not write this resource")
        parameters = Parameters()
        predicate = gate.write_predicate("n", "*", parameters)
        if predicate == "true":
            return
        add = parameters.add
        refused = await connection.fetch(
            "select n.rid, n.patient, n.id from (select rid, patient, type, bucket, id,"
            " case when security = '' then null else string_to_array(security, E'\\x1f') end as security from unnest("
            f"{add([v.rid for v in versions])}::bigint[], {add([v.patient for v in versions])}::bigint[],"
            f" {add([type_number(v.type) for v in versions])}::smallint[],"
            f" {add([v.bucket for v in versions])}::smallint[], {add([v.id for v in versions])}::text[],"
            f" {add([chr(31).join(v.security) for v in versions])}::text[])"
            f" as u(rid, patient, type, bucket, id, security)) n where not coalesce(({predicate}), false)",
            *parameters.values,
        )
        if refused:
            patients = sorted({row["patient"] for row in refused if row["patient"] is not None})
            kinds = {v.rid: v.type for v in versions}
            await gate.record(
                Disclosure(Interaction.CREATE, kinds[refused[0]["rid"]], [], patients, allowed=False), None
            )
            raise Forbidden.of("you may not write this resource")

    async def _delete(
        self,
        gate: Gate,
        connection: Any,
        resource_type: str,
        ids: Sequence[str],
        if_match: int | None,
        *,
        upsert: bool = True,
    ) -> list[NewVersion]:
        rows = await self._lock(gate, connection, [resource_key(resource_type, i) for i in ids])
        versions: list[NewVersion] = []
        for identifier in ids:
            row = rows.get(resource_key(resource_type, identifier))
            if row is not None:
                await self._may_change(gate, row, resource_type, identifier, Interaction.DELETE)
            elif not upsert:
                await self._refuse(gate, Interaction.DELETE, resource_type, [identifier], [])
            check_version(row, if_match)
            if row is None or row["deleted"]:
                continue
            version = NewVersion(resource_type, identifier, 1, None, None)
            version.follow(row)
            version.patient = row["patient"]
            versions.append(version)
        if versions:
            await self._put(gate, connection, versions, self.clock.now(), by_type(versions, Interaction.DELETE))
        return versions

    async def _project(self, gate: Gate, connection: Any, versions: Sequence[NewVersion]) -> None:
        for projection in self.projections:
            rows = [
                ProjectedRow(
                    v.rid, v.type, v.id, v.patient,
                    dict(v.old) if v.old is not None else None,
                    dict(v.resource) if v.resource is not None else None,
                    v.version, v.by or gate,
                )
                for v in versions
                if v.type in projection.types
            ]  # fmt: skip
            if rows:
                await projection.written(connection, rows)

    async def _project_adopted(self, connection: Any, rids: Sequence[int]) -> None:
        """What became a patient's without being written: derived tables hear of it as of a change."""
        if not rids or not self.projections:
            return
        found = await connection.fetch(
            "select rid, type, id, patient, body from resource where rid = any($1::bigint[]) and not deleted",
            list(rids),
        )
        for projection in self.projections:
            rows = [
                ProjectedRow(
                    row["rid"], kind, row["id"], row["patient"], orjson.loads(row["body"]), orjson.loads(row["body"])
                )
                for row in found
                if (kind := type_name(row["type"])) in projection.types
            ]
            if rows:
                await projection.written(connection, rows)


def new_version(item: Item, by: Gate | None = None) -> NewVersion:
    """The first version of what `item` makes, with an id unless it has one; `by` as in NewVersion. Raises BadRequest
    for an id's form."""
    if item.id is not None:
        check_id(item.id)
    made = item.id or new_id(bucket_for(item.parsed))
    return NewVersion(item.parsed["resourceType"], made, 1, item.body, item.parsed, by=by)


def check_version(row: Any, wanted: int | None) -> None:
    """Raise PreconditionFailed unless the current row (None: there is none) is the version that a write expects;
    `wanted` may be ANY_VERSION or NO_VERSION."""
    current = 0 if row is None or row["deleted"] else row["version"]
    if wanted is not None and not (current > 0 if wanted == ANY_VERSION else current == wanted):
        raise PreconditionFailed.of(
            "If-Match names another version than the current one" if wanted else "the resource is there already"
        )


def one_each(versions: Sequence[NewVersion], interaction: Interaction) -> Callable[[], list[Disclosure]]:
    """What the log says of versions that were written by a request each."""

    def told() -> list[Disclosure]:
        return [Disclosure(interaction, v.type, [v.id], [] if v.patient is None else [v.patient]) for v in versions]

    return told


def by_type(versions: Sequence[NewVersion], interaction: Interaction) -> Callable[[], list[Disclosure]]:
    """What the log says of versions that were written by one request: a disclosure a type."""

    def told() -> list[Disclosure]:
        by_type: dict[str, list[NewVersion]] = {}
        for version in versions:
            by_type.setdefault(version.type, []).append(version)
        return [
            Disclosure(
                interaction, kind, [v.id for v in group], sorted({v.patient for v in group if v.patient is not None})
            )
            for kind, group in by_type.items()
        ]

    return told


def _is_same(row: Any, item: Item) -> bool:
    """Whether the row holds the item's very text already."""
    if row["deleted"] or item.body is None:
        return False
    return splice.stamp(item.body, row["id"], row["version"], row["updated"]) == bytes(row["body"])


def _may_be_new(reference: str, upsert: bool | Collection[str]) -> bool:
    return upsert if isinstance(upsert, bool) else reference in upsert
