"""Websockets: a client binds to its subscriptions with a token and is sent every notification as it comes.

    bind-with-token: TOKEN                          from now on
    bind-with-token: TOKEN eventsSinceNumber=17     from event 17 on, also those that came while it was away

The token is from `$get-ws-binding-token`, good once. A subscription on R4's own criteria is answered in R4's own words:
`bound ID`, `ping ID`. Events are numbered by another process: PostgreSQL tells of them, and a look each second
finds what was told while nobody listened.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import asyncpg
import structlog

from varde.clock import Clock
from varde.db import Database
from varde.edges.subscribers import CHANNEL, LET_OUT, Rights
from varde.fhir.gate import Gate
from varde.fhir.subscriptions import events, state
from varde.fhir.subscriptions.model import Channel, Content
from varde.fhir.subscriptions.notification import EVENTS, HANDSHAKE, HEARTBEAT, bundle
from varde.fhir.subscriptions.operations import digest
from varde.fhir.subscriptions.state import State

PATH = "/fhir/ws"
_BIND = re.compile(r"bind-with-token:? ([\w-]{20,100})(?: eventsSinceNumber=([0-9]{1,18}))?", re.ASCII)
_UNBOUND_SECONDS = 15
_POLL = 1.0
_RIGHTS_SECONDS = 10.0
"""How often it is asked whether a subscriber is still let in, where nothing happens."""
_MOST_SOCKETS = 2000
_MOST_BOUND = 200
_NORMAL, _POLICY, _BUSY = 1000, 1008, 1013
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_log = structlog.get_logger("varde.subscriptions")


class News:
    """Wakes whoever waits for a subscription's news. One a process; listens only while somebody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[asyncio.Event, set[str]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def waiting(self, wake: asyncio.Event, ids: set[str]) -> AsyncIterator[None]:
        """`wake` is set when one of `ids`, which may grow meanwhile, has news."""
        self._waiting[wake] = ids
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen_for_ever(), name="subscription-news")
        try:
            yield
        finally:
            del self._waiting[wake]
            if not self._waiting:
                await self.stop()

    async def stop(self) -> None:
        """Let go of the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _listen_for_ever(self) -> None:
        connection: Any = None
        known: dict[str, int] = {}
        try:
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._database.dedicated()
                        await connection.add_listener(CHANNEL, self._told)
                    known = await self._look(connection, known)
                except _AWAY as error:
                    _log.warning("subscriptions.deaf", fault=type(error).__name__)
                await asyncio.sleep(_POLL)
        finally:
            if connection is not None:
                connection.terminate()

    async def _look(self, connection: Any, known: dict[str, int]) -> dict[str, int]:
        """Find what was told while nobody listened; what is known now."""
        ids = sorted(set().union(*self._waiting.values()))
        rows = await connection.fetch(
            "select id, numbered + changed as news from subscription where id = any($1::text[])", ids
        )
        found = {row["id"]: row["news"] for row in rows}
        for identifier in ids:
            if found.get(identifier) != known.get(identifier):
                self._told(connection, 0, CHANNEL, identifier)
        return found

    def _told(self, connection: Any, process: int, channel: str, identifier: Any) -> None:
        for wake, ids in self._waiting.items():
            if identifier in ids:
                wake.set()


@dataclass(slots=True)
class _Bound:
    """One subscription of a socket."""

    state: State
    sent: int
    at: float
    """When something was sent last, by the process's own heart."""


class _Closed(Exception):
    """The socket is to be closed."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Sockets:
    """All websockets of one process. `base`: the public address of the FHIR API."""

    def __init__(self, database: Database, clock: Clock, base: str, rights: Rights) -> None:
        self._database = database
        self._clock = clock
        self._base = base
        self._rights = rights
        self._news = News(database)
        self._open = 0

    async def stop(self) -> None:
        """At the end of the process."""
        await self._news.stop()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One websocket, until it ends."""
        if (await receive())["type"] != "websocket.connect":
            return
        if self._open >= _MOST_SOCKETS:
            await send({"type": "websocket.close", "code": _BUSY})
            return
        await send({"type": "websocket.accept"})
        self._open += 1
        try:
            await _Socket(self._database, self._clock, self._base, self._rights, send).run(receive, self._news)
        finally:
            self._open -= 1


class _Socket:
    """One connection."""

    def __init__(self, database: Database, clock: Clock, base: str, rights: Rights, send: Any) -> None:
        self._database = database
        self._clock = clock
        self._base = base
        self._rights = rights
        self._send = send
        self._bound: dict[str, _Bound] = {}
        self._ids: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self, receive: Any, news: News) -> None:
        """Hear what the client says and send what comes, until one of them ends."""
        try:
            async with news.waiting(self._wake, self._ids), asyncio.TaskGroup() as both:
                hearing = both.create_task(self._hear(receive))
                sending = both.create_task(self._send_for_ever())
                hearing.add_done_callback(lambda _: sending.cancel())
        except* _Closed as closed:
            error: Any = closed.exceptions[0]
            with contextlib.suppress(Exception):
                await self._send({"type": "websocket.close", "code": error.code, "reason": error.why})
        except* Exception as errors:
            _log.warning("subscriptions.socket", faults=[type(error).__name__ for error in errors.exceptions])
            with contextlib.suppress(Exception):
                await self._send({"type": "websocket.close", "code": _BUSY})

    async def _hear(self, receive: Any) -> None:
        while True:
            seconds = None if self._bound else _UNBOUND_SECONDS
            try:
                async with asyncio.timeout(seconds):
                    message = await receive()
            except TimeoutError:
                raise _Closed(_POLICY, "nothing was bound") from None
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or (message.get("bytes") or b"")[:500].decode("utf-8", "replace")
            match = _BIND.fullmatch(text.strip()) if len(text) < 500 else None
            if match is None:
                raise _Closed(_POLICY, "say: bind-with-token: TOKEN")
            await self._bind(match[1], int(match[2]) if match[2] else None)

    async def _bind(self, token: str, since: int | None) -> None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "delete from subscription_binding where digest = $1 returning expires, owner, ids", digest(token)
            )
            if row is None or row["expires"] <= self._clock.now():
                raise _Closed(_POLICY, "the token is not good, or no longer")
            states = await state.by_ids(connection, row["ids"])
        if len(self._bound) + len(states) > _MOST_BOUND:
            raise _Closed(_POLICY, "too many subscriptions on one socket")
        for one in states.values():
            if one.owner != row["owner"] or one.status == "off" or one.wanted.channel is not Channel.WEBSOCKET:
                continue
            if await self._rights(one.holder) is None:
                raise _Closed(_POLICY, LET_OUT)
            if one.wanted.topic is None:
                await self._text(f"bound {one.id}")
            else:
                await self._notify(one, HANDSHAKE, f"{one.id}/handshake")
            sent = one.numbered if since is None else max(since - 1, 0)
            self._bound[one.id] = _Bound(one, sent, monotonic())
        if not self._bound:
            raise _Closed(_POLICY, "the subscriptions are off")
        self._ids.update(self._bound)
        self._wake.set()

    async def _send_for_ever(self) -> None:
        while True:
            beats = [b.state.wanted.heartbeat for b in self._bound.values() if b.state.wanted.heartbeat is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, *beats) if beats else _RIGHTS_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            if not self._bound:
                continue
            async with self._database.connection() as connection:
                states = await state.by_ids(connection, list(self._bound))
            for identifier, bound in list(self._bound.items()):
                one = states.get(identifier)
                if one is None or one.status == "off" or one.owner != bound.state.owner:
                    self._bound.pop(identifier)
                    self._ids.discard(identifier)
                    if not self._bound:
                        raise _Closed(_NORMAL, "the subscription is off")
                    continue
                bound.state = one
                await self._bring_up(bound)

    async def _bring_up(self, bound: _Bound) -> None:
        one = bound.state
        if one.status == "requested":
            return
        gate = await self._rights(one.holder)
        if gate is None:
            raise _Closed(_POLICY, LET_OUT)
        while bound.sent < one.numbered and one.status == "active":
            last = min(one.numbered, bound.sent + one.wanted.count)
            await self._tell(bound, gate, last)
            bound.sent, bound.at = last, monotonic()
        heartbeat = one.wanted.heartbeat
        if heartbeat is not None and one.wanted.topic is not None and monotonic() - bound.at >= heartbeat:
            await self._notify(one, HEARTBEAT, f"{one.id}/heartbeat/{monotonic()}")
            bound.at = monotonic()

    async def _tell(self, bound: _Bound, gate: Gate, last: int) -> None:
        one, first = bound.state, bound.sent + 1
        async with self._database.connection() as connection:
            some = await events.between(connection, one.rid, first, last)
            seen = await events.seen_now(connection, gate, some) if some else {}
        if one.wanted.topic is None:
            for event in some:
                if event.resource in seen:
                    await self._text(f"ping {one.id}")
            return
        body = bundle(
            self._base, f"{one.id}/socket/{first}-{last}", self._clock.now(), one, EVENTS, number=last, events=some,
            seen=seen, content=one.wanted.content or Content.EMPTY,
        )  # fmt: skip
        await self._text(body.decode())

    async def _notify(self, one: State, kind: str, name: str) -> None:
        body = bundle(self._base, name, self._clock.now(), one, kind, content=one.wanted.content or Content.EMPTY)
        await self._text(body.decode())

    async def _text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})
