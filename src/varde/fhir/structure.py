"""R4's types as validation and FHIRPath know them: members, what each may hold, constraints. Read from what
`varde.fhir.building.build` made; judges nothing.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_FOLDER = Path(__file__).parent / "definitions"
_CORE = "http://hl7.org/fhir/StructureDefinition/"


class Constraint(NamedTuple):
    """An invariant of a definition."""

    key: str
    severity: str
    human: str
    expression: str


class MemberOf(NamedTuple):
    """One JSON name of a type (without `_`): the element it writes and what stands there."""

    element: str
    type: str
    repeats: bool
    primitive: bool
    least: int
    allowed: bool
    targets: tuple[str, ...]
    """Resource types that a Reference may name; none: any."""
    binding: str | None
    advice: tuple[str, str] | None
    """(value set, strength) of a binding that is not enforced."""
    constraints: tuple[Constraint, ...]


@lru_cache(maxsize=1)
def _loaded() -> dict[str, Any]:
    file = _FOLDER / "structure.json"
    if not file.exists():
        raise RuntimeError("the FHIR definitions are not built: run 'python -m varde.fhir.building.build'")
    found: dict[str, Any] = orjson.loads(file.read_bytes())
    return found


def _types() -> dict[str, Any]:
    types: dict[str, Any] = _loaded()["types"]
    return types


def is_known(kind: str) -> bool:
    """Whether it is a type of R4, or the path of a nested element."""
    return kind in _types()


def base_of(kind: str) -> str | None:
    """The type that a type is a kind of."""
    found = _types().get(kind)
    return found["base"] if found is not None else None


def is_primitive(kind: str) -> bool:
    """Whether values of the type are JSON texts, numbers or booleans."""
    found = _types().get(kind)
    return found is not None and found["kind"] == "primitive-type"


def regex_of(primitive: str) -> str | None:
    """The specification's pattern of a primitive type."""
    pattern: str | None = _types()[primitive].get("regex")
    return pattern


@cache
def members(kind: str) -> Mapping[str, MemberOf]:
    """JSON name (without `_`) -> member, choices written out. Empty for what has no members."""
    found: dict[str, MemberOf] = {}
    described = _types().get(kind, {}).get("members", {})
    for name, element in described.items():
        stem = name.removesuffix("[x]")
        for datatype in element["types"]:
            written = stem + datatype[0].upper() + datatype[1:] if name.endswith("[x]") else stem
            advice = element.get("advice")
            found[written] = MemberOf(
                stem, datatype, element["max"] not in {"0", "1"}, is_primitive(datatype), element["min"],
                element["max"] != "0", tuple(element.get("targets", ())), element.get("binding"),
                None if advice is None else (advice[0], advice[1]), _constraints(element),
            )  # fmt: skip
    return found


@cache
def constraints_of(kind: str) -> tuple[Constraint, ...]:
    """The constraints that every value of the type keeps."""
    return _constraints(_types().get(kind, {}))


def _constraints(described: Mapping[str, Any]) -> tuple[Constraint, ...]:
    return tuple(
        Constraint(c["key"], c["severity"], c.get("human", ""), c["expression"])
        for c in described.get("constraints", ())
        if c.get("expression")
    )


@cache
def required_codes(url: str) -> Mapping[str, frozenset[str] | None] | None:
    """The codes by system of a value set that R4 binds as required; None where it cannot be computed."""
    found = _loaded()["bindings"].get(url)
    return None if found is None else {s: None if c is None else frozenset(c) for s, c in found.items()}


@lru_cache(maxsize=1)
def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(_FOLDER / "definitions.zip")


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(_archive().namelist())


def archived(kind: str, url: str) -> Any:
    """A "StructureDefinition", "CodeSystem" or "Expansion" of R4's own package in its compact form, or None."""
    name = f"{kind}/{url}"
    return orjson.loads(_archive().read(name)) if name in _names() else None


def is_archived(kind: str, url: str) -> bool:
    """Whether R4's own package has it."""
    return f"{kind}/{url}" in _names()


def core_url(kind: str) -> str:
    """The canonical url of a type's own definition."""
    return _CORE + kind


def kinds() -> tuple[str, ...]:
    """Every type of R4 and the path of every nested element."""
    return tuple(_types())
