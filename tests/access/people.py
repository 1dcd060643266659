"""Those who ask and those who are asked about in the proofs: a family of two homes, neighbours, staff of two wards.
As FHIR, in the population register, and as callers with a token and a session.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from tests.access.varde_in_process import Caller, InProcess
from tests.trust.region import number, staff
from varde.edges.registers import Contact, PostalAddress, RegisteredPerson
from varde.edges.registers.embedded import fill
from varde.trust.persons import system_of

Resource = dict[str, Any]
WARD, OTHER_WARD = "ward-a", "ward-b"
DOCTOR, SECRETARY, OTHER_DOCTOR, OPERATOR, NAMED = "8100001", "8100002", "8100003", "8100004", "8100006"
"""NAMED works in the ward as DOCTOR does, and is the one whom a patient's block names."""

HOME = PostalAddress(("Storgata 1",), "9008", "TROMSØ")
ELSEWHERE = PostalAddress(("Havnegata 7",), "9900", "KIRKENES")
BORN = {
    "kari": date(1980, 5, 17), "per": date(1979, 3, 3), "barn": date(2016, 6, 1), "ung": date(2012, 2, 3),
    "ola": date(1975, 1, 2), "fullmektig": date(1970, 7, 7), "skjult": date(1966, 8, 9), "seksten": date(2010, 4, 4),
}  # fmt: skip
"""barn is 10, ung 14 and seksten 16 when the tests' clock begins."""
NAMES = {
    "kari": "Kari Nordmann", "per": "Per Nordmann", "barn": "Lille Nordmann", "ung": "Unge Nordmann",
    "ola": "Ola Nabo", "fullmektig": "Frida Fullmektig", "skjult": "Skjulte Person", "seksten": "Store Nordmann",
}  # fmt: skip
NUMBERS = {name: number(born, (600 if born.year >= 2000 else 100) + 20 * place)
           for place, (name, born) in enumerate(BORN.items())}  # fmt: skip
CHILDREN = ("barn", "ung", "seksten")
PARENTS = ("kari", "per")
"""Kari lives with the children, Per elsewhere; both have parental responsibility."""


def patient(name: str, **more: Any) -> Resource:
    """The Patient of somebody."""
    given, _, family = NAMES[name].rpartition(" ")
    return {
        "resourceType": "Patient", "id": name, "active": True, "birthDate": BORN[name].isoformat(),
        "identifier": [{"system": system_of(NUMBERS[name]), "value": NUMBERS[name]}],
        "name": [{"use": "official", "given": [given], "family": family}],
        "gender": "female", "telecom": [{"system": "phone", "value": f"+47990000{len(name):02d}"}],
        "address": [{"line": ["Storgata 1"], "postalCode": "9008", "city": "TROMSØ"}],
        "generalPractitioner": [{"reference": f"Practitioner/p{OTHER_DOCTOR}"}], **more,
    }  # fmt: skip


def episode(whose: str, unit: str, start: str = "2026-01-01") -> Resource:
    """The unit treats somebody (FAM-30)."""
    return {
        "resourceType": "EpisodeOfCare", "id": f"episode-{whose}-{unit}", "status": "active",
        "period": {"start": start}, "patient": {"reference": f"Patient/{whose}"},
        "managingOrganization": {"reference": f"Organization/{unit}"},
    }  # fmt: skip


def places() -> list[Resource]:
    """The wards, their rooms and staff, and what every service knows of."""
    position = {"latitude": 69.65, "longitude": 18.95}
    return [
        *({"resourceType": "Organization", "id": unit, "active": True, "name": f"Avdeling {unit[-1].upper()}"}
          for unit in (WARD, OTHER_WARD)),
        {"resourceType": "Location", "id": "house", "name": "Huset", "position": position},
        {"resourceType": "Location", "id": "room", "name": "Rommet", "partOf": {"reference": "Location/house"}},
        {"resourceType": "Questionnaire", "id": "form", "status": "active", "url": "http://q/form", "title": "Skjema"},
        *staff(DOCTOR, "doctor", WARD), *staff(SECRETARY, "secretary", WARD), *staff(NAMED, "doctor", WARD),
        *staff(OTHER_DOCTOR, "doctor", OTHER_WARD), *staff(OPERATOR, "operator", WARD),
    ]  # fmt: skip


async def register(varde: InProcess, *names: str) -> None:
    """Put people, all unless named, into the registers outside."""
    chosen = names or tuple(BORN)
    people = [
        RegisteredPerson(
            NUMBERS[name], NAMES[name], BORN[name], address=ELSEWHERE if name == "per" else HOME,
            parents=tuple(NUMBERS[parent] for parent in PARENTS) if name in CHILDREN else (),
        )
        for name in chosen
    ]  # fmt: skip
    contacts = {NUMBERS[name]: Contact(mobile=f"+4799{place:06d}", notifiable=True)
                for place, name in enumerate(chosen)}  # fmt: skip
    async with varde.house.platform.store.transaction() as connection:
        await fill(connection, people, contacts)


def person(name: str, acting_for: str | None = None, *, called: str = "") -> Caller:
    """A person with a token and a session, for themselves or for another."""
    kind = "representative" if acting_for else "patient"
    session = {"kind": kind, "person": name, "patient": acting_for or name, "display_name": NAMES[name]}
    if acting_for:
        session["acting_for_name"] = NAMES[acting_for]
    token = {"kind": "person", "pid": NUMBERS[name]} | ({"for": NUMBERS[acting_for]} if acting_for else {})
    return Caller(called or (f"{name} for {acting_for}" if acting_for else name), token, session)


def employee(hpr: str, role: str, unit: str, *, called: str = "", purpose: str = "TREAT") -> Caller:
    """A member of staff. `role` as trust.policy.StaffRole names it."""
    session = {"kind": "staff", "person": hpr, "unit": unit, "unit_name": unit, "role": role,
               "display_name": f"Ansatt {hpr}"}  # fmt: skip
    token = {"kind": "staff", "hpr": hpr, "unit": unit, "purpose": purpose}
    return Caller(called or f"{role} {hpr} in {unit}", token, session)


def system(name: str, scope: str) -> Caller:
    """A system with a token of some scopes."""
    return Caller(name, {"kind": "system", "name": name, "scope": scope})


CLINICIAN = employee(DOCTOR, "clinician", WARD, called="clinician")
ELSEWHERE_CLINICIAN = employee(OTHER_DOCTOR, "clinician", OTHER_WARD, called="clinician elsewhere")
NAMED_CLINICIAN = employee(NAMED, "clinician", WARD, called="clinician named in a block")
SECRETARY_CALLER = employee(SECRETARY, "secretary", WARD, called="secretary")
OPERATOR_CALLER = employee(OPERATOR, "operator", WARD, called="operator")


def renamed(caller: Caller, name: str) -> Caller:
    """The same rights under another name, with a session of its own."""
    return replace(caller, name=name)
