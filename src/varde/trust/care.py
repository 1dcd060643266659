"""Care relations: which unit treats which patient, and until when (FAM-30). Kept in the store's own
transaction from the resources that show it, so that access follows the record and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from varde.fhir.model import ProjectedRow
from varde.fhir.search.dates import OPEN_HIGH, date_range
from varde.trust.policy import Configuration

_NONE = frozenset({"cancelled", "entered-in-error", "revoked", "noshow", "rejected", "draft"})
"""Statuses that show no relation: called off, or not received yet (FAM-22)."""
_OVER = frozenset({"finished", "completed", "fulfilled"})
"""Statuses of what has ended, also where nobody wrote when."""


def _organisation(reference: Any) -> str | None:
    literal = reference.get("reference") if isinstance(reference, Mapping) else None
    if isinstance(literal, str) and literal.startswith("Organization/"):
        return literal.removeprefix("Organization/")
    return None


def _moment(text: Any, *, end: bool = False) -> datetime | None:
    try:
        return date_range(text)[1 if end else 0] if isinstance(text, str) else None
    except ValueError:
        return None


def relations(
    resource_type: str, resource: Mapping[str, Any], configuration: Configuration
) -> list[tuple[str, datetime, datetime]]:
    """(unit, from, to) of each care relation that a resource shows. Pure.

    An open episode or referral lasts until it is closed; after the last contact comes the configured time.
    """
    after: timedelta = configuration.care_relation_after
    if resource.get("status") in _NONE:
        return []
    period: Mapping[str, Any] = {}
    units: list[str | None] = []
    if resource_type == "EpisodeOfCare":
        period, units = resource.get("period") or {}, [_organisation(resource.get("managingOrganization"))]
    elif resource_type == "Encounter":
        period, units = resource.get("period") or {}, [_organisation(resource.get("serviceProvider"))]
    elif resource_type == "ServiceRequest":
        period = {"start": resource.get("authoredOn")}
        units = [_organisation(one) for one in resource.get("performer") or ()]
    elif resource_type == "Appointment":
        begins = resource.get("created") or resource.get("start")
        # One without a time yet is no open door: the referral it stands on is.
        period = {"start": begins, "end": resource.get("end") or resource.get("start") or begins}
        units = [_organisation(one) for one in resource.get("supportingInformation") or ()]
    start = _moment(period.get("start"))
    if start is None:
        return []
    last = period.get("end") or (period.get("start") if resource.get("status") in _OVER else None)
    end = _moment(last, end=True)
    until = OPEN_HIGH if end is None else end + after
    return [(unit, start, until) for unit in units if unit]


class CareRelations:
    """Projection of the store: the table trust_care_relation."""

    types = frozenset({"EpisodeOfCare", "Encounter", "ServiceRequest", "Appointment"})

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = configuration or Configuration()

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the relations of the written resources."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from trust_care_relation where source = any($1::bigint[])", changed)
        found = [
            (row.patient, unit, row.rid, start, end)
            for row in rows
            if row.new is not None and row.patient is not None
            for unit, start, end in relations(row.type, row.new, self._configuration)
        ]
        if found:
            await connection.execute(
                "insert into trust_care_relation (patient, unit, source, starts, ends)"
                " select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])"
                " on conflict (source, unit) do update set patient = excluded.patient, starts = excluded.starts,"
                " ends = excluded.ends",
                *(list(column) for column in zip(*found, strict=True)),
            )
