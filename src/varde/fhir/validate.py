"""Is it a valid R4 resource? The face of validation: what is judged, and how, stands in `validation/`.

Issues name the element and the fault, never the value that was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varde.fhir import structure
from varde.fhir.definitions import is_type
from varde.fhir.errors import Issue, Unprocessable
from varde.fhir.validation.shapes import check_of
from varde.fhir.validation.walk import Walk

MAXIMUM_ISSUES = 50


def validate(resource: Mapping[str, Any]) -> None:
    """Raise Unprocessable with one issue a fault (at most MAXIMUM_ISSUES) unless `resource` is valid R4."""
    faults = faults_of(resource)
    if faults:
        raise Unprocessable(faults)


def faults_of(resource: Mapping[str, Any]) -> list[Issue]:
    """The faults of `resource`, empty when it is valid."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not is_type(kind):
        return [Issue("structure", "resourceType names no resource type of R4", "Resource.resourceType")]
    walk = Walk(resource)  # type: ignore[arg-type]
    found = check_of(kind)(resource, {}, walk)
    return [fault.issue(kind) for fault in found[:MAXIMUM_ISSUES]] if found else []


def member(datatype: str, name: str) -> tuple[str, bool] | None:
    """(datatype, whether it repeats) of JSON member `name` of a type; None when the type has no such member."""
    found = structure.members(datatype).get(name)
    return None if found is None else (found.type, found.repeats)
