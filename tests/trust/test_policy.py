"""The law as a table: who may be let in, on which ground. Ages by the clock at midnight in Norway."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from varde.clock import OSLO, SetClock, today
from varde.trust import grounds
from varde.trust.grounds import GROUNDS
from varde.trust.policy import (
    REASONS,
    ActorKind,
    Parenthood,
    StaffRole,
    own_access,
    parental_access,
    staff_types,
    withheld_from,
)

BORN = date(2010, 6, 15)


def birthday(years: int, born: date = BORN) -> date:
    return born.replace(year=born.year + years)


def day_before(years: int) -> date:
    return birthday(years) - timedelta(days=1)


OWN = [
    # rule, day, dead, allowed, why
    ("FAM-06 FAM-19", day_before(12), False, False, "own-young"),
    ("FAM-06 FAM-19", birthday(12), False, False, "own-young"),
    ("FAM-06 FAM-19", birthday(13), False, False, "own-young"),
    ("FAM-06 FAM-19", day_before(16), False, False, "own-young"),
    ("FAM-01", birthday(16), False, True, "own"),
    ("FAM-01", birthday(18), False, True, "own"),
    ("FAM-01", birthday(90), False, True, "own"),
    ("FAM-16", birthday(40), True, False, "own-dead"),
    ("FAM-16", birthday(12), True, False, "own-dead"),
]


@pytest.mark.parametrize(("rule", "day", "dead", "allowed", "why"), OWN, ids=[f"{c[0]} {c[1]} {c[4]}" for c in OWN])
def test_own_things(rule: str, day: date, dead: bool, allowed: bool, why: str) -> None:
    decision = own_access(BORN, day, dead=dead)
    assert (decision.allowed, decision.why) == (allowed, why)
    assert decision.ground is (grounds.OWN_RECORD if allowed else grounds.NONE)


GOOD = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False)
NOT_RESPONSIBLE = Parenthood(responsible=False, a_parent_at_childs_address=True, protected=False)
ELSEWHERE = Parenthood(responsible=True, a_parent_at_childs_address=False, protected=False)
PROTECTED = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=True)
CHILD_DEAD = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False, child_dead=True)

PARENT = [
    # rule, day, facts, allowed, why
    ("FAM-02", BORN, GOOD, True, "parent"),
    ("FAM-02", day_before(12), GOOD, True, "parent"),
    ("FAM-03 FAM-19 FAM-21", birthday(12), GOOD, False, "parent-youth"),
    ("FAM-03 FAM-19 FAM-21", birthday(13), GOOD, False, "parent-youth"),
    ("FAM-03 FAM-19 FAM-21", day_before(16), GOOD, False, "parent-youth"),
    ("FAM-10", birthday(16), GOOD, False, "parent-adult"),
    ("FAM-11", birthday(17), GOOD, False, "parent-adult"),
    ("FAM-10", birthday(18), GOOD, False, "parent-adult"),
    ("FAM-02", birthday(5), NOT_RESPONSIBLE, False, "parent-none"),
    ("FAM-02", birthday(14), NOT_RESPONSIBLE, False, "parent-none"),
    ("FAM-02", birthday(5), ELSEWHERE, False, "parent-address"),
    ("FAM-14", birthday(5), PROTECTED, False, "parent-protected"),
    ("FAM-14", birthday(13), PROTECTED, False, "parent-protected"),
    ("FAM-16", birthday(5), CHILD_DEAD, False, "own-dead"),
]


@pytest.mark.parametrize(
    ("rule", "day", "facts", "allowed", "why"), PARENT, ids=[f"{c[0]} {c[1]} {c[4]}" for c in PARENT]
)
def test_parents(rule: str, day: date, facts: Parenthood, allowed: bool, why: str) -> None:
    decision = parental_access(BORN, day, facts)
    assert (decision.allowed, decision.why) == (allowed, why)
    assert decision.ground is (grounds.PARENT_OF_CHILD if allowed else grounds.NONE)


@pytest.mark.parametrize("month", [1, 7])
def test_the_age_changes_at_midnight_in_norway_winter_and_summer(month: int) -> None:
    """FAM, introduction: 00:00 Europe/Oslo, which is 23:00 or 22:00 UTC the day before."""
    born = date(2010, month, 15)
    midnight = datetime(2026, month, 15, tzinfo=OSLO).astimezone(UTC)
    clock = SetClock(midnight - timedelta(seconds=1))
    assert not own_access(born, today(clock), dead=False).allowed
    clock.advance(timedelta(seconds=1))
    assert own_access(born, today(clock), dead=False).allowed


def test_born_on_29_february_has_a_birthday_on_1_march_in_other_years() -> None:
    born = date(2008, 2, 29)
    assert not own_access(born, date(2023, 12, 31), dead=False).allowed
    assert not own_access(born, date(2024, 2, 28), dead=False).allowed
    assert own_access(born, date(2024, 2, 29), dead=False).allowed
    child = date(2012, 2, 29)
    assert parental_access(child, date(2024, 2, 28), GOOD).allowed
    assert not parental_access(child, date(2024, 2, 29), GOOD).allowed
    born_2010 = date(2012, 2, 29)
    assert not own_access(born_2010, date(2027, 12, 31), dead=False).allowed


def test_what_staff_may_read_follows_the_role() -> None:
    """FAM-30, FAM-31: clinicians all, secretaries neither results nor notes, operators nothing of patients."""
    assert staff_types(StaffRole.CLINICIAN) is None
    secretary = staff_types(StaffRole.SECRETARY)
    assert secretary is not None
    assert {"Patient", "Appointment", "Communication"} <= secretary
    assert not secretary & {"Observation", "DiagnosticReport", "DocumentReference", "Composition", "Condition",
                            "QuestionnaireResponse", "CarePlan", "MedicationRequest"}  # fmt: skip
    assert staff_types(StaffRole.OPERATOR) == frozenset()


@pytest.mark.parametrize(
    ("rule", "code", "hidden_from"),
    [
        ("FAM-05", "N", {"patient", "representative"}),
        ("FAM-35", "NORU", {"patient", "representative"}),
        ("FAM-04", "NORN_FORANS", {"representative"}),
        ("FAM-36", "NORS", {"staff"}),
    ],
)
def test_codes_that_withhold(rule: str, code: str, hidden_from: set[str]) -> None:
    assert {kind.value for kind in ActorKind if code in withheld_from(kind)} == hidden_from


def test_every_reason_is_told_and_every_ground_has_its_law_in_four_languages() -> None:
    told = {case[4] for case in OWN} | {case[4] for case in PARENT}
    assert told <= REASONS.keys()
    for ground in GROUNDS.values():
        assert ground.law and ground.section.startswith("§")
        assert all(ground.sentence[language].endswith(".") for language in ("nb", "nn", "se", "en"))
