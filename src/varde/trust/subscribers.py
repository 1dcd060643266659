"""Who may subscribe, and what a subscriber may see now: a subscription goes on when the token that made it is long
gone, so its owner's rights are decided anew at each delivery.

Only systems subscribe. A registered client sees what the token that made the subscription opened, narrowings too, as
long as it is registered: a narrow token never becomes a wide subscription. A client of the demo's own tokens is
registered nowhere, and keeps what its token opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from varde.fhir.errors import Forbidden
from varde.fhir.gate import Gate
from varde.fhir.subscriptions.state import Owner
from varde.trust import grounds
from varde.trust.access import Access
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope
from varde.trust.smart.clients import Clients, Side
from varde.trust.smart.grant import Grant, grant_of
from varde.trust.smart.opening import system_scope
from varde.trust.smart.scopes import read_words

Registered = Callable[[str], Awaitable[Scope | None]]
"""What a registered client may do by itself now; None for one that is not registered, or no longer."""


def owner_of(gate: Gate) -> Owner | None:
    """Who a gate was made for; None for the house itself. Raises Forbidden for persons."""
    if not isinstance(gate, Scope) or gate.actor.kind is not ActorKind.SYSTEM:
        raise Forbidden.of("only systems subscribe")
    if gate.grant is None:
        return None
    app = gate.through != Scope.through
    if not app and not gate.grant.whole:
        raise Forbidden.of("a token whose scopes are narrowed by a query does not subscribe")
    types = None if gate.types is None else sorted(gate.types)
    granted = {"registered": app, "types": types} | ({"grant": gate.grant.as_json()} if app else {})
    return Owner(gate.actor.key, orjson.dumps(granted).decode())


def registered_with(access: Access, clients: Clients) -> Registered:
    """The rights of the clients that operators let in to work by themselves (SMART Backend Services)."""

    async def scope(client_id: str) -> Scope | None:
        client = await clients.find(client_id)
        if client is None or Side.SYSTEM not in client.sides:
            return None
        words, _ = read_words(client.scopes)
        grant = grant_of([word for word in words if word.level == "system"])
        return system_scope(access, client, grant)

    return scope


def _held_to(scope: Scope, granted: Mapping[str, Any]) -> Scope:
    """A registered client's scope, with no more than the token opened."""
    if "grant" not in granted:
        return scope
    grant = Grant.from_json(granted["grant"])
    return replace(scope, types=grant.read, write_types=frozenset(), grant=grant)


class Subscribers:
    """Decides what subscribers may see. `registered`: the clients that operators let in. `demo`: whether clients that
    are not among them keep what their tokens opened."""

    def __init__(self, access: Access, registered: Registered | None = None, *, demo: bool = False) -> None:
        self._access = access
        self._registered = registered
        self._demo = demo

    async def gate_of(self, owner: Owner) -> Gate | None:
        """What an owner may see now; None for nothing at all."""
        granted = orjson.loads(owner.granted)
        if self._registered is not None:
            scope = await self._registered(owner.client)
            if scope is not None:
                return _held_to(scope, granted)
        if not self._demo or granted["registered"]:
            return None
        types = granted["types"]
        return self._access.for_system(
            owner.client,
            grounds.RECORD_SYSTEM,
            types=None if types is None else frozenset(types),
            write_types=frozenset(),
        )
