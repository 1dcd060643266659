"""What is known of each subscription besides its resource: its row, and how its status is turned. No delivery.

Locks are taken in one order, as writers take them: the resource Subscription first, then its row here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from varde.fhir.errors import Gone, NotFound
from varde.fhir.gate import Gate
from varde.fhir.store import Store
from varde.fhir.subscriptions.model import Wanted, read

_COLUMNS = ("rid, changed, numbered, sent, messages, told, ends, stopped, armed::text, live, status, id, owner,"
            " granted, sending, wanted")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Owner:
    """A client that subscribes. `granted` is what trust must remember of its rights, in trust's words."""

    client: str
    granted: str


@dataclass(frozen=True)
class State:
    """One row of the table `subscription`."""

    rid: int
    changed: int
    numbered: int
    sent: int
    messages: int
    told: datetime | None
    ends: datetime | None
    stopped: datetime | None
    armed: str | None
    live: bool
    status: str
    id: str
    owner: str
    granted: str
    sending: str | None
    kept: str

    @cached_property
    def wanted(self) -> Wanted:
        """What it asks for."""
        return read(orjson.loads(self.kept))

    @property
    def holder(self) -> Owner:
        """Who made it, and under which rights."""
        return Owner(self.owner, self.granted)

    @property
    def reference(self) -> str:
        """Of the Subscription."""
        return f"Subscription/{self.id}"


def _state(row: Any) -> State:
    return State(*row.values())


async def hold(connection: Any, rids: Sequence[int]) -> list[State]:
    """Rows locked by the transaction, in the order of their keys."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from subscription where rid = any($1::bigint[]) order by rid for update", list(rids)
    )
    return [_state(row) for row in rows]


async def by_ids(connection: Any, ids: Sequence[str]) -> dict[str, State]:
    """Rows by the Subscription's id, as they are now."""
    rows = await connection.fetch(f"select {_COLUMNS} from subscription where id = any($1::text[])", list(ids))
    return {row["id"]: _state(row) for row in rows}


async def live(connection: Any) -> list[State]:
    """All whose events are kept."""
    return [_state(row) for row in await connection.fetch(f"select {_COLUMNS} from subscription where live")]


async def fingerprint(connection: Any) -> tuple[int, int]:
    """Another one whenever a row came, went or changed."""
    row = await connection.fetchrow("select count(*), coalesce(sum(changed), 0)::bigint from subscription where live")
    return row[0], row[1]


async def turn(
    store: Store, gate: Gate, connection: Any, state: State, status: str, now: datetime, error: str | None = None
) -> None:
    """Give a Subscription another status, in its row and in its resource. `gate` is the house's own. The caller holds
    the resource (`Store.hold`) and the row."""
    await connection.execute(
        "update subscription set status = $2, live = $2 <> 'off', changed = nextval('subscription_changed'),"
        " sending = case when $2 <> 'off' then sending end,"
        " stopped = case when $2 = 'error' then $3::timestamptz end,"
        " sent = case when $2 = 'off' then numbered else sent end where rid = $1",
        state.rid, status, now,
    )  # fmt: skip
    try:
        stored = await store.read(gate, "Subscription", state.id, connection=connection)
    except (NotFound, Gone):
        return
    resource = {name: value for name, value in stored.resource.items() if name != "error"}
    resource["status"] = status
    if error is not None:
        resource["error"] = error
    await store.update(gate, "Subscription", state.id, resource, connection=connection)
