"""How messages move from state to state: claimed, handed over, their outcomes stored, and taken up again after a
sender that died. The statements and their order; `worker.py` says when.

A message is waiting -> sending -> received | failed | unknown. A handing over is named by (owner, claim): the
process and how many times the message was claimed. Whoever comes back with an outcome is believed as far as that
name still stands; a receipt is always believed, for it tells what happened on the other side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from varde.db import Connection
from varde.work import waits
from varde.work.outbox import Message, Outcome, Passing, Permanent, Receipt, Told, Unknown

ATTEMPTS = 30
"""Tries before a message that never got through is a dead letter: about a day, as waits.py has it."""

GIVEN_UP = "given up after the last try"
DIED = "the sender stopped while sending"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message in the hands of this process, and the number of its claim."""

    message: Message
    claim: int


_EARLIEST = """
select edge, next_try from unnest($1::text[]) as wanted (name)
cross join lateral (
    select edge, next_try from work_outbox
    where edge = wanted.name and state = 'waiting' and next_try <= $2
    order by next_try, id limit 1
) first
"""


async def earliest(connection: Connection, edges: Sequence[str], until: datetime) -> dict[str, datetime]:
    """When the first message of each edge is due, for edges that have one by `until`."""
    return {row["edge"]: row["next_try"] for row in await connection.fetch(_EARLIEST, list(edges), until)}


async def is_sending(connection: Connection, edges: Sequence[str]) -> bool:
    """Whether anybody is handing over a message of one of these edges."""
    return bool(
        await connection.fetchval(
            "select exists (select 1 from work_outbox where state = 'sending' and edge = any($1::text[]))", list(edges)
        )
    )


_CLAIM = """
with next as (
    select id from work_outbox where edge = $1 and state = 'waiting' and next_try <= $2
    order by next_try, id limit $3 for update skip locked
)
update work_outbox message
set state = 'sending', owner = $4, claim = claim + 1, attempts = attempts + 1, handed_over = $5
from next where message.id = next.id
returning message.id, edge, key, payload, body, patient, attempts, claim, next_try
"""


async def claim(
    connection: Connection, edge: str, until: datetime, limit: int, owner: int, now: datetime
) -> list[Claimed]:
    """Take the first messages of an edge that are due by `until`. Theirs is this process until it stores an
    outcome or dies."""
    rows = await connection.fetch(_CLAIM, edge, until, limit, owner, now)
    rows.sort(key=lambda row: (row["next_try"], row["id"]))
    return [Claimed(_message(row, row["body"]), row["claim"]) for row in rows]


async def unclaim(connection: Connection, owner: int, held: Sequence[int]) -> int:
    """Put back what this process claimed without knowing it, because the answer to its claim was lost. `held` are
    the messages it knows of. They were never handed over."""
    rows = await connection.fetch(
        "update work_outbox set state = 'waiting', attempts = attempts - 1 where state = 'sending' and owner = $1"
        " and id <> all($2::bigint[]) returning id",
        owner,
        list(held),
    )
    return len(rows)


def outcomes_of(claimed: Sequence[Claimed], outcomes: Sequence[Outcome], *, recognises_keys: bool) -> list[Outcome]:
    """What to store for each message: the sender's outcomes as far as they fit, and for a message it said nothing
    fitting of, that nobody knows. Tried the last time, a passing fault is permanent."""
    if len(outcomes) != len(claimed):
        return doubt("the sender gave another number of outcomes", claimed, recognises_keys=recognises_keys)
    fitting: list[Outcome] = []
    for one, outcome in zip(claimed, outcomes, strict=True):
        if isinstance(outcome, Receipt) and outcome.key != one.message.key:
            fitting += doubt("the receipt bears another key", [one], recognises_keys=recognises_keys)
        elif isinstance(outcome, Receipt) and not is_fit(outcome):
            fitting += doubt("the receipt cannot be stored", [one], recognises_keys=recognises_keys)
        elif isinstance(outcome, Passing) and one.message.attempts >= ATTEMPTS:
            fitting.append(Permanent(f"{GIVEN_UP}: {outcome.why}"))
        else:
            fitting.append(outcome)
    return fitting


@dataclass(frozen=True, slots=True)
class Doubtful(Passing):
    """It may have left, and the edge recognises keys: sent again, but no longer to be cancelled."""

    at_once: bool = False


def doubt(why: str, claimed: Sequence[Claimed], *, recognises_keys: bool, at_once: bool = False) -> list[Outcome]:
    """Outcomes when nobody knows what left: sent again where the edge recognises keys, `at_once` or after a wait;
    else put before a person (LET-56)."""
    return [
        Doubtful(why, at_once) if recognises_keys and one.message.attempts < ATTEMPTS else Unknown(why)
        for one in claimed
    ]


def is_fit(receipt: Receipt) -> bool:
    """Whether a receipt can be stored: with a time zone, and plain JSON without null characters."""
    try:
        detail = orjson.dumps(receipt.detail)
    except TypeError:
        return False
    texts = (receipt.key, receipt.state, receipt.reference or "")
    return receipt.at.tzinfo is not None and b"\\u0000" not in detail and not any("\0" in text for text in texts)


_SETTLE = """
update work_outbox message set
    state = given.state,
    ended = case when given.state = 'waiting' then null else $3::timestamptz end,
    next_try = coalesce(given.next_try, message.next_try),
    why = given.why,
    uncertain = message.uncertain or given.uncertain
from unnest($1::bigint[], $4::int[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[])
    as given (id, claim, state, why, next_try, uncertain)
where message.id = given.id and message.owner = $2 and message.claim = given.claim
    and message.state in ('sending', 'unknown')
returning message.id
"""


async def settle(
    connection: Connection, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], owner: int, now: datetime
) -> list[tuple[Message, Told]]:
    """Store the outcomes of one handing over and return what the receiver is to be told: receipts heard for the
    first time, and messages that now failed or are unknown. In the caller's transaction.

    What does not fit any longer, because the message was meanwhile taken up by another, is left alone; receipts
    are believed all the same.
    """
    heard = await hear(
        connection,
        [
            (one.message, outcome)
            for one, outcome in zip(claimed, outcomes, strict=True)
            if isinstance(outcome, Receipt)
        ],
        now,
    )
    others = [
        (one, outcome) for one, outcome in zip(claimed, outcomes, strict=True) if not isinstance(outcome, Receipt)
    ]
    told: list[tuple[Message, Told]] = list(heard)
    if others:
        rows = await connection.fetch(
            _SETTLE,
            [one.message.id for one, _ in others],
            owner,
            now,
            [one.claim for one, _ in others],
            [_state(outcome) for _, outcome in others],
            [waits.plain(outcome.why) for _, outcome in others],
            [_next_try(one.message, outcome, now) for one, outcome in others],
            [isinstance(outcome, Doubtful) for _, outcome in others],
        )
        settled = {row["id"] for row in rows}
        told += [
            (one.message, outcome)
            for one, outcome in others
            if one.message.id in settled and isinstance(outcome, Permanent | Unknown)
        ]
    return told


def _state(outcome: Outcome) -> str:
    match outcome:
        case Passing():
            return "waiting"
        case Permanent():
            return "failed"
        case Unknown():
            return "unknown"
        case Receipt():
            return "received"


def _next_try(message: Message, outcome: Outcome, now: datetime) -> datetime | None:
    if isinstance(outcome, Passing) and not (isinstance(outcome, Doubtful) and outcome.at_once):
        return now + waits.wait(message.attempts, f"{message.edge}:{message.key}")
    return None


_HEAR = """
insert into work_receipt (message, at, heard, edge, key, state, reference, detail)
select message, at, $1, edge, key, state, reference, detail::json
from unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    with ordinality as given (message, at, edge, key, state, reference, detail, number)
order by number
on conflict (edge, key, state) do nothing
returning edge, key, state
"""
_RECEIVED = """
update work_outbox set state = 'received', ended = $2, why = null where id = any($1::bigint[]) and state <> 'received'
"""


async def hear(
    connection: Connection, receipts: Sequence[tuple[Message, Receipt]], now: datetime
) -> list[tuple[Message, Receipt]]:
    """Store receipts of known messages and return those heard for the first time. A message with a receipt is
    received, whatever it was thought to be."""
    if not receipts:
        return []
    await connection.execute(_RECEIVED, [message.id for message, _ in receipts], now)
    new = await _keep(connection, [(message.id, message.edge, receipt) for message, receipt in receipts], now)
    heard = []
    for message, receipt in receipts:
        name = (message.edge, receipt.key, receipt.state)
        if name in new:
            new.discard(name)
            heard.append((message, receipt))
    return heard


async def _keep(
    connection: Connection, receipts: Sequence[tuple[int | None, str, Receipt]], now: datetime
) -> set[tuple[str, str, str]]:
    rows = await connection.fetch(
        _HEAR,
        now,
        [message for message, _, _ in receipts],
        [receipt.at for _, _, receipt in receipts],
        [edge for _, edge, _ in receipts],
        [receipt.key for _, _, receipt in receipts],
        [receipt.state for _, _, receipt in receipts],
        [receipt.reference for _, _, receipt in receipts],
        [orjson.dumps(receipt.detail).decode() for _, _, receipt in receipts],
    )
    return {(row["edge"], row["key"], row["state"]) for row in rows}


async def hear_late(
    connection: Connection, edge: str, receipts: Sequence[Receipt], now: datetime
) -> list[tuple[Message, Receipt]]:
    """Store what an edge told later and return what the receiver is to be told. A receipt for a key the house
    does not know is kept, for the check that asks about such (reconcile.py), and told to nobody."""
    if not receipts:
        return []
    messages = await by_keys(connection, edge, [receipt.key for receipt in receipts])
    strangers = [(None, edge, receipt) for receipt in receipts if receipt.key not in messages]
    if strangers:
        await _keep(connection, strangers, now)
    known = [(messages[receipt.key], receipt) for receipt in receipts if receipt.key in messages]
    return await hear(connection, known, now)


async def by_keys(connection: Connection, edge: str, keys: Sequence[str]) -> Mapping[str, Message]:
    """Messages of an edge by key, locked by the transaction in the order of their numbers, without bodies."""
    rows = await connection.fetch(
        "select id, edge, key, payload, patient, attempts from work_outbox where edge = $1 and key = any($2::text[])"
        " order by id for update",
        edge,
        list(keys),
    )
    return {row["key"]: _message(row, None) for row in rows}


async def by_id(connection: Connection, message: int) -> Message:
    """A message, without its body. Raises LookupError when it is no longer kept."""
    row = await connection.fetchrow(
        "select id, edge, key, payload, patient, attempts from work_outbox where id = $1", message
    )
    if row is None:
        raise LookupError("the message is no longer kept")
    return _message(row, None)


_ABANDONED = """
select id, edge, key, payload, patient, attempts, claim from work_outbox
where state = 'sending' and owner = $1 and edge = $2 order by id limit $3 for update skip locked
"""


async def abandoned(connection: Connection, owner: int, edge: str, limit: int) -> list[Claimed]:
    """What a dead process left in sending by an edge, locked by the transaction, without bodies."""
    rows = await connection.fetch(_ABANDONED, owner, edge, limit)
    return [Claimed(_message(row, None), row["claim"]) for row in rows]


async def count_abandoned(connection: Connection, owner: int, edge: str) -> int:
    """How many messages a process has in sending by an edge."""
    return int(
        await connection.fetchval(
            "select count(*) from work_outbox where state = 'sending' and owner = $1 and edge = $2", owner, edge
        )
    )


def _message(row: Any, body: bytes | None) -> Message:
    return Message(
        row["id"], row["edge"], row["key"], orjson.loads(row["payload"]), body, row["patient"], row["attempts"]
    )


def outcome_as_json(outcome: Told) -> dict[str, Any]:
    """An outcome as the payload of a job; `outcome_from_json` reads it."""
    match outcome:
        case Receipt():
            return {
                "receipt": outcome.state,
                "key": outcome.key,
                "at": outcome.at.isoformat(),
                "reference": outcome.reference,
                "detail": dict(outcome.detail),
            }
        case Permanent():
            return {"permanent": waits.plain(outcome.why)}
        case Unknown():
            return {"unknown": waits.plain(outcome.why)}


def outcome_from_json(value: Mapping[str, Any]) -> Told:
    """The outcome that `outcome_as_json` wrote."""
    if "receipt" in value:
        at = datetime.fromisoformat(value["at"])
        return Receipt(value["key"], value["receipt"], at, value["reference"], value["detail"])
    if "permanent" in value:
        return Permanent(value["permanent"])
    return Unknown(value["unknown"])
