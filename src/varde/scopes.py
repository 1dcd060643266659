"""A scope kept as plain JSON, and made again later by the rights that its holder has then. Holds no right itself:
`trust.access` decides anew whom to let in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from varde.fhir.gate import Gate
from varde.trust.access import Access
from varde.trust.grounds import GROUNDS
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope
from varde.trust.smart.grant import Grant


def owner(gate: Gate) -> str:
    """Who asks and in what role, as one text: another role of the same person is another owner."""
    scope = _scope(gate)
    actor = scope.actor
    return "/".join((actor.kind.value, actor.key, actor.unit or "", scope.patient or "", scope.purpose))


def kept(gate: Gate) -> dict[str, Any]:
    """All from which the scope is made again."""
    scope = _scope(gate)
    actor = scope.actor
    found: dict[str, Any] = {"kind": actor.kind.value, "key": actor.key, "purpose": scope.purpose}
    found["through"] = scope.through
    if actor.kind is ActorKind.SYSTEM:
        found |= {"ground": scope.ground.key, "types": _list(scope.types), "write": _list(scope.write_types)}
    elif actor.kind is ActorKind.STAFF:
        found["unit"] = actor.unit
    else:
        found["patient"] = scope.patient
    if scope.grant is not None:
        found["grant"] = scope.grant.as_json()
    return found


async def again(access: Access, found: Mapping[str, Any]) -> Scope:
    """The scope of who asked then, by the rights of now. Raises trust.access.Refused, LookupError."""
    grant = None
    if found.get("grant") is not None:
        grant = Grant.from_json(found["grant"])
    kind = ActorKind(found["kind"])
    through = found.get("through", "Varde")
    if kind is ActorKind.SYSTEM:
        scope = access.for_system(
            found["key"], GROUNDS[found["ground"]], purpose=found["purpose"], types=_types(found["types"]),
            write_types=_types(found["write"]), grant=grant,
        )  # fmt: skip
        return replace(scope, through=through)
    if kind is ActorKind.STAFF:
        scope, _ = await access.for_staff(found["key"], found["unit"], found["purpose"])
    else:
        scope, _, _ = await access.act_for(found["key"], found["patient"])
    return replace(scope, grant=grant, through=through)


def _scope(gate: Gate) -> Scope:
    if not isinstance(gate, Scope):
        raise TypeError("work is kept for scopes only")
    return gate


def _list(types: frozenset[str] | None) -> list[str] | None:
    return None if types is None else sorted(types)


def _types(kept: list[str] | None) -> frozenset[str] | None:
    return None if kept is None else frozenset(kept)
