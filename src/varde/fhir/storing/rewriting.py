"""Search values of resources that are not themselves written: those inside others, those that a new Patient adopts,
and those whose definitions have changed. Inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson

from varde.fhir.arrays import placed
from varde.fhir.definitions import (
    compartment_parameters,
    index_digest,
    resource_types,
    search_parameters,
    type_name,
    type_number,
)
from varde.fhir.rows import IndexRows, inside_of
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.search.extract import extract
from varde.fhir.search.references import identifier_target
from varde.fhir.storing.tables import TABLES, Table, old_rows, sent
from varde.fhir.storing.versions import NewVersion, prepare


def new_identifiers(versions: Sequence[NewVersion]) -> dict[int, int]:
    """What logical references to the written Patients are indexed under, of what each was not named before -> rid."""
    targets: dict[int, int] = {}
    for version in versions:
        if version.type == "Patient" and version.resource is not None:
            known = _identifiers(version.old) if version.old is not None else set()
            targets |= dict.fromkeys(_identifiers(version.resource) - known, version.rid)
    return targets


async def adopt(connection: Any, targets: Mapping[int, int]) -> list[int]:
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
        for table in TABLES:
            theirs = [(o["rid"], o["date"], *row) for o, rows in extracted for row in getattr(rows, table.rows)]
            if theirs:
                relation, same = old_rows(table, [f"${place}" for place in range(2, len(table.columns) + 4)])
                claim = f"update {table.name} t set patient = $1::bigint from {relation} where {same}"
                await connection.execute(claim, patient, *sent(theirs, ("bigint", "timestamptz", *table.types)))
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


async def write_inside(connection: Any, versions: Sequence[NewVersion], old_rows: Mapping[int, IndexRows]) -> None:
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
        named = [
            (rid, v.rid, v.bucket, type_number(kind), index_digest(kind), name) for v, (rid, kind, name, _) in fresh
        ]
        await connection.execute(
            "insert into resource_contained (rid, container, bucket, type, indexed, id)"
            " select * from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::int[], $6::text[])"
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
    for kind, table in enumerate(TABLES):
        removed = [(rid, date, *row) for rid, date, rows in former for row in getattr(rows, table.rows)]
        added = [(*owner, *row) for owner, rows in fresh for row in getattr(rows, table.rows)]
        if removed:
            relation, same = old_rows(table, [f"${place}" for place in range(1, len(table.columns) + 3)])
            forget = f"delete from {table.name} t using {relation} where {same}"
            await connection.execute(forget, *sent(removed, ("bigint", "timestamptz", *table.types)))
        if added:
            await connection.execute(_plain_statement(kind), *sent(added, _owned(table)))


def _owned(table: Table) -> tuple[str, ...]:
    return ("bigint", "bigint", "timestamptz", "smallint", *table.types)


@cache
def _plain_statement(kind: int) -> str:
    table = TABLES[kind]
    names = ", ".join((*table.own, *(name for name, _ in table.columns)))
    arrays = ", ".join(placed(f"${place}", datatype) for place, datatype in enumerate(_owned(table), start=1))
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
    await write_inside(connection, versions, {v.rid: own for v, own in found})
    await connection.execute(
        "update resource r set indexed = x.indexed, patient = x.patient, date = x.date from unnest($1::bigint[],"
        " $2::int[], $3::bigint[], $4::timestamptz[]) as x(rid, indexed, patient, date) where r.rid = x.rid",
        [v.rid for v in versions],
        [index_digest(v.type) for v in versions],
        [v.patient for v in versions],
        [v.date for v in versions],
    )
