"""What identifies a resource as it comes: its type, its id, its patient at a glance. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varde.fhir import splice
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, Unprocessable
from varde.fhir.keys import bucket_of

Resource = Mapping[str, Any] | bytes
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")


def read_resource(resource: Resource) -> tuple[bytes | None, dict[str, Any]]:
    """(text or None, parsed). Raises BadRequest for no JSON object."""
    if isinstance(resource, bytes):
        return resource, splice.parse(resource)
    return None, dict(resource)


def type_of(parsed: Mapping[str, Any]) -> str:
    """The resource's type. Raises Unprocessable when it is none of R4."""
    kind = parsed.get("resourceType")
    if not is_type(kind):
        raise Unprocessable.of("resourceType names no resource type of R4", "Resource.resourceType", "structure")
    return str(kind)


def is_id(identifier: object) -> bool:
    """Whether it has the form of a resource id."""
    return isinstance(identifier, str) and 1 <= len(identifier) <= 64 and set(identifier) <= _ID


def check_id(identifier: object) -> None:
    """Raise BadRequest unless `identifier` has the form of a resource id."""
    if not is_id(identifier):
        raise BadRequest.of("an id has 1 to 64 letters, digits, hyphens and full stops", "Resource.id", "value")
    if len(str(identifier)) == 11 and str(identifier).isdigit():
        # It could be a person's number, and ids stand in addresses and logs.
        raise BadRequest.of("an id of eleven digits is not taken", "Resource.id", "value")


def bucket_for(parsed: Mapping[str, Any]) -> int | None:
    """The bucket of the patient that the resource is about, as far as a glance tells."""
    for member in ("subject", "patient", "beneficiary", "for"):
        reference = parsed.get(member)
        if isinstance(reference, dict):
            literal = reference.get("reference")
            if isinstance(literal, str) and literal.startswith("Patient/"):
                return bucket_of(literal.removeprefix("Patient/"))
    return None
