"""Required bindings: whether a code, Coding, CodeableConcept or Quantity is of a value set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from varde.fhir import structure
from varde.fhir.definitions import canonical_system
from varde.fhir.fhirpath.model import kinds_of
from varde.fhir.validation.walk import Check, Fault, Faults, Walk
from varde.fhir.valuesets import Expansion

_TEXTS = frozenset({"code", "string", "uri", "url", "canonical", "oid", "uuid", "id", "markdown"})


def text(url: str) -> str:
    """The sentence of a code that is not of the value set."""
    return f"the code is not of the required value set {url.partition('|')[0]}"


@cache
def check_of(kind: str, url: str) -> Check | None:
    """The check that a value is of a value set of R4; None where its codes cannot be computed."""
    codes = structure.required_codes(url)
    if codes is None:
        return None
    if kind in _TEXTS:
        if None in codes.values():
            return None
        every = frozenset(code for of_system in codes.values() for code in of_system or ())
        fault = text(url)

        def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
            return None if value in every else [Fault("code-invalid", fault)]

        return check

    def check_coded(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        return None if is_member(value, kind, codes) else [Fault("code-invalid", text(url))]

    return check_coded


def is_member(value: Any, kind: str, codes: Expansion) -> bool:
    """Whether a value of that datatype is of the value set."""
    if isinstance(value, str):
        return any(of_system is None or value in of_system for of_system in codes.values())
    if not isinstance(value, Mapping):
        return False
    if kind == "CodeableConcept":
        listed = value.get("coding")
        return isinstance(listed, list) and any(is_member(one, "Coding", codes) for one in listed)
    if kind == "Coding" or "Quantity" in kinds_of(kind):
        system, code = value.get("system"), value.get("code")
        if not isinstance(system, str) or canonical_system(system) not in codes:
            return False
        of_system = codes[canonical_system(system)]
        return of_system is None or (isinstance(code, str) and code in of_system)
    return True
