"""Batches and transactions: a Bundle in, a Bundle out. A transaction is one database transaction.

The order is the standard's: DELETE, POST, PUT, PATCH, then reads. Creates and updates of a transaction are
written in one statement.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, FhirError, PreconditionFailed, Unprocessable
from varde.fhir.gate import Gate, Interaction
from varde.fhir.keys import new_id
from varde.fhir.model import Written
from varde.fhir.store import Store
from varde.fhir.validate import validate

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 3, "GET": 4, "HEAD": 4}
_HISTORY = re.compile(r"^([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})$")
MAXIMUM_ENTRIES = 5000

Single = Callable[[str, str, Any, Mapping[str, str], Any], Awaitable[dict[str, Any]]]
"""(method, url, resource, conditions, connection) -> response entry: the HTTP face's way of doing one request."""


async def process(store: Store, gate: Gate, bundle: Mapping[str, Any], single: Single) -> dict[str, Any]:
    """Carry out `bundle`. Raises BadRequest for what is no batch or transaction, and whatever made a
    transaction fail; a batch answers each entry with its own outcome."""
    entries = bundle.get("entry") or []
    if not isinstance(entries, list) or len(entries) > MAXIMUM_ENTRIES:
        raise BadRequest.of(f"a Bundle has at most {MAXIMUM_ENTRIES} entries")
    requests = [_request(entry, place) for place, entry in enumerate(entries)]
    if bundle.get("type") == "batch":
        answers = [await _one(single, request) for request in requests]
        return {"resourceType": "Bundle", "type": "batch-response", "entry": answers}
    if bundle.get("type") == "transaction":
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": await _transaction(store, gate, requests, single),
        }
    raise BadRequest.of("the Bundle's type must be batch or transaction", "Bundle.type")


def _request(entry: Any, place: int) -> dict[str, Any]:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict) or request.get("method") not in _ORDER or not isinstance(request.get("url"), str):
        raise BadRequest.of("an entry has a request with method and url", f"Bundle.entry[{place}].request")
    return {
        "method": request["method"],
        "url": request["url"].lstrip("/"),
        "resource": entry.get("resource"),
        "full": entry.get("fullUrl"),
        "conditions": {
            name: str(request[member])
            for name, member in (
                ("if-match", "ifMatch"), ("if-none-match", "ifNoneMatch"), ("if-none-exist", "ifNoneExist"),
                ("if-modified-since", "ifModifiedSince"),
            )
            if request.get(member)
        },
    }  # fmt: skip


async def _one(single: Single, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return await single(request["method"], request["url"], request["resource"], request["conditions"], None)
    except FhirError as error:
        return {"response": {"status": str(error.status), "outcome": error.outcome()}}


async def _transaction(
    store: Store, gate: Gate, requests: list[dict[str, Any]], single: Single
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{} for _ in requests]
    async with store.transaction() as connection:
        names = await _identities(store, gate, requests, connection)
        for request in requests:
            if request["resource"] is not None:
                request["resource"] = await _rewrite(store, gate, request["resource"], names, connection)
        bulk: list[tuple[int, dict[str, Any]]] = []
        for place, request in sorted(enumerate(requests), key=lambda pair: _ORDER[pair[1]["method"]]):
            if request.get("matched") is not None:
                answers[place] = _found(request["matched"])
            elif request.get("identity") and not request["conditions"].get("if-match"):
                bulk.append((place, request))
            else:
                if bulk and _ORDER[request["method"]] > _ORDER["PUT"]:
                    await _write_bulk(store, gate, bulk, answers, connection)
                    bulk = []
                answers[place] = await single(
                    request["method"], request["url"], request["resource"], request["conditions"], connection
                )
        if bulk:
            await _write_bulk(store, gate, bulk, answers, connection)
    return answers


async def _write_bulk(store: Store, gate: Gate, bulk: Any, answers: list[dict[str, Any]], connection: Any) -> None:
    for place, request in bulk:
        try:
            validate(request["resource"])
        except Unprocessable as error:
            for number, issue in enumerate(error.issues):
                error.issues[number] = type(issue)(
                    issue.code, issue.diagnostics, f"Bundle.entry[{place}].resource: {issue.expression}"
                )
            raise
    resources = [request["resource"] for _, request in bulk]
    for (place, _), written in zip(
        bulk, await store.write_many(gate, resources, connection=connection, checked=True, admitted=True), strict=True
    ):
        answers[place] = written_entry(written)


def written_entry(written: Written) -> dict[str, Any]:
    """The response entry of a create or update."""
    stored = written.stored
    return {
        "response": {
            "status": "201 Created" if written.created else "200 OK",
            "location": f"{stored.reference}/_history/{stored.version}",
            "etag": stored.etag,
            "lastModified": stored.last_updated,
        }
    }


def _found(stored: Any) -> dict[str, Any]:
    return {
        "response": {
            "status": "200 OK",
            "location": f"{stored.reference}/_history/{stored.version}",
            "etag": stored.etag,
            "lastModified": stored.last_updated,
        }
    }


async def _identities(store: Store, gate: Gate, requests: list[dict[str, Any]], connection: Any) -> dict[str, str]:
    """Settle the id of everything the transaction writes; fullUrl -> relative reference."""
    names: dict[str, str] = {}
    for place, request in enumerate(requests):
        resource = request["resource"]
        if request["method"] not in {"POST", "PUT"} or not isinstance(resource, dict):
            continue
        kind = resource.get("resourceType")
        if not is_type(kind):
            raise Unprocessable.of("resourceType names no resource type of R4", f"Bundle.entry[{place}].resource")
        await store.admit(gate, Interaction.CREATE if request["method"] == "POST" else Interaction.UPDATE, str(kind))
        url, _, query = request["url"].partition("?")
        condition = request["conditions"].get("if-none-exist") if request["method"] == "POST" else query
        if request["method"] == "POST" and (url != kind or query):
            continue
        identity = None
        if condition:
            page = await store.search(gate, kind, f"{condition}&_count=2", connection=connection)
            if len(page.matches) > 1:
                raise PreconditionFailed.of("a condition matches more than one resource", code="multiple-matches")
            if page.matches:
                identity = page.matches[0].id
                if request["method"] == "POST":
                    request["matched"] = page.matches[0]
        elif request["method"] == "PUT":
            match = _HISTORY.match(url)
            if not match or match[1] != kind or resource.get("id") != match[2]:
                raise BadRequest.of("a PUT names its resource's type and id", f"Bundle.entry[{place}].request.url")
            identity = match[2]
        identity = identity or new_id()
        request["resource"] = {**resource, "id": identity}
        request["identity"] = f"{kind}/{identity}"
        if isinstance(request["full"], str):
            if request["full"] in names:
                raise BadRequest.of("a fullUrl stands twice", f"Bundle.entry[{place}].fullUrl")
            names[request["full"]] = request["identity"]
    return names


async def _rewrite(store: Store, gate: Gate, value: Any, names: Mapping[str, str], connection: Any) -> Any:
    """References by fullUrl and by condition become references by id, wherever they stand."""
    if isinstance(value, dict):
        out = {}
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                out[name] = await _reference(store, gate, inner, names, connection)
            elif name in {"url", "uri", "valueUri", "valueUrl"} and isinstance(inner, str) and inner in names:
                out[name] = names[inner]
            elif name == "div" and isinstance(inner, str) and "urn:" in inner:
                for full, local in names.items():
                    inner = inner.replace(f'"{full}"', f'"{local}"')
                out[name] = inner
            else:
                out[name] = await _rewrite(store, gate, inner, names, connection)
        return out
    if isinstance(value, list):
        return [await _rewrite(store, gate, inner, names, connection) for inner in value]
    return value


async def _reference(store: Store, gate: Gate, literal: str, names: Mapping[str, str], connection: Any) -> str:
    plain, hash_mark, version = literal.partition("/_history/")
    if plain in names:
        return names[plain] + hash_mark + version
    if literal.startswith(("urn:uuid:", "urn:oid:")):
        raise BadRequest.of("a reference names an entry that the transaction does not have", code="not-found")
    kind, mark, query = literal.partition("?")
    if not mark or not is_type(kind):
        return literal
    page = await store.search(gate, kind, [*parse_qsl(query), ("_count", "2")], connection=connection)
    if len(page.matches) != 1:
        raise PreconditionFailed.of("a conditional reference must match exactly one resource", code="multiple-matches")
    return page.matches[0].reference
