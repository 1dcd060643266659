"""Two web processes of Varde over one database, an issuer that the forge signs for, and a real provider beside it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.browsing import free_port
from tests.databases import make_database
from tests.trust.helseid.forge import (
    AUDIENCE,
    BUSINESS,
    DIRECTORY,
    JOURNAL,
    LABORATORY,
    OTHER_TRUST,
    OTHER_WARD_RESH,
    TRUST,
    WARD_RESH,
    Forge,
)
from tests.trust.region import DOCTOR, OTHER_WARD, WARD, everybody, staff
from varde.app import build
from varde.clock import SystemClock
from varde.embedded import EmbeddedPostgres
from varde.settings import Settings
from varde.trust.persons import ENH, RESH

BASE = "https://varde.test"
"""What clients see; no name that this machine knows, so that only what is configured can be right."""
FOREIGN_WARD, FOREIGN_DOCTOR = "ward-c", "8100009"
SCOPES = {
    JOURNAL: "user/*.rs", LABORATORY: "system/Observation.rs", DIRECTORY: "user/Organization.rs system/Organization.rs",
}  # fmt: skip


def organisation(identifier: str, system: str, number: str, above: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Organization", "id": identifier, "active": True, "name": identifier,
                            "identifier": [{"system": system, "value": number}]}  # fmt: skip
    return made | ({"partOf": {"reference": f"Organization/{above}"}} if above else {})


def places() -> list[dict[str, Any]]:
    """Two trusts; wards A and B are of the first, ward C of the other."""
    return [
        organisation("trust", ENH, TRUST),
        organisation("other-trust", ENH, OTHER_TRUST),
        organisation(WARD, RESH, WARD_RESH, "trust"),
        organisation(OTHER_WARD, RESH, OTHER_WARD_RESH, "trust"),
        organisation(FOREIGN_WARD, RESH, "333333", "other-trust"),
        *staff(FOREIGN_DOCTOR, "doctor", FOREIGN_WARD),
    ]


@dataclass
class Issuer:
    """Publishes the forge's keys, and counts who asks."""

    address: str
    forge: Forge
    fetched: int = 0
    answers: bool = True

    def document(self, path: str) -> Any:
        if not self.answers:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}
        if path == "/keys":
            self.fetched += 1
            return self.forge.jwks()
        return None


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer over HTTP."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.document(self.path)
            body = json.dumps(found).encode()
            self.send_response(503 if found is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    issuer = Issuer(address, Forge(address, BASE, hpr=DOCTOR))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()


@dataclass
class Site:
    """All of it."""

    url: str
    processes: list[str]
    """Addresses of the web processes themselves."""
    issuer: Issuer
    provider: str
    """The issuer that the library oidc-provider is."""
    log: Path
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def forge(self) -> Forge:
        return self.issuer.forge

    def ask(self, path: str, headers: Any, method: str = "GET", process: int = 0, **more: Any) -> httpx.Response:
        """One request to one of the processes."""
        return self.clients[process].request(method, path, headers=headers, **more)

    def read(self, path: str, token: str, process: int = 0, **proof: Any) -> httpx.Response:
        """A request with a token and its right proof."""
        return self.ask(path, self.forge.headers(token, path.partition("?")[0], **proof), process=process)

    def rows(self, condition: str) -> list[Any]:
        """Rows of the access log, in order."""

        async def fetch() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(f"select * from trust_audit where {condition} order by id"))
            finally:
                await connection.close()

        with asyncio.Runner() as runner:
            return runner.run(fetch())


@pytest.fixture(scope="session")
def site(postgres: EmbeddedPostgres) -> Iterator[Site]:
    """Shared by all tests of HelseID's tokens: nothing that it holds is changed."""
    folder = Path(tempfile.mkdtemp(prefix="varde-helseid-"))
    with asyncio.Runner() as runner:
        url = runner.run(make_database(postgres))
        runner.run(_fill(url, folder))
    with issuing() as issuer:
        provider = f"http://127.0.0.1:{free_port()}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VARDE_")}
        environment |= {
            "VARDE_MODE": "production", "VARDE_DATA": str(folder), "VARDE_DATABASE_URL": url, "VARDE_PUBLIC_BASE": BASE,
            "VARDE_PATIENT_ISSUER": issuer.address, "VARDE_STAFF_ISSUER": issuer.address,
            "VARDE_HELSEID_ISSUERS": json.dumps([issuer.address, provider]), "VARDE_HELSEID_AUDIENCE": AUDIENCE,
            "VARDE_HELSEID_SCOPES": json.dumps(SCOPES),
            "VARDE_HELSEID_ORGANISATIONS": json.dumps([TRUST, f"{OTHER_TRUST}:{BUSINESS}"]),
        }  # fmt: skip
        ports, log = [free_port(), free_port()], folder / "web.log"
        with log.open("wb") as output:
            running = [
                subprocess.Popen(
                    [sys.executable, "-m", "varde.cli", "serve"], env=environment | {"VARDE_PORT": str(port)},
                    stdout=output, stderr=output,
                )
                for port in ports
            ]  # fmt: skip
            processes = [f"http://127.0.0.1:{port}" for port in ports]
            made = Site(url, processes, issuer, provider, log, [httpx.Client(base_url=one) for one in processes])
            try:
                for one, process in zip(made.clients, running, strict=True):
                    _wait(one, process, log)
                yield made
            finally:
                for one, process in zip(made.clients, running, strict=True):
                    one.close()
                    process.terminate()
                for process in running:
                    process.wait(20)


async def _fill(url: str, folder: Path) -> None:
    house = build(Settings(mode="production", data=folder, database_url=url), process="test", clock=SystemClock())
    try:
        gate = house.platform.access.for_system("test")
        for some in (everybody(), places()):
            await house.platform.store.write_many(gate, some)
    finally:
        await house.close()


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get("/health/live").is_success:
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
