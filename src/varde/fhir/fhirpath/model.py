"""What the engine has to know of R4's types: members, and which type is a kind of which."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from varde.fhir import structure


class Way(NamedTuple):
    """One way in which an element may be written in JSON."""

    json: str
    type: str
    repeats: bool
    primitive: bool


SYSTEM = {
    "boolean": "Boolean", "string": "String", "integer": "Integer", "decimal": "Decimal", "date": "Date",
    "dateTime": "DateTime", "instant": "DateTime", "time": "Time", "uri": "String", "base64Binary": "String",
    "xhtml": "String",
}  # fmt: skip
"""The system type of a primitive type; of one derived from it, that of its base."""


@cache
def ways(kind: str) -> Mapping[str, tuple[Way, ...]]:
    """Element name -> the ways in which it may be written; of a choice one a datatype."""
    found: dict[str, list[Way]] = {}
    for name, member in structure.members(kind).items():
        found.setdefault(member.element, []).append(Way(name, member.type, member.repeats, member.primitive))
    return {element: tuple(of_it) for element, of_it in found.items()}


@cache
def json_ways(kind: str) -> Mapping[str, Way]:
    """JSON name -> its way, without `_`."""
    return {way.json: way for of_it in ways(kind).values() for way in of_it}


@cache
def kinds_of(kind: str) -> frozenset[str]:
    """The type, and every type it is a kind of. A nested element is a BackboneElement or an Element."""
    found = [kind]
    while (base := structure.base_of(found[-1])) is not None:
        found.append(base)
    return frozenset(found)


@cache
def system_type(kind: str) -> str | None:
    """The system type that stands for a primitive type."""
    return next((SYSTEM[k] for k in (kind, *sorted(kinds_of(kind))) if k in SYSTEM), None)


@cache
def known_type(name: str) -> bool:
    """Whether it is a type of R4 or of FHIRPath's system."""
    return structure.is_known(name) or name in {*SYSTEM.values(), "Quantity"}
