"""The server that bench/fhir.py measures: the bare FHIR application with its real parts, in a Granian process.

Every write is validated, the token is checked on each request, and every answer's record is durable in the access
log first. Told by the environment: BENCH_URL (database), BENCH_FOLDER (key of the tokens), BENCH_BASE, BENCH_PROFILE.
"""

from __future__ import annotations

import atexit
import cProfile
import os
from pathlib import Path
from typing import Any

from varde.clock import SystemClock
from varde.db import Database
from varde.fhir.capability import capability_statement
from varde.fhir.rest import FhirApplication
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
    made = FhirApplication(store, authenticate, base, lambda: capability_statement(base, "2026-11-24"), dict)
    if where := os.environ.get("BENCH_PROFILE"):
        profile = cProfile.Profile()
        profile.enable()
        atexit.register(lambda: profile.dump_stats(f"{where}.{os.getpid()}"))
    return made
