"""The one keeper of scopes: a scope kept as plain JSON for what goes on when its request is long gone (data in bulk,
subscriptions), and made again by the rights that its holder has then.

Nothing that was kept is a right. Whoever asked is decided anew by `access.py`; an app must still be registered, what a
person let it do must still stand, an organisation that called by HelseID must still have its agreement; and of what the
token opened, that alone is left which they would be given now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from varde.fhir.gate import Gate
from varde.trust.access import Access
from varde.trust.grounds import GROUNDS
from varde.trust.helseid.granting import Granting
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope
from varde.trust.smart.clients import Clients, Side
from varde.trust.smart.grant import Grant, Origin, grant_of
from varde.trust.smart.opening import AppTokens, system_scope
from varde.trust.smart.scopes import read_words


def owner(gate: Gate) -> str:
    """Who asks, in what role and by which app, as one text: another role of the same person is another owner."""
    scope = scope_of(gate)
    actor = scope.actor
    app = scope.grant.origin.client if scope.grant is not None and scope.grant.origin is not None else ""
    return "/".join((actor.kind.value, actor.key, actor.unit or "", scope.patient or "", scope.purpose, app))


def kept(gate: Gate) -> dict[str, Any]:
    """All from which the scope is made again."""
    scope = scope_of(gate)
    actor = scope.actor
    found: dict[str, Any] = {
        "kind": actor.kind.value, "key": actor.key, "name": actor.name, "unit": actor.unit, "patient": scope.patient,
        "unit_name": actor.unit_name, "purpose": scope.purpose, "ground": scope.ground.key, "through": scope.through,
        "decision": scope.decision_ref, "types": _list(scope.types), "write": _list(scope.write_types),
    }  # fmt: skip
    if scope.grant is not None:
        found["grant"] = scope.grant.as_json()
    return found


def scope_of(gate: Gate) -> Scope:
    """The scope that a gate is. Raises TypeError for one that was made elsewhere."""
    if not isinstance(gate, Scope):
        raise TypeError("work is kept for scopes only")
    return gate


class Keeper:
    """Makes scopes again. One a process. `demo`: whether the demo's own tokens, which are registered nowhere, are
    good."""

    def __init__(
        self, access: Access, clients: Clients, apps: AppTokens, helseid: Granting | None = None, *, demo: bool = False
    ) -> None:
        self._access = access
        self._clients = clients
        self._apps = apps
        self._helseid = helseid
        self._demo = demo

    async def again(self, found: Mapping[str, Any]) -> Scope:
        """The scope of who asked then, by the rights of now. Raises trust.access.Refused; LookupError when who asked,
        or the app it was by, is not let in any more."""
        grant = Grant.from_json(found["grant"]) if found.get("grant") is not None else None
        if grant is None:
            return await self._own(found)
        origin = grant.origin
        if origin is None:
            if not self._demo:
                raise LookupError("the token is registered nowhere")
            return replace(await self._own(found), grant=grant)
        if origin.issuer is not None:
            made, opened = await self._of_helseid(found, origin)
        elif origin.authorization is not None:
            made, opened = await self._of_person(origin, origin.authorization)
        else:
            made, opened = await self._of_system(origin)
        left = grant.within(opened)
        if made.actor.kind is ActorKind.SYSTEM:
            made = replace(made, types=left.read, write_types=left.write)
        return replace(made, grant=left, decision_ref=found.get("decision"))

    async def _own(self, found: Mapping[str, Any]) -> Scope:
        """The house's own, or that of a token of the demo's."""
        kind = ActorKind(found["kind"])
        if kind is ActorKind.SYSTEM:
            made = self._access.for_system(
                found["key"], GROUNDS[found["ground"]], purpose=found["purpose"], types=_types(found["types"]),
                write_types=_types(found["write"]),
            )  # fmt: skip
        elif kind is ActorKind.STAFF:
            made, _ = await self._access.for_staff(found["key"], found["unit"], found["purpose"])
        else:
            made, _, _ = await self._access.act_for(found["key"], found["patient"])
        return replace(made, through=found.get("through", Scope.through))

    async def _of_person(self, origin: Origin, number: int) -> tuple[Scope, Grant]:
        """What a person lets an app do now."""
        client, authorization = await self._clients.find(origin.client), await self._apps.authorization(number)
        if client is None or authorization is None:
            raise LookupError("the app is not let in any more")
        made = await self._apps.scope(client, authorization, authorization.scopes)
        return made, _grant(made)

    async def _of_system(self, origin: Origin) -> tuple[Scope, Grant]:
        """What operators let an app do by itself now (SMART Backend Services)."""
        client = await self._clients.find(origin.client)
        if client is None or Side.SYSTEM not in client.sides:
            raise LookupError("the app is not let in any more")
        words, _ = read_words(client.scopes)
        opened = grant_of([word for word in words if word.level == "system"], origin=origin)
        return system_scope(self._access, client, opened), opened

    async def _of_helseid(self, found: Mapping[str, Any], origin: Origin) -> tuple[Scope, Grant]:
        """What the agreement with a calling organisation opens now."""
        if self._helseid is None:
            raise LookupError("no token of HelseID's is taken")
        system = ActorKind(found["kind"]) is ActorKind.SYSTEM
        opened = self._helseid.grant(origin, "system" if system else "user")
        made = await self._own(found)
        if system:
            told = {"name": found["name"], "unit": found["unit"], "unit_name": found["unit_name"]}
            made = replace(made, actor=replace(made.actor, **told))
        return made, opened


def _grant(scope: Scope) -> Grant:
    if scope.grant is None:
        raise LookupError("no scopes")
    return scope.grant


def _list(types: frozenset[str] | None) -> list[str] | None:
    return None if types is None else sorted(types)


def _types(kept: list[str] | None) -> frozenset[str] | None:
    return None if kept is None else frozenset(kept)
