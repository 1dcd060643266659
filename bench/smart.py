"""What an app's token costs a request: from the header to the gate, warm and cold, and what a granular scope adds to a
read and a search. Starts a PostgreSQL of its own.

    .venv/bin/python bench/smart.py --observations 2000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from varde import db
from varde.app import build
from varde.clock import SystemClock
from varde.embedded import EmbeddedPostgres
from varde.settings import Settings
from varde.trust.persons import make_number, system_of
from varde.trust.smart.authorizations import Authorization, Authorizations, challenge_of
from varde.trust.smart.clients import Authentication, Client, Clients, Side
from varde.trust.smart.opening import AppTokens
from varde.trust.tokens import Authenticator, DemoTokens

BORN = "1980-05-17"
BACK = "https://app.test/back"
GRANULAR = "patient/Observation.rs?category=laboratory patient/Patient.r"


def _patient() -> dict[str, object]:
    from datetime import date

    number = next(made for n in range(100, 200) if (made := make_number(date.fromisoformat(BORN), n)))
    return {"resourceType": "Patient", "id": "kari", "birthDate": BORN, "name": [{"text": "Kari"}],
            "identifier": [{"system": system_of(number), "value": number}]}  # fmt: skip


def _observation(n: int) -> dict[str, object]:
    code = "laboratory" if n % 2 else "vital-signs"
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "x"},
            "category": [{"coding": [{"system": system, "code": code}]}], "subject": {"reference": "Patient/kari"},
            "effectiveDateTime": f"2026-01-{n % 28 + 1:02d}"}  # fmt: skip


async def _timed(work: Callable[[], Awaitable[object]], times: int) -> float:
    """Median of single calls, in microseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


async def _measure(settings: Settings, observations: int) -> dict[str, float]:
    clock = SystemClock()
    house = build(settings, process="bench", clock=clock)
    platform = house.platform
    gate = platform.access.for_system("bench")
    await platform.store.write_many(gate, [_patient(), *(_observation(n) for n in range(observations))])
    clients, authorizations = Clients(platform.database, clock), Authorizations(platform.database, clock)
    client = Client("bench", "Bench", "Bench", Authentication.NONE, frozenset({Side.PATIENT}), "patient/*.rs", (BACK,))
    await clients.add(client)
    apps = AppTokens(platform.database, platform.access, clients, authorizations, house.sessions)
    demo = DemoTokens(settings.data, clock)
    authenticator = Authenticator(platform.access, demo, apps)

    async def token(scopes: str) -> str:
        one = Authorization("bench", "patient", "kari", scopes, clock.now() + timedelta(days=1), "kari")
        async with platform.store.transaction() as connection:
            _, code = await authorizations.keep(
                connection, one, redirect_uri=BACK, challenge=challenge_of("v" * 43), nonce=None
            )
        return (await authorizations.redeem(client, code, BACK, "v" * 43)).access

    def headers(bearer: str) -> dict[str, str]:
        return {"authorization": f"Bearer {bearer}"}

    whole, granular = headers(await token("patient/*.rs")), headers(await token(GRANULAR))
    demo_token = headers(demo.make({"kind": "person", "pid": _patient()["identifier"][0]["value"]}))  # type: ignore[index]

    async def cold() -> None:
        authenticator._known.clear()
        await authenticator(whole, "GET", "/fhir")

    found = {
        "app token, warm (us)": await _timed(lambda: authenticator(whole, "GET", "/fhir"), 20_000),
        "demo token, warm (us)": await _timed(lambda: authenticator(demo_token, "GET", "/fhir"), 20_000),
        "app token, first in a process (us)": await _timed(cold, 300),
    }
    for name, who in (("demo token", demo_token), ("patient/*.rs", whole), ("granular", granular)):
        scope = await authenticator(who, "GET", "/fhir")
        found[f"read, {name} (us)"] = await _timed(lambda s=scope: platform.store.read(s, "Observation", "o1"), 1000)
        query = [("_count", "20"), ("_sort", "-date")]
        found[f"search of 20, {name} (us)"] = await _timed(
            lambda s=scope, q=query: platform.store.search(s, "Observation", q), 500
        )
    await house.close()
    return found


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--observations", type=int, default=2000)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="varde-bench-"))
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        asyncio.run(db.ensure_database(server.url("postgres"), "varde"))
        asyncio.run(db.migrate(server.url()))
        settings = Settings(mode="demo", data=folder, database_url=server.url())
        found = asyncio.run(_measure(settings, chosen.observations))
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        print(json.dumps(found))
    for name, value in found.items() if not chosen.json else ():
        print(f"{name:<40} {value:>10.1f}")


if __name__ == "__main__":
    main()
