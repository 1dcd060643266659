"""Looks through new rows of the access log for what looks like snooping (FAM-37), and keeps what it finds for the
privacy officer. The rules are `snooping.py`'s; who knows whom comes through `Ties`.

Days are looked at whole: a new row makes its person's and its patient's day be judged again, and a finding once made
grows with it. Nothing is shown to anybody here, so that nothing of it is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import structlog

from varde.clock import OSLO
from varde.trust.log.snooping import Kind, Norms, Viewing, of_day, of_patient, of_viewing
from varde.trust.policy import Configuration

WATCH_EVERY = timedelta(minutes=5)
_ROWS_A_RUN = 20_000
_USUAL_DAYS = 30
_FRESH = timedelta(days=14)
"""How long after a contact, or from an appointment's making, the unit has an occasion to look."""
_log = structlog.get_logger("varde.audit")


@dataclass(frozen=True, slots=True)
class Tie:
    """What binds a member of staff to a patient, besides work."""

    own: bool = False
    family: bool = False
    household: bool = False
    neighbour: bool = False
    colleague: bool = False
    known: bool = False
    probe: bool = False
    """The patient is there to test the system (trust/probes.py)."""


class Ties(Protocol):
    """Who knows whom: the store's persons and the population register (services/family/log_ties.py)."""

    async def of(self, connection: Any, pairs: Sequence[tuple[str, str | None, int]]) -> Mapping[Any, Tie]:
        """By (HPR number, unit, rid of the Patient); a pair that is missing has none."""
        ...


@dataclass(frozen=True, slots=True)
class _Day:
    """What one actor did with one patient on one day."""

    actor: str
    name: str
    unit: str | None
    unit_name: str | None
    patient: int
    day: date
    rows: int
    refused: int
    first: datetime
    last: datetime
    occasion: bool


class Watch:
    """The recurring job."""

    def __init__(self, ties: Ties, norms: Norms | None = None, configuration: Configuration | None = None) -> None:
        self._ties = ties
        self._norms = norms or Norms()
        self._after = (configuration or Configuration()).care_relation_after

    async def run(self, connection: Any, now: datetime, most: int = _ROWS_A_RUN) -> int:
        """Look through what was committed since the last run. In a transaction; how many findings there are that were
        not there before."""
        await connection.execute("select pg_advisory_xact_lock(hashtext('trust_log_watch'))")
        start = await connection.fetchval("select horizon::text from trust_log_progress where name = 'watch'") or "0"
        horizon = await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text")
        nearer = await connection.fetchval(
            "select transaction_id::text from trust_audit where transaction_id >= $1::text::xid8"
            " order by transaction_id, id offset $2 limit 1", start, most,
        )  # fmt: skip
        if nearer is not None and int(nearer) < int(horizon):
            horizon = str(int(nearer) + 1)
        rows = await connection.fetch(
            "select distinct actor, patient, (at at time zone 'Europe/Oslo')::date as day from trust_audit"
            " where transaction_id >= $1::text::xid8 and transaction_id < $2::text::xid8"
            " and actor_kind = 'staff' and patient is not null and resource_type <> 'AuditEvent'",
            start, horizon,
        )  # fmt: skip
        await connection.execute(
            "insert into trust_log_progress (name, horizon) values ('watch', $1::text::xid8)"
            " on conflict (name) do update set horizon = excluded.horizon", horizon,
        )  # fmt: skip
        found = 0
        for day in sorted({row["day"] for row in rows}):
            mine = [row for row in rows if row["day"] == day]
            actors = sorted({row["actor"] for row in mine})
            patients = sorted({row["patient"] for row in mine})
            found += await self._judge(connection, day, actors, patients, now)
        if found:
            _log.warning("audit.found", findings=found)
        return found

    async def _judge(
        self, connection: Any, day: date, actors: Sequence[str], patients: Sequence[int], now: datetime
    ) -> int:
        days = await self._days(connection, day, actors, patients)
        pairs = sorted({(one.actor, one.unit, one.patient) for one in days if one.actor in set(actors)}, key=str)
        ties = await self._ties.of(connection, pairs)
        # Whoever proves the system sees the same patients all day, and is refused where a block is tried (IMP-03).
        probes = {patient for (_, _, patient), tie in ties.items() if tie.probe}
        days = [one for one in days if one.patient not in probes]
        kept: list[tuple[Kind, _Day, str | None, int | None]] = []
        for one in days:
            tie = ties.get((one.actor, one.unit, one.patient), Tie())
            viewing = Viewing(
                one.rows, one.refused, one.occasion, tie.own, tie.family, tie.household, tie.neighbour, tie.colleague,
                tie.known,
            )  # fmt: skip
            kept += [(kind, one, one.actor, one.patient) for kind in of_viewing(viewing, self._norms)]
        for actor in actors:
            mine = [one for one in days if one.actor == actor]
            usual = await self._usual(connection, "actor", actor, "patient", day)
            refused = sum(one.refused > 0 for one in mine)
            for kind in of_day(sum(one.rows > one.refused for one in mine), refused, usual, self._norms):
                kept.append((kind, _all(mine), actor, None))
        for patient in patients:
            mine = [one for one in days if one.patient == patient]
            usual = await self._usual(connection, "patient", patient, "actor", day)
            strangers = len({one.actor for one in mine if not one.occasion})
            for kind in of_patient(len({one.actor for one in mine}), strangers, usual, self._norms):
                kept.append((kind, _all(mine), None, patient))
        return await self._keep(connection, kept, now)

    async def _days(self, connection: Any, day: date, actors: Sequence[str], patients: Sequence[int]) -> list[_Day]:
        """All that these people did on that day, and all that was done with these patients."""
        start = datetime.combine(day, datetime.min.time(), OSLO)
        rows = await connection.fetch(
            """
            with done as (
                select actor, actor_name, unit, unit_name, patient, allowed, at, resource_type from trust_audit
                where actor_kind = 'staff' and at >= $3 and at < $4
                    and (actor = any($1::text[]) or patient = any($2::bigint[]))
            ), days as (
                select actor, unit, patient, max(actor_name) as name, max(unit_name) as unit_name, count(*) as rows,
                    count(*) filter (where not allowed) as refused, min(at) as first, max(at) as last
                from done where patient is not null and resource_type <> 'AuditEvent' group by actor, unit, patient
            )
            select days.*, exists (
                select 1 from trust_care_relation care where care.patient = days.patient and care.unit = days.unit
                    and care.starts <= days.last and care.ends - $5::interval > days.first
            ) as occasion from days
            """,
            list(actors), list(patients), start, start + timedelta(days=1), self._after - _FRESH,
        )  # fmt: skip
        return [
            _Day(
                row["actor"], row["name"], row["unit"], row["unit_name"], row["patient"], day, row["rows"],
                row["refused"], row["first"], row["last"], row["occasion"],
            )
            for row in rows
        ]  # fmt: skip

    async def _usual(self, connection: Any, column: str, value: Any, counted: str, day: date) -> list[int]:
        """How many different ones on each of the days before that had any."""
        start = datetime.combine(day, datetime.min.time(), OSLO)
        rows = await connection.fetch(
            f"select count(distinct {counted}) from trust_audit where {column} = $1 and actor_kind = 'staff'"
            " and allowed and at >= $2 and at < $3 group by (at at time zone 'Europe/Oslo')::date",
            value, start - timedelta(days=_USUAL_DAYS), start,
        )  # fmt: skip
        return [row[0] for row in rows]

    async def _keep(
        self, connection: Any, kept: Sequence[tuple[Kind, _Day, str | None, int | None]], now: datetime
    ) -> int:
        new = 0
        for kind, one, actor, patient in kept:
            new += await connection.fetchval(
                "insert into trust_finding (kind, day, actor, actor_name, unit, unit_name, patient, first_at, last_at,"
                " rows, refused, found) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
                " on conflict (kind, day, actor, patient) do update set first_at = excluded.first_at,"
                " last_at = excluded.last_at, rows = excluded.rows, refused = excluded.refused"
                " returning (xmax = 0)::int",
                kind.value, one.day, actor, one.name if actor else "", one.unit if actor else None,
                one.unit_name if actor else None, patient, one.first, one.last, one.rows, one.refused, now,
            )  # fmt: skip
        return new


def _all(days: Sequence[_Day]) -> _Day:
    """Several viewings as one."""
    first = days[0]
    return _Day(
        first.actor, first.name, first.unit, first.unit_name, first.patient, first.day, sum(d.rows for d in days),
        sum(d.refused for d in days), min(d.first for d in days), max(d.last for d in days),
        all(d.occasion for d in days),
    )  # fmt: skip
