"""The demo's own addresses: the clock that can be moved, and what has left the house. Demo mode only.

They are open to whoever reaches the demo: every person in it is invented.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import orjson

from varde.app import House
from varde.clock import MovableClock

_MAXIMUM_BODY = 10_000
_FARTHEST = timedelta(days=366)
_DURATION = re.compile(r"P(?:(\d{1,3})W)?(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?")


def duration(text: object) -> timedelta:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds: P5D, PT36H. Raises ValueError."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groups()) or str(text).endswith("T"):
        raise ValueError("advance is an ISO 8601 duration of days and times, such as P5D or PT2H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    made = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if made > _FARTHEST:
        raise ValueError("the clock is moved by at most 366 days at a time")
    return made


class Endpoints:
    """/demo/clock and /demo/outbox, as a bare ASGI application."""

    PATHS = frozenset({"/demo/clock", "/demo/outbox"})

    def __init__(self, house: House) -> None:
        clock = house.platform.clock
        assert isinstance(clock, MovableClock), "demo mode without the demo's clock"
        self._clock = clock
        self._house = house

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        answers = {
            ("/demo/clock", "GET"): self._now,
            ("/demo/clock", "POST"): self._advance,
        }
        answer = answers.get((scope["path"], method))
        if answer is None:
            await _send(send, 405, {"error": "this method is not for this address"})
            return
        try:
            await _send(send, 200, await answer(scope, receive))
        except ValueError as error:
            await _send(send, 400, {"error": str(error)})

    async def _now(self, scope: MutableMapping[str, Any], receive: Any) -> dict[str, Any]:
        return {"now": self._clock.now().isoformat()}

    async def _advance(self, scope: MutableMapping[str, Any], receive: Any) -> dict[str, Any]:
        body = b""
        more = True
        while more and len(body) <= _MAXIMUM_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = bool(message.get("more_body"))
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise ValueError('the body is JSON: {"advance": "P5D"}') from None
        by = duration(given.get("advance") if isinstance(given, dict) else None)
        self._clock.advance(by)
        return {"now": self._clock.now().isoformat()}


async def _send(send: Any, status: int, body: Any) -> None:
    content = orjson.dumps(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
