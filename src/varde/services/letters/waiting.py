"""Whom a unit has to call: coming appointments that no letter stands about. What is shown is read through the staff
member's own scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from varde.services.letters import called
from varde.services.letters.cases import patient_of, start_of
from varde.trust.access import name_of

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

MOST = 20_000
"""Appointments that one order may reach."""
FOUND_BY_NAME = 1000


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
    unit = scope.actor.unit
    if unit is None:
        return [], 0
    if search:
        found = await _by_name(platform, scope, unit, search)
        return await shown(platform, scope, found[:most]), len(found)
    async with platform.database.connection() as connection:
        ids = await called.without_letter(connection, unit, platform.clock.now(), most)
        total = await called.count_without_letter(connection, unit, platform.clock.now())
    return await shown(platform, scope, ids), total


async def everyone(platform: Platform, scope: Scope, search: str) -> Sequence[str]:
    """Ids of all that `to_call` counts, at most MOST."""
    unit = scope.actor.unit
    if unit is None:
        return []
    if search:
        return await _by_name(platform, scope, unit, search)
    async with platform.database.connection() as connection:
        return await called.without_letter(connection, unit, platform.clock.now(), MOST)


async def _by_name(platform: Platform, scope: Scope, unit: str, search: str) -> list[str]:
    """Ids of those whose patient's name has every word of the search."""
    now = platform.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    query = [
        ("supporting-info", f"Organization/{unit}"),
        ("date", f"ge{now}"),
        ("status", ",".join(sorted(called.OPEN))),
        *(("patient:Patient.name", word) for word in _words(search)),
        ("_sort", "date"),
        ("_count", str(FOUND_BY_NAME)),
    ]
    found = await platform.store.search(scope, "Appointment", query)
    ids = [one.id for one in found.matches]
    async with platform.database.connection() as connection:
        written = await called.called(connection, ids)
    return [one for one in ids if one not in written]


def _words(search: str) -> list[str]:
    plain = "".join(character for character in search if character not in "\\,|$")
    return plain.split()[:5]


async def shown(platform: Platform, scope: Scope, appointments: Sequence[str]) -> list[Waiting]:
    """These appointments with their patients, as far as the scope lets them be seen, in the order asked for."""
    found = await platform.store.read_many(scope, "Appointment", appointments)
    wanted = sorted({whose for one in found.values() if (whose := patient_of(one.resource))})
    people = await platform.store.read_many(scope, "Patient", wanted)
    rows = []
    for identifier in appointments:
        appointment: Mapping[str, Any] = found[identifier].resource if identifier in found else {}
        patient, start = people.get(patient_of(appointment) or ""), start_of(appointment)
        if patient is not None and start is not None:
            born = patient.resource.get("birthDate")
            rows.append(
                Waiting(
                    identifier, name_of(patient.resource), date.fromisoformat(born) if born else None, start,
                    str(appointment.get("description", "")),
                )
            )  # fmt: skip
    return rows


async def names(platform: Platform, scope: Scope, appointments: Sequence[str]) -> dict[str, str]:
    """Names of the patients of appointments that the reader may see."""
    return {one.id: one.patient for one in await shown(platform, scope, appointments)}
