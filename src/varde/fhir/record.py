"""One patient's record as far as a gate shows it: the Patient, what is in the compartment, and what that refers to.

Every row is under the gate's predicate. What is referred to is shown only where it belongs to no other patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.fhir.definitions import (
    compartment_parameters,
    is_type,
    main_date,
    resource_types,
    search_parameters,
    type_number,
)
from varde.fhir.gate import Gate, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.model import Stored
from varde.fhir.storing.reading import SELECT, fetch, stored

_REFERENCE = re.compile(rb'"reference"\s*:\s*"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^"]*)?"')
_LINKS = 3
"""How far references are followed: a role, its practitioner and their organisation."""
MAXIMUM = 1000
"""Resources that are referred to by one page."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a record is asked for."""

    types: frozenset[str] | None = None
    """None for all."""
    since: datetime | None = None
    """Only what changed since."""
    start: datetime | None = None
    """Only care from here on; what has no date is always in it."""
    end: datetime | None = None
    """Only care before."""


def open_types(gate: Gate, part: Part) -> frozenset[str]:
    """The types of a record that the gate lets be shown."""
    types = part.types if part.types is not None else frozenset(resource_types())
    return frozenset(name for name in types if gate.allows(Interaction.SEARCH, name))


async def page(
    connection: Any, gate: Gate, patient: int, part: Part, *, after: int | None, limit: int, newest: bool = False
) -> list[Stored]:
    """At most `limit` resources of the compartment of the Patient with rid `patient`: the Patient first, the others
    by their rid, beyond `after` (which is the last of the page before). `newest`: the newest of them instead."""
    parameters = Parameters()
    add = parameters.add
    me = f"{add(patient)}::bigint"
    names = sorted(name for name in open_types(gate, part) if name == "Patient" or compartment_parameters(name))
    keys = [
        search_parameters(name)[code].key
        for name in names
        for code in compartment_parameters(name)
        if code in search_parameters(name)
    ]
    where = [
        f"r.rid in (select o.rid from resource o where o.patient = {me} and not o.deleted union all"
        f" select f.rid from index_reference f where f.target = {me} and f.param = any({add(keys)}::int[]))",
        "not r.deleted",
        f"r.type = any({add([type_number(name) for name in names])}::smallint[])",
        f"(r.type <> {add(type_number('Patient'))}::smallint or r.rid = {me})",
        f"({gate.predicate('r', None, parameters)})",
    ]
    if part.since is not None:
        where.append(f"r.updated >= {add(part.since)}::timestamptz")
    if part.start is not None or part.end is not None:
        where.append(f"(r.rid = {me} or {_in_time(part, me, names, parameters)})")
    if after is not None:
        where.append("r.rid <> " + me)
        if after != patient:
            where.append(f"r.rid > {add(after)}::bigint")
    sql = (
        f"select {SELECT} from resource r where {' and '.join(where)}"
        f" order by (r.rid <> {me}), {'r.date desc, ' if newest else ''}r.rid limit {add(limit)}::bigint"
    )
    return [stored(row) for row in await fetch(connection, sql, parameters.values)]


def _in_time(part: Part, me: str, names: Sequence[str], parameters: Parameters) -> str:
    """The date of the care is none, or touches the time asked for."""
    keys = [search_parameters(name)[code].key for name in names if (code := _care_date(name)) is not None]
    dated = f"d.patient = {me} and d.rid = r.rid and d.param = any({parameters.add(keys)}::int[])"
    tests = [dated]
    if part.end is not None:
        tests.append(f"d.low < {parameters.add(part.end)}::timestamptz")
    if part.start is not None:
        tests.append(f"d.high > {parameters.add(part.start)}::timestamptz")
    return (
        f"not exists (select 1 from index_date d where {dated})"
        f" or exists (select 1 from index_date d where {' and '.join(tests)})"
    )


def _care_date(resource_type: str) -> str | None:
    """The parameter that tells when the care was: the type's main date but where that is seldom given."""
    return "authoredon" if resource_type == "MedicationRequest" else main_date(resource_type)


async def referred(
    connection: Any, gate: Gate, patient: int, found: Sequence[Stored], types: frozenset[str], *, others: bool = True
) -> list[Stored]:
    """What these resources refer to, and what that refers to, of the given types, without themselves: what belongs to
    no patient or, unless `others` is False, to this one too."""
    seen = {one.rid for one in found}
    out: list[Stored] = []
    frontier = found
    for _ in range(_LINKS):
        wanted = {key for one in frontier for key in _targets(one.body, types)} - seen
        if not wanted or len(out) >= MAXIMUM:
            break
        parameters = Parameters()
        add = parameters.add
        own = f" or r.patient = {add(patient)}::bigint" if others else ""
        sql = (
            f"select {SELECT} from resource r where r.rid = any({add(sorted(wanted))}::bigint[]) and not r.deleted"
            f" and (r.patient is null{own}) and ({gate.predicate('r', None, parameters)}) order by r.rid"
            f" limit {add(MAXIMUM)}::bigint"
        )
        frontier = [stored(row) for row in await fetch(connection, sql, parameters.values)]
        seen |= wanted
        out += frontier
    return out


def _targets(body: bytes, types: frozenset[str]) -> set[int]:
    """rids of the local resources of some types that a text refers to."""
    return {
        resource_key(kind, match[2].decode())
        for match in _REFERENCE.finditer(body)
        if is_type(kind := match[1].decode()) and kind in types
    }
