"""Whom a unit has to call: coming appointments that no letter is about. Through the staff member's own scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from varde.fhir.model import Page
from varde.services.letters.cases import patient_of, start_of
from varde.trust.access import name_of

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

_STATUSES = "booked,pending"
_WRITTEN = "preparation,in-progress,completed,on-hold"
"""Statuses of a letter that stands: one that was withdrawn or failed leaves the appointment to be called again."""
_AT_ONCE = 1000
MOST = 20_000
"""Appointments that one order may reach."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An appointment without a letter."""

    id: str
    patient: str
    born: date | None
    start: datetime
    description: str


async def to_call(platform: Platform, scope: Scope, search: str, *, most: int) -> tuple[Sequence[Waiting], int]:
    """(the first `most` coming appointments without a letter, soonest first; how many there are)."""
    query = _query(platform, scope, search)
    if query is None:
        return [], 0
    total = await _count(platform, scope, query)
    called = await _count(platform, scope, [*query, ("_has:Communication:based-on:status", _WRITTEN)])
    return await _first(platform, scope, query, most), max(0, total - called)


async def everyone(platform: Platform, scope: Scope, search: str) -> Sequence[Waiting]:
    """All that `to_call` counts, at most MOST."""
    query = _query(platform, scope, search)
    return await _first(platform, scope, query, MOST) if query is not None else []


def _query(platform: Platform, scope: Scope, search: str) -> list[tuple[str, str]] | None:
    if scope.actor.unit is None:
        return None
    now = platform.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    query = [
        ("supporting-info", f"Organization/{scope.actor.unit}"),
        ("date", f"ge{now}"),
        ("status", _STATUSES),
    ]
    if search:
        query += [("patient:Patient.name", word) for word in _words(search)]
    return query


def _words(search: str) -> list[str]:
    return [word.replace("\\", "").replace(",", "").replace("|", "").replace("$", "") for word in search.split()[:5]]


async def _count(platform: Platform, scope: Scope, query: Sequence[tuple[str, str]]) -> int:
    page = await platform.store.search(scope, "Appointment", [*query, ("_summary", "count")])
    return page.total or 0


async def _first(platform: Platform, scope: Scope, query: Sequence[tuple[str, str]], most: int) -> list[Waiting]:
    found: list[Waiting] = []
    page: str | None = None
    size = _AT_ONCE if most >= _AT_ONCE else min(_AT_ONCE, most * 2)
    while len(found) < most:
        asked = [*query, ("_sort", "date"), ("_count", str(size)), ("_include", "Appointment:patient:Patient")]
        answer = await platform.store.search(scope, "Appointment", [*asked, *([("_page", page)] if page else [])])
        written = await _written_about(platform, scope, [one.id for one in answer.matches])
        found += [one for one in _read(answer) if one.id not in written]
        page = answer.next
        if page is None:
            break
    return found[:most]


def _read(answer: Page) -> list[Waiting]:
    people = {e.stored.id: e.stored.resource for e in answer.entries if e.mode == "include"}
    found = []
    for one in answer.matches:
        appointment = one.resource
        patient, start = people.get(patient_of(appointment) or ""), start_of(appointment)
        if patient is not None and start is not None:
            born = date.fromisoformat(patient["birthDate"]) if patient.get("birthDate") else None
            found.append(Waiting(one.id, name_of(patient), born, start, str(appointment.get("description", ""))))
    return found


async def _written_about(platform: Platform, scope: Scope, appointments: Sequence[str]) -> set[str]:
    """Those of these appointments that a letter stands about."""
    if not appointments:
        return set()
    query = [
        ("_id", ",".join(appointments)),
        ("_has:Communication:based-on:status", _WRITTEN),
        ("_count", str(len(appointments))),
    ]
    answer = await platform.store.search(scope, "Appointment", query)
    return {one.id for one in answer.matches}


async def names(platform: Platform, scope: Scope, appointments: Sequence[str]) -> dict[str, str]:
    """Names of the patients of appointments that the reader may see."""
    query = [
        ("_id", ",".join(appointments)),
        ("_include", "Appointment:patient:Patient"),
        ("_count", str(len(appointments))),
    ]
    answer = await platform.store.search(scope, "Appointment", query)
    return {one.id: one.patient for one in _read(answer)}
