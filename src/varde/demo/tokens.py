"""Bearer tokens for the demo's API, by the words of `varde token`. Signing and meaning are trust/tokens.py's."""

from __future__ import annotations

from varde.clock import clock_of
from varde.demo.world import World
from varde.settings import Settings
from varde.trust.tokens import DemoTokens


def _tokens(settings: Settings) -> DemoTokens:
    return DemoTokens(settings.data, clock_of(settings))


def for_person(settings: Settings, number: str, acting_for: str | None) -> str:
    """For a person, or for one who acts for another. Whether they may is decided when the token is used."""
    claims = {"kind": "person", "pid": number} | ({"for": acting_for} if acting_for else {})
    return _tokens(settings).make(claims)


def for_staff(world: World, settings: Settings, hpr: str, organisation: str | None, purpose: str | None) -> str:
    """For a health worker at a unit of `organisation` (the trust's organisation number or the unit's id), or at
    their first one. Raises LookupError for one who does not work there."""
    positions = [worker for worker in world.fixed.workers if worker.hpr == hpr]
    if not positions:
        raise LookupError(f"nobody in the demo has HPR number {hpr}")
    if organisation is not None:
        positions = [one for one in positions if organisation in {one.unit.trust.number, one.unit.id, one.unit.number}]
        if not positions:
            raise LookupError(f"{hpr} does not work at {organisation}")
    claims = {"kind": "staff", "hpr": hpr, "unit": positions[0].unit.id, "purpose": purpose or "TREAT"}
    return _tokens(settings).make(claims)


def for_system(settings: Settings, name: str, scopes: str) -> str:
    """For another system, with SMART scopes."""
    return _tokens(settings).make({"kind": "system", "name": name, "scope": scopes})
