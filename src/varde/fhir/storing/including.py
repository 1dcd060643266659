"""`_include` and `_revinclude`: what matches refer to and what refers to them, each through the gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from varde.fhir.definitions import resource_types, search_parameters, type_number
from varde.fhir.gate import Gate, Parameters
from varde.fhir.model import Entry, Page, Stored
from varde.fhir.search.extract import extract
from varde.fhir.search.query import Include
from varde.fhir.search.values import CANONICAL
from varde.fhir.storing.reading import SELECT, fetch, stored

MAXIMUM_INCLUDED = 1000
_FULL = f"more than {MAXIMUM_INCLUDED} resources are included; not all are here"


async def included(connection: Any, gate: Gate, includes: Sequence[Include], page: Page) -> list[Entry]:
    """What the page's matches include, each once and none that matched; and, for `:iterate`, what those include, until
    nothing new is found. What is left out beyond MAXIMUM_INCLUDED is told in the page's warnings."""
    frontier = [entry.stored for entry in page.entries]
    seen = {one.rid for one in frontier}
    out: list[Entry] = []
    wanted = list(includes)
    while wanted and frontier:
        fresh: list[Stored] = []
        for include in wanted:
            for row in await _one(connection, gate, include, frontier):
                if row["rid"] not in seen:
                    seen.add(row["rid"])
                    fresh.append(stored(row))
        if len(out) + len(fresh) > MAXIMUM_INCLUDED:
            page.warnings.append(_FULL)
            return out + [Entry(one, "include") for one in fresh[: MAXIMUM_INCLUDED - len(out)]]
        out += [Entry(one, "include") for one in fresh]
        wanted, frontier = [include for include in includes if include.iterate], fresh
    return out


async def _one(connection: Any, gate: Gate, include: Include, found: Sequence[Stored]) -> list[Any]:
    if include.reverse:
        return await _referring(connection, gate, include, found)
    literal: set[int] = set()
    canonical: set[int] = set()
    for one in found:
        if include.source and one.type != include.source:
            continue
        keys = set(_reference_keys(one.type, include.code))
        for param, target, number, form in extract(one.type, one.resource).references:
            if param in keys and form == "c":
                canonical.add(target)
            elif param in keys and form == "l" and (not include.target or number == type_number(include.target)):
                literal.add(target)
    if not literal and not canonical:
        return []
    parameters = Parameters()
    chosen = f"r.rid = any({parameters.add(sorted(literal))}::bigint[])"
    if canonical:
        chosen = (
            f"({chosen} or r.rid in (select u.rid from index_reference u where u.param ="
            f" {parameters.add(CANONICAL)}::int and u.target = any({parameters.add(sorted(canonical))}::bigint[])))"
        )
    if include.target:
        chosen += f" and r.type = {parameters.add(type_number(include.target))}::smallint"
    predicate = gate.predicate("r", include.target, parameters)
    sql = (
        f"select {SELECT} from resource r where {chosen} and not r.deleted"
        f" and ({predicate}) order by r.rid limit {MAXIMUM_INCLUDED + 1}"
    )
    return await fetch(connection, sql, parameters.values)


async def _referring(connection: Any, gate: Gate, include: Include, found: Sequence[Stored]) -> list[Any]:
    """What refers to `found`: literally, or by a canonical url."""
    kind = include.source or None
    targets = [one for one in found if not include.target or one.type == include.target]
    if not targets:
        return []
    urls = {key for one in targets for key in _own_urls(one)}
    parameters = Parameters()
    rids = parameters.add([one.rid for one in targets])
    keys = parameters.add(_reference_keys(kind, include.code))
    referred = f"(f.form = 'l' and f.target = any({rids}::bigint[])"
    if urls:
        referred += f" or f.form = 'c' and f.target = any({parameters.add(sorted(urls))}::bigint[])"
    narrowed = f" and r.type = {parameters.add(type_number(kind))}::smallint" if kind else ""
    predicate = gate.predicate("r", kind, parameters)
    sql = (
        f"select distinct on (r.rid) {SELECT} from index_reference f join resource r on r.rid = f.rid"
        f" where f.param = any({keys}::int[]) and {referred}){narrowed}"
        f" and not r.deleted and ({predicate}) order by r.rid limit {MAXIMUM_INCLUDED + 1}"
    )
    return await fetch(connection, sql, parameters.values)


def _own_urls(one: Stored) -> Iterator[int]:
    if "url" in search_parameters(one.type):
        for param, target, _, form in extract(one.type, one.resource).references:
            if param == CANONICAL and form == "s":
                yield target


def _reference_keys(resource_type: str | None, code: str) -> list[int]:
    """Keys of the reference parameters that an include names; code "*" for all, no type for every type."""
    return [
        parameter.key
        for name in ([resource_type] if resource_type else resource_types())
        for parameter in search_parameters(name).values()
        if parameter.kind == "reference" and code in {"*", parameter.code}
    ]
