"""Batches and transactions: a Bundle in, a Bundle out. A transaction is one database transaction.

The order is the standard's: DELETE, POST, PUT, PATCH, then reads. Creates and updates of a transaction are
written in one statement.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from varde.fhir.conditional import condition_of
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, FhirError, Issue, PreconditionFailed, Unprocessable
from varde.fhir.gate import Gate, Interaction
from varde.fhir.keys import new_id
from varde.fhir.model import Written
from varde.fhir.store import Store, reaches_all
from varde.fhir.writing import bucket_for

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 3, "GET": 4, "HEAD": 4}
_LOCAL = re.compile(r"^([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})$")
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
    if (
        not isinstance(request, dict)
        or str(request.get("method")) not in _ORDER
        or not isinstance(request.get("url"), str)
    ):
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
        # Everything is locked first and in one order, so that transactions wait for each other, never deadlock.
        await store.serialize(connection, _conditions(requests))
        await _settle(store, gate, requests, connection)
        changing = [request for request in requests if request.get("matched") is None]
        written = [named for request in changing if (named := request.get("identity") or _target(request))]
        if len(set(written)) != len(written):
            raise BadRequest.of("the same resource is written twice in one transaction", code="duplicate")
        await store.hold(connection, written)
        names = _names(requests)
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
                answers[place] = await _placed(place, single, request, connection)
        if bulk:
            await _write_bulk(store, gate, bulk, answers, connection)
    return answers


async def _placed(place: int, single: Single, request: dict[str, Any], connection: Any) -> dict[str, Any]:
    """One request of a transaction; what makes it fail tells which entry it was."""
    try:
        return await single(request["method"], request["url"], request["resource"], request["conditions"], connection)
    except FhirError as error:
        _point(error, place)
        raise


def _point(error: FhirError, place: int) -> None:
    error.issues[:] = [
        Issue(i.code, i.diagnostics, f"Bundle.entry[{place}]" + (f".resource: {i.expression}" if i.expression else ""))
        for i in error.issues
    ]


def _target(request: Mapping[str, Any]) -> str | None:
    """What a DELETE, PATCH or PUT by id changes."""
    if request["method"] in {"DELETE", "PATCH", "PUT"} and _LOCAL.match(request["url"]):
        return str(request["url"])
    return None


def _conditions(requests: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(type, condition) of every conditional write."""
    found = []
    for request in requests:
        kind, _, query = request["url"].partition("?")
        if request["method"] == "POST":
            query = request["conditions"].get("if-none-exist", "")
        if query and request["method"] in {"POST", "PUT"} and is_type(kind):
            found.append((kind, condition_of(kind, query)))
    if len(set(found)) != len(found):
        raise BadRequest.of("the same condition stands twice in one transaction", code="duplicate")
    return found


async def _write_bulk(store: Store, gate: Gate, bulk: Any, answers: list[dict[str, Any]], connection: Any) -> None:
    for place, request in bulk:
        faults = await store.faults_of(request["resource"], connection)
        if faults:
            error = Unprocessable(faults)
            _point(error, place)
            raise error
    resources = [request["resource"] for _, request in bulk]
    # An id that a client chose may only be taken where none can be hidden; those the server made are always new.
    free = {r["identity"] for _, r in bulk if r["made"] or reaches_all(gate, r["resource"]["resourceType"])}
    written = await store.write_many(gate, resources, connection=connection, checked=True, admitted=True, upsert=free)
    for (place, _), one in zip(bulk, written, strict=True):
        answers[place] = written_entry(one)


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


async def _settle(store: Store, gate: Gate, requests: list[dict[str, Any]], connection: Any) -> None:
    """Settle the id of everything the transaction creates or replaces: `identity`, "Type/id"; `made` says that
    the id is the server's or a match's, `matched` that a conditional create found what it would make."""
    for place, request in enumerate(requests):
        resource = request["resource"]
        if request["method"] not in {"POST", "PUT"} or not isinstance(resource, dict):
            continue
        kind = resource.get("resourceType")
        if not is_type(kind):
            raise Unprocessable.of("resourceType names no resource type of R4", f"Bundle.entry[{place}].resource")
        await store.allow(gate, Interaction.CREATE if request["method"] == "POST" else Interaction.UPDATE, str(kind))
        url, _, query = request["url"].partition("?")
        condition = request["conditions"].get("if-none-exist") if request["method"] == "POST" else query
        if url != kind and (request["method"] == "POST" or query):
            if request["method"] == "POST" and ("$" in url or "_search" in url):
                continue
            raise BadRequest.of("the resource is not of the type in the address", f"Bundle.entry[{place}].request.url")
        identity, request["made"] = None, True
        if condition:
            match = await store.one_match(gate, str(kind), condition_of(str(kind), condition), connection)
            if match is not None:
                identity = match.id
                if request["method"] == "POST":
                    request["matched"] = match
        elif request["method"] == "PUT":
            local = _LOCAL.match(url)
            if not local or local[1] != kind or resource.get("id") != local[2]:
                raise BadRequest.of("a PUT names its resource's type and id", f"Bundle.entry[{place}].request.url")
            identity, request["made"] = local[2], False
        identity = identity or new_id(bucket_for(resource))
        request["resource"] = {**resource, "id": identity}
        request["identity"] = f"{kind}/{identity}"


def _names(requests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """fullUrl -> reference, and where fullUrl is an address of another server also its relative form."""
    names: dict[str, str] = {}
    for place, request in enumerate(requests):
        full, identity = request["full"], request.get("identity")
        if identity is None or not isinstance(full, str):
            continue
        if full in names:
            raise BadRequest.of("a fullUrl stands twice", f"Bundle.entry[{place}].fullUrl")
        names[full] = identity
        tail = _LOCAL.match("/".join(full.split("/")[-2:])) if full.startswith(("http://", "https://")) else None
        if tail and is_type(tail[1]):
            names.setdefault(tail[0], identity)
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
    match = await store.one_match(gate, kind, condition_of(kind, query), connection)
    if match is None:
        raise PreconditionFailed.of("a conditional reference must match exactly one resource", code="not-found")
    return match.reference
