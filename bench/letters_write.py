"""Measures the store's fast lane as letters use it: 200 Communications of some 6 kB in one call, made and then
changed, each with its history, search rows and durable access log. `.venv/bin/python bench/letters_write.py`
"""

from __future__ import annotations

import argparse
import base64
import cProfile
import pstats
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from varde.clock import SystemClock
from varde.db import Database, ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.fhir.store import Store
from varde.trust import grounds
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations


def communication(number: int, text: str) -> dict[str, Any]:
    """A letter as large as one with two pages."""
    return {
        "resourceType": "Communication",
        "id": f"letter-{number}",
        "identifier": [{"system": "urn:varde:letter", "value": str(number)}],
        "status": "preparation",
        "category": [{"coding": [{"system": "urn:varde:letter-kind", "code": "innkalling"}]}],
        "subject": {"reference": f"Patient/p{number}"},
        "recipient": [{"reference": f"Patient/p{number}"}],
        "sender": {"reference": "Organization/unit"},
        "sent": "2026-11-24T10:00:00+01:00",
        "payload": [{"contentString": text}, {"contentAttachment": {"contentType": "application/json", "data": text}}],
    }


async def measure(calls: int, size: int, profiled: bool) -> None:
    """Write `calls` times `size` letters, then change them all."""
    folder = Path(tempfile.mkdtemp(prefix="varde-bench-"))
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        await ensure_database(server.url("postgres"), "bench")
        await migrate(server.url("bench"))
        clock = SystemClock()
        database = Database(server.url("bench"))
        log = AuditLog(database, clock)
        store = Store(database, clock, [CareRelations()])
        gate = Access(store, clock, log).for_system("letters", grounds.RUNNING_SERVICE)
        await store.write_many(gate, [{"resourceType": "Patient", "id": f"p{n}"} for n in range(calls * size)])
        profile = cProfile.Profile()
        for label, status in (("created", "preparation"), ("changed", "in-progress"), ("changed again", "completed")):
            batches = []
            for call in range(calls):
                made = []
                for number in range(call * size, (call + 1) * size):
                    text = base64.b64encode(random.Random(number).randbytes(2100)).decode()
                    made.append({**communication(number, text), "status": status})
                batches.append(made)
            began, used = time.perf_counter(), time.process_time()
            if profiled:
                profile.enable()
            for made in batches:
                await store.write_many(gate, made)
            profile.disable()
            took = time.perf_counter() - began
            spent = (time.process_time() - used) / (calls * size) * 1000
            print(f"{label}: {calls * size / took:,.0f} a second; {spent:.2f} ms of this process each")
        if profiled:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        await database.close()
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=10)
    arguments.add_argument("--size", type=int, default=200)
    arguments.add_argument("--profile", action="store_true")
    chosen = arguments.parse_args()
    uvloop.run(measure(chosen.calls, chosen.size, chosen.profile))


if __name__ == "__main__":
    main()
