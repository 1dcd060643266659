"""Emergency access (purpose BTG, FAM-34): one health worker, one patient, a written reason, a short time. It opens the
patient's record over blocks and without a care relation; it ends by itself, by the clock in the SQL of every reading.

An open one is a Consent of kind emergency (trust/consents.py), kept as a row by `blocks.py`. ETREAT opens nothing.
How one is opened, told of and followed up is services/family's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.gate import Parameters
from varde.fhir.model import ProjectedRow
from varde.trust import grounds
from varde.trust.consents import Emergency

if TYPE_CHECKING:
    from varde.trust.scope import Scope

PURPOSE = "BTG"
"""Of v3-ActReason: break the glass."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An emergency access that is open now."""

    id: str
    """Of the Consent, which holds the reason."""
    patient: str
    """Id of the Patient."""
    hpr: str
    unit: str
    starts: datetime
    ends: datetime


async def keep(connection: Any, row: ProjectedRow, one: Emergency) -> None:
    """Keep the row of a written Consent."""
    ends = min(one.at, one.ends) if one.withdrawn else one.ends
    await connection.execute(
        "insert into trust_emergency (consent, id, patient, patient_id, hpr, unit, starts, ends)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)"
        " on conflict (consent) do update set ends = excluded.ends",
        row.rid, row.id, row.patient, one.patient, one.hpr, one.unit or "", one.starts or one.at, ends,
    )  # fmt: skip


async def opened(connection: Any, hpr: str, unit: str, now: datetime) -> list[Opened]:
    """What a health worker has open now at a unit, the newest first."""
    rows = await connection.fetch(
        "select id, patient_id, hpr, unit, starts, ends from trust_emergency"
        " where hpr = $1 and unit = $2 and starts <= $3 and ends > $3 order by starts desc, id",
        hpr, unit, now,
    )  # fmt: skip
    return [Opened(row["id"], row["patient_id"], row["hpr"], row["unit"], row["starts"], row["ends"]) for row in rows]


def scope_of(scope: Scope, one: Opened) -> Scope:
    """A health worker's own scope made one of this emergency access: of that patient alone, its reason in the log."""
    return replace(
        scope, purpose=PURPOSE, ground=grounds.EMERGENCY, patient=one.patient, decision_ref=one.id,
    )  # fmt: skip


def condition(scope: Scope, alias: str, parameters: Parameters) -> str:
    """SQL: whether the emergency access that the scope stands on is open now, and for the row's patient."""
    now = f"{parameters.add(scope.clock.now())}::timestamptz"
    return (
        f"exists (select 1 from trust_emergency open where open.id = {parameters.add(scope.decision_ref or '')}::text"
        f" and open.hpr = {parameters.add(scope.actor.key)}::text and open.patient = {alias}.patient"
        f" and open.starts <= {now} and open.ends > {now})"
    )
