"""The write path: any number of resources with their history, all their index rows and the access log, in one
statement.

Knows nothing of HTTP. Rows are locked in the order of their keys, so that writers wait and never deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson

from varde.fhir.arrays import column, placed
from varde.fhir.definitions import (
    compartment_parameters,
    resource_types,
    search_parameters,
    type_name,
    type_number,
)
from varde.fhir.errors import Conflict
from varde.fhir.gate import Parameters
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.search.extract import extract
from varde.fhir.search.values import identifier_target
from varde.fhir.versions import NewVersion

_HISTORY = """history as (
    insert into resource_history (rid, patient, updated, seq, version, type, bucket, deleted, security, id, body)
    select rid, patient, updated, seq, version, type, bucket, deleted, security, id, body
    from resource where rid = any({0})
)"""
_WRITTEN = """written as (
    insert into resource as r
        (rid, patient, date, updated, version, type, bucket, deleted, security, id, body)
    select rid, patient, date, $10::timestamptz, version, type, bucket, body is null,
        case when security = '' then null else string_to_array(security, E'\\x1f') end, id, body
    from unnest({1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9})
        as n(rid, patient, date, version, type, bucket, security, id, body)
    on conflict (rid) do update set patient = excluded.patient, date = excluded.date,
        updated = excluded.updated, seq = nextval('resource_seq'), version = excluded.version,
        bucket = excluded.bucket, deleted = excluded.deleted, security = excluded.security, body = excluded.body
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


@dataclass(frozen=True, slots=True)
class _Table:
    """An index table: what it takes of the resource's own columns, and the columns of a row with their types."""

    name: str
    rows: str
    own: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Datatypes of a row's columns."""
        return tuple(datatype for _, datatype in self.columns)


_TABLES = (
    _Table("index_token", "tokens", ("rid", "patient", "date", "bucket"),
           (("param", "int"), ("system", "bigint"), ("code", "text"))),
    _Table("index_reference", "references", ("rid", "patient", "date", "bucket"),
           (("param", "int"), ("target", "bigint"), ("target_type", "smallint"), ("form", "text"))),
    _Table("index_string", "strings", ("rid", "patient", "bucket"),
           (("param", "int"), ("value", "text"), ("exact", "text"))),
    _Table("index_date", "dates", ("rid", "patient", "bucket"),
           (("param", "int"), ("low", "timestamptz"), ("high", "timestamptz"))),
    _Table("index_quantity", "quantities", ("rid", "patient", "bucket"),
           (("param", "int"), ("low", "float8"), ("high", "float8"), ("system", "bigint"), ("code", "text"))),
    _Table("index_uri", "uris", ("rid", "patient", "bucket"), (("param", "int"), ("value", "text"))),
)  # fmt: skip


_FOUND = {"index_token": ("param", "code", "date", "rid", "system"),
          "index_reference": ("param", "target", "date", "rid"),
          "index_string": ("param", "value", "rid", "exact"), "index_date": ("param", "low", "rid", "high"),
          "index_quantity": ("param", "low", "rid", "high", "system", "code"),
          "index_uri": ("param", "value", "rid")}  # fmt: skip
"""The columns by which an old row is found again, those of an index first: there is no index by rid alone."""


def _old(table: _Table, placeholders: Sequence[str]) -> tuple[str, str]:
    """(relation `x` of old rows, condition that a row `t` is one of them). The placeholders: rid, date, columns."""
    types = ["bigint", "timestamptz", *(datatype for _, datatype in table.columns)]
    arrays = ", ".join(placed(place, datatype) for place, datatype in zip(placeholders, types, strict=True))
    names = ", ".join(("rid", "date", *(name for name, _ in table.columns)))
    same = " and ".join(f"t.{name} = x.{name}" for name in _FOUND[table.name])
    return f"unnest({arrays}) as x({names})", same


@cache
def _statement(fresh: tuple[int, ...], stale: tuple[int, ...], history: bool, single: bool, adopting: bool) -> str:
    """The one statement of a write, as far as its `select`, with parts for those index tables only that get or lose
    rows: an empty part costs as much as a row. `single`: one resource, whose columns need no join."""
    parts, number = [_WRITTEN.format(*_PLACED)], 10
    if history:
        number += 1
        parts.insert(0, _HISTORY.format(placed(f"${number}", "bigint")))
    for kind in stale:
        table = _TABLES[kind]
        count = len(table.columns) + 2
        relation, same = _old(table, [f"${number + place}" for place in range(1, count + 1)])
        number += count
        parts.append(f"stale_{table.rows} as (delete from {table.name} t using {relation} where {same})")
    for kind in fresh:
        table = _TABLES[kind]
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
    Raises Conflict when another writer changed one of them first.
    """
    fresh, stale, added, removed = _changes(versions)
    exists = [v.rid for v in versions if v.exists]
    targets = _new_identifiers(versions)
    sql = _statement(tuple(fresh), tuple(stale), bool(exists), len(versions) == 1, bool(targets))
    parameters = Parameters()
    rows = [
        (v.rid, v.patient, v.date, v.version, type_number(v.type), v.bucket, "\x1f".join(v.security), v.id, v.body)
        for v in versions
    ]
    parameters.values = [
        *(column(values, datatype) for values, datatype in zip(zip(*rows, strict=True), _COLUMNS, strict=True)),
        updated,
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
        raise Conflict.of("another writer changed the resource at the same time")
    return await _adopt(connection, targets) if row["named"] else []


def _changes(versions: Sequence[NewVersion]) -> tuple[list[int], list[int], list[Any], list[Any]]:
    """(tables that get rows, tables that lose rows, columns of the new rows, columns of the old ones)."""
    old_rows = {v.rid: extract(v.type, v.old) for v in versions if v.old is not None}
    fresh_kinds: list[int] = []
    stale_kinds: list[int] = []
    added: list[Any] = []
    gone: list[Any] = []
    for kind, table in enumerate(_TABLES):
        columns: list[list[Any]] = [[] for _ in range(len(table.columns) + 1)]
        removed: list[list[Any]] = [[] for _ in range(len(table.columns) + 2)]
        for place, version in enumerate(versions, start=1):
            fresh: Iterable[tuple[Any, ...]] = getattr(version.rows, table.rows) if version.rows else ()
            old = old_rows.get(version.rid)
            if old is not None and (then := getattr(old, table.rows)):
                stale: Iterable[tuple[Any, ...]] = then
                if not _moved(version):
                    now, before = set(fresh), set(then)
                    stale, fresh = before - now, now - before
                _append(removed, stale, version.rid, version.old_date or OPEN_LOW)
            _append(columns, fresh, place)
        if removed[0]:
            stale_kinds.append(kind)
            gone += _sent(removed, ("bigint", "timestamptz", *table.types))
        if columns[0]:
            fresh_kinds.append(kind)
            added += _sent(columns, ("int", *table.types))
    return fresh_kinds, stale_kinds, added, gone


def _sent(columns: Sequence[Sequence[Any]], types: Sequence[str]) -> list[Any]:
    return [column(values, datatype) for values, datatype in zip(columns, types, strict=True)]


def _append(columns: list[list[Any]], rows: Iterable[tuple[Any, ...]], *first: Any) -> None:
    for row in rows:
        for values, value in zip(columns, (*first, *row), strict=True):
            values.append(value)


def _moved(version: NewVersion) -> bool:
    """Whether the columns that every index row carries changed, so that all rows must be written anew."""
    return version.old_date != version.date or version.old_patient != version.patient


def _new_identifiers(versions: Sequence[NewVersion]) -> dict[int, int]:
    """What logical references to the written Patients are indexed under, of what each was not named before -> rid."""
    targets: dict[int, int] = {}
    for version in versions:
        if version.type == "Patient" and version.resource is not None:
            known = _identifiers(version.old) if version.old is not None else set()
            targets |= dict.fromkeys(_identifiers(version.resource) - known, version.rid)
    return targets


async def _adopt(connection: Any, targets: Mapping[int, int]) -> list[int]:
    """Give resources that named a patient by national id before the Patient came their compartment; their rids."""
    orphans = await connection.fetch(
        "select distinct on (f.rid) f.rid, f.target, r.type, r.body, r.date from index_reference f"
        " join resource r on r.rid = f.rid where f.target = any($1::bigint[]) and f.form = 'i' and r.patient is null"
        " and not r.deleted and f.param = any($2::int[]) order by f.rid",
        list(targets), _subject_parameters(),
    )  # fmt: skip
    by_patient: dict[int, list[Any]] = {}
    for orphan in orphans:
        by_patient.setdefault(targets[orphan["target"]], []).append(orphan)
    for patient, group in by_patient.items():
        await connection.execute(
            "update resource set patient = $1 where rid = any($2::bigint[])",
            patient,
            [orphan["rid"] for orphan in group],
        )
        extracted = [(o, extract(type_name(o["type"]), orjson.loads(o["body"]))) for o in group]
        for table in _TABLES:
            columns: list[list[Any]] = [[] for _ in range(len(table.columns) + 2)]
            for orphan, rows in extracted:
                _append(columns, getattr(rows, table.rows), orphan["rid"], orphan["date"])
            if columns[0]:
                relation, same = _old(table, [f"${place}" for place in range(2, len(columns) + 2)])
                claim = f"update {table.name} t set patient = $1::bigint from {relation} where {same}"
                await connection.execute(claim, patient, *_sent(columns, ("bigint", "timestamptz", *table.types)))
    return [orphan["rid"] for orphan in orphans]


def _identifiers(patient: Mapping[str, Any]) -> set[int]:
    """What logical references to the Patient are indexed under."""
    return {
        identifier_target(identifier.get("system") or "", identifier["value"])
        for identifier in patient.get("identifier") or ()
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str)
    }


@cache
def _subject_parameters() -> list[int]:
    return [
        search_parameters(name)[code].key
        for name in resource_types()
        for code in compartment_parameters(name)
        if code in search_parameters(name)
    ]
