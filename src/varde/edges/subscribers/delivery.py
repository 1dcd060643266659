"""What is done later for subscriptions: making them active, numbering their events, putting the next message into the
outbox, and what follows from how the last one went. Each step is one transaction.

Rows are locked in one order: Subscription resources first, by key, and then the rows of `subscription`, by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from varde.clock import Clock
from varde.edges.subscribers import (
    ABANDONED,
    BEGIN,
    CHANNEL,
    DELIVERED,
    EDGE,
    KEEP_EVENTS,
    LET_OUT,
    NUMBER,
    REFUSED,
    UPKEEP,
    Rights,
)
from varde.fhir.gate import Gate
from varde.fhir.store import Store
from varde.fhir.subscriptions import events, state
from varde.fhir.subscriptions.model import SHORTEST_HEARTBEAT, Channel
from varde.fhir.subscriptions.notification import EVENTS, HANDSHAKE, HEARTBEAT
from varde.fhir.subscriptions.projection import FRESH
from varde.fhir.subscriptions.state import Owner, State
from varde.work import jobs, outbox
from varde.work.jobs import Handler, Job
from varde.work.outbox import Dispatch, Message, Receipt, Told
from varde.work.reconcile import Check, Finding

_AFTER = timedelta(seconds=FRESH + 0.2)
"""From the writing of a subscription until every writer looks at it."""
_AGAIN = timedelta(milliseconds=100)
_UPKEEP = timedelta(seconds=5)
_log = structlog.get_logger("varde.subscriptions")


class Jobs:
    """What a change leaves for later: `fhir.subscriptions.projection.Later`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def number(self, connection: Any, subscriptions: Sequence[int]) -> None:
        """Changes of these subscriptions are to be numbered and told."""
        await jobs.enqueue(connection, Job(NUMBER, {"subscriptions": list(subscriptions)}, self._clock.now()))

    async def begin(self, connection: Any, subscription: int) -> None:
        """A subscription is to be made active."""
        due = self._clock.now() + _AFTER
        await jobs.enqueue(connection, Job(BEGIN, {"subscription": subscription}, due))


class Delivery:
    """The handlers and the receiver of the worker. `gate`: the house's own, for what it writes of subscriptions."""

    def __init__(self, store: Store, clock: Clock, rights: Rights, gate: Gate) -> None:
        self._store = store
        self._clock = clock
        self._rights = rights
        self._gate = gate

    def handlers(self) -> list[Handler]:
        """Jobs of subscriptions."""
        return [
            Handler(NUMBER, self._number, batch=200),
            Handler(BEGIN, self._begin),
            Handler(UPKEEP, self._upkeep, every=_UPKEEP),
        ]

    async def _number(self, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        held = await state.hold(connection, sorted({rid for one in payloads for rid in one["subscriptions"]}))
        gates = {holder: await self._rights(holder) for holder in {one.holder for one in held}}
        numbers = await events.number(connection, held, gates)
        for one in held:
            if one.rid in numbers and one.wanted.channel is Channel.WEBSOCKET:
                await connection.execute("select pg_notify($1, $2)", CHANNEL, one.id)
        await self._next(connection, [one for one in held if one.rid in numbers])

    async def _next(self, connection: Any, held: Sequence[State]) -> None:
        """Put in the next message of those that have something to tell and none on its way. `held` may tell of how it
        was before: the rows are the transaction's, and are read again."""
        dispatches = []
        for one in await state.hold(connection, [one.rid for one in held]):
            waits = one.sending is None and one.status == "active" and one.numbered > one.sent
            if waits and one.wanted.channel is Channel.REST_HOOK:
                last = min(one.numbered, one.sent + (one.wanted.count if one.wanted.topic else 1))
                dispatches.append((one, {"kind": EVENTS, "first": one.sent + 1, "last": last}))
        await self._put(connection, dispatches)

    async def _put(self, connection: Any, wanted: Sequence[tuple[State, Mapping[str, Any]]]) -> None:
        """Put messages in, the only ones of their subscriptions."""
        if not wanted:
            return
        keys = [f"{one.id}.{one.messages + 1}" for one, _ in wanted]
        await connection.execute(
            "update subscription s set messages = messages + 1, sending = n.key"
            " from unnest($1::bigint[], $2::text[]) as n(rid, key) where s.rid = n.rid",
            [one.rid for one, _ in wanted], keys,
        )  # fmt: skip
        now = self._clock.now()
        await outbox.put_many(
            connection,
            [
                Dispatch(EDGE, key, {"subscription": one.id, **payload}, now)
                for key, (one, payload) in zip(keys, wanted, strict=True)
            ],
        )

    async def _hold(self, connection: Any, rids: Sequence[int]) -> list[State]:
        """The rows, with the resources locked before them, for whoever turns a status."""
        rows = await connection.fetch("select id from subscription where rid = any($1::bigint[])", list(rids))
        await self._store.hold(connection, [f"Subscription/{row['id']}" for row in rows])
        return await state.hold(connection, rids)

    async def _turn(self, connection: Any, one: State, status: str, error: str | None = None) -> None:
        await state.turn(self._store, self._gate, connection, one, status, self._clock.now(), error)
        if one.wanted.channel is Channel.WEBSOCKET:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, one.id)

    async def _begin(self, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Make a subscription active once every transaction that may have written without knowing of it has ended."""
        for payload in payloads:
            for one in await self._hold(connection, [payload["subscription"]]):
                if one.status == "requested" and one.sending is None:
                    await self._begin_one(connection, one, payload)

    async def _begin_one(self, connection: Any, one: State, payload: Mapping[str, Any]) -> None:
        if one.armed is None:
            await connection.execute(
                "update subscription set armed = pg_snapshot_xmax(pg_current_snapshot()) where rid = $1", one.rid
            )
            done = False
        else:
            done = await connection.fetchval(
                "select pg_snapshot_xmin(pg_current_snapshot()) >= armed from subscription where rid = $1", one.rid
            )
        if not done:
            await jobs.enqueue(connection, Job(BEGIN, payload, self._clock.now() + _AGAIN))
        elif await self._rights(one.holder) is None:
            await self._turn(connection, one, "error", LET_OUT)
        elif one.wanted.channel is Channel.REST_HOOK and one.wanted.topic is not None:
            await self._put(connection, [(one, {"kind": HANDSHAKE})])
        else:  # R4's own form knows no handshake, and a websocket has its own when it binds
            await self._turn(connection, one, "active")
            await self._next(connection, [one])

    async def told(self, connection: Any, outcomes: Sequence[tuple[Message, Told]]) -> None:
        """What follows from how messages went: `work.outbox.Receiver`."""
        found = await state.by_ids(connection, [message.payload["subscription"] for message, _ in outcomes])
        rids = [one.rid for one in found.values()]
        smooth = all(one.status == "active" for one in found.values()) and all(
            isinstance(outcome, Receipt) and outcome.state == DELIVERED for _, outcome in outcomes
        )
        held = {one.id: one for one in await (state.hold if smooth else self._hold)(connection, rids)}
        going_on = []
        for message, outcome in outcomes:
            one = held.get(message.payload["subscription"])
            if one is not None and one.sending == message.key and await self._follow(connection, one, message, outcome):
                going_on.append(one)
        await self._next(connection, going_on)

    async def _follow(self, connection: Any, one: State, message: Message, outcome: Told) -> bool:
        """Store how the message on its way went. Whether the next may go."""
        if not isinstance(outcome, Receipt):
            # A dead letter: it is told on the operators' page, and sent again when one of them says so.
            await self._turn(connection, one, "error", outcome.why[:200])
            return False
        await connection.execute("update subscription set sending = null where rid = $1", one.rid)
        why = outcome.detail.get("why")
        if outcome.state != DELIVERED:
            if outcome.state == REFUSED or why is not None:
                await self._turn(connection, one, "error", str(why)[:200])
            return False
        await connection.execute(
            "update subscription set told = $2, sent = greatest(sent, $3) where rid = $1",
            one.rid, self._clock.now(), message.payload.get("last", 0),
        )  # fmt: skip
        if one.status in {"requested", "error"}:
            await self._turn(connection, one, "active")
        return True

    async def _upkeep(self, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Heartbeats that are due; ends; what was in error for too long; events that were kept long enough."""
        now = self._clock.now()
        ended = await connection.fetch(
            "select rid from subscription where live and (ends <= $1 or (status = 'error' and stopped <= $2))",
            now, now - ABANDONED,
        )  # fmt: skip
        for one in await self._hold(connection, [row["rid"] for row in ended]) if ended else ():
            await self._turn(connection, one, "off", None if one.status != "error" else "in error for too long")
        quiet = await connection.fetch(
            "select rid from subscription where status = 'active' and sending is null and numbered = sent"
            " and (told is null or told <= $1)",
            now - timedelta(seconds=SHORTEST_HEARTBEAT),
        )
        await self._let_out(connection)
        due = []
        for one in await state.hold(connection, [row["rid"] for row in quiet]) if quiet else ():
            wanted = one.wanted
            if wanted.heartbeat is None or wanted.channel is not Channel.REST_HOOK or wanted.topic is None:
                continue
            if one.sending is None and (one.told is None or now - one.told >= timedelta(seconds=wanted.heartbeat)):
                due.append((one, {"kind": HEARTBEAT}))
        await self._put(connection, due)
        await connection.execute("delete from subscription_event where at < $1", now - KEEP_EVENTS)
        await connection.execute("delete from subscription_binding where expires < $1", now)

    async def _let_out(self, connection: Any) -> None:
        """Stop what belongs to subscribers who are no longer let in."""
        rows = await connection.fetch("select rid, owner, granted from subscription where status = 'active'")
        holders = {(row["owner"], row["granted"]) for row in rows}
        out = {holder for holder in holders if await self._rights(Owner(*holder)) is None}
        gone = [row["rid"] for row in rows if (row["owner"], row["granted"]) in out]
        for one in await self._hold(connection, gone) if gone else ():
            await self._turn(connection, one, "error", LET_OUT)


def checks() -> list[Check]:
    """For the operators: subscriptions that stopped."""

    async def in_error(connection: Any, now: Any) -> Finding:
        rows = await connection.fetch(
            "select id, stopped from subscription where status = 'error' order by stopped limit 50"
        )
        detail = "; ".join(f"{row['id']} ({row['stopped']:%Y-%m-%d %H:%M} UTC)" for row in rows[:10])
        return Finding(len(rows), detail)

    return [Check("subscriptions.error", in_error)]
