"""Measures subscriptions: `.venv/bin/python bench/subscriptions.py` on an embedded PostgreSQL of its own.

What a write costs with 0, 1 and 100 subscriptions; how fast events are delivered; how long it takes from the answer
to a write until the subscriber has it. The worker is a process of its own; all of them share the machine's cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import orjson
import uvloop

from varde.app import House, build
from varde.db import ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.fhir.subscriptions.topics import CANONICAL
from varde.settings import Settings
from varde.trust import grounds
from varde.trust.smart.grant import parse_scopes
from varde.working import work

_IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
ROUNDS = 400
EVENTS = 5000


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes."""
    for _ in range(100_000):
        if await ask():
            return
        await asyncio.sleep(0.01)


class Subscriber:
    """A web server that answers 200 at once and notes when each event came."""

    def __init__(self) -> None:
        self.came: dict[tuple[str, int], float] = {}
        self.base = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                bundle = orjson.loads(await reader.readexactly(length))
                at = perf_counter()
                said = bundle["entry"][0]["resource"]["parameter"]
                of = said[0]["valueReference"]["reference"]
                for one in said:
                    if one["name"] == "notification-event":
                        self.came[(of, int(one["part"][0]["valueString"]))] = at
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()

    async def has(self, number: int) -> None:
        """Wait until so many events have come."""

        async def come() -> bool:
            return len(self.came) >= number

        await until(come)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield


def wish(endpoint: str, filters: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Subscription", "status": "requested", "reason": "bench", "criteria": f"{CANONICAL}Observation",
        "channel": {
            "type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": f"{_IG}backport-payload-content", "valueCode": "id-only"}]},
        },
    }  # fmt: skip
    if filters:
        made["_criteria"] = {"extension": [{"url": f"{_IG}backport-filter-criteria", "valueString": filters}]}
    return made


def observation(identifier: str, patient: str = "p1") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identifier, "status": "final",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}, "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": 13.5, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
    }  # fmt: skip


class Bench:
    """One house, and what is made in it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.store = house.platform.store
        self.own = house.platform.access.for_system("bench")
        grant = parse_scopes("system/*.cruds")
        self.client = house.platform.access.for_system("ehr", grounds.RECORD_SYSTEM, write_types=None, grant=grant)
        self.made: list[str] = []
        self.number = 0

    async def subscribe(self, *wishes: dict[str, Any], active: bool = True) -> None:
        for one in wishes:
            self.made.append((await self.store.create(self.client, orjson.dumps(one))).stored.id)
        if active:
            await until(self._all_active)
        await asyncio.sleep(1.1)

    async def _all_active(self) -> bool:
        async with self.house.platform.database.connection() as connection:
            return not await connection.fetchval("select count(*) from subscription where status = 'requested'")

    async def forget(self) -> None:
        for one in self.made:
            await self.store.delete(self.client, "Subscription", one)
        self.made.clear()
        await asyncio.sleep(1.1)

    async def cost(self, name: str) -> None:
        """The median of creating one Observation, and the time of this process that one takes."""
        took, started = [], process_time()
        for _ in range(ROUNDS):
            self.number += 1
            began = perf_counter()
            await self.store.update(self.own, "Observation", f"b{self.number}", observation(f"b{self.number}"))
            took.append((perf_counter() - began) * 1e6)
        own = (process_time() - started) / ROUNDS * 1e6
        slow = sorted(took)[int(ROUNDS * 0.95)]
        print(f"  {name:56} {statistics.median(took):7.0f} µs, p95 {slow:7.0f}, of this process {own:6.0f}")


async def costs(bench: Bench, nowhere: str) -> None:
    print("a write (create one Observation, its own transaction), without a worker:")
    await bench.cost("warming up")
    await bench.cost("no subscription")
    await bench.subscribe({**wish(nowhere), "criteria": f"{CANONICAL}Encounter"}, active=False)
    await bench.cost("1 subscription to another type")
    await bench.forget()
    await bench.subscribe(*(wish(nowhere, f"patient=Patient/other{n}") for n in range(100)), active=False)
    await bench.cost("100 to the type, each to another patient")
    await bench.forget()
    await bench.subscribe(*(wish(nowhere, f"date=gt2027-01-{n % 28 + 1:02}") for n in range(100)), active=False)
    await bench.cost("100 to the type that do not match and have no handle")
    await bench.forget()
    await bench.subscribe(wish(nowhere), active=False)
    await bench.cost("1 that matches")
    await bench.forget()
    await bench.subscribe(*(wish(nowhere) for _ in range(100)), active=False)
    await bench.cost("100 that match")
    await bench.forget()


async def rates(bench: Bench, subscriber: Subscriber) -> None:
    for many in (1, 20):
        await bench.subscribe(*(wish(f"{subscriber.base}/{n}") for n in range(many)))
        subscriber.came.clear()
        number = EVENTS // many
        began = perf_counter()
        for start in range(0, number, 100):
            some = [observation(f"r{many}-{n}") for n in range(start, min(start + 100, number))]
            await bench.store.write_many(bench.own, some)
        wrote = perf_counter() - began
        await subscriber.has(number * many)
        took = perf_counter() - began
        rate = number * many / took
        print(f"deliver {number * many} events to {many} subscriber(s): {rate:,.0f}/s (written in {wrote:.1f} s)")
        await bench.forget()


async def latency(bench: Bench, subscriber: Subscriber) -> None:
    for rate in (20, 100):
        await bench.subscribe(wish(subscriber.base))
        subscriber.came.clear()
        wrote = []
        for _ in range(rate * 5):
            bench.number += 1
            await bench.store.update(bench.own, "Observation", f"b{bench.number}", observation(f"b{bench.number}"))
            wrote.append(perf_counter())
            await asyncio.sleep(1 / rate)
        await subscriber.has(len(wrote))
        came = [at for (_, _), at in sorted(subscriber.came.items(), key=lambda item: item[0][1])]
        waits = sorted((at - began) * 1000 for began, at in zip(wrote, came, strict=True))
        print(
            f"from the answer to a write until it is received, {rate} writes/s: p50 {waits[len(waits) // 2]:.1f} ms,"
            f" p99 {waits[int(len(waits) * 0.99)]:.1f} ms"
        )
        await bench.forget()


async def measure(folder: Path, url: str) -> None:
    chosen = Settings(mode="demo", data=folder, database_url=url)
    house = build(chosen, process="bench")
    bench, subscriber = Bench(house), Subscriber()
    await bench.store.write_many(bench.own, [{"resourceType": "Patient", "id": "p1"}])
    async with subscriber.running():
        await costs(bench, subscriber.base)
        worker = await asyncio.create_subprocess_exec(sys.executable, __file__, str(folder), url)
        try:
            await rates(bench, subscriber)
            await latency(bench, subscriber)
        finally:
            worker.terminate()
            await worker.wait()
    await house.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        server.start()
        try:
            await ensure_database(server.url("postgres"), "bench")
            await migrate(server.url("bench"))
            await measure(Path(folder), server.url("bench"))
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        uvloop.run(work(Settings(mode="demo", data=Path(sys.argv[1]), database_url=sys.argv[2])))
    else:
        uvloop.run(main())
