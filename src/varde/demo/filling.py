"""Writes the synthetic region into an empty store, in bulk, and knows a filled one when it sees it.

What is in the region is `world.py`'s. The trusts' owner, the last thing written, carries the mark of a whole
region, so that a filling that was broken off is begun again: every id is the same, and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from varde.demo.codes import code_systems
from varde.demo.people import REGION, Human, Resource
from varde.demo.registers import contact, registered
from varde.demo.world import World
from varde.edges.registers.embedded import fill as fill_registers
from varde.fhir.errors import NotFound
from varde.fhir.gate import Gate
from varde.fhir.keys import resource_key
from varde.fhir.store import Store

MARK = "https://varde.no/fhir/CodeSystem/demo-region"
CHUNK = 150
"""People written at once."""
_AT_ONCE = 2
"""Chunks under way: while the database writes one, the next is prepared."""


@dataclass(frozen=True, slots=True)
class Region:
    """Which region a store holds."""

    seed: int
    patients: int
    day: date

    @property
    def code(self) -> str:
        """As it stands in the mark."""
        return f"{self.seed}.{self.patients}.{self.day.isoformat()}"

    @property
    def world(self) -> World:
        """The region, to be made again from its seed."""
        return World(self.seed, self.patients, self.day)


def parse_mark(code: str) -> Region:
    """The region that a mark tells of. Raises ValueError."""
    seed, patients, day = code.split(".")
    return Region(int(seed), int(patients), date.fromisoformat(day))


async def region_of(store: Store, gate: Gate) -> Region | None:
    """The region that the store was filled with, whole; None for a store without one."""
    try:
        owner = (await store.read(gate, "Organization", REGION)).resource
    except NotFound:
        return None
    marks = [tag["code"] for tag in owner.get("meta", {}).get("tag", ()) if tag.get("system") == MARK]
    return parse_mark(marks[0]) if marks else None


async def fill(store: Store, gate: Gate, region: Region, told: Callable[[int], None] = lambda count: None) -> int:
    """Write the region's people and care; how many resources there are. `told`
    hears how many people are written so far."""
    world = region.world
    fixed = [*world.fixed.resources, *code_systems()]
    written = len(fixed)
    await store.write_many(gate, fixed, checked=True)
    people = 0
    free = asyncio.Semaphore(_AT_ONCE)

    async def write(chunk: list[Human], resources: list[Resource], moment: datetime) -> None:
        try:
            async with store.transaction() as connection:
                await store.write_many(gate, resources, connection=connection, checked=True)
                await _portal_uses(connection, region, chunk, moment)
                await fill_registers(
                    connection, [registered(human) for human in chunk], {h.number: contact(h) for h in chunk}
                )
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        for chunk in _chunks(world):
            await free.acquire()
            resources = [one for place, human in chunk for one in world.record(human, place)]
            people += len(chunk)
            written += len(resources)
            group.create_task(write([human for _, human in chunk], resources, store.clock.now()))
            told(people)
    return written


async def mark(store: Store, gate: Gate, region: Region) -> None:
    """Mark the region as whole: the last thing written."""
    owner = next(one for one in region.world.fixed.resources if one["id"] == REGION)
    tag = {"system": MARK, "code": region.code}
    await store.write_many(gate, [{**owner, "meta": {**owner["meta"], "tag": [tag]}}], checked=True)


def _chunks(world: World) -> Iterator[list[tuple[int, Human]]]:
    """People with their places, households whole: the registers write a family's bonds at once."""
    chunk: list[tuple[int, Human]] = []
    place = 0
    for household in world.households():
        chunk += enumerate(household, start=place)
        place += len(household)
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _portal_uses(connection: Any, region: Region, people: Sequence[Human], now: datetime) -> None:
    """Those who use the portal have agreed to it and logged in; a few so long ago that it no longer counts
    (LET-01)."""
    rows = []
    for human in people:
        if not human.user or human.dead is not None:
            continue
        random = Random(f"{region.seed}/{human.id}/use")  # noqa: S311 a repeatable world, not a secret
        long_ago = human.part is None and random.random() < 0.04
        last = now - timedelta(days=random.randrange(560, 800) if long_ago else random.randrange(0, 300))
        rows.append((resource_key("Patient", human.id), last - timedelta(days=random.randrange(0, 400)), last))
    await connection.execute(
        "delete from trust_portal_use where patient = any($1::bigint[])", [rid for rid, _, _ in rows]
    )
    await connection.copy_records_to_table(
        "trust_portal_use", records=rows, columns=("patient", "consented", "last_login")
    )
