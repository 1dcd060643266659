"""The region of tests on a real store, with the FHIR API over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from tests.trust.region import CHILD, KARI, YOUTH, Register, World, everybody, keys_folder
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.blocks import Blocks, Hidden
from varde.trust.care import CareRelations
from varde.trust.log.auditing import AuditEvents
from varde.trust.log.shielded import Shielded
from varde.trust.policy import Parenthood
from varde.trust.referrals import Assessments
from varde.trust.tokens import Authenticator, DemoTokens
from varde.trust.units import Units
from varde.trust.withholding import Withheld


@pytest.fixture
def one_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process's metrics are registered once, and here a process makes many applications."""
    made = prometheus_client.Histogram
    monkeypatch.setattr(prometheus_client, "Histogram", lambda *a, **k: made(*a, **k, registry=CollectorRegistry()))


@pytest.fixture
async def world(database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[World]:
    store = Store(
        database, clock, (CareRelations(), Units(), Blocks(), Hidden(), Assessments(), Withheld(), Shielded())
    )
    log = AuditLog(database, clock)
    together = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False)
    register = Register({(KARI, CHILD): together, (KARI, YOUTH): together})
    access = Access(store, clock, log, register)
    tokens = DemoTokens(keys_folder(tmp_path), clock)
    authenticator = Authenticator(access, tokens)
    events = AuditEvents(database)
    application = FhirApplication(store, authenticator, "http://test/fhir", dict, dict, others=[events])
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        client.headers["content-type"] = "application/fhir+json"
        made = World(database, clock, store, log, register, access, tokens, authenticator, client)
        await made.write(*everybody())
        yield made
    await log.stop()
