"""What clinicians withhold of single things (FAM-04, FAM-05, FAM-35), kept as rows from the Consents that say so, and
the SQL that hides by them. Who may decide it, and the pages, are services/family/withholding.py's.

A thing also carries the codes in `meta.security`, for all who read it elsewhere. The rows are what holds here: a system
that writes the thing anew without its labels opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from varde.fhir.definitions import is_type
from varde.fhir.errors import Unprocessable
from varde.fhir.gate import Parameters
from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.trust import consents
from varde.trust.consents import Kind, Withholding


class Withheld:
    """Projection of the store: the table trust_withheld."""

    types = frozenset({"Consent"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep what the written Consents withhold. Raises Unprocessable for one that is not whole."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from trust_withheld where consent = any($1::bigint[])", changed)
        found = [made for row in rows if (made := _row(row)) is not None]
        if found:
            await connection.executemany(
                "insert into trust_withheld (rid, consent, patient, unit, codes, opens, event, since)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8)",
                found,
            )


def _row(row: ProjectedRow) -> tuple[Any, ...] | None:
    if row.new is None or row.patient is None or consents.kind_of(row.new) is not Kind.WITHHOLDING:
        return None
    try:
        one = consents.from_fhir(row.new)
    except ValueError as error:
        raise Unprocessable.of(str(error), "Consent") from None
    if not isinstance(one, Withholding) or one.withdrawn or not one.codes:
        return None
    kind, _, identifier = one.thing.partition("/")
    if not is_type(kind) or not identifier:
        raise Unprocessable.of("what is withheld is one thing: Type/id", "Consent.provision.data")
    return (
        resource_key(kind, identifier), row.rid, row.patient, one.unit, sorted(one.codes), one.ends, one.event,
        one.starts or one.at,
    )  # fmt: skip


def condition(alias: str, codes: frozenset[str], now: datetime, parameters: Parameters) -> str:
    """SQL that is false for a row (see Gate.predicate) that a clinician withholds from whoever `codes` hide things
    from, in all its versions. What is delayed opens at its time by itself (FAM-35)."""
    if not codes:
        return "true"
    held = parameters.add(sorted(codes))
    at = parameters.add(now)
    return (
        f"not exists (select 1 from trust_withheld held where held.rid = {alias}.rid"
        f" and held.patient = {alias}.patient and held.codes && {held}::text[]"
        f" and (held.opens is null or held.opens > {at}::timestamptz))"
    )


async def codes_of(connection: Any, rid: int, patient: int, now: datetime) -> frozenset[str]:
    """The codes by which a thing (rid) of a patient (rid) is withheld at `now`."""
    rows = await connection.fetch(
        "select codes from trust_withheld where rid = $1 and patient = $2 and (opens is null or opens > $3)",
        rid, patient, now,
    )  # fmt: skip
    return frozenset(code for row in rows for code in row["codes"])
