"""What bench/fhir.py measures with: the API in processes of its own, wrk, and the processor time that both took."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from varde.clock import SystemClock
from varde.embedded import EmbeddedPostgres
from varde.trust.tokens import DemoTokens

DATABASE = "bench"
API = "/fhir"
_WARMING = 2
_LUA_END = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %.3f %.3f %.3f\\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass
class Result:
    """One step's figures."""

    step: str
    rate: float
    """Answers a second; of the load, resources."""
    errors: int = 0
    median: float = 0
    """Milliseconds, as p95 and p99."""
    p95: float = 0
    p99: float = 0
    api: float = 0
    """Milliseconds of processor that the API's processes used for one answer (of the load: one resource)."""
    postgres: float = 0
    """The same of PostgreSQL's."""

    @property
    def cpu(self) -> float:
        """Milliseconds of processor for one answer."""
        return self.api + self.postgres


class Server:
    """Varde's web server, as `varde serve` runs it, in processes of its own."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, processes: int, connections: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.postgres = int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        # In demo mode, whose own tokens need no issuer beside the server.
        told = {"VARDE_MODE": "demo", "VARDE_DATABASE_URL": postgres.url(DATABASE), "VARDE_DATA": str(folder),
                "VARDE_PORT": str(self.port), "VARDE_WEB_PROCESSES": str(processes), "VARDE_LOG_LEVEL": "warning",
                "VARDE_DATABASE_CONNECTIONS": str(connections)}  # fmt: skip
        self.process = subprocess.Popen([sys.executable, "-m", "varde.cli", "serve"], env=os.environ | told,
                                        start_new_session=True)  # fmt: skip
        claims = {"kind": "system", "name": "bench", "scope": "system/*.*"}
        token = DemoTokens(folder, SystemClock()).make(claims)
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
        for _ in range(300):
            try:
                if httpx.get(f"{self.base}{API}/metadata").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def processor(self) -> tuple[float, float]:
        """Seconds of processor used so far by the API's processes and by PostgreSQL's."""
        family = processor_times()
        return family(self.process.pid), family(self.postgres)

    def stop(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


def processor_times() -> Any:
    """A function that gives the seconds of processor used by a process and all that it started."""
    tick = os.sysconf("SC_CLK_TCK")
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            fields = (one / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(one.name))
        # Those of children that have ended too.
        used[int(one.name)] = sum(int(fields[n]) for n in (11, 12, 13, 14)) / tick

    def total(process: int) -> float:
        return used.get(process, 0) + sum(total(child) for child in parents.get(process, ()))

    return total


def wrk(server: Server, step: str, lua: str, seconds: int, connections: int, folder: Path) -> Result:
    """Drive one step: two seconds to warm up, then the timed run."""
    headers = "".join(f'wrk.headers["{n}"] = "{v}"\n' for n, v in server.headers.items())
    script = folder / "step.lua"
    script.write_text(headers + lua + _LUA_END)
    command = ["wrk", "-t1", f"-c{connections}", "--timeout", "10s", "-s", str(script), server.base]
    subprocess.run([*command[:1], f"-d{_WARMING}s", *command[1:]], check=True, capture_output=True)
    before = server.processor()
    said = subprocess.run([*command[:1], f"-d{seconds}s", *command[1:]], check=True, capture_output=True, text=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\S+) (\S+) (\S+)", said.stdout)
    if found is None:
        raise RuntimeError(said.stdout + said.stderr)
    requests, microseconds, errors = (int(found[n]) for n in (1, 2, 3))
    api, postgres = ((b - a) / max(requests, 1) * 1000 for a, b in zip(before, server.processor(), strict=True))
    times = [float(found[n]) for n in (4, 5, 6)]
    return Result(step, requests / microseconds * 1e6, errors, *times, api, postgres)


def lua_list(name: str, values: list[str]) -> str:
    """A Lua table of texts."""
    return f"local {name} = {{" + ",".join(json.dumps(v) for v in values) + "}\n"


def lua_get(paths: list[str]) -> str:
    """A script that asks for one of the API's paths, drawn at random."""
    return (
        lua_list("paths", [API + path for path in paths])
        + 'request = function() return wrk.format("GET", paths[math.random(#paths)]) end\n'
    )


def lua_send(method: str, paths: list[str], bodies: list[str]) -> str:
    """A script that sends one of the bodies; path n goes with body n (or the one path with all)."""
    return (
        lua_list("paths", [API + path for path in paths]) + lua_list("bodies", bodies)
        + "request = function() local n = math.random(#bodies)\n"
        + f'  return wrk.format("{method}", paths[(n - 1) % #paths + 1], nil, bodies[n]) end\n'
    )  # fmt: skip


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


def pgbench(url: str, script: Path, seconds: int, connections: int) -> float:
    """Transactions a second of a script of pgbench, by prepared statements; 0 where pgbench is not installed."""
    if not shutil.which("pgbench"):
        return 0
    said = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds), "-f", str(script),
         "-d", url],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(re.findall(r"tps = ([0-9.]+)", said.stdout)[-1])
