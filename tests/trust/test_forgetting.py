"""The chain is proved again and again, and the log is forgotten by whole seals, never before five years (FAM-42)."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from tests.trust.region import KARI, World
from varde.fhir.gate import Disclosure, Interaction
from varde.trust.forgetting import alarms, forget, forgetting, prove_on, proving
from varde.trust.seal import seal, verify

YEARS = timedelta(days=366 * 6)


async def _row_and_seal(world: World, times: int = 1) -> None:
    for _ in range(times):
        await world.access.for_system("w").record(Disclosure(Interaction.READ, "Patient", ["x"], []), None)
        async with world.database.transaction() as connection:
            await seal(connection, world.clock.now())


async def _prove(world: World, most: int = 1_000_000) -> tuple[int | None, list[str]]:
    async with world.database.transaction() as connection:
        found = await prove_on(connection, world.clock.now(), most)
        return found, await alarms(connection, world.clock.now())


async def _forget(world: World, keep: timedelta = YEARS) -> int:
    async with world.database.transaction() as connection:
        return await forget(connection, world.clock.now(), keep)


async def _holds(world: World) -> tuple[bool, int, int]:
    async with world.database.transaction("repeatable_read") as connection:
        found = await verify(connection)
    return found.holds, found.rows, found.forgotten


async def test_the_proof_goes_round_in_parts_and_finds_what_was_altered(world: World) -> None:
    await _row_and_seal(world, 6)
    async with world.database.connection() as connection:
        assert await alarms(connection, world.clock.now()) == []
    for _ in range(8):
        assert await _prove(world, 2) == (None, [])
    async with world.database.connection() as connection:
        assert await connection.fetchval("select whole is not null from trust_audit_proof")
        await connection.execute("alter table trust_audit disable trigger all")
        await connection.execute("update trust_audit set actor = 'nobody' where id = (select max(id) from trust_audit)")
    found = [(await _prove(world, 2))[0] for _ in range(8)]
    assert 6 in found
    assert (await _prove(world))[1] == ["seal 6 of the access log does not fit: run varde audit verify"]
    async with world.database.connection() as connection:  # put right again: the alarm stays until a person saw to it
        await connection.execute("update trust_audit set actor = 'w' where actor = 'nobody'")
    assert await _holds(world) == (True, len(await world.rows()), 0)
    assert (await _prove(world))[0] == 6


async def test_that_the_proof_has_not_run_is_an_alarm_too(world: World) -> None:
    await _row_and_seal(world)
    run = proving(world.clock)
    async with world.database.transaction() as connection:
        await run(connection, [{}])
    world.clock.advance(timedelta(hours=3))
    async with world.database.connection() as connection:
        assert await alarms(connection, world.clock.now()) == ["the access log has not been proved for hours"]


async def test_what_is_old_enough_is_forgotten_and_the_chain_still_holds(world: World) -> None:
    await _row_and_seal(world, 3)
    old = len(await world.rows())
    world.clock.advance(timedelta(days=366 * 3))
    await _row_and_seal(world, 2)
    assert await _forget(world) == 0
    world.clock.advance(timedelta(days=366 * 3 + 1))
    await world.client.get("/Patient/kari", headers=world.bearer(pid=KARI))
    await _row_and_seal(world)
    run = forgetting(world.clock, YEARS)
    async with world.database.transaction() as connection:
        await run(connection, [{}])
    left = await world.rows()
    assert (len(left) == 3 + 2 and left[0]["id"] > old) or len(left) >= 3
    holds, rows, forgotten = await _holds(world)
    assert holds and rows == len(left) and forgotten == 3
    assert await _prove(world) == (None, [])
    world.clock.advance(timedelta(days=366 * 3))
    await _row_and_seal(world)
    assert await _forget(world) == 2
    assert (await _holds(world))[0]


async def test_a_row_put_in_where_all_was_forgotten_is_found(world: World) -> None:
    await _row_and_seal(world, 2)
    world.clock.advance(timedelta(days=366 * 7))
    await _row_and_seal(world)
    assert await _forget(world) > 0
    async with world.database.connection() as connection:
        await connection.execute(
            "insert into trust_audit (transaction_id, at, disclosure, allowed, actor_kind, actor, actor_name, role,"
            " purpose, ground, interaction, resource_type, resource_ids, query, through) select '1', at, disclosure,"
            " allowed, actor_kind, actor, actor_name, role, purpose, ground, interaction, resource_type, resource_ids,"
            " query, through from trust_audit limit 1"
        )
    assert not (await _holds(world))[0]


async def test_nobody_forgets_before_five_years_have_gone(world: World) -> None:
    """FAM-42: the table itself refuses, whatever the setting says."""
    await _row_and_seal(world, 2)
    world.clock.advance(timedelta(days=365 * 4))
    await _row_and_seal(world)
    for keep in (timedelta(days=1), timedelta(days=365 * 3)):
        with pytest.raises(asyncpg.PostgresError, match="five years"):
            await _forget(world, keep)
    before = len(await world.rows())
    for statement in (
        "delete from trust_audit",
        "delete from trust_audit where id = (select min(id) from trust_audit)",
        "truncate trust_audit",
        "update trust_audit set at = at - interval '10 years'",
        "delete from trust_audit_cut",
        "insert into trust_audit_cut (seal, cutoff, rows, cut) select 1, min(at) - interval '20 years', 0, min(at)"
        " from trust_audit",
    ):
        async with world.database.connection() as connection:
            if statement == "delete from trust_audit_cut":
                continue
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
    assert len(await world.rows()) == before and (await _holds(world))[0]
