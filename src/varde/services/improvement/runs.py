"""The runs of journeys as a derived table, kept in the store's own transaction: when each ended, and whether it
passed. It gives ids and numbers alone; what a run tells of is read from its TestReport (flow.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from varde.clock import OSLO
from varde.fhir.model import ProjectedRow
from varde.services.improvement.model import outcome_of
from varde.services.improvement.rules import UPTIME_DAYS, Day


class Runs:
    """The projection."""

    types = frozenset({"TestReport"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the table after reports were written. Reports that no journey left are not in it."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from improvement_run where report = any($1::bigint[])", changed)
        found = [(row.rid, row.id, outcome_of(row.new)) for row in rows if row.new is not None]
        kept = [(rid, *outcome, identifier) for rid, identifier, outcome in found if outcome is not None]
        if kept:
            await connection.execute(
                "insert into improvement_run (report, journey, issued, passed, id)"
                " select * from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::boolean[], $5::text[])"
                " on conflict (report) do update set journey = excluded.journey, issued = excluded.issued,"
                " passed = excluded.passed, id = excluded.id",
                *(list(column) for column in zip(*kept, strict=True)),
            )


@dataclass(frozen=True, slots=True)
class Last:
    """A journey's last run."""

    report: str
    """Id of the TestReport."""
    at: datetime
    passed: bool


_LAST = """
select wanted.journey, last.id, last.issued, last.passed from unnest($1::text[]) as wanted (journey)
cross join lateral (
    select id, issued, passed from improvement_run run
    where run.journey = wanted.journey order by issued desc limit 1
) last
"""


async def last_of(connection: Any, journeys: Sequence[str]) -> dict[str, Last]:
    """The last run of each journey; one that never ran is missing."""
    rows = await connection.fetch(_LAST, list(journeys))
    return {row["journey"]: Last(row["id"], row["issued"], row["passed"]) for row in rows}


_SINCE = """
select wanted.journey, changed.issued from unnest($1::text[], $2::interval[]) as wanted (journey, pause)
cross join lateral (
    select max(issued) as issued from (
        select issued, passed, lag(passed) over row_of as before, issued - lag(issued) over row_of as gap
        from improvement_run run where run.journey = wanted.journey and issued >= $3
        window row_of as (order by issued)
    ) run where before is null or before <> passed or gap > wanted.pause
) changed where changed.issued is not null
"""


async def since(connection: Any, pauses: Mapping[str, timedelta], today: date) -> dict[str, datetime]:
    """The first of each journey's unbroken row of like runs up to the last. Another outcome breaks it, and so does a
    time without runs that is longer than the journey's in `pauses`: of that nobody knows (IMP-08). Looked for as far
    back as the page shows."""
    rows = await connection.fetch(_SINCE, list(pauses), list(pauses.values()), midnight(_first_day(today)))
    return {row["journey"]: row["issued"] for row in rows}


async def days(connection: Any, journeys: Sequence[str], today: date) -> dict[str, list[Day]]:
    """How many runs each journey had and how many failed, day by day in Norway: oldest first, `today` last."""
    rows = await connection.fetch(
        "select journey, (issued at time zone 'Europe/Oslo')::date as day, count(*) as runs,"
        " count(*) filter (where not passed) as failed"
        " from improvement_run where journey = any($1::text[]) and issued >= $2 group by 1, 2",
        list(journeys),
        midnight(_first_day(today)),
    )
    found = {(row["journey"], row["day"]): Day(row["day"], row["runs"], row["failed"]) for row in rows}
    every = [today - timedelta(days=back) for back in range(UPTIME_DAYS - 1, -1, -1)]
    return {journey: [found.get((journey, day), Day(day, 0, 0)) for day in every] for journey in journeys}


def _first_day(today: date) -> date:
    return today - timedelta(days=UPTIME_DAYS - 1)


def midnight(day: date) -> datetime:
    """When a day begins in Norway."""
    return datetime.combine(day, time(), OSLO)
