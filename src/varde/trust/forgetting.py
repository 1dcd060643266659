"""How long the access log stands, and that its chain is proved again and again. Seals are `seal.py`'s.

The log outlives the data it tells of (FAM-42): its rows are forgotten by whole seals, oldest first, when all under a
seal are older than the setting, never less than five years: the table's own triggers hold to that, whoever asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from varde.clock import Clock
from varde.trust.seal import cut_at, prove

PROVE_EVERY = timedelta(minutes=15)
FORGET_EVERY = timedelta(days=1)
_ROWS_A_RUN = 500_000
"""What one run of the recurring proof takes: seconds. A round through the whole log takes as many runs as it needs."""
_SEALS_A_RUN = 2000
_LATE = timedelta(hours=2)
"""How long the proof may not have run before that is a finding itself."""

Run = Callable[[Any, Sequence[Mapping[str, Any]]], Awaitable[None]]
_log = structlog.get_logger("varde.audit")


async def prove_on(connection: Any, now: datetime, most: int = _ROWS_A_RUN) -> int | None:
    """Prove the next part of the chain, from its beginning again when its end is reached. In a transaction. Returns
    the first seal that was ever found wrong; that is not forgotten before a person has seen to it."""
    await connection.execute(
        "insert into trust_audit_proof (seal, rows, began, ran) values (0, 0, $1, $1) on conflict do nothing", now
    )
    state = await connection.fetchrow("select * from trust_audit_proof for update")
    last, rows, wrong = await prove(connection, state["seal"], most)
    ended = last == await connection.fetchval("select coalesce(max(number), 0) from trust_audit_seal")
    found: int | None = state["wrong"] if state["wrong"] is not None else wrong
    await connection.execute(
        "update trust_audit_proof set seal = $1, rows = $2, began = $3, ran = $4, whole = $5, wrong = $6",
        0 if ended or wrong is not None else last,
        0 if ended else state["rows"] + rows,
        now if ended else state["began"],
        now,
        now if ended and wrong is None else state["whole"],
        found,
    )
    if wrong is not None:
        _log.error("audit.chain-broken", seal=wrong)
    return found


async def alarms(connection: Any, now: datetime) -> list[str]:
    """What is wrong with the chain, in words for operators; none when all is well."""
    state = await connection.fetchrow("select * from trust_audit_proof")
    if state is None:
        return []
    found = []
    if state["wrong"] is not None:
        found.append(f"seal {state['wrong']} of the access log does not fit: run varde audit verify")
    if now - state["ran"] > _LATE:
        found.append("the access log has not been proved for hours")
    return found


async def forget(connection: Any, now: datetime, keep: timedelta, most: int = _SEALS_A_RUN) -> int:
    """Take out the rows under the oldest seals, when all of them are older than `keep`. In a transaction; how many
    rows. Raises what the database says for less than five years (FAM-42)."""
    await connection.execute("select pg_advisory_xact_lock(hashtext('trust_audit_seal'))")
    cutoff, seal, horizon, rows = now - keep, None, None, 0
    start = await connection.fetchval(
        "select horizon::text from trust_audit_seal where number = $1", await cut_at(connection)
    )
    for one in await connection.fetch(
        "select number, horizon::text from trust_audit_seal where number > $1 and sealed < $2 order by number limit $3",
        await cut_at(connection), cutoff, most,
    ):  # fmt: skip
        newest, count = await connection.fetchrow(
            "select max(at), count(*) from trust_audit"
            " where transaction_id >= $1::text::xid8 and transaction_id < $2::text::xid8",
            start or "0", one["horizon"],
        )  # fmt: skip
        if newest is not None and newest >= cutoff:
            break
        start = horizon = one["horizon"]
        seal, rows = one["number"], rows + count
    if seal is None:
        return 0
    await connection.execute(
        "insert into trust_audit_cut (seal, cutoff, rows, cut) values ($1, $2, $3, $4)", seal, cutoff, rows, now
    )
    await connection.execute("delete from trust_audit where transaction_id < $1::text::xid8", horizon)
    _log.info("audit.forgotten", seal=seal, rows=rows)
    return rows


def proving(clock: Clock) -> Run:
    """`prove_on` as the `run` of a recurring job."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await prove_on(connection, clock.now())

    return run


def forgetting(clock: Clock, keep: timedelta) -> Run:
    """`forget` as the `run` of a recurring job."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await forget(connection, clock.now(), keep)

    return run
