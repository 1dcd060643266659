"""Real workers killed with SIGKILL while they deliver to a real receiver: nothing is lost, and the order is kept."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.edges.subscribers.receiver import events, numbers, said
from tests.edges.subscribers.ward import House, observation, subscription
from varde.clock import SystemClock
from varde.db import Database

KILLS = 8
ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
async def real(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    made = House(database, SystemClock(), tmp_path)
    await made.write({"resourceType": "Patient", "id": "p1"})
    yield made
    await made.close()


async def start(*arguments: str, **pipes: Any) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        **pipes,
    )
    said = await process.stdout.readline()
    assert said, arguments
    process.said = said.decode().strip()
    return process


def received(journal: Path) -> list[dict[str, Any]]:
    if not journal.exists():
        return []
    bundles = [json.loads(line) for line in journal.read_text().splitlines()]
    return [one for one in bundles if said(one, "type") == "event-notification"]


def told(bundles: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """(number, reference) in the order of arrival, each number once."""
    seen: dict[int, str] = {}
    for one in bundles:
        for number, event in zip(numbers(one), events(one), strict=True):
            seen.setdefault(number, event["focus"]["reference"].rsplit("/", 1)[1])
    return list(seen.items())


async def becomes_active(house: House, identifier: str) -> None:
    for _ in range(600):
        if (await house.status(identifier))[0] == "active":
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not become active")


@pytest.mark.slow
async def test_workers_killed_at_any_time_again_and_again(
    real: House, database: Database, database_url: str, tmp_path: Path
) -> None:
    dice = random.Random(17)
    journal, keys = tmp_path / "journal", tmp_path / "jwks.json"
    keys.write_text(json.dumps(real.signer.jwks()))
    server = await start("tests.edges.subscribers.receiver", str(journal), str(keys), stdin=asyncio.subprocess.PIPE)
    worker = ("tests.edges.subscribers.process", database_url, str(tmp_path))
    workers = [await start(*worker) for _ in range(2)]
    made = await real.subscribe(subscription("Observation", server.said, count=3))
    await becomes_active(real, made)
    real.look_again()

    written: list[str] = []
    enough = asyncio.Event()

    async def write() -> None:
        while not enough.is_set():
            identifier = f"o{dice.randrange(12)}"
            await real.write(observation(identifier, ("preliminary", "final")[len(written) % 2]))
            written.append(identifier)
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(write())
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.02, 0.2))
        victim = workers.pop(0)
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        workers.append(await start(*worker))
    enough.set()
    await writing
    for one in workers:
        one.send_signal(signal.SIGKILL)
        await one.wait()
    await real.settle(3600)

    found = told(received(journal))
    assert len(written) > KILLS
    assert [number for number, _ in found] == list(range(1, len(written) + 1)), (
        "no number is missing, and none came early"
    )
    assert [identifier for _, identifier in found] == written, "one writer's changes come in the order it made them"
    rows = await real.events(made)
    by_resource: dict[str, list[int]] = {}
    for row in rows:
        by_resource.setdefault(row["resource_id"], []).append(row["version"])
    assert all(versions == sorted(versions) for versions in by_resource.values())
    server.terminate()
    await server.wait()
