"""Staff under threat, whose names patients do not read (FAM-41): a flag on their Practitioner, as a derived table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir.model import ProjectedRow
from varde.trust.persons import HPR

SHIELDED = "https://varde.no/fhir/StructureDefinition/name-hidden-from-patients"
"""Extension of a Practitioner with valueBoolean true: set by the employer, after a threat."""


def shielded(practitioner: Mapping[str, Any]) -> str | None:
    """The HPR number of one under threat; None for the others. Pure."""
    flagged = any(
        one.get("url") == SHIELDED and one.get("valueBoolean") is True for one in practitioner.get("extension", ())
    )
    if not flagged:
        return None
    numbers = (one.get("value") for one in practitioner.get("identifier", ()) if one.get("system") == HPR)
    return next((str(number) for number in numbers if number), None)


class Shielded:
    """Projection of the store: the table trust_shielded."""

    types = frozenset({"Practitioner"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep who is under threat."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from trust_shielded where source = any($1::bigint[])", changed)
        found = [(row.rid, number) for row in rows if row.new is not None and (number := shielded(row.new))]
        if found:
            await connection.executemany(
                "insert into trust_shielded (source, hpr) values ($1, $2)"
                " on conflict (source) do update set hpr = excluded.hpr",
                found,
            )
