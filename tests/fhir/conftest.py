"""A store on a database of the test's own, and an HTTP client for its face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.gate import Gate
from varde.fhir.http.capability import capability_statement
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


@pytest.fixture
def store(database: Database, clock: SetClock) -> Store:
    return Store(database, clock)


@pytest.fixture
async def client(store: Store, gate: OpenGate) -> AsyncIterator[httpx.AsyncClient]:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(
        store, authenticate, "http://test/fhir", lambda: capability_statement("http://test/fhir", "2026-11-24"), dict
    )
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        made.headers["content-type"] = "application/fhir+json"
        yield made
