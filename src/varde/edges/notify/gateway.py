"""SMS through a gateway over HTTP: one POST a message, with the key as Idempotency-Key.

Gateways differ in their form; this one is plain JSON, and a supplier of another form gets a file beside this one.
Request: POST {address}, `Authorization: Bearer`, `Idempotency-Key`, {"to", "sender", "text"}. Answer: 2xx with
{"id"}; the same key again gives the first answer (draft-ietf-httpapi-idempotency-key-header). A 409 says that the
key is being worked on, a 422 that it was used for another message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import orjson

from varde.clock import Clock
from varde.edges.notify import Notification
from varde.work.outbox import Outcome, Passing, Permanent, Receipt, Unknown

_AT_ONCE = 20
_PASSING = {408, 409, 425, 429}
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class SmsGateway:
    """One gateway. `recognises_keys` is what the supplier warrants: without it an unclear outcome is Unknown."""

    def __init__(
        self, address: str, token: str, clock: Clock, http: httpx.AsyncClient, *, recognises_keys: bool = True
    ) -> None:
        self.recognises_keys = recognises_keys
        self._address = address
        self._token = token
        self._clock = clock
        self._http = http
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def carry(self, notifications: Sequence[tuple[str, Notification]]) -> Sequence[Outcome]:
        """Hand over, some at once. See Carrier."""
        return await asyncio.gather(*(self._one(key, notification) for key, notification in notifications))

    async def _one(self, key: str, notification: Notification) -> Outcome:
        content = {"to": notification.to, "sender": notification.sender, "text": notification.text}
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Idempotency-Key": f'"{key}"',
            "Content-Type": "application/json",
        }
        async with self._free:
            try:
                answer = await self._http.post(self._address, content=orjson.dumps(content), headers=headers)
            except _NEVER_SENT as error:
                return Passing(type(error).__name__)
            except httpx.HTTPError as error:
                return self._unclear(type(error).__name__)
        return self._outcome(key, answer)

    def _outcome(self, key: str, answer: httpx.Response) -> Outcome:
        """What an answer means: 2xx taken; 408, 409, 425, 429 and 503 later; other 5xx unclear; the rest never."""
        status = answer.status_code
        if 200 <= status < 300:
            return Receipt(key, "received", self._clock.now(), _reference(answer))
        if status in _PASSING or status == 503:
            return Passing(f"status {status}")
        if status >= 500:
            return self._unclear(f"status {status}")
        if status in {401, 403}:
            return Passing(f"status {status}: the gateway does not let us in")
        return Permanent(f"status {status}")

    def _unclear(self, why: str) -> Outcome:
        return Passing(why) if self.recognises_keys else Unknown(why)


def _reference(answer: httpx.Response) -> str | None:
    """The gateway's own id of the message; it was taken also when the answer says no more."""
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    reference = body.get("id") if isinstance(body, dict) else None
    return str(reference)[:100] if reference is not None else None
