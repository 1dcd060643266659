"""A ward on a real database for the tests of letters' flow: its patients with appointments, in store and registers,
its staff, embedded print house and telephones on disk, and a worker that is drained by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from varde import families
from varde.clock import Clock, SetClock
from varde.db import Database
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost, Printed
from varde.edges.registers import Contact, PersonStatus, PostalAddress, Protection, RegisteredPerson
from varde.edges.registers.embedded import EmbeddedRegisters, fill
from varde.fhir.keys import bucket_of, new_id, resource_key
from varde.fhir.store import Store
from varde.services import Platform
from varde.services.letters import flow, keeping
from varde.services.letters.called import Called
from varde.services.letters.jobs import handlers, receivers
from varde.services.letters.model import Letter
from varde.services.letters.views import Order
from varde.settings import Settings
from varde.trust.access import ROLE_SYSTEM, Access
from varde.trust.audit import AuditLog
from varde.trust.blocks import Blocks
from varde.trust.care import CareRelations
from varde.trust.persons import HPR, make_number, system_of
from varde.trust.scope import Scope
from varde.work.worker import Pace, Worker

OSLO = ZoneInfo("Europe/Oslo")
PACE = Pace(grace=0.2)
"""A worker that died is found dead soon."""
UNIT, OTHER_UNIT, HOSPITAL, TRUST, PLACE = (new_id() for _ in range(5))
DOCTOR, SECRETARY, STRANGER = "8000001", "8000002", "8000003"


@dataclass(frozen=True, slots=True)
class Someone:
    """A patient of the ward."""

    id: str
    number: str
    name: str
    appointment: str
    mobile: str

    @property
    def key(self) -> int:
        """rid of the Patient."""
        return resource_key("Patient", self.id)


def platform_on(database: Database, clock: Clock, folder: Path) -> tuple[Platform, AuditLog]:
    """The rooms that letters need, on one database."""
    store = Store(database, clock, [CareRelations(), Blocks(), Called()])
    log = AuditLog(database, clock)
    registers = EmbeddedRegisters(database)
    settings = Settings(mode="demo", data=folder)
    access = Access(store, clock, log, families.mandates(settings, database, clock, registers))
    return Platform(settings, clock, database, store, access, registers), log


def worker_on(platform: Platform, folder: Path) -> tuple[Worker, EmbeddedPost, EmbeddedNotify]:
    """A worker with the service's jobs and the embedded edges."""
    post, notify = EmbeddedPost(folder / "post", platform.clock), EmbeddedNotify(folder / "notify", platform.clock)
    worker = Worker(platform.database, platform.clock, handlers(platform), [post, notify], receivers(platform), PACE)
    return worker, post, notify


@dataclass
class Ward:
    """The ward, and the ways to act in it."""

    platform: Platform
    clock: SetClock
    worker: Worker
    post: EmbeddedPost
    notify: EmbeddedNotify
    people: list[Someone] = field(default_factory=list)
    made: int = 0

    async def add(
        self,
        count: int = 1,
        *,
        days: float = 40,
        born: date = date(1980, 5, 17),
        user: bool = True,
        mobile: bool = True,
        email: bool = False,
        reserved: bool = False,
        protection: Protection = Protection.NONE,
        address: bool = True,
        dead: bool = False,
        status: PersonStatus = PersonStatus.RESIDENT,
        parents: Sequence[Someone] = (),
        labels: Sequence[str] = (),
        language: str | None = None,
        unit: str = UNIT,
    ) -> list[Someone]:
        """Patients with an appointment `days` from now."""
        found: list[Someone] = []
        resources: list[dict[str, Any]] = []
        persons: list[RegisteredPerson] = []
        contacts: dict[str, Contact] = {}
        uses = []
        now = self.clock.now()
        start = (now + timedelta(days=days)).astimezone(OSLO).replace(hour=10, minute=0, second=0, microsecond=0)
        for _ in range(count):
            number, day = self._number(born)
            identifier = new_id()
            one = Someone(identifier, number, f"Kari Nordmann{self.made}", new_id(bucket_of(identifier)),
                          f"+4799{self.made:06d}")  # fmt: skip
            found.append(one)
            patient = {
                "resourceType": "Patient",
                "id": one.id,
                "identifier": [{"system": system_of(number), "value": number}],
                "name": [{"given": ["Kari"], "family": f"Nordmann{self.made}"}],
                "birthDate": day.isoformat(),
            }
            resources += [patient, episode(one, unit), appointment(one, start, unit, labels)]
            home = PostalAddress((f"Storgata {self.made}",), "9008", "TROMSØ")
            persons.append(
                RegisteredPerson(
                    number=number, name=one.name, born=day, status=status, protection=protection,
                    dead=now.date() if dead else None,
                    address=None if protection.hides_address or not address else home,
                    parents=tuple(parent.number for parent in parents),
                )
            )  # fmt: skip
            reachable = mobile or email
            contacts[number] = Contact(
                reserved=reserved, mobile=one.mobile if mobile else None,
                email=f"p{self.made}@example.no" if email else None, notifiable=reachable, language=language,
            )  # fmt: skip
            if user:
                uses.append((one.key, now - timedelta(days=100), now - timedelta(days=10)))
            self.made += 1
        gate = self.platform.access.for_system("test", write_types=None)
        async with self.platform.store.transaction() as connection:
            await self.platform.store.write_many(gate, resources, connection=connection)
            await fill(connection, persons, contacts)
            await connection.copy_records_to_table(
                "trust_portal_use", records=uses, columns=("patient", "consented", "last_login")
            )
        self.people += found
        return found

    def _number(self, born: date) -> tuple[str, date]:
        while True:
            day = born + timedelta(days=self.made // 300)
            for place in range(self.made % 300, 500):
                number = make_number(day, (500 if born.year >= 2000 else 0) + place)
                if number and number not in {one.number for one in self.people} and number not in self._taken:
                    self._taken.add(number)
                    return number, day
            born += timedelta(days=1)

    _taken: set[str] = field(default_factory=set)

    async def staff(self, hpr: str = DOCTOR) -> Scope:
        """The scope of a member of staff."""
        return (await self.platform.access.for_staff(hpr))[0]

    async def patient(self, one: Someone, acting_for: Someone | None = None) -> Scope:
        """The scope of a patient, for themselves or a child."""
        number = acting_for.number if acting_for else None
        return (await self.platform.access.for_patient(one.number, acting_for=number))[0]

    async def send(self, people: Sequence[Someone], key: str = "key", *, hpr: str = DOCTOR, drain: bool = True) -> str:
        """A summons to each of these from the ward; sent and told at once."""
        order = Order("summons", {}, [one.appointment for one in people])
        batch = await flow.send(self.platform, await self.staff(hpr), order, key)
        if drain:
            await self.drain()
        return batch

    async def drain(self) -> None:
        """All that is due now, and what it causes."""
        await self.worker.drain(self.clock.now())

    async def later(self, by: timedelta) -> None:
        """Time goes, and everything that becomes due happens at its own time."""
        until = self.clock.now() + by
        await self.worker.drain(until, moving=self.clock.set)
        self.clock.set(until)

    async def letters(self, *, of: Someone | None = None) -> list[Letter]:
        """Every letter, or one patient's, as the service itself sees them."""
        query = [("_count", "1000"), *([("patient", of.id)] if of else [])]
        found = await self.platform.store.search(keeping.own_scope(self.platform), "Communication", query)
        return [keeping.letter_of(one) for one in found.matches]

    async def letter(self, of: Someone) -> Letter:
        """A patient's one letter."""
        (found,) = await self.letters(of=of)
        return found

    async def printed(self) -> list[Printed]:
        """What the print house has printed."""
        return list(await self.post.printed())

    async def problems(self) -> list[tuple[str, str]]:
        """(patient's id, problem) of the ward's open tasks."""
        found, _ = await flow.problems(self.platform, await self.staff())
        return sorted((one.patient.reference.removeprefix("Patient/"), one.problem) for one in found)


def episode(one: Someone, unit: str) -> dict[str, Any]:
    """The ward treats the patient (FAM-30), whatever happens to the appointment."""
    return {
        "resourceType": "EpisodeOfCare",
        "id": new_id(bucket_of(one.id)),
        "status": "active",
        "patient": {"reference": f"Patient/{one.id}"},
        "managingOrganization": {"reference": f"Organization/{unit}"},
        "period": {"start": "2026-01-01"},
    }


def appointment(one: Someone, start: datetime, unit: str, labels: Sequence[str] = ()) -> dict[str, Any]:
    """An appointment as the demo's EHR writes it."""
    made: dict[str, Any] = {
        "resourceType": "Appointment",
        "id": one.appointment,
        "status": "booked",
        "description": "Kontroll",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=30)).isoformat(),
        "created": (start - timedelta(days=90)).isoformat(),
        "supportingInformation": [{"reference": f"Organization/{unit}"}],
        "participant": [
            {"actor": {"reference": f"Patient/{one.id}"}, "status": "accepted"},
            {"actor": {"reference": f"Location/{PLACE}"}, "status": "accepted"},
        ],
    }
    if labels:
        security = [{"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": code} for code in labels]
        made["meta"] = {"security": security}
    return made


def _places() -> list[dict[str, Any]]:
    address = {"line": ["Hansine Hansens veg 67"], "postalCode": "9019", "city": "TROMSØ"}

    def organisation(identifier: str, name: str, parent: str | None = None) -> dict[str, Any]:
        made = {"resourceType": "Organization", "id": identifier, "name": name, "address": [address],
                "telecom": [{"system": "phone", "value": "77 62 60 00"}]}  # fmt: skip
        return made | ({"partOf": {"reference": f"Organization/{parent}"}} if parent else {})

    found = [
        organisation(TRUST, "Universitetssykehuset Nord-Norge HF"),
        organisation(HOSPITAL, "UNN Tromsø", TRUST),
        organisation(UNIT, "Hudavdelingen, UNN Tromsø", HOSPITAL),
        organisation(OTHER_UNIT, "Øyeavdelingen, UNN Tromsø", HOSPITAL),
        {"resourceType": "Location", "id": PLACE, "status": "active", "name": "UNN Tromsø, 3. etasje",
         "description": "Inngang B, rom 312", "address": address},
    ]  # fmt: skip
    for hpr, role, unit in ((DOCTOR, "doctor", UNIT), (SECRETARY, "secretary", UNIT), (STRANGER, "doctor", OTHER_UNIT)):
        found += [
            {"resourceType": "Practitioner", "id": f"p{hpr}", "identifier": [{"system": HPR, "value": hpr}],
             "name": [{"given": ["Ola"], "family": f"Ansatt{hpr}"}]},
            {"resourceType": "PractitionerRole", "id": f"r{hpr}", "active": True,
             "practitioner": {"reference": f"Practitioner/p{hpr}"},
             "organization": {"reference": f"Organization/{unit}"},
             "code": [{"coding": [{"system": ROLE_SYSTEM, "code": role}]}]},
        ]  # fmt: skip
    return found


@asynccontextmanager
async def ward_on(database: Database, clock: SetClock, folder: Path) -> AsyncIterator[Ward]:
    """The ward, empty of patients."""
    platform, log = platform_on(database, clock, folder)
    gate = platform.access.for_system("test", write_types=None)
    await platform.store.write_many(gate, _places())
    worker, post, notify = worker_on(platform, folder)
    yield Ward(platform, clock, worker, post, notify)
    await log.stop()
