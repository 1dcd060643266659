"""The operation `$graphql`: a request to a query, the query carried out, its answer or its errors as GraphQL has them.

Parsing and checking are done once for a text; a schema's description of itself is made aside and kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    validate,
)

from varde.fhir import splice
from varde.fhir.errors import BadRequest, FhirError
from varde.fhir.graphql import costs, shaping
from varde.fhir.graphql.loading import Loader
from varde.fhir.graphql.schema import schema
from varde.fhir.http.exchange import Answer
from varde.fhir.http.negotiation import media_type
from varde.fhir.http.operations import Call

_JSON = {"content-type": "application/json; charset=utf-8"}
_KEPT = 500
_LONGEST = 100_000
_checked: OrderedDict[tuple[str | None, str], DocumentNode | list[GraphQLError]] = OrderedDict()
_described: OrderedDict[tuple[str | None, str, str | None], dict[str, Any]] = OrderedDict()
_log = structlog.get_logger("varde.graphql")


async def answer(call: Call) -> Answer:
    """Carry out a call of `$graphql`."""
    query, variables, name = _asked(call)
    document = await _document(call.type, query)
    if isinstance(document, list):
        return _refused(document)
    operation = get_operation_ast(document, name)
    if operation is None:
        return _refused([GraphQLError("which of the operations: operationName says it")])
    if operation.operation is not OperationType.QUERY:
        return _refused([GraphQLError("only queries are answered; changes are made by FHIR's own interactions")])
    try:
        costs.check(document, operation)
    except GraphQLError as error:
        return _refused([error])
    if all(isinstance(s, FieldNode) and s.name.value.startswith("__") for s in operation.selection_set.selections):
        return Answer(200, await _description(call.type, query, document, variables, name), dict(_JSON))
    return await _carried_out(call, document, operation, variables, name)


def _asked(call: Call) -> tuple[str, dict[str, Any], str | None]:
    """(query, variables, operationName). Raises BadRequest."""
    request = call.request
    given: dict[str, Any] = {n: v for n, v in request.query if n in {"query", "variables", "operationName"}}
    if request.method == "POST" and request.body:
        if media_type(request.headers) == "application/graphql":
            given["query"] = request.body.decode("utf-8", "replace")
        else:
            parsed = splice.parse(request.body)
            if parsed.get("resourceType") == "Parameters":
                parsed = dict(call.parameters())
            given |= {n: v for n, v in parsed.items() if n in {"query", "variables", "operationName"}}
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise BadRequest.of("the query is missing", code="required")
    if len(query) > _LONGEST:
        raise BadRequest.of("the query is too long", code="too-long")
    if isinstance(variables, str):
        try:
            variables = orjson.loads(variables or "{}")
        except orjson.JSONDecodeError:
            raise BadRequest.of("variables is a JSON object") from None
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest.of("variables is a JSON object")
    return query, variables or {}, name if isinstance(name, str) and name else None


async def _document(resource_type: str | None, query: str) -> DocumentNode | list[GraphQLError]:
    """The query parsed and checked, or what is wrong with it."""
    key = (resource_type, query)
    known = _checked.get(key)
    if known is not None:
        return known
    made = await asyncio.to_thread(_check, resource_type, query)
    _checked[key] = made
    if len(_checked) > _KEPT:
        _checked.popitem(last=False)
    return made


def _check(resource_type: str | None, query: str) -> DocumentNode | list[GraphQLError]:
    try:
        document = parse(query, max_tokens=costs.MAXIMUM_TOKENS, no_location=False)
    except GraphQLError as error:
        return [error]
    except RecursionError:
        return [GraphQLError("the query nests too deep")]
    try:
        return validate(schema(resource_type), document, max_errors=20) or shaping.prepared(document)
    except RecursionError:
        return [GraphQLError("the query nests too deep")]


async def _description(
    resource_type: str | None, query: str, document: DocumentNode, variables: Mapping[str, Any], name: str | None
) -> dict[str, Any]:
    """The schema as it tells of itself. The same text is answered once, aside."""
    key = (resource_type, query, name)
    if key in _described and not variables:
        return _described[key]

    def describe() -> dict[str, Any]:
        result = execute(schema(resource_type), document, variable_values=dict(variables), operation_name=name)
        assert isinstance(result, ExecutionResult)
        return _formatted(result.data, result.errors or [])

    made = await asyncio.to_thread(describe)
    if not variables:
        _described[key] = made
        if len(_described) > 10:
            _described.popitem(last=False)
    return made


async def _carried_out(
    call: Call, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any], name: str | None
) -> Answer:
    loader = Loader(call.store, call.gate, call.base)
    root: Any = None
    if call.type is not None:
        assert call.id is not None
        stored = await call.store.read(call.gate, call.type, call.id, connection=call.request.connection)
        root = splice.parse_exact(stored.body)
        loader.give(root)
    running = execute(
        schema(call.type), document, root_value=root, context_value=loader, variable_values=variables,
        operation_name=name,
    )  # fmt: skip
    result = running if isinstance(running, ExecutionResult) else await running
    assert isinstance(result, ExecutionResult)
    data, errors = result.data, list(result.errors or [])
    if data is not None and shaping.uses(document):
        try:
            data = shaping.shaped(document, operation, data, variables)
        except GraphQLError as error:
            data, errors = None, [*errors, error]
    return Answer(200 if data is not None else 400, _formatted(data, errors), dict(_JSON))


def _refused(errors: list[GraphQLError]) -> Answer:
    return Answer(400, {"errors": [_error(one) for one in errors]}, dict(_JSON))


def _formatted(data: Any, errors: list[GraphQLError]) -> dict[str, Any]:
    made: dict[str, Any] = {"data": data}
    return {"errors": [_error(one) for one in errors], **made} if errors else made


def _error(error: GraphQLError) -> dict[str, Any]:
    """An error as GraphQL writes it, with the OperationOutcome that FHIR would give; never a text from inside."""
    formatted: dict[str, Any] = dict(error.formatted)
    inner = error.original_error
    if isinstance(inner, FhirError):
        formatted["message"] = str(inner)
        formatted["extensions"] = {"resource": inner.outcome()}
    elif inner is not None and not isinstance(inner, GraphQLError):
        _log.error("graphql.failure", exc_info=inner)
        formatted["message"] = "an error of the server's own; it has been logged"
    return formatted
