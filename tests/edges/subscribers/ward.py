"""A store with subscriptions, a worker that delivers them, and subscribers' clients, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from varde.clock import Clock
from varde.db import Database
from varde.edges.subscribers import EDGE
from varde.edges.subscribers.addresses import Allowed, pool
from varde.edges.subscribers.delivery import Delivery, Jobs
from varde.edges.subscribers.hook import WebHooks
from varde.edges.subscribers.signing import Signer
from varde.edges.subscribers.sockets import Sockets
from varde.fhir.gate import Gate
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store
from varde.fhir.subscriptions.model import CONTENT, FILTER, HEARTBEAT, MAXIMUM
from varde.fhir.subscriptions.operations import Asking
from varde.fhir.subscriptions.projection import Subscribing
from varde.fhir.subscriptions.topics import CANONICAL
from varde.trust import grounds
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations
from varde.trust.identity.keys import load_key
from varde.trust.scope import Scope
from varde.trust.smart.grant import Grant, parse_scopes
from varde.trust.subscribers import Subscribers, owner_of
from varde.trust.tokens import Authenticator, DemoTokens
from varde.work.worker import Pace, Worker

BASE = "http://test/fhir"
Resource = dict[str, Any]
PACE = Pace(poll=0.1, grace=0.2, receipts=60)


def subscription(
    topic: str,
    endpoint: str | None = None,
    *,
    content: str | None = "id-only",
    filters: Sequence[str] = (),
    count: int | None = None,
    heartbeat: int | None = None,
    headers: Sequence[str] = (),
    **more: Any,
) -> Resource:
    """A Subscription of the backport on one of our topics; without an endpoint, by websocket."""
    channel: Resource = {"type": "rest-hook" if endpoint else "websocket", "payload": "application/fhir+json"}
    if endpoint:
        channel["endpoint"] = endpoint
    if headers:
        channel["header"] = list(headers)
    if content:
        channel["_payload"] = {"extension": [{"url": CONTENT, "valueCode": content}]}
    extensions = [
        *([{"url": HEARTBEAT, "valueUnsignedInt": heartbeat}] if heartbeat else []),
        *([{"url": MAXIMUM, "valuePositiveInt": count}] if count else []),
    ]
    if extensions:
        channel["extension"] = extensions
    made = {
        "resourceType": "Subscription", "status": "requested", "reason": "test", "channel": channel,
        "criteria": topic if "?" in topic or ":" in topic else CANONICAL + topic, **more,
    }  # fmt: skip
    if filters:
        made["_criteria"] = {"extension": [{"url": FILTER, "valueString": one} for one in filters]}
    return made


def observation(identifier: str, status: str = "preliminary", patient: str = "p1", **more: Any) -> Resource:
    return {
        "resourceType": "Observation", "id": identifier, "status": status,
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}, **more,
    }  # fmt: skip


@dataclass
class Registry:
    """Which clients are let in, and with which scopes, changeable by a test."""

    access: Access
    scopes: dict[str, str] = field(default_factory=dict)

    async def again(self, found: Mapping[str, Any]) -> Scope:
        """As trust.keeping.Keeper."""
        words = self.scopes.get(found["key"])
        if words is None:
            raise LookupError("no such client")
        grant = Grant.from_json(found["grant"]).within(parse_scopes(words))
        return self.access.for_system(
            found["key"], grounds.RECORD_SYSTEM, types=grant.read, write_types=grant.write, grant=grant
        )


class House:
    """All of it, over one database."""

    def __init__(self, database: Database, clock: Clock, folder: Path) -> None:
        self.database = database
        self.clock = clock
        self.allowed = Allowed([], loopback=True)
        self.signer = Signer(load_key(folder / "key.json"))
        self.projection = Subscribing(clock, owner_of, self.allowed.check, Jobs(clock))
        self.store = Store(database, clock, (CareRelations(), self.projection))
        self.log = AuditLog(database, clock)
        self.access = Access(self.store, clock, self.log)
        self.registry = Registry(self.access, {"ehr": "system/*.cruds", "other": "system/*.cruds"})
        self.subscribers = Subscribers(self.registry)
        self.tokens = DemoTokens(folder, clock)
        self.delivery = Delivery(self.store, clock, self.subscribers.gate_of, self.access.for_system("subscriptions"))
        self.hooks = WebHooks(
            database, clock, BASE, self.subscribers.gate_of, self.allowed, self.signer, pool(self.allowed)
        )
        self.sockets = Sockets(database, clock, BASE, self.subscribers.gate_of)
        operations = Asking(clock, owner_of, "ws://test/fhir/ws").operations()
        self.application = FhirApplication(
            self.store, Authenticator(self.access, self.tokens), BASE, dict, dict, operations
        )

    def worker(self) -> Worker:
        return Worker(self.database, self.clock, self.delivery.handlers(), [self.hooks],
                      {EDGE: self.delivery.told}, PACE)  # fmt: skip

    async def settle(self, seconds: float = 2) -> None:
        """Everything that is due within some seconds is done, with a worker of its own."""
        await self.worker().drain(self.clock.now() + timedelta(seconds=seconds))

    def gate(self, client: str = "ehr", words: str | None = None) -> Gate:
        grant = parse_scopes(words or self.registry.scopes[client])
        return self.access.for_system(
            client, grounds.RECORD_SYSTEM, types=grant.read, write_types=grant.write, grant=grant
        )

    def client(self, name: str = "ehr", scopes: str | None = None) -> httpx.AsyncClient:
        token = self.tokens.make(
            {"kind": "system", "name": name, "scope": scopes or self.registry.scopes.get(name, "")}
        )
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application),  # type: ignore[arg-type]
            base_url="http://test",
            headers={"authorization": f"Bearer {token}", "content-type": "application/fhir+json"},
        )

    async def write(self, *resources: Resource) -> None:
        """As the house, in one transaction."""
        await self.store.write_many(self.access.for_system("test"), list(resources))

    async def subscribe(self, resource: Resource, client: str = "ehr") -> str:
        """Make a Subscription; its id."""
        written = await self.store.create(self.gate(client), orjson.dumps(resource))
        self.look_again()
        return written.stored.id

    def look_again(self) -> None:
        """As if a second had passed for what is held in memory."""
        self.projection._loaded = -1e9

    async def status(self, identifier: str) -> tuple[str, str | None]:
        """(status, error) in the resource."""
        resource = (await self.store.read(self.access.for_system("test"), "Subscription", identifier)).resource
        return resource["status"], resource.get("error")

    async def events(self, identifier: str) -> list[Any]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "select e.* from subscription_event e join subscription s on s.rid = e.subscription"
                " where s.id = $1 order by number",
                identifier,
            )
            return list(rows)

    async def close(self) -> None:
        await self.sockets.stop()
        await self.log.stop()


async def until(ask: Any, seconds: float = 10) -> None:
    """Wait until `ask()` is true."""
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)
