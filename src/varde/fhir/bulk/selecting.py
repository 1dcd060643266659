"""Which resources an export holds: one statement a step, each with the gate's predicate on every row it touches.

The store goes on being written meanwhile, and every step shows it as it was at the export's moment: the version that
was current then stands in `resource`, or in `resource_history` when the resource was changed since. Either way its
(updated, rid) is the same, so that steps along that key take each resource once, whatever happens between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.fhir.bulk.asked import Export
from varde.fhir.definitions import type_number
from varde.fhir.gate import Gate, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.conditions import Compiler
from varde.fhir.search.parse import parse

Place = tuple[datetime, int]
"""(updated, rid) of the last resource that was taken."""


@dataclass(frozen=True, slots=True)
class Step:
    """Which part of an export a statement is for."""

    type: str
    moment: datetime
    deleted: bool = False
    """What was deleted since, instead of what is there."""
    after: Place | None = None
    limit: int | None = None
    patients: Sequence[int] | None = None
    """rids of the Patients it is held to."""


def statement(gate: Gate, export: Export, step: Step) -> tuple[str, list[Any]]:
    """(SQL, values) of a step. Rows: updated, rid, patient, id, body, former; by the key when limited."""
    parameters = Parameters()
    current = _select(gate, export, step, parameters, former=False)
    branches = [current, *(_select(gate, export, step, parameters, former=True, gone=gone) for gone in (False, True))]
    order = ""
    if step.limit is not None:
        order = f" order by updated, rid limit {parameters.add(step.limit)}::bigint"
    return " union all ".join(f"({branch}{order})" for branch in branches) + order, parameters.values


def _select(gate: Gate, export: Export, step: Step, parameters: Parameters, *, former: bool, gone: bool = False) -> str:
    """The versions that are still current or, with `former`, those that were replaced since the moment: by another
    one or, with `gone`, by a deletion (two statements, as each has an index of its own)."""
    add = parameters.add
    kind, moment = f"{add(type_number(step.type))}::smallint", f"{add(step.moment)}::timestamptz"
    row = "h" if former else "r"
    where = [f"r.type = {kind}", f"{row}.updated <= {moment}"]
    source = "resource r"
    if former:
        source = "resource r join resource_history h on h.rid = r.rid"
        where += [
            "r.deleted" if gone else "not r.deleted",
            f"r.updated > {moment}",
            "h.deleted" if step.deleted else "not h.deleted",
            "not exists (select 1 from resource_history l where l.rid = h.rid and l.version > h.version"
            f" and l.updated <= {moment})",
            f"({gate.predicate('h', step.type, parameters)})",
        ]
    else:
        where.append("r.deleted" if step.deleted else "not r.deleted")
    where.append(f"({gate.predicate('r', step.type, parameters)})")
    if step.patients is not None:
        where.append(f"r.patient = any({add(list(step.patients))}::bigint[])")
    elif export.level != "system":
        where.append("r.patient is not null")
    since = export.since_moment
    if since is not None:
        where.append(f"{row}.updated > {add(since)}::timestamptz")
    if step.after is not None:
        where.append(f"({row}.updated, {row}.rid) > ({add(step.after[0])}::timestamptz, {add(step.after[1])}::bigint)")
    queries = [query for name, query in export.filters if name == step.type]
    if queries and not step.deleted:
        where.append("(" + " or ".join(_meets(gate, parameters, step, query) for query in queries) + ")")
    columns = (
        ", ".join(f"{row}.{name}" for name in ("updated", "rid", "patient", "id", "body")) + f", {former} as former"
    )
    return f"select {columns} from {source} where " + " and ".join(where)


def _meets(gate: Gate, parameters: Parameters, step: Step, query: str) -> str:
    """The condition of one _typeFilter."""
    search = parse(step.type, query)
    compiler = Compiler(gate, parameters, step.moment)
    tests = [compiler.meets("r", condition) for condition in search.conditions]
    for ids in search.ids:
        keys = [resource_key(step.type, identifier) for identifier in ids]
        tests.append(f"r.rid = any({parameters.add(keys)}::bigint[])")
    for alternatives in search.updated:
        tests.append("(" + " or ".join(compiler.updated("r", text) for text in alternatives) + ")")
    return "(" + (" and ".join(tests) or "true") + ")"


def types_in_use(numbers: Sequence[int]) -> tuple[str, list[Any]]:
    """(SQL, values) for those of these types that the store has, or had, any resource of."""
    return (
        "select t from unnest($1::smallint[]) t where exists (select 1 from resource r where r.type = t"
        " and not r.deleted) or exists (select 1 from resource r where r.type = t and r.deleted)",
        [list(numbers)],
    )
