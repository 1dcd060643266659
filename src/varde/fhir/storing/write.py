"""The write path: any number of resources with their history, all their index rows and the access log, in one
statement.

Knows nothing of HTTP. Rows are locked in the order of their keys, so that writers wait and never deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from varde.fhir.arrays import column, placed
from varde.fhir.definitions import index_digest, type_number
from varde.fhir.errors import Overtaken
from varde.fhir.gate import Parameters
from varde.fhir.rows import IndexRows
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.storing.rewriting import adopt, new_identifiers, write_inside
from varde.fhir.storing.tables import TABLES, old_rows, sent
from varde.fhir.storing.versions import NewVersion, former_rows, moved

_HISTORY = """history as (
    insert into resource_history (rid, patient, updated, seq, version, type, bucket, deleted, security, id, body)
    select rid, patient, updated, seq, version, type, bucket, deleted, security, id, body
    from resource where rid = any({0})
)"""
_WRITTEN = """written as (
    insert into resource as r
        (rid, patient, date, updated, version, type, bucket, deleted, security, id, body, indexed)
    select rid, patient, date, $10::timestamptz, version, type, bucket, body is null,
        case when security = '' then null else string_to_array(security, E'\\x1f') end, id, body, indexed
    from unnest({1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, $11::text::int[])
        as n(rid, patient, date, version, type, bucket, security, id, body, indexed)
    on conflict (rid) do update set patient = excluded.patient, date = excluded.date,
        updated = excluded.updated, seq = nextval('resource_seq'), version = excluded.version,
        bucket = excluded.bucket, deleted = excluded.deleted, security = excluded.security, body = excluded.body,
        indexed = excluded.indexed
        where r.type = excluded.type and r.id = excluded.id and r.version = excluded.version - 1
    returning rid
)"""
_COLUMNS = ("bigint", "bigint", "timestamptz", "int", "smallint", "smallint", "text", "text", "bytea")
_PLACED = ["", *(placed(f"${number}", datatype) for number, datatype in enumerate(_COLUMNS, start=1))]
_ONE = {"rid": f"({_PLACED[1]})[1]", "patient": f"({_PLACED[2]})[1]", "date": f"({_PLACED[3]})[1]",
        "bucket": f"({_PLACED[6]})[1]"}  # fmt: skip
_OWNERS = (
    f" join unnest({_PLACED[1]}, {_PLACED[2]}, {_PLACED[3]}, {_PLACED[6]}) with ordinality"
    " as o(rid, patient, date, bucket, place) using (place)"
)


@cache
def _statement(fresh: tuple[int, ...], stale: tuple[int, ...], history: bool, single: bool, adopting: bool) -> str:
    """The one statement of a write, as far as its `select`, with parts for those index tables only that get or lose
    rows: an empty part costs as much as a row. `single`: one resource, whose columns need no join."""
    parts, number = [_WRITTEN.format(*_PLACED)], 11
    if history:
        number += 1
        parts.insert(0, _HISTORY.format(placed(f"${number}", "bigint")))
    for kind in stale:
        table = TABLES[kind]
        count = len(table.columns) + 2
        relation, same = old_rows(table, [f"${number + place}" for place in range(1, count + 1)])
        number += count
        parts.append(f"stale_{table.rows} as (delete from {table.name} t using {relation} where {same})")
    for kind in fresh:
        table = TABLES[kind]
        names = ", ".join((*table.own, *(name for name, _ in table.columns)))
        own = ", ".join(_ONE[name] if single else f"o.{name}" for name in table.own)
        values = ", ".join(f'x.{name}::"char"' if name == "form" else f"x.{name}" for name, _ in table.columns)
        types = ["int", *(datatype for _, datatype in table.columns)]
        arrays = ", ".join(placed(f"${number + place}", datatype) for place, datatype in enumerate(types, start=1))
        number += len(types)
        listed = ", ".join(("place", *(name for name, _ in table.columns)))
        parts.append(
            f"fresh_{table.rows} as (insert into {table.name} ({names})"
            f" select {own}, {values} from unnest({arrays}) as x({listed}){'' if single else _OWNERS})"
        )
    if adopting:
        parts.append(
            f"named as (select 1 from index_reference where target = any(${number + 1}::bigint[])"
            " and form = 'i' limit 1)"
        )
    return "with " + ", ".join(parts)


async def write(
    connection: Any,
    versions: Sequence[NewVersion],
    updated: datetime,
    log: Callable[[Parameters], str | None] | None = None,
) -> list[int]:
    """Write all versions with history and index rows, and the access log that `log` makes the `insert` of.

    Gives the rids of what was there before and is a written Patient's from now on: only within a transaction.
    Raises Overtaken when another writer changed one of them first.
    """
    former = {v.rid: former_rows(v) for v in versions if v.old is not None}
    fresh, stale, added, removed = _changes(versions, former)
    exists = [v.rid for v in versions if v.exists]
    targets = new_identifiers(versions)
    sql = _statement(tuple(fresh), tuple(stale), bool(exists), len(versions) == 1, bool(targets))
    parameters = Parameters()
    rows = [
        (v.rid, v.patient, v.date, v.version, type_number(v.type), v.bucket, "\x1f".join(v.security), v.id, v.body)
        for v in versions
    ]
    parameters.values = [
        *sent(rows, _COLUMNS),
        updated,
        column([index_digest(v.type) for v in versions], "int"),
        *([column(exists, "bigint")] if exists else ()),
        *removed,
        *added,
        *([list(targets)] if targets else ()),
    ]
    if log is not None and (logged := log(parameters)):
        sql += f", logged as ({logged})"
    kept = "select (select count(*) from written) as kept"
    named = ", exists(select 1 from named) as named" if targets else ", false as named"
    row = await connection.fetchrow(f"{sql} {kept}{named}", *parameters.values)
    if row["kept"] != len(versions):
        raise Overtaken.of("another writer changed the resource at the same time")
    if any(rows.contained for rows in former.values()) or any(v.rows and v.rows.contained for v in versions):
        await write_inside(connection, versions, former)
    return await adopt(connection, targets) if row["named"] else []


def _changes(
    versions: Sequence[NewVersion], former: Mapping[int, IndexRows]
) -> tuple[list[int], list[int], list[Any], list[Any]]:
    """(tables that get rows, tables that lose rows, columns of the new rows, columns of the old ones)."""
    fresh_kinds: list[int] = []
    stale_kinds: list[int] = []
    added: list[Any] = []
    gone: list[Any] = []
    for kind, table in enumerate(TABLES):
        put: list[tuple[Any, ...]] = []
        removed: list[tuple[Any, ...]] = []
        for place, version in enumerate(versions, start=1):
            fresh: Collection[tuple[Any, ...]] = getattr(version.rows, table.rows) if version.rows else ()
            old = former.get(version.rid)
            if old is not None and (then := getattr(old, table.rows)):
                stale: Collection[tuple[Any, ...]] = then
                if not moved(version):
                    now, before = set(fresh), set(then)
                    stale, fresh = before - now, now - before
                dated = version.old_date or OPEN_LOW
                removed += [(version.rid, dated, *row) for row in stale]
            put += [(place, *row) for row in fresh]
        if removed:
            stale_kinds.append(kind)
            gone += sent(removed, ("bigint", "timestamptz", *table.types))
        if put:
            fresh_kinds.append(kind)
            added += sent(put, ("int", *table.types))
    return fresh_kinds, stale_kinds, added, gone
