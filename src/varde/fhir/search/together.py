"""Many searches of one shape as one statement, which also writes the access log of each. Pure.

Searches are of one shape when their SQL is the same text: they ask by the same parameters with the same right, for
other values. Each is a lateral part of the whole, so that each is answered along the same index as when it is alone.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any

from varde.fhir.arrays import column, placed
from varde.fhir.gate import Interaction, LoggingGate, Parameters
from varde.fhir.search.sql import COLUMNS, Statement

_PLACEHOLDER = re.compile(r"\$(\d+)")
_TYPES = {str: "text", int: "bigint", float: "float8", datetime: "timestamptz"}
_SMALL = 2**31
_SHOWN = COLUMNS.replace("seq, ", "")


def shape(statement: Statement) -> Hashable:
    """Alike for statements that `together` can join: the text, and the values that are of the shape and not of the
    question: keys of parameters and types, the limit, lists."""
    return statement.sql, tuple(
        tuple(value) if isinstance(value, list) else value for value in statement.values if not _differs(value)
    )


def _differs(value: Any) -> bool:
    """Whether a value is of the question: texts, moments, and hashes of 64 bits."""
    if isinstance(value, bool | list) or value is None:
        return False
    return not isinstance(value, int) or not -_SMALL <= value < _SMALL


def together(
    statements: Sequence[Statement], gate: LoggingGate, resource_type: str, count: int, query: str
) -> tuple[str, list[Any]]:
    """(SQL, values) of statements of one shape. Rows have the columns of each but `seq`, and `place`, 1 and on; within
    a place they come in the statement's order. `count`: how many rows of each are shown, and therefore logged."""
    parameters = Parameters()
    named: dict[str, str] = {}
    columns, relations = [], []
    for number, value in enumerate(statements[0].values, start=1):
        if _differs(value):
            name = f"p{number}"
            datatype = _TYPES[type(value)]
            listed = column([statement.values[number - 1] for statement in statements], datatype)
            relations.append(placed(parameters.add(listed), datatype))
            columns.append(name)
            named[str(number)] = f"q.{name}"
        else:
            named[str(number)] = parameters.add(value)
    relations.append(placed(parameters.add(column(range(1, len(statements) + 1), "int")), "int"))
    columns.append("place")
    one = _PLACEHOLDER.sub(lambda match: named[match[1]], statements[0].sql)
    sql = (
        f"with q as materialized (select * from unnest({', '.join(relations)}) as q({', '.join(columns)})),"
        f" found as materialized (select q.place, x.* from q cross join lateral"
        f" (select row_number() over () as nr, one.* from ({one}) one) x)"
    )
    asked = len(parameters.values)
    told = (
        f"(select t.disclosure, case when t.patients < 2 then t.patient end as patient, true as allowed, t.ids,"
        f" {parameters.add(query)}::text as query from told t union all"
        f" select t.disclosure, f.patient, true, '{{}}'::text[], {parameters.add(query)}::text from told t"
        f" join (select distinct place, patient from found where nr <= {parameters.add(count)}::int) f"
        f" on f.place = t.place and t.patients > 1 and f.patient is not null) as listed"
    )
    log = gate.log_found(Interaction.SEARCH, resource_type, told, parameters)
    if log is None:
        del parameters.values[asked:]  # nothing speaks of them
    else:
        name, limit = parameters.add(f"{resource_type}/"), parameters.add(count)
        sql += (
            ", told as materialized (select q.place, gen_random_uuid() as disclosure,"
            " count(distinct f.patient) as patients, min(f.patient) as patient,"
            f" coalesce(array_agg({name}::text || f.id order by f.nr) filter (where f.nr is not null), '{{}}') as ids"
            f" from q left join found f on f.place = q.place and f.nr <= {limit}::int group by q.place),"
            f" logged as ({log})"
        )
    keys = "".join(f", k{number}" for number in range(statements[0].keys))
    return f"{sql} select {_SHOWN}{keys}, place from found order by place, nr", parameters.values
