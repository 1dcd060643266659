"""The demo's own addresses: the clock that can be moved, and what has left the house. Demo mode only.

They are open to whoever reaches the demo: every person in it is invented.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from varde.app import House
from varde.clock import MovableClock
from varde.work.summary import Left, messages

_MAXIMUM_BODY = 10_000
_MOST_MESSAGES = 1000
_CLOCK_LOCK = 0x434C4F43  # "CLOC"
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
        self._worker = house.worker()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        answers = {
            ("/demo/clock", "GET"): self._now,
            ("/demo/clock", "POST"): self._advance,
            ("/demo/outbox", "GET"): self._outbox,
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
        async with self._house.platform.database.transaction() as connection:
            # Two who move the clock at once, in whichever processes, do so one after the other.
            await connection.execute("select pg_advisory_xact_lock($1)", _CLOCK_LOCK)
            ran = await self._worker.drain(self._clock.now(), moving=self._move)
            ran += await self._worker.drain(self._clock.now() + by, moving=self._move)
        return {"now": self._clock.now().isoformat(), "ran": ran}

    def _move(self, to: datetime) -> None:
        """Let the clock come to `to`; it never goes back."""
        ahead = to - self._clock.now()
        if ahead > timedelta(0):
            self._clock.advance(ahead)

    async def _outbox(self, scope: MutableMapping[str, Any], receive: Any) -> dict[str, Any]:
        """What has left, newest first: `edge` and `key` narrow it, `before` (an id) and `count` page it."""
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        known = {"edge", "key", "before", "count"}
        if set(asked) - known:
            raise ValueError(f"only {', '.join(sorted(known))} may be asked for")
        if not all(asked.get(name, "1").isdigit() for name in ("before", "count")):
            raise ValueError("before and count are numbers")
        limit = min(int(asked.get("count", "100")), _MOST_MESSAGES)
        async with self._house.platform.database.connection() as connection:
            found = await messages(
                connection,
                edge=asked.get("edge"),
                key=asked.get("key"),
                before=int(asked["before"]) if "before" in asked else None,
                limit=limit,
            )
        return {
            "messages": [_shown(one) for one in found],
            "next": f"/demo/outbox?{urlencode({**asked, 'before': found[-1].id})}" if len(found) == limit else None,
        }


def _shown(one: Left) -> dict[str, Any]:
    return {
        "id": one.id,
        "edge": one.edge,
        "key": one.key,
        "state": one.state,
        "due": one.due.isoformat(),
        "handed_over": one.handed_over.isoformat() if one.handed_over else None,
        "attempts": one.attempts,
        "payload": one.payload,
        "receipts": [{"state": state, "at": at.isoformat()} for state, at in one.receipts],
    }


async def _send(send: Any, status: int, body: Any) -> None:
    content = orjson.dumps(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
