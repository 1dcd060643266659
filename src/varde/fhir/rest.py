"""The HTTP face of the store: a bare ASGI application, since framework layers cost a third of a read.

Every request is authenticated before anything else is looked at (`/metadata` and discovery are open). What an
interaction does is in `interactions.py`; here are routes, headers and bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

import asyncpg
import structlog

from varde.fhir.errors import (
    BadRequest,
    FhirError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from varde.fhir.exchange import Answer, Request
from varde.fhir.gate import Gate
from varde.fhir.interactions import Interactions
from varde.fhir.operations import Operation
from varde.fhir.splice import dump, parse_exact
from varde.fhir.store import Store

MAXIMUM_BODY = 16 * 1024 * 1024
_FHIR_JSON = "application/fhir+json; charset=utf-8"
_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_NDJSON = ("application/fhir+ndjson", "application/ndjson", "ndjson")
"""What operations on data in bulk take and give (Bulk Data IG)."""
_OF_OPERATIONS = (*_NDJSON, "application/graphql")
"""Bodies that operations take beside JSON."""
_ACCEPTED = ("application/fhir+json", "application/json", "*/*", "application/*", "json", "text/json")
_log = structlog.get_logger("varde.fhir")

Authenticate = Callable[[Mapping[str, str], str, str], Awaitable[Gate]]
"""(headers in lower case, method, path) -> Gate. Raises a FhirError of status 401."""


class Discovery(Protocol):
    """What the open addresses answer."""

    def __call__(self) -> dict[str, Any]:
        """The document."""
        ...


class Unauthorized(FhirError):
    """401: no token, or one that is not good. `challenge` goes into WWW-Authenticate."""

    status = 401
    code = "login"
    challenge = 'Bearer realm="fhir"'


class FhirApplication:
    """ASGI application for everything under `/fhir`."""

    def __init__(
        self,
        store: Store,
        authenticate: Authenticate,
        base: str,
        metadata: Discovery,
        smart_configuration: Discovery,
        operations: Sequence[Operation] = (),
        documents: Mapping[str, Discovery] | None = None,
    ) -> None:
        """`documents`: more that is open to everybody, by path."""
        self._authenticate = authenticate
        self._open = {
            "metadata": metadata, ".well-known/smart-configuration": smart_configuration, **(documents or {}),
        }  # fmt: skip
        self._interactions = Interactions(store, base, operations)

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            return
        head = scope["method"] == "HEAD"
        try:
            answer = await self._answer(scope, receive)
        except FhirError as error:
            answer = _outcome(error)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, TimeoutError):
            answer = _outcome(Unavailable.of("the database is away; try again shortly"))
        except asyncpg.TooManyConnectionsError:
            answer = _outcome(Unavailable.of("too busy; try again shortly"))
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            answer = _outcome(Unavailable.of("other writers were in the way; try again"))
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("fhir.failure", method=scope["method"])
            answer = Answer(500, FhirError.of("an error of the server's own; it has been logged").outcome())
        await _send(send, answer, head, _pretty(scope))

    async def _answer(self, scope: Mapping[str, Any], receive: Any) -> Answer:
        root = scope.get("root_path", "")
        path = scope["path"]
        path = path[len(root) :] if root and path.startswith(root) else path
        path = path.strip("/")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method == "GET" and path in self._open:
            return Answer(200, self._open[path]())
        gate = await self._authenticate(headers, scope["method"], scope["path"])
        operation = path.rpartition("/")[2].startswith("$")
        _check_format(headers, scope["query_string"], (*_ACCEPTED, *_NDJSON) if operation else _ACCEPTED)
        body = await _body(receive, headers) if method in {"POST", "PUT", "PATCH"} else b""
        try:
            query = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
        except (UnicodeDecodeError, ValueError):
            raise BadRequest.of("the query is not valid UTF-8") from None
        segments = path.split("/") if path else []
        if segments[-1:] == ["_search"] and method == "POST":
            if "application/x-www-form-urlencoded" not in headers.get("content-type", ""):
                raise UnsupportedMediaType.of("_search takes application/x-www-form-urlencoded")
            try:
                query += parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict")
            except (UnicodeDecodeError, ValueError):
                raise BadRequest.of("the form is not valid UTF-8") from None
            method, segments, body = "GET", segments[:-1] or ["_all"], b""
        elif body:
            _check_body_type(method, headers, _OF_OPERATIONS if operation else ())
        if segments == ["_all"]:
            segments = []
            return await self._interactions.search_all(gate, Request("GET", [], query, headers, b""))
        return await self._interactions.perform(gate, Request(method, segments, query, headers, body))


def _pretty(scope: Mapping[str, Any]) -> bool:
    return b"_pretty=true" in scope.get("query_string", b"")


def _check_format(headers: Mapping[str, str], query: bytes, accepted: Sequence[str]) -> None:
    wanted = dict(parse_qsl(query.decode("latin-1"))).get("_format") if b"_format" in query else None
    if wanted is not None:
        wanted = wanted.replace(" ", "+").split(";")[0]
        if wanted not in {"json", "application/json", "application/fhir+json", "text/json"}:
            raise NotAcceptable.of("only JSON is given: application/fhir+json")
        return
    accept = headers.get("accept", "*/*")
    if accept in accepted:
        return
    kinds = [part.split(";")[0].strip() for part in accept.split(",")]
    if not any(kind in accepted for kind in kinds):
        raise NotAcceptable.of("only JSON is given: application/fhir+json")


class NotAcceptable(FhirError):
    """406: another format than JSON was asked for."""

    status = 406
    code = "not-supported"


def _check_body_type(method: str, headers: Mapping[str, str], more: Sequence[str] = ()) -> None:
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    fitting = {"application/fhir+json", "application/json", *more}
    if method == "PATCH":
        fitting = {*fitting, "application/json-patch+json", "application/merge-patch+json"}
    if kind not in fitting:
        raise UnsupportedMediaType.of("the body must be application/fhir+json")


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
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = error.challenge
    if error.status == 503:
        headers["retry-after"] = "2"
    return Answer(error.status, error.outcome(), headers)


async def _stream(send: Any, answer: Answer, pieces: AsyncIterator[bytes], head: bool) -> None:
    headers = [*_ALWAYS, *((name.encode(), value.encode("latin-1")) for name, value in answer.headers.items())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if not head:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send(send: Any, answer: Answer, head: bool, pretty: bool) -> None:
    body = answer.body
    if isinstance(body, AsyncIterator):
        await _stream(send, answer, body, head)
        return
    if not isinstance(body, bytes):
        body = b"" if body is None else dump(body)
    if pretty and body:
        body = dump(parse_exact(body), indent=True)
    headers = list(_ALWAYS)
    if body and "content-type" not in answer.headers:
        headers.append((b"content-type", _FHIR_JSON.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head or answer.status == 304 else body})


__all__ = ["FhirApplication", "MethodNotAllowed", "NotFound", "Unauthorized"]
