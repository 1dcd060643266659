"""Writes down, in the transaction of a change, to which subscriptions it is told. A projection of the store.

Each process holds the live subscriptions in memory and looks once a second, while it writes, whether they are still
the same. A subscription becomes active only when every writer that could have missed it is done (edges/subscribers):
what commits after that is told. Where no subscription asks for a type, a write of it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Protocol

import orjson
import structlog

from varde.clock import Clock
from varde.fhir.definitions import resource_types, type_number
from varde.fhir.errors import FhirError, Forbidden, Issue, NotFound, Unprocessable
from varde.fhir.gate import Gate
from varde.fhir.model import ProjectedRow
from varde.fhir.store import ABSENT
from varde.fhir.subscriptions import state
from varde.fhir.subscriptions.matching import Matcher, Rule, rules
from varde.fhir.subscriptions.model import Channel, Wanted, kept, read, same_wish
from varde.fhir.subscriptions.state import Owner, State

FRESH = 1.0
"""Seconds that what is held in memory is trusted."""
_OWN = frozenset({"Subscription"})
_log = structlog.get_logger("varde.subscriptions")

OwnerOf = Callable[[Gate], Owner | None]
"""Names whoever a gate is made for, so that what they may see can be decided again later; None for the house itself.
Raises Forbidden for somebody who cannot subscribe."""
CheckEndpoint = Callable[[str], None]
"""Raises Unprocessable for an address that is not to be spoken to."""


class Later(Protocol):
    """What a change leaves for later, put in by its transaction."""

    async def number(self, connection: Any, subscriptions: Sequence[int]) -> None:
        """Changes of these subscriptions (rids) are to be numbered and told."""
        ...

    async def begin(self, connection: Any, subscription: int) -> None:
        """A subscription is to be made active."""
        ...


class Subscribing:
    """The projection. One a process."""

    def __init__(self, clock: Clock, owner_of: OwnerOf, check_endpoint: CheckEndpoint, later: Later) -> None:
        self._clock = clock
        self._owner_of = owner_of
        self._check_endpoint = check_endpoint
        self._later = later
        self._loaded = -FRESH
        self._fingerprint: tuple[int, int] | None = None
        self._rules: dict[tuple[int, int], dict[str, list[Rule]]] = {}
        self._matcher = Matcher({})
        self._wanted = _OWN
        self._everything = frozenset(resource_types())

    @property
    def types(self) -> frozenset[str]:
        """Those that somebody asks for; all of them when it is time to look again."""
        return self._wanted if monotonic() - self._loaded < FRESH else self._everything

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Take note of subscriptions that change, and of changes that are subscribed to.

        Raises Unprocessable for a subscription that this server cannot serve.
        """
        own = [row for row in rows if row.type == "Subscription"]
        for row in own:
            await self._subscription(connection, row)
        if not own and monotonic() - self._loaded >= FRESH:
            await self._refresh(connection)
        found: list[tuple[int, ProjectedRow]] = []
        for row in rows:
            if row.type not in self._matcher.types or (row.old is not None and row.old == row.new):
                continue  # not asked for, or only its patient was found
            named = {**row.new, "id": row.id} if row.new is not None and "id" not in row.new else row.new
            found += [(rid, row) for rid in sorted(self._matcher.matches(row.type, row.old, named))]
        if found:
            await self._keep(connection, found)

    async def _keep(self, connection: Any, found: Sequence[tuple[int, ProjectedRow]]) -> None:
        await connection.execute(
            "insert into subscription_change (subscription, resource, at, version, type, change, resource_id)"
            " select subscription, resource, $1, version, type, change::\"char\", id from unnest($2::bigint[],"
            " $3::bigint[], $4::int[], $5::smallint[], $6::text[], $7::text[]) with ordinality"
            " as n(subscription, resource, version, type, change, id, place) order by place",
            self._clock.now(), [rid for rid, _ in found], [row.rid for _, row in found],
            [row.version for _, row in found], [type_number(row.type) for _, row in found],
            [_change(row) for _, row in found], [row.id for _, row in found],
        )  # fmt: skip
        await self._later.number(connection, sorted({rid for rid, _ in found}))

    async def _refresh(self, connection: Any) -> None:
        now = monotonic()
        seen = await state.fingerprint(connection)
        if seen != self._fingerprint:
            held = await state.live(connection)
            self._rules = {
                (one.rid, one.changed): self._rules.get((one.rid, one.changed)) or _rules(one) for one in held
            }
            self._matcher = Matcher({rid: by_type for (rid, _), by_type in self._rules.items()})
            self._wanted = self._matcher.types | _OWN
            self._fingerprint = seen
        self._loaded = now

    async def _subscription(self, connection: Any, row: ProjectedRow) -> None:
        (present,) = await state.hold(connection, [row.rid]) or (None,)
        if row.by is None:
            return
        owner = self._owner_of(row.by)
        if present is not None and owner is not None and owner.client != present.owner:
            raise NotFound.of(ABSENT)
        if row.new is None:
            await connection.execute(
                "update subscription set status = 'off', live = false, sent = numbered, sending = null,"
                " changed = nextval('subscription_changed') where rid = $1",
                row.rid,
            )
            return
        status = row.new.get("status")
        same = row.old is not None and same_wish(row.old, row.new)
        if present is not None and same and status == present.status:
            return  # nothing that concerns us, or our own turn of its status
        if status not in {"requested", "off"}:
            raise Unprocessable(
                [Issue("value", "status is requested or off; the server makes it active", "Subscription.status")]
            )
        if owner is None:
            raise Forbidden.of("a subscription belongs to a system that was let in from outside")
        wanted = read(row.new)
        if not (same and status == "off"):
            self._check(wanted)
        await self._asked_for(connection, row, owner, wanted)

    def _check(self, wanted: Wanted) -> None:
        rules(wanted)
        if wanted.channel is Channel.REST_HOOK:
            self._check_endpoint(wanted.endpoint or "")
        if wanted.ends is not None and wanted.ends <= self._clock.now():
            raise Unprocessable([Issue("value", "the subscription has ended already", "Subscription.end")])

    async def _asked_for(self, connection: Any, row: ProjectedRow, owner: Owner, wanted: Wanted) -> None:
        """Keep what is asked for, and make it active in a while. Numbers go on from where they were."""
        assert row.new is not None
        await connection.execute(
            "insert into subscription as s (rid, id, owner, granted, status, live, ends, wanted)"
            " values ($1, $2, $3, $4, $5, $5 <> 'off', $6, $7::json)"
            " on conflict (rid) do update set status = excluded.status, live = excluded.live, ends = excluded.ends,"
            " wanted = excluded.wanted, changed = nextval('subscription_changed'), armed = null, sending = null,"
            " stopped = null, granted = excluded.granted,"
            " sent = case when excluded.live and s.live then s.sent else s.numbered end",
            row.rid, row.id, owner.client, owner.granted, wanted.status, wanted.ends,
            orjson.dumps(kept(row.new)).decode(),
        )  # fmt: skip
        if wanted.status == "requested":
            await self._later.begin(connection, row.rid)


def _rules(subscription: State) -> dict[str, list[Rule]]:
    """Of one that was taken once. What this version no longer understands must not stop those who write."""
    try:
        return rules(subscription.wanted)
    except FhirError:
        _log.error("subscription.unreadable", subscription=subscription.id)
        return {}


def _change(row: ProjectedRow) -> str:
    return "c" if row.old is None else "d" if row.new is None else "u"
