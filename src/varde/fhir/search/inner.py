"""`_contained`: searching the resources inside others, and what is shown of them. SQL, and one pure function.

A match is a resource inside another; it is seen by those who see the resource that holds it. `_containedType` says
whether the holder or the contained resource is shown.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.definitions import type_number
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.search.conditions import Compiler
from varde.fhir.search.query import Search
from varde.fhir.search.values import FIRST


def compile_inner(
    gate: Gate, search: Search, now: datetime, columns: str, *, counting: bool = False
) -> tuple[str, list[Any]]:
    """(SQL, values) for one page of a search with `_contained` true or both, or for its number of matches. Rows have
    `columns` of the holder and `inner`, the id of the contained resource that matched ("" for the holder itself).

    Raises BadRequest for values that cannot be read and for what such a search does not take.
    """
    if search.resource_type is None:
        raise BadRequest.of("_contained needs a type to search", code="not-supported")
    if search.sort or search.includes:
        raise BadRequest.of("a search of contained resources takes no _sort and _include", code="not-supported")
    parameters = Parameters()
    compiler = Compiler(gate, parameters, now)
    kind = search.resource_type
    row, holder = compiler.alias("k", contained=True), compiler.alias("o")
    where = [f"{row}.type = {parameters.add(type_number(kind))}::smallint", f"{row}.id <> '{FIRST}'"]
    where += _conditions(compiler, search, row)
    shown = f"{row}.id" if search.contained_type == "contained" else "''"
    found = (
        f"select {holder}.rid, {shown} as inner from resource_contained {row} join resource {holder}"
        f" on {holder}.rid = {row}.container where {compiler.visible(holder, None)} and {' and '.join(where)}"
    )
    if search.contained == "both":
        own = compiler.alias("r")
        found += f" union select {own}.rid, '' as inner from resource {own} where " + " and ".join(
            [compiler.visible(own, kind), *_conditions(compiler, search, own)]
        )
    matches = f'(select distinct f.rid, f.inner collate "C" as inner from ({found}) f) m'
    if counting:
        return f"select count(*) from {matches}", parameters.values
    after = ""
    if search.page:
        rid, inner = _read(search.page)
        after = f" where (m.rid, m.inner) > ({parameters.add(rid)}::bigint, {parameters.add(inner)}::text)"
    return (
        f"select {columns}, m.inner from {matches} join resource r on r.rid = m.rid{after}"
        f" order by m.rid, m.inner limit {parameters.add(search.count + 1)}",
        parameters.values,
    )


def _conditions(compiler: Compiler, search: Search, alias: str) -> list[str]:
    found = [compiler.meets(alias, question) for question in search.conditions]
    for ids in search.ids:
        found.append(f"{alias}.id = any({compiler.parameters.add(list(ids))}::text[])")
    for alternatives in search.updated:
        found.append("(" + " or ".join(compiler.updated_of(alias, text) for text in alternatives) + ")")
    return found


def inner_cursor(row: Mapping[str, Any]) -> str:
    """The opaque key of the page that follows `row`."""
    return base64.urlsafe_b64encode(orjson.dumps([row["inner"], row["rid"]])).decode().rstrip("=")


def _read(page: str) -> tuple[int, str]:
    try:
        values = orjson.loads(base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)))
        inner, rid = values
        if not (isinstance(inner, str) and isinstance(rid, int) and -(2**63) <= rid < 2**63 and "\x00" not in inner):
            raise ValueError
        inner.encode()
    except (ValueError, TypeError, binascii.Error):
        raise BadRequest.of("_page is not a page key of this search") from None
    return rid, inner
