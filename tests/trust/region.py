"""A small region for tests of access: two units, staff, a family, and what is recorded of them. As FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from varde.clock import SetClock
from varde.db import Database
from varde.fhir.store import Store
from varde.trust.access import ROLE_SYSTEM, Access
from varde.trust.audit import AuditLog
from varde.trust.law.mandate import Bond, Facts
from varde.trust.law.marks import RESTRICTION
from varde.trust.law.table import Relation
from varde.trust.mandates import Bound, Party
from varde.trust.persons import HPR, make_number, system_of
from varde.trust.policy import Parenthood
from varde.trust.tokens import Authenticator, DemoTokens

Resource = dict[str, Any]
WARD, OTHER_WARD = "ward-a", "ward-b"
DOCTOR, SECRETARY, OTHER_DOCTOR, OPERATOR, TWO_WARDS = "8100001", "8100002", "8100003", "8100004", "8100005"


def number(born: date, individual: int) -> str:
    """The first valid synthetic number from `individual` on."""
    return next(made for n in range(100) if (made := make_number(born, individual + n)))


KARI_BORN, OLA_BORN = date(1980, 5, 17), date(1975, 1, 2)
CHILD_BORN, YOUTH_BORN = date(2014, 11, 26), date(2011, 2, 3)
"""The child turns 12 two days after the tests' clock begins."""
KARI, OLA, DEAD = number(KARI_BORN, 100), number(OLA_BORN, 200), number(date(1940, 1, 1), 300)
CHILD, YOUTH, STRANGER = number(CHILD_BORN, 600), number(YOUTH_BORN, 700), number(date(1990, 9, 9), 400)
IDS = {KARI: "kari", OLA: "ola", CHILD: "child", YOUTH: "youth", DEAD: "dead", STRANGER: "stranger"}


@dataclass
class Register:
    """What the population register says, changeable by a test."""

    parents: dict[tuple[str, str], Parenthood] = field(default_factory=dict)

    facts_of: dict[tuple[str, str], Facts] = field(default_factory=dict)
    """Whatever else binds the one to the other; before `parents`."""

    async def facts(self, asker: Party, patient: Party) -> Facts:
        asked = (asker.number, patient.number)
        if asked in self.facts_of:
            return self.facts_of[asked]
        if asker.id == patient.id:
            return Facts((Bond(Relation.SELF),))
        return self.parents.get(asked, Parenthood(False, False, False)).facts

    async def whom(self, asker: Party) -> Bound:
        return Bound(tuple(child for one, child in [*self.parents, *self.facts_of] if one == asker.number != child))

    async def who(self, patient: Party) -> Bound:
        return Bound(tuple(one for one, child in [*self.parents, *self.facts_of] if child == patient.number != one))


def patient(national: str, born: date, name: str, **more: Any) -> Resource:
    return {
        "resourceType": "Patient", "id": IDS[national], "active": True, "birthDate": born.isoformat(),
        "identifier": [{"system": system_of(national), "value": national}], "name": [{"text": name}], **more,
    }  # fmt: skip


def staff(hpr: str, role: str, *units: str) -> list[Resource]:
    person = {"resourceType": "Practitioner", "id": f"p{hpr}", "identifier": [{"system": HPR, "value": hpr}],
              "name": [{"text": f"Ansatt {hpr}"}]}  # fmt: skip
    return [
        person,
        *(
            {
                "resourceType": "PractitionerRole", "id": f"r{hpr}-{unit}", "active": True,
                "practitioner": {"reference": f"Practitioner/p{hpr}"},
                "organization": {"reference": f"Organization/{unit}"},
                "code": [{"coding": [{"system": ROLE_SYSTEM, "code": role}], "text": role}],
            }
            for unit in units
        ),
    ]  # fmt: skip


def episode(whose: str, unit: str, start: str, end: str | None = None, **more: Any) -> Resource:
    period = {"start": start} | ({"end": end} if end else {})
    return {
        "resourceType": "EpisodeOfCare", "id": f"episode-{whose}-{unit}", "status": "active", "period": period,
        "patient": {"reference": f"Patient/{whose}"},
        "managingOrganization": {"reference": f"Organization/{unit}"}, **more,
    }  # fmt: skip


def observation(identifier: str, whose: str, code: str | None = None, **more: Any) -> Resource:
    """A result; `code` of 9603 withholds it."""
    made = {
        "resourceType": "Observation", "id": identifier, "status": "final", "code": {"text": "Hemoglobin"},
        "subject": {"reference": f"Patient/{whose}"}, "effectiveDateTime": "2026-11-01", **more,
    }  # fmt: skip
    return labelled(made, code)


def labelled(resource: Resource, code: str | None) -> Resource:
    if code is None:
        return resource
    return {**resource, "meta": {"security": [{"system": RESTRICTION, "code": code}]}}


def letter(identifier: str, whose: str, **more: Any) -> Resource:
    return {
        "resourceType": "Communication", "id": identifier, "status": "completed", "sent": "2026-11-02T10:00:00Z",
        "subject": {"reference": f"Patient/{whose}"}, **more,
    }  # fmt: skip


def everybody() -> list[Resource]:
    """Places, staff and patients, and one result and one letter each."""
    people = [
        patient(KARI, KARI_BORN, "Kari Nordmann"), patient(OLA, OLA_BORN, "Ola Nordmann"),
        patient(CHILD, CHILD_BORN, "Lille Nordmann"), patient(YOUTH, YOUTH_BORN, "Unge Nordmann"),
        patient(DEAD, date(1940, 1, 1), "Gamle Nordmann", deceasedDateTime="2026-10-01"),
    ]  # fmt: skip
    return [
        *({"resourceType": "Organization", "id": unit, "active": True, "name": unit} for unit in (WARD, OTHER_WARD)),
        *staff(DOCTOR, "doctor", WARD),
        *staff(SECRETARY, "secretary", WARD),
        *staff(OTHER_DOCTOR, "doctor", OTHER_WARD),
        *staff(OPERATOR, "operator", WARD),
        *staff(TWO_WARDS, "nurse", WARD, OTHER_WARD),
        *people,
        *(observation(f"result-{p['id']}", p["id"]) for p in people),
        *(letter(f"letter-{p['id']}", p["id"]) for p in people),
        episode("kari", WARD, "2026-10-01"),
    ]


@dataclass
class World:
    """All that a test of access needs, on a database of its own."""

    database: Database
    clock: SetClock
    store: Store
    log: AuditLog
    register: Register
    access: Access
    tokens: DemoTokens
    authenticator: Authenticator
    client: httpx.AsyncClient

    async def write(self, *resources: Resource) -> None:
        """As the system."""
        await self.store.write_many(self.access.for_system("test"), list(resources))

    def bearer(self, **claims: Any) -> Mapping[str, str]:
        """Headers of somebody: pid=, pid= and for_=, hpr=, or system= and scope=."""
        if "pid" in claims:
            full = {"kind": "person", "pid": claims["pid"], "for": claims.get("for_")}
        elif "hpr" in claims:
            full = {"kind": "staff", **claims}
        else:
            full = {"kind": "system", "name": claims["system"], "scope": claims["scope"]}
        return {"authorization": f"Bearer {self.tokens.make({k: v for k, v in full.items() if v is not None})}"}

    async def rows(self, condition: str = "true") -> list[Any]:
        """Rows of the access log, in order."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(f"select * from trust_audit where {condition} order by id"))


def keys_folder(folder: Path) -> Path:
    return folder / "keys"
