"""Measures one great sending: `.venv/bin/python bench/letters_batch.py --letters 10000`, on an embedded PostgreSQL of
its own filled with a ward of synthetic patients. Told: time to look over, to accept, to route and notify all, the
lists afterwards; with --print also the deadline of every unopened letter. Workers, PostgreSQL and this script share
the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import tempfile
from datetime import datetime, time, timedelta
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import uvloop

from varde.clock import OSLO, MovableClock, today
from varde.db import Database, ensure_database, migrate
from varde.demo.care import course
from varde.demo.people import Human, Unit, patient
from varde.demo.registers import contact, registered
from varde.demo.world import World
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost
from varde.edges.registers.embedded import EmbeddedRegisters, fill
from varde.embedded import EmbeddedPostgres
from varde.families import RegisteredFamilies
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.services import Platform
from varde.services.letters.called import Called
from varde.services.letters.jobs import handlers, receivers
from varde.services.letters.showing import ShownToStaff
from varde.services.letters.views import Filters, Order
from varde.settings import Settings
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations
from varde.work.worker import Worker
from varde.workdays import next_working_day

CHUNK = 500


def made(url: str, folder: Path) -> tuple[Platform, AuditLog, MovableClock]:
    """The rooms that letters need."""
    clock = MovableClock(folder / "clock")
    database = Database(url, connections=8)
    store = Store(database, clock, [CareRelations(), Called()])
    log = AuditLog(database, clock)
    registers = EmbeddedRegisters(database)
    access = Access(store, clock, log, RegisteredFamilies(registers))
    return Platform(Settings(mode="demo", data=folder), clock, database, store, access, registers), log, clock


def worker_process(url: str, folder: Path, stop: Any, profiled: bool) -> None:
    """One worker, until told to stop."""

    async def run() -> None:
        platform, log, clock = made(url, folder)
        senders = [EmbeddedPost(folder / "post", clock), EmbeddedNotify(folder / "notify", clock)]
        worker = Worker(platform.database, clock, handlers(platform), senders, receivers(platform))
        stopped = asyncio.Event()

        async def watch() -> None:
            await asyncio.to_thread(stop.wait)
            stopped.set()

        await asyncio.gather(worker.run(stopped), watch())
        await log.stop()

    profile = cProfile.Profile()
    if profiled:
        profile.enable()
    uvloop.run(run())
    if profiled:
        profile.disable()
        pstats.Stats(profile).sort_stats("cumulative").print_stats(70)


async def filled(platform: Platform, number: int) -> Unit:
    """A ward with `number` patients who have an appointment ahead."""
    clock = platform.clock
    world = World(7, max(number, 100), today(clock))
    gate = platform.access.for_system("bench", write_types=None)
    await platform.store.write_many(gate, world.fixed.resources, checked=True)
    ward = world.fixed.ward
    people = [human for human in world.people() if human.dead is None][:number]
    for start in range(0, len(people), CHUNK):
        await _write(platform, gate, world, ward, people[start : start + CHUNK])
    async with platform.database.connection() as connection:
        await connection.execute("vacuum analyze")
    return ward


async def _write(platform: Platform, gate: Any, world: World, ward: Unit, people: list[Human]) -> None:
    random, now, resources, uses = Random(people[0].id), platform.clock.now(), [], []
    for human in people:
        resources.append(patient(human, None))
        resources += course(random, human, ward, world.fixed.workers, world.today, days=random.randrange(20, 90))
        if human.user:
            uses.append((resource_key("Patient", human.id), now - timedelta(days=300), now - timedelta(days=20)))
    async with platform.store.transaction() as connection:
        await platform.store.write_many(gate, resources, connection=connection, checked=True)
        await fill(connection, [registered(human) for human in people], {h.number: contact(h) for h in people})
        await connection.copy_records_to_table(
            "trust_portal_use", records=uses, columns=("patient", "consented", "last_login")
        )


async def main(number: int, workers: int, printing: bool, profiled: bool) -> None:
    """Fill, send, and tell the times."""
    with tempfile.TemporaryDirectory(prefix="varde-bench-") as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "database")
        server.start()
        try:
            await ensure_database(server.url("postgres"), "bench")
            await migrate(server.url("bench"))
            await _measure(server.url("bench"), folder, number, workers, printing, profiled)
        finally:
            server.stop("immediate")


async def _measure(url: str, folder: Path, number: int, workers: int, printing: bool, profiled: bool) -> None:
    platform, log, clock = made(url, folder)
    _to_a_morning(clock)
    began = perf_counter()
    ward = await filled(platform, number)
    print(f"filled with {number:,} patients in {perf_counter() - began:.1f} s")
    stop = multiprocessing.get_context("spawn").Event()
    running = [
        multiprocessing.get_context("spawn").Process(target=worker_process, args=(url, folder, stop, profiled))
        for _ in range(workers)
    ]
    for process in running:
        process.start()
    await asyncio.sleep(2)
    hpr = next(worker.hpr for worker in world_staff(platform) if worker.unit.id == ward.id and worker.role == "doctor")
    scope, _ = await platform.access.for_staff(hpr, ward.id)
    staff = ShownToStaff(platform)

    async def timed(what: str, awaitable: Any) -> Any:
        start = perf_counter()
        result = await awaitable
        print(f"{what}: {perf_counter() - start:.2f} s")
        return result

    order = Order("summons", {}, [], everyone=True)
    _, total = await timed("whom to call", staff.to_call(scope, "", most=200))
    await timed("look over", staff.look_over(scope, order, language="nb"))
    began = perf_counter()
    batch = await timed(f"accept {total:,}", staff.send(scope, order, "bench"))
    while not (page := await staff.batch(scope, batch, language="nb")).finished:  # noqa: ASYNC110
        await asyncio.sleep(0.2)  # as the page of progress asks
    routed = perf_counter() - began
    print(f"routed {page.sent:,} of {total:,} ({page.digital:,} digital, {page.paper:,} on paper): "
          f"{routed:.1f} s, {total / routed:,.0f} a second")  # fmt: skip
    await _empty(platform, "notify")
    whole = perf_counter() - began
    print(f"all routed and notified: {whole:.1f} s, {total / whole:,.0f} a second")
    await timed("first page of the ward's letters", staff.overview(scope, Filters(), language="nb"))
    await timed("one state of them", staff.overview(scope, Filters(state="notified"), language="nb"))
    await timed("whom to call", staff.to_call(scope, "", most=200))
    await timed("worklist", staff.worklist(scope, page=None, language="nb"))
    if printing:
        clock.advance(timedelta(days=9))
        began = perf_counter()
        async with platform.database.connection() as connection:
            await connection.execute("notify varde_work")
        await asyncio.sleep(1)
        await _empty(platform, "post")
        print(f"unopened letters printed: {perf_counter() - began:.1f} s")
    stop.set()
    for process in running:
        process.join(30)
    await log.stop()
    await platform.database.close()


def _to_a_morning(clock: MovableClock) -> None:
    """A working day at 10 in Norway: an hour when people may be told (LET-22)."""
    local = clock.now().astimezone(OSLO)
    day = next_working_day(local.date())
    clock.advance(datetime.combine(day, time(10), OSLO) - local)


def world_staff(platform: Platform) -> Any:
    """The region's staff."""
    return World(7, 100, today(platform.clock)).fixed.workers


async def _empty(platform: Platform, edge: str) -> None:
    while True:
        async with platform.database.connection() as connection:
            left = await connection.fetchval(
                "select exists (select 1 from work_outbox where edge = $1 and state in ('waiting', 'sending')"
                " and due <= $2) or exists (select 1 from work_job where state = 'waiting' and next_try <= $2"
                " and not recurring)",
                edge,
                platform.clock.now(),
            )
        if not left:
            return
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--print", action="store_true", dest="printing")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    uvloop.run(main(given.letters, given.workers, given.printing, given.profile))
