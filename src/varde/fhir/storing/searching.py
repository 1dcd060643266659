"""Searching: one page of what matches. Part of the Store; the SQL is made in `search/`, what is included in
`including.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varde.fhir.errors import BadRequest
from varde.fhir.gate import Disclosure, Gate, Interaction, LoggingGate, logging_gate
from varde.fhir.model import Entry, Page
from varde.fhir.search.inner import compile_inner, inner_cursor
from varde.fhir.search.parse import parse
from varde.fhir.search.query import Search
from varde.fhir.search.sql import BEFORE, Statement, compile_search, cursor
from varde.fhir.search.terms import asks_terms, resolved
from varde.fhir.search.together import shape, together
from varde.fhir.storing.gathering import Gathering
from varde.fhir.storing.including import included
from varde.fhir.storing.reading import SELECT, Reading, fetch, stored


class Searching(Reading):
    """search."""

    @cached_property
    def _searches(self) -> Gathering[_Asked, list[Any]]:
        return Gathering(self._search_together)

    async def _search_together(self, batch: Sequence[_Asked]) -> list[list[Any]]:
        """The rows of searches of one shape, with their rows of the access log written by the same statement."""
        first = batch[0]
        statements = [one.statement for one in batch]
        kind = first.search.resource_type or "*"
        sql, values = together(statements, first.gate, kind, first.search.count, first.asked)
        found: list[list[Any]] = [[] for _ in batch]
        for row in await self.fetch_logged(first.gate, sql, values):
            found[row["place"] - 1].append(row)
        return found

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

        `compartment` holds the search to that of a Patient (its id) or of another ("Encounter/id"). Raises BadRequest.
        """
        await self.allow(gate, Interaction.SEARCH, resource_type)
        if self.custom.due:
            async with self.reading(connection) as own:
                await self.custom.refresh(own)
        search = parse(resource_type, query, lenient=lenient)
        asked = "&".join(f"{name}=" for name in sorted({name.partition(":")[0] for name in _names(query)}))
        if connection is None and (logging := logging_gate(gate)) is not None and _is_one_statement(search):
            statement = compile_search(gate, search, self.clock.now(), compartment=compartment)
            if statement.near:
                key = (shape(statement), resource_type, logging.log_key(), asked)
                return _page_of(
                    search, await self._searches.ask(key, _Asked(logging, search, statement, asked)), statement
                )
        async with self.reading(connection) as own:
            if any(asks_terms(question) for question in search.conditions):
                search.conditions = [await resolved(q, self.terminology, own, gate) for q in search.conditions]
            if search.contained != "false":
                if compartment is not None:
                    raise BadRequest.of("contained resources are not searched in a compartment", code="not-supported")
                page = await self._contained(own, gate, search)
            else:
                page = await self._matches(own, gate, search, compartment)
            if search.includes and page.entries:
                page.entries += await included(own, gate, search.includes, page)
        await gate.record(
            Disclosure(
                Interaction.SEARCH,
                resource_type or "*",
                [entry.stored.reference for entry in page.entries],
                sorted({e.stored.patient for e in page.entries if e.stored.patient is not None}),
                query=asked,
            ),
            connection,
        )
        return page

    async def _matches(self, own: Any, gate: Gate, search: Search, compartment: str | None) -> Page:
        now = self.clock.now()
        page = Page([], warnings=search.warnings, ignored=search.ignored)
        if search.count and search.summary != "count":
            statement = compile_search(gate, search, now, compartment=compartment)
            page = _page_of(search, await fetch(own, statement.sql, statement.values), statement)
        if _counted(search, page):
            count = compile_search(gate, search, now, compartment=compartment, counting=True)
            page.total = (await fetch(own, count.sql, count.values))[0][0]
        return page

    async def _contained(self, own: Any, gate: Gate, search: Search) -> Page:
        now = self.clock.now()
        page = Page([], warnings=search.warnings, ignored=search.ignored)
        if search.count and search.summary != "count":
            sql, values = compile_inner(gate, search, now, SELECT)
            rows = await fetch(own, sql, values)
            if len(rows) > search.count:
                rows = rows[: search.count]
                page.next = inner_cursor(rows[-1])
            page.entries = [Entry(stored(row), inside=row["inner"] or None) for row in rows]
            if page.next is None and search.page is None and search.total != "none":
                page.total = len(rows)
        if _counted(search, page):
            sql, values = compile_inner(gate, search, now, SELECT, counting=True)
            page.total = (await fetch(own, sql, values))[0][0]
        return page


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search to be answered together with others of its shape."""

    gate: LoggingGate
    search: Search
    statement: Statement
    asked: str


def _is_one_statement(search: Search) -> bool:
    """Whether one statement finds all that the answer says."""
    return bool(
        search.resource_type
        and search.count
        and search.summary != "count"
        and search.total not in {"accurate", "estimate"}
        and not search.includes
        and search.contained == "false"
        and not any(asks_terms(question) for question in search.conditions)
    )


def _counted(search: Search, page: Page) -> bool:
    """Whether the matches are still to be counted: an estimate is as exact as a count here."""
    asked = search.total in {"accurate", "estimate"} or search.summary == "count" or not search.count
    return asked and page.total is None


def _page_of(search: Search, rows: list[Any], statement: Statement) -> Page:
    """The page that the rows of a statement make: one more than asked means that more follow."""
    page = Page([], warnings=search.warnings, ignored=search.ignored)
    more = len(rows) > search.count
    back = search.page is not None and search.page.startswith(BEFORE)
    rows = rows[: search.count]
    if back:
        rows.reverse()
    if rows and (more or back):
        page.next = cursor(rows[-1], statement.keys)
    if rows and search.page is not None and (more or not back):
        page.previous = BEFORE + cursor(rows[0], statement.keys)
    page.entries = [Entry(stored(row)) for row in rows]
    if page.next is None and search.page is None and search.total != "none":
        page.total = len(rows)
    return page


def _names(query: str | Sequence[tuple[str, str]]) -> list[str]:
    if isinstance(query, str):
        return [pair.partition("=")[0] for pair in query.split("&") if pair]
    return [name for name, _ in query]
