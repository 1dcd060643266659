"""The synthetic persons whom journeys use in the demo (IMP-02): a unit of their own, so that no ward's lists ever
show them (IMP-03), one who works there, a patient who uses the portal and one who does not. The same in every region.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from varde.demo import places
from varde.demo.people import Human, Resource, patient, practitioner
from varde.demo.registers import contact, registered
from varde.edges.registers.embedded import fill as fill_registers
from varde.fhir.gate import Gate
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.trust.access import ROLE_SYSTEM, note_portal_use
from varde.trust.identity import helseid
from varde.trust.identity.idporten import PID
from varde.trust.persons import RESH, make_number
from varde.work.journey import Probe

UNIT = "varde-provestasjon"
LOCATION = "varde-proverom"
_UNIT_NAME = "Vardes prøvestasjon"
_STAFF_NAME = ("Prøve", "Ansatt")
_TROMSØ = places.MUNICIPALITIES[0]


def _number(born: date, individual: int) -> str:
    made = make_number(born, individual)
    assert made is not None, "the number has no control digits"
    return made


def _human(identifier: str, born: date, individual: int, given: str, **more: Any) -> Human:
    return Human(
        id=identifier, number=_number(born, individual), given=given, family="Prøvepasient", gender="female",
        born=born, municipality=_TROMSØ, street="Prøveveien 1", **more,
    )  # fmt: skip


# Nobody else in the region is born so long ago.
# Told by e-mail, which may go at any hour and as often as the journeys run: an SMS may not (LET-22).
DIGITAL = _human("varde-probe-digital", date(1901, 1, 2), 100, "Digital", email="prove@example.no")
PAPER = _human("varde-probe-paper", date(1901, 1, 3), 100, "Papir", user=False)
PROBE = Probe(UNIT, LOCATION, "8199999", DIGITAL.number, PAPER.number)


def resources() -> list[Resource]:
    """The unit, who works there, and the patients."""
    worker = practitioner("varde-probe-staff", PROBE.staff, *_STAFF_NAME, "female")
    unit = {
        "resourceType": "Organization",
        "id": UNIT,
        "identifier": [{"system": RESH, "value": "999999"}],
        "active": True,
        "name": _UNIT_NAME,
        "partOf": {"reference": f"Organization/{places.TRUSTS[0].key}"},
        "telecom": [{"system": "phone", "value": "+47 77 00 00 00"}],
    }
    room = {
        "resourceType": "Location",
        "id": LOCATION,
        "status": "active",
        "name": f"{_UNIT_NAME}, 1. etasje",
        "description": "Inngang A, 1. etasje, rom 101",
        "address": {"line": ["Prøveveien 1"], "postalCode": "9008", "city": "TROMSØ"},
        "managingOrganization": {"reference": f"Organization/{UNIT}"},
    }
    position = {
        "resourceType": "PractitionerRole",
        "id": "varde-probe-position",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{worker['id']}", "display": " ".join(_STAFF_NAME)},
        "organization": {"reference": f"Organization/{UNIT}", "display": _UNIT_NAME},
        "code": [{"coding": [{"system": ROLE_SYSTEM, "code": "secretary"}], "text": "prøveansatt"}],
    }
    return [unit, room, worker, position, patient(DIGITAL, None), patient(PAPER, None)]


async def place(store: Store, gate: Gate) -> None:
    """Put them into the store, unless they are there, and into the registers; the one of the portal uses it now."""
    async with store.transaction() as connection:
        known = await store.read_many(gate, "Organization", [UNIT], connection=connection)
        if not known:
            await store.write_many(gate, resources(), connection=connection)
        people = (DIGITAL, PAPER)
        await fill_registers(connection, [registered(h) for h in people], {h.number: contact(h) for h in people})
        await note_portal_use(connection, resource_key("Patient", DIGITAL.id), store.clock.now())


def directory() -> dict[str, list[dict[str, Any]]]:
    """Their entries in the demo issuer's list, by side; last on it."""
    patients = [
        {
            "key": human.number, "subject": human.id, "name": human.name, "detail": "brukes av Vardes prøver",
            "first": False, "claims": {PID: human.number, "name": human.name},
        }
        for human in (DIGITAL, PAPER)
    ]  # fmt: skip
    name = " ".join(_STAFF_NAME)
    worker = {
        "key": PROBE.staff, "subject": f"hpr-{PROBE.staff}", "name": name, "detail": _UNIT_NAME,
        "first": False,
        "claims": {
            helseid.HPR: PROBE.staff, helseid.ASSURANCE: "high", helseid.SECURITY: "4",
            helseid.PARENT: places.TRUSTS[0].number, "name": name,
        },
    }  # fmt: skip
    return {"patient": patients, "staff": [worker]}
