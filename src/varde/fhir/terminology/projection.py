"""Takes apart what the store holds of terminology, in the transaction that writes it; see migration 0015."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.definitions import canonical_system, type_name, type_number
from varde.fhir.model import ProjectedRow
from varde.fhir.search.dates import date_range
from varde.fhir.search.values import clipped
from varde.fhir.terminology.concepts import Flat, flatten, named_by, properties_of
from varde.fhir.terminology.mapping import Mapped, mappings_of
from varde.fhir.terminology.tables import key_of

TYPES = frozenset({"CodeSystem", "ValueSet", "ConceptMap"})
_TABLES = ("terminology_resource", "terminology_name", "terminology_concept", "terminology_ancestor",
           "terminology_property", "terminology_word", "terminology_mapping")  # fmt: skip
_HEAVY = {
    "CodeSystem": ("concept", "text"), "ConceptMap": ("group", "text"), "ValueSet": ("compose", "expansion", "text"),
}  # fmt: skip


class TerminologyTables:
    """The store's own projection."""

    types = TYPES

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Replace what was taken out of these resources before."""
        rids = [row.rid for row in rows]
        known = await connection.fetchval(
            "select exists (select 1 from terminology_resource where rid = any($1::bigint[]))", rids
        )
        if known:
            for table in _TABLES:
                await connection.execute(f"delete from {table} where rid = any($1::bigint[])", rids)
        await fill(connection, [(row.rid, row.new) for row in rows if row.new is not None])


async def fill_missing(connection: Any) -> int:
    """Take apart what was stored before these tables were; how many resources that was."""
    rows = await connection.fetch(
        "select r.rid, r.type, r.body from resource r where r.type = any($1::smallint[]) and not r.deleted"
        " and not exists (select 1 from terminology_resource t where t.rid = r.rid)",
        [type_number(name) for name in sorted(TYPES)],
    )
    for row in rows:
        if type_name(row["type"]) in TYPES:
            await fill(connection, [(row["rid"], orjson.loads(row["body"]))])
    return len(rows)


async def fill(connection: Any, resources: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Write the rows of resources of which there are none."""
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
    for rid, resource in resources:
        rows["terminology_resource"].append(_resource(rid, resource))
        rows["terminology_name"] += [(name, rid) for name in _names(resource)]
        if resource["resourceType"] == "CodeSystem":
            _concepts(rid, resource, rows)
        elif resource["resourceType"] == "ConceptMap":
            rows["terminology_mapping"] += [_mapping(rid, one) for one in mappings_of(resource)]
    for table, found in rows.items():
        if found:
            await connection.copy_records_to_table(table, records=found, columns=_COLUMNS[table])


_COLUMNS = {
    "terminology_resource": ("rid", "type", "url", "version", "status", "dated", "content", "supplements",
                             "all_codes", "head"),
    "terminology_name": ("name", "rid"),
    "terminology_concept": ("rid", "number", "inactive", "abstract", "code", "key", "display", "detail"),
    "terminology_ancestor": ("rid", "ancestor", "descendant", "direct"),
    "terminology_property": ("rid", "number", "property", "value"),
    "terminology_word": ("rid", "number", "word"),
    "terminology_mapping": ("rid", "number", "source_system", "target_system", "source", "target", "detail"),
}  # fmt: skip


def _resource(rid: int, resource: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = resource["resourceType"]
    head = {name: value for name, value in resource.items() if name not in _HEAVY[kind]}
    return (
        rid, type_number(kind), _canonical(resource.get("url")), _text(resource.get("version")),
        resource.get("status"), dated(resource), resource.get("content"),
        _canonical(str(resource["supplements"]).partition("|")[0]) if resource.get("supplements") else None,
        _text(resource.get("valueSet")) if kind == "CodeSystem" else None, orjson.dumps(head),
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return clipped(value) if isinstance(value, str) else None


def _canonical(url: Any) -> str:
    return clipped(canonical_system(url)) if isinstance(url, str) else ""


def dated(resource: Mapping[str, Any]) -> datetime | None:
    """The resource's own date, its first moment; None where it says none that can be read."""
    try:
        return date_range(str(resource["date"]))[0] if resource.get("date") else None
    except (ValueError, OverflowError):
        return None


def _names(resource: Mapping[str, Any]) -> set[str]:
    names = {_canonical(resource.get("url"))}
    if resource["resourceType"] == "CodeSystem":
        for one in resource.get("identifier") or ():
            value = one.get("value") if isinstance(one, dict) else None
            if isinstance(value, str) and value.startswith("urn:oid:"):
                names.add(_canonical(value))
    return names - {""}


def _concepts(rid: int, resource: Mapping[str, Any], rows: dict[str, list[tuple[Any, ...]]]) -> None:
    flat = flatten(resource)
    sensitive = resource.get("caseSensitive") is not False
    for number, concept in enumerate(flat.concepts):
        detail = orjson.dumps(concept.detail) if concept.detail else None
        rows["terminology_concept"].append((
            rid, number, concept.inactive, concept.abstract, concept.code,
            key_of(concept.code, case_sensitive=sensitive), concept.display, detail,
        ))  # fmt: skip
        found = {(code, clipped(value)) for code, value in properties_of(concept)}
        rows["terminology_property"] += [(rid, number, clipped(code), value) for code, value in sorted(found)]
        rows["terminology_word"] += [(rid, number, word) for word in sorted(named_by(concept))]
    rows["terminology_ancestor"] += _closure(rid, flat)


def _closure(rid: int, flat: Flat) -> Iterator[tuple[int, int, int, bool]]:
    for number, above in enumerate(flat.ancestors()):
        near = set(flat.parents[number])
        for one in above:
            yield rid, one, number, one in near


def _mapping(rid: int, one: Mapped) -> tuple[Any, ...]:
    return (
        rid, one.number, clipped(one.source_system), clipped(one.target_system), clipped(one.source),
        None if one.target is None else clipped(one.target), orjson.dumps(one.detail),
    )  # fmt: skip
