"""FAM-16: what a death ends in services and in access, in the hour it is told of, whoever tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.services.letters.ward import Someone, Ward, ward_on
from varde.app import House, build
from varde.clock import SetClock
from varde.db import Database
from varde.edges.registers.embedded import move, set_dead
from varde.population.following import FOLLOW_EVERY
from varde.services.letters import flow
from varde.services.letters.rules import State
from varde.settings import Settings
from varde.trust.access import Refused


@dataclass
class Place:
    """A ward with its letters, and the whole house on the same database."""

    ward: Ward
    house: House
    clock: SetClock

    async def followed(self) -> None:
        """The register is followed next."""
        self.clock.advance(FOLLOW_EVERY)
        await self.house.worker().drain(self.clock.now())

    async def dies(self, one: Someone) -> None:
        async with self.house.platform.database.connection() as connection:
            await set_dead(connection, one.number, date(2026, 11, 24))

    async def appointment(self, one: Someone) -> dict[str, Any]:
        gate = self.house.platform.access.for_system("test")
        return (await self.house.platform.store.read(gate, "Appointment", one.appointment)).resource


@pytest.fixture
async def place(database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[Place]:
    async with ward_on(database, clock, tmp_path) as ward:
        settings = Settings(mode="demo", data=tmp_path, database_url=database.url)
        house = build(settings, process="test", clock=clock)
        made = Place(ward, house, clock)
        await made.followed()
        yield made
        await house.close()


async def test_open_letters_and_appointments_are_stopped_and_listed(place: Place) -> None:
    ward = place.ward
    one, other = await ward.add(2)
    await ward.send([one, other])
    assert (await ward.letter(one)).state is State.NOTIFIED
    await place.dies(one)
    await place.followed()
    letter = await ward.letter(one)
    assert (letter.state, letter.changes[-1].cause, letter.deadline) == (State.FAILED, "dead", None)
    appointment = await place.appointment(one)
    assert appointment["status"] == "cancelled"
    assert appointment["cancelationReason"]["coding"][0]["code"] == "pat-dec"
    assert await ward.problems() == [(one.id, "dead"), (one.id, "dead")], "the letter and the appointment"
    # The other's go on, and nothing of the dead one's comes later.
    assert (await ward.letter(other)).state is State.NOTIFIED
    assert (await place.appointment(other))["status"] == "booked"
    await ward.later(timedelta(days=30))
    assert {printed.key.split(":")[1] for printed in await ward.printed()} == {(await ward.letter(other)).id}


async def test_a_letter_that_waits_for_the_printer_is_taken_out_and_a_read_one_stays(place: Place) -> None:
    ward = place.ward
    waiting, reader = await ward.add(2, user=True)
    (paper,) = await ward.add(reserved=True)
    await ward.send([waiting, reader, paper])
    await flow.open_letter(ward.platform, await ward.patient(reader), (await ward.letter(reader)).id)
    for one in (reader, paper):
        await place.dies(one)
    await place.followed()
    assert (await ward.letter(reader)).state is State.OPENED
    assert (await ward.letter(paper)).state is State.FAILED
    await ward.later(timedelta(days=3))
    stopped = (await ward.letter(paper)).id
    assert not any(stopped in printed.key for printed in await ward.printed())


async def test_representatives_lose_access_at_the_next_request_and_the_dead_have_none(place: Place) -> None:
    ward = place.ward
    parent, other = await ward.add(2)
    (child,) = await ward.add(born=date(2020, 2, 3), user=False, mobile=False, parents=[parent])
    registers = place.house.platform.registers
    async with place.house.platform.database.connection() as connection:
        home = (await registers.persons([parent.number]))[parent.number].address
        await move(connection, child.number, home)
    assert (await place.house.platform.access.for_patient(parent.number, acting_for=child.number))[
        0
    ].patient == child.id
    await place.dies(child)
    with pytest.raises(Refused) as refused:
        await place.house.platform.access.for_patient(parent.number, acting_for=child.number)
    assert refused.value.decision.why == "own-dead"
    await place.dies(other)
    await place.followed()
    with pytest.raises(Refused):
        await place.house.platform.access.for_patient(other.number)


async def test_a_death_that_the_hospital_writes_counts_as_one_of_the_registers(place: Place) -> None:
    ward = place.ward
    (one,) = await ward.add()
    await ward.send([one])
    gate = place.house.platform.access.for_system("ehr")
    patient = (await place.house.platform.store.read(gate, "Patient", one.id)).resource
    died = {**patient, "deceasedDateTime": datetime(2026, 11, 24, 3, tzinfo=UTC).isoformat()}
    await place.house.platform.store.update(gate, "Patient", one.id, died)
    await place.house.worker(recurring=False).drain(place.clock.now())
    assert (await ward.letter(one)).state is State.FAILED
    assert (await place.appointment(one))["status"] == "cancelled"
    # Told again, nothing more is done.
    await place.house.platform.store.update(gate, "Patient", one.id, {**died, "active": False})
    await place.house.worker(recurring=False).drain(place.clock.now())
    assert len(await ward.problems()) == 2


async def test_appointments_that_have_been_are_left_as_they_were(place: Place) -> None:
    (one,) = await place.ward.add(days=-3)
    await place.dies(one)
    await place.followed()
    assert (await place.appointment(one))["status"] == "booked"
    assert await place.ward.problems() == []
