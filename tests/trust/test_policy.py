"""The law as a table: who may be let in, on which ground. Ages by the clock at midnight in Norway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from varde.clock import OSLO, SetClock, today
from varde.trust.grounds import GROUNDS
from varde.trust.law.mandate import Bond, Facts, mandate_of
from varde.trust.law.table import Reach, Relation
from varde.trust.law.things import Thing
from varde.trust.policy import (
    ActorKind,
    Parenthood,
    StaffRole,
    entry,
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
    # rule, day, dead, youth access, allowed, ground, why
    ("FAM-06", day_before(12), False, False, False, "none", "own-child"),
    ("FAM-06", birthday(12), False, True, False, "none", "own-child"),
    ("FAM-06", day_before(13), False, True, False, "none", "own-child"),
    ("FAM-06", birthday(13), False, False, True, "youth-alone", "youth-alone"),
    ("FAM-06", birthday(13), False, True, True, "youth-access", "youth"),
    ("FAM-06 FAM-19", day_before(16), False, True, True, "youth-access", "youth"),
    ("FAM-01", birthday(16), False, False, True, "own-record", "own"),
    ("FAM-01", birthday(18), False, False, True, "own-record", "own"),
    ("FAM-01", birthday(90), False, False, True, "own-record", "own"),
    ("FAM-16", birthday(40), True, False, False, "dead", "own-dead"),
    ("FAM-16", birthday(12), True, False, False, "dead", "own-dead"),
]


@pytest.mark.parametrize(
    ("rule", "day", "dead", "youth", "allowed", "ground", "why"), OWN, ids=[f"{c[0]} {c[1]} {c[6]}" for c in OWN]
)
def test_own_things(rule: str, day: date, dead: bool, youth: bool, allowed: bool, ground: str, why: str) -> None:
    decision = own_access(BORN, day, dead=dead, youth_access=youth)
    assert (decision.allowed, decision.ground.key, decision.why) == (allowed, ground, why)


GOOD = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False)
NOT_RESPONSIBLE = Parenthood(responsible=False, a_parent_at_childs_address=True, protected=False)
ELSEWHERE = Parenthood(responsible=True, a_parent_at_childs_address=False, protected=False)
PROTECTED = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=True)
CHILD_DEAD = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False, child_dead=True)

PARENT = [
    # rule, day, facts, reads all letters, gets in, why of entry
    ("FAM-02", BORN, GOOD, True, True, "parent"),
    ("FAM-02", day_before(12), GOOD, True, True, "parent"),
    ("FAM-03 FAM-19 FAM-21", birthday(12), GOOD, False, True, "parent-assessed"),
    ("FAM-03 FAM-19 FAM-21", day_before(16), GOOD, False, True, "parent-assessed"),
    ("FAM-10", birthday(16), GOOD, False, False, "parent-adult"),
    ("FAM-11", birthday(17), GOOD, False, False, "parent-adult"),
    ("FAM-10", birthday(18), GOOD, False, False, "parent-adult"),
    ("FAM-02", birthday(5), NOT_RESPONSIBLE, False, False, "no-bond"),
    ("FAM-02", birthday(14), NOT_RESPONSIBLE, False, False, "no-bond"),
    ("FAM-02", birthday(5), ELSEWHERE, False, False, "parent-address"),
    ("FAM-14", birthday(5), PROTECTED, False, False, "protected"),
    ("FAM-14", birthday(13), PROTECTED, False, False, "protected"),
    ("FAM-16", birthday(5), CHILD_DEAD, False, False, "own-dead"),
]


@pytest.mark.parametrize(
    ("rule", "day", "facts", "letters", "enters", "why"), PARENT, ids=[f"{c[0]} {c[1]} {c[5]}" for c in PARENT]
)
def test_parents(rule: str, day: date, facts: Parenthood, letters: bool, enters: bool, why: str) -> None:
    assert parental_access(BORN, day, facts).allowed is letters
    mandate = mandate_of(facts.facts, BORN, day, asker_born=date(1980, 1, 1))
    decision = entry(mandate)
    assert (decision.allowed, decision.why) == (enters, why)
    assert mandate.empty is not enters
    assert mandate.whole is letters


@pytest.mark.parametrize(
    ("rule", "relation", "asker", "enters"),
    [
        ("FAM-06", Relation.PARENT_AT_HOME, 15, False),
        ("FAM-06", Relation.PARENT_AT_HOME, 16, True),
        ("FAM-12", Relation.ATTORNEY, 17, False),
        ("FAM-12", Relation.ATTORNEY, 18, True),
        ("FAM-13", Relation.GUARDIAN, 17, False),
        ("FAM-13", Relation.GUARDIAN, 18, True),
    ],
)
def test_who_acts_for_another_is_old_enough(rule: str, relation: Relation, asker: int, enters: bool) -> None:
    day = date(2060, 6, 15)
    born = day.replace(year=day.year - (30 if relation is Relation.ATTORNEY else 5))
    mandate = mandate_of(Facts((Bond(relation),)), born, day, asker_born=day.replace(year=day.year - asker))
    assert entry(mandate).allowed is enters
    assert entry(mandate).why == "asker-young" or enters


def test_several_bonds_give_what_any_of_them_gives() -> None:
    """FAM-12, FAM-10: the parent of a grown child who holds a power of attorney for letters sees these, and no more."""
    day = birthday(20)
    facts = Facts((Bond(Relation.PARENT_AT_HOME), Bond(Relation.ATTORNEY, frozenset({Thing.LETTERS}))))
    mandate = mandate_of(facts, BORN, day, asker_born=date(1980, 1, 1))
    assert [thing for thing in Thing if mandate.right(thing).always >= Reach.SEE] == [Thing.LETTERS]
    seeing = mandate_of(replace(facts, bonds=(replace(facts.bonds[1], acting=False),)), BORN, day,
                        asker_born=date(1980, 1, 1))  # fmt: skip
    assert seeing.right(Thing.LETTERS).always is Reach.SEE


@pytest.mark.parametrize("month", [1, 7])
def test_the_age_changes_at_midnight_in_norway_winter_and_summer(month: int) -> None:
    """FAM, introduction: 00:00 Europe/Oslo, which is 23:00 or 22:00 UTC the day before."""
    born = date(2010, month, 15)
    midnight = datetime(2026, month, 15, tzinfo=OSLO).astimezone(UTC)
    clock = SetClock(midnight - timedelta(seconds=1))
    assert own_access(born, today(clock), dead=False).why != "own"
    clock.advance(timedelta(seconds=1))
    assert own_access(born, today(clock), dead=False).why == "own"


def test_born_on_29_february_has_a_birthday_on_1_march_in_other_years() -> None:
    born = date(2008, 2, 29)
    assert own_access(born, date(2024, 2, 28), dead=False).why != "own"
    assert own_access(born, date(2024, 2, 29), dead=False).why == "own"
    child = date(2012, 2, 29)
    assert parental_access(child, date(2024, 2, 28), GOOD).allowed
    assert not parental_access(child, date(2024, 2, 29), GOOD).allowed
    born_2010 = date(2012, 2, 29)
    assert own_access(born_2010, date(2028, 2, 28), dead=False).why != "own"
    assert own_access(date(2011, 2, 28), date(2027, 2, 28), dead=False).why == "own"
    leap = date(2012, 2, 29)
    assert not own_access(leap, date(2025, 2, 28), dead=False).allowed
    assert own_access(leap, date(2025, 3, 1), dead=False).allowed


def test_what_staff_may_read_follows_the_role() -> None:
    """FAM-30, FAM-31: clinicians all, secretaries neither results nor notes, operators nothing of patients."""
    assert staff_types(StaffRole.CLINICIAN) is None
    secretary = staff_types(StaffRole.SECRETARY)
    assert secretary is not None
    assert {"Patient", "Appointment", "Communication"} <= secretary
    assert not secretary & {"Observation", "DiagnosticReport", "DocumentReference", "Composition", "Condition",
                            "QuestionnaireResponse", "CarePlan", "MedicationRequest"}  # fmt: skip
    assert staff_types(StaffRole.OPERATOR) == frozenset()


def test_codes_that_withhold() -> None:
    """FAM-04, FAM-05, FAM-35. NORS (FAM-36) is no matter of codes alone: tests/trust/test_blocks.py."""
    adult, child, youth = birthday(30), birthday(5), birthday(14)
    own, parent = Facts((Bond(Relation.SELF),), youth_access=True), GOOD.facts
    power = Facts((Bond(Relation.ATTORNEY),))

    def hidden(facts: Facts, day: date) -> frozenset[str]:
        return withheld_from(ActorKind.PATIENT, mandate_of(facts, BORN, day, asker_born=date(1980, 1, 1)))

    assert hidden(own, adult) == {"N", "NORU"}
    assert hidden(own, youth) == {"N", "NORU", "NORN_UNGDOM"}
    assert hidden(parent, child) == hidden(parent, youth) == hidden(power, adult) == {"N", "NORU", "NORN_FORANS"}
    assert withheld_from(ActorKind.STAFF) == frozenset()
    assert withheld_from(ActorKind.SYSTEM) == frozenset()


def test_every_ground_has_its_law_and_its_sentence_in_four_languages() -> None:
    for key, ground in GROUNDS.items():
        assert key == ground.key and ground.law and ground.section.startswith("§")
        assert all(ground.sentence[language].endswith(".") for language in ("nb", "nn", "se", "en"))
        assert len(set(ground.sentence.values())) >= 3
