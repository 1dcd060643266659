"""Measures the FHIR API: the seven steps and the load by which Medplum was measured on a machine of two cores.

    make bench                                  or    .venv/bin/python bench/fhir.py --patients 1000 --seconds 10

Starts a PostgreSQL of its own (synchronous_commit on) and the API in Granian, loads N patients with a history, then
drives each step with wrk (Debian's package wrk) at 16 connections in a closed loop. Server, database and load
generator share the machine's cores, as they did for Medplum. Every kind of answer is checked once before it is timed,
and a step with errors is shown as failed. Beside the rate stand the processor's milliseconds for one answer (API and
PostgreSQL), which tell more than the rate where others use the machine too, each against Medplum's figure; and the
share of the rate of the same statement bare, by pgbench.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from varde.clock import SystemClock
from varde.db import ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.trust.tokens import DemoTokens

MEDPLUM = {
    "read Patient": 1376, "search Observation": 754, "search identifier": 1055, "create Patient": 384,
    "create Observation": 355, "update Patient": 407, "transaction of 20": 19.1, "load": 391,
}  # fmt: skip
"""Requests a second (load: resources a second) of Medplum 5.0.10 on two cores, the better of one process and two."""
MEDPLUM_CPU = {"read Patient": 1.0, "search Observation": 1.8, "search identifier": 1.4, "create Patient": 4.0,
               "create Observation": 4.0, "update Patient": 4.0, "transaction of 20": 85}  # fmt: skip
"""Milliseconds of processor for one answer of Medplum (node, PostgreSQL and Redis), the least that was measured."""
LOINC = "http://loinc.org"
CODES = [("718-7", "Hemoglobin", "g/dL"), ("2160-0", "Kreatinin", "umol/L"), ("8867-4", "Puls", "/min"),
         ("8480-6", "Systolisk blodtrykk", "mm[Hg]"), ("2823-3", "Kalium", "mmol/L")]  # fmt: skip
FAMILIES = ["Hansen", "Johansen", "Olsen", "Hætta", "Nilsen", "Somby", "Åsen", "Bakke", "Eira", "Myrvang"]
LUA_END = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %.3f %.3f %.3f\\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""


def patient(number: int) -> dict[str, Any]:
    """A synthetic patient of the size that the peers were measured with."""
    drawn = random.Random(number)
    return {
        "resourceType": "Patient",
        "identifier": [
            {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": f"{number:011d}", "use": "official"},
            {"system": "https://example.org/mrn", "value": f"MRN-{number}"},
        ],
        "active": True,
        "name": [{"use": "official", "family": drawn.choice(FAMILIES), "given": [f"Navn{number % 97}", "Marie"]}],
        "telecom": [{"system": "phone", "value": f"+47 9{number % 10**7:07d}", "use": "mobile"},
                    {"system": "email", "value": f"p{number}@example.org"}],
        "gender": drawn.choice(["female", "male"]),
        "birthDate": f"{1930 + number % 90}-{1 + number % 12:02}-{1 + number % 28:02}",
        "address": [{"use": "home", "line": [f"Storgata {number % 200}"], "city": "Tromsø", "postalCode": "9008",
                     "country": "NO"}],
    }  # fmt: skip


def observation(reference: str, number: int) -> dict[str, Any]:
    """A synthetic measurement."""
    code, display, unit = CODES[number % len(CODES)]
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory"}]}],
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
        "subject": {"reference": reference},
        "effectiveDateTime": f"{2016 + number % 10}-{1 + number % 12:02}-{1 + number % 28:02}T10:{number % 60:02}:00Z",
        "issued": "2026-11-01T10:00:00.000Z",
        "valueQuantity": {"value": 50 + number % 100 / 10, "unit": unit, "system": "http://unitsofmeasure.org",
                          "code": unit},
    }  # fmt: skip


def transaction(number: int, observations: int) -> dict[str, Any]:
    """A new patient with observations that refer to it."""
    full = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
    entries = [{"fullUrl": full, "resource": patient(number), "request": {"method": "POST", "url": "Patient"}}]
    entries += [
        {"resource": observation(full, number + n), "request": {"method": "POST", "url": "Observation"}}
        for n in range(observations)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@dataclass
class Result:
    """One step's figures."""

    step: str
    rate: float
    errors: int = 0
    median: float = 0
    p95: float = 0
    p99: float = 0
    cpu: float = 0
    """Milliseconds of processor that the API and PostgreSQL used for one answer."""


class Server:
    """The API under measurement, in processes of its own."""

    def __init__(self, folder: Path, url: str, processes: int, connections: int, profile: str | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.marks = (str(folder / "postgres"), "bench.fhir_server")
        told = {"BENCH_URL": url, "BENCH_FOLDER": str(folder), "BENCH_BASE": self.base, "PYTHONPATH": ".",
                "BENCH_CONNECTIONS": str(connections)}  # fmt: skip
        if profile:
            told["BENCH_PROFILE"] = profile
        command = ["granian", "--interface", "asgi", "--loop", "uvloop", "--no-ws", "--workers", str(processes),
                   "--port", str(self.port), "--log-level", "warning",
                   "--factory", "bench.fhir_server:application"]  # fmt: skip
        self.process = subprocess.Popen([str(Path(sys.executable).parent / command[0]), *command[1:]],
                                        env=os.environ | told, start_new_session=True)  # fmt: skip
        claims = {"kind": "system", "name": "bench", "scope": "system/*.*"}
        self.token = DemoTokens(folder, SystemClock()).make(claims)
        self.headers = {"authorization": f"Bearer {self.token}", "content-type": "application/fhir+json"}
        for _ in range(200):
            try:
                if httpx.get(f"{self.base}/metadata").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def stop(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


def processor(marks: tuple[str, ...]) -> float:
    """Seconds of processor used so far by processes of which a mark stands in the command line or its parent's."""
    used, tick = 0.0, os.sysconf("SC_CLK_TCK")
    kept: set[str] = set()
    parents: dict[str, tuple[str, float]] = {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            fields = (one / "stat").read_text().rpartition(")")[2].split()
            line = (one / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        parents[one.name] = (fields[1], (int(fields[11]) + int(fields[12])) / tick)
        if any(mark in line for mark in marks):
            kept.add(one.name)
    for name, (parent, seconds) in parents.items():
        if name in kept or parent in kept:
            used += seconds
    return used


def wrk(server: Server, step: str, lua: str, seconds: int, connections: int, folder: Path) -> Result:
    """Drive one step: two seconds to warm up, then the timed run."""
    headers = "".join(f'wrk.headers["{n}"] = "{v}"\n' for n, v in server.headers.items())
    script = folder / "step.lua"
    script.write_text(headers + lua + LUA_END)
    command = ["wrk", "-t1", f"-c{connections}", "--timeout", "10s", "-s", str(script), server.base]
    subprocess.run([*command[:1], "-d2s", *command[1:]], check=True, capture_output=True)
    before = processor(server.marks)
    said = subprocess.run([*command[:1], f"-d{seconds}s", *command[1:]], check=True, capture_output=True, text=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\S+) (\S+) (\S+)", said.stdout)
    if found is None:
        raise RuntimeError(said.stdout + said.stderr)
    requests, microseconds, errors = (int(found[n]) for n in (1, 2, 3))
    cpu = (processor(server.marks) - before) / max(requests, 1) * 1000
    return Result(step, requests / microseconds * 1e6, errors, *(float(found[n]) for n in (4, 5, 6)), cpu)


def lua_list(name: str, values: list[str]) -> str:
    """A Lua table of texts."""
    return f"local {name} = {{" + ",".join(json.dumps(v) for v in values) + "}\n"


def lua_get(paths: list[str]) -> str:
    """A script that asks for one of the paths, drawn at random."""
    return lua_list("paths", paths) + 'request = function() return wrk.format("GET", paths[math.random(#paths)]) end\n'


def lua_send(method: str, paths: list[str], bodies: list[str]) -> str:
    """A script that sends one of the bodies; path n goes with body n (or the one path with all)."""
    return (
        lua_list("paths", paths) + lua_list("bodies", bodies)
        + "request = function() local n = math.random(#bodies)\n"
        + f'  return wrk.format("{method}", paths[(n - 1) % #paths + 1], nil, bodies[n]) end\n'
    )  # fmt: skip


async def load(server: Server, patients: int, observations: int) -> tuple[float, list[str]]:
    """Fill the store through transactions of 1 + `observations` entries, four in flight: (resources/s, Patient ids)."""
    ids: list[str] = []
    waiting = iter(range(1, patients + 1))
    async with httpx.AsyncClient(base_url=server.base, headers=server.headers, timeout=60) as client:

        async def lane() -> None:
            for number in waiting:
                answer = await client.post("/", content=json.dumps(transaction(number, observations)))
                answer.raise_for_status()
                ids.append(re.findall(rb'"location":"Patient/([^/"]+)', answer.content)[0].decode())

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(4)))
        return patients * (observations + 1) / (time.perf_counter() - began), ids


def check(server: Server, ids: list[str], observations: int) -> None:
    """Ask once for each kind of answer, and that a transaction with one bad entry leaves nothing behind."""
    with httpx.Client(base_url=server.base, headers=server.headers) as client:
        assert client.get(f"/Patient/{ids[0]}").json()["id"] == ids[0]
        found = client.get(f"/Observation?patient={ids[0]}&code={LOINC}|718-7&_sort=-date&_count=20").json()
        dates = [e["resource"]["effectiveDateTime"] for e in found["entry"]]
        assert len(dates) == (observations + 4) // 5 and dates == sorted(dates, reverse=True), dates
        assert client.get("/Patient?identifier=https://example.org/mrn|MRN-1").json()["total"] == 1
        before = client.get("/Patient?_summary=count").json()["total"]
        bad = transaction(10**9, 3)
        bad["entry"][-1]["resource"]["status"] = "no such"
        assert client.post("/", json=bad).status_code == 422
        assert client.get("/Patient?_summary=count").json()["total"] == before
        assert client.get("/Patient/x", headers={"authorization": "Bearer x"}).status_code == 401


def bare(server: EmbeddedPostgres, folder: Path, seconds: int, connections: int) -> dict[str, float]:
    """The same by pgbench alone: one row by its key, and one row of 1 kB written with its commit."""
    if not shutil.which("pgbench"):
        return {}
    scripts = {
        "read": "\\set n random(1, 1000)\nselect body from bare where id = :n;\n",
        "write": "insert into bare (body) values (repeat('x', 1000)::bytea);\n",
        "update": "\\set n random(1, 1000)\nupdate bare set body = repeat('y', 1000)::bytea where id = :n;\n",
    }
    database = server.url("bench")
    subprocess.run(["psql", database, "-qc", "create table if not exists bare (id bigserial primary key, body bytea);"
                    "insert into bare (body) select repeat('x', 1000)::bytea from generate_series(1, 1000)"],
                   check=True)  # fmt: skip
    found = {}
    for name, text in scripts.items():
        (folder / "script.sql").write_text(text)
        said = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds), "-f",
             str(folder / "script.sql"), "-d", database],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[name] = float(re.findall(r"tps = ([0-9.]+)", said.stdout)[-1])
    return found


def gauge() -> float:
    """SHA-256 of 4 kB, thousands a second on all cores: what the machine has to give just now."""
    block = b"x" * 4096

    def hashed(_: int) -> int:
        until, count = time.perf_counter() + 1, 0
        while time.perf_counter() < until:
            hashlib.sha256(block).digest()
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        return sum(pool.map(hashed, range(os.cpu_count() or 1))) / 1000


def steps(server: Server, ids: list[str], chosen: argparse.Namespace, folder: Path) -> list[Result]:
    """Drive every step that was asked for."""
    some = random.Random(1).sample(ids, min(len(ids), 1000))
    references = [f"Patient/{i}" for i in some]
    # What names a resource uniquely is drawn anew, so that nothing is found in a cache of answers (there is none).
    scripts = {
        "read Patient": lua_get([f"/Patient/{i}" for i in some]),
        "search Observation": lua_get([
            f"/Observation?patient={i}&code={quote(LOINC + '|' + CODES[n % 5][0], safe='')}&_sort=-date&_count=20"
            for n, i in enumerate(some)
        ]),
        "search identifier": lua_get([
            f"/Patient?identifier={quote('https://example.org/mrn|MRN-' + str(n), safe='')}"
            for n in range(1, len(some) + 1)
        ]),
        "create Patient": lua_send("POST", ["/Patient"], [json.dumps(patient(10**7 + n)) for n in range(1000)]),
        "create Observation": lua_send("POST", ["/Observation"], [
            json.dumps(observation(r, n)) for n, r in enumerate(references)
        ]),
        "update Patient": lua_send("PUT", [f"/Patient/{i}" for i in some], [
            json.dumps({**patient(n), "id": i, "active": n % 2 == 0}) for n, i in enumerate(some)
        ]),
        "transaction of 20": lua_send("POST", ["/"], [json.dumps(transaction(2 * 10**7 + n, 19)) for n in range(200)]),
    }  # fmt: skip
    results = []
    for step, lua in scripts.items():
        if not chosen.steps or any(word in step for word in chosen.steps.split(",")):
            results.append(wrk(server, step, lua, chosen.seconds, chosen.connections, folder))
            print(f"  {step}: {results[-1].rate:,.0f}/s", file=sys.stderr)
    return results


def table(results: list[Result], bares: dict[str, float]) -> str:
    """The figures, for people."""
    kind = {
        "read Patient": "read",
        "create Patient": "write",
        "create Observation": "write",
        "update Patient": "update",
    }
    lines = [
        f"{'step':20} {'per second':>11} {'x Medplum':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}"
        f" {'CPU ms':>8} {'x Medplum':>10} {'of bare SQL':>12}"
    ]
    for r in results:
        share = f"{r.rate / bares[kind[r.step]]:.0%}" if r.step in kind and bares else ""
        ratio = f"{r.rate / MEDPLUM[r.step]:.1f}" if not r.errors else f"{r.errors} errors"
        times = f"{r.median:8.2f} {r.p95:8.2f} {r.p99:8.2f}" if r.median else " " * 26
        thrift = f"{r.cpu:8.2f} {MEDPLUM_CPU[r.step] / r.cpu:10.1f}" if r.cpu else " " * 19
        lines.append(f"{r.step:20} {r.rate:11,.0f} {ratio:>10} {times} {thrift} {share:>12}")
    lines += [f"bare SQL (pgbench, {name}): {rate:,.0f}/s" for name, rate in bares.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--patients", type=int, default=1000)
    arguments.add_argument("--observations", type=int, default=20, help="of each patient")
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    arguments.add_argument("--pool", type=int, default=8, help="database connections of each process")
    arguments.add_argument("--steps", default="", help="words of the steps to drive, parted by commas; all by default")
    arguments.add_argument("--profile", help="file for cProfile's figures of each server process")
    chosen = arguments.parse_args()
    if not shutil.which("wrk"):
        sys.exit("The benchmark drives its load with wrk: apt-get install wrk")
    folder = Path(tempfile.mkdtemp(prefix="varde-bench-"))
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    server = None
    try:
        asyncio.run(ensure_database(postgres.url("postgres"), "bench"))
        asyncio.run(migrate(postgres.url("bench")))
        one, five, fifteen = os.getloadavg()
        print(f"machine: {os.cpu_count()} cores, load {one:.1f} {five:.1f} {fifteen:.1f} before the start,"
              f" {gauge():,.0f}k SHA-256 of 4 kB a second")  # fmt: skip
        server = Server(folder, postgres.url("bench"), chosen.processes, chosen.pool, chosen.profile)
        rate, ids = asyncio.run(load(server, chosen.patients, chosen.observations))
        subprocess.run(["psql", postgres.url("bench"), "-qc", "analyze"], check=False)
        check(server, ids, chosen.observations)
        results = steps(server, ids, chosen, folder)
        print(table([*results, Result("load", rate)], bare(postgres, folder, 5, chosen.connections)))
        print(
            f"server: {chosen.processes} processes; {chosen.patients} patients with {chosen.observations} observations;"
            f" {chosen.connections} connections"
        )
        print(f"after: load {os.getloadavg()[0]:.1f}, {gauge():,.0f}k SHA-256 a second")
    finally:
        if server is not None:
            server.stop()
        postgres.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
