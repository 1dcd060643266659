"""Who may subscribe, and what a subscriber may see now: a subscription goes on when the token that made it is long
gone. Keeping its owner's scope and making it again is `keeping.py`'s.

Only systems subscribe, and see what the token that made the subscription opened, narrowings too, as long as it would
be given: a narrow token never becomes a wide subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import orjson

from varde.fhir.errors import Forbidden
from varde.fhir.gate import Gate
from varde.fhir.subscriptions.state import Owner
from varde.trust.access import Refused
from varde.trust.keeping import kept
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope


class Again(Protocol):
    """Makes a kept scope again: `keeping.Keeper`."""

    async def again(self, found: Mapping[str, Any]) -> Scope:
        """See Keeper."""
        ...


def owner_of(gate: Gate) -> Owner | None:
    """Who a gate was made for; None for the house itself. Raises Forbidden for persons."""
    if not isinstance(gate, Scope) or gate.actor.kind is not ActorKind.SYSTEM:
        raise Forbidden.of("only systems subscribe")
    if gate.grant is None:
        return None
    return Owner(gate.actor.key, orjson.dumps(kept(gate)).decode())


class Subscribers:
    """Decides what subscribers may see."""

    def __init__(self, keeper: Again) -> None:
        self._keeper = keeper

    async def gate_of(self, owner: Owner) -> Gate | None:
        """What an owner may see now; None for nothing at all."""
        try:
            scope = await self._keeper.again(orjson.loads(owner.granted))
        except (Refused, LookupError):
            return None
        return replace(scope, write_types=frozenset())
