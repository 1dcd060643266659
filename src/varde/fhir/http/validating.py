"""The operation `$validate` (R4 resource-operation-validate). What a valid resource is stands in `validate.py`.

It judges, and answers 200 with what it found: a resource with faults is no failed request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varde.fhir.errors import BadRequest, Gone, Issue, NotFound
from varde.fhir.gate import Interaction
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation, outcome
from varde.fhir.model import Stored
from varde.fhir.store import reaches_all

_MODES = frozenset({"create", "update", "delete", "profile"})
_PARAMETERS = frozenset({"resource", "mode", "profile"})
_VALID = Issue("informational", "the resource is valid", severity="information")


async def _validate(call: Call) -> Answer:
    mode, profiles = "", list[str]()
    resource = call.resource
    for name, value in call.parameters():
        if name not in _PARAMETERS:
            raise BadRequest.of(
                "$validate takes the parameters resource, mode and profile", f"Parameters.{_word(name)}"
            )
        if name == "resource":
            resource = value if isinstance(value, dict) else None
        elif not isinstance(value, str):
            raise BadRequest.of(f"the parameter '{name}' is a text")
        elif name == "mode":
            mode = value
        else:
            profiles.append(value)
    if mode and mode not in _MODES:
        raise BadRequest.of("mode is create, update, delete or profile", "Parameters.mode", "code-invalid")
    if mode == "delete":
        return await _deletable(call)
    if mode == "profile" and not profiles:
        raise BadRequest.of("mode=profile is about the parameter profile", "Parameters.profile", "required")
    if resource is None:
        if call.id is None or mode in {"create", "update"}:
            raise BadRequest.of("$validate takes a resource, alone or as the parameter `resource`")
        resource = (await _stored(call)).resource
    placed = _placed(call, mode, resource)
    async with call.store.reading(call.request.connection) as connection:
        judged = await call.store.knowing.findings(connection, resource, profiles)
    issues = [*placed, *judged.issues]
    if not any(issue.severity == "error" for issue in issues):
        issues.append(_VALID)
    return outcome(200, *(issue.as_fhir() for issue in issues))


async def _stored(call: Call) -> Stored:
    """The resource at the address, as the caller may read it."""
    return await call.store.read(call.gate, str(call.type), str(call.id), connection=call.request.connection)


def _word(name: object) -> str:
    return "".join(c for c in str(name) if c.isascii() and c.isalnum())[:40] or "parameter"


def _placed(call: Call, mode: str, resource: Mapping[str, Any]) -> list[Issue]:
    """What is wrong with the resource for the place where it would be written (R4 3.1.0.4, 3.1.0.8)."""
    found = []
    kind = resource.get("resourceType")
    if kind != call.type:
        found.append(Issue("invalid", f"the resource is not of the type {call.type}", "Resource.resourceType"))
    if mode == "create" and resource.get("id") is not None:
        words = "the server gives a new resource its id, and this one will be replaced"
        found.append(Issue("informational", words, f"{call.type}.id", "information"))
    if call.id is not None and mode == "update" and resource.get("id") != call.id:
        found.append(Issue("invalid", "the resource's id is not the one in the address", f"{call.type}.id"))
    return found


async def _deletable(call: Call) -> Answer:
    """Whether a DELETE would be taken, for what the caller may see."""
    if call.id is None:
        raise BadRequest.of("mode=delete is about one resource: [type]/[id]/$validate")
    issues: list[Issue] = []
    if not call.gate.allows(Interaction.DELETE, str(call.type)):
        issues.append(Issue("forbidden", "you may not delete resources of this type"))
    try:
        await _stored(call)
    except Gone:
        issues.append(Issue("informational", "the resource was deleted before", severity="information"))
    except NotFound:
        if not reaches_all(call.gate, str(call.type)):
            raise
        issues.append(
            Issue("informational", "there is no such resource, so nothing would be deleted", severity="information")
        )
    if not any(issue.severity == "error" for issue in issues):
        issues.append(Issue("informational", "the resource may be deleted", severity="information"))
    return outcome(200, *(issue.as_fhir() for issue in issues))


VALIDATE = Operation(
    "validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate", _validate, Level.TYPE | Level.INSTANCE
)
