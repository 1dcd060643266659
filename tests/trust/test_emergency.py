"""Emergency access by the clock and by the record: one patient, over blocks, a short time, each reading in the log
(FAM-34)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.trust.region import DOCTOR, KARI, OTHER_DOCTOR, OTHER_WARD, SECRETARY, WARD, World, labelled, observation
from varde.fhir.errors import NotFound
from varde.trust import consents, emergency
from varde.trust.consents import Block, Emergency

REASON = "Bevisstløs etter ulykke, må vite om legemidler"


async def open_it(world: World, hpr: str = OTHER_DOCTOR, unit: str = OTHER_WARD, **more: Any) -> None:
    now = world.clock.now()
    ends = now + timedelta(hours=4)
    values = {"id": "e", "patient": "kari", "at": now, "hpr": hpr, "unit": unit, "reason": REASON, "ends": ends}
    await world.write(consents.to_fhir(Emergency(**(values | more))))


def btg(world: World, hpr: str = OTHER_DOCTOR, unit: str = OTHER_WARD) -> Mapping[str, str]:
    return world.bearer(hpr=hpr, unit=unit, purpose="BTG")


async def status(world: World, address: str, headers: Mapping[str, str]) -> int:
    return (await world.client.get(address, headers=headers)).status_code


async def blocked(world: World) -> None:
    """Kari keeps the other ward out, hides a result, and has one of NORS."""
    for identifier, more in (("b1", {"blocked_unit": OTHER_WARD}),
                             ("b2", {"resources": frozenset({"Observation/result-kari"})}),
                             ("b3", {"sharing": True})):  # fmt: skip
        made: Any = Block(id=identifier, patient="kari", at=world.clock.now(), **more)
        await world.write(consents.to_fhir(made))
    await world.write(labelled(observation("nors", "kari"), "NORS"))


async def test_fam_34_a_token_with_btg_works_only_with_an_opened_access(world: World) -> None:
    await blocked(world)
    assert await status(world, "/Observation/result-kari", btg(world)) == 401
    assert await status(world, "/Observation/result-kari", world.bearer(hpr=OTHER_DOCTOR, purpose="ETREAT")) == 404
    await open_it(world)
    headers = btg(world)
    for address in ("/Patient/kari", "/Observation/result-kari", "/Observation/nors", "/Communication/letter-kari"):
        assert await status(world, address, headers) == 200, address
    for address in ("/Patient/ola", "/Observation/result-ola", "/Observation/result-child"):
        assert await status(world, address, headers) == 404, "one patient alone"
    found = await world.client.get("/Observation?_total=accurate", headers=headers)
    assert found.json()["total"] == 2
    # The other purposes see what they saw, and so do all others.
    assert await status(world, "/Observation/result-kari", world.bearer(hpr=OTHER_DOCTOR)) == 404
    assert await status(world, "/Observation/result-kari", world.bearer(hpr=OTHER_DOCTOR, purpose="ETREAT")) == 404
    assert await status(world, "/Observation/result-kari", world.bearer(hpr=DOCTOR)) == 404
    assert await status(world, "/Observation/result-kari", btg(world, DOCTOR, WARD)) == 401


async def test_fam_34_it_ends_by_the_clock_in_the_middle_of_a_scope(world: World) -> None:
    await blocked(world)
    await open_it(world)
    scope = (await world.access.for_staff(OTHER_DOCTOR, OTHER_WARD, "BTG"))[0]
    world.clock.advance(timedelta(hours=3, minutes=59, seconds=59))
    assert (await world.store.read(scope, "Observation", "result-kari")).id == "result-kari"
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotFound):
        await world.store.read(scope, "Observation", "result-kari")
    assert (await world.store.search(scope, "Observation", "_total=accurate")).total == 0
    with pytest.raises(LookupError):
        await world.access.for_staff(OTHER_DOCTOR, OTHER_WARD, "BTG")


async def test_fam_34_it_can_be_ended_early(world: World) -> None:
    await blocked(world)
    await open_it(world)
    headers = btg(world)
    assert await status(world, "/Observation/nors", headers) == 200
    world.clock.advance(timedelta(minutes=1))
    starts = world.clock.now() - timedelta(minutes=1)
    await open_it(world, at=world.clock.now(), starts=starts, ends=starts + timedelta(hours=4), withdrawn=True)
    assert await status(world, "/Observation/nors", headers) in {401, 404}
    assert await status(world, "/Observation/nors", btg(world)) == 401


async def test_fam_34_each_reading_is_in_the_log_with_its_reason(world: World) -> None:
    await open_it(world)
    await world.client.get("/Observation/result-kari", headers=btg(world))
    rows = await world.rows("purpose = 'BTG'")
    assert rows and {row["decision_ref"] for row in rows} == {"e"}
    assert {row["ground"] for row in rows} == {"emergency"} and {row["unit"] for row in rows} == {OTHER_WARD}
    own = await world.client.get("/Consent/e", headers=world.bearer(pid=KARI))
    assert REASON in own.text, "the patient reads why"


async def test_fam_34_a_role_sees_no_more_than_its_types(world: World) -> None:
    await open_it(world, SECRETARY, WARD)
    headers = btg(world, SECRETARY, WARD)
    assert await status(world, "/Observation/result-kari", headers) in {403, 404}


async def test_opened_lists_what_is_open_now_the_newest_first(world: World) -> None:
    await open_it(world)
    world.clock.advance(timedelta(minutes=5))
    await open_it(world, id="later", patient="ola")
    async with world.database.connection() as connection:
        found = await emergency.opened(connection, OTHER_DOCTOR, OTHER_WARD, world.clock.now())
        assert [one.id for one in found] == ["later", "e"] and found[0].patient == "ola"
        assert not await emergency.opened(connection, OTHER_DOCTOR, WARD, world.clock.now())
