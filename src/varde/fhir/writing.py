"""Creating, replacing and deleting: rights, versions, projections and the log. Part of the Store.

The SQL of writing is `write.py`'s; what is written on a condition is in `conditional.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import orjson

from varde.fhir import splice
from varde.fhir.definitions import is_type, type_name, type_number
from varde.fhir.errors import BadRequest, Forbidden, NotFound, Overtaken, PreconditionFailed, Unprocessable
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.keys import bucket_of, new_id, resource_key
from varde.fhir.model import ANY_VERSION, ProjectedRow, Stored, Written
from varde.fhir.reading import ABSENT, SELECT, Reading, stored
from varde.fhir.validate import validate
from varde.fhir.write import NewVersion, prepare, write

Resource = Mapping[str, Any] | bytes
_Result = TypeVar("_Result")
ATTEMPTS = 8
"""Tries of a write that others overtake."""
RETRIED = (Overtaken, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")


@dataclass(slots=True)
class Item:
    """One resource to be written: its text as it came (None: made from `parsed`), its id and condition."""

    body: bytes | None
    parsed: dict[str, Any]
    id: str | None = None
    if_match: int | None = None


class Writing(Reading):
    """create, update, delete and the fast lane of many at once."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, for use cases of several steps."""
        async with self.database.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def within(self, connection: Any | None) -> AsyncIterator[Any]:
        """The caller's transaction, or one of its own."""
        if connection is not None:
            yield connection
        else:
            async with self.database.transaction() as own:
                yield own

    async def retried(self, connection: Any | None, work: Callable[[Any], Awaitable[_Result]]) -> _Result:
        """`work` in the caller's transaction, or in one of its own: then tried again when others were in the way
        (two writers created the same id at once; what a condition named was changed). Raises Overtaken when that
        goes on."""
        if connection is not None:
            return await work(connection)
        for _ in range(ATTEMPTS):
            with suppress(*RETRIED):
                async with self.database.transaction() as own:
                    return await work(own)
        raise Overtaken.of("other writers were in the way every time; try again")

    async def update(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        resource: Resource,
        *,
        if_match: int | None = None,
        upsert: bool = True,
        connection: Any = None,
    ) -> Written:
        """Replace a resource, or, unless `upsert` is False, create it under this id when it is not there.

        Raises Unprocessable, PreconditionFailed when `if_match` is not the current version, NotFound for what
        exists and may not be seen (and, without `upsert`, for what is not there: the two are alike), Forbidden.
        """
        body, parsed = read_resource(resource)
        if type_of(parsed) != resource_type:
            raise BadRequest.of("the resource is not of the type in the address")
        if parsed.get("id") != resource_id:
            raise BadRequest.of("the resource's id is not the one in the address", "Resource.id")
        await self.allow(gate, Interaction.UPDATE, resource_type)
        items = [Item(body, parsed, resource_id, if_match)]

        async def work(own: Any) -> Written:
            return (await self._write(gate, own, items, Interaction.UPDATE, upsert=upsert))[0]

        return await self.retried(connection, work)

    async def write_many(
        self,
        gate: Gate,
        resources: Sequence[Resource],
        *,
        connection: Any = None,
        checked: bool = False,
        admitted: bool = False,
        upsert: bool | Collection[str] = True,
    ) -> list[Written]:
        """Create, or where an id is given update, many resources in one statement, all or none.

        `checked` says that the caller validated them, `admitted` that it called `allow` for each; `upsert` as in
        `update`, or the references ("Type/id") that may be new. Raises as `update` does.
        """
        if not resources:
            return []
        items = []
        for resource in resources:
            body, parsed = read_resource(resource)
            if not admitted:
                await self.allow(gate, Interaction.UPDATE, type_of(parsed))
            items.append(Item(body, parsed, parsed.get("id")))

        async def work(own: Any) -> list[Written]:
            return await self._write(gate, own, items, Interaction.UPDATE, checked=checked, upsert=upsert)

        return await self.retried(connection, work)

    async def write_parsed(
        self, gate: Gate, resources: Sequence[tuple[dict[str, Any], bytes]], *, connection: Any = None
    ) -> list[Written]:
        """Like `write_many`, for (parsed and validated, its text) with ids: the lane of loading. What is there
        already with the same text is left alone: Written.changed is False."""
        items = []
        for parsed, text in resources:
            await self.allow(gate, Interaction.UPDATE, type_of(parsed))
            items.append(Item(text, parsed, parsed["id"]))

        async def work(own: Any) -> list[Written]:
            return await self._write(gate, own, items, Interaction.UPDATE, checked=True, skip_same=True)

        return await self.retried(connection, work) if items else []

    async def delete(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        *,
        if_match: int | None = None,
        upsert: bool = True,
        connection: Any = None,
    ) -> int | None:
        """Delete a resource; its history stays. The version that says so, None when it was not there: that is no
        error (R4 3.1.0.7), except without `upsert`: then it is NotFound, as is what may not be seen.

        Raises PreconditionFailed when `if_match` is not the current version, NotFound, Forbidden.
        """
        await self.allow(gate, Interaction.DELETE, resource_type)

        async def work(own: Any) -> int | None:
            deleted = await self._delete(gate, own, resource_type, [resource_id], if_match, upsert=upsert)
            return deleted[0].version if deleted else None

        return await self.retried(connection, work)

    async def hold(self, connection: Any, references: Sequence[str]) -> dict[str, int]:
        """Lock the rows of `references` ("Type/id") in the order of their keys, so that transactions which
        write the same resources wait for one another and never deadlock. Their versions, of those not deleted."""
        by_key = {resource_key(*reference.split("/", 1)): reference for reference in references}
        rows = await connection.fetch(
            "select rid, version, deleted from resource where rid = any($1::bigint[]) order by rid for update",
            sorted(by_key),
        )
        return {by_key[row["rid"]]: row["version"] for row in rows if not row["deleted"]}

    async def _lock(self, gate: Gate, connection: Any, rids: Sequence[int]) -> dict[int, Any]:
        """The current rows of `rids`, locked in key order, with whether the gate lets them be changed."""
        parameters = Parameters()
        keys = parameters.add(list(rids))
        predicate = gate.write_predicate("r", "*", parameters)
        readable = gate.predicate("r", None, parameters)
        rows = await connection.fetch(
            f"select {SELECT}, r.date, r.bucket, r.security, r.indexed, ({predicate}) as writable,"
            f" ({readable}) as visible from resource r where r.rid = any({keys}::bigint[])"
            " order by r.rid for update of r",
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
        now = self.clock.now()
        every: list[NewVersion] = []
        given: list[int] = []
        for item in items:
            if not checked:
                validate(item.parsed)
            if item.id is not None:
                check_id(item.id)
            made = item.id or new_id(bucket_for(item.parsed))
            every.append(NewVersion(item.parsed["resourceType"], made, 1, item.body, item.parsed))
            if item.id is not None:
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
            elif item.id is not None and not _may_be_new(f"{version.type}/{version.id}", upsert):
                await self._refuse(gate, interaction, version.type, [version.id], [])
            check_version(row, item.if_match)
        versions = [version for version in every if version.rid not in same] if same else every
        if not versions:
            return list(same.values())
        await prepare(connection, versions)
        await self._may_keep(gate, connection, versions)
        for version in versions:
            assert version.resource is not None
            if version.body is None:
                version.body = splice.stamped(version.resource, version.id, version.version, now)
            else:
                version.body = splice.stamp(version.body, version.id, version.version, now)
        try:
            # In key order, so that writers of the same new resources wait for one another and never deadlock.
            adopted = await write(connection, sorted(versions, key=lambda version: version.rid), now)
        except asyncpg.UniqueViolationError:
            raise Overtaken.of("another writer created the resource at the same time") from None
        await self._project(connection, versions)
        await self._project_adopted(connection, adopted)
        await self._record(gate, connection, versions, interaction)
        return [
            same.get(v.rid)
            or Written(
                Stored(v.rid, v.type, v.id, v.version, now, False, v.body or b"", v.patient),
                created=v.old is None,
            )
            for v in every
        ]

    async def _may_change(
        self, gate: Gate, row: Any, resource_type: str, resource_id: str, interaction: Interaction
    ) -> None:
        if row["writable"]:
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

    async def _may_keep(self, gate: Gate, connection: Any, versions: Sequence[NewVersion]) -> None:
        """Refuse new content that the writer would have no right to write: somebody else's patient."""
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
            await write(connection, sorted(versions, key=lambda version: version.rid), self.clock.now())
            await self._project(connection, versions)
            await self._record(gate, connection, versions, Interaction.DELETE)
        return versions

    async def _project(self, connection: Any, versions: Sequence[NewVersion]) -> None:
        for projection in self.projections:
            rows = [
                ProjectedRow(
                    v.rid, v.type, v.id, v.patient,
                    dict(v.old) if v.old is not None else None,
                    dict(v.resource) if v.resource is not None else None,
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

    @staticmethod
    async def _record(gate: Gate, connection: Any, versions: Sequence[NewVersion], interaction: Interaction) -> None:
        by_type: dict[str, list[NewVersion]] = {}
        for version in versions:
            by_type.setdefault(version.type, []).append(version)
        for kind, group in by_type.items():
            patients = sorted({v.patient for v in group if v.patient is not None})
            await gate.record(Disclosure(interaction, kind, [v.id for v in group], patients), connection)


def read_resource(resource: Resource) -> tuple[bytes | None, dict[str, Any]]:
    """(text or None, parsed). Raises BadRequest for no JSON object."""
    if isinstance(resource, bytes):
        return resource, splice.parse(resource)
    return None, dict(resource)


def type_of(parsed: Mapping[str, Any]) -> str:
    """The resource's type. Raises Unprocessable when it is none of R4."""
    kind = parsed.get("resourceType")
    if not is_type(kind):
        raise Unprocessable.of("resourceType names no resource type of R4", "Resource.resourceType", "structure")
    return str(kind)


def is_id(identifier: object) -> bool:
    """Whether it has the form of a resource id."""
    return isinstance(identifier, str) and 1 <= len(identifier) <= 64 and set(identifier) <= _ID


def check_version(row: Any, wanted: int | None) -> None:
    """Raise PreconditionFailed unless the current row (None: there is none) is the version that a write expects;
    `wanted` may be ANY_VERSION or NO_VERSION."""
    current = 0 if row is None or row["deleted"] else row["version"]
    if wanted is not None and not (current > 0 if wanted == ANY_VERSION else current == wanted):
        raise PreconditionFailed.of(
            "If-Match names another version than the current one" if wanted else "the resource is there already"
        )


def check_id(identifier: object) -> None:
    """Raise BadRequest unless `identifier` has the form of a resource id."""
    if not is_id(identifier):
        raise BadRequest.of("an id has 1 to 64 letters, digits, hyphens and full stops", "Resource.id", "value")
    if len(str(identifier)) == 11 and str(identifier).isdigit():
        # It could be a person's number, and ids stand in addresses and logs.
        raise BadRequest.of("an id of eleven digits is not taken", "Resource.id", "value")


def bucket_for(parsed: Mapping[str, Any]) -> int | None:
    """The bucket of the patient that the resource is about, as far as a glance tells."""
    for member in ("subject", "patient", "beneficiary", "for"):
        reference = parsed.get(member)
        if isinstance(reference, dict):
            literal = reference.get("reference")
            if isinstance(literal, str) and literal.startswith("Patient/"):
                return bucket_of(literal.removeprefix("Patient/"))
    return None


def _is_same(row: Any, item: Item) -> bool:
    """Whether the row holds the item's very text already."""
    if row["deleted"] or item.body is None:
        return False
    return splice.stamp(item.body, row["id"], row["version"], row["updated"]) == bytes(row["body"])


def _may_be_new(reference: str, upsert: bool | Collection[str]) -> bool:
    return upsert if isinstance(upsert, bool) else reference in upsert
