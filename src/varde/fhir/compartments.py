"""R4's compartments: what belongs to one Patient, Encounter, Practitioner, RelatedPerson or Device.

Only which resources those are, for searches within one. Who may see what is decided by the gate alone.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from varde.fhir.definitions import compartment_parameters

_FILE = Path(__file__).parent / "definitions" / "compartments.json"


@lru_cache(maxsize=1)
def _loaded() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return loaded


def compartments() -> dict[str, str]:
    """The types that have a compartment, each with the canonical url of its definition."""
    return {name: str(found["url"]) for name, found in sorted(_loaded().items())}


def parameters_into(compartment: str, resource_type: str) -> tuple[str, ...]:
    """Codes of the reference parameters that put a resource of the type into such a compartment; () for none."""
    if compartment == "Patient":
        return compartment_parameters(resource_type)
    return tuple(_loaded()[compartment]["types"].get(resource_type, ()))
