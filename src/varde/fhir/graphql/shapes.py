"""What elements R4's types have, as GraphQL needs them. Read from what `varde.fhir.build` made. Pure."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from varde.fhir.definitions import resource_types, search_parameters

_FILE = Path(__file__).parent.parent / "definitions" / "structure.json"
_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})


class Member(NamedTuple):
    """One JSON name of a type and what stands there."""

    name: str
    type: str
    """A primitive, a datatype, the path of a nested element, or Resource."""
    repeats: bool
    primitive: bool


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(_FILE.read_bytes())["types"]
    return found


def is_complex(kind: str) -> bool:
    """Whether the type has members of its own."""
    return kind in _types() and _types()[kind].get("kind") != "primitive-type"


@cache
def members(kind: str) -> tuple[Member, ...]:
    """The members of a type, choices written out (`valueQuantity`)."""
    described = _types()[kind]
    found: list[Member] = []
    for element, one in described.get("members", described).items():
        stem, choice = element.removesuffix("[x]"), element.endswith("[x]")
        for datatype in one["types"]:
            name = stem + datatype[0].upper() + datatype[1:] if choice else stem
            found.append(Member(name, datatype, one["max"] != "1", not is_complex(datatype) and datatype != "Resource"))
    return tuple(found)


@cache
def reverse(resource_type: str) -> dict[str, tuple[str, ...]]:
    """By type that can refer to this one: the codes of its reference parameters that may."""
    found: dict[str, tuple[str, ...]] = {}
    for name in resource_types():
        codes = [
            code
            for code, parameter in search_parameters(name).items()
            if parameter.kind == "reference" and resource_type in parameter.targets
        ]
        if codes:
            found[name] = tuple(codes)
    return found


def type_of_name(kind: str) -> str:
    """The GraphQL name of a type: `Observation.component` is ObservationComponent."""
    return "".join(part[0].upper() + part[1:] for part in kind.split(".")) if "." in kind else kind
