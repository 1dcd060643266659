"""Events: changes given numbers without holes, and read again for whoever is told of them.

An event gets a number only when the subscriber may see its resource at that time, so that no number and no hole
tells of what is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.fhir.definitions import type_name
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.model import Stored
from varde.fhir.storing.reading import SELECT, fetch, stored
from varde.fhir.subscriptions.state import Owner, State


@dataclass(frozen=True, slots=True)
class Event:
    """One change that a subscriber is told of."""

    number: int
    resource: int
    """rid"""
    at: datetime
    version: int
    type: str
    change: str
    """c created, u updated, d deleted"""
    id: str

    @property
    def reference(self) -> str:
        """Of the resource that changed."""
        return f"{self.type}/{self.id}"


_TAKE = """
delete from subscription_change where subscription = any($1::bigint[])
returning id, subscription, resource, at, version, type, change::text as change, resource_id
"""
_KEEP = """
insert into subscription_event (subscription, number, resource, at, version, type, change, resource_id)
select subscription, number, resource, at, version, type, change::"char", id from unnest($1::bigint[], $2::bigint[],
    $3::bigint[], $4::timestamptz[], $5::int[], $6::smallint[], $7::text[], $8::text[])
    as n(subscription, number, resource, at, version, type, change, id)
"""


async def number(connection: Any, states: Sequence[State], gates: Mapping[Owner, Gate | None]) -> dict[int, int]:
    """Number what has changed for subscriptions whose rows the transaction holds; the last number of each that got
    any. `gates` are by owner what each may see now; None, nothing. What is not seen, or not live, is forgotten."""
    rows = await connection.fetch(_TAKE, [one.rid for one in states])
    if not rows:
        return {}
    by_rid = {one.rid: one for one in states}
    by_owner: dict[Owner, set[tuple[int, int]]] = {}
    for row in rows:
        held = by_rid[row["subscription"]]
        if held.live:
            by_owner.setdefault(held.holder, set()).add((row["resource"], row["type"]))
    visible: dict[Owner, frozenset[int]] = {}
    for owner, resources in by_owner.items():
        gate = gates.get(owner)
        visible[owner] = frozenset() if gate is None else await _visible(connection, gate, resources)
    last = {one.rid: one.numbered for one in states}
    kept: list[tuple[int, int, Any]] = []
    for row in sorted(rows, key=lambda row: row["id"]):
        rid = row["subscription"]
        if by_rid[rid].live and row["resource"] in visible[by_rid[rid].holder]:
            last[rid] += 1
            kept.append((rid, last[rid], row))
    if not kept:
        return {}
    await connection.execute(
        _KEEP, [rid for rid, _, _ in kept], [n for _, n, _ in kept],
        *([row[name] for _, _, row in kept] for name in ("resource", "at", "version", "type", "change", "resource_id")),
    )  # fmt: skip
    new = {rid: last[rid] for rid in last if last[rid] > by_rid[rid].numbered}
    await connection.execute(
        "update subscription s set numbered = n.number from unnest($1::bigint[], $2::bigint[]) as n(rid, number)"
        " where s.rid = n.rid",
        list(new), list(new.values()),
    )  # fmt: skip
    return new


async def _visible(connection: Any, gate: Gate, resources: set[tuple[int, int]]) -> frozenset[int]:
    """Of resources (rid, type) those that the gate shows as they are now, deleted ones too."""
    found: set[int] = set()
    for kind in sorted({kind for _, kind in resources}):
        some = [rid for rid, number in resources if number == kind]
        found |= {row["rid"] for row in await _rows(connection, gate, type_name(kind), some, "r.rid")}
    return frozenset(found)


async def _rows(connection: Any, gate: Gate, kind: str, rids: Sequence[int], columns: str) -> list[Any]:
    if not gate.allows(Interaction.READ, kind):
        return []
    parameters = Parameters()
    keys = parameters.add(list(rids))
    predicate = gate.predicate("r", kind, parameters)
    sql = f"select {columns} from resource r where r.rid = any({keys}::bigint[]) and ({predicate})"
    return await fetch(connection, sql, parameters.values)


async def between(connection: Any, subscription: int, first: int, last: int) -> list[Event]:
    """The events of a subscription from number `first` to number `last`, as far as they are kept."""
    rows = await connection.fetch(
        "select number, resource, at, version, type, change::text as change, resource_id from subscription_event"
        " where subscription = $1 and number between $2 and $3 order by number",
        subscription, first, last,
    )  # fmt: skip
    return [
        Event(row["number"], row["resource"], row["at"], row["version"], type_name(row["type"]), row["change"],
              row["resource_id"])
        for row in rows
    ]  # fmt: skip


async def seen_now(connection: Any, gate: Gate, events: Sequence[Event]) -> dict[int, Stored]:
    """The resources of events as they are now, by rid, as far as the gate shows them; deleted ones without a body.
    In the log, durably, before this returns."""
    found: dict[int, Stored] = {}
    for kind in sorted({event.type for event in events}):
        rids = sorted({event.resource for event in events if event.type == kind})
        some = [stored(row) for row in await _rows(connection, gate, kind, rids, SELECT)]
        if some:
            patients = sorted({one.patient for one in some if one.patient is not None})
            await gate.record(Disclosure(Interaction.READ, kind, sorted(one.id for one in some), patients), None)
        found |= {one.rid: one for one in some}
    return found
