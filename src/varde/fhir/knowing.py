"""The definitions that a store holds: StructureDefinitions, ValueSets and CodeSystems that were written to it, known
to all processes. Part of the Store; what is made of them is `known.py`'s.

A process asks the database at most once a second whether they changed, and only when a resource names a profile or
an extension that R4 itself does not have: an ordinary write asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import orjson

from varde.fhir import structure
from varde.fhir.known import CORE, Known, definition_urls, named
from varde.fhir.model import ProjectedRow
from varde.fhir.validate import Judgement, findings, judge

FRESH_SECONDS = 1.0
"""For how long a process may judge by definitions that another process has changed."""
_MAXIMUM_BYTES = 20_000_000
"""A definition larger than this (a code system of a whole country) is left to the terminology operations."""

_WANTED = ("StructureDefinition", "ValueSet")

_Name = tuple[str, str]


class Knowing:
    """What one process knows of one store's definitions."""

    def __init__(self) -> None:
        self._known = CORE
        self._index: dict[_Name, int] = {}
        self._loaded: dict[_Name, Mapping[str, Any]] = {}
        self._state: tuple[int, int] | None = None
        self._asked = float("-inf")

    types = frozenset({"StructureDefinition", "ValueSet", "CodeSystem"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the list of definitions, in the transaction that wrote the resources."""
        await connection.executemany(
            "insert into fhir_definition as d (rid, kind, url, changes) values ($1, $2, $3, 1)"
            " on conflict (rid) do update set url = excluded.url, changes = d.changes + 1",
            sorted((row.rid, row.type, _url(row.new)) for row in rows),
        )
        self._asked = float("-inf")

    async def concerns(self, connection: Any, urls: Iterable[str]) -> bool:
        """Whether the store has definitions of one of `urls`."""
        await self._refresh(connection)
        return any((kind, url.partition("|")[0]) in self._index for url in urls for kind in _WANTED)

    def judge(self, resource: Mapping[str, Any]) -> Judgement:
        """The faults of a resource by what this process knows now. Asks no database."""
        return judge(resource, self._known)

    def may_learn(self, urls: Iterable[str]) -> bool:
        """Whether the database may say other of the definitions `urls` than this process knows."""
        if monotonic() - self._asked >= FRESH_SECONDS:
            return True
        names = {(kind, url.partition("|")[0]) for url in urls for kind in _WANTED}
        return any(name in self._index and name not in self._loaded for name in names)

    async def findings(self, connection: Any, resource: Mapping[str, Any], profiles: Sequence[str]) -> Judgement:
        """All there is to say about a resource, by the store's definitions as they are now."""
        self._asked = float("-inf")
        await self.learn(connection, profiles)
        found = findings(resource, self._known, profiles)
        if found.wanted and await self.learn(connection, found.wanted):
            found = findings(resource, self._known, profiles)
        return found

    async def learn(self, connection: Any, urls: Iterable[str]) -> bool:
        """Fetch the definitions of `urls` and all they build on. Whether other is known than before."""
        before = self._known
        await self._refresh(connection)
        index, loaded = self._index, self._loaded
        many = len(loaded)
        wanted = {(kind, url.partition("|")[0]) for url in urls for kind in _WANTED}
        while missing := {name: index[name] for name in wanted if name in index and name not in loaded}:
            rows = await connection.fetch(
                "select rid, body from resource where rid = any($1::bigint[]) and not deleted", list(missing.values())
            )
            bodies = {row["rid"]: row["body"] for row in rows}
            wanted = set()
            for name, rid in missing.items():
                body = bodies.get(rid)
                if body is None or len(body) > _MAXIMUM_BYTES:
                    index.pop(name, None)
                    continue
                loaded[name] = orjson.loads(body)
                wanted |= definition_urls(loaded[name])
        if len(loaded) != many and loaded is self._loaded:
            self._known = Known(loaded)
        return self._known is not before

    async def _refresh(self, connection: Any) -> None:
        if monotonic() - self._asked < FRESH_SECONDS:
            return
        row = await connection.fetchrow(
            "select count(*) as count, coalesce(sum(changes), 0) as sum from fhir_definition"
        )
        self._asked = monotonic()
        state = (row["count"], row["sum"])
        if state == self._state:
            return
        rows = await connection.fetch("select kind, url, rid from fhir_definition where url is not null order by rid")
        # R4's own definitions cannot be replaced by what somebody writes under their url
        self._index = {
            named(row["kind"], row["url"]): row["rid"]
            for row in rows
            if not structure.is_archived("Expansion" if row["kind"] == "ValueSet" else row["kind"], row["url"])
        }
        self._state, self._loaded, self._known = state, {}, CORE


def _url(resource: Mapping[str, Any] | None) -> str | None:
    url = resource.get("url") if resource is not None else None
    return url if isinstance(url, str) else None
