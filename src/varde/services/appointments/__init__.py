"""Appointments (Timer): what the patient has coming. The service's folder has the shape of all services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from varde.services import Card, Platform, Service
from varde.services.appointments.ending import call_off
from varde.services.appointments.flow import upcoming
from varde.services.appointments.patient import patient_routes

if TYPE_CHECKING:
    from varde.trust.scope import Scope

ON_HOME = 5


async def home_cards(platform: Platform, scope: Scope) -> Sequence[Card]:
    """The next appointments, for the front page."""
    return [
        Card(
            title=found.unit or found.place,
            text=found.place,
            href=f"/timer/{found.id}",
            due=found.start,
            kind="appointment",
        )
        for found in await upcoming(platform, scope, ON_HOME)
    ]


SERVICE = Service(
    name="appointments",
    title={"nb": "Timer", "nn": "Timar", "se": "Diimmut", "en": "Appointments"},
    deliverables=(),
    patient_routes=patient_routes,
    patient_menu=(("/timer", "Timer"),),
    died=call_off,
    home_cards=home_cards,
    templates=("varde.services.appointments", "templates"),
)
