"""Who may subscribe, and what a subscriber may see now: a subscription goes on when the token that made it is long
gone, so its owner's rights are decided anew at each delivery.

Only systems subscribe. A subscription sees what the token that made it opened, narrowings too, as long as its client
is registered and not closed; a client of the demo's own tokens is registered nowhere, and keeps what its token opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson

from varde.fhir.errors import Forbidden
from varde.fhir.gate import Gate
from varde.fhir.subscriptions.state import Owner
from varde.trust import grounds
from varde.trust.access import Access
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope
from varde.trust.smart.grant import Grant

Registered = Callable[[str], Awaitable[Scope | None]]
"""What a registered client may do by itself now; None for one that is not registered. Raises LookupError for one that
was closed."""


def owner_of(gate: Gate) -> Owner | None:
    """Who a gate was made for; None for the house itself. Raises Forbidden for persons."""
    if not isinstance(gate, Scope) or gate.actor.kind is not ActorKind.SYSTEM:
        raise Forbidden.of("only systems subscribe")
    if gate.grant is None:
        return None
    types = None if gate.types is None else sorted(gate.types)
    return Owner(gate.actor.key, orjson.dumps({"types": types, "grant": gate.grant.as_json()}).decode())


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
        types = None if granted["types"] is None else frozenset(granted["types"])
        grant = Grant.from_json(granted["grant"]) if "grant" in granted else None
        if self._registered is not None:
            try:
                scope = await self._registered(owner.client)
            except LookupError:
                return None
            if scope is not None:
                return replace(scope, types=types, write_types=frozenset(), grant=grant or scope.grant)
        if not self._demo:
            return None
        return self._access.for_system(
            owner.client, grounds.RECORD_SYSTEM, types=types, write_types=frozenset(), grant=grant
        )
