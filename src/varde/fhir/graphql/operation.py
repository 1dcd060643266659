"""The operation `$graphql`, at the system and on one resource. What answers it is loaded when it is first called:
the library and the schema cost a second, which no start of a process should."""

from __future__ import annotations

from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation


async def _run(call: Call) -> Answer:
    from varde.fhir.graphql.asking import answer

    return await answer(call)


GRAPHQL = Operation(
    "graphql", "http://hl7.org/fhir/OperationDefinition/Resource-graphql", _run, Level.SYSTEM | Level.INSTANCE
)
