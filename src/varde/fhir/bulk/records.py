"""Exports and imports as they stand in the store: begun, told of to whom they belong, called off, forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from varde.fhir.bulk.files import File

KEPT = timedelta(hours=24)
"""How long the files of what has ended are kept."""
PATIENCE = timedelta(days=7)
"""How long work may be under way before it is taken for lost."""
AT_ONCE = 2
"""Exports and imports that one client may have under way."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """One export or import."""

    id: UUID
    kind: str
    owner: str
    scope: Mapping[str, Any]
    request: str
    asked: Mapping[str, Any]
    state: str
    moment: datetime
    position: dict[str, Any]
    progress: str
    created: datetime
    ended: datetime | None
    expires: datetime
    issues: Sequence[Mapping[str, Any]]
    patients: Sequence[int] | None


def _bulk(row: Any) -> Bulk:
    return Bulk(
        row["id"], row["kind"], row["owner"], orjson.loads(row["scope"]), row["request"], orjson.loads(row["asked"]),
        row["state"], row["moment"], orjson.loads(row["position"]), row["progress"], row["created"], row["ended"],
        row["expires"], orjson.loads(row["issues"]), row["patients"],
    )  # fmt: skip


async def begin(
    connection: Any,
    bulk: UUID,
    kind: str,
    owner: str,
    scope: Mapping[str, Any],
    request: str,
    asked: Mapping[str, Any],
    now: datetime,
    *,
    patients: Sequence[int] | None = None,
    issues: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """Keep what was asked for, to be done. False when its owner has as many under way as may be."""
    # Two requests of one owner wait for each other here, so that both count rightly.
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 16))", owner)
    running = await connection.fetchval("select count(*) from fhir_bulk where owner = $1 and state = 'running'", owner)
    if running >= AT_ONCE:
        return False
    await connection.execute(
        "insert into fhir_bulk (id, kind, owner, scope, request, asked, moment, created, expires, patients, issues)"
        " values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)",
        bulk, kind, owner, orjson.dumps(scope).decode(), request, orjson.dumps(asked).decode(), now, now + PATIENCE,
        patients, orjson.dumps(list(issues)).decode(),
    )  # fmt: skip
    return True


async def find(connection: Any, bulk: UUID, kind: str, now: datetime) -> Bulk | None:
    """One that is not called off and whose time is not past."""
    row = await connection.fetchrow(
        "select * from fhir_bulk where id = $1 and kind = $2 and state <> 'cancelled' and expires > $3", bulk, kind, now
    )
    return _bulk(row) if row else None


async def step(connection: Any, bulk: Bulk, *, progress: str, moment: datetime | None = None) -> bool:
    """Keep how far a running one has come. False when it was called off meanwhile: then undo the slice."""
    return bool(
        await connection.fetchval(
            "update fhir_bulk set position = $2, progress = $3, moment = coalesce($4, moment)"
            " where id = $1 and state = 'running' returning true",
            bulk.id, orjson.dumps(bulk.position).decode(), progress, moment,
        )
    )  # fmt: skip


async def end(
    connection: Any, bulk: UUID, now: datetime, *, issues: Sequence[Mapping[str, Any]] = (), failed: bool = False
) -> bool:
    """Note that it is done, or has failed for good. False when it was called off meanwhile."""
    return bool(
        await connection.fetchval(
            "update fhir_bulk set state = $2, ended = $3, expires = $4, issues = (issues::jsonb || $5::jsonb)::json"
            " where id = $1 and state = 'running' returning true",
            bulk, "failed" if failed else "done", now, now + KEPT, orjson.dumps(list(issues)).decode(),
        )
    )  # fmt: skip


async def call_off(connection: Any, bulk: UUID) -> None:
    """Take away its files. A slice that is under way finds out when it ends, and undoes itself."""
    await connection.execute("update fhir_bulk set state = 'cancelled' where id = $1", bulk)
    await connection.execute("delete from fhir_bulk_file where bulk = $1", bulk)


async def forget(connection: Any, now: datetime) -> int:
    """Take away all whose time is past, or that were called off; how many that were."""
    status: str = await connection.execute(
        "delete from fhir_bulk where id in (select id from fhir_bulk where expires <= $1 or state = 'cancelled'"
        " for update skip locked)",
        now,
    )
    return int(status.rsplit(" ", 1)[1])


async def files(connection: Any, bulk: UUID) -> list[File]:
    """Its whole files, in their order; inputs not among them."""
    rows = await connection.fetch(
        "select bulk, number, role, type, resources, size, packed from fhir_bulk_file"
        " where bulk = $1 and whole and role <> 'input' order by number",
        bulk,
    )
    return [File(*row) for row in rows]
