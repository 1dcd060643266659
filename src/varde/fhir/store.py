"""The FHIR store: every read and write of a resource, each through a gate. Knows no service and no law.

One transaction holds the resource, its history, its search rows, what other floors derive from it, and the
access log. HTTP is `rest.py`'s; the SQL of writing is `write.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from varde.clock import Clock
from varde.db import Database
from varde.fhir import splice
from varde.fhir.definitions import is_type, search_parameters, type_name, type_number
from varde.fhir.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.keys import bucket_of, new_id, resource_key
from varde.fhir.model import Entry, Page, ProjectedRow, Projection, Stored, Written
from varde.fhir.search.extract import extract
from varde.fhir.search.parse import Include, Search, parse
from varde.fhir.search.sql import COLUMNS, compile_search, cursor
from varde.fhir.validate import validate
from varde.fhir.write import NewVersion, prepare, write

ABSENT = "the resource does not exist"
_ATTEMPTS = 3
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")
_SELECT = ", ".join(f"r.{c}" for c in COLUMNS.split(", "))
Resource = Mapping[str, Any] | bytes


def stored(row: Any) -> Stored:
    """A database row as a Stored."""
    return Stored(
        row["rid"], type_name(row["type"]), row["id"], row["version"], row["updated"], row["deleted"],
        row["body"] or b"", row["patient"],
    )  # fmt: skip


class Store:
    """The one store. Every method takes the gate of whoever asks; see `gate.py` for what that means.

    With `connection` a call joins the caller's transaction; without, it is one of its own, and what it shows
    is in the access log, durably, before it returns.
    """

    def __init__(self, database: Database, clock: Clock, projections: Sequence[Projection] = ()) -> None:
        self.database = database
        self.clock = clock
        self.projections = tuple(projections)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, for use cases of several steps."""
        async with self.database.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def _within(self, connection: Any | None) -> AsyncIterator[Any]:
        if connection is not None:
            yield connection
        else:
            async with self.database.transaction() as own:
                yield own

    # Reading

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
        await self._allow(gate, Interaction.READ, resource_type)
        parameters = Parameters()
        rid = parameters.add(resource_key(resource_type, resource_id))
        predicate = gate.predicate("r", resource_type, parameters)
        lock = " for update of r" if for_update else ""
        sql = f"select {_SELECT}, ({predicate}) as visible from resource r where r.rid = {rid}{lock}"
        if connection is None:
            async with self.database.connection() as own:
                row = await own.fetchrow(sql, *parameters.values)
        else:
            row = await connection.fetchrow(sql, *parameters.values)
        return await self._shown(gate, Interaction.READ, resource_type, resource_id, row, connection)

    async def vread(
        self, gate: Gate, resource_type: str, resource_id: str, version: int, *, connection: Any = None
    ) -> Stored:
        """One version. Raises NotFound, Gone (a version that deleted), Forbidden."""
        await self._allow(gate, Interaction.VREAD, resource_type)
        parameters = Parameters()
        rid = parameters.add(resource_key(resource_type, resource_id))
        number = parameters.add(version)
        current = gate.predicate("r", resource_type, parameters)
        former = gate.predicate("h", resource_type, parameters)
        columns = COLUMNS
        sql = (
            f"select {columns}, ({current}) as visible from resource r where rid = {rid} and version = {number}::int"
            f" union all select {columns}, (({former}) and exists (select 1 from resource r where r.rid = h.rid"
            f" and ({current}))) as visible from resource_history h"
            f" where rid = {rid} and version = {number}::int"
        )
        async with self._reading(connection) as own:
            row = await own.fetchrow(sql, *parameters.values)
        return await self._shown(gate, Interaction.VREAD, resource_type, resource_id, row, connection)

    @asynccontextmanager
    async def _reading(self, connection: Any | None) -> AsyncIterator[Any]:
        if connection is not None:
            yield connection
        else:
            async with self.database.connection() as own:
                yield own

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
        if not visible:
            raise NotFound.of(ABSENT)
        if row["deleted"]:
            raise Gone.of("the resource was deleted")
        return stored(row)

    @staticmethod
    async def _allow(gate: Gate, interaction: Interaction, resource_type: str | None) -> None:
        if resource_type is not None and not is_type(resource_type):
            raise NotFound.of("no such resource type", code="not-supported")
        if not gate.allows(interaction, resource_type or "*"):
            await gate.record(Disclosure(interaction, resource_type or "*", [], [], allowed=False), None)
            raise Forbidden.of("this is not open to you")

    async def admit(self, gate: Gate, interaction: Interaction, resource_type: str) -> None:
        """Raises Forbidden, after logging it, where the gate does not let this be tried at all."""
        await self._allow(gate, interaction, resource_type)

    async def search(
        self,
        gate: Gate,
        resource_type: str | None,
        query: str | Sequence[tuple[str, str]],
        *,
        compartment: str | None = None,
        lenient: bool = False,
        connection: Any = None,
    ) -> Page:
        """One page of the resources that match and may be seen, with what they include.

        `compartment` is the id of a Patient to whose compartment the search is held. Raises BadRequest.
        """
        await self._allow(gate, Interaction.SEARCH, resource_type)
        search = parse(resource_type, query, lenient=lenient)
        page = Page([], warnings=search.warnings)
        async with self._reading(connection) as own:
            rows: list[Any] = []
            if search.count and search.summary != "count":
                statement = compile_search(gate, search, self.clock.now(), compartment=compartment)
                rows = await self._fetch(own, statement.sql, statement.values)
                if len(rows) > search.count:
                    rows = rows[: search.count]
                    page.next = cursor(rows[-1], statement.keys)
                page.entries = [Entry(stored(row)) for row in rows]
                if page.next is None and search.page is None:
                    page.total = len(rows)
            if page.total is None and (
                search.total in {"accurate", "estimate"} or search.summary == "count" or not search.count
            ):
                count = compile_search(gate, search, self.clock.now(), compartment=compartment, counting=True)
                page.total = (await self._fetch(own, count.sql, count.values))[0][0]
            if search.total == "none":
                page.total = None
            if search.includes and rows:
                page.entries += await self._included(own, gate, search, [e.stored for e in page.entries])
        asked = sorted({name.partition(":")[0] for name in _names(query)})
        await gate.record(
            Disclosure(
                Interaction.SEARCH,
                resource_type or "*",
                [entry.stored.reference for entry in page.entries],
                sorted({e.stored.patient for e in page.entries if e.stored.patient is not None}),
                query="&".join(f"{name}=" for name in asked),
            ),
            connection,
        )
        return page

    @staticmethod
    async def _fetch(connection: Any, sql: str, values: list[Any]) -> list[Any]:
        try:
            return list(await connection.fetch(sql, *values))
        except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError):
            raise BadRequest.of("a value of the search is out of range") from None

    async def _included(self, connection: Any, gate: Gate, search: Search, found: list[Stored]) -> list[Entry]:
        seen = {item.rid for item in found}
        out: list[Entry] = []
        frontier = found
        for round_number in range(5):
            wanted = [i for i in search.includes if round_number == 0 or i.iterate]
            fresh: list[Stored] = []
            for include in wanted:
                for row in await self._one_include(connection, gate, include, frontier):
                    if row["rid"] not in seen:
                        seen.add(row["rid"])
                        fresh.append(stored(row))
            out += [Entry(item, "include") for item in fresh]
            if not fresh or not any(i.iterate for i in search.includes):
                break
            frontier = fresh
        return out

    async def _one_include(self, connection: Any, gate: Gate, include: Include, found: list[Stored]) -> list[Any]:
        parameters = Parameters()
        if include.reverse:
            rids = parameters.add([item.rid for item in found])
            if include.code == "*":
                test = "true"
            else:
                key = parameters.add(search_parameters(include.source)[include.code].key)
                test = f"f.param = {key}::int"
            kind = include.source or None
            predicate = gate.predicate("r", kind, parameters)
            narrowed = f" and r.type = {parameters.add(type_number(kind))}::smallint" if kind else ""
            sql = (
                f"select distinct on (r.rid) {_SELECT} from index_reference f join resource r on r.rid = f.rid"
                f" where f.target = any({rids}::bigint[]) and f.form = 'l' and {test}{narrowed}"
                f" and not r.deleted and ({predicate}) order by r.rid limit 1000"
            )
            return await self._fetch(connection, sql, parameters.values)
        keys = None
        if include.code != "*":
            keys = {search_parameters(include.source)[include.code].key}
        targets: set[int] = set()
        for item in found:
            if include.source and item.type != include.source:
                continue
            for param, target, number, form in extract(item.type, item.resource).references:
                if form == "l" and (keys is None or param in keys):
                    if include.target and number != type_number(include.target):
                        continue
                    targets.add(target)
        if not targets:
            return []
        rids = parameters.add(sorted(targets))
        predicate = gate.predicate("r", include.target, parameters)
        sql = (
            f"select {_SELECT} from resource r where r.rid = any({rids}::bigint[]) and not r.deleted and ({predicate})"
        )
        return await self._fetch(connection, sql, parameters.values)

    async def history(
        self,
        gate: Gate,
        resource_type: str | None = None,
        resource_id: str | None = None,
        *,
        since: datetime | None = None,
        at: tuple[datetime, datetime] | None = None,
        count: int = 20,
        page: str | None = None,
        connection: Any = None,
    ) -> Page:
        """Versions, newest first, of one resource, one type or everything. Raises NotFound for one that was
        never there or may not be seen, BadRequest for a wrong page key."""
        await self._allow(gate, Interaction.HISTORY, resource_type)
        parameters = Parameters()
        where = []
        if resource_type is not None and resource_id is not None:
            where.append(f"r.rid = {parameters.add(resource_key(resource_type, resource_id))}")
        elif resource_type is not None:
            where.append(f"r.type = {parameters.add(type_number(resource_type))}::smallint")
        if since is not None:
            where.append(f"r.updated >= {parameters.add(since)}")
        if at is not None:
            where.append(f"r.updated < {parameters.add(at[1])}")
        if page is not None:
            if not page.isdigit() or len(page) > 18:
                raise BadRequest.of("_page is not a page key of this history")
            where.append(f"r.seq < {parameters.add(int(page))}::bigint")
        predicate = gate.predicate("r", resource_type, parameters)
        where.append(f"({predicate})")
        # A former version is shown to those only who may see the current one: withheld since, or another patient's.
        current = gate.predicate("c", resource_type, parameters)
        now_visible = f"exists (select 1 from resource c where c.rid = r.rid and ({current}))"
        limit = parameters.add(count + 1)
        parts = [
            f"(select {COLUMNS} from {table} r where {' and '.join([*where, *more])} order by seq desc limit {limit})"
            for table, more in (("resource", ()), ("resource_history", (now_visible,)))
        ]
        sql = f"select * from ({' union all '.join(parts)}) v order by seq desc limit {limit}"
        async with self._reading(connection) as own:
            rows = await self._fetch(own, sql, parameters.values)
        result = Page([])
        if len(rows) > count:
            rows = rows[:count]
            result.next = str(rows[-1]["seq"]) if rows else None
        for row in rows:
            method = "DELETE" if row["deleted"] else "POST" if row["version"] == 1 else "PUT"
            result.entries.append(Entry(stored(row), method=method))
        patients = sorted({row["patient"] for row in rows if row["patient"] is not None})
        ids = [entry.stored.reference for entry in result.entries]
        empty = resource_id is not None and not rows and page is None and since is None and at is None
        await gate.record(
            Disclosure(Interaction.HISTORY, resource_type or "*", ids, patients, allowed=not empty),
            connection,
        )
        if empty:
            raise NotFound.of(ABSENT)
        return result

    # Writing

    async def create(
        self,
        gate: Gate,
        resource: Resource,
        *,
        if_none_exist: str | None = None,
        resource_id: str | None = None,
        connection: Any = None,
    ) -> Written:
        """Store a new resource under an id made by the server (or `resource_id`, for callers in this house).

        With `if_none_exist` (a search) nothing is written when one resource matches: Written.changed is False.
        Raises Unprocessable, Forbidden, PreconditionFailed when several match.
        """
        body, parsed = _read(resource)
        kind = _type_of(parsed)
        await self._allow(gate, Interaction.CREATE, kind)
        async with self._within(connection) as own:
            if if_none_exist is not None:
                await _serialize(own, kind, if_none_exist)
                match = await self._one_match(gate, kind, if_none_exist, own)
                if match is not None:
                    return Written(match, created=False, changed=False)
            return (await self._write(gate, own, [(body, parsed, resource_id, None)], Interaction.CREATE))[0]

    async def update(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        resource: Resource,
        *,
        if_match: int | None = None,
        connection: Any = None,
    ) -> Written:
        """Replace a resource, or create it under this id when it is not there (update as create).

        Raises Unprocessable, PreconditionFailed when `if_match` is not the current version, NotFound for what
        exists and may not be seen, Forbidden.
        """
        body, parsed = _read(resource)
        if _type_of(parsed) != resource_type:
            raise BadRequest.of("the resource is not of the type in the address")
        if parsed.get("id") != resource_id:
            raise BadRequest.of("the resource's id is not the one in the address", "Resource.id")
        await self._allow(gate, Interaction.UPDATE, resource_type)
        for attempt in range(_ATTEMPTS):
            try:
                async with self._within(connection) as own:
                    rows = await self._write(gate, own, [(body, parsed, resource_id, if_match)], Interaction.UPDATE)
                    return rows[0]
            except Conflict:
                # Two created the same id at once: the later one now finds it and updates it.
                if connection is not None or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def conditional_update(
        self, gate: Gate, resource_type: str, query: str, resource: Resource, *, connection: Any = None
    ) -> Written:
        """Update the one match of `query`; create when none matches. Raises PreconditionFailed for several."""
        body, parsed = _read(resource)
        if _type_of(parsed) != resource_type:
            raise BadRequest.of("the resource is not of the type in the address")
        await self._allow(gate, Interaction.UPDATE, resource_type)
        if not query:
            raise PreconditionFailed.of("a conditional update names a condition")
        async with self._within(connection) as own:
            await _serialize(own, resource_type, query)
            match = await self._one_match(gate, resource_type, query, own)
            if match is not None and parsed.get("id") not in {None, match.id}:
                raise BadRequest.of("the resource's id is not that of the match", "Resource.id")
            identifier = match.id if match else parsed.get("id")
            return (await self._write(gate, own, [(body, parsed, identifier, None)], Interaction.UPDATE))[0]

    async def write_many(
        self,
        gate: Gate,
        resources: Sequence[Resource],
        *,
        connection: Any = None,
        checked: bool = False,
        admitted: bool = False,
    ) -> list[Written]:
        """Create, or where an id is given update, many resources in one statement, all or none.

        `checked` says that the caller validated them, `admitted` that it called `admit` for each. Raises as
        `update` does.
        """
        if not resources:
            return []
        items = []
        for resource in resources:
            body, parsed = _read(resource)
            if not admitted:
                await self._allow(gate, Interaction.UPDATE, _type_of(parsed))
            items.append((body, parsed, parsed.get("id"), None))
        async with self._within(connection) as own:
            return await self._write(gate, own, items, Interaction.UPDATE, checked=checked)

    async def delete(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        *,
        if_match: int | None = None,
        connection: Any = None,
    ) -> None:
        """Delete a resource; its history stays. Deleting what is not there is no error (R4 3.1.0.7).

        Raises PreconditionFailed when `if_match` is not the current version, NotFound for what may not be
        changed, Forbidden.
        """
        await self._allow(gate, Interaction.DELETE, resource_type)
        async with self._within(connection) as own:
            await self._delete(gate, own, resource_type, [resource_id], if_match)

    async def conditional_delete(
        self, gate: Gate, resource_type: str, query: str, *, multiple: bool = False, connection: Any = None
    ) -> int:
        """Delete the match of `query` (or, with `multiple`, every match); how many were deleted."""
        await self._allow(gate, Interaction.DELETE, resource_type)
        if not query:
            raise PreconditionFailed.of("a conditional delete names a condition")
        async with self._within(connection) as own:
            page = await self.search(gate, resource_type, f"{query}&_count=1000", connection=own)
            if len(page.matches) > 1 and not multiple:
                raise PreconditionFailed.of("the condition matches more than one resource", code="multiple-matches")
            await self._delete(gate, own, resource_type, [m.id for m in page.matches], None)
            return len(page.matches)

    async def _one_match(self, gate: Gate, resource_type: str, query: str, connection: Any) -> Stored | None:
        page = await self.search(gate, resource_type, f"{query}&_count=2", connection=connection)
        if len(page.matches) > 1:
            raise PreconditionFailed.of("the condition matches more than one resource", code="multiple-matches")
        return page.matches[0] if page.matches else None

    async def _lock(self, gate: Gate, connection: Any, rids: Sequence[int]) -> dict[int, Any]:
        """The current rows of `rids`, locked in key order, with whether the gate lets them be changed."""
        parameters = Parameters()
        keys = parameters.add(list(rids))
        predicate = gate.write_predicate("r", "*", parameters)
        readable = gate.predicate("r", None, parameters)
        rows = await connection.fetch(
            f"select {_SELECT}, r.date, ({predicate}) as writable, ({readable}) as visible from resource r"
            f" where r.rid = any({keys}::bigint[]) order by r.rid for update of r",
            *parameters.values,
        )
        return {row["rid"]: row for row in rows}

    async def _write(
        self,
        gate: Gate,
        connection: Any,
        items: Sequence[tuple[bytes | None, dict[str, Any], str | None, int | None]],
        interaction: Interaction,
        *,
        checked: bool = False,
    ) -> list[Written]:
        now = self.clock.now()
        versions: list[NewVersion] = []
        given: list[int] = []
        for body, parsed, identifier, _ in items:
            if not checked:
                validate(parsed)
            if identifier is not None:
                _check_id(identifier)
            made = identifier or new_id(_bucket(parsed))
            versions.append(NewVersion(parsed["resourceType"], made, 1, body, parsed))
            if identifier is not None:
                given.append(versions[-1].rid)
        if len(set(given)) != len(given):
            raise BadRequest.of("the same resource is written twice in one transaction", code="duplicate")
        present = await self._lock(gate, connection, given) if given else {}
        for version, (_, _, _, if_match) in zip(versions, items, strict=True):
            row = present.get(version.rid)
            if row is not None:
                await self._may_change(gate, row, version.type, version.id, interaction)
                version.version = row["version"] + 1
                version.exists = True
                version.old = orjson.loads(row["body"]) if row["body"] else None
                version.old_date, version.old_patient = row["date"], row["patient"]
            if if_match is not None and (row is None or row["deleted"] or row["version"] != if_match):
                raise PreconditionFailed.of("If-Match names another version than the current one")
        await prepare(connection, versions)
        await self._may_keep(gate, connection, versions)
        for version in versions:
            assert version.resource is not None
            source = version.body if version.body is not None else splice.dump(version.resource)
            version.body = splice.stamp(source, version.resource, version.id, version.version, now)
        try:
            await write(connection, versions, now)
        except asyncpg.UniqueViolationError:
            raise Conflict.of("another writer created the resource at the same time") from None
        await self._project(connection, versions)
        await self._record(gate, connection, versions, interaction)
        return [
            Written(
                Stored(v.rid, v.type, v.id, v.version, now, False, v.body or b"", v.patient),
                created=v.old is None,
            )
            for v in versions
        ]

    async def _may_change(
        self, gate: Gate, row: Any, resource_type: str, resource_id: str, interaction: Interaction
    ) -> None:
        if row["writable"]:
            return
        patients = [row["patient"]] if row["patient"] is not None else []
        await gate.record(Disclosure(interaction, resource_type, [resource_id], patients, allowed=False), None)
        if row["visible"]:
            raise Forbidden.of("you may read this resource, but not change it")
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
        self, gate: Gate, connection: Any, resource_type: str, ids: Sequence[str], if_match: int | None
    ) -> None:
        rows = await self._lock(gate, connection, [resource_key(resource_type, i) for i in ids])
        versions: list[NewVersion] = []
        for identifier in ids:
            row = rows.get(resource_key(resource_type, identifier))
            if if_match is not None and (row is None or row["version"] != if_match):
                raise PreconditionFailed.of("If-Match names another version than the current one")
            if row is None:
                continue
            await self._may_change(gate, row, resource_type, identifier, Interaction.DELETE)
            if row["deleted"]:
                continue
            old = orjson.loads(row["body"])
            version = NewVersion(resource_type, identifier, row["version"] + 1, None, None, old, exists=True)
            version.old_date, version.old_patient, version.patient = row["date"], row["patient"], row["patient"]
            version.kept_security = extract(resource_type, old).security
            versions.append(version)
        if versions:
            await write(connection, versions, self.clock.now())
            await self._project(connection, versions)
            await self._record(gate, connection, versions, Interaction.DELETE)

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

    @staticmethod
    async def _record(gate: Gate, connection: Any, versions: Sequence[NewVersion], interaction: Interaction) -> None:
        by_type: dict[str, list[NewVersion]] = {}
        for version in versions:
            by_type.setdefault(version.type, []).append(version)
        for kind, group in by_type.items():
            patients = sorted({v.patient for v in group if v.patient is not None})
            await gate.record(Disclosure(interaction, kind, [v.id for v in group], patients), connection)


def _names(query: str | Sequence[tuple[str, str]]) -> list[str]:
    if isinstance(query, str):
        return [pair.partition("=")[0] for pair in query.split("&") if pair]
    return [name for name, _ in query]


def _read(resource: Resource) -> tuple[bytes | None, dict[str, Any]]:
    if isinstance(resource, bytes):
        return resource, splice.parse(resource)
    return None, dict(resource)


def _type_of(parsed: Mapping[str, Any]) -> str:
    kind = parsed.get("resourceType")
    if not is_type(kind):
        raise Unprocessable.of("resourceType names no resource type of R4", "Resource.resourceType", "structure")
    return str(kind)


def _check_id(identifier: object) -> None:
    if not (isinstance(identifier, str) and 1 <= len(identifier) <= 64 and set(identifier) <= _ID):
        raise BadRequest.of("an id has 1 to 64 letters, digits, hyphens and full stops", "Resource.id", "value")
    if len(identifier) == 11 and identifier.isdigit():
        # It could be a person's number, and ids stand in addresses and logs.
        raise BadRequest.of("an id of eleven digits is not taken", "Resource.id", "value")


def _bucket(parsed: Mapping[str, Any]) -> int | None:
    for member in ("subject", "patient", "beneficiary", "for"):
        reference = parsed.get(member)
        if isinstance(reference, dict):
            literal = reference.get("reference")
            if isinstance(literal, str) and literal.startswith("Patient/"):
                return bucket_of(literal.removeprefix("Patient/"))
    return None


async def _serialize(connection: Any, resource_type: str, query: str) -> None:
    """Let conditional writes with the same condition come one after another."""
    await connection.execute("select pg_advisory_xact_lock($1)", resource_key(resource_type, query))
