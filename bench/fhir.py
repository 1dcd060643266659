"""Measures the FHIR API: the seven steps and the load by which Medplum was measured on a machine of two cores.

    make bench                                  or    .venv/bin/python bench/fhir.py --patients 1000 --seconds 10
    .venv/bin/python bench/fhir.py --steps read,create --seconds 5 --json figures.json
    .venv/bin/python bench/fhir.py --sizes 1000,16000,64000          how the steps grow with the store

Starts a PostgreSQL of its own (synchronous_commit on) and `varde serve` beside it, loads N patients with a history,
then drives each step with wrk (Debian's package wrk) at 16 connections in a closed loop. Server, database and load
generator share the machine's cores, as they did for Medplum. Every kind of answer is checked once before it is timed,
and a step with errors is shown as failed. Beside the rate stand the processor's milliseconds for one answer (API and
PostgreSQL), which tell more than the rate where others use the machine too, each against Medplum's figure. What the
machine has to give is measured before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import httpx
from bench.fhir_data import CODES, LOINC, MRN, observation, patient, transaction
from bench.fhir_growth import fill, growth
from bench.fhir_machine import API, DATABASE, Result, Server, gauge, lua_get, lua_send, pgbench, wrk

from varde.db import ensure_database, migrate
from varde.embedded import EmbeddedPostgres

MEDPLUM = {
    "read Patient": 1376, "search Observation": 754, "search identifier": 1055, "create Patient": 384,
    "create Observation": 355, "update Patient": 407, "transaction of 20": 19.1, "load": 391,
}  # fmt: skip
"""Requests a second (load: resources a second) of Medplum 5.0.10 on two cores, the better of one process and two."""
MEDPLUM_CPU = {"read Patient": 1.0, "search Observation": 1.8, "search identifier": 1.4, "create Patient": 4.0,
               "create Observation": 4.0, "update Patient": 4.0, "transaction of 20": 85, "load": 4.5}  # fmt: skip
"""Milliseconds of processor for one answer of Medplum (node, PostgreSQL and Redis), the least that was measured."""
_IN_FLIGHT = 4


def load(server: Server, patients: int, observations: int) -> tuple[Result, list[str]]:
    """Fill the store through transactions of 1 + `observations` entries, four in flight: its figures, Patient ids."""
    bodies = [json.dumps(transaction(number, observations)).encode() for number in range(1, patients + 1)]
    waiting = iter(bodies)
    ids: list[str] = []
    times: list[float] = []

    def lane(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for body in waiting:
            began = time.perf_counter()
            connection.request("POST", f"{API}/", body, server.headers)
            answer = connection.getresponse()
            text = answer.read()
            times.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {text[:500]!r}")
            ids.append(re.findall(rb'"location":"Patient/([^/"]+)', text)[0].decode())

    before = server.processor()
    began = time.perf_counter()
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        list(pool.map(lane, range(_IN_FLIGHT)))
    seconds = time.perf_counter() - began
    resources = patients * (observations + 1)
    api, postgres = ((b - a) / resources * 1000 for a, b in zip(before, server.processor(), strict=True))
    times.sort()
    middle, p95, p99 = (times[int(len(times) * share)] for share in (0.5, 0.95, 0.99))
    return Result("load", resources / seconds, 0, middle, p95, p99, api, postgres), ids


def check(server: Server, ids: list[str], observations: int) -> None:
    """Ask once for each kind of answer, and that a transaction with one bad entry leaves nothing behind."""
    with httpx.Client(base_url=server.base + API, headers=server.headers) as client:
        assert client.get(f"/Patient/{ids[0]}").json()["id"] == ids[0]
        found = client.get(f"/Observation?patient={ids[0]}&code={LOINC}|718-7&_sort=-date&_count=20").json()
        dates = [e["resource"]["effectiveDateTime"] for e in found["entry"]]
        assert len(dates) == (observations + 4) // 5 and dates == sorted(dates, reverse=True), dates
        assert client.get(f"/Patient?identifier={MRN}|MRN-1").json()["total"] == 1
        before = client.get("/Patient?_summary=count").json()["total"]
        bad = transaction(10**9, 3)
        bad["entry"][-1]["resource"]["status"] = "no such"
        assert client.post("/", json=bad).status_code == 422
        assert client.get("/Patient?_summary=count").json()["total"] == before
        assert client.get("/Patient/x", headers={"authorization": "Bearer x"}).status_code == 401


def steps(server: Server, ids: list[str], chosen: argparse.Namespace, folder: Path) -> list[Result]:
    """Drive every step that was asked for. `ids` of Patients, in the order of the numbers that made them where the
    identifiers are asked for."""
    some = random.Random(1).sample(ids, min(len(ids), 1000))
    references = [f"Patient/{i}" for i in some]
    numbers = random.Random(2).sample(range(1, len(ids) + 1), len(some))
    mark = time.time_ns() // 1000 % 10**9
    scripts = {
        "read Patient": lua_get([f"/Patient/{i}" for i in some]),
        "search Observation": lua_get([
            f"/Observation?patient={i}&code={quote(LOINC + '|' + CODES[n % 5][0], safe='')}&_sort=-date&_count=20"
            for n, i in enumerate(some)
        ]),
        "search identifier": lua_get([
            f"/Patient?identifier={quote(f'{MRN}|MRN-{n}', safe='')}" for n in numbers
        ]),
        "create Patient": lua_send("POST", ["/Patient"], [json.dumps(patient(mark + n)) for n in range(1000)]),
        "create Observation": lua_send("POST", ["/Observation"], [
            json.dumps(observation(r, n)) for n, r in enumerate(references)
        ]),
        "update Patient": lua_send("PUT", [f"/Patient/{i}" for i in some], [
            json.dumps({**patient(mark + 2000 + n), "id": i, "active": n % 2 == 0}) for n, i in enumerate(some)
        ]),
        "transaction of 20": lua_send(
            "POST", ["/"], [json.dumps(transaction(mark + 4000 + n, 19)) for n in range(200)]
        ),
    }  # fmt: skip
    results = []
    for step, lua in scripts.items():
        if wanted(chosen, step):
            results.append(wrk(server, step, lua, chosen.seconds, chosen.connections, folder))
            print(f"  {step}: {results[-1].rate:,.0f}/s", file=sys.stderr)
    return results


def wanted(chosen: argparse.Namespace, step: str) -> bool:
    """Whether the step was asked for."""
    return not chosen.steps or any(word in step for word in chosen.steps.split(","))


def bare(postgres: EmbeddedPostgres, chosen: argparse.Namespace) -> dict[str, float]:
    """What PostgreSQL alone gives by pgbench, one request a statement and a commit, with the scripts of bench/sql: the
    same rows read and written, and the same record of the access log. By step; empty where pgbench is missing."""
    scripts = Path(__file__).parent / "sql"
    url = postgres.url(DATABASE)
    subprocess.run(
        ["psql", url, "-v", "ON_ERROR_STOP=1", "-qf", str(scripts / "prepare.psql")], check=True, capture_output=True
    )
    found = {}
    for step in MEDPLUM:
        script = scripts / f"{step.lower().replace(' ', '-')}.sql"
        if script.exists() and wanted(chosen, step):
            found[step] = pgbench(url, script, min(chosen.seconds, 5), chosen.connections)
    return found


def table(results: list[Result], bares: dict[str, float]) -> str:
    """The figures, for people."""
    lines = [
        f"{'step':20} {'per second':>11} {'x Medplum':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}"
        f" {'API ms':>8} {'SQL ms':>8} {'x Medplum':>10} {'of bare SQL':>12}"
    ]
    for r in results:
        plain = bares.get(r.step, 0)
        share = f"{r.rate / plain:.0%}" if plain else ""
        ratio = f"{r.rate / MEDPLUM[r.step]:.1f}" if not r.errors else f"{r.errors} errors"
        thrift = f"{r.api:8.3f} {r.postgres:8.3f} {MEDPLUM_CPU[r.step] / r.cpu:10.1f}" if r.cpu else " " * 28
        lines.append(f"{r.step:20} {r.rate:11,.0f} {ratio:>10} {r.median:8.2f} {r.p95:8.2f} {r.p99:8.2f} {thrift}"
                     f" {share:>12}")  # fmt: skip
    lines += [f"bare SQL (pgbench, bench/sql): {name} {rate:,.0f}/s" for name, rate in bares.items()]
    return "\n".join(lines)


def measure(chosen: argparse.Namespace, folder: Path, patients: int, *, grown: bool) -> list[Result]:
    """The steps over a store of so many patients. `grown`: with a history of many kinds, loaded straight."""
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    server = None
    try:
        url = postgres.url(DATABASE)
        asyncio.run(ensure_database(postgres.url("postgres"), DATABASE))
        asyncio.run(migrate(url))
        marked = folder / "ids.json"
        ids: list[str] = json.loads(marked.read_text()) if marked.exists() else []
        fresh = not ids
        if fresh and grown:
            ids = fill(url, patients, chosen.observations)
        server = Server(folder, postgres, chosen.processes, chosen.pool)
        loaded = []
        if fresh and not grown:
            result, ids = load(server, patients, chosen.observations)
            loaded = [result]
        if fresh:
            marked.write_text(json.dumps(ids))
            subprocess.run(["psql", url, "-qc", "vacuum analyze"], check=True)
            check(server, ids, chosen.observations)
        results = [*steps(server, ids, chosen, folder), *loaded]
        print(table(results, bare(postgres, chosen) if not grown and not chosen.no_bare else {}))
        size = subprocess.run(["psql", url, "-Atc", f"select pg_size_pretty(pg_database_size('{DATABASE}'))"],
                              check=True, capture_output=True, text=True).stdout.strip()  # fmt: skip
        print(f"{chosen.processes} processes; {len(ids):,} patients, {chosen.observations} observations each;"
              f" {chosen.connections} connections; database {size}", flush=True)  # fmt: skip
        return results
    finally:
        if server is not None:
            server.stop()
        postgres.stop("fast" if chosen.folder else "immediate")


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
    arguments.add_argument("--sizes", default="", help="numbers of patients, parted by commas: measure the growth")
    arguments.add_argument("--json", type=Path, help="file for the figures")
    arguments.add_argument("--no-bare", action="store_true", help="without pgbench's figures")
    arguments.add_argument("--folder", type=Path, help="keep the database here, and use it again when it is there")
    chosen = arguments.parse_args()
    if not shutil.which("wrk"):
        sys.exit("The benchmark drives its load with wrk: apt-get install wrk")
    one, five, fifteen = os.getloadavg()
    before = gauge()
    print(f"machine: {os.cpu_count()} cores, load {one:.1f} {five:.1f} {fifteen:.1f} before the start,"
          f" {before:,.0f}k SHA-256 of 4 kB a second", flush=True)  # fmt: skip
    figures: dict[str, list[Result]] = {}
    sizes = [int(size) for size in chosen.sizes.split(",") if size] or [chosen.patients]
    for size in sizes:
        folder = chosen.folder / str(size) if chosen.folder else Path(tempfile.mkdtemp(prefix="varde-bench-"))
        try:
            figures[str(size)] = measure(chosen, folder, size, grown=bool(chosen.sizes))
        finally:
            if not chosen.folder:
                shutil.rmtree(folder, ignore_errors=True)
    if len(sizes) > 1:
        print(growth(figures))
    after = gauge()
    print(f"after: load {os.getloadavg()[0]:.1f}, {after:,.0f}k SHA-256 a second")
    if chosen.json:
        found = {size: [asdict(result) for result in results] for size, results in figures.items()}
        machine = {"cores": os.cpu_count(), "before": before, "after": after}
        chosen.json.write_text(json.dumps({"machine": machine, "patients": found, "medplum": MEDPLUM}, indent=1))


if __name__ == "__main__":
    main()
