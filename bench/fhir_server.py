"""The server that bench/fhir.py measures: the bare FHIR application with its real parts, in Granian as it is served.

Every write is validated, the token is checked on each request, and every answer's record is durable in the access
log first. Told by the environment: BENCH_URL (database), BENCH_FOLDER (key of the tokens), BENCH_BASE, BENCH_PORT,
BENCH_PROCESSES, BENCH_CONNECTIONS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from varde.clock import SystemClock
from varde.db import Database
from varde.fhir.http.capability import capability_statement
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations
from varde.trust.tokens import Authenticator, DemoTokens


def application() -> Any:
    """The ASGI application."""
    clock = SystemClock()
    database = Database(os.environ["BENCH_URL"], connections=int(os.environ.get("BENCH_CONNECTIONS", "8")))
    store = Store(database, clock, [CareRelations()])
    access = Access(store, clock, AuditLog(database, clock))
    authenticate = Authenticator(access, DemoTokens(Path(os.environ["BENCH_FOLDER"]), clock))
    base = os.environ["BENCH_BASE"]
    return FhirApplication(store, authenticate, base, lambda: capability_statement(base, "2026-11-24"), dict)


if __name__ == "__main__":
    from granian import Granian
    from granian.constants import Interfaces, Loops
    from granian.log import LogLevels

    Granian(
        "bench.fhir_server:application", factory=True, address="127.0.0.1", port=int(os.environ["BENCH_PORT"]),
        interface=Interfaces.ASGI, workers=int(os.environ["BENCH_PROCESSES"]), loop=Loops.uvloop, websockets=False,
        log_level=LogLevels.warning, backlog=2048,
    ).serve()  # fmt: skip
