"""Subscriptions put together: the store's projection, the worker's part, and what the API answers.

What each does is `fhir/subscriptions`', `edges/subscribers`' and `trust/subscribers`'.
"""

from __future__ import annotations

from typing import Any

from varde.clock import Clock
from varde.db import Database
from varde.edges.subscribers.addresses import Allowed, pool
from varde.edges.subscribers.delivery import Delivery, Jobs
from varde.edges.subscribers.hook import WebHooks
from varde.edges.subscribers.signing import Signer
from varde.edges.subscribers.sockets import PATH, Sockets
from varde.fhir.http.operations import Operation
from varde.fhir.subscriptions.operations import Asking
from varde.fhir.subscriptions.projection import Subscribing
from varde.settings import Settings
from varde.trust.access import Access
from varde.trust.identity.keys import load_key
from varde.trust.keeping import Keeper
from varde.trust.subscribers import Subscribers, owner_of

JWKS = ".well-known/jwks.json"
"""Below the API's base: the key that notifications are signed with."""


def allowed(settings: Settings) -> Allowed:
    """Where notifications may go. The demo's go to this machine too."""
    return Allowed(settings.subscription_hosts, settings.subscription_networks, loopback=settings.demo)


def signer(settings: Settings) -> Signer:
    """The key of this installation, made when there is none."""
    return Signer(load_key(settings.subscription_key_file or settings.data / "subscription-key.json"))


def projection(settings: Settings, clock: Clock) -> Subscribing:
    """What the store tells of every change."""
    return Subscribing(clock, owner_of, allowed(settings).check, Jobs(clock))


class Subscriptions:
    """The parts of one process, beside the projection."""

    def __init__(self, settings: Settings, clock: Clock, database: Database, access: Access, keeper: Keeper) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._access = access
        self._base = f"{settings.base}/fhir"
        self._subscribers = Subscribers(keeper)

    def delivery(self) -> Delivery:
        """Handlers and receiver of a worker."""
        gate = self._access.for_system("subscriptions")
        return Delivery(self._access.store, self._clock, self._subscribers.gate_of, gate)

    def sender(self) -> WebHooks:
        """The sender of a worker."""
        hosts = allowed(self._settings)
        return WebHooks(
            self._database, self._clock, self._base, self._subscribers.gate_of, hosts, signer(self._settings),
            pool(hosts),
        )  # fmt: skip

    def sockets(self) -> Sockets:
        """The websockets of a web process."""
        return Sockets(self._database, self._clock, self._base, self._subscribers.gate_of)

    def operations(self) -> list[Operation]:
        """What the API answers."""
        socket = self._settings.base.replace("http", "ws", 1) + PATH
        return Asking(self._clock, owner_of, socket).operations()

    def documents(self) -> dict[str, Any]:
        """What is open to everybody, by path below the API's base."""
        jwks = signer(self._settings).jwks()
        return {JWKS: lambda: jwks}
