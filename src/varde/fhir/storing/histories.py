"""History of one resource, of a type and of everything. Part of the Store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from varde.fhir.definitions import search_parameters, type_name, type_number
from varde.fhir.errors import BadRequest, NotFound
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.model import Entry, Page
from varde.fhir.storing.reading import ABSENT, SELECT, Reading, fetch, stored

_NEXT = (
    "(select least(min(n.updated), min(c.updated)) from (select {rid} as rid, {version} + 1 as version) w"
    " left join resource_history n on n.rid = w.rid and n.version = w.version"
    " left join resource c on c.rid = w.rid and c.version = w.version)"
)
"""When the version after this one was written."""


class Histories(Reading):
    """history."""

    async def history(
        self,
        gate: Gate,
        resource_type: str | None = None,
        resource_id: str | None = None,
        *,
        since: datetime | None = None,
        at: tuple[datetime, datetime] | None = None,
        listed: str | None = None,
        count: int = 20,
        page: str | None = None,
        connection: Any = None,
    ) -> Page:
        """Versions, newest first, of one resource, one type or everything. `at`: those that were current at
        some moment of a half-open period. `listed`: those of the items of the List with this id, as it is now.

        Former versions are seen as in `vread`. Raises NotFound for a resource that was never there or may not
        be seen, BadRequest for a wrong page key.
        """
        await self.allow(gate, Interaction.HISTORY, resource_type)
        parameters = Parameters()
        current = gate.predicate("c", resource_type, parameters)
        predicate = gate.predicate("r", resource_type, parameters)
        where = [f"({predicate})"]
        if resource_type is not None and resource_id is not None:
            where.append(f"r.rid = {parameters.add(resource_key(resource_type, resource_id))}::bigint")
        elif resource_type is not None:
            where.append(f"r.type = {parameters.add(type_number(resource_type))}::smallint")
        if since is not None:
            where.append(f"r.updated >= {parameters.add(since)}")
        if listed is not None:
            where.append(_items(gate, listed, parameters))
        former = list(where)
        if at is not None:
            where.append(f"r.updated < {parameters.add(at[1])}")
            following = _NEXT.format(rid="r.rid", version="r.version")
            former = [*where, f"{following} > {parameters.add(at[0])}"]
        if page is not None:
            if not page.isascii() or not page.isdigit() or len(page) > 18:
                raise BadRequest.of("_page is not a page key of this history")
            last = f"r.seq < {parameters.add(int(page))}::bigint"
            where.append(last)
            former.append(last)
        former.append(f"exists (select 1 from resource c where c.rid = r.rid and ({current}))"
                      if current != "true" else "true")  # fmt: skip
        limit = parameters.add(count + 1)
        parts = [
            f"(select {SELECT} from {table} r where {' and '.join(tests)} order by r.seq desc limit {limit}::bigint)"
            for table, tests in (("resource", where), ("resource_history", former))
        ]
        sql = f"select * from ({' union all '.join(parts)}) v order by seq desc limit {limit}::bigint"
        async with self.reading(connection) as own:
            rows = await fetch(own, sql, parameters.values)
            absent = (
                resource_type is not None
                and resource_id is not None
                and not rows
                and not await _is_seen(own, gate, resource_type, resource_id)
            )
        result = Page([])
        if len(rows) > count:
            rows = rows[:count]
            result.next = str(rows[-1]["seq"]) if rows else None
        rows = [row for row in rows if _is_admitted(gate, row)]
        for row in rows:
            method = "DELETE" if row["deleted"] else "POST" if row["version"] == 1 else "PUT"
            result.entries.append(Entry(stored(row), method=method))
        patients = sorted({row["patient"] for row in rows if row["patient"] is not None})
        ids = [entry.stored.reference for entry in result.entries]
        await gate.record(
            Disclosure(Interaction.HISTORY, resource_type or "*", ids, patients, allowed=not absent),
            connection,
        )
        if absent:
            raise NotFound.of(ABSENT)
        return result


def _is_admitted(gate: Gate, row: Any) -> bool:
    return not row["body"] or gate.admits(Interaction.HISTORY, type_name(row["type"]), row["body"])


def _items(gate: Gate, list_id: str, parameters: Parameters) -> str:
    item = search_parameters("List")["item"].key
    return (
        f"r.rid in (select f.target from index_reference f join resource l on l.rid = f.rid"
        f" where f.param = {parameters.add(item)}::int and not l.deleted"
        f" and l.rid = {parameters.add(resource_key('List', list_id))}::bigint"
        f" and ({gate.predicate('l', 'List', parameters)}))"
    )


async def _is_seen(connection: Any, gate: Gate, resource_type: str, resource_id: str) -> bool:
    parameters = Parameters()
    rid = parameters.add(resource_key(resource_type, resource_id))
    predicate = gate.predicate("r", resource_type, parameters)
    sql = f"select 1 from resource r where r.rid = {rid}::bigint and ({predicate})"
    return bool(await fetch(connection, sql, parameters.values))
