"""What the named persons of the synthetic region have decided about who may see what, as Consents with ids by the
seed: powers of attorney, youth access, and a referral that a clinician has assessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from random import Random

from varde.clock import OSLO
from varde.demo.people import Human, Resource, Worker, stable_id
from varde.fhir.keys import bucket_of
from varde.trust.consents import ReferralAssessment, to_fhir


def decisions(random: Random, human: Human, record: Sequence[Resource], workers: Sequence[Worker]) -> list[Resource]:
    """The Consents in a person's record. `record` holds their referrals."""
    found = [replace(one, id=stable_id(random, bucket_of(human.id))) for one in human.consents]
    if human.assessed_for:
        referral = next(one for one in record if one["resourceType"] == "ServiceRequest")
        unit = str(referral["performer"][0]["reference"]).partition("/")[2]
        doctor = next(one for one in workers if one.unit.id == unit and one.role == "doctor")
        day = datetime.fromisoformat(str(referral["authoredOn"])).date() + timedelta(days=9)
        at = datetime.combine(day, time(11, 30), OSLO)
        found.append(
            ReferralAssessment(
                id=stable_id(random, bucket_of(human.id)), patient=human.id, at=at, by=f"Practitioner/{doctor.id}",
                unit=unit, referral=referral["id"], opened_to=frozenset(human.assessed_for), consented=at,
            )
        )  # fmt: skip
    return [to_fhir(one) for one in found]
