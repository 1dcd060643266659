"""Searching: one page of what matches. Part of the Store; the SQL is made in `search/`, what is included in
`including.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from varde.fhir.gate import Disclosure, Gate, Interaction
from varde.fhir.including import included
from varde.fhir.model import Entry, Page
from varde.fhir.reading import SELECT, Reading, fetch, stored
from varde.fhir.search.inner import compile_inner, inner_cursor
from varde.fhir.search.parse import parse
from varde.fhir.search.query import Search
from varde.fhir.search.sql import BEFORE, compile_search, cursor
from varde.fhir.search.terms import asks_terms, resolved


class Searching(Reading):
    """search."""

    async def search(
        self,
        gate: Gate,
        resource_type: str | None,
        query: str | Sequence[tuple[str, str]],
        *,
        compartment: str | None = None,
        lenient: bool = False,
        connection: Any = None,
    ) -> Page:
        """One page of the resources that match and may be seen, with what they include.

        `compartment` is the id of a Patient to whose compartment the search is held. Raises BadRequest.
        """
        await self.allow(gate, Interaction.SEARCH, resource_type)
        async with self.reading(connection) as own:
            if self.custom.due:
                await self.custom.refresh(own)
            search = parse(resource_type, query, lenient=lenient)
            page = Page([], warnings=search.warnings)
            if any(asks_terms(question) for question in search.conditions):
                search.conditions = [await resolved(q, self.terminology, own, gate) for q in search.conditions]
            if search.contained != "false" and compartment is None:
                await self._contained(own, gate, search, page)
            else:
                await self._matches(own, gate, search, page, compartment)
            if search.includes and page.entries:
                page.entries += await included(own, gate, search.includes, page)
        asked = sorted({name.partition(":")[0] for name in _names(query)})
        await gate.record(
            Disclosure(
                Interaction.SEARCH,
                resource_type or "*",
                [entry.stored.reference for entry in page.entries],
                sorted({e.stored.patient for e in page.entries if e.stored.patient is not None}),
                query="&".join(f"{name}=" for name in asked),
            ),
            connection,
        )
        return page

    async def _matches(self, own: Any, gate: Gate, search: Search, page: Page, compartment: str | None) -> None:
        now = self.clock.now()
        if search.count and search.summary != "count":
            statement = compile_search(gate, search, now, compartment=compartment)
            rows = await fetch(own, statement.sql, statement.values)
            more = len(rows) > search.count
            rows = rows[: search.count]
            back = search.page is not None and search.page.startswith(BEFORE)
            if back:
                rows.reverse()
            if rows and (more or back):
                page.next = cursor(rows[-1], statement.keys)
            if rows and search.page is not None and (more or not back):
                page.previous = BEFORE + cursor(rows[0], statement.keys)
            page.entries = [Entry(stored(row)) for row in rows]
            if page.next is None and search.page is None:
                page.total = len(rows)
        if _counted(search, page):
            count = compile_search(gate, search, now, compartment=compartment, counting=True)
            page.total = (await fetch(own, count.sql, count.values))[0][0]
        if search.total == "none" and search.summary != "count" and search.count:
            page.total = None

    async def _contained(self, own: Any, gate: Gate, search: Search, page: Page) -> None:
        now = self.clock.now()
        if search.count and search.summary != "count":
            sql, values = compile_inner(gate, search, now, SELECT)
            rows = await fetch(own, sql, values)
            if len(rows) > search.count:
                rows = rows[: search.count]
                page.next = inner_cursor(rows[-1])
            page.entries = [Entry(stored(row), inside=row["inner"] or None) for row in rows]
            if page.next is None and search.page is None:
                page.total = len(rows)
        if _counted(search, page):
            sql, values = compile_inner(gate, search, now, SELECT, counting=True)
            page.total = (await fetch(own, sql, values))[0][0]
        if search.total == "none" and search.summary != "count" and search.count:
            page.total = None


def _counted(search: Search, page: Page) -> bool:
    """Whether the matches are still to be counted: an estimate is as exact as a count here."""
    asked = search.total in {"accurate", "estimate"} or search.summary == "count" or not search.count
    return asked and page.total is None


def _names(query: str | Sequence[tuple[str, str]]) -> list[str]:
    if isinstance(query, str):
        return [pair.partition("=")[0] for pair in query.split("&") if pair]
    return [name for name, _ in query]
