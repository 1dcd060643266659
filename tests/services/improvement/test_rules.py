"""What evidence says: IMP-01, IMP-04, IMP-05, IMP-08, IMP-09, as tables and properties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.services.improvement.model import from_fhir, outcome_of, to_fhir
from varde.services.improvement.rules import Condition, Day, condition, delivered, together, worst
from varde.work.journey import Run, Step

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
EVERY = timedelta(minutes=5)
TODAY = NOW.date()


def run(*, ago: timedelta = timedelta(minutes=1), passed: bool = True, took: float = 0.1) -> Run:
    step = Step("Et steg", timedelta(seconds=took), timedelta(seconds=1), passed)
    return Run("letters-digital", "letters", NOW - ago, "0.1.0", (step,))


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, Condition.UNKNOWN),
        (run(), Condition.GREEN),
        (run(took=0.6), Condition.SLOW),
        (run(passed=False), Condition.DOWN),
        (run(ago=timedelta(minutes=14)), Condition.GREEN),
        (run(ago=timedelta(minutes=16)), Condition.UNKNOWN),
        (run(ago=timedelta(minutes=16), passed=False), Condition.UNKNOWN),
    ],
)
def test_imp_08_the_last_evidence_is_told_and_old_evidence_is_none(last: Run | None, expected: Condition) -> None:
    assert condition(last, EVERY, NOW) is expected


def test_imp_04_a_run_without_steps_is_not_green() -> None:
    assert not Run("x", "letters", NOW, "0.1.0", ()).passed


@given(st.lists(st.sampled_from(list(Condition))))
def test_imp_01_a_service_is_never_better_than_its_worst_path(conditions: list[Condition]) -> None:
    found = worst(conditions)
    assert found in conditions or (not conditions and found is Condition.UNKNOWN)
    assert found is not Condition.GREEN or set(conditions) == {Condition.GREEN}
    assert Condition.DOWN not in conditions or found is Condition.DOWN


def days(shares: Sequence[tuple[int, int]]) -> list[Day]:
    return [Day(TODAY - timedelta(days=back), runs, failed) for back, (runs, failed) in enumerate(shares)]


@pytest.mark.parametrize(
    ("journeys", "expected"),
    [
        ({}, False),
        ({"a": days([(288, 0)] * 7)}, True),
        ({"a": days([(288, 0)] * 6)}, False),
        ({"a": days([(288, 0)] * 6 + [(0, 0)])}, False),
        ({"a": days([(0, 0)] + [(288, 0)] * 7)}, True),
        ({"a": days([(0, 0)] * 2 + [(288, 0)] * 7)}, False),
        ({"a": days([(288, 2)] * 7)}, True),
        ({"a": days([(288, 4)] * 7)}, False),
        ({"a": days([(288, 0)] * 7), "b": days([(288, 30)] * 7)}, False),
    ],
)
def test_imp_09_delivered_by_evidence_alone(journeys: dict[str, list[Day]], expected: bool) -> None:
    assert delivered(journeys, TODAY) is expected


def test_days_of_several_journeys_are_one_row() -> None:
    first, second = Day(date(2026, 11, 23), 10, 1), Day(date(2026, 11, 23), 5, 0)
    assert together([[first], [second]]) == [Day(date(2026, 11, 23), 15, 1)]
    assert Day(date(2026, 11, 23), 0, 0).condition is Condition.UNKNOWN


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60).map(str.strip)
steps = st.builds(
    Step,
    texts.filter(bool),
    st.integers(0, 600_000).map(lambda n: timedelta(milliseconds=n)),
    st.integers(1, 600_000).map(lambda n: timedelta(milliseconds=n)),
    st.booleans(),
).map(lambda s: s if s.passed else Step(s.text, s.took, s.within, False, "noe", "noe annet"))


@given(st.lists(steps, min_size=1, max_size=6))
def test_a_report_reads_back_as_the_run_it_came_from(made: list[Step]) -> None:
    """And is a TestReport that the store takes (IMP-10)."""
    from varde.fhir.validate import validate

    original = Run("letters-digital", "letters", NOW, "0.1.0", tuple(made))
    report = to_fhir(original)
    validate(report)
    assert from_fhir(report) == original
    assert outcome_of(report) == ("letters-digital", NOW, all(step.passed for step in made))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"testScript": {"identifier": {"system": "https://example.org", "value": "letters-digital"}}},
        {"testScript": {"reference": "TestScript/1"}},
        {"extension": []},
        {"issued": "2026-11"},
        {"test": [{"name": "x", "action": []}]},
    ],
)
def test_a_report_that_no_journey_left_is_no_evidence(spoilt: dict[str, Any]) -> None:
    step = Step("Et steg", timedelta(seconds=1), timedelta(seconds=5), True)
    report = to_fhir(Run("letters-digital", "letters", NOW, "0.1.0", (step,)))
    assert outcome_of(report) is not None and outcome_of(report | spoilt) is None
