"""`/fhir/AuditEvent`: the access log over FHIR, read from the table itself through the scope of whoever asks.

Reading the log is logged too. What may be read is `reach.py`'s, what an event looks like `events.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from varde.db import Database
from varde.fhir.errors import Forbidden, NotFound
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.model import Entry, Page, Stored
from varde.fhir.store import ABSENT
from varde.trust.log import asking
from varde.trust.log.events import as_fhir, event_id, row_of
from varde.trust.log.reach import EVENT, Columns, admit, condition, references_of, visible
from varde.trust.scope import Scope


class AuditEvents:
    """AuditEvent as a type that is not rows of the store (fhir/http/elsewhere.py)."""

    type = EVENT
    parameters = asking.PARAMETERS

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(
        self, gate: Gate, query: Sequence[tuple[str, str]], *, patient: str | None, lenient: bool, connection: Any
    ) -> Page:
        """See Elsewhere."""
        scope = _scope(gate)
        await admit(scope, Interaction.SEARCH)
        asked = asking.read(query, lenient=lenient)
        async with self._reading(connection) as own:
            page, shown = await self._page(own, scope, asked, patient)
        names = "&".join(f"{name}=" for name in sorted({name.partition(":")[0] for name, _ in query}))
        patients = sorted({row["patient"] for row in shown if row["patient"] is not None})
        await scope.record(Disclosure(Interaction.SEARCH, EVENT, [], patients, query=names), connection)
        return page

    async def read(self, gate: Gate, resource_id: str, *, connection: Any) -> Stored:
        """See Elsewhere."""
        scope = _scope(gate)
        await admit(scope, Interaction.READ)
        number = row_of(resource_id)
        async with self._reading(connection) as own:
            found = [] if number is None else await self._rows(own, scope, [f"a.id = {number}"], Parameters(), 1)
            events = await self._events(own, scope, found)
        if not events:
            await scope.record(Disclosure(Interaction.READ, EVENT, [], [], allowed=False), connection)
            raise NotFound.of(ABSENT)
        patients = [row["patient"] for row in found if row["patient"] is not None]
        await scope.record(Disclosure(Interaction.READ, EVENT, [resource_id], patients), connection)
        return events[0]

    @asynccontextmanager
    async def _reading(self, connection: Any) -> AsyncIterator[Any]:
        if connection is not None:
            yield connection
        else:
            async with self._database.connection() as own:
                yield own

    async def _page(
        self, own: Any, scope: Scope, asked: asking.Asked, patient: str | None
    ) -> tuple[Page, Sequence[Mapping[str, Any]]]:
        seen = await visible(own, scope, asked.references)
        if scope.patient is not None:
            seen |= {f"Patient/{scope.patient}"} & set(asked.references)
        parameters = Parameters()
        columns = Columns.of(scope, "a")
        tests = asking.conditions(asked, columns, seen, parameters)
        if patient is not None:
            tests.append(asking.of_patient(patient, columns, parameters))
        page = Page([], ignored=list(asked.ignored))
        if asked.total or asked.only_count:
            counting = Parameters()
            counting.values = list(parameters.values)
            where = " and ".join([condition(scope, "a", counting), *tests])
            page.total = await own.fetchval(f"select count(*) from trust_audit a where {where}", *counting.values)
        if asked.only_count:
            return page, ()
        rows = await self._rows(
            own, scope, [*tests, asking.after(asked, parameters)], parameters, asked.count + 1,
            newest_first=asked.newest_first,
        )  # fmt: skip
        if len(rows) > asked.count:
            rows = rows[: asked.count]
            page.next = asking.mark(rows[-1]["at"], rows[-1]["id"])
        elif asked.page is None:
            page.total = len(rows)
        page.entries = [Entry(one) for one in await self._events(own, scope, rows)]
        return page, rows

    @staticmethod
    async def _rows(
        own: Any, scope: Scope, tests: Sequence[str], parameters: Parameters, most: int, *, newest_first: bool = True
    ) -> list[Mapping[str, Any]]:
        columns = Columns.of(scope, "a")
        where = " and ".join([condition(scope, "a", parameters), *tests])
        order = "desc" if newest_first else "asc"
        return list(
            await own.fetch(
                f"select a.id, a.at, {columns.patient} as patient, a.allowed, a.actor_kind, a.unit, a.unit_name,"
                f" a.acting_for, a.purpose, a.ground, a.interaction, a.resource_type, {columns.things} as resource_ids,"
                f" a.query, a.through, a.decision_ref, {columns.actor} as actor, {columns.name} as actor_name,"
                f" {columns.role} as role"
                f" from trust_audit a where {where} order by a.at {order}, a.id {order} limit {most}",
                *parameters.values,
            )
        )

    @staticmethod
    async def _events(own: Any, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> list[Stored]:
        seen = await visible(own, scope, [one for row in rows for one in references_of(row)])
        rids = sorted({row["patient"] for row in rows if row["patient"] is not None})
        named = await own.fetch("select rid, id from resource where rid = any($1::bigint[])", rids) if rids else []
        patients = {row["rid"]: row["id"] for row in named}
        if scope.patient is not None:
            patients.setdefault(resource_key("Patient", scope.patient), scope.patient)
        made = []
        for row in rows:
            known = [one for one in references_of(row) if one in seen]
            body = orjson.dumps(as_fhir(row, patients.get(row["patient"]), known))
            made.append(Stored(row["id"], EVENT, event_id(row["id"]), 1, row["at"], False, body, row["patient"]))
        return made


def _scope(gate: Gate) -> Scope:
    if not isinstance(gate, Scope):
        raise Forbidden.of("this is not open to you")
    return gate
