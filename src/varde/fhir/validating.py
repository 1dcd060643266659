"""The operation `$validate`. What a valid resource is stands in `validate.py`."""

from __future__ import annotations

from varde.fhir.errors import BadRequest
from varde.fhir.exchange import Answer
from varde.fhir.operations import Call, Level, Operation, outcome
from varde.fhir.validate import faults_of


async def _validate(call: Call) -> Answer:
    resource = call.resource or next((value for name, value in call.parameters() if name == "resource"), None)
    if not isinstance(resource, dict):
        raise BadRequest.of("$validate takes a resource, alone or as the parameter `resource`")
    faults = faults_of(resource)
    if faults:
        return outcome(200, *[fault.as_fhir() for fault in faults])
    return outcome(200, {"severity": "information", "code": "informational", "diagnostics": "valid"})


VALIDATE = Operation(
    "validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate", _validate, Level.TYPE | Level.INSTANCE
)
