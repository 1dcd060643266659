"""What opens by itself (FAM-35): at its time, and when the visit that is waited for is over.

At its time a thing is open whether a job has run or not, since the gate asks the clock; the job takes the codes from
it, so that nobody reads of what was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Gone, NotFound
from varde.fhir.model import ProjectedRow
from varde.fhir.search.dates import date_range
from varde.services.family.telling import SERVICE
from varde.services.family.withholding import OPENS, TYPES, relabelled
from varde.services.family.withholding_rules import Cause, Choice, Event, Way
from varde.trust import consents
from varde.trust.consents import Withholding
from varde.trust.law.marks import DELAYED, TO_PARENTS, TO_YOUTH
from varde.work import jobs
from varde.work.jobs import Handler, Job

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

_OVER: Mapping[str, str] = {"Appointment": "fulfilled", "Encounter": "finished"}
_UNIT = {"Appointment": "supportingInformation", "Encounter": "serviceProvider"}


class Visits:
    """Projection of the store: a visit that is over opens what waits for it."""

    types = frozenset(_OVER)

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Put in the jobs of what waits for these."""
        over = [(row, ended) for row in rows if (ended := _ended(row)) is not None]
        if not over:
            return
        waiting = await connection.fetch(
            "select w.patient, w.unit, w.since, c.id from trust_withheld w join resource c on c.rid = w.consent"
            " where w.patient = any($1::bigint[]) and w.event = $2",
            [row.patient for row, _ in over], Event.VISIT.value,
        )  # fmt: skip
        await jobs.enqueue_many(
            connection,
            [
                Job(
                    OPENS, {"consent": one["id"], "event": Event.VISIT.value}, one["since"],
                    f"{OPENS}:{one['id']}:{row.id}:{row.version}", one["patient"],
                )
                for row, ended in over
                for one in waiting
                if one["patient"] == row.patient and ended >= one["since"] and one["unit"] in _units(row)
            ],
        )  # fmt: skip


def _ended(row: ProjectedRow) -> datetime | None:
    """When the visit ended, for one that was not over before."""
    new, status = row.new or {}, _OVER[row.type]
    if row.patient is None or new.get("status") != status or (row.old or {}).get("status") == status:
        return None
    said = new.get("end") or (new.get("period") or {}).get("end")
    try:
        return date_range(said)[1] if isinstance(said, str) else None
    except ValueError:
        return None


def _units(row: ProjectedRow) -> set[str]:
    said: Any = (row.new or {}).get(_UNIT[row.type]) or []
    references = said if isinstance(said, list) else [said]
    return {str(one.get("reference", "")).removeprefix("Organization/") for one in references}


def handlers(platform: Platform) -> Sequence[Handler]:
    """The job that opens what is delayed."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await opened(platform, connection, str(payload["consent"]), payload.get("event"))

    return [Handler(OPENS, run, batch=20, attempts=40)]


async def opened(platform: Platform, connection: Any, consent: str, event: str | None) -> None:
    """Put one delayed thing in order, if it is still delayed until a time that has come, or until `event`."""
    scope, now = _scope(platform), platform.clock.now()
    found = await platform.store.read_many(scope, "Consent", [consent], connection=connection, for_update=True)
    decision = consents.from_fhir(found[consent].resource) if consent in found else None
    if not isinstance(decision, Withholding) or decision.withdrawn or decision.codes != {DELAYED}:
        return
    come = decision.ends is not None and decision.ends <= now
    if not come and (event is None or decision.event != event):
        return
    kind, _, identifier = decision.thing.partition("/")
    try:
        stored = await platform.store.read(scope, kind, identifier, connection=connection, for_update=True)
    except (NotFound, Gone):
        pass  # there is nothing left to open; the decision ends all the same
    else:
        open_now = Choice(Way.OPEN, marks=decision.marks)
        resource = relabelled(stored.resource, open_now, frozenset({TO_PARENTS, TO_YOUTH}) & decision.marks)
        await platform.store.write_many(scope, [resource], connection=connection, checked=True)
    ended = replace(
        decision, codes=frozenset(), ends=None, event=None, at=now, by=None, cause=Cause.OVER.value, reason=None,
        withdrawn=not decision.marks,
    )  # fmt: skip
    await platform.store.update(scope, "Consent", consent, consents.to_fhir(ended), connection=connection)


def _scope(platform: Platform) -> Scope:
    kinds = frozenset({*TYPES, "Consent"})
    return platform.access.for_system(SERVICE, types=kinds, write_types=kinds)
