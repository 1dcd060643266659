"""Data in bulk without a worker: an HTTP face whose work is done when the test says so."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import orjson

from varde.fhir.bulk import importing, inputs, records
from varde.fhir.bulk.exporting import export_slice
from varde.fhir.bulk.fetching import Sources
from varde.fhir.bulk.lane import Lane
from varde.fhir.bulk.operations import operations
from varde.fhir.gate import Gate
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store

BASE = "http://test/fhir"
ASYNC = {"prefer": "respond-async", "accept": "application/fhir+json"}


class ByHand:
    """A runner that only notes what was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, UUID]] = []

    def owner(self, gate: Gate) -> str:
        return str(id(gate))

    def kept(self, gate: Gate) -> Mapping[str, Any]:
        return {}

    async def begin(self, connection: Any, kind: str, bulk: UUID) -> None:
        self.begun.append((kind, bulk))


class Desk:
    """What one client of a gate sees, and the hand that does the work."""

    def __init__(self, store: Store, gate: Gate, client: httpx.AsyncClient, runner: ByHand, sources: Sources) -> None:
        self.store, self.gate, self.client, self.runner, self.sources = store, gate, client, runner, sources

    async def begin(self, path: str, **more: Any) -> str:
        """Kick something off; where it is polled."""
        headers = ASYNC | more.pop("headers", {})
        answer = await self.client.request(more.pop("method", "GET"), f"/fhir/{path}", headers=headers, **more)
        assert answer.status_code == 202, answer.text
        return answer.headers["content-location"]

    async def step(self) -> bool:
        """Do one slice of what was begun last, in a transaction as a job does; whether more is to be done."""
        kind, number = self.runner.begun[-1]
        async with self.store.transaction() as connection:
            bulk = await records.find(connection, number, kind, self.store.clock.now())
            assert bulk is not None
            if kind == "export":
                return await export_slice(self.store, self.gate, connection, bulk)
            if await importing.fetch_next(connection, self.sources, number):
                return True
        lane = Lane(self.store)
        async with self.store.database.connection() as connection:
            waiting = await inputs.waiting(connection, number)
        for file, piece in waiting:
            prepared = await importing.prepare(lane, number, file, piece)
            assert prepared is not None
            await importing.write(lane, self.gate, prepared)
        async with self.store.transaction() as connection:
            await importing.finish(self.store, connection, bulk)
        return False

    async def manifest(self, where: str) -> dict[str, Any]:
        """Do the work, and what the client is told then."""
        while await self.step():
            pass
        answer = await self.client.get(where)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def lines(self, manifest: Mapping[str, Any], role: str = "output") -> list[dict[str, Any]]:
        """Every resource of the files."""
        found = []
        for file in manifest[role]:
            answer = await self.client.get(file["url"], headers={"accept": "application/fhir+ndjson"})
            assert answer.status_code == 200 and answer.headers["content-type"] == "application/fhir+ndjson"
            mine = [orjson.loads(line) for line in answer.content.splitlines()]
            assert len(mine) == file["count"] and {one["resourceType"] for one in mine} == {file["type"]}
            found += mine
        return found

    async def export(self, path: str, **more: Any) -> list[dict[str, Any]]:
        """All that an export gives."""
        return await self.lines(await self.manifest(await self.begin(path, **more)))


@asynccontextmanager
async def desk(store: Store, gate: Gate, listed: tuple[str, ...] = ()) -> AsyncIterator[Desk]:
    """A desk for a client of a gate."""
    runner, sources = ByHand(), Sources(listed)

    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(store, authenticate, BASE, dict, dict, operations(runner, sources))
    transport = httpx.ASGITransport(application, root_path="/fhir")  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Desk(store, gate, client, runner, sources)


def bare(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource without what each store says of its own."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in {"versionId", "lastUpdated"}}
    kept = {k: v for k, v in resource.items() if k != "meta"}
    return kept | ({"meta": meta} if meta else {})


def ndjson(*resources: Mapping[str, Any] | bytes, packed: bool = False) -> bytes:
    """Resources as a file."""
    text = b"\n".join(r if isinstance(r, bytes) else orjson.dumps(r) for r in resources) + b"\n"
    return gzip.compress(text) if packed else text
