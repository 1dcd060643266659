"""FHIR's RESTful interactions: a request already read and let in, to an answer. No ASGI, no SQL.

One method an interaction; `perform` finds which one a method and path mean.
"""

from __future__ import annotations

import base64
import email.utils
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from varde.fhir import splice
from varde.fhir.bundle import process, written_entry
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, FhirError, MethodNotAllowed, NotFound, UnsupportedMediaType
from varde.fhir.exchange import Answer, Request
from varde.fhir.gate import Gate
from varde.fhir.model import Page, Stored, Written
from varde.fhir.operations import Operation, Operations
from varde.fhir.patch import PatchKind
from varde.fhir.search.dates import date_range
from varde.fhir.store import ABSENT, Store, reaches_all
from varde.fhir.summary import reduced
from varde.fhir.validating import VALIDATE
from varde.fhir.writing import is_id

_ETAG = re.compile(r'^(?:W/)?"([0-9]{1,9})"$')
OWN = (VALIDATE,)
"""The operations of every store."""
_RESERVED = {"_format", "_pretty", "_summary", "_elements"}


class Interactions:
    """Carries out requests against one store. `base` is the public address of the FHIR API; `operations` are what it
    does beside those that every store has."""

    def __init__(self, store: Store, base: str, operations: Sequence[Operation] = ()) -> None:
        self.store = store
        self.operations = Operations([*OWN, *operations])
        self.base = base.rstrip("/")

    async def perform(self, gate: Gate, request: Request) -> Answer:
        """Raises FhirError of every kind."""
        parts, method = request.segments, request.method
        if not parts:
            if method == "POST":
                return await self._bundle(gate, request)
            if method == "GET":
                return await self.search_all(gate, request)
            raise MethodNotAllowed.of("the base takes GET and POST")
        if parts[-1] == "_history" and method == "GET" and len(parts) <= 3:
            return await self._history(gate, request, parts[:-1])
        if parts[-1].startswith("$"):
            return await self.operations.call(gate, self.store, self.base, request)
        if parts == ["_search"]:
            return await self.search_all(gate, request)
        if not is_type(parts[0]):
            raise NotFound.of("no such resource type", code="not-supported")
        if len(parts) == 1:
            return await self._on_type(gate, request, parts[0])
        if len(parts) == 2:
            return await self._on_instance(gate, request, parts[0], parts[1])
        if len(parts) == 4 and parts[2] == "_history" and method == "GET":
            return await self._vread(gate, request, parts)
        if len(parts) == 3 and parts[0] == "Patient" and method == "GET":
            return await self._compartment(gate, request, parts[1], parts[2])
        raise NotFound.of("no such address", code="not-supported")

    async def _on_type(self, gate: Gate, request: Request, kind: str) -> Answer:
        if request.method == "GET":
            return await self._search(gate, request, kind)
        if request.method == "POST":
            return await self._create(gate, request, kind)
        condition = urlencode([(n, v) for n, v in request.query if n not in _RESERVED])
        if request.method == "PUT":
            written = await self.store.conditional_update(
                gate, kind, condition, request.body, if_match=_if_match(request), upsert=reaches_all(gate, kind),
                connection=request.connection,
            )  # fmt: skip
            return self._written(request, written)
        if request.method == "DELETE":
            await self.store.conditional_delete(gate, kind, condition, connection=request.connection)
            return Answer(204)
        if request.method == "PATCH":
            return await self._patch(gate, request, kind, None, condition)
        raise MethodNotAllowed.of("a type takes GET, POST, PUT, PATCH and DELETE")

    async def _on_instance(self, gate: Gate, request: Request, kind: str, identifier: str) -> Answer:
        if not is_id(identifier):
            raise NotFound.of(ABSENT)
        if request.method == "GET":
            stored = await self.store.read(gate, kind, identifier, connection=request.connection)
            return self._resource(request, stored)
        if request.method == "PUT":
            written = await self.store.update(
                gate, kind, identifier, request.body, if_match=_if_match(request), upsert=reaches_all(gate, kind),
                connection=request.connection,
            )  # fmt: skip
            return self._written(request, written)
        if request.method == "PATCH":
            return await self._patch(gate, request, kind, identifier, "")
        if request.method == "DELETE":
            await self.store.delete(
                gate, kind, identifier, if_match=_if_match(request), upsert=reaches_all(gate, kind),
                connection=request.connection,
            )  # fmt: skip
            return Answer(204)
        raise MethodNotAllowed.of("a resource takes GET, PUT, PATCH and DELETE")

    async def _create(self, gate: Gate, request: Request, kind: str) -> Answer:
        written = await self.store.create(
            gate,
            request.body,
            resource_type=kind,
            if_none_exist=request.headers.get("if-none-exist"),
            connection=request.connection,
        )
        return self._written(request, written)

    async def _patch(self, gate: Gate, request: Request, kind: str, identifier: str | None, condition: str) -> Answer:
        content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        try:
            patch_kind = PatchKind(content_type if content_type != "application/json" else PatchKind.JSON)
        except ValueError:
            raise UnsupportedMediaType.of("a patch is " + ", ".join(PatchKind)) from None
        if identifier is None:
            written = await self.store.conditional_patch(
                gate, kind, condition, request.body, patch_kind, if_match=_if_match(request),
                connection=request.connection,
            )  # fmt: skip
        else:
            written = await self.store.patch(
                gate, kind, identifier, request.body, patch_kind, if_match=_if_match(request),
                connection=request.connection,
            )  # fmt: skip
        return self._written(request, written)

    async def _vread(self, gate: Gate, request: Request, parts: list[str]) -> Answer:
        if not (parts[3].isascii() and parts[3].isdigit() and len(parts[3]) <= 9 and is_id(parts[1])):
            raise NotFound.of(ABSENT)
        stored = await self.store.vread(gate, parts[0], parts[1], int(parts[3]), connection=request.connection)
        return self._resource(request, stored)

    async def _search(self, gate: Gate, request: Request, kind: str) -> Answer:
        return await self._searched(gate, request, kind, None, kind)

    async def search_all(self, gate: Gate, request: Request) -> Answer:
        """Search over all types."""
        return await self._searched(gate, request, None, None, "")

    async def _compartment(self, gate: Gate, request: Request, patient: str, kind: str) -> Answer:
        if kind != "*" and not is_type(kind):
            raise NotFound.of("no such resource type", code="not-supported")
        if not is_id(patient):
            raise NotFound.of(ABSENT)
        return await self._searched(
            gate, request, None if kind == "*" else kind, patient, f"Patient/{quote(patient)}/{kind}"
        )

    async def _searched(
        self, gate: Gate, request: Request, kind: str | None, compartment: str | None, path: str
    ) -> Answer:
        lenient = "handling=lenient" in request.headers.get("prefer", "")
        page = await self.store.search(
            gate, kind, request.query, compartment=compartment, lenient=lenient, connection=request.connection
        )
        return Answer(200, self._bundle_of(request, page, path, "searchset"))

    async def _history(self, gate: Gate, request: Request, parts: list[str]) -> Answer:
        if parts and not is_type(parts[0]):
            raise NotFound.of("no such resource type", code="not-supported")
        if len(parts) == 2 and not is_id(parts[1]):
            raise NotFound.of(ABSENT)
        asked = dict(request.query)
        try:
            since = date_range(asked["_since"].replace(" ", "+"))[0] if asked.get("_since") else None
            at = date_range(asked["_at"].replace(" ", "+")) if asked.get("_at") else None
        except (ValueError, OverflowError):
            raise BadRequest.of("_since and _at are FHIR dates") from None
        unknown = set(asked) - {
            "_since",
            "_at",
            "_count",
            "_page",
            "_format",
            "_pretty",
            "_summary",
            "_elements",
        }
        if unknown:
            raise BadRequest.of("a history takes _since, _at and _count", code="not-supported")
        count = asked.get("_count", "20")
        if not (count.isascii() and count.isdigit()) or len(count) > 6:
            raise BadRequest.of("_count is a whole number, 0 or more")
        page = await self.store.history(
            gate, *parts, since=since, at=at, count=min(int(count), 1000), page=asked.get("_page"),
            connection=request.connection,
        )  # fmt: skip
        return Answer(200, self._bundle_of(request, page, "/".join([*parts, "_history"]), "history"))

    async def _bundle(self, gate: Gate, request: Request) -> Answer:
        parsed = splice.parse_exact(request.body)
        if not isinstance(parsed, dict) or parsed.get("resourceType") != "Bundle":
            raise BadRequest.of("the base takes a Bundle of type batch or transaction")

        async def single(
            method: str, url: str, resource: Any, conditions: Mapping[str, str], connection: Any
        ) -> dict[str, Any]:
            path, _, query = url.partition("?")
            body = splice.dump(resource) if isinstance(resource, dict) else b""
            content = "application/fhir+json"
            if method == "PATCH" and isinstance(resource, dict) and resource.get("resourceType") == "Binary":
                body, content = _patch_of(resource)
            headers = {**conditions, "content-type": content, "prefer": "return=minimal"}
            inner = Request(
                "GET" if method == "HEAD" else method, path.strip("/").split("/"),
                parse_qsl(query, keep_blank_values=True), headers, body, connection,
            )  # fmt: skip
            answer = await self.perform(gate, inner)
            return _entry(answer)

        return Answer(200, await process(self.store, gate, parsed, single))

    def _resource(self, request: Request, stored: Stored) -> Answer:
        headers = {
            "etag": stored.etag,
            "last-modified": email.utils.format_datetime(stored.updated.astimezone(UTC), usegmt=True),
        }
        if request.headers.get("if-none-match") == stored.etag:
            return Answer(304, None, headers)
        since = request.headers.get("if-modified-since")
        if since and "if-none-match" not in request.headers:
            try:
                if stored.updated.replace(microsecond=0) <= email.utils.parsedate_to_datetime(since):
                    return Answer(304, None, headers)
            except (TypeError, ValueError):
                pass  # an unreadable date is no condition (RFC 9110, 13.1.3)
        body: Any = stored.body
        asked = dict(request.query)
        if "_summary" in asked or "_elements" in asked:
            body = reduced(splice.parse_exact(stored.body), asked.get("_summary"), asked.get("_elements"))
        return Answer(200, body, headers)

    def _written(self, request: Request, written: Written) -> Answer:
        stored = written.stored
        headers = {
            "etag": stored.etag,
            "last-modified": email.utils.format_datetime(stored.updated.astimezone(UTC), usegmt=True),
            "location": f"{self.base}/{stored.reference}/_history/{stored.version}",
        }
        prefer = request.headers.get("prefer", "")
        status = 201 if written.created else 200
        if "return=minimal" in prefer:
            return Answer(status, None, headers)
        if "return=OperationOutcome" in prefer:
            issue = {"severity": "information", "code": "informational", "diagnostics": "stored"}
            return Answer(status, {"resourceType": "OperationOutcome", "issue": [issue]}, headers)
        return Answer(status, stored.body, headers)

    def _bundle_of(self, request: Request, page: Page, path: str, kind: str) -> bytes:
        """The Bundle as text, with each resource's bytes as stored."""
        asked = dict(request.query)
        query = [(n, v) for n, v in request.query if n != "_page"]
        here = f"{self.base}/{path}".rstrip("/")
        links = [{"relation": "self", "url": _link(here, request.query)}]
        if page.next is not None:
            links.append({"relation": "next", "url": _link(here, [*query, ("_page", page.next)])})
        summary, elements = asked.get("_summary"), asked.get("_elements")
        entries = []
        for entry in page.entries:
            stored = entry.stored
            head = f'{{"fullUrl":"{self.base}/{stored.reference}"'.encode()
            body = stored.body
            if body and (elements or summary not in {None, "false"}):
                body = splice.dump(reduced(splice.parse_exact(stored.body), summary, elements))
            text = head + (b',"resource":' + body if body else b"")
            if kind == "history":
                url = stored.type if entry.method == "POST" else stored.reference
                request_part = {"method": entry.method, "url": url}
                status = {"POST": "201", "PUT": "200", "DELETE": "204"}[entry.method]
                response = {"status": status, "etag": stored.etag, "lastModified": stored.last_updated}
                text += b',"request":' + orjson.dumps(request_part) + b',"response":' + orjson.dumps(response)
            else:
                text += b',"search":{"mode":"' + entry.mode.encode() + b'"}'
            entries.append(text + b"}")
        if page.warnings:
            outcome = {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "warning", "code": "not-supported", "diagnostics": w} for w in page.warnings],
            }
            entries.append(b'{"resource":' + orjson.dumps(outcome) + b',"search":{"mode":"outcome"}}')
        total = b"" if page.total is None else b',"total":%d' % page.total
        listed = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
        head = b'{"resourceType":"Bundle","type":"' + kind.encode() + b'"' + total
        return head + b',"link":' + orjson.dumps(links) + listed + b"}"


def _link(here: str, query: list[tuple[str, str]]) -> str:
    return f"{here}?{urlencode(query)}" if query else here


def _patch_of(binary: Mapping[str, Any]) -> tuple[bytes, str]:
    """(patch, media type) in a Binary that an entry of a Bundle carries."""
    try:
        patch = base64.b64decode(str(binary.get("data") or ""))
    except ValueError:
        raise BadRequest.of("the data of a Binary is base64") from None
    return patch, str(binary.get("contentType") or PatchKind.JSON)


def _if_match(request: Request) -> int | None:
    text = request.headers.get("if-match")
    if text is None:
        return None
    match = _ETAG.match(text.strip())
    if not match:
        raise BadRequest.of('If-Match is written W/"version"')
    return int(match[1])


def _entry(answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {"response": {"status": str(answer.status)}}
    for header, member in (("location", "location"), ("etag", "etag")):
        if header in answer.headers:
            entry["response"][member] = answer.headers[header]
    if answer.body:
        body = splice.parse_exact(answer.body) if isinstance(answer.body, bytes) else answer.body
        entry["resource"] = body
    return entry


__all__ = ["Answer", "FhirError", "Interactions", "Request", "written_entry"]
