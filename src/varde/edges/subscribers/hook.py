"""The sender of web hooks: makes a notification of the events that a message names, signs it, and posts it.

Everything is decided when it leaves: whether the subscription still asks, what its owner may see now, and where the
address leads. What an answer means: 2xx taken, 410 gone for good, everything else later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore

from varde import __version__
from varde.clock import Clock
from varde.db import Database
from varde.edges.subscribers import DELIVERED, EDGE, HANDSHAKES, LET_OUT, REFUSED, WITHDRAWN, Rights
from varde.edges.subscribers.addresses import Allowed, NotAllowed
from varde.edges.subscribers.signing import HEADER, Signer
from varde.fhir.subscriptions import events, state
from varde.fhir.subscriptions.model import Content
from varde.fhir.subscriptions.notification import EVENTS, HANDSHAKE, bundle
from varde.fhir.subscriptions.state import State
from varde.work.outbox import Message, Outcome, Passing, Permanent, Receipt
from varde.work.waits import fault

_PATIENCE = 1.0
"""Seconds that others wait for a slow one. It goes on by itself, and is heard of when it is tried again."""
_MOST = 65_536
"""Bytes of an answer that are read, so that the connection can be used again."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """One HTTP request."""

    method: str
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class WebHooks:
    """See `work.outbox.Sender`. A subscriber may get a notification twice, and knows it by its id."""

    edge = EDGE
    recognises_keys = True
    batch = 16

    def __init__(
        self,
        database: Database,
        clock: Clock,
        base: str,
        rights: Rights,
        allowed: Allowed,
        signer: Signer,
        pool: httpcore.AsyncConnectionPool,
    ) -> None:
        """`base`: the public address of the FHIR API."""
        self._database = database
        self._clock = clock
        self._base = base
        self._rights = rights
        self._allowed = allowed
        self._signer = signer
        self._pool = pool
        self._under_way: dict[str, asyncio.Task[Outcome]] = {}

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hand over, all at once."""
        async with self._database.connection() as connection:
            states = await state.by_ids(connection, [message.payload["subscription"] for message in messages])
        tasks = []
        for message in messages:
            task = self._under_way.pop(message.key, None)
            if task is None:
                task = asyncio.create_task(self._one(message, states.get(message.payload["subscription"])))
            tasks.append(task)
        await asyncio.wait(tasks, timeout=_PATIENCE)
        outcomes: list[Outcome] = []
        for message, task in zip(messages, tasks, strict=True):
            if task.done():
                outcomes.append(task.result())
            else:
                self._under_way[message.key] = task
                outcomes.append(Passing("the subscriber has not answered yet"))
        return outcomes

    async def _one(self, message: Message, subscription: State | None) -> Outcome:
        kind = message.payload["kind"]
        if subscription is None or subscription.sending != message.key or subscription.status == "off":
            return self._receipt(message, WITHDRAWN)
        gate = await self._rights(subscription.holder)
        if gate is None:
            return self._receipt(message, WITHDRAWN, LET_OUT)
        try:
            letters = await self._letters(message, subscription, gate)
            for letter in letters:
                await self._post(message, subscription, letter)
        except _Answered as answer:
            return self._failed(message, kind, answer.why, for_good=answer.for_good)
        except NotAllowed as error:
            return self._failed(message, kind, str(error), for_good=True)
        except (httpcore.TimeoutException, TimeoutError):
            return self._failed(message, kind, "the endpoint did not answer in time")
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return self._failed(message, kind, f"the endpoint could not be reached: {type(error).__name__}")
        except Exception as error:  # the database or the access log is away: nothing left, or it is sent again
            return Passing(fault(error))
        return self._receipt(message, DELIVERED)

    def _failed(self, message: Message, kind: str, why: str, *, for_good: bool = False) -> Outcome:
        if kind == HANDSHAKE and (for_good or message.attempts >= HANDSHAKES):
            return self._receipt(message, REFUSED, why)
        return Permanent(why) if for_good else Passing(why)

    def _receipt(self, message: Message, word: str, why: str | None = None) -> Receipt:
        return Receipt(message.key, word, self._clock.now(), detail={"why": why} if why else {})

    async def _letters(self, message: Message, subscription: State, gate: Any) -> list[_Letter]:
        wanted, payload, now = subscription.wanted, message.payload, self._clock.now()
        assert wanted.endpoint is not None
        if payload["kind"] != EVENTS:
            body = bundle(self._base, message.key, now, subscription, payload["kind"], content=_content(subscription))
            return [_Letter("POST", wanted.endpoint, body)]
        async with self._database.connection() as connection:
            some = await events.between(connection, subscription.rid, payload["first"], payload["last"])
            seen = await events.seen_now(connection, gate, some) if some else {}
        if wanted.topic is None:
            return self._plain(subscription, some, seen)
        content = _content(subscription)
        body = bundle(
            self._base, message.key, now, subscription, EVENTS, number=payload["last"], events=some, seen=seen,
            content=content,
        )  # fmt: skip
        return [_Letter("POST", wanted.endpoint, body)]

    def _plain(self, subscription: State, some: Sequence[events.Event], seen: dict[int, Any]) -> list[_Letter]:
        """R4's own form: an empty POST, or with a payload an update below the endpoint (R4 Subscription, rest-hook)."""
        wanted = subscription.wanted
        assert wanted.endpoint is not None
        letters = []
        for event in some:
            now = seen.get(event.resource)
            if now is None or now.deleted:
                continue
            if wanted.payload:
                letters.append(_Letter("PUT", f"{wanted.endpoint.rstrip('/')}/{event.reference}", now.body))
            else:
                letters.append(_Letter("POST", wanted.endpoint, b""))
        return letters

    async def _post(self, message: Message, subscription: State, letter: _Letter) -> None:
        """Raises _Answered for anything but success, NotAllowed, httpcore's errors."""
        self._allowed.judge(letter.url)
        at = self._clock.now()
        async with asyncio.timeout(subscription.wanted.timeout):
            async with self._pool.stream(
                letter.method, letter.url, headers=self._headers(message, subscription, letter, at),
                content=letter.body, extensions={"timeout": _timeouts(subscription.wanted.timeout)},
            ) as answer:  # fmt: skip
                await _read(answer)
                status = answer.status
        if 200 <= status < 300:
            return
        if status == 410:
            raise _Answered("the endpoint answered 410: it is gone", for_good=True)
        if 300 <= status < 400:
            raise _Answered(f"the endpoint answered {status}; redirects are not followed")
        raise _Answered(f"the endpoint answered {status}")

    def _headers(
        self, message: Message, subscription: State, letter: _Letter, at: datetime
    ) -> list[tuple[bytes, bytes]]:
        signature = self._signer.signature(
            letter.body, at=at, name=message.key, to=letter.url, subscription=subscription.id
        )
        headers = [
            ("host", urlsplit(letter.url).netloc),
            ("content-type", "application/fhir+json; charset=utf-8"),
            ("content-length", str(len(letter.body))),
            ("user-agent", f"Varde/{__version__}"),
            ("x-notification-id", message.key),
            (HEADER, signature),
            *subscription.wanted.headers,
        ]
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]

    async def receipts(self) -> Sequence[Receipt]:
        """None: an answer is the receipt."""
        return ()

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Nothing."""


class _Answered(Exception):
    """The endpoint answered something other than yes."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.for_good = for_good


def _content(subscription: State) -> Content:
    return subscription.wanted.content or Content.EMPTY


def _timeouts(seconds: int) -> dict[str, float]:
    return {"connect": min(seconds, 5), "read": seconds, "write": seconds, "pool": seconds}


async def _read(answer: httpcore.Response) -> None:
    size = 0
    async for chunk in answer.aiter_stream():
        size += len(chunk)
        if size > _MOST:
            return
