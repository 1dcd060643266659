"""Data in bulk in real processes: a web server, workers that are killed, and the tokens of those who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from tests.demo_server import DemoServer
from tests.fhir.bulk.desk import ASYNC, bare
from tests.fhir.bulk.test_export import observation, patient
from varde.app import House, build
from varde.bulk import JobRunner
from varde.fhir.bulk import files, inputs, records
from varde.fhir.bulk.asked import Export
from varde.settings import Settings
from varde.trust import grounds
from varde.trust.scope import Scope

EVERY = "system/*.cruds"


class Client:
    """A client with a token."""

    def __init__(self, demo: DemoServer, *token: str) -> None:
        self.http = httpx.AsyncClient(headers=demo.headers(*token), timeout=60)
        self.base = demo.fhir

    async def begin(self, path: str, **more: Any) -> str:
        headers = ASYNC | more.pop("headers", {})
        answer = await self.http.request(more.pop("method", "GET"), f"{self.base}/{path}", headers=headers, **more)
        assert answer.status_code == 202, answer.text
        return answer.headers["content-location"]

    async def wait(self, where: str) -> dict[str, Any]:
        for _ in range(600):
            answer = await self.http.get(where)
            if answer.status_code != 202:
                assert answer.status_code == 200, answer.text
                return dict(answer.json())
            assert int(answer.headers["retry-after"]) > 0
            await asyncio.sleep(0.1)
        raise AssertionError("it never ended")

    async def lines(self, manifest: dict[str, Any], role: str = "output") -> list[dict[str, Any]]:
        found = []
        for file in manifest[role]:
            answer = await self.http.get(file["url"], headers={"accept": "application/fhir+ndjson"})
            assert answer.status_code == 200
            mine = [orjson.loads(line) for line in answer.content.splitlines()]
            assert len(mine) == file["count"]
            found += mine
        return found

    async def export(self, path: str) -> list[dict[str, Any]]:
        return await self.lines(await self.wait(await self.begin(path)))


def _patients(resources: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in resources if one["resourceType"] == "Patient"}


async def test_a_system_exports_all_and_imports_some(demo: DemoServer) -> None:
    system = Client(demo, "--system", "bulk-test", "--scopes", EVERY)
    found = await system.export("Patient/$export?_type=Patient,Observation,Appointment")
    total = (await system.http.get(f"{demo.fhir}/Patient?_summary=count")).json()["total"]
    assert len(_patients(found)) == total
    fresh = [{"resourceType": "Basic", "id": f"bulk-{n}", "code": {"text": "x"}} for n in range(3000)]
    body = b"\n".join(map(orjson.dumps, [*fresh, {"resourceType": "Basic", "id": "bulk-wrong"}]))
    where = await system.begin(
        "$import", method="POST", content=body, headers={"content-type": "application/fhir+ndjson"}
    )
    assert "$import-poll-status" in where
    manifest = await system.wait(where)
    assert manifest["output"][0]["count"] == 3000 and manifest["error"][0]["count"] == 1
    (outcome,) = await system.lines(manifest, "error")
    assert "line 3001" in str(outcome)
    back = await system.export("$export?_type=Basic&_typeFilter=Basic%3F_id%3Dbulk-7%2Cbulk-8")
    assert sorted(one["id"] for one in back) == ["bulk-7", "bulk-8"]
    log = demo.log()
    assert "bulk-7" not in log and "Traceback" not in log
    await system.http.aclose()


async def test_a_citizen_gets_their_own_and_nobody_elses(demo: DemoServer) -> None:
    person, other = _two(demo)
    mine = Client(demo, "--person", person["fnr"])
    found = await mine.export("Patient/$export")
    (own,) = _patients(found)
    everything = await mine.http.get(f"{demo.fhir}/Patient/{own}/$everything")
    assert everything.status_code == 200
    matched = {e["resource"]["id"] for e in everything.json()["entry"] if e["search"]["mode"] == "match"}
    assert own in matched and {one["id"] for one in found} <= matched
    summary = await mine.http.get(f"{demo.fhir}/Patient/{own}/$summary")
    assert summary.status_code == 200 and summary.json()["type"] == "document"
    theirs = Client(demo, "--person", other["fnr"])
    (not_mine,) = _patients(await theirs.export("Patient/$export?_type=Patient"))
    assert not_mine != own
    for operation in ("$everything", "$summary"):
        assert (await mine.http.get(f"{demo.fhir}/Patient/{not_mine}/{operation}")).status_code == 404
    none = await mine.export(f"Patient/$export?patient=Patient/{not_mine}")
    assert none == []
    where = await mine.begin("Patient/$export")
    manifest = await mine.wait(where)
    for url in (where, manifest["output"][0]["url"]):
        assert (await theirs.http.get(url)).status_code == 404
        assert (await httpx.AsyncClient().get(url)).status_code == 401
    refused = await mine.http.post(
        f"{demo.fhir}/$import", content=b"{}", headers=ASYNC | {"content-type": "application/fhir+ndjson"}
    )
    assert refused.status_code == 403
    await mine.http.aclose()
    await theirs.http.aclose()


def _two(demo: DemoServer) -> list[dict[str, Any]]:
    found = [one for one in demo.everybody if one.get("part") and one.get("fnr") and one.get("age", 0) >= 18]
    return found[:2]


async def test_staff_get_those_they_treat_as_a_search_does(demo: DemoServer) -> None:
    doctor = Client(demo, "--staff", demo.worker("doctor")["hpr"])
    found = await doctor.export("Patient/$export?_type=Patient,Observation")
    listed: set[str] = set()
    url: str | None = f"{demo.fhir}/Patient?_count=500"
    while url:
        page = (await doctor.http.get(url)).json()
        listed |= {entry["resource"]["id"] for entry in page.get("entry", ())}
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert _patients(found) == listed and listed
    system = Client(demo, "--system", "all", "--scopes", EVERY)
    assert listed < _patients(await system.export("Patient/$export?_type=Patient"))
    await doctor.http.aclose()
    await system.http.aclose()


# Workers that are killed: a database of the test's own, and a worker process that goes by the same settings.


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    made = build(Settings(database_url=database_url, data=tmp_path), process="test")
    yield made
    await made.close()


@contextlib.contextmanager
def worker(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, which is killed at the end."""
    chosen = house.platform.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VARDE_")}
    environment |= {"VARDE_DATABASE_URL": str(chosen.database_url), "VARDE_DATA": str(chosen.data)}
    with (chosen.data / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "varde.cli", "worker"], env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _begin(house: House, kind: str, asked: dict[str, Any], body: bytes | None = None) -> UUID:
    store, gate = house.platform.store, _gate(house)
    runner, bulk = JobRunner(house), uuid4()
    async with store.transaction() as connection:
        assert await records.begin(connection, bulk, kind, runner.owner(gate), runner.kept(gate), "x", asked,
                                   store.clock.now())  # fmt: skip
        await inputs.expect(connection, bulk, (), body)
        await runner.begin(connection, kind, bulk)
    return bulk


def _gate(house: House) -> Scope:
    return house.platform.access.for_system("test", grounds.RECORD_SYSTEM)


async def _killed_until_done(house: House, bulk: UUID, moved: str) -> int:
    """Let a worker work until it has moved on, and kill it; again and again until all is done. How many were
    killed while it was under way."""
    killed = 0
    for _ in range(60):
        with worker(house) as process:
            before = None
            for _ in range(1200):
                async with house.platform.database.connection() as connection:
                    if await connection.fetchval("select state from fhir_bulk where id = $1", bulk) == "done":
                        return killed
                    now = await connection.fetchval(moved, bulk)
                if before is not None and now != before:
                    break
                before = now
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            killed += 1
    raise AssertionError("it never ended")


@pytest.mark.slow
async def test_an_import_whose_workers_are_killed_takes_each_line_once(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(inputs, "LINES", 500)
    lines = [patient(f"p{n}") for n in range(4000)]
    lines += [patient(f"p{n}") | {"active": True} for n in range(0, 4000, 40)]  # the later one wins, once
    bulk = await _begin(
        house, "import", {}, b"\n".join(map(orjson.dumps, [*lines, {"resourceType": "Patient", "x": 1}]))
    )
    killed = await _killed_until_done(house, bulk, "select count(*) from fhir_bulk_piece where bulk = $1 and done")
    assert killed >= 2
    async with house.platform.database.connection() as connection:
        counts = await connection.fetchrow(
            "select count(*) as every, count(*) filter (where version = 2) as second, max(version) as most"
            " from resource"
        )
        told = await inputs.told(connection, bulk)
        assert (counts["every"], counts["second"], counts["most"]) == (4000, 100, 2)
        assert (told[0].written, told[0].unchanged) == (4100, 0)
        assert [one.resources for one in await records.files(connection, bulk)] == [1]
        logged = await connection.fetchval("select count(distinct patient) from trust_audit")
        assert logged == 4000
    found = await house.platform.store.read(_gate(house), "Patient", "p40")
    assert found.resource["active"] is True


@pytest.mark.slow
async def test_an_export_whose_workers_are_killed_has_each_resource_once(house: House) -> None:
    store, gate = house.platform.store, _gate(house)
    world = [patient("a"), *(observation(f"o{n}", "a", note=[{"text": "x" * 2000}]) for n in range(30_000))]
    for first in range(0, len(world), 2000):
        await store.write_many(gate, world[first : first + 2000], checked=True)
    bulk = await _begin(house, "export", Export("system").as_json())
    # Slices of a worker are some seconds; this export is one or two, so it is killed by time.
    for _ in range(3):
        with worker(house):
            await asyncio.sleep(2.2)
    await _killed_until_done(house, bulk, "select position::text from fhir_bulk where id = $1")
    async with house.platform.database.connection() as connection:
        found = await records.files(connection, bulk)
        patients = await connection.fetch("select distinct patient from trust_audit where interaction = 'export'")
    text = b""
    for file in found:
        text += b"".join([part async for part in files.unpacked(house.platform.database, file, 0, file.size)])
    resources = [orjson.loads(line) for line in text.splitlines()]
    assert len(resources) == len(world) == len({one["id"] for one in resources})
    assert sorted(map(str, map(bare, resources[:50]))) == sorted(
        str(one) for one in world if one["id"] in {r["id"] for r in resources[:50]}
    )
    assert len([row for row in patients if row["patient"] is not None]) == 1


@pytest.mark.slow
async def test_the_memory_of_a_big_export_is_flat(house: House) -> None:
    store, gate = house.platform.store, _gate(house)
    with worker(house) as process:
        most = []
        for size in (2_000, 40_000):
            world = [observation(f"o{n}", "a", note=[{"text": f"{n}" * 300}]) for n in range(size)]
            for first in range(0, size, 2000):
                await store.write_many(gate, world[first : first + 2000], checked=True)
            bulk = await _begin(house, "export", Export("system").as_json())
            high = 0
            for _ in range(3000):
                high = max(high, _resident(process.pid))
                async with house.platform.database.connection() as connection:
                    if await connection.fetchval("select state from fhir_bulk where id = $1", bulk) == "done":
                        break
                await asyncio.sleep(0.01)
            most.append(high)
    # 60 MB of resources more, and no more memory than what an allocator keeps.
    assert most[1] - most[0] < 25_000, most


def _resident(process: int) -> int:
    """Kilobytes of memory that a process holds."""
    told = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in told.splitlines() if line.startswith("VmRSS")).split()[1])


async def test_load_from_the_command_line_goes_through_lanes(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [orjson.dumps(patient(f"p{n}")) for n in range(3500)] + [b"{"]
    (folder / "Patient.ndjson").write_bytes(b"\n".join(lines))
    environment = os.environ | {
        "VARDE_DATABASE_URL": str(house.platform.settings.database_url), "VARDE_DATA": str(tmp_path)
    }  # fmt: skip
    command = [sys.executable, "-m", "varde.cli", "load", str(folder)]
    done = await asyncio.to_thread(_ran, command, environment, tmp_path)
    assert done.returncode == 1 and done.stdout.startswith("3500 resources written, 0 were there already, 1 refused")
    (refused,) = [orjson.loads(line) for line in (tmp_path / "varde-load-refused.ndjson").read_bytes().splitlines()]
    assert refused["place"] == "line 3501" and "JSON" in refused["reason"]
    again = await asyncio.to_thread(_ran, command, environment, tmp_path)
    assert again.stdout.startswith("0 resources written, 0 were there already, 0 refused; 1 files")


def _ran(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
