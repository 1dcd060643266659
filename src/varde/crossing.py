"""The FHIR API for scripts of other sites (CORS), for apps that live in a browser alone.

Open to every origin: the API knows no cookie, so that a foreign page can do no more than any program, and a token is
the app's own. The pages are open to none.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

_ALLOWED = (b"access-control-allow-origin", b"*")
_SHOWN = (
    b"access-control-expose-headers",
    b"etag, location, content-location, last-modified, www-authenticate, retry-after, x-progress",
)
_PREFLIGHT = (
    _ALLOWED,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, prefer, if-match, if-none-match, if-none-exist, if-modified-since,"
        b" x-requested-with",
    ),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
)


def is_crossing(scope: Mapping[str, Any]) -> bool:
    """Whether a browser asks for another site's script."""
    return any(name == b"origin" for name, _ in scope["headers"])


async def preflight(send: Any) -> None:
    """Answer a browser's question before the request itself."""
    await send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)})
    await send({"type": "http.response.body", "body": b""})


def opened(send: Any) -> Any:
    """`send`, with the headers that let the script see the answer."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), _ALLOWED, _SHOWN]
        await send(message)

    return sending
