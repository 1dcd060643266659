"""The write path: any number of resources with all their index rows in one statement.

Knows nothing of HTTP. Rows are locked in the order of their keys, so that writers wait and never deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import orjson

from varde.fhir.definitions import (
    compartment_parameters,
    index_digest,
    resource_types,
    search_parameters,
    type_name,
    type_number,
)
from varde.fhir.errors import Overtaken
from varde.fhir.keys import bucket_of, resource_key
from varde.fhir.rows import IndexRows, inside_of, name_inside
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.search.extract import extract
from varde.fhir.search.values import identifier_target, system_key

_HISTORY = """history as (
    insert into resource_history (rid, patient, updated, seq, version, type, bucket, deleted, security, id, body)
    select rid, patient, updated, seq, version, type, bucket, deleted, security, id, body
    from resource where rid = any({0}::bigint[])
)"""
_WRITTEN = """written as (
    insert into resource as r
        (rid, patient, date, updated, version, type, bucket, deleted, security, id, body, indexed)
    select rid, patient, date, $10::timestamptz, version, type, bucket, body is null,
        case when security = '' then null else string_to_array(security, E'\\x1f') end, id, body, indexed
    from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::int[], $5::smallint[], $6::smallint[],
        $7::text[], $8::text[], $9::bytea[], $11::int[])
        as n(rid, patient, date, version, type, bucket, security, id, body, indexed)
    on conflict (rid) do update set patient = excluded.patient, date = excluded.date,
        updated = excluded.updated, seq = nextval('resource_seq'), version = excluded.version,
        bucket = excluded.bucket, deleted = excluded.deleted, security = excluded.security, body = excluded.body,
        indexed = excluded.indexed
        where r.type = excluded.type and r.id = excluded.id and r.version = excluded.version - 1
    returning rid
)"""
_ONE = {"rid": "($1::bigint[])[1]", "patient": "($2::bigint[])[1]", "date": "($3::timestamptz[])[1]",
        "bucket": "($6::smallint[])[1]"}  # fmt: skip
_OWNERS = (
    " join unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $6::smallint[]) with ordinality"
    " as o(rid, patient, date, bucket, place) using (place)"
)


@dataclass(frozen=True, slots=True)
class _Table:
    """An index table: what it takes of the resource's own columns, and the columns of a row with their types."""

    name: str
    rows: str
    own: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]


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
           (("param", "int"), ("low", "float8"), ("high", "float8"), ("system", "bigint"), ("code", "text"),
            ("unit", "text"), ("base", "int"), ("base_low", "float8"), ("base_high", "float8"))),
    _Table("index_uri", "uris", ("rid", "patient", "bucket"), (("param", "int"), ("value", "text"))),
)  # fmt: skip


@cache
def _statement(kinds: tuple[int, ...], history: bool, single: bool) -> str:
    """The one statement of a write, with parts for those index tables only that get rows: an empty part costs
    as much as a row. `single`: one resource, whose columns need no join."""
    parts, number = [_WRITTEN], 11
    if history:
        number += 1
        parts.insert(0, _HISTORY.format(f"${number}"))
    for kind in kinds:
        table = _TABLES[kind]
        names = ", ".join((*table.own, *(name for name, _ in table.columns)))
        own = ", ".join(_ONE[name] if single else f"o.{name}" for name in table.own)
        values = ", ".join(f'x.{name}::"char"' if name == "form" else f"x.{name}" for name, _ in table.columns)
        types = ["int", *(datatype for _, datatype in table.columns)]
        arrays = ", ".join(f"${number + place}::{datatype}[]" for place, datatype in enumerate(types, start=1))
        number += len(types)
        listed = ", ".join(("place", *(name for name, _ in table.columns)))
        parts.append(
            f"{table.rows if table.rows != 'references' else 'refs'} as (insert into {table.name} ({names})"
            f" select {own}, {values} from unnest({arrays}) as x({listed}){'' if single else _OWNERS})"
        )
    return "with " + ", ".join(parts) + " select count(*) from written"


_FORGET = (
    "delete from index_token t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::bigint[], $5::text[])"
    " as x(rid, date, param, system, code)"
    " where t.param = x.param and t.code = x.code and t.date = x.date and t.rid = x.rid and t.system = x.system",
    "delete from index_reference t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::bigint[],"
    " $5::smallint[], $6::text[]) as x(rid, date, param, target, target_type, form)"
    " where t.param = x.param and t.target = x.target and t.date = x.date and t.rid = x.rid",
    "delete from index_string t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::text[], $5::text[])"
    " as x(rid, date, param, value, exact)"
    " where t.param = x.param and t.value = x.value and t.rid = x.rid and t.exact = x.exact",
    "delete from index_date t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::timestamptz[],"
    " $5::timestamptz[]) as x(rid, date, param, low, high)"
    " where t.param = x.param and t.low = x.low and t.rid = x.rid and t.high = x.high",
    "delete from index_quantity t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::float8[],"
    " $5::float8[], $6::bigint[], $7::text[], $8::text[], $9::int[], $10::float8[], $11::float8[])"
    " as x(rid, date, param, low, high, system, code, unit, base, base_low, base_high)"
    " where t.param = x.param and t.low = x.low and t.rid = x.rid and t.high = x.high"
    " and t.system = x.system and t.code = x.code",
    "delete from index_uri t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::text[])"
    " as x(rid, date, param, value)"
    " where t.param = x.param and t.value = x.value and t.rid = x.rid",
)


@dataclass(slots=True)
class NewVersion:
    """One resource about to be written. `body` None deletes it."""

    type: str
    id: str
    version: int
    body: bytes | None
    resource: Mapping[str, Any] | None
    old: Mapping[str, Any] | None = None
    old_date: datetime | None = None
    old_patient: int | None = None
    old_bucket: int | None = None
    old_security: Sequence[str] = ()
    old_indexed: int | None = None
    """By which definitions the former version's search values were extracted."""
    rows: IndexRows | None = None
    patient: int | None = None
    exists: bool = False
    """Whether a row (deleted or not) is there to be replaced."""
    rid: int = field(init=False)
    """Its key."""

    def __post_init__(self) -> None:
        self.rid = resource_key(self.type, self.id)

    def follow(self, row: Any) -> None:
        """Make this the version after the one in `row`."""
        self.version = row["version"] + 1
        self.exists = True
        self.old = orjson.loads(row["body"]) if row["body"] else None
        self.old_date, self.old_patient = row["date"], row["patient"]
        self.old_bucket, self.old_security = row["bucket"], row["security"] or ()
        self.old_indexed = row["indexed"]

    @property
    def date(self) -> datetime:
        """Value of the column `date`."""
        return (self.rows.date if self.rows else None) or OPEN_LOW

    @property
    def bucket(self) -> int:
        """Its patient's bucket, or its own outside every compartment. A deletion keeps the former one's."""
        if self.resource is None and self.old_bucket is not None:
            return self.old_bucket
        return bucket_of(self.rows.patient if self.rows and self.rows.patient else self.id)

    @property
    def security(self) -> list[str]:
        """Labels of meta.security. What was restricted stays so when it is deleted."""
        return self.rows.security if self.rows else list(self.old_security)


async def prepare(connection: Any, versions: Sequence[NewVersion]) -> None:
    """Extract the search values and find the patient of those that name one by national id only."""
    logical: list[NewVersion] = []
    for version in versions:
        if version.resource is None:
            continue
        version.rows = extract(version.type, version.resource)
        if version.rows.inside or version.rows.contained:
            name_inside(version.rows, version.type, version.id)
        if version.type == "Patient":
            version.rows.patient = version.id
        if version.rows.patient is not None:
            version.patient = resource_key("Patient", version.rows.patient)
        elif version.rows.patient_identifier is not None:
            logical.append(version)
    if logical:
        await _resolve_logical(connection, versions, logical)


async def _resolve_logical(connection: Any, versions: Iterable[NewVersion], logical: Sequence[NewVersion]) -> None:
    identifier = search_parameters("Patient")["identifier"].key
    found = await connection.fetch(
        "select t.system, t.code, r.rid, r.id from index_token t join resource r on r.rid = t.rid"
        " where t.param = $1 and t.code = any($2::text[]) and not r.deleted",
        identifier, [v.rows.patient_identifier[1] for v in logical],  # type: ignore[union-attr, index]
    )  # fmt: skip
    known = {(row["system"], row["code"]): (row["rid"], row["id"]) for row in found}
    for version in versions:  # a patient written in the same transaction
        if version.type == "Patient" and version.rows is not None:
            known |= {
                (system, code): (version.rid, version.id)
                for param, system, code in version.rows.tokens
                if param == identifier
            }
    for version in logical:
        assert version.rows is not None and version.rows.patient_identifier is not None
        system, value = version.rows.patient_identifier
        match = known.get((system_key(system), value))
        if match:
            version.patient, version.rows.patient = match


async def write(connection: Any, versions: Sequence[NewVersion], updated: datetime) -> list[int]:
    """Write all versions with history and index rows. Inside the caller's transaction.

    Gives the rids of what was there before and is a written Patient's from now on.

    Raises Overtaken when another writer changed one of them first.
    """
    old_rows = {v.rid: _old_rows(v) for v in versions if v.old is not None}
    added: list[list[Any]] = []
    kinds: list[int] = []
    for kind, table in enumerate(_TABLES):
        columns: list[list[Any]] = [[] for _ in range(len(table.columns) + 1)]
        removed: list[list[Any]] = [[] for _ in range(len(table.columns) + 2)]
        for place, version in enumerate(versions, start=1):
            fresh: Iterable[tuple[Any, ...]] = getattr(version.rows, table.rows) if version.rows else ()
            old = getattr(old_rows[version.rid], table.rows) if version.rid in old_rows else ()
            if old:
                gone: Iterable[tuple[Any, ...]] = old
                if not _moved(version):
                    now, then = set(fresh), set(old)
                    gone, fresh = then - now, now - then
                _append(removed, gone, version.rid, version.old_date or OPEN_LOW)
            _append(columns, fresh, place)
        if removed[0]:
            await connection.execute(_FORGET[kind], *removed)
        if columns[0]:
            kinds.append(kind)
            added += columns
    exists = [v.rid for v in versions if v.exists]
    kept = await connection.fetchval(
        _statement(tuple(kinds), bool(exists), len(versions) == 1),
        [v.rid for v in versions],
        [v.patient for v in versions],
        [v.date for v in versions],
        [v.version for v in versions],
        [type_number(v.type) for v in versions],
        [v.bucket for v in versions],
        ["\x1f".join(v.security) for v in versions],
        [v.id for v in versions],
        [v.body for v in versions],
        updated,
        [index_digest(v.type) for v in versions],
        *([exists] if exists else ()),
        *added,
    )
    if kept != len(versions):
        raise Overtaken.of("another writer changed the resource at the same time")
    inside = [(v, rows) for v in versions if (rows := old_rows.get(v.rid)) is not None and rows.contained]
    if inside or any(v.rows is not None and v.rows.contained for v in versions):
        await _write_inside(connection, versions, {v.rid: rows for v, rows in inside})
    return await _adopt(connection, versions)


async def _write_inside(connection: Any, versions: Sequence[NewVersion], old_rows: Mapping[int, IndexRows]) -> None:
    """The resources inside others, and their search values under keys of their own. They carry no patient and no
    date: they are found through their container, on which the gate stands."""
    fresh = [(v, inside) for v in versions if v.rows for inside in inside_of(v.rows, v.type, v.id)]
    former = [
        inside for v in versions if (old := old_rows.get(v.rid)) is not None for inside in inside_of(old, v.type, v.id)
    ]
    await _replace(
        connection,
        [(rid, OPEN_LOW, rows) for rid, _, _, rows in former],
        [((rid, None, OPEN_LOW, v.bucket), rows) for v, (rid, _, _, rows) in fresh],
    )
    if former:
        gone = [rid for rid, *_ in former]
        await connection.execute("delete from resource_contained where rid = any($1::bigint[])", gone)
    if fresh:
        named = [(rid, v.rid, v.bucket, type_number(kind), name) for v, (rid, kind, name, _) in fresh]
        await connection.execute(
            "insert into resource_contained (rid, container, bucket, type, id)"
            " select * from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::text[])"
            " on conflict (rid) do nothing",
            *(list(column) for column in zip(*named, strict=True)),
        )


_Owner = tuple[int, int | None, datetime, int]
"""rid, patient, date, bucket"""


async def _replace(
    connection: Any,
    former: Sequence[tuple[int, datetime, IndexRows]],
    fresh: Sequence[tuple[_Owner, IndexRows]],
) -> None:
    """Take away the index rows of (rid, date, rows) and put in those of (owner, rows): a statement a table."""
    for kind, table in enumerate(_TABLES):
        removed: list[list[Any]] = [[] for _ in range(len(table.columns) + 2)]
        added: list[list[Any]] = [[] for _ in range(len(table.columns) + 4)]
        for rid, date, rows in former:
            _append(removed, getattr(rows, table.rows), rid, date)
        for owner, rows in fresh:
            _append(added, getattr(rows, table.rows), *owner)
        if removed[0]:
            await connection.execute(_FORGET[kind], *removed)
        if added[0]:
            await connection.execute(_plain_statement(kind), *added)


@cache
def _plain_statement(kind: int) -> str:
    table = _TABLES[kind]
    names = ", ".join((*table.own, *(name for name, _ in table.columns)))
    types = ["bigint", "bigint", "timestamptz", "smallint", *(datatype for _, datatype in table.columns)]
    arrays = ", ".join(f"${place}::{datatype}[]" for place, datatype in enumerate(types, start=1))
    own = ", ".join(f"x.{name}" for name in table.own)
    values = ", ".join(f'x.{name}::"char"' if name == "form" else f"x.{name}" for name, _ in table.columns)
    listed = ", ".join(("rid", "patient", "date", "bucket", *(name for name, _ in table.columns)))
    return f"insert into {table.name} ({names}) select {own}, {values} from unnest({arrays}) as x({listed})"


async def rewrite(connection: Any, rows: Sequence[Any]) -> None:
    """Make the search values of stored resources anew, by the definitions as they are now. `rows` are locked and have
    rid, type, id, version, patient, date, bucket and body. Inside the caller's transaction."""
    versions = []
    for row in rows:
        parsed = orjson.loads(row["body"])
        version = NewVersion(type_name(row["type"]), row["id"], row["version"], row["body"], parsed, parsed)
        version.old_date, version.old_patient, version.old_bucket = row["date"], row["patient"], row["bucket"]
        versions.append(version)
    await prepare(connection, versions)
    found = [(v, v.rows) for v in versions if v.rows is not None]
    await _replace(
        connection,
        [(v.rid, v.old_date or OPEN_LOW, own) for v, own in found],
        [((v.rid, v.patient, v.date, v.old_bucket or 0), own) for v, own in found],
    )
    await _write_inside(connection, versions, {v.rid: own for v, own in found})
    await connection.execute(
        "update resource r set indexed = x.indexed, patient = x.patient, date = x.date from unnest($1::bigint[],"
        " $2::int[], $3::bigint[], $4::timestamptz[]) as x(rid, indexed, patient, date) where r.rid = x.rid",
        [v.rid for v in versions],
        [index_digest(v.type) for v in versions],
        [v.patient for v in versions],
        [v.date for v in versions],
    )


def _append(columns: list[list[Any]], rows: Iterable[tuple[Any, ...]], *first: Any) -> None:
    for row in rows:
        for column, value in zip(columns, (*first, *row), strict=True):
            column.append(value)


def _old_rows(version: NewVersion) -> IndexRows:
    assert version.old is not None
    rows = extract(version.type, version.old)
    if rows.inside or rows.contained:
        name_inside(rows, version.type, version.id)
    return rows


def _moved(version: NewVersion) -> bool:
    """Whether the columns that every index row carries changed, or the definitions by which the rows were made, so
    that all rows must be written anew."""
    return (
        version.old_date != version.date
        or version.old_patient != version.patient
        or version.old_indexed != index_digest(version.type)
    )


async def _adopt(connection: Any, versions: Sequence[NewVersion]) -> list[int]:
    """Give resources that named a patient by national id before the Patient came their compartment; their rids."""
    targets: dict[int, int] = {}
    for version in versions:
        if version.type == "Patient" and version.resource is not None:
            known = _identifiers(version.old) if version.old is not None else set()
            targets |= dict.fromkeys(_identifiers(version.resource) - known, version.rid)
    if not targets:
        return []
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
        for kind, table in enumerate(_TABLES):
            columns: list[list[Any]] = [[] for _ in range(len(table.columns) + 2)]
            for orphan, rows in extracted:
                _append(columns, getattr(rows, table.rows), orphan["rid"], orphan["date"])
            if columns[0]:
                # The rows are found as when they are taken away: the index tables have no index by rid alone.
                claim = _FORGET[kind].replace(
                    f"delete from {table.name} t using", f"update {table.name} t set patient = {patient} from"
                )
                await connection.execute(claim, *columns)
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
