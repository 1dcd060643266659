"""Answers as FHIR writes them: one resource, the outcome of a write, a Bundle of a search or a history.

Pure; a resource's bytes go out as they are stored wherever nothing was to be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import orjson

from varde.fhir import splice
from varde.fhir.http import binary
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.headers import is_unchanged, preference, validators
from varde.fhir.model import Entry, Page, Stored, Written
from varde.fhir.summary import check_shape, reduced

_WITH = {"POST": "201", "PUT": "200", "DELETE": "204"}


def outcome_done() -> dict[str, Any]:
    """The OperationOutcome of what went well."""
    issue = {"severity": "information", "code": "informational", "diagnostics": "done"}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def shape(query: Sequence[tuple[str, str]]) -> tuple[str | None, str | None]:
    """(`_summary`, `_elements`) as asked; (None, None) for the whole. Raises BadRequest."""
    summary = elements = None
    for name, value in query:
        if name == "_summary":
            summary = value or None
        elif name == "_elements":
            elements = ",".join(part for part in (elements, value) if part)
    check_shape(summary, elements)
    return (None if summary == "false" else summary), elements or None


def _body(stored: Stored, summary: str | None, elements: str | None) -> bytes:
    if summary is None and elements is None:
        return stored.body
    return splice.dump(reduced(splice.parse_exact(stored.body), summary, elements))


def version_address(base: str, stored: Stored) -> str:
    """Where a version is read."""
    return f"{base}/{stored.reference}/_history/{stored.version}"


def resource(request: Request, stored: Stored) -> Answer:
    """What a read or vread answers; 304 for who has it already (conditional read)."""
    headers = validators(stored)
    if is_unchanged(request.headers, stored):
        return Answer(304, None, headers)
    headers["content-location"] = version_address(request.base, stored)
    if stored.type == "Binary" and binary.is_native(request.segments, request.headers, request.query):
        return binary.content(stored, headers)
    return Answer(200, _body(stored, *shape(request.query)), headers)


def written(request: Request, outcome: Written) -> Answer:
    """What a create, update or patch answers: the resource, unless the client prefers less."""
    stored = outcome.stored
    address = version_address(request.base, stored)
    headers = {**validators(stored), "location": address}
    status = 201 if outcome.created else 200
    wanted = preference(request.headers).returns
    if wanted == "minimal":
        return Answer(status, None, headers)
    if wanted == "OperationOutcome":
        return Answer(status, outcome_done(), headers)
    headers["content-location"] = address
    return Answer(status, _body(stored, *shape(request.query)), headers)


def deleted(request: Request, version: int | None = None) -> Answer:
    """What a delete answers; `version` is the one that says so."""
    headers = {} if version is None else {"etag": f'W/"{version}"'}
    if preference(request.headers).returns == "OperationOutcome":
        return Answer(200, outcome_done(), headers)
    return Answer(204, None, headers)


def bundle(request: Request, page: Page, path: str, kind: str) -> bytes:
    """A page of a search ("searchset") or a history ("history") as a Bundle."""
    summary, elements = shape(request.query)
    parts = [_entry(request.base, entry, summary, elements, history=kind == "history") for entry in page.entries]
    if page.warnings:
        parts.append(_warnings(page.warnings))
    total = b"" if page.total is None else b',"total":%d' % page.total
    listed = b',"entry":[' + b",".join(parts) + b"]" if parts else b""
    head = b'{"resourceType":"Bundle","type":"' + kind.encode() + b'"' + total
    return head + b',"link":' + orjson.dumps(_links(request, page, path)) + listed + b"}"


def _links(request: Request, page: Page, path: str) -> list[dict[str, str]]:
    here = f"{request.base}/{path}".rstrip("/")
    # The address of what was answered, which is without the parameters that were not understood (R4 3.1.1.1.2).
    used = [pair for pair in request.query if pair not in page.ignored]
    links = [{"relation": "self", "url": _link(here, used)}]
    first = [(name, value) for name, value in used if name != "_page"]
    if page.next is not None:
        links.append({"relation": "next", "url": _link(here, [*first, ("_page", page.next)])})
    if page.previous is not None:
        links.append({"relation": "previous", "url": _link(here, [*first, ("_page", page.previous)])})
    if first != used:
        links.append({"relation": "first", "url": _link(here, first)})
    return links


def _link(here: str, query: Sequence[tuple[str, str]]) -> str:
    return here + "?" + "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query) if query else here


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return quote_plus(text)


def _entry(base: str, entry: Entry, summary: str | None, elements: str | None, *, history: bool) -> bytes:
    stored = entry.stored
    if entry.inside is not None:
        return _inside(base, stored, entry.inside, summary, elements)
    text = f'{{"fullUrl":"{base}/{stored.reference}"'.encode()
    if stored.body:
        text += b',"resource":' + _body(stored, summary, elements)
    if not history:
        return text + b',"search":{"mode":"' + entry.mode.encode() + b'"}}'
    asked = {"method": entry.method, "url": stored.type if entry.method == "POST" else stored.reference}
    answered = {"status": _WITH[entry.method], "etag": stored.etag, "lastModified": stored.last_updated}
    return text + b',"request":' + orjson.dumps(asked) + b',"response":' + orjson.dumps(answered) + b"}"


def _inside(base: str, stored: Stored, name: str, summary: str | None, elements: str | None) -> bytes:
    """A contained resource that matched; its address is its container's, with its own id after # (R4 3.1.1.5.7)."""
    found = next(one for one in splice.parse_exact(stored.body)["contained"] if one.get("id") == name)
    shown = splice.dump(found if summary is None and elements is None else reduced(found, summary, elements))
    full = orjson.dumps(f"{base}/{stored.reference}#{name}")
    return b'{"fullUrl":' + full + b',"resource":' + shown + b',"search":{"mode":"match"}}'


def _warnings(texts: Sequence[str]) -> bytes:
    issues = [{"severity": "warning", "code": "not-supported", "diagnostics": text} for text in texts]
    outcome: dict[str, Any] = {"resourceType": "OperationOutcome", "issue": issues}
    return b'{"resource":' + orjson.dumps(outcome) + b',"search":{"mode":"outcome"}}'
