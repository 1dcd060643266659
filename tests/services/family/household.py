"""A family in a whole house on a real database for the tests of services/family: registers, a ward that treats the
children, telephones on disk, and a worker that is drained by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from varde import edges
from varde.app import House, build
from varde.clock import OSLO, SetClock
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.registers import Contact, PostalAddress, Protection, RegisteredPerson
from varde.edges.registers.embedded import fill
from varde.fhir.keys import bucket_of, new_id, resource_key
from varde.settings import Settings
from varde.trust.access import ROLE_SYSTEM, Person, note_portal_use
from varde.trust.persons import HPR, make_number, system_of
from varde.trust.scope import Scope

UNIT, PLACE = new_id(), new_id()
DOCTOR, SECRETARY = "8000001", "8000002"
HOME, AWAY = PostalAddress(("Storgata 1",), "9008", "TROMSØ"), PostalAddress(("Sjøgata 2",), "8006", "BODØ")
_NAMES = ("Kari", "Ola", "Anne", "Per", "Liv", "Nils")


@dataclass
class Household:
    """The family and the house, and the ways to act in it."""

    house: House
    clock: SetClock
    folder: Path
    people: dict[str, Person] = field(default_factory=dict)
    registered: dict[str, RegisteredPerson] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.platform = self.house.platform
        self.worker = self.house.worker()
        self.notify: EmbeddedNotify = edges.embedded_notify(self.platform.settings, self.clock)

    async def add(
        self,
        name: str,
        born: date,
        *,
        parents: Sequence[str] = (),
        address: PostalAddress | None = HOME,
        protection: Protection = Protection.NONE,
        dead: bool = False,
        user: bool = True,
    ) -> Person:
        """A person in the store and in the registers; `parents` are names of those who were added before."""
        number = next(
            made
            for place in range(500)
            if (made := make_number(born, (500 if born.year >= 2000 else 0) + place)) and made not in self._numbers()
        )
        identifier = new_id()
        self.registered[name] = person = RegisteredPerson(
            number=number, name=name, born=born, protection=protection, dead=born if dead else None,
            address=None if protection.hides_address else address,
            parents=tuple(self.people[one].number for one in parents),
        )  # fmt: skip
        mobile = f"+47990000{len(self.people):02d}"
        contact = Contact(mobile=mobile, email=f"{len(self.people)}@example.no", notifiable=True)
        given, family = name.rsplit(" ", 1)
        patient = {
            "resourceType": "Patient",
            "id": identifier,
            "identifier": [{"system": system_of(number), "value": number}],
            "name": [{"given": [given], "family": family}],
            "birthDate": born.isoformat(),
        }
        async with self.platform.store.transaction() as connection:
            await self.platform.store.write_many(self.system(), [patient], connection=connection)
            await fill(connection, [person], {number: contact})
            if user:
                await note_portal_use(connection, resource_key("Patient", identifier), self.clock.now())
        self.people[name] = await self.platform.access.known(identifier)
        return self.people[name]

    def _numbers(self) -> set[str]:
        return {one.number for one in self.people.values()}

    def system(self) -> Scope:
        """The record system's scope."""
        return self.platform.access.for_system("test", write_types=None)

    async def put(self, *resources: Mapping[str, Any]) -> None:
        """Write resources as the record system does."""
        await self.platform.store.write_many(self.system(), list(resources))

    async def scope(self, name: str, acting_for: str | None = None) -> Scope:
        """The scope of a person, for themselves or another."""
        other = self.people[acting_for or name].id
        return (await self.platform.access.act_for(self.people[name].id, other))[0]

    async def staff(self, hpr: str = DOCTOR) -> Scope:
        """The scope of a member of staff."""
        return (await self.platform.access.for_staff(hpr))[0]

    async def referral(self, name: str, *, status: str = "active") -> str:
        """The ward treats the person by a referral with an appointment; the referral's id."""
        patient = self.people[name].id
        subject = {"reference": f"Patient/{patient}"}
        referral, appointment = new_id(bucket_of(patient)), new_id(bucket_of(patient))
        start = self.clock.now() + timedelta(days=30)
        await self.put(
            {
                "resourceType": "ServiceRequest", "id": referral, "status": status, "intent": "order",
                "subject": subject, "authoredOn": self.clock.now().astimezone(OSLO).date().isoformat(),
                "performer": [{"reference": f"Organization/{UNIT}"}],
            },
            {
                "resourceType": "Appointment", "id": appointment, "status": "booked", "description": "Kontroll",
                "start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat(),
                "created": self.clock.now().isoformat(), "basedOn": [{"reference": f"ServiceRequest/{referral}"}],
                "supportingInformation": [{"reference": f"Organization/{UNIT}"}],
                "participant": [{"actor": subject, "status": "accepted"},
                                {"actor": {"reference": f"Location/{PLACE}"}, "status": "accepted"}],
            },
        )  # fmt: skip
        return referral

    async def appointments(self, scope: Scope) -> int:
        """How many appointments a scope sees."""
        return len((await self.platform.store.search(scope, "Appointment", "")).matches)

    async def drain(self) -> None:
        """All that is due now, and what it causes."""
        await self.worker.drain(self.clock.now())

    async def until(self, moment: datetime) -> None:
        """Time goes, and everything that becomes due happens at its own time."""
        await self.worker.drain(moment, moving=self.clock.set)
        self.clock.set(moment)

    async def told(self, name: str) -> int:
        """How many SMS and e-mails have come to a person."""
        contact = (await self.platform.registers.contacts([self.people[name].number]))[self.people[name].number]
        return sum(one.notification.to in {contact.mobile, contact.email} for one in await self.notify.arrived())


def _ward() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": UNIT, "name": "Barneavdelingen",
         "telecom": [{"system": "phone", "value": "+47 77 62 60 00"}]},
        {"resourceType": "Location", "id": PLACE, "status": "active", "name": "UNN Tromsø, 3. etasje"},
    ]  # fmt: skip
    for hpr, role in ((DOCTOR, "doctor"), (SECRETARY, "secretary")):
        found += [
            {"resourceType": "Practitioner", "id": f"p{hpr}", "identifier": [{"system": HPR, "value": hpr}],
             "name": [{"given": ["Ola"], "family": f"Ansatt{hpr}"}]},
            {"resourceType": "PractitionerRole", "id": f"r{hpr}", "active": True,
             "practitioner": {"reference": f"Practitioner/p{hpr}"},
             "organization": {"reference": f"Organization/{UNIT}"},
             "code": [{"coding": [{"system": ROLE_SYSTEM, "code": role}]}]},
        ]  # fmt: skip
    return found


@asynccontextmanager
async def household_on(database_url: str, clock: SetClock, folder: Path) -> AsyncIterator[Household]:
    """The house without a family yet."""
    settings = Settings(mode="demo", data=folder, database_url=database_url)
    house = build(settings, process="test", clock=clock, connections=8)
    home = Household(house, clock, folder)
    await home.put(*_ward())
    yield home
    await house.close()
