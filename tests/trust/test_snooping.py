"""What looks like snooping (FAM-37): the rules, planted snooping that is found, ordinary days that raise nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from tests.trust.region import DOCTOR, OTHER_DOCTOR, OTHER_WARD, WARD, World, episode
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.trust.audit import Who
from varde.trust.log.findings import BREACH, decide, listed
from varde.trust.log.snooping import Kind, Norms, Viewing, of_day, of_patient, of_viewing, street_of
from varde.trust.log.watching import Tie, Watch

NORMS = Norms()


@pytest.mark.parametrize(
    ("viewing", "expected"),
    [
        (Viewing(20), []),
        (Viewing(1, occasion=False), []),
        (Viewing(1, own=True, family=True), [Kind.OWN_RECORD]),
        (Viewing(1, refused=1, own=True), [Kind.OWN_RECORD]),
        (Viewing(1, family=True, household=True), [Kind.FAMILY]),
        (Viewing(1, household=True, neighbour=True), [Kind.HOUSEHOLD]),
        (Viewing(5, neighbour=True), []),
        (Viewing(1, neighbour=True, occasion=False), [Kind.NEIGHBOUR]),
        (Viewing(1, refused=1, neighbour=True), [Kind.NEIGHBOUR]),
        (Viewing(1, colleague=True), [Kind.COLLEAGUE]),
        (Viewing(3, known=True), []),
        (Viewing(1, known=True, occasion=False), [Kind.KNOWN_PERSON]),
        (Viewing(2, refused=2, occasion=False), []),
        (Viewing(3, refused=3, occasion=False), [Kind.NO_RELATION]),
    ],
)
def test_a_days_viewing_of_one_patient(viewing: Viewing, expected: list[Kind]) -> None:
    assert of_viewing(viewing, NORMS) == expected


@pytest.mark.parametrize(
    ("patients", "refused", "usual", "expected"),
    [
        (60, 0, [], []),
        (61, 0, [], [Kind.MANY_PATIENTS]),
        (80, 0, [30, 40, 25], []),
        (200, 0, [30, 40, 25], [Kind.MANY_PATIENTS]),
        (2, 2, [], []),
        (1, 3, [], [Kind.NO_RELATION]),
    ],
)
def test_a_whole_day(patients: int, refused: int, usual: list[int], expected: list[Kind]) -> None:
    assert of_day(patients, refused, usual, NORMS) == expected


def test_how_many_look_at_one_patient() -> None:
    assert of_patient(25, 0, [], NORMS) == []
    assert of_patient(26, 0, [], NORMS) == [Kind.MANY_VIEWERS]
    assert of_patient(40, 0, [15, 14], NORMS) == []
    assert of_patient(6, 5, [], NORMS) == [Kind.MANY_VIEWERS]


@pytest.mark.parametrize(
    ("line", "street"),
    [("Storgata 5", "storgata"), ("Storgata  5 B", "storgata"), ("storgata 12b", "storgata"), ("Postboks 5", ""),
     ("Kong Haakons gate 14", "kong haakons gate"), ("Myrvang", "myrvang")],
)  # fmt: skip
def test_neighbours_share_a_street(line: str, street: str) -> None:
    assert street_of(line) == street


@dataclass
class Known:
    """Who knows whom, as a test says."""

    ties: dict[tuple[str, str], Tie] = field(default_factory=dict)

    async def of(self, connection: Any, pairs: Sequence[tuple[str, str | None, int]]) -> Mapping[Any, Tie]:
        by_rid = {(hpr, resource_key("Patient", one)): tie for (hpr, one), tie in self.ties.items()}
        return {pair: by_rid[pair[0], pair[2]] for pair in pairs if (pair[0], pair[2]) in by_rid}


def _staff(hpr: str, unit: str = WARD) -> Who:
    return Who("staff", hpr, f"Ansatt {hpr}", "sykepleier", unit, unit, None, "TREAT", "treatment", "Varde")


async def _look(world: World, hpr: str, whom: str, *, unit: str = WARD, allowed: bool = True) -> None:
    told = Disclosure(Interaction.READ, "Observation", ["o"], [resource_key("Patient", whom)], allowed=allowed)
    await world.log.write(_staff(hpr, unit), told, None)


async def _found(world: World, watch: Watch) -> list[tuple[str, str | None, int | None]]:
    async with world.database.transaction() as connection:
        await watch.run(connection, world.clock.now())
    async with world.database.connection() as connection:
        found, total = await listed(connection)
    assert total == len(found)
    return [(one.kind.value, one.actor, one.patient) for one in found]


def _rid(whom: str) -> int:
    return resource_key("Patient", whom)


async def test_planted_snooping_is_found_and_only_once(world: World) -> None:
    """Own record, family, a neighbour a month after the visit, a colleague, a celebrity, no relation at all."""
    watch = Watch(
        Known(
            {
                (DOCTOR, "kari"): Tie(own=True), (DOCTOR, "child"): Tie(family=True),
                (DOCTOR, "ola"): Tie(neighbour=True),
                (OTHER_DOCTOR, "kari"): Tie(colleague=True), (OTHER_DOCTOR, "ola"): Tie(known=True),
            }
        )
    )  # fmt: skip
    await world.write(
        episode("ola", WARD, "2026-10-01", "2026-10-20"), episode("ola", OTHER_WARD, "2026-10-01", "2026-10-20")
    )
    await _look(world, DOCTOR, "kari")
    await _look(world, DOCTOR, "child")
    await _look(world, DOCTOR, "ola")
    await _look(world, OTHER_DOCTOR, "kari", unit=OTHER_WARD)
    await _look(world, OTHER_DOCTOR, "ola", unit=OTHER_WARD)
    for whom in ("dead", "youth", "stranger"):
        await _look(world, "8100007", whom, allowed=False)
    expected = {
        ("own-record", DOCTOR, _rid("kari")), ("family", DOCTOR, _rid("child")), ("neighbour", DOCTOR, _rid("ola")),
        ("colleague", OTHER_DOCTOR, _rid("kari")), ("known-person", OTHER_DOCTOR, _rid("ola")),
        ("no-relation", "8100007", None),
    }  # fmt: skip
    assert set(await _found(world, watch)) == expected
    assert set(await _found(world, watch)) == expected
    await _look(world, DOCTOR, "kari")
    assert set(await _found(world, watch)) == expected
    async with world.database.connection() as connection:
        (own,) = [one for one in (await listed(connection))[0] if one.kind is Kind.OWN_RECORD]
        assert (own.rows, own.refused) == (2, 0)
        decided = {"actor": "8100009", "name": "Ombud", "reason": "Tok kontakt", "now": world.clock.now()}
        assert await decide(connection, own.id, BREACH, **decided)
        assert not await decide(connection, own.id, BREACH, **decided)
        with pytest.raises(ValueError):
            await decide(connection, own.id, "forgotten", **decided)
        assert [one.id for one in (await listed(connection, BREACH))[0]] == [own.id]
    assert len(await _found(world, watch)) == 5


async def test_curiosity_of_many_is_found_on_the_patient(world: World) -> None:
    await world.write(episode("ola", WARD, "2026-10-01", "2026-10-20"))
    for number in range(5):
        await _look(world, f"81000{number}9", "ola")
    assert ("many-viewers", None, _rid("ola")) in await _found(world, Watch(Known()))


async def test_a_day_of_everybodys_records_is_found(world: World) -> None:
    for number in range(61):
        await _look(world, DOCTOR, f"p{number}")
    assert ("many-patients", DOCTOR, None) in await _found(world, Watch(Known()))


async def test_ordinary_weeks_raise_nothing(world: World) -> None:
    """A ward of eight who look at the forty that it treats, some of them neighbours and one known to all; a refused
    slip of the hand now and then."""
    random = Random(7)
    whom = [f"w{number}" for number in range(40)]
    await world.write(*(episode(one, WARD, "2026-09-01") | {"id": f"e-{one}"} for one in whom))
    workers = [f"81001{number:02d}" for number in range(8)]
    ties = {(random.choice(workers), random.choice(whom)): Tie(neighbour=True) for _ in range(10)}
    ties |= {(worker, "w3"): Tie(known=True) for worker in workers}
    watch = Watch(Known(ties))
    for _day in range(5):
        for worker in workers:
            for one in random.sample(whom, 15):
                await _look(world, worker, one)
            if random.random() < 0.2:
                await _look(world, worker, "stranger", allowed=False)
            world.clock.advance(timedelta(minutes=7))
        assert await _found(world, watch) == []
        world.clock.advance(timedelta(hours=22))


async def test_rows_of_a_transaction_that_commits_late_are_looked_through(world: World) -> None:
    watch = Watch(Known({(DOCTOR, "kari"): Tie(own=True)}))
    slow = await world.database.dedicated()
    late = slow.transaction()
    await late.start()
    await world.log.write(_staff(DOCTOR), Disclosure(Interaction.READ, "Observation", ["o"], [_rid("kari")]), slow)
    await _look(world, OTHER_DOCTOR, "ola", unit=OTHER_WARD)
    assert await _found(world, watch) == []
    await late.commit()
    await slow.close()
    assert [kind for kind, _, _ in await _found(world, watch)] == ["own-record"]
