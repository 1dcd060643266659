"""Coming appointments from the real store: order, what is left out, names of units and places (APP-01, APP-02)."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fhir.gates import HidingGate, OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.errors import NotFound
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.services.appointments import flow, home_cards


def appointment(number: int, clock: SetClock, days: float, status: str = "booked") -> dict[str, Any]:
    start = clock.now() + timedelta(days=days)
    return {
        "resourceType": "Appointment",
        "id": f"a{number}",
        "status": status,
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=45)).isoformat(),
        "supportingInformation": [{"reference": "Organization/u1"}],
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Location/l1"}, "status": "accepted"},
        ],
    }


@pytest.fixture
async def platform(database: Database, clock: SetClock) -> Any:
    """A platform with a store in which one patient has appointments of every sort."""
    store = Store(database, clock)
    gate = OpenGate()
    await store.write_many(
        gate,
        [
            {"resourceType": "Patient", "id": "p1"},
            {"resourceType": "Organization", "id": "u1", "name": "Hudpoliklinikken"},
            {"resourceType": "Location", "id": "l1", "name": "Rom 3"},
            appointment(1, clock, 20),
            appointment(2, clock, 3),
            appointment(3, clock, -1),
            appointment(4, clock, 5, "cancelled"),
        ],
    )
    return SimpleNamespace(store=store, clock=clock)


async def test_app_01_coming_ones_soonest_first(platform: Any) -> None:
    found = await flow.upcoming(platform, OpenGate())  # type: ignore[arg-type]
    assert [a.id for a in found] == ["a2", "a1"]
    assert (found[0].unit, found[0].place, found[0].minutes) == ("Hudpoliklinikken", "Rom 3", 45)


async def test_what_the_scope_hides_is_not_there(platform: Any) -> None:
    hiding = HidingGate([resource_key("Patient", "p1")])
    assert await flow.upcoming(platform, hiding) == []  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await flow.one(platform, hiding, "a1")  # type: ignore[arg-type]


async def test_home_cards_lead_to_the_appointment(platform: Any) -> None:
    first, second = await home_cards(platform, OpenGate())  # type: ignore[arg-type]
    assert (first.href, first.title, first.text) == ("/timer/a2", "Hudpoliklinikken", "Rom 3")
    assert first.kind == "appointment" and first.due is not None and second.due is not None
    assert first.due < second.due
