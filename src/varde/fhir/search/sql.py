"""A parsed search as one SQL statement, paged by key.

The statement is driven by an index that already has the order asked for, where one of the conditions gives
it (a token or reference with the type's main date); else by `resource` itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.compartments import parameters_into
from varde.fhir.definitions import (
    compartment_parameters,
    one_patient,
    resource_types,
    search_parameters,
    type_number,
)
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.conditions import TABLES, Compiler
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.query import Condition, Question, Search, Sort
from varde.fhir.search.references import reference_target
from varde.fhir.search.shaping import is_main_date

COLUMNS = "rid, patient, type, id, version, updated, seq, deleted, body"
_COLUMNS = ", ".join(f"r.{column}" for column in COLUMNS.split(", "))
_SORT_COLUMN = {
    "token": "s.code", "uri": "s.value", "number": "s.low", "date": "s.low",
    # Norwegian order: æ, ø, å after z.
    "string": "translate(s.value, 'æøå', '{|}')",
    "quantity": "coalesce(s.base_low, s.low)",
}  # fmt: skip
_CAST = {"token": "text", "string": "text", "uri": "text", "reference": "text", "quantity": "float8",
         "number": "float8", "date": "timestamptz"}  # fmt: skip
BEFORE = "-"
"""Begins a page key that means the page which ends before a row, not the one after it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and values. Rows have COLUMNS and, for pages, the sort keys k0, k1…"""

    sql: str
    values: list[Any]
    keys: int
    near: bool = False
    """Whether the answer lies together in an index: of one patient, of one code in the index's order, or named."""


@dataclass(frozen=True, slots=True)
class _Key:
    """One sort key: SQL expression, its type, direction."""

    sql: str
    cast: str
    descending: bool
    join: str = ""
    """What the key's values are joined from, one a resource: found once for all, not anew for each."""


def _single_patient(search: Search) -> tuple[int | None, Condition | None]:
    """rid of the one patient that every match must belong to, and the condition that says so and no more."""
    for condition in search.conditions:
        if (
            isinstance(condition, Condition)
            and condition.modifier is None
            and search.resource_type is not None
            and condition.parameter.code in one_patient(search.resource_type)
            and len(condition.values) == 1
        ):
            wanted = unescape(condition.values[0])
            if "/" not in wanted and condition.parameter.code == "patient":
                return resource_key("Patient", wanted), condition
            key, number, form = reference_target(wanted)
            if form == "l" and "/_history/" not in wanted and number == type_number("Patient"):
                return key, condition
    return None, None


def compile_search(
    gate: Gate, search: Search, now: datetime, *, compartment: str | None = None, counting: bool = False
) -> Statement:
    """The statement for one page of `search` (one row more than asked, to know whether more follow), or, when
    `counting`, for the number of matches. `compartment` is the id of a Patient, or
    "Encounter/id" and the like for the other compartments of R4.

    Raises BadRequest for values that cannot be read.
    """
    parameters = Parameters()
    compiler = Compiler(gate, parameters, now)
    patient, implied = _single_patient(search)
    placed = None if patient is None else f"{parameters.add(patient)}::bigint"
    conditions = [condition for condition in search.conditions if condition is not implied]
    source, date, rid = "resource r", "r.date", "r.rid"
    driver = _driver(search, conditions, counting)
    where = [compiler.visible("r", search.resource_type, found=driver is not None)]
    if driver is not None:
        conditions.remove(driver)
        source, date, rid = "index_token t join resource r on r.rid = t.rid", "t.date", "t.rid"
        where.append(f"t.param = {parameters.add(driver.parameter.key)}::int")
        where.append(compiler.token_test("t", driver.values[0]))
        if placed:
            where.append(f"t.patient = {placed} and t.patient <> t.rid")
    elif placed:
        where.append(f"r.patient = {placed}")
    where += [compiler.meets("r", condition, placed) for condition in conditions]
    if implied is not None and placed and not _alone(search.resource_type or ""):
        where.append(compiler.about("r", implied, placed))
    if compartment is not None:
        where.append(_in_compartment(search, compartment, parameters))
    for ids in search.ids:
        where.append(f"r.rid = any({parameters.add(_keys(search, ids))}::bigint[])"
                     if search.resource_type else f"r.id = any({parameters.add(list(ids))}::text[])")  # fmt: skip
    for alternatives in search.updated:
        where.append("(" + " or ".join(compiler.updated("r", text) for text in alternatives) + ")")
    if search.types:
        numbers = [type_number(name) for name in search.types]
        where.append(f"r.type = any({parameters.add(numbers)}::smallint[])")
    if counting:
        sql = f"select count(*) from {source} where " + " and ".join(where)
        return Statement(sql, parameters.values, 0)
    keys = _sort_keys(search, parameters, date, placed)
    source += "".join(key.join for key in keys)
    back = (search.page or "").startswith(BEFORE)
    if search.page:
        where.append(_beyond(search.page.removeprefix(BEFORE), keys, rid, parameters, back=back))
    extra = "".join(f", {key.sql} as k{n}" for n, key in enumerate(keys))
    order = ", ".join(
        [*(f"{k.sql} {'desc' if k.descending != back else 'asc'}" for k in keys), f"{rid} {'desc' if back else 'asc'}"]
    )
    sql = (
        f"select {_COLUMNS}{extra} from {source} where {' and '.join(where)} order by {order}"
        f" limit {parameters.add(search.count + 1)}"
    )
    near = patient is not None or compartment is not None or bool(search.ids) or (driver is not None and not conditions)
    return Statement(sql, parameters.values, len(keys), near)


def _keys(search: Search, ids: Sequence[str]) -> list[int]:
    return [resource_key(search.resource_type or "", identifier) for identifier in ids]


def _alone(resource_type: str) -> bool:
    """Whether nothing but "patient" or "subject" puts a resource of the type into a patient's compartment."""
    return set(compartment_parameters(resource_type)) <= one_patient(resource_type)


def _in_compartment(search: Search, compartment: str, parameters: Parameters) -> str:
    """In the compartment: naming its resource by any of its parameters, or being it; about the patient, in theirs."""
    kind, _, identifier = compartment.rpartition("/")
    kind = kind or "Patient"
    owner = f"{parameters.add(resource_key(kind, identifier))}::bigint"
    named = [search.resource_type] if search.resource_type else list(search.types or resource_types())
    keys = [
        search_parameters(name)[code].key
        for name in named
        for code in parameters_into(kind, name)
        if code in search_parameters(name)
    ]
    typed = f" and o.type = {parameters.add(type_number(named[0]))}::smallint" if len(named) == 1 else ""
    itself = "o.patient" if kind == "Patient" else "o.rid"
    return (
        f"r.rid in (select o.rid from resource o where {itself} = {owner} and not o.deleted{typed} union all"
        f" select f.rid from index_reference f where f.target = {owner}"
        f" and f.param = any({parameters.add(keys)}::int[]))"
    )


def _driver(search: Search, conditions: list[Question], counting: bool = False) -> Condition | None:
    """A token with its system, asked for in the order of the main date: its index is the answer's order. When
    `counting` no order matters, and starting from the token keeps the plan good while statistics are stale."""
    if search.resource_type is None or search.ids:
        return None
    if (
        not counting
        and search.sort
        and (len(search.sort) > 1 or not is_main_date(search.resource_type, search.sort[0]))
    ):
        return None
    for condition in conditions:
        if isinstance(condition, Condition) and condition.parameter.kind == "token":
            value = condition.values[0]
            parts = split_values(value, "|")
            # Without its system a code may stand twice in one resource, and the row would come twice.
            alone = condition.modifier is None and condition.codes is None and len(condition.values) == 1
            implied = unescape(parts[0]) in condition.parameter.systems or len(condition.parameter.keys) > 1
            if alone and len(parts) == 2 and parts[1] and not implied and condition.parameter.code != "_id":
                return condition
    return None


def _sort_keys(search: Search, parameters: Parameters, date: str, patient: str | None) -> list[_Key]:
    if not search.sort:
        # Newest first by the main date. Over all types by their keys alone, which no write moves.
        return [] if search.resource_type is None else [_Key(date, "timestamptz", True)]
    return [_sort_key(search, sort, parameters, date, patient, f"s{number}") for number, sort in enumerate(search.sort)]


def _sort_key(search: Search, sort: Sort, parameters: Parameters, date: str, patient: str | None, alias: str) -> _Key:
    if sort.code == "_id":
        return _Key("r.id", "text", sort.descending)
    if sort.code == "_lastUpdated":
        return _Key("r.updated", "timestamptz", sort.descending)
    if is_main_date(search.resource_type, sort):
        if not sort.descending:  # what has no date stands first in the index, and is to come last
            last = "'9999-12-31 00:00:00+00'::timestamptz"
            date = f"(case when {date} = '0001-01-02 00:00:00+00'::timestamptz then {last} else {date} end)"
        return _Key(date, "timestamptz", sort.descending)
    assert sort.parameter is not None
    kind = sort.parameter.kind
    edge, cast = "max" if sort.descending else "min", _CAST[kind]
    join = ""
    if kind == "reference":
        value = _least_reference(sort, edge, parameters)
    else:
        column = "s.high" if kind == "date" and sort.descending else _SORT_COLUMN[kind]
        keys = parameters.add(list(sort.parameter.keys))
        scope = f" and s.patient = {patient} and s.patient <> s.rid" if patient else ""
        value = f"{alias}.value"
        join = (
            f" left join (select s.rid, {edge}({column}) as value from {TABLES[kind]} s"
            f" where s.param = any({keys}::int[]){scope} group by s.rid) {alias} on {alias}.rid = r.rid"
        )
    # Resources without a value come last either way.
    empty = {
        "text": "''" if sort.descending else "U&'\\+10FFFF'",
        "float8": "'-infinity'" if sort.descending else "'infinity'",
        "timestamptz": "'0001-01-01 00:00:00+00'" if sort.descending else "'9999-12-31 00:00:00+00'",
    }[cast]
    sql = f"coalesce({value}, {empty}::{cast})"
    return _Key(sql + (' collate "C"' if cast == "text" else ""), cast, sort.descending, join)


def _least_reference(sort: Sort, edge: str, parameters: Parameters) -> str:
    """References sort by their text, which only the resource itself has: the index knows its hash alone."""
    assert sort.parameter is not None
    ways = []
    for path in sort.parameter.paths:
        names = [_json_step(step) for step in path["steps"]]
        end = '."reference"' if path["type"] == "Reference" else ""
        ways.append(f"jsonb_path_query(b.body, {parameters.add('$' + ''.join(names) + end)}::text::jsonpath)")
    listed = " union all ".join(f"select {way} as value" for way in ways)
    return (
        f"(select {edge}((v.value #>> '{{}}') collate \"C\") from"
        f" (select convert_from(r.body, 'UTF8')::jsonb as body) b, lateral ({listed}) v)"
    )


def _json_step(step: Sequence[Any]) -> str:
    """One step of a typed path in the language of jsonpath."""
    if len(step) == 2:
        return f'."{step[0]}"'
    kind, argument, value = step
    return {
        "equals": f' ? (@."{argument}" == "{value}")',
        "is": f' ? (@."reference" like_regex "(^|/){argument}/" || @."type" == "{argument}")',
        "has": f' ? (@."extension"[*]."url" == "{argument}")',
        "index": f"[{argument}]",
    }[kind]


def cursor(row: Any, keys: int) -> str:
    """The opaque key of the page that follows `row`; with BEFORE in front, of the one that ends before it."""
    parts = [row[f"k{n}"] for n in range(keys)]
    plain = [p.isoformat() if isinstance(p, datetime) else str(p) if isinstance(p, float) else p for p in parts]
    return base64.urlsafe_b64encode(orjson.dumps([*plain, row["rid"]])).decode().rstrip("=")


def _beyond(page: str, keys: list[_Key], rid: str, parameters: Parameters, *, back: bool) -> str:
    """The rows that come after the cursor (before it, when `back`), in an order whose keys may each go up or down."""
    try:
        values = orjson.loads(base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)))
        if not isinstance(values, list) or len(values) != len(keys) + 1 or not isinstance(values[-1], int):
            raise ValueError
        read = [_cursor_value(value, key.cast) for value, key in zip(values, keys, strict=False)]
        if not -(2**63) <= values[-1] < 2**63:
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise BadRequest.of("_page is not a page key of this search") from None
    last = f"{parameters.add(values[-1])}::bigint"
    condition = f"{rid} {'<' if back else '>'} {last}"
    for key, value in zip(reversed(keys), reversed(read), strict=True):
        placed = f"{parameters.add(value)}::{key.cast}"
        beyond = "<" if key.descending != back else ">"
        # The first comparison with equality bounds the index scan; the rest decides ties.
        condition = f"({key.sql} {beyond}= {placed} and ({key.sql} {beyond} {placed} or {condition}))"
    return condition


def _cursor_value(value: Any, cast: str) -> Any:
    if cast == "timestamptz":
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment
    if cast == "text" and not isinstance(value, str):
        raise ValueError
    if cast == "bigint" and not (isinstance(value, int) and -(2**63) <= value < 2**63):
        raise ValueError
    if cast == "float8":
        return float(value)
    return value
