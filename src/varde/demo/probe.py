"""The synthetic persons whom journeys use in the demo (IMP-02): a unit of their own, so that no ward's lists ever
show them (IMP-03), those who work there, patients who use the portal and one who does not, and a parent with a child.
The same in every region.
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
from varde.trust.persons import RESH, control_digits, make_number
from varde.trust.probes import PROBE as MARK
from varde.work.journey import Probe

UNIT = "varde-provestasjon"
LOCATION = "varde-proverom"
_UNIT_NAME = "Vardes prøvestasjon"
_SURNAME = "Prøvepasient"
_WORKERS = {
    "8199999": ("varde-probe-staff", "Ansatt", ("secretary",), "prøveansatt"),
    "8199998": ("varde-probe-clinician", "Lege", ("doctor",), "prøvelege"),
    "8199997": ("varde-probe-leader", "Leder", ("secretary", "leader"), "prøveleder"),
}
"""By HPR number: id, family name, roles, what they are called. The first has the id that regions of before have."""
_TROMSØ = places.MUNICIPALITIES[0]


def _number(born: date, individual: int) -> str:
    made = make_number(born, individual)
    assert made is not None, "the number has no control digits"
    return made


def _older(born: date, individual: int) -> str:
    """A number of the older series of synthetic ones (month + 40), which nobody else in the region has."""
    nine = f"{born.day:02d}{born.month + 40:02d}{born.year % 100:02d}{individual:03d}"
    control = control_digits(nine)
    assert control is not None, "the number has no control digits"
    return nine + control


def _human(identifier: str, born: date, number: str, given: str, **more: Any) -> Human:
    return Human(
        id=identifier, number=number, given=given, family=_SURNAME, gender="female",
        born=born, municipality=_TROMSØ, street="Prøveveien 1", **more,
    )  # fmt: skip


# Nobody else in the region is born so long ago.
# Told by e-mail, which may go at any hour and as often as the journeys run: an SMS may not (LET-22).
_DAYS = (date(1901, 1, 2), date(1901, 1, 3))
DIGITAL = _human("varde-probe-digital", _DAYS[0], _number(_DAYS[0], 100), "Digital", email="prove@example.no")
PAPER = _human("varde-probe-paper", _DAYS[1], _number(_DAYS[1], 100), "Papir", user=False)
# What journeys of the family do is told on the pages alone: these have no address to send word to.
ADULT = _human("varde-probe-adult", date(1985, 1, 4), _older(date(1985, 1, 4), 102), "Voksen")
PARENT = _human("varde-probe-parent", date(1985, 1, 5), _older(date(1985, 1, 5), 100), "Forelder")
CHILD = _human("varde-probe-child", date(2022, 1, 6), _older(date(2022, 1, 6), 502), "Barn", parents=[PARENT.number])
"""Turns 12 in 2034: by then another must have taken this child's place."""
PATIENTS = (DIGITAL, PAPER, ADULT, PARENT, CHILD)
_STAFF, _CLINICIAN, _LEADER = _WORKERS
PROBE = Probe(
    unit=UNIT, location=LOCATION, staff=_STAFF, clinician=_CLINICIAN, leader=_LEADER, patient=DIGITAL.number,
    paper_patient=PAPER.number, adult=ADULT.number, parent=PARENT.number, child=CHILD.number, surname=_SURNAME,
)  # fmt: skip


def resources() -> list[Resource]:
    """The unit, who works there, and the patients."""
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
    return [unit, room, *_workers(), *(_marked(patient(human, None)) for human in PATIENTS)]


def _workers() -> list[Resource]:
    made = []
    for hpr, (identifier, family, roles, text) in _WORKERS.items():
        position = identifier.replace("staff", "position") if hpr == _STAFF else f"{identifier}-position"
        made.append(practitioner(identifier, hpr, "Prøve", family, "female"))
        made.append({
            "resourceType": "PractitionerRole",
            "id": position,
            "active": True,
            "practitioner": {"reference": f"Practitioner/{identifier}", "display": f"Prøve {family}"},
            "organization": {"reference": f"Organization/{UNIT}", "display": _UNIT_NAME},
            "code": [
                {"coding": [{"system": ROLE_SYSTEM, "code": role}], **({"text": text} if role == roles[0] else {})}
                for role in roles
            ],
        })  # fmt: skip
    return made


def _marked(made: Resource) -> Resource:
    """With the mark of one who is there to test (trust/probes.py)."""
    return {**made, "meta": {**made["meta"], "tag": [MARK]}}


async def place(store: Store, gate: Gate) -> None:
    """Put them into the store, unless they are there, and into the registers; the one of the portal uses it now."""
    async with store.transaction() as connection:
        known = await store.read_many(gate, "Patient", [human.id for human in PATIENTS], connection=connection)
        if len(known) < len(PATIENTS):
            await store.write_many(gate, resources(), connection=connection)
        await fill_registers(connection, [registered(h) for h in PATIENTS], {h.number: contact(h) for h in PATIENTS})
        await note_portal_use(connection, resource_key("Patient", DIGITAL.id), store.clock.now())


def directory() -> dict[str, list[dict[str, Any]]]:
    """Their entries in the demo issuer's list, by side; last on it."""
    patients = [
        {
            "key": human.number, "subject": human.id, "name": human.name, "detail": "brukes av Vardes prøver",
            "first": False, "claims": {PID: human.number, "name": human.name},
        }
        for human in PATIENTS
        if human is not CHILD
    ]  # fmt: skip
    workers = [
        {
            "key": hpr, "subject": f"hpr-{hpr}", "name": f"Prøve {family}", "detail": _UNIT_NAME, "first": False,
            "claims": {
                helseid.HPR: hpr, helseid.ASSURANCE: "high", helseid.SECURITY: "4",
                helseid.PARENT: places.TRUSTS[0].number, "name": f"Prøve {family}",
            },
        }
        for hpr, (_, family, _, _) in _WORKERS.items()
    ]  # fmt: skip
    return {"patient": patients, "staff": workers}
