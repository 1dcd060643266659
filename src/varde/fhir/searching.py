"""Searching, with what the matches include. Part of the Store; the SQL is made in `search/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from varde.clock import Clock
from varde.db import Database
from varde.fhir.definitions import resource_types, search_parameters, type_number
from varde.fhir.gate import Disclosure, Gate, Interaction, LoggingGate, Parameters, logging_gate
from varde.fhir.gathering import Gathering
from varde.fhir.model import Entry, Page, Projection, Stored
from varde.fhir.reading import SELECT, Reading, fetch, stored
from varde.fhir.search.extract import extract
from varde.fhir.search.parse import Include, Search, parse
from varde.fhir.search.sql import Statement, compile_search, cursor
from varde.fhir.search.together import shape, together

MAXIMUM_INCLUDED = 1000
_ROUNDS = 5


class Searching(Reading):
    """search."""

    def __init__(self, database: Database, clock: Clock, projections: Sequence[Projection] = ()) -> None:
        super().__init__(database, clock, projections)
        self._searches: Gathering[_Asked, list[Any]] = Gathering(self._search_together)

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
        search = parse(resource_type, query, lenient=lenient)
        asked = "&".join(f"{name}=" for name in sorted({name.partition(":")[0] for name in _names(query)}))
        if connection is None and (logging := logging_gate(gate)) is not None and _is_one_statement(search):
            statement = compile_search(gate, search, self.clock.now(), compartment=compartment)
            if statement.near:
                key = (shape(statement), resource_type, logging.log_key(), asked)
                return _page_of(
                    search, await self._searches.ask(key, _Asked(logging, search, statement, asked)), statement
                )
        page = Page([], warnings=search.warnings)
        async with self.reading(connection) as own:
            rows: list[Any] = []
            if search.count and search.summary != "count":
                statement = compile_search(gate, search, self.clock.now(), compartment=compartment)
                rows = await fetch(own, statement.sql, statement.values)
                page = _page_of(search, rows, statement)
                rows = rows[: search.count]
            if page.total is None and (
                search.total in {"accurate", "estimate"} or search.summary == "count" or not search.count
            ):
                count = compile_search(gate, search, self.clock.now(), compartment=compartment, counting=True)
                page.total = (await fetch(own, count.sql, count.values))[0][0]
            if search.total == "none":
                page.total = None
            if search.includes and rows:
                page.entries += await self._included(own, gate, search, [e.stored for e in page.entries], page)
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

    async def _included(
        self, connection: Any, gate: Gate, search: Search, found: list[Stored], page: Page
    ) -> list[Entry]:
        seen = {item.rid for item in found}
        out: list[Entry] = []
        frontier = found
        for round_number in range(_ROUNDS):
            wanted = [i for i in search.includes if round_number == 0 or i.iterate]
            fresh: list[Stored] = []
            for include in wanted:
                rows = await self._one_include(connection, gate, include, frontier)
                if len(rows) > MAXIMUM_INCLUDED:
                    rows = rows[:MAXIMUM_INCLUDED]
                    warning = f"more than {MAXIMUM_INCLUDED} resources are included by one parameter; not all are here"
                    page.warnings.append(warning)
                for row in rows:
                    if row["rid"] not in seen:
                        seen.add(row["rid"])
                        fresh.append(stored(row))
            out += [Entry(item, "include") for item in fresh]
            if not fresh or not any(i.iterate for i in search.includes):
                break
            frontier = fresh
        return out

    async def _one_include(self, connection: Any, gate: Gate, include: Include, found: list[Stored]) -> list[Any]:
        parameters = Parameters()
        if include.reverse:
            kind = include.source or None
            rids = parameters.add([item.rid for item in found])
            keys = parameters.add(_reference_keys(kind, include.code))
            predicate = gate.predicate("r", kind, parameters)
            narrowed = f" and r.type = {parameters.add(type_number(kind))}::smallint" if kind else ""
            sql = (
                f"select distinct on (r.rid) {SELECT} from index_reference f join resource r on r.rid = f.rid"
                f" where f.target = any({rids}::bigint[]) and f.form = 'l' and f.param = any({keys}::int[]){narrowed}"
                f" and not r.deleted and ({predicate}) order by r.rid limit {MAXIMUM_INCLUDED + 1}"
            )
            return await fetch(connection, sql, parameters.values)
        targets: set[int] = set()
        for item in found:
            if include.source and item.type != include.source:
                continue
            wanted = set(_reference_keys(item.type, include.code))
            for param, target, number, form in extract(item.type, item.resource).references:
                if form == "l" and param in wanted:
                    if include.target and number != type_number(include.target):
                        continue
                    targets.add(target)
        if not targets:
            return []
        rids = parameters.add(sorted(targets))
        predicate = gate.predicate("r", include.target, parameters)
        sql = (
            f"select {SELECT} from resource r where r.rid = any({rids}::bigint[]) and not r.deleted"
            f" and ({predicate}) limit {MAXIMUM_INCLUDED + 1}"
        )
        return await fetch(connection, sql, parameters.values)


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
    )


def _page_of(search: Search, rows: list[Any], statement: Statement) -> Page:
    """The page that the rows of a statement make: one more than asked means that more follow."""
    page = Page([], warnings=search.warnings)
    if len(rows) > search.count:
        rows = rows[: search.count]
        page.next = cursor(rows[-1], statement.keys)
    page.entries = [Entry(stored(row)) for row in rows]
    if page.next is None and search.page is None and search.total != "none":
        page.total = len(rows)
    return page


def _reference_keys(resource_type: str | None, code: str) -> list[int]:
    """Keys of the reference parameters that an include names; code "*" for all, no type for every type."""
    return [
        parameter.key
        for name in ([resource_type] if resource_type else resource_types())
        for parameter in search_parameters(name).values()
        if parameter.kind == "reference" and code in {"*", parameter.code}
    ]


def _names(query: str | Sequence[tuple[str, str]]) -> list[str]:
    if isinstance(query, str):
        return [pair.partition("=")[0] for pair in query.split("&") if pair]
    return [name for name, _ in query]
