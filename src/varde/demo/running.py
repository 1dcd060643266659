"""`varde demo`: everything in one command: database, synthetic region, login, worker and web server.

Here is the order in which they come up, and what the console says. The parts have files of their own.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console

from varde import db
from varde.app import House, build
from varde.clock import SetClock, clock_of, today
from varde.demo import probe
from varde.demo.filling import Region, fill, mark, parse_mark, region_of
from varde.demo.issuer import MOUNT, Issuer
from varde.demo.persons import patients, staff, write_directory
from varde.demo.story import DAYS, Story
from varde.demo.withheld import withhold
from varde.demo.world import World
from varde.embedded import EmbeddedPostgres, database_url
from varde.observe import forget_metrics
from varde.serving import Child, Supervisor, cancelled_by_signals, own_command, until_ready
from varde.settings import Settings
from varde.trust.identity.keys import ClientKeys

STATE = "demo.json"
"""In the data folder: which demo this is, for `varde token` and `varde people`."""
HISTORY = timedelta(days=14)
"""The region is written as if so long ago; its letters come in the days since."""
_READY_SECONDS = 90


class CannotStart(Exception):
    """The demo cannot run here; the text says why to the person at the console."""


@dataclass(frozen=True, slots=True)
class DemoState:
    """What the running demo, or the last one in a folder, is."""

    base: str
    region: Region
    database_url: str | None

    @classmethod
    def read(cls, data: Path) -> DemoState:
        """Raises LookupError when the folder holds no demo."""
        try:
            read = orjson.loads((data / STATE).read_bytes())
        except FileNotFoundError:
            raise LookupError(f"{data} holds no demo") from None
        return cls(read["base"], parse_mark(read["region"]), read["database_url"])

    def write(self, data: Path) -> None:
        """Keep it in the folder."""
        kept = {"base": self.base, "region": self.region.code, "database_url": self.database_url}
        (data / STATE).write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2))


async def run(settings: Settings, *, seed: int, size: int, console: Console) -> None:
    """Run the demo until SIGTERM or SIGINT. Raises CannotStart."""
    settings.data.mkdir(parents=True, exist_ok=True)
    with _alone(settings.data):
        _check_port(settings)
        postgres = None if settings.database_url else EmbeddedPostgres(settings.data)
        supervisor = Supervisor(lambda text: console.print(f"[yellow]{text}[/yellow]"))
        starting = asyncio.create_task(asyncio.to_thread(_start, postgres))
        try:
            with cancelled_by_signals():
                await _come_up(settings, supervisor, starting, seed, size, console)
                await asyncio.Event().wait()
        finally:
            console.print("Stopping …")
            await supervisor.stop()
            await asyncio.wait([starting])
            if postgres is not None:
                await asyncio.to_thread(postgres.stop)


def _start(postgres: EmbeddedPostgres | None) -> None:
    if postgres is not None:
        postgres.start()


async def _come_up(
    settings: Settings, supervisor: Supervisor, database: Awaitable[None], seed: int, size: int, console: Console
) -> None:
    """Start all parts in their order, and say where to click. Raises CannotStart."""
    began = time.monotonic()
    issuer = _issuer(settings)
    supervisor.start(_child("issuer", settings, *issuer.prepare()))
    forget_metrics(settings.data / "metrics")
    own = [_child("web", settings, own_command("serve"))]
    own += [_child(f"worker-{n + 1}", settings, own_command("worker")) for n in range(settings.worker_processes)]
    again = (settings.data / STATE).exists()
    if again:  # They get up while the database does, and are ready when that is.
        for child in own:
            supervisor.start(child)
    await asyncio.shield(database)
    if not settings.database_url:
        await db.ensure_database(EmbeddedPostgres(settings.data).url("postgres"), "varde")
    await db.migrate(database_url(settings))
    region = await _region(settings, seed, size, console)
    DemoState(settings.base, region, settings.database_url).write(settings.data)
    await asyncio.to_thread(write_directory, region.world, issuer.persons)
    if not again:
        for child in own:
            supervisor.start(child)
    if not await until_ready(_asking(settings), _READY_SECONDS):
        raise CannotStart(f"Varde did not become ready; see {settings.data / 'log'}")
    supervisor.start(_child("prober", settings, own_command("journey", "watch")))
    _welcome(console, settings, region, time.monotonic() - began)


def _child(name: str, settings: Settings, command: list[str], folder: Path | None = None) -> Child:
    environment = {
        "VARDE_MODE": "demo",
        "VARDE_HOST": settings.host,
        "VARDE_PORT": str(settings.port),
        "VARDE_DATA": str(settings.data.resolve()),
    }
    return Child(name, command, settings.data / "log" / f"{name}.log", folder, environment)


def _issuer(settings: Settings) -> Issuer:
    keys = ClientKeys(settings.client_key_file or settings.data / "client-key.json", clock_of(settings))
    clients = {"patient": settings.patient_client_id, "staff": settings.staff_client_id}
    return Issuer(settings.data / "issuer", settings.base, keys.public(), clients, clock=settings.data / "clock")


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the data folder: two demos in one would share a clock and a database."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"A demo already runs in {data}. Choose another folder with --data.") from None
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            raise CannotStart(f"Port {settings.port} is in use. Choose another with --port.") from None


async def _region(settings: Settings, seed: int, size: int, console: Console) -> Region:
    """The region in the store; made when there is none."""
    now = clock_of(settings)
    past = SetClock(now.now() - HISTORY)
    house = build(settings, process="demo", clock=past)
    try:
        gate = house.platform.access.for_system("demo region")
        found = await region_of(house.platform.store, gate)
        if found is not None:
            await probe.place(house.platform.store, gate)
            if (found.seed, found.patients) != (seed, size):
                console.print(
                    f"[yellow]This database holds a region of {found.patients} patients made from seed {found.seed}; "
                    f"it is used as it is. For {size} patients from seed {seed}, begin with an empty --data "
                    "folder.[/yellow]"
                )
            return found
        region = Region(seed, size, today(now))
        await _fill(house, gate, region, console)
        await _letters(house, past, region, now.now(), console)
        await probe.place(house.platform.store, gate)
        await mark(house.platform.store, gate, region)
        return region
    finally:
        await house.close()


async def _fill(house: House, gate: Any, region: Region, console: Console) -> None:
    started = time.monotonic()
    with console.status("Making the synthetic region …") as status:
        count = await fill(
            house.platform.store, gate, region,
            lambda people: status.update(f"Making the synthetic region: {people} of {region.patients} patients"),
        )  # fmt: skip
    console.print(
        f"Made a synthetic Helse Nord: {region.patients} patients, {count} resources, "
        f"in {time.monotonic() - started:.1f} s."
    )


async def _letters(house: House, past: SetClock, region: Region, until: datetime, console: Console) -> None:
    started = time.monotonic()
    with console.status("Sending the letters of the last days …"):
        count = await Story(house, past, region, until).tell()
        await withhold(house.platform, region, until)
    console.print(f"Sent the {count} letters of the last {DAYS} days in {time.monotonic() - started:.1f} s.")


def _asking(settings: Settings) -> Any:
    client = httpx.AsyncClient(base_url=settings.base, timeout=5, trust_env=False)

    async def ask() -> bool:
        try:
            ready = (await client.get("/health/ready")).status_code == 200
            login = await client.get(f"{MOUNT}/patient/.well-known/openid-configuration")
        except httpx.HTTPError:
            return False
        return ready and login.status_code == 200

    return ask


def _welcome(console: Console, settings: Settings, region: Region, seconds: float) -> None:
    world: World = region.world
    named = {}
    for person in patients(world):
        if person["part"] is None:
            break
        named[person["name"]] = person
    workers = list(staff(world))
    secretary = next(one for one in workers if one["position"] == "secretary")
    operator = next(one for one in workers if one["role"] == "operator")
    auditor = next(one for one in workers if one["position"] == "auditor")
    base = settings.base
    console.print(f"\n[bold green]Varde is ready[/bold green] after {seconds:.1f} s: [bold]{base}[/bold]\n")
    rows = [
        ("Patient", f"{base}/", "Ingrid Solberg", "letters and appointments of her own"),
        ("Parent", f"{base}/", "Nora Myrvang", "choose Familie to see her children's"),
        ("On paper", f"{base}/", "Solveig Rørvik", "does not use the portal: her letters are posted"),
        ("Staff", f"{base}/arbeid", secretary["name"], f"{secretary['title']}, {secretary['unit']['name']}"),
        ("Operator", f"{base}/drift", operator["name"], f"{operator['title']}, {operator['unit']['name']}"),
        ("Privacy", f"{base}/arbeid/innsyn", auditor["name"], f"{auditor['title']}: the access log, snooping"),
        ("Everybody", f"{base}/status", "", "do the services work?"),
    ]
    for who, where, name, text in rows:
        console.print(f"  {who:<10} {where:<34} {name:<18} {text}", highlight=False)
    here = "" if settings.data == Path("data") else f" --data {settings.data}"
    console.print(
        f"\n  A token for the API at {base}/fhir:  varde token --staff {secretary['hpr']}{here}\n"
        f"  Four days on:  curl -X POST {base}/demo/clock -d '{{\"advance\": \"P4D\"}}'\n"
        f"  Logs: {settings.data / 'log'}. Stop with Ctrl-C.\n",
        highlight=False, markup=False,
    )  # fmt: skip
