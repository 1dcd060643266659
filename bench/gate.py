"""What the whole gate costs a request of the API: the token, the decision, the scope in the statement, the row of the
access log. Processor's time of this process (median) and of PostgreSQL (mean), beside the same request without a gate.

    python -m bench.gate [--requests 2000]

It starts a database and throws it away. One caller, one request at a time: nothing is shared
between requests as it is under load, so this is the most that it costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from bench.audit_log import BORN, resources
from bench.fhir_machine import processor_times
from joserfc.jwk import RSAKey

from varde.app import House, build
from varde.asgi import Varde
from varde.clock import MovableClock
from varde.db import ensure_database, migrate
from varde.edges.registers import Extent, GuardianKind, Guardianship, RegisteredPerson
from varde.edges.registers.embedded import EmbeddedRegisters, fill
from varde.embedded import EmbeddedPostgres
from varde.families import RegisteredFamilies
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.http.rest import FhirApplication
from varde.services import Platform
from varde.settings import Settings
from varde.trust.persons import make_number, system_of
from varde.trust.registered import RegisteredMandates
from varde.trust.tokens import DemoTokens

GUARDIAN_BORN = date(1979, 3, 2)
BASE = "http://127.0.0.1:8000/fhir"
REQUESTS = {"read": "/Observation/o1", "search, 20 found": "/Observation?_count=20&_sort=-date"}


class NoGate:
    """Lets everything through and writes nothing down: what a request costs without a gate. For this measure alone."""

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        """Yes."""
        return True

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """Every row."""
        return "true"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        """No row."""
        return "false"

    def admits(self, interaction: Interaction, resource_type: str, content: Any) -> bool:
        """Yes."""
        return True

    async def record(self, disclosure: Disclosure, connection: Any | None) -> None:
        """Nothing."""


async def ask(application: Any, target: str, token: str) -> int:
    """One request in this process; its status."""
    path, _, query = target.partition("?")
    answered: dict[str, Any] = {}
    scope: Mapping[str, Any] = {
        "type": "http", "method": "GET", "path": f"/fhir{path}", "raw_path": f"/fhir{path}".encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"authorization", f"Bearer {token}".encode())], "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.update(message)

    await application(dict(scope), receive, send)
    return int(answered["status"])


async def measured(
    application: Any, target: str, token: Callable[[], str], requests: int, server: int
) -> tuple[float, float]:
    """(median of this process, mean of PostgreSQL, whose first process is `server`) of processor's time a request, in
    milliseconds."""
    for _ in range(50):
        if (status := await ask(application, target, token())) != 200:
            raise RuntimeError(f"{target} is answered {status}")
    taken, before = [], processor_times()(server)
    tokens = [token() for _ in range(requests)]
    for one in tokens:
        started = time.process_time()
        await ask(application, target, one)
        taken.append((time.process_time() - started) * 1000)
    return statistics.median(taken), (processor_times()(server) - before) * 1000 / requests


async def measure(url: str, data: Path, requests: int, server: int) -> None:
    """All figures."""
    clock = MovableClock(data / "clock")
    (data / "key.json").write_text(json.dumps(RSAKey.generate_key(2048, {"kid": "bench"}).as_dict(private=True)))
    settings = Settings(
        mode="demo", data=data, database_url=url, population_base="https://register.invalid",
        maskinporten_client_id="bench", maskinporten_key_file=data / "key.json",
    )  # fmt: skip
    house: House = build(settings, process="bench", clock=clock)
    platform = house.platform
    number = next(made for n in range(100) if (made := make_number(BORN, 100 + n)))
    system = platform.access.for_system("bench")
    guardian = next(made for n in range(100) if (made := make_number(GUARDIAN_BORN, 100 + n)))
    await platform.store.write_many(system, [*resources(number), *_staff(), _guardian(guardian)])
    await _register(platform, number, guardian)
    varde, tokens = Varde(house), DemoTokens(data, clock)

    async def nobody(headers: Mapping[str, str], method: str, path: str) -> NoGate:
        return NoGate()

    bare = FhirApplication(platform.store, nobody, BASE, dict, dict)  # type: ignore[arg-type]

    async def without(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await bare({**scope, "root_path": "/fhir"}, receive, send)

    callers = {
        "a patient": {"kind": "person", "pid": number},
        "a guardian": {"kind": "person", "pid": guardian, "for": number},
        "a doctor": {"kind": "staff", "hpr": "8100001"},
        "a system": {"kind": "system", "name": "bench", "scope": "system/*.rs"},
    }
    print(f"{'request':<18}{'who':<12}{'gate, ms: process':>20}{'PostgreSQL':>12}{'together':>10}{'without':>10}")
    for what, target in REQUESTS.items():
        own, theirs = await measured(without, target, lambda: "x", requests, server)
        for who, claims in callers.items():
            fixed = tokens.make(claims)
            with_own, with_theirs = await measured(varde, target, lambda token=fixed: token, requests, server)  # type: ignore[misc]
            print(_line(what, who, (with_own, with_theirs), (own, theirs)))
    fresh = callers["a patient"]
    own, theirs = await measured(without, REQUESTS["read"], lambda: "x", requests // 4, server)
    with_own, with_theirs = await measured(varde, REQUESTS["read"], lambda: tokens.make(fresh), requests // 4, server)
    print(_line("read, new token", "a patient", (with_own, with_theirs), (own, theirs)))
    await house.close()


def _line(what: str, who: str, gated: tuple[float, float], bare: tuple[float, float]) -> str:
    own, database = gated[0] - bare[0], gated[1] - bare[1]
    return f"{what:<18}{who:<12}{own:>20.3f}{database:>12.3f}{own + database:>10.3f}{sum(bare):>10.3f}"


def _guardian(number: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "guardian", "birthDate": GUARDIAN_BORN.isoformat(),
            "name": [{"text": "En Verge"}], "identifier": [{"system": system_of(number), "value": number}]}  # fmt: skip


async def _register(platform: Platform, ward: str, guardian: str) -> None:
    """One acts for the other, which is asked about at every request. The population register has told of the two
    lately, as it has in production of those who are active: it is asked once an hour."""
    bond = Guardianship(guardian, GuardianKind.ADULT, Extent.PERSONAL)
    persons = [
        RegisteredPerson(ward, "Kari Nordmann", BORN, guardians=(bond,)),
        RegisteredPerson(guardian, "En Verge", GUARDIAN_BORN),
    ]
    async with platform.store.transaction() as connection:
        await fill(connection, persons, {})
    register = RegisteredFamilies(EmbeddedRegisters(platform.database))
    known = RegisteredMandates(platform.database, platform.clock, register)
    both = [await platform.access.person(number) for number in (guardian, ward)]
    assert both[0] is not None and both[1] is not None
    await known.facts(both[0], both[1])


def _staff() -> list[dict[str, Any]]:
    from varde.trust.access import ROLE_SYSTEM
    from varde.trust.persons import HPR

    return [
        {"resourceType": "Practitioner", "id": "doctor", "identifier": [{"system": HPR, "value": "8100001"}],
         "name": [{"text": "En Lege"}]},
        {"resourceType": "PractitionerRole", "id": "role", "active": True,
         "practitioner": {"reference": "Practitioner/doctor"}, "organization": {"reference": "Organization/ward"},
         "code": [{"coding": [{"system": ROLE_SYSTEM, "code": "doctor"}], "text": "lege"}]},
    ]  # fmt: skip


async def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        server = EmbeddedPostgres(data)
        server.start()
        try:
            await ensure_database(server.url("postgres"), "gate")
            await migrate(server.url("gate"))
            first = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
            await measure(server.url("gate"), data, options.requests, first)
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
