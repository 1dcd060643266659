"""What elements R4's types have, as GraphQL needs them. Pure."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from varde.fhir import structure
from varde.fhir.definitions import resource_types, search_parameters

_ANYTHING = 100
"""Targets of a parameter that may refer to every type."""


class Member(NamedTuple):
    """One JSON name of a type and what stands there."""

    name: str
    type: str
    """A primitive, a datatype, the path of a nested element, or Resource."""
    repeats: bool
    primitive: bool


@cache
def members(kind: str) -> tuple[Member, ...]:
    """The members of a type, choices written out (`valueQuantity`)."""
    return tuple(
        Member(name, one.type, one.repeats, one.primitive)
        for name, one in structure.members(kind).items()
        if one.allowed
    )


@cache
def reverse(resource_type: str) -> dict[str, tuple[str, ...]]:
    """By type that can refer to this one: the codes of its reference parameters that may. Parameters that refer to
    anything at all are left out: with them every type would refer to every other, and the schema be tenfold."""
    found: dict[str, tuple[str, ...]] = {}
    for name in resource_types():
        codes = [
            code
            for code, parameter in search_parameters(name).items()
            if parameter.kind == "reference"
            and resource_type in parameter.targets
            and len(parameter.targets) < _ANYTHING
        ]
        if codes:
            found[name] = tuple(codes)
    return found


def type_of_name(kind: str) -> str:
    """The GraphQL name of a type: `Observation.component` is ObservationComponent."""
    return "".join(part[0].upper() + part[1:] for part in kind.split(".")) if "." in kind else kind
