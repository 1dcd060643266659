"""A real demo for the tests: `varde demo` as a process of its own, and the ways to be somebody in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.browsing import free_port

PATIENTS = 120
SEED = 7
_START_SECONDS = 120
_STOP_SECONDS = 60
"""Both far longer than a quiet machine needs."""
_COMMAND = [sys.executable, "-m", "varde.cli"]


@dataclass
class DemoServer:
    """A running demo. It is shared by all tests of the run: leave it as you would wish to find it, and remember
    that its clock only goes forward."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]
    everybody: list[dict[str, Any]] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def fhir(self) -> str:
        """Address of its API."""
        return f"{self.base}/fhir"

    def varde(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of `varde` for this demo."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VARDE_")}
        environment |= {"VARDE_DATA": str(self.data)}
        return subprocess.run(
            [*_COMMAND, *arguments], env=environment, check=check, capture_output=True, text=True, timeout=60
        )

    def token(self, *arguments: str) -> str:
        """A bearer token, by the words of `varde token`."""
        return self.varde("token", *arguments).stdout.strip()

    def headers(self, *arguments: str) -> dict[str, str]:
        """Headers of an API request with a token, by the words of `varde token`."""
        return {"authorization": f"Bearer {self.token(*arguments)}", "accept": "application/fhir+json"}

    def person(self, name: str) -> dict[str, Any]:
        """A named person of the region (demo/cast.py), as `varde people --json` tells of them."""
        return next(one for one in self.everybody if one["name"] == name and one.get("part"))

    def worker(self, position: str, units: int = 1) -> dict[str, Any]:
        """A member of staff of the first ward that has one: doctor, nurse, secretary, operator."""
        found = (one for one in self.everybody if one.get("position") == position)
        return next(one for one in found if len(one["units"]) == units)

    def client(self) -> httpx.AsyncClient:
        """A browser without a window: keeps cookies, follows redirects."""
        return httpx.AsyncClient(base_url=self.base, follow_redirects=True, timeout=30)

    async def log_in(self, client: httpx.AsyncClient, key: str, path: str = "/") -> httpx.Response:
        """Log in by OpenID Connect as the person with a national identity number or an HPR number; the page that
        one comes to. `path` is asked for first, and its side decides which login it is."""
        side = "/arbeid/login" if path.startswith(("/arbeid", "/drift")) else "/login"
        choice = await client.get(side, params={"til": path})
        assert "/demo/issuer/" in str(choice.url), choice.url
        return await client.post(str(choice.url), data={"person": key})

    async def advance(self, by: str) -> str:
        """Move the demo's clock by an ISO 8601 duration; the time it is then."""
        async with httpx.AsyncClient(timeout=300) as client:
            answer = await client.post(f"{self.base}/demo/clock", json={"advance": by})
        answer.raise_for_status()
        return str(answer.json()["now"])

    def log(self) -> str:
        """All that its processes logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted((self.data / "log").glob("*.log")))


def start(data: Path, port: int, patients: int = PATIENTS, seed: int = SEED) -> DemoServer:
    """Start a demo and wait until it is ready. Raises AssertionError with what it said when it does not."""
    output = (data.parent / f"{data.name}.out").open("ab")
    before = output.tell()
    process = subprocess.Popen(
        [*_COMMAND, "demo", "--port", str(port), "--data", str(data), "--patients", str(patients), "--seed", str(seed)],
        stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip
    server = DemoServer(port, data, process)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        said = Path(output.name).read_bytes()[before:].decode()
        try:
            if "Varde is ready" in said and httpx.get(f"{server.base}/health/ready").is_success:
                break
        except httpx.HTTPError:
            pass
        assert process.poll() is None and time.monotonic() < deadline, f"the demo did not start: {said}"
        time.sleep(0.05)
    server.everybody = json.loads(server.varde("people", "--json").stdout)
    return server


def stop(server: DemoServer, number: int = signal.SIGTERM) -> int:
    """End it as Ctrl-C or an init system would; its exit code."""
    server.process.send_signal(number)
    return server.process.wait(_STOP_SECONDS)


@contextmanager
def running(patients: int = PATIENTS, seed: int = SEED) -> Iterator[DemoServer]:
    """A demo in a folder of its own, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="varde-demo-", ignore_cleanup_errors=True) as folder:
        server = start(Path(folder) / "data", free_port(), patients, seed)
        try:
            yield server
        finally:
            stop(server)
