"""Cross-origin requests: which web pages may use the API from a browser, and what their scripts may see.

The API knows bearer tokens only, never cookies, so a page that has no token gets nothing by being let in: any origin
may be allowed. Source: fetch.spec.whatwg.org, "HTTP-network-or-cache fetch" and "CORS protocol".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varde.fhir.http.exchange import Answer

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = ("accept, authorization, cache-control, content-type, dpop, if-match, if-modified-since, if-none-exist,"
            " if-none-match, prefer, x-request-id, x-requested-with, x-security-context")  # fmt: skip
_SHOWN = (b"Content-Location, DPoP-Nonce, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Progress,"
          b" X-Request-Id")  # fmt: skip
_SECONDS = "7200"
"""How long a browser need not ask again."""


class Cors:
    """The answer's headers for pages of the given origins ("*": all)."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._every = "*" in origins
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def headers(self, origin: str | None) -> list[tuple[bytes, bytes]]:
        """What an answer to a page of `origin` says; nothing to those that are no page or are not let in."""
        if origin is None:
            return []
        if self._every:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _SHOWN)]
        allowed = origin in self._origins
        found = [(b"vary", b"Origin")]
        if allowed:
            found.append((b"access-control-allow-origin", origin.encode("latin-1")))
            found.append((b"access-control-expose-headers", _SHOWN))
        return found

    def preflight(self, headers: Mapping[str, str]) -> Answer:
        """The answer to OPTIONS, which a browser asks before the request itself, and without its token."""
        answer = Answer(204, None, {"allow": METHODS})
        origin = headers.get("origin")
        asked = "access-control-request-method" in headers
        if asked and origin is not None and (self._every or origin in self._origins):
            answer.headers["access-control-allow-methods"] = METHODS
            answer.headers["access-control-allow-headers"] = _HEADERS
            answer.headers["access-control-max-age"] = _SECONDS
        return answer
