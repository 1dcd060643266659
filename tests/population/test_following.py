"""From the register outside to access here: a real HTTP server of the national interface's shapes, the house's own
composition on a real database, and the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.edges.registers.folk import KEY, Folk, address, guardianship, parental, person, related
from tests.edges.servers import HttpServer, http_server
from varde.app import House, build
from varde.clock import SetClock
from varde.db import Database
from varde.edges.registers import RegisterUnavailable
from varde.fhir.errors import Unavailable
from varde.population import form
from varde.population.following import FOLLOW_EVERY, Population
from varde.settings import Settings
from varde.trust.access import Person, Refused
from varde.trust.persons import DNR, FNR, make_number, system_of

TOMORROW = timedelta(days=1)


def number(born: date, individual: int, *, d_number: bool = False) -> str:
    return next(n for i in range(100) if (n := make_number(born, individual + i, d_number=d_number)))


MOTHER, FATHER = number(date(1985, 3, 4), 100), number(date(1983, 6, 7), 150)
CHILD, ELDER = number(date(2018, 9, 10), 600), number(date(1940, 1, 2), 300)
BORN = {MOTHER: "1985-03-04", FATHER: "1983-06-07", CHILD: "2018-09-10", ELDER: "1940-01-02"}
NAMES = {MOTHER: ("Nora", "Vik"), FATHER: ("Lars", "Vik"), CHILD: ("Emil", "Vik"), ELDER: ("Olga", "Vik")}
HOME = address("Åsvegen 3", "9010", "TROMSØ")


@dataclass
class Place:
    """The house, its register outside, and the ways to act in it."""

    house: House
    folk: Folk
    clock: SetClock
    population: Population

    async def run(self) -> None:
        """All that is due now, recurring jobs too."""
        await self.house.worker().drain(self.clock.now())

    async def later(self) -> None:
        """The same, when the register is followed next."""
        self.clock.advance(FOLLOW_EVERY)
        await self.run()

    async def write(self, *resources: Mapping[str, Any]) -> None:
        gate = self.house.platform.access.for_system("test")
        await self.house.platform.store.write_many(gate, resources)

    async def read(self, kind: str, query: str = "") -> list[dict[str, Any]]:
        gate = self.house.platform.access.for_system("test")
        return [one.resource for one in (await self.house.platform.store.search(gate, kind, query)).matches]

    async def patient(self, name: str) -> dict[str, Any]:
        return (await self.read("Patient", f"_id={name}"))[0]

    async def enter(self, one: str, other: str) -> str:
        """The actor's role, or why they were refused."""
        try:
            scope, _, _ = await self.house.platform.access.for_patient(one, acting_for=other)
        except Refused as refused:
            return refused.decision.why
        return scope.actor.kind.value

    def put(self, national: str, *addresses: dict[str, Any], **more: Any) -> None:
        self.folk.add(person(national, *NAMES[national], BORN[national], *(addresses or (HOME,)), **more))


def patient(name: str, national: str, **more: Any) -> dict[str, Any]:
    given, family = NAMES[national]
    return {
        "resourceType": "Patient", "id": name, "active": True, "birthDate": BORN[national],
        "identifier": [{"use": "official", "system": system_of(national), "value": national}],
        "name": [{"use": "official", "family": family, "given": [given]}], **more,
    }  # fmt: skip


@pytest.fixture
def folk(clock: SetClock) -> Folk:
    return Folk(clock)


@pytest.fixture
def server(folk: Folk) -> Iterator[HttpServer]:
    with http_server(folk.answer) as made:
        folk.base = made.base
        yield made


@pytest.fixture
async def place(
    database: Database, clock: SetClock, folk: Folk, server: HttpServer, tmp_path: Path
) -> AsyncIterator[Place]:
    key = tmp_path / "key.json"
    key.write_bytes(orjson.dumps(KEY.as_dict(private=True)))
    settings = Settings(
        mode="production", data=tmp_path, database_url=database.url, population_base=f"{server.base}/fhir",
        population_cache_minutes=60, maskinporten_issuer=f"{server.base}/", maskinporten_client_id="client-1",
        maskinporten_key_file=key,
    )  # fmt: skip
    house = build(settings, process="test", clock=clock)
    made = Place(house, folk, clock, Population(house.platform, house.services))
    for national in (MOTHER, FATHER, CHILD, ELDER):
        made.put(national)
    folk.add(
        related(CHILD, MOTHER, parental("responsibleParty", MOTHER)),
        related(CHILD, FATHER, parental("responsibleParty", FATHER)),
        *(related(one, CHILD, parental("subjectOfResponsibility", CHILD)) for one in (MOTHER, FATHER)),
    )
    await made.write(patient("mother", MOTHER), patient("father", FATHER), patient("child", CHILD),
                     patient("elder", ELDER))  # fmt: skip
    clock.advance(timedelta(minutes=2))
    await made.run()
    yield made
    await house.close()


async def test_parents_are_let_in_and_stand_in_the_record(place: Place) -> None:
    assert await place.enter(MOTHER, CHILD) == "representative"
    assert await place.enter(FATHER, CHILD) == "representative"
    relatives = await place.read("RelatedPerson", "patient=Patient/child")
    assert {form.numbers_of(one)[0] for one in relatives} == {MOTHER, FATHER}
    (relationship,) = relatives[0]["relationship"]
    assert relationship["coding"] == [{"system": form.PARENTAL, "code": "felles"}]


async def test_running_again_writes_nothing(place: Place) -> None:
    before = [(await place.patient(name))["meta"]["versionId"] for name in ("mother", "child")]
    for _ in range(3):
        await place.later()
    assert [(await place.patient(name))["meta"]["versionId"] for name in ("mother", "child")] == before


async def test_an_answer_is_asked_for_once_an_hour_at_most(place: Place) -> None:
    await place.enter(MOTHER, CHILD)
    calls = place.folk.calls
    for _ in range(3):
        assert await place.enter(MOTHER, CHILD) == "representative"
    assert place.folk.calls == calls
    place.clock.advance(timedelta(hours=1))
    await place.enter(MOTHER, CHILD)
    assert place.folk.calls > calls


async def test_lost_responsibility_ends_access_when_the_feed_tells_of_it_and_in_an_hour_without_fam_15(
    place: Place,
) -> None:
    assert await place.enter(FATHER, CHILD) == "representative"
    place.clock.advance(timedelta(minutes=1))
    place.folk.add(
        related(CHILD, FATHER, parental("responsibleParty", FATHER, current=False)),
        related(FATHER, CHILD, parental("subjectOfResponsibility", CHILD, current=False)),
    )
    await place.later()
    assert await place.enter(FATHER, CHILD) == "no-bond"
    assert await place.enter(MOTHER, CHILD) == "representative"
    active = {form.numbers_of(one)[0]: one["active"] for one in await place.read("RelatedPerson")}
    assert active == {MOTHER: True, FATHER: False}
    # The mother's is lost too, and the feed does not tell.
    place.folk.resources = [one for one in place.folk.resources if one["id"] not in {f"r{CHILD}-{MOTHER}"}]
    assert await place.enter(MOTHER, CHILD) == "representative"
    place.clock.advance(timedelta(hours=1))
    assert await place.enter(MOTHER, CHILD) == "no-bond"


async def test_a_protected_address_ends_representation_and_leaves_the_record_at_once_fam_14(place: Place) -> None:
    await place.write(patient("child", CHILD, address=[{"line": ["Åsvegen 3"], "city": "TROMSØ"}]))
    assert await place.enter(MOTHER, CHILD) == "representative"
    place.put(CHILD, protection="strengtFortrolig")
    await place.later()
    assert await place.enter(MOTHER, CHILD) == "protected"
    record = await place.patient("child")
    assert "address" not in record
    assert {"system": form.CONFIDENTIALITY, "code": "strengtFortrolig"} in record["meta"]["security"]
    assert await place.enter(MOTHER, MOTHER) == "patient"


async def test_a_guardian_is_let_in_within_the_mandate_and_out_with_its_end_fam_13(place: Place) -> None:
    assert await place.enter(MOTHER, ELDER) == "no-bond"
    end = (place.clock.now() + TOMORROW).date().isoformat()
    place.folk.add(
        related(ELDER, MOTHER, guardianship("voksen", "personligeInteresser", start="2020-01-01", end=end)),
        related(ELDER, FATHER, guardianship("voksen", "oekonomiskeInteresser", personal=False)),
    )
    await place.later()
    assert await place.enter(MOTHER, ELDER) == "representative"
    assert [one.id for one in await place.house.platform.access.represented("mother")] == ["elder", "child"]
    assert await place.enter(FATHER, ELDER) == "guardian-area"
    place.clock.advance(TOMORROW)
    assert await place.enter(MOTHER, ELDER) == "no-bond"


async def test_a_register_that_is_away_is_waited_for_and_never_guessed(place: Place) -> None:
    place.clock.advance(timedelta(hours=1))
    place.folk.broken = (503, b"")
    with pytest.raises(Unavailable):
        await place.enter(MOTHER, CHILD)
    assert await place.enter(MOTHER, MOTHER) == "patient"
    async with place.house.platform.database.connection() as connection:
        with pytest.raises(RegisterUnavailable):
            await place.population.follow(connection, [])
    place.put(CHILD, dead="2026-11-24")
    await place.run()
    assert not form.is_dead(await place.patient("child"))
    place.folk.broken = None
    place.clock.advance(timedelta(hours=1))
    await place.run()
    assert form.is_dead(await place.patient("child"))
    assert await place.enter(MOTHER, CHILD) == "own-dead"


async def test_a_changed_number_finds_the_same_record_by_either(place: Place) -> None:
    old = number(date(1983, 6, 7), 200, d_number=True)
    await place.write(patient("father", FATHER) | {"identifier": [{"use": "official", "system": DNR, "value": old}]})
    place.put(FATHER, former=((old, "2026-11-20T00:00:00+01:00"),))
    await place.later()
    record = await place.patient("father")
    assert [(one["use"], one["system"], one["value"]) for one in record["identifier"]] == [
        ("official", FNR, FATHER), ("old", DNR, old),
    ]  # fmt: skip
    assert record["identifier"][1]["period"] == {"end": "2026-11-20"}
    found = [await place.house.platform.access.person(one) for one in (FATHER, old)]
    assert [(one.id, one.number) for one in found if one is not None] == [("father", FATHER), ("father", FATHER)]
    assert await place.enter(old, CHILD) == "representative"


async def test_two_records_of_one_person_become_one_that_stands_for_both(place: Place) -> None:
    old = number(date(1983, 6, 7), 200, d_number=True)
    await place.write(
        patient("earlier", FATHER) | {"identifier": [{"use": "official", "system": DNR, "value": old}]}
    )  # fmt: skip
    place.put(FATHER, former=((old, "2026-11-20T00:00:00+01:00"),))
    await place.later()
    standing, replaced = await place.patient("father"), await place.patient("earlier")
    assert standing["link"] == [{"other": {"reference": "Patient/earlier"}, "type": "replaces"}]
    assert replaced["link"] == [{"other": {"reference": "Patient/father"}, "type": "replaced-by"}]
    assert (replaced["active"], form.numbers_of(standing)) == (False, [FATHER, old])
    found: list[Person | None] = [await place.house.platform.access.person(one) for one in (FATHER, old)]
    assert [one.id for one in found if one is not None] == ["father", "father"]
    await place.later()
    assert (await place.patient("father"))["meta"]["versionId"] == standing["meta"]["versionId"]


async def test_what_hospitals_write_is_compared_too(place: Place) -> None:
    await place.write(patient("father", FATHER) | {"name": [{"use": "official", "text": "L. Vik"}]})
    await place.later()
    names = (await place.patient("father"))["name"]
    assert [name.get("text") or name["family"] for name in names] == ["Vik", "L. Vik"]


async def test_all_is_done_as_a_system_with_its_ground_in_the_log(place: Place) -> None:
    await place.house.log.stop()
    async with place.house.platform.database.connection() as connection:
        rows = await connection.fetch("select * from trust_audit where actor = 'population'")
    assert {row["actor_kind"] for row in rows} == {"system"}
    assert {row["ground"] for row in rows} == {"running-service"}
    assert not any(national in row["query"] for row in rows for national in BORN)


async def test_no_number_stands_in_an_address(place: Place, server: HttpServer) -> None:
    assert not any(national in request.path for request in server.requests for national in BORN)
