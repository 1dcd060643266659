"""Making search values anew: after a change of the definitions, of what is made of values, or of custom parameters.

Works in small transactions of resources in the order of their keys' last change, keeps its place, and goes on where it
was stopped. Each row says by which definitions it was indexed (`resource.indexed`), so what is stale is known exactly,
also what a process of a former version wrote meanwhile. Former values stand under other keys, which nothing asks for
any more; they are swept away an hour after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from varde.clock import Clock
from varde.db import Database
from varde.fhir.definitions import (
    index_digest,
    indexed_parameters,
    resource_types,
    search_parameters,
    type_name,
    type_number,
)
from varde.fhir.keys import parameter_key
from varde.fhir.search.conditions import TABLES
from varde.fhir.search.custom import CustomParameters, changed
from varde.fhir.search.values import identifier_parameter, text_parameter, type_parameter
from varde.fhir.storing.rewriting import rewrite

BATCH = 200
"""Resources locked at a time."""
_SWEEP = 5000
_GRACE = timedelta(hours=1)
"""How long former values are left for processes that still run by former definitions."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one type is."""

    type: str
    examined: int
    rewritten: int
    finished: bool


async def stale(connection: Any) -> list[str]:
    """The types whose stored search values are not all by the definitions as they are now."""
    rows = await connection.fetch("select type, digest, finished from search_index")
    done = {row["type"]: row["digest"] for row in rows if row["finished"] is not None}
    wanted = [name for name in resource_types() if done.get(type_number(name)) != index_digest(name)]
    numbers = [type_number(name) for name in wanted]
    # A type of which nothing is stored and that has no custom parameter has nothing to be stale.
    there = await connection.fetch(
        "select n from unnest($1::smallint[]) as n where exists (select 1 from resource r where r.type = n"
        " and not r.deleted) or exists (select 1 from search_parameter p where p.type = n)"
        " or exists (select 1 from resource_contained k where k.type = n)",
        numbers,
    )
    return [type_name(row["n"]) for row in there]


async def reindex(
    database: Database,
    clock: Clock,
    custom: CustomParameters,
    types: Sequence[str] | None = None,
    *,
    told: Callable[[Progress], None] | None = None,
    goes_on: Callable[[], bool] = lambda: True,
    batch: int = BATCH,
) -> list[Progress]:
    """Bring the stale ones among `types` (every type, when None) up to date; the last word on each. `told` hears of
    every batch; when `goes_on` says no, it stops between two batches and the next call goes on there."""
    async with database.connection() as connection:
        await custom.refresh(connection)
        every = await stale(connection)
    out = []
    for name in every:
        if types is not None and name not in types:
            continue
        progress = Progress(name, 0, 0, False)
        while not progress.finished and goes_on():
            async with database.transaction() as connection:
                progress = await _step(connection, clock.now(), name, batch)
            if told is not None:
                told(progress)
        out.append(progress)
    return out


async def recheck(database: Database, custom: CustomParameters, *, batch: int = BATCH) -> int:
    """Make anew what was written by former definitions after its type was finished; how many that were."""
    async with database.connection() as connection:
        await custom.refresh(connection)
        rows = await connection.fetch("select type, digest, at_updated from search_index where finished is not null")
    found = 0
    for row in rows:
        name = type_name(row["type"])
        if row["digest"] != index_digest(name):
            continue
        while True:
            async with database.transaction() as connection:
                late = await connection.fetch(
                    "select rid from resource where type = $1 and not deleted and indexed <> $2"
                    " and updated >= coalesce($3::timestamptz, '-infinity') order by rid limit $4",
                    row["type"], row["digest"], row["at_updated"], batch,
                )  # fmt: skip
                found += await _anew(connection, [one["rid"] for one in late], row["digest"])
            if len(late) < batch:
                break
    return found


async def _step(connection: Any, now: datetime, name: str, batch: int) -> Progress:
    """One batch of a type. In a transaction."""
    number, digest = type_number(name), index_digest(name)
    state = await _begun(connection, now, name, number, digest)
    rows = await connection.fetch(
        "select rid, updated from resource where type = $1 and not deleted and (updated, rid) >"
        " (coalesce($2::timestamptz, '-infinity'), coalesce($3::bigint, -9223372036854775808))"
        " order by updated, rid limit $4",
        number, state["at_updated"], state["at_rid"], batch,
    )  # fmt: skip
    rewritten = await _anew(connection, sorted(row["rid"] for row in rows), digest)
    finished = len(rows) < batch
    if finished:  # then those that are inside others
        holders = await connection.fetch(
            "select distinct container from resource_contained where type = $1 and indexed <> $2 limit $3",
            number, digest, batch,
        )  # fmt: skip
        rewritten += await _anew(connection, [row["container"] for row in holders], None)
        finished = len(holders) < batch
    last = rows[-1] if rows else state
    done = await connection.fetchrow(
        "update search_index set at_updated = $2, at_rid = $3, examined = examined + $4, rewritten = rewritten + $5,"
        " finished = $6 where type = $1 returning examined, rewritten",
        number, last["updated"] if rows else last["at_updated"], last["rid"] if rows else last["at_rid"], len(rows),
        rewritten, now if finished else None,
    )  # fmt: skip
    if finished:
        await _register(connection, now, name, number)
        await changed(connection)
    return Progress(name, done["examined"], done["rewritten"], finished)


async def _begun(connection: Any, now: datetime, name: str, number: int, digest: int) -> Any:
    """The type's row, at its beginning when it was for other definitions; two who do the same take turns."""
    await connection.execute(
        "insert into search_index (type, digest, started) values ($1, $2, $3) on conflict (type) do nothing",
        number, digest, now,
    )  # fmt: skip
    state = await connection.fetchrow("select * from search_index where type = $1 for update", number)
    if state["digest"] == digest and state["finished"] is None:
        return state
    # A key that comes back is no longer to be swept away.
    await connection.execute(
        "delete from search_key where key = any($1::int[]) and retired is not null", [key for key, _ in _keys(name)]
    )
    return await connection.fetchrow(
        "update search_index set digest = $2, started = $3, finished = null, at_updated = null, at_rid = null,"
        " examined = 0, rewritten = 0 where type = $1 returning *",
        number, digest, now,
    )  # fmt: skip


async def _anew(connection: Any, rids: Sequence[int], digest: int | None) -> int:
    """Lock, in the order of keys as writers do, and make anew what is stale (all, without `digest`); how many."""
    if not rids:
        return 0
    rows = await connection.fetch(
        "select rid, type, id, version, patient, date, bucket, body from resource"
        " where rid = any($1::bigint[]) and not deleted and indexed is distinct from $2 order by rid for update",
        list(rids), digest,
    )  # fmt: skip
    if rows:
        await rewrite(connection, rows)
    return len(rows)


def _keys(name: str) -> list[tuple[int, str]]:
    """(key, code) of all under which values of the type's parameters stand, pairs of composites left out."""
    return [
        (made(parameter.key), code)
        for code, parameter in indexed_parameters(name).items()
        for made in (lambda key: key, text_parameter, type_parameter, identifier_parameter)
    ]


async def _register(connection: Any, now: datetime, name: str, number: int) -> None:
    """Note the keys in use; those of before are retired. Before 0013 keys were made of the code alone."""
    current = _keys(name)
    known = await connection.fetchval("select count(*) from search_key where type = $1", number)
    if not known:
        former = [parameter_key(name, code) for code in search_parameters(name)]
        former = [made(key) for key in former for made in (lambda k: k, text_parameter, type_parameter)]
        await connection.execute(
            "insert into search_key (key, type, code, retired) select unnest($1::int[]), $2, '', $3"
            " on conflict (key) do nothing",
            sorted(set(former) - {key for key, _ in current}), number, now,
        )  # fmt: skip
    await connection.execute(
        "update search_key set retired = $3 where type = $1 and retired is null and not key = any($2::int[])",
        number, [key for key, _ in current], now,
    )  # fmt: skip
    await connection.execute(
        "insert into search_key (key, type, code) select * from unnest($1::int[], $2::smallint[], $3::text[])"
        " on conflict (key) do update set retired = null",
        [key for key, _ in current], [number] * len(current), [code for _, code in current],
    )  # fmt: skip


async def sweep(database: Database, clock: Clock, *, goes_on: Callable[[], bool] = lambda: True) -> int:
    """Delete values under keys that were retired an hour ago or longer, a few thousand at a time; how many."""
    gone = 0
    while goes_on():
        async with database.transaction() as connection:
            key = await connection.fetchval(
                "select key from search_key where retired <= $1 order by key limit 1 for update skip locked",
                clock.now() - _GRACE,
            )
            if key is None:
                return gone
            deleted = 0
            for table in sorted(set(TABLES.values())):
                status = await connection.execute(
                    f"delete from {table} where ctid = any(array(select ctid from {table} where param = $1 limit $2))",
                    key, _SWEEP,
                )  # fmt: skip
                deleted += int(status.split()[-1])
            if not deleted:
                await connection.execute("delete from search_key where key = $1", key)
            gone += deleted
    return gone
