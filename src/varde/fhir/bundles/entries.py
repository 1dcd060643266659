"""The entries of a batch or transaction: what each asks, and doing one the way it would be done alone.

What the entries of a Bundle have to do with one another is in `bundle.py` and `transaction.py`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from varde.fhir import splice
from varde.fhir.errors import BadRequest, FhirError, Issue
from varde.fhir.gate import Gate
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.headers import preference
from varde.fhir.http.negotiation import FHIR_JSON
from varde.fhir.patching.patch import PatchKind
from varde.fhir.splice import instant

METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
"""In the order in which a transaction does them."""
_CONDITIONS = (("if-match", "ifMatch"), ("if-none-match", "ifNoneMatch"), ("if-none-exist", "ifNoneExist"),
               ("if-modified-since", "ifModifiedSince"))  # fmt: skip

Perform = Callable[[Gate, Request], Awaitable[Answer]]
"""The HTTP face's way of doing one request."""


@dataclass(slots=True)
class Entry:
    """One entry of a batch or transaction, as asked."""

    place: int
    method: str
    url: str
    """Relative to the base, without a slash before it."""
    resource: Any
    full: str | None
    """Its fullUrl, by which others of the Bundle refer to it."""
    conditions: dict[str, str] = field(default_factory=dict)
    """Its conditions, by the names of their headers."""

    @property
    def path(self) -> str:
        """The address without its query."""
        return self.url.partition("?")[0]

    @property
    def query(self) -> str:
        """The query of the address."""
        return self.url.partition("?")[2]

    def fault(self, error: FhirError) -> FhirError:
        """`error` with its issues pointing to this entry."""
        here = f"Bundle.entry[{self.place}]"
        error.issues[:] = [
            issue
            if (issue.expression or "").startswith("Bundle.entry[")
            else Issue(issue.code, issue.diagnostics, _below(here, issue.expression), issue.severity)
            for issue in error.issues
        ]
        return error


def _below(here: str, expression: str | None) -> str:
    """FHIRPath of an element of the entry's resource: Patient.name[0] as Bundle.entry[3].resource.name[0]."""
    return here if not expression else f"{here}.resource{expression[len(expression.partition('.')[0]) :]}"


def read_entry(given: Any, place: int, base: str) -> Entry:
    """The entry as asked. Raises BadRequest, pointing to what is wrong with it."""
    here = f"Bundle.entry[{place}]"
    asked = given.get("request") if isinstance(given, dict) else None
    if not isinstance(asked, dict) or not isinstance(asked.get("url"), str) or asked.get("method") not in METHODS:
        raise BadRequest.of("an entry has a request with method and url", f"{here}.request")
    resource, full = given.get("resource"), given.get("fullUrl")
    if resource is not None and not isinstance(resource, dict):
        raise BadRequest.of("a resource is an object", f"{here}.resource")
    if full is not None and not isinstance(full, str):
        raise BadRequest.of("fullUrl is a text", f"{here}.fullUrl")
    method = asked["method"]
    if resource is None and method in {"PUT", "PATCH"}:
        raise BadRequest.of(f"an entry that does {method} has a resource", f"{here}.resource")
    conditions = {}
    for header, member in _CONDITIONS:
        value = asked.get(member)
        if value is not None and not isinstance(value, str):
            raise BadRequest.of(f"{member} is a text", f"{here}.request.{member}")
        if value:
            conditions[header] = value
    url = asked["url"].removeprefix(base).lstrip("/")
    return Entry(place, method, url, resource, full, conditions)


@dataclass(frozen=True, slots=True)
class Single:
    """Does one entry the way the same request alone would be done."""

    gate: Gate
    outer: Request
    perform: Perform

    @property
    def returns(self) -> str:
        """What the entries' answers carry: "minimal" unless the client prefers more."""
        return preference(self.outer.headers).returns or "minimal"

    async def __call__(self, entry: Entry, connection: Any = None) -> dict[str, Any]:
        """The response entry. Raises FhirError."""
        body = splice.dump(entry.resource) if entry.resource is not None else b""
        content = FHIR_JSON
        if entry.method == "PATCH" and entry.resource.get("resourceType") == "Binary":
            body, content = patch_of(entry.resource)
        prefer = f"return={self.returns}"
        if preference(self.outer.headers).lenient:
            prefer += "; handling=lenient"
        try:
            segments = [unquote(part, errors="strict") for part in entry.path.strip("/").split("/")]
            query = parse_qsl(entry.query, keep_blank_values=True, errors="strict")
        except ValueError:
            raise BadRequest.of("the address is not valid UTF-8") from None
        if segments == [""]:
            segments = []
            if entry.method == "POST":
                raise BadRequest.of("a Bundle inside a Bundle is not carried out", code="not-supported")
        method = "GET" if entry.method == "HEAD" else entry.method
        headers = {**entry.conditions, "accept": FHIR_JSON, "content-type": content, "prefer": prefer}
        request = Request(method, segments, query, headers, body, connection, self.outer.base)
        answer = await self.perform(self.gate, request)
        return await self._told(answer, head=entry.method == "HEAD")

    async def _told(self, answer: Answer, *, head: bool) -> dict[str, Any]:
        response: dict[str, Any] = {"status": f"{answer.status} {HTTPStatus(answer.status).phrase}"}
        entry: dict[str, Any] = {"response": response}
        if "location" in answer.headers:
            response["location"] = answer.headers["location"].removeprefix(f"{self.outer.base}/")
        if "etag" in answer.headers:
            response["etag"] = answer.headers["etag"]
        if "last-modified" in answer.headers:
            response["lastModified"] = instant(parsedate_to_datetime(answer.headers["last-modified"]))
        resource = None if head else await _resource(answer)
        if resource is None:
            return entry
        meta = resource.get("meta")
        if isinstance(meta, dict) and "etag" in answer.headers and "lastUpdated" in meta:
            response["lastModified"] = meta["lastUpdated"]  # finer than the header
        if resource.get("resourceType") == "OperationOutcome" and self.returns == "OperationOutcome":
            response["outcome"] = resource
        else:
            entry["resource"] = resource
        return entry


async def _resource(answer: Answer) -> dict[str, Any] | None:
    body = answer.body
    if isinstance(body, AsyncIterator):
        body = b"".join([piece async for piece in body])
    if not body:
        return None
    resource = splice.parse_exact(body) if isinstance(body, bytes) else body
    if not isinstance(resource, dict):
        raise BadRequest.of("what this answers with has no place in a Bundle", code="not-supported")
    return resource


def patch_of(binary: Mapping[str, Any]) -> tuple[bytes, str]:
    """(patch, media type) in a Binary that an entry of a Bundle carries. Raises BadRequest."""
    try:
        patch = base64.b64decode(str(binary.get("data") or ""), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest.of("the data of a Binary is base64") from None
    return patch, str(binary.get("contentType") or PatchKind.JSON)
