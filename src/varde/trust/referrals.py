"""Access by referral (FAM-19 to FAM-24): who each referral is open to, kept in the store's own transaction, and what a
referral opens. What is tied to a referral is read from the store's own index of references: law/ties.py.

An assessment is a Consent (trust/consents.py). That parents are named without the young person's recorded own consent
is refused here, whoever writes it and by whichever way (FAM-21).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from varde.clock import OSLO
from varde.fhir.errors import Unprocessable
from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.fhir.search.dates import OPEN_HIGH
from varde.trust import consents
from varde.trust.consents import Paper, ReferralAssessment
from varde.trust.law.table import Assessment, Band
from varde.trust.persons import PARENTS_FULL_UNTIL, age

OPEN_STATUSES = frozenset({"active", "on-hold", "completed"})
"""Statuses of a referral that was received and accepted (FAM-22)."""


class Assessments:
    """Projection of the store: who referrals are open to, and which Consents hold decisions of access."""

    types = frozenset({"Consent"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the written assessments. Raises Unprocessable for one that FAM-21 forbids, or that is not whole."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from trust_assessment where rid = any($1::bigint[])", changed)
        kinds = [
            (row.rid, kind.value) for row in rows if row.new is not None and (kind := consents.kind_of(row.new))
        ]  # fmt: skip
        if kinds:
            await connection.execute(
                "insert into trust_consent_kind (rid, kind) select * from unnest($1::bigint[], $2::text[])"
                " on conflict (rid) do nothing",
                *(list(column) for column in zip(*kinds, strict=True)),
            )
        found = [(row, made) for row in rows if (made := _assessment(row)) is not None]
        if not found:
            return
        await _may_name(connection, found)
        await connection.executemany(
            "insert into trust_assessment (rid, patient, referral, dated, starts, ends, opened, paper)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                (
                    row.rid, row.patient, resource_key("ServiceRequest", one.referral), one.at, one.starts or one.at,
                    one.ends or OPEN_HIGH, sorted(resource_key("Patient", who) for who in one.opened_to),
                    one.paper.value,
                )
                for row, one in found
            ],
        )  # fmt: skip


def _assessment(row: ProjectedRow) -> ReferralAssessment | None:
    if row.new is None or consents.kind_of(row.new) is not consents.Kind.REFERRAL_ASSESSMENT:
        return None
    try:
        read = consents.from_fhir(row.new)
    except ValueError as error:
        raise Unprocessable.of(str(error), "Consent") from None
    if not isinstance(read, ReferralAssessment) or read.withdrawn:
        return None
    if row.patient is None:
        raise Unprocessable.of("an assessment is of one patient, named by reference", "Consent.patient")
    return read


async def _may_name(connection: Any, found: Sequence[tuple[ProjectedRow, ReferralAssessment]]) -> None:
    """FAM-21: who is not the patient is named only with the young person's own consent, given alone, before the
    assessment, at an age when it is theirs to give."""
    naming = [(row, one) for row, one in found if one.opened_to - {one.patient}]
    if not naming:
        return
    rows = await connection.fetch(
        "select rid, body from resource where rid = any($1::bigint[]) and not deleted",
        [row.patient for row, _ in naming],
    )
    born = {row["rid"]: orjson.loads(row["body"]).get("birthDate") for row in rows}
    for row, one in naming:
        if not may_name_parents(one, born.get(row.patient)):
            raise Unprocessable.of(
                "an assessment names a parent only with the young person's own consent, given to the clinician alone"
                " and recorded in Consent.verification (FAM-21)",
                "Consent.verification",
                code="business-rule",
            )


def may_name_parents(assessment: ReferralAssessment, born: str | None) -> bool:
    """Whether the young person's recorded consent carries an assessment that names others (FAM-21). `born` is the
    Patient's birthDate; what is not known carries nothing."""
    if assessment.consented is None or born is None or len(born) != len("2010-01-01"):
        return False
    day = assessment.consented.astimezone(OSLO).date()
    return assessment.consented <= assessment.at and age(date.fromisoformat(born), day) >= PARENTS_FULL_UNTIL


def opens_services(band: Band, status: str, assessment: Assessment) -> bool:
    """Whether a referral opens the unit's services (booking, dialogue, forms) to somebody. FAM-22: under 12 and from
    16 once it is received and accepted; FAM-19: from 12 to 15 once it is open to them, too."""
    accepted = status in OPEN_STATUSES
    return accepted and (band not in {Band.TWELVE, Band.YOUTH} or assessment is Assessment.TO_ACTOR)


@dataclass(frozen=True, slots=True)
class Opened:
    """The assessment in force of one referral."""

    dated: datetime
    to: frozenset[int]
    """rids of Patients: the patient's own, and parents'."""
    paper: Paper = Paper.PARENTS

    def seen_by(self, who: int) -> Assessment:
        """How it looks to somebody."""
        if who in self.to:
            return Assessment.TO_ACTOR
        return Assessment.TO_OTHERS if self.to else Assessment.CLOSED


_NARROWEST = (Paper.NONE, Paper.YOUTH, Paper.PARENTS)


def together(made: Mapping[int, Opened], referrals: Iterable[int]) -> Opened | None:
    """What holds for a thing that is tied to several referrals (rids of ServiceRequests): open to those alone to whom
    all are, and paper as the narrowest says. None where one is not assessed, or there is none."""
    found = [made.get(one) for one in referrals]
    known = [one for one in found if one is not None]
    if not found or len(known) < len(found):
        return None
    return Opened(
        max(one.dated for one in known),
        frozenset.intersection(*(one.to for one in known)),
        min((one.paper for one in known), key=_NARROWEST.index),
    )


async def assessed(connection: Any, patients: Sequence[int], now: datetime) -> Mapping[int, Opened]:
    """The assessments in force at `now` of these patients' referrals, by the ServiceRequest's rid; missing: not
    assessed. For the house itself: who is shown what is decided by scopes."""
    rows = await connection.fetch(
        "select distinct on (patient, referral) referral, dated, opened, paper from trust_assessment"
        " where patient = any($1::bigint[]) and dated <= $2 and starts <= $2 and ends > $2"
        " order by patient, referral, dated desc, rid desc",
        list(patients), now,
    )  # fmt: skip
    return {row["referral"]: Opened(row["dated"], frozenset(row["opened"]), Paper(row["paper"])) for row in rows}
