"""The HTTP face of the store: a bare ASGI application, since framework layers cost a third of a read.

Every request is authenticated before anything else is looked at (`/metadata` and discovery are open). What an
interaction does is in `interactions.py`; here are routes, headers and bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from varde.fhir.errors import BadRequest, FhirError, TooLarge, UnsupportedMediaType
from varde.fhir.gate import Gate
from varde.fhir.http import binary
from varde.fhir.http.cors import Cors
from varde.fhir.http.documents import TERMINOLOGY, Discovery, Documents
from varde.fhir.http.elsewhere import Elsewhere
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.failures import as_fhir_error
from varde.fhir.http.interactions import Interactions
from varde.fhir.http.negotiation import FHIR_JSON, FORM, answer_type, check_body, is_pretty, media_type
from varde.fhir.http.operations import Operation
from varde.fhir.http.proxy import Proxied
from varde.fhir.splice import dump, parse_exact
from varde.fhir.store import Store
from varde.fhir.terminology.capabilities import terminology_capabilities

MAXIMUM_BODY = 16 * 1024 * 1024
_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

Authenticate = Callable[[Mapping[str, str], str, str], Awaitable[Gate]]
"""(headers in lower case, method, path) -> Gate. Raises a FhirError of status 401."""


class Unauthorized(FhirError):
    """401: no token, or one that is not good. `challenge` goes into WWW-Authenticate."""

    status = 401
    code = "login"
    challenge = 'Bearer realm="fhir"'


class FhirApplication:
    """ASGI application for everything under `/fhir`.

    `origins`: web pages that may use the API from a browser ("*": all). `proxied`: how the caller's address is known
    behind a proxy that is trusted to say it.
    """

    def __init__(
        self,
        store: Store,
        authenticate: Authenticate,
        base: str,
        metadata: Discovery,
        smart_configuration: Discovery,
        operations: Sequence[Operation] = (),
        *,
        origins: Sequence[str] = ("*",),
        proxied: Proxied | None = None,
        documents: Mapping[str, Discovery] | None = None,
        others: Sequence[Elsewhere] = (),
    ) -> None:
        """`documents`: more that is open to everybody, by path. `others`: types that are not rows of the store."""
        self._authenticate = authenticate
        open_to_all = {
            "metadata": metadata,
            ".well-known/smart-configuration": smart_configuration,
            **(documents or {}),
        }
        if any(operation.name == "expand" for operation in operations):
            open_to_all[TERMINOLOGY] = cache(lambda: terminology_capabilities(base, str(metadata().get("date", ""))))
        self._documents = Documents(open_to_all)
        self._interactions = Interactions(store, base, operations, others)
        self._cors = Cors(origins)
        self._proxied = proxied

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope["headers"])
        told = [*self._cors.headers(headers.get("origin")), *_request_id(headers)]
        reply = _Reply(head=scope["method"] == "HEAD", headers=told)
        try:
            answer = await self._answer(scope, headers, receive, reply)
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            answer = _outcome(as_fhir_error(failure))
        await reply.send(send, answer)

    async def _answer(
        self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Any, reply: _Reply
    ) -> Answer:
        root, path, method = scope.get("root_path", ""), scope["path"], scope["method"]
        path = path[len(root) :] if root and path.startswith(root) else path
        path = path.strip("/")
        if method == "OPTIONS":
            return self._cors.preflight(headers)
        query = _query(scope["query_string"])
        if method in {"GET", "HEAD"} and path in self._documents:
            reply.negotiate(headers, query)
            return self._documents.answer(path, headers, query)
        gate = await self._authenticate(headers, method, scope["path"])
        segments = path.split("/") if path else []
        bulk = path.rpartition("/")[2].startswith("$")
        if method not in {"GET", "HEAD"} or not binary.is_native(segments, headers, query):
            reply.negotiate(headers, query, bulk=bulk)
        body = await _body(receive, headers) if method in _WITH_BODY else b""
        if method == "POST" and segments[-1:] == ["_search"]:
            query, body = [*query, *_form(headers, body)], b""
        elif body and (native := binary.taken(method, segments, headers, body)) is not None:
            body = native
        elif body:
            check_body(method, headers, bulk=bulk)
        base = self._proxied.base(headers) if self._proxied is not None else ""
        method = "GET" if method == "HEAD" else method
        return await self._interactions.perform(gate, Request(method, segments, query, headers, body, base=base))


def _headers(sent: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name in lower case; one that was sent several times with commas between (RFC 9110 5.3)."""
    found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent}
    if len(found) < len(sent):
        found = {}
        for name, value in sent:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _request_id(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The client's own mark of its request, given back to it (R4 3.1.0.1.6)."""
    found = headers.get("x-request-id", "")
    usable = 0 < len(found) <= 128 and found.isascii() and found.isprintable()
    return [(b"x-request-id", found.encode())] if usable else []


def _query(text: bytes) -> list[tuple[str, str]]:
    try:
        return _pairs(text.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        raise BadRequest.of("the query is not valid UTF-8") from None


def _pairs(said: str) -> list[tuple[str, str]]:
    """(name, value) of a query or form. Raises ValueError when an escape is not of UTF-8."""
    if "%" not in said and "+" not in said:  # as parse_qsl reads it, in a tenth of the time
        return [(name, value) for name, _, value in (part.partition("=") for part in said.split("&") if part)]
    return parse_qsl(said, keep_blank_values=True, errors="strict")


def _form(headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    if body and media_type(headers) != FORM:
        raise UnsupportedMediaType.of(f"_search takes {FORM}")
    try:
        return _pairs(body.decode("utf-8"))
    except (UnicodeDecodeError, ValueError):
        raise BadRequest.of("the form is not valid UTF-8") from None


async def _body(receive: Any, headers: Mapping[str, str]) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAXIMUM_BODY:
        raise TooLarge.of(f"a body is at most {MAXIMUM_BODY} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest.of("the request was broken off")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAXIMUM_BODY:
            raise TooLarge.of(f"a body is at most {MAXIMUM_BODY} bytes")
        parts.append(chunk)
        if not message.get("more_body"):
            return b"".join(parts)


def _outcome(error: FhirError) -> Answer:
    headers = dict(error.headers)
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = error.challenge
    if error.status == 503:
        headers["retry-after"] = "2"
    return Answer(error.status, error.outcome(), headers)


class _Reply:
    """How one answer is sent: its media type, its layout, and whether its body goes along."""

    def __init__(self, *, head: bool, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._head = head
        self._headers = headers
        self._kind = FHIR_JSON
        self._pretty = False

    def negotiate(self, headers: Mapping[str, str], query: Sequence[tuple[str, str]], *, bulk: bool = False) -> None:
        """Settle what the client wants. Raises NotAcceptable and BadRequest, which are sent as plain FHIR JSON."""
        self._pretty = is_pretty(query)
        self._kind = answer_type(headers, query, bulk=bulk)

    async def send(self, send: Any, answer: Answer) -> None:
        """Send the answer, headers first."""
        body = answer.body
        headers = [*_ALWAYS, *self._headers] if "cache-control" not in answer.headers else [_ALWAYS[1], *self._headers]
        headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        if isinstance(body, AsyncIterator):
            await self._stream(send, start, body)
            return
        if not isinstance(body, bytes):
            body = b"" if body is None else dump(body)
        if self._pretty and body and "content-type" not in answer.headers:
            body = dump(parse_exact(body), indent=True)
        if body and "content-type" not in answer.headers:
            headers.append((b"content-type", f"{self._kind}; charset=utf-8".encode()))
        if answer.status not in {204, 304}:
            headers.append((b"content-length", str(len(body)).encode()))
        await send(start)
        await send({"type": "http.response.body", "body": b"" if self._head or answer.status == 304 else body})

    async def _stream(self, send: Any, start: dict[str, Any], pieces: AsyncIterator[bytes]) -> None:
        await send(start)
        if not self._head:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


__all__ = ["FhirApplication", "Unauthorized"]
