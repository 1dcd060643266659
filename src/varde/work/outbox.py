"""The outbox: what leaves. Messages are put in by the transaction that causes them and leave once per key.

Here is the face that services and edges use. `sending.py` moves messages from state to state, `worker.py`
says when.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from varde.db import Connection
from varde.work.jobs import CHANNEL


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Something to leave by `edge` at `due` (aware), at most once per `key`."""

    edge: str
    key: str
    payload: Mapping[str, Any]
    """Plain JSON, as the edge's own page says."""
    due: datetime
    body: bytes | None = None
    patient: int | None = None
    """rid of the Patient it is about."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way out. `attempts` counts the tries, this one with them."""

    id: int
    edge: str
    key: str
    payload: Mapping[str, Any]
    body: bytes | None
    """Not brought along for receipts that come later."""
    patient: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The edge's word that a message reached `state` at `at`: accepted, printed, posted, returned, delivered…"""

    key: str
    state: str
    at: datetime
    reference: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passing:
    """It did not leave, and will be tried again. `why`: type of fault, never a person's data."""

    why: str


@dataclass(frozen=True, slots=True)
class Permanent:
    """It did not leave and never will: a dead letter."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have left. Never tried again by machine: a person decides (LET-56)."""

    why: str


Outcome = Receipt | Passing | Permanent | Unknown
Told = Receipt | Permanent | Unknown
Receiver = Callable[[Connection, Sequence[tuple[Message, Told]]], Awaitable[None]]
"""A service's own reaction, in the transaction that stores the outcomes. Each receipt is told once, in no promised
order: what came later may be heard before the answer to the sending itself."""


def merge(receivers: Iterable[Mapping[str, Receiver]]) -> dict[str, Receiver]:
    """The receivers of several services by edge. Where they share an edge, each hears of every message, and tells
    its own by their keys."""
    by_edge: dict[str, list[Receiver]] = {}
    for one in receivers:
        for edge, receiver in one.items():
            by_edge.setdefault(edge, []).append(receiver)
    return {edge: _each_of(some) for edge, some in by_edge.items()}


def _each_of(receivers: Sequence[Receiver]) -> Receiver:
    async def receive(connection: Connection, told: Sequence[tuple[Message, Told]]) -> None:
        for receiver in receivers:
            await receiver(connection, told)

    return receivers[0] if len(receivers) == 1 else receive


class Sender(Protocol):
    """One edge, as the worker sees it. No connection to the database is held while it is spoken to."""

    @property
    def edge(self) -> str:
        """Its name, as in Dispatch.edge."""
        ...

    @property
    def recognises_keys(self) -> bool:
        """Whether the other side takes a key it has seen for the same message. Only then is a message sent again
        when nobody knows whether it left (LET-56)."""
        ...

    @property
    def batch(self) -> int:
        """How many messages it takes at most in one go."""
        ...

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hand over; one outcome for each message, in their order. Raising means that nobody knows what left."""
        ...

    async def receipts(self) -> Sequence[Receipt]:
        """What came in later (posted, returned) and is not acknowledged; () when never."""
        ...

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """These receipts are stored; they need not be given again."""
        ...


_PUT = f"""
with given as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $6::bigint[])
        with ordinality as given (edge, key, payload, due, body, patient, number)
), new as (
    insert into work_outbox (edge, key, payload, due, next_try, body, patient)
    select edge, key, payload::json, due, due, body, patient from given order by number
    on conflict (edge, key) do nothing
    returning 1
)
select count(*), case when count(*) > 0 then pg_notify('{CHANNEL}', '')::text end from new
"""


async def put_many(connection: Connection, dispatches: Sequence[Dispatch]) -> int:
    """Put messages into the connection's transaction. Returns how many were new: a key leaves once per edge, and
    one that was cancelled stays so. Raises TypeError for a payload that is not JSON."""
    if not dispatches:
        return 0
    row = await connection.fetchrow(
        _PUT,
        [dispatch.edge for dispatch in dispatches],
        [dispatch.key for dispatch in dispatches],
        [orjson.dumps(dispatch.payload).decode() for dispatch in dispatches],
        [dispatch.due for dispatch in dispatches],
        [dispatch.body for dispatch in dispatches],
        [dispatch.patient for dispatch in dispatches],
    )
    return int(row[0])


async def put(connection: Connection, dispatch: Dispatch) -> bool:
    """Put one message in. False when its key stands already."""
    return await put_many(connection, [dispatch]) == 1


_CANCEL = """
update work_outbox set state = 'cancelled', ended = next_try where id in (
    select id from work_outbox
    where edge = $1 and key = any($2::text[]) and state = 'waiting' and not uncertain
    for update skip locked)
returning key
"""


async def cancel(connection: Connection, edge: str, keys: Sequence[str]) -> frozenset[str]:
    """Take out messages and return the keys that were taken out before they were handed over: certain when the
    connection's transaction commits (LET-07, LET-51).

    One that is being handed over just now, or may have been, is not among them and is not waited for.
    """
    if not keys:
        return frozenset()
    return frozenset(row["key"] for row in await connection.fetch(_CANCEL, edge, list(keys)))


_COUNT_SINCE = """
select patient, count(*) as number from work_outbox
where patient = any($2::bigint[]) and edge = $1 and due >= $3
    and state in ('waiting', 'sending', 'received', 'unknown')
group by patient
"""


async def count_since(connection: Connection, edge: str, patients: Sequence[int], since: datetime) -> Mapping[int, int]:
    """How many messages of an edge each patient has had or will have since a moment, by the time they were due
    (LET-22). Cancelled and failed ones do not count; a patient without any is missing."""
    rows = await connection.fetch(_COUNT_SINCE, edge, list(patients), since)
    return {row["patient"]: row["number"] for row in rows}
