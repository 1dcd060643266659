"""The write path: any number of resources with all their index rows in one statement.

Knows nothing of HTTP. Rows are locked in the order of their keys, so that writers wait and never deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.definitions import type_number
from varde.fhir.errors import Conflict
from varde.fhir.keys import bucket_of, resource_key
from varde.fhir.rows import IndexRows
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.search.extract import extract
from varde.fhir.search.values import identifier_target, system_key

_WRITE = """
with history as (
    insert into resource_history (rid, patient, updated, seq, version, type, bucket, deleted, security, id, body)
    select rid, patient, updated, seq, version, type, bucket, deleted, security, id, body
    from resource where rid = any($11::bigint[])
), written as (
    insert into resource as r
        (rid, patient, date, updated, version, type, bucket, deleted, security, id, body)
    select rid, patient, date, $10::timestamptz, version, type, bucket, body is null,
        case when security = '' then null else string_to_array(security, E'\\x1f') end, id, body
    from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::int[], $5::smallint[], $6::smallint[],
        $7::text[], $8::text[], $9::bytea[]) as n(rid, patient, date, version, type, bucket, security, id, body)
    on conflict (rid) do update set patient = excluded.patient, date = excluded.date,
        updated = excluded.updated, seq = nextval('resource_seq'), version = excluded.version,
        bucket = excluded.bucket, deleted = excluded.deleted, security = excluded.security, body = excluded.body
        where r.type = excluded.type and r.id = excluded.id and r.version = excluded.version - 1
    returning rid
), tokens as (
    insert into index_token (rid, system, patient, date, param, bucket, code)
    select o.rid, x.system, o.patient, o.date, x.param, o.bucket, x.code
    from unnest($12::int[], $13::int[], $14::bigint[], $15::text[]) as x(place, param, system, code)
    join unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $6::smallint[]) with ordinality
        as o(rid, patient, date, bucket, place) using (place)
), refs as (
    insert into index_reference (rid, target, patient, date, param, bucket, target_type, form)
    select o.rid, x.target, o.patient, o.date, x.param, o.bucket, x.target_type, x.form::"char"
    from unnest($16::int[], $17::int[], $18::bigint[], $19::smallint[], $20::text[])
        as x(place, param, target, target_type, form)
    join unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $6::smallint[]) with ordinality
        as o(rid, patient, date, bucket, place) using (place)
), strings as (
    insert into index_string (rid, patient, param, bucket, value, exact)
    select o.rid, o.patient, x.param, o.bucket, x.value, x.exact
    from unnest($21::int[], $22::int[], $23::text[], $24::text[]) as x(place, param, value, exact)
    join unnest($1::bigint[], $2::bigint[], $6::smallint[]) with ordinality
        as o(rid, patient, bucket, place) using (place)
), dates as (
    insert into index_date (rid, low, high, patient, param, bucket)
    select o.rid, x.low, x.high, o.patient, x.param, o.bucket
    from unnest($25::int[], $26::int[], $27::timestamptz[], $28::timestamptz[]) as x(place, param, low, high)
    join unnest($1::bigint[], $2::bigint[], $6::smallint[]) with ordinality
        as o(rid, patient, bucket, place) using (place)
), quantities as (
    insert into index_quantity (rid, low, high, system, patient, param, bucket, code)
    select o.rid, x.low, x.high, x.system, o.patient, x.param, o.bucket, x.code
    from unnest($29::int[], $30::int[], $31::float8[], $32::float8[], $33::bigint[], $34::text[])
        as x(place, param, low, high, system, code)
    join unnest($1::bigint[], $2::bigint[], $6::smallint[]) with ordinality
        as o(rid, patient, bucket, place) using (place)
), uris as (
    insert into index_uri (rid, patient, param, bucket, value)
    select o.rid, o.patient, x.param, o.bucket, x.value
    from unnest($35::int[], $36::int[], $37::text[]) as x(place, param, value)
    join unnest($1::bigint[], $2::bigint[], $6::smallint[]) with ordinality
        as o(rid, patient, bucket, place) using (place)
)
select count(*) from written
"""

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
    " $5::float8[], $6::bigint[], $7::text[]) as x(rid, date, param, low, high, system, code)"
    " where t.param = x.param and t.low = x.low and t.rid = x.rid and t.high = x.high"
    " and t.system = x.system and t.code = x.code",
    "delete from index_uri t using unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::text[])"
    " as x(rid, date, param, value)"
    " where t.param = x.param and t.value = x.value and t.rid = x.rid",
)
_KINDS = ("tokens", "references", "strings", "dates", "quantities", "uris")
_WIDTHS = (3, 4, 3, 3, 5, 2)


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
        if version.type == "Patient":
            version.rows.patient = version.id
        if version.rows.patient is not None:
            version.patient = resource_key("Patient", version.rows.patient)
        elif version.rows.patient_identifier is not None:
            logical.append(version)
    if logical:
        await _resolve_logical(connection, versions, logical)


async def _resolve_logical(connection: Any, versions: Iterable[NewVersion], logical: Sequence[NewVersion]) -> None:
    from varde.fhir.definitions import search_parameters

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

    Raises Conflict when another writer changed one of them first.
    """
    stale = [v for v in versions if v.old is not None]
    added: list[list[list[Any]]] = []
    removed: dict[int, list[list[Any]]] = {}
    old_rows = {id(v): _old_rows(v) for v in stale}
    for kind, name in enumerate(_KINDS):
        columns: list[list[Any]] = [[] for _ in range(_WIDTHS[kind] + 1)]
        for place, version in enumerate(versions, start=1):
            new = set(getattr(version.rows, name)) if version.rows else set()
            old = set(getattr(old_rows[id(version)], name)) if id(version) in old_rows else set()
            if old and _moved(version):
                gone, fresh = old, new
            else:
                gone, fresh = old - new, new - old
            for row in fresh:
                columns[0].append(place)
                for column, value in zip(columns[1:], row, strict=True):
                    column.append(value)
            if gone:
                out = removed.setdefault(kind, [[] for _ in range(_WIDTHS[kind] + 2)])
                for row in gone:
                    for column, value in zip(out, (version.rid, version.old_date or OPEN_LOW, *row), strict=True):
                        column.append(value)
        added.append(columns)
    for kind, columns in removed.items():
        await connection.execute(_FORGET[kind], *columns)
    kept = await connection.fetchval(
        _WRITE,
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
        [v.rid for v in versions if v.exists],
        *(column for columns in added for column in columns),
    )
    if kept != len(versions):
        raise Conflict.of("another writer changed the resource at the same time")
    return await _adopt(connection, versions)


def _old_rows(version: NewVersion) -> IndexRows:
    assert version.old is not None
    return extract(version.type, version.old)


def _moved(version: NewVersion) -> bool:
    """Whether the columns that every index row carries changed, so that all rows must be written anew."""
    return version.old_date != version.date or version.old_patient != version.patient


async def _adopt(connection: Any, versions: Sequence[NewVersion]) -> list[int]:
    """Give resources that named a patient by national id before the Patient came their compartment; their rids."""
    targets: dict[int, int] = {}
    for version in versions:
        if version.type != "Patient" or version.resource is None:
            continue
        for identifier in version.resource.get("identifier") or ():
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                key = identifier_target(identifier.get("system") or "", identifier["value"])
                targets[key] = version.rid
    if not targets:
        return []
    orphans = await connection.fetch(
        "select distinct f.rid, f.target from index_reference f join resource r on r.rid = f.rid"
        " where f.target = any($1::bigint[]) and f.form = 'i' and r.patient is null"
        " and f.param = any($2::int[])",
        list(targets), _subject_parameters(),
    )  # fmt: skip
    for orphan in orphans:
        patient = targets[orphan["target"]]
        for table in ("resource", "index_token", "index_reference", "index_string", "index_date",
                      "index_quantity", "index_uri"):  # fmt: skip
            await connection.execute(f"update {table} set patient = $1 where rid = $2", patient, orphan["rid"])
    return [orphan["rid"] for orphan in orphans]


def _subject_parameters() -> list[int]:
    from varde.fhir.definitions import compartment_parameters, resource_types, search_parameters

    return [
        search_parameters(name)[code].key
        for name in resource_types()
        for code in compartment_parameters(name)
        if code in search_parameters(name)
    ]
