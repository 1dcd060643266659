"""Which resources show that a unit treats a patient, and until when (FAM-22, FAM-30): a table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from varde.clock import OSLO
from varde.fhir.search.dates import OPEN_HIGH
from varde.trust.care import relations
from varde.trust.policy import Configuration

WARD = {"reference": "Organization/ward"}
EPISODE = {"managingOrganization": WARD, "status": "active"}
VISIT = {"serviceProvider": WARD, "status": "in-progress"}
REFERRAL = {"performer": [WARD], "status": "active", "authoredOn": "2026-03-01"}
HOUR = {"supportingInformation": [WARD], "status": "booked", "created": "2026-03-01"}
OPEN, NEVER = "open", None

CASES: list[tuple[str, dict[str, Any], str | None]] = [
    # type, content, the last day it lasts before its time after; open; or no relation
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01"}}, OPEN),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01", "end": "2026-05-01"}}, "2026-05-01"),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01"}, "status": "finished"}, "2026-03-01"),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01"}, "status": "cancelled"}, NEVER),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01"}, "status": "entered-in-error"}, NEVER),
    ("EpisodeOfCare", EPISODE, NEVER),
    ("EpisodeOfCare", {"period": {"start": "2026-03-01"}, "status": "active"}, NEVER),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "nonsense"}}, NEVER),
    ("EpisodeOfCare", EPISODE | {"period": {"start": "2026-03-01"}, "managingOrganization": {"display": "x"}}, NEVER),
    ("Encounter", VISIT | {"period": {"start": "2026-03-01"}}, OPEN),
    ("Encounter", VISIT | {"period": {"start": "2026-03-01", "end": "2026-03-02"}}, "2026-03-02"),
    ("Encounter", VISIT | {"period": {"start": "2026-03-01"}, "status": "finished"}, "2026-03-01"),
    ("ServiceRequest", REFERRAL, OPEN),
    ("ServiceRequest", REFERRAL | {"status": "completed"}, "2026-03-01"),
    ("ServiceRequest", REFERRAL | {"status": "revoked"}, NEVER),
    ("ServiceRequest", REFERRAL | {"status": "draft"}, NEVER),
    ("Appointment", HOUR | {"start": "2026-06-01", "end": "2026-06-01"}, "2026-06-01"),
    ("Appointment", HOUR | {"start": "2026-06-01"}, "2026-06-01"),
    ("Appointment", HOUR | {"status": "waitlist"}, "2026-03-01"),
    ("Appointment", HOUR | {"status": "noshow", "end": "2026-06-01"}, NEVER),
    ("Observation", {"performer": [WARD], "status": "final", "issued": "2026-03-01"}, NEVER),
]


@pytest.mark.parametrize(("kind", "content", "last"), CASES, ids=[f"{c[0]} {n}" for n, c in enumerate(CASES)])
def test_what_shows_a_relation(kind: str, content: dict[str, Any], last: str | None) -> None:
    found = relations(kind, {"resourceType": kind, **content}, Configuration())
    if last is NEVER:
        assert found == []
        return
    begins = datetime(2026, 3, 1, tzinfo=OSLO)
    if last == OPEN:
        assert found == [("ward", begins, OPEN_HIGH)]
        return
    day = date.fromisoformat(last) + timedelta(days=1)
    over = datetime(day.year, day.month, day.day, tzinfo=OSLO)
    ((unit, start, end),) = found
    assert (unit, start) == ("ward", begins)
    assert end.timestamp() == (over.timestamp() + timedelta(days=90).total_seconds())


def test_the_time_after_is_the_regions_own() -> None:
    content = EPISODE | {"period": {"start": "2026-03-01", "end": "2026-05-01"}}
    ((_, _, short),) = relations("EpisodeOfCare", content, Configuration(care_relation_after=timedelta(0)))
    assert short == datetime(2026, 5, 2, tzinfo=OSLO)
