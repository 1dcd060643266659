"""Use cases of appointments: the coming ones, and one of them (APP-01). Through the person's own scope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from varde.services.appointments.model import SHOWN, Appointment, from_fhir

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

MOST = 50
"""Coming appointments shown at once; hardly anyone has more."""

INCLUDED = "_include=Appointment:location&_include=Appointment:supporting-info:Organization"


async def upcoming(platform: Platform, scope: Scope, most: int = MOST) -> Sequence[Appointment]:
    """The patient's coming appointments, soonest first (APP-01)."""
    now = platform.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    query = f"date=ge{now}&status={','.join(SHOWN)}&_sort=date&_count={most}&{INCLUDED}"
    page = await platform.store.search(scope, "Appointment", query)
    others = [entry.stored.resource for entry in page.entries if entry.mode == "include"]
    return [from_fhir(e.stored.resource, others) for e in page.entries if e.mode == "match"]


async def one(platform: Platform, scope: Scope, appointment_id: str) -> Appointment:
    """One appointment. Raises NotFound, also for what the person may not see."""
    found = await platform.store.read(scope, "Appointment", appointment_id)
    page = await platform.store.search(scope, "Appointment", f"_id={appointment_id}&{INCLUDED}")
    others = [entry.stored.resource for entry in page.entries if entry.mode == "include"]
    return from_fhir(found.resource, others)
