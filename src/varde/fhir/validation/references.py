"""References: their form, that `#` leads somewhere, and that they name a type which the element may refer to."""

from __future__ import annotations

import re
from typing import Any

from varde.fhir.definitions import is_type
from varde.fhir.validation.walk import Check, Fault, Faults, Walk, contained

_REFERENCE = re.compile(
    r"(https?://\S+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?(#\S*)?", re.ASCII
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII).fullmatch


def check_of(targets: tuple[str, ...]) -> Check:
    """The check of a Reference that may name resources of `targets` (empty: of any type)."""
    allowed = frozenset(targets)

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        literal = value.get("reference")
        if literal is None:
            return _logical(value, allowed)
        kind, slash, identifier = literal.partition("/")
        if slash and (kind in allowed or (not allowed and is_type(kind))) and _ID(identifier):
            return None
        fault = _literal(literal, allowed, walk)
        return [fault] if fault is not None else None

    return check


def _logical(value: dict[str, Any], allowed: frozenset[str]) -> Faults:
    named = value.get("type")
    if allowed and isinstance(named, str) and is_type(named) and named not in allowed:
        return [Fault("structure", f"may not refer to {named}", "type")]
    return None


def _literal(literal: str, allowed: frozenset[str], walk: Walk) -> Fault | None:
    if literal[0] == "#":
        if literal == "#":
            target: dict[str, Any] | None = walk.root
        else:
            target = contained(walk.root, literal[1:])
        if target is None:
            return Fault("invariant", "names a contained resource that is not there (ref-1)", "reference")
        kind = str(target.get("resourceType"))
        if allowed and is_type(kind) and kind not in allowed:
            return Fault("structure", f"may not refer to {kind}", "reference")
        return None
    match = _REFERENCE.fullmatch(literal)
    if match is None:
        if ":" not in literal and "?" not in literal:
            return Fault("value", "a relative reference is written Type/id", "reference")
        return None
    if not is_type(match[2]):
        return None if match[1] else Fault("value", "names no resource type of R4", "reference")
    if allowed and match[2] not in allowed:
        return Fault("structure", f"may not refer to {match[2]}", "reference")
    return None
