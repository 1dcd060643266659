"""The operations of subscriptions: `$status`, `$events`, `$get-ws-binding-token` of the backport, and `$topics`.

Everything is read through the gate of whoever calls; a Subscription that the gate hides is not there.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

from varde.clock import Clock
from varde.fhir.errors import BadRequest, Forbidden, NotFound
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.splice import instant
from varde.fhir.store import ABSENT
from varde.fhir.subscriptions import events, state
from varde.fhir.subscriptions.model import MAXIMUM_COUNT, Channel, Content
from varde.fhir.subscriptions.notification import QUERY_EVENT, QUERY_STATUS, bundle, status
from varde.fhir.subscriptions.projection import OwnerOf
from varde.fhir.subscriptions.state import State
from varde.fhir.subscriptions.topics import as_basic, every_topic

_IG = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"
TOKEN_LASTS = timedelta(minutes=5)
_TYPES = frozenset({"Subscription"})


class Asking:
    """Answers for one server. `socket`: the address of the websocket."""

    def __init__(self, clock: Clock, owner_of: OwnerOf, socket: str) -> None:
        self._clock = clock
        self._owner_of = owner_of
        self._socket = socket

    def operations(self) -> list[Operation]:
        """All of them."""
        both = Level.TYPE | Level.INSTANCE
        return [
            Operation("status", f"{_IG}status", self._status, both, _TYPES),
            Operation("events", f"{_IG}events", self._events, Level.INSTANCE, _TYPES),
            Operation("get-ws-binding-token", f"{_IG}get-ws-binding-token", self._token, both, _TYPES),
            Operation(
                "topics", "https://varde.no/fhir/OperationDefinition/subscription-topics", _topics, Level.TYPE, _TYPES
            ),
        ]

    async def _found(self, call: Call, ids: Sequence[str]) -> list[State]:
        """The rows of Subscriptions that the caller may see. Raises NotFound unless all are there."""
        seen = await call.store.read_many(call.gate, "Subscription", ids)
        if len(seen) < len(set(ids)):
            raise NotFound.of(ABSENT)
        async with call.store.reading(None) as connection:
            rows = await state.by_ids(connection, list(seen))
        return [rows[one] for one in dict.fromkeys(ids) if one in rows]

    async def _named(self, call: Call, named: dict[str, list[str]]) -> list[State]:
        if call.id is not None:
            found = await self._found(call, [call.id])
            if not found:
                raise NotFound.of(ABSENT)
            return found
        if named.get("id"):
            return await self._found(call, named["id"])
        page = await call.store.search(call.gate, "Subscription", [("_count", "1000"), ("_sort", "_id")])
        async with call.store.reading(None) as connection:
            rows = await state.by_ids(connection, [one.id for one in page.matches])
        return [rows[one.id] for one in page.matches if one.id in rows]

    async def _status(self, call: Call) -> Answer:
        named = _texts(call, {"id", "status"})
        found = await self._named(call, named)
        wanted = set(named.get("status", ())) if call.id is None else set()
        entries = [
            {
                "fullUrl": f"{call.base}/{one.reference}/$status",
                "resource": status(call.base, one, QUERY_STATUS, error=await self._error(call, one)),
                "search": {"mode": "match"},
            }
            for one in found
            if not wanted or one.status in wanted
        ]
        return Answer(200, _searchset(entries))

    @staticmethod
    async def _error(call: Call, one: State) -> str | None:
        if one.status != "error":
            return None
        resource = (await call.store.read(call.gate, "Subscription", one.id)).resource
        return str(resource.get("error") or "") or None

    async def _events(self, call: Call) -> Answer:
        named = _texts(call, {"eventsSinceNumber", "eventsUntilNumber", "content"})
        (one,) = await self._named(call, {})
        first = _number(named, "eventsSinceNumber", 1)
        last = min(_number(named, "eventsUntilNumber", one.numbered), one.numbered, first + MAXIMUM_COUNT - 1)
        content = one.wanted.content or Content.ID_ONLY
        if named.get("content"):
            if named["content"][0] not in set(Content):
                raise BadRequest.of("content is empty, id-only or full-resource")
            content = Content(named["content"][0])
        async with call.store.reading(None) as connection:
            some = await events.between(connection, one.rid, first, last)
            seen = await events.seen_now(connection, call.gate, some) if content is not Content.EMPTY else {}
        name = f"{one.id}/$events/{first}-{last}/{content}"
        return Answer(
            200,
            bundle(call.base, name, self._clock.now(), one, QUERY_EVENT, events=some, seen=seen, content=content),
        )

    async def _token(self, call: Call) -> Answer:
        named = _texts(call, {"id"})
        owner = self._owner_of(call.gate)
        if owner is None:
            raise Forbidden.of("a websocket belongs to a system that was let in from outside")
        found = [one for one in await self._named(call, named) if one.owner == owner.client]
        bound = [one for one in found if one.wanted.channel is Channel.WEBSOCKET and one.status != "off"]
        if not bound or ((call.id is not None or named.get("id")) and len(bound) < len(found)):
            raise BadRequest.of("the subscription is not told by websocket, or is off", code="business-rule")
        token = secrets.token_urlsafe(32)
        expires = self._clock.now() + TOKEN_LASTS
        async with call.store.database.connection() as connection:
            await connection.execute(
                "insert into subscription_binding (digest, expires, owner, ids) values ($1, $2, $3, $4)",
                digest(token), expires, owner.client, [one.id for one in bound],
            )  # fmt: skip
        said = [
            {"name": "token", "valueString": token},
            {"name": "expiration", "valueDateTime": instant(expires)},
            *({"name": "subscription", "valueString": one.id} for one in bound),
            {"name": "websocket-url", "valueUrl": self._socket},
        ]
        return Answer(200, {"resourceType": "Parameters", "parameter": said})


def digest(token: str) -> bytes:
    """What the database knows a binding token by."""
    return sha256(token.encode()).digest()


async def _topics(call: Call) -> Answer:
    _texts(call, set())
    entries = [
        {"fullUrl": topic.url, "resource": as_basic(topic), "search": {"mode": "match"}} for topic in every_topic()
    ]
    return Answer(200, _searchset(entries))


def _searchset(entries: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return {**made, "entry": entries} if entries else made


def _texts(call: Call, known: set[str]) -> dict[str, list[str]]:
    """The parameters by name. Raises BadRequest for one that is not known or no text."""
    found: dict[str, list[str]] = {}
    for name, value in call.parameters():
        if name not in known or not isinstance(value, str | int) or isinstance(value, bool):
            raise BadRequest.of(f"the parameters are {', '.join(sorted(known)) or 'none'}")
        found.setdefault(name, []).append(str(value))
    return found


def _number(named: dict[str, list[str]], name: str, otherwise: int) -> int:
    text = (named.get(name) or [str(otherwise)])[0]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest.of(f"{name} is a whole number")
    return int(text)
