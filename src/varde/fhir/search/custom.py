"""Custom search parameters: SearchParameter resources that are stored and active, made searchable in every process.

A projection of the store compiles them to typed paths, as R4's own are, and refuses what it cannot compile (422). All
processes look at `search_version`; a parameter is searchable once the resources there are indexed by it
(`fhir/reindex.py`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from varde.clock import Clock
from varde.fhir.definitions import (
    is_type,
    own_key,
    own_urls,
    resource_types,
    search_parameters,
    set_custom,
    type_name,
    type_number,
)
from varde.fhir.errors import Unprocessable
from varde.fhir.model import ProjectedRow
from varde.fhir.search import values
from varde.fhir.search.paths import Element, Elements, Unreadable, paths_of
from varde.fhir.structure import members

PACE = 1.0
"""Seconds between two looks at whether the custom parameters changed."""
_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,63}")
_KINDS = ("number", "date", "string", "token", "reference", "quantity", "uri")


class _Known(Elements):
    """Every element of R4, by the definitions that validation works by."""

    def __init__(self) -> None:
        super().__init__({}, list(resource_types()))

    def step(self, types: tuple[str, ...], name: str) -> tuple[str, Element] | None:
        """As Elements.step."""
        for holder in types:
            own = members(holder)
            found = [member for member in own.values() if member.element == name]
            if found:
                return name, Element(found[0].repeats, tuple(one.type for one in found), name not in own)
        return None


def compiled(resource: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{type: definition as in search.json} of a SearchParameter. Raises Unprocessable with the reason when it is
    beyond what can be indexed."""
    code, kind, expression = resource.get("code"), resource.get("type"), resource.get("expression")
    if not (isinstance(code, str) and _CODE.fullmatch(code)):
        raise _refused("a code has letters, digits, _ and -, and begins with a letter", "code")
    if kind not in _KINDS:
        raise _refused(f"custom parameters of type {kind} are not indexed; those of {', '.join(_KINDS)} are", "type")
    if not isinstance(expression, str) or not expression.strip():
        raise _refused("an active parameter has a FHIRPath expression", "expression")
    bases = resource.get("base", [])
    if {"Resource", "DomainResource"} & set(bases):
        bases = resource_types()
    made: dict[str, dict[str, Any]] = {}
    for base in bases:
        if not is_type(base):
            raise _refused("a base is a resource type", "base")
        try:
            paths = [
                path for path in paths_of(_Known(), expression, base) if values.handler(kind, path["type"]) is not None
            ]
        except Unreadable as error:
            raise _refused(str(error), "expression") from None
        if not paths:
            raise _refused(f"the expression leads to nothing in {base} that is searched as {kind}", "expression")
        own = search_parameters(base).get(code)
        if own is not None and own.url != resource.get("url"):
            raise _refused(f"{base} has a parameter '{code}' already", "code")
        made[base] = {
            "code": code, "kind": kind, "url": resource.get("url", ""), "paths": paths,
            "targets": [t for t in resource.get("target", ()) if is_type(t)],
        }  # fmt: skip
    return made


def _refused(reason: str, element: str) -> Unprocessable:
    error = Unprocessable.of(reason, f"SearchParameter.{element}", "not-supported")
    assert isinstance(error, Unprocessable)
    return error


class CustomParameters:
    """The projection of SearchParameter resources, and this process's copy of what it keeps."""

    types = frozenset({"SearchParameter"})

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked = -PACE
        self._installed: int | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to look for changes. A pace, not a time that anything is judged by: hence no Clock."""
        return time.monotonic() - self._looked >= PACE

    async def refresh(self, connection: Any) -> None:
        """Take over what changed since the last look."""
        self._looked = time.monotonic()
        number = await connection.fetchval("select number from search_version")
        if number == _Installed.number.get(id(self)) and _Installed.by == id(self):
            return
        rows = await connection.fetch("select type, code, definition from search_parameter")
        ready = {row["key"] for row in await connection.fetch("select key from search_key where retired is null")}
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in rows:
            kind, definition = type_name(row["type"]), json.loads(row["definition"])
            definition["ready"] = own_key(kind, row["code"], definition) in ready
            found.setdefault(kind, {})[row["code"]] = definition
        set_custom(found)
        _Installed.number[id(self)] = number
        _Installed.by = id(self)

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep what the written SearchParameters come to. Raises Unprocessable."""
        for row in rows:
            new = row.new
            active = new is not None and new.get("status") == "active" and new.get("url") not in own_urls()
            made = compiled(new) if new is not None and active else {}
            gone = await connection.fetch("delete from search_parameter where rid = $1 returning type", row.rid)
            for kind, definition in made.items():
                kept = await connection.fetchval(
                    "insert into search_parameter (rid, type, code, definition) values ($1, $2, $3, $4)"
                    " on conflict (type, code) do nothing returning rid",
                    row.rid, type_number(kind), definition["code"], json.dumps(definition),
                )  # fmt: skip
                if kept is None:
                    raise _refused(f"{kind} has a parameter '{definition['code']}' already", "code")
            if gone or made:
                await changed(connection)


class _Installed:
    """Whose copy the process works by: the definitions are one for all stores of a process."""

    by: int | None = None
    number: dict[int, int] = {}  # noqa: RUF012 one a process, as the definitions are


async def changed(connection: Any) -> None:
    """Tell every process to look anew, once this transaction is committed."""
    await connection.execute("update search_version set number = number + 1")
