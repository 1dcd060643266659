"""The law as a table: every cell of trust/law/cells.txt against what the code decides, as one test, and what holds of
all cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from varde.trust.grounds import GROUNDS
from varde.trust.law.cells import CODES, cells
from varde.trust.law.table import LAW, REPRESENTATIVES, Assessment, Band, Narrowing, Reach, Relation, Situation, look_up
from varde.trust.law.things import Thing
from varde.trust.policy import REASONS

BOOLEANS = st.booleans()
SITUATIONS = st.builds(
    Situation, st.sampled_from(Band), st.sampled_from(Relation), st.sampled_from([*Thing, None]),
    st.sampled_from(Assessment), st.frozensets(st.sampled_from(sorted(CODES))), covered=BOOLEANS, opened=BOOLEANS,
    alone=BOOLEANS, primary=BOOLEANS, youth_access=BOOLEANS, placed=BOOLEANS, protected=BOOLEANS, dead=BOOLEANS,
)  # fmt: skip


def test_every_cell_of_the_law() -> None:
    wrong = []
    expected = list(cells())
    for cell in expected:
        verdict = look_up(cell.situation)
        ground = cell.unseen if verdict.reach is Reach.NONE else cell.seen
        if (verdict.reach, verdict.ground.key) != (cell.reach, ground) or not set(verdict.rules.split()) <= cell.rules:
            wrong.append(f"line {cell.line}, {cell.situation}: {cell.reach!r} {ground}, not {verdict}")
    assert not wrong, "\n".join(wrong[:20])
    assert len(expected) >= 300
    told = Counter(cell.situation for cell in expected)
    assert max(told.values()) == 1, "a cell stands twice"


def test_every_row_of_the_law_decides_an_expected_cell() -> None:
    """Nothing is law that no expected answer proves."""
    used = {id(next(clause for clause in LAW if clause.fits(cell.situation))) for cell in cells()}
    assert [clause for clause in LAW if id(clause) not in used] == []


def test_every_row_names_its_rule_its_reason_and_a_known_ground() -> None:
    for clause in LAW:
        assert clause.rules.startswith("FAM-") and clause.why in REASONS
        assert GROUNDS[clause.ground.key] is clause.ground
        assert (clause.reach is Reach.NONE) or clause.ground.key != "none"


@given(SITUATIONS)
def test_what_withholds_never_shows_more(one: Situation) -> None:
    """A code more, an assessment less, a mark less, death: the reach only shrinks."""
    reach = look_up(one).reach
    for code in sorted(CODES):
        assert look_up(replace(one, codes=one.codes | {code})).reach <= reach
    for less in (Assessment.NONE, Assessment.CLOSED, Assessment.TO_OTHERS):
        assert (
            look_up(replace(one, assessment=less)).reach <= look_up(replace(one, assessment=Assessment.TO_ACTOR)).reach
        )
    for mark in ("opened", "alone"):
        assert look_up(replace(one, **{mark: False})).reach <= look_up(replace(one, **{mark: True})).reach
    assert look_up(replace(one, covered=False)).reach <= look_up(replace(one, covered=True)).reach
    assert look_up(replace(one, dead=True)).reach is Reach.NONE


@given(SITUATIONS)
def test_nobody_sees_more_than_the_person_from_16_years(one: Situation) -> None:
    """FAM-12: a representative never sees more than the represented."""
    if one.band in {Band.ADOLESCENT, Band.ADULT} and one.relation in REPRESENTATIVES:
        assert look_up(one).reach <= look_up(replace(one, relation=Relation.SELF)).reach


@given(SITUATIONS, st.sampled_from(Thing), st.sampled_from(["unit-a", "unit-b"]))
def test_a_unit_shows_less_and_never_more(one: Situation, thing: Thing, unit: str) -> None:
    verdict = look_up(one)
    narrowed = Narrowing({"unit-a": frozenset({thing})}).narrowed(verdict, one, unit)
    assert narrowed.reach <= verdict.reach
    if unit == "unit-a" and one.thing is thing and one.band in {Band.TWELVE, Band.YOUTH}:
        assert narrowed.reach is Reach.NONE


def test_no_parent_of_12_to_15_sees_a_referral_that_is_not_open_to_them() -> None:
    """FAM-19, over every combination of what is recorded that does not come from primary care."""
    for band, relation, thing, assessment, opened, alone in product(
        (Band.TWELVE, Band.YOUTH), sorted(REPRESENTATIVES), Thing,
        (Assessment.NONE, Assessment.CLOSED, Assessment.TO_OTHERS), (False, True), (False, True),
    ):  # fmt: skip
        if thing in {Thing.CONTACT, Thing.LOG}:
            continue
        one = Situation(band, Relation(relation), thing, assessment, opened=opened, alone=alone)
        assert look_up(one).reach is Reach.NONE
