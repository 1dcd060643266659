"""An appointment read from FHIR: what APP-02 shows, whatever the record leaves out."""

from __future__ import annotations

import pytest

from varde.services.appointments.model import from_fhir

APPOINTMENT = {
    "resourceType": "Appointment",
    "id": "a1",
    "status": "booked",
    "start": "2026-12-01T09:30:00+01:00",
    "end": "2026-12-01T10:15:00+01:00",
    "description": "Kontroll",
    "supportingInformation": [{"reference": "Organization/u1", "display": "Hud"}],
    "participant": [
        {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
        {"actor": {"reference": "Location/l1", "display": "Rom 3"}, "status": "accepted"},
    ],
}
UNIT = {"resourceType": "Organization", "id": "u1", "name": "Hudpoliklinikken"}
PLACE = {
    "resourceType": "Location",
    "id": "l1",
    "name": "A-fløya, rom A3.114",
    "address": {"line": ["Hansine Hansens veg 67"], "postalCode": "9019", "city": "Tromsø"},
}


def test_app_02_names_come_from_what_is_included() -> None:
    found = from_fhir(APPOINTMENT, [UNIT, PLACE])
    assert (found.unit, found.place) == ("Hudpoliklinikken", "A-fløya, rom A3.114")
    assert found.address == "Hansine Hansens veg 67, 9019 Tromsø"
    assert found.minutes == 45


def test_app_02_without_them_the_display_of_the_reference() -> None:
    found = from_fhir(APPOINTMENT)
    assert (found.unit, found.place, found.address) == ("Hud", "Rom 3", "")


def test_only_what_fhir_demands_is_enough() -> None:
    bare = {"resourceType": "Appointment", "id": "a", "status": "booked", "start": "2026-12-01T09:30:00Z"}
    found = from_fhir(bare)
    assert (found.unit, found.place, found.minutes) == ("", "", None)


def test_a_proposal_without_a_time_is_no_appointment_yet() -> None:
    with pytest.raises(KeyError):
        from_fhir({"resourceType": "Appointment", "id": "a", "status": "proposed"})
