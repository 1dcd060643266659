"""What one person is to another, from the facts alone: a table of cases, and families and instants by the thousand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.clock import OSLO
from varde.trust.consents import AccessDecision, ChildWelfare, PowerOfAttorney, YouthAccess
from varde.trust.law.mandate import Bond, Facts
from varde.trust.law.table import PARENTS, Relation
from varde.trust.law.things import Thing
from varde.trust.mandates import Guardian, Relative, facts_of
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, age

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TODAY = NOW.astimezone(OSLO).date()
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Somebody:
    id: str
    number: str
    born: date
    dead: bool = False


MOTHER, FATHER = Somebody("mother", "m", date(1985, 1, 1)), Somebody("father", "f", date(1983, 1, 1))
CHILD, ADULT = Somebody("child", "c", date(2018, 1, 1)), Somebody("adult", "a", date(1950, 1, 1))
AT_HOME, ELSEWHERE, APART = Relation.PARENT_AT_HOME, Relation.PARENT_ELSEWHERE, Relation.PARENT_APART


def family(**changed: dict[str, Any]) -> dict[str, Relative]:
    """Both parents and the child at one home, changed as told; and an adult by themselves."""
    known = {
        "m": Relative("m", home="h", children=("c",)),
        "f": Relative("f", home="h", children=("c",)),
        "c": Relative("c", home="h", parents=("m", "f")),
        "a": Relative("a", home="x"),
    }
    return {name: replace(one, **changed.get(name, {})) for name, one in known.items()}


def power(**changed: Any) -> PowerOfAttorney:
    given: dict[str, Any] = {
        "patient": "adult", "receiver": "mother", "things": frozenset({"letters", "unknown"}), "at": NOW - DAY,
        "by": "Patient/adult",
    }  # fmt: skip
    return PowerOfAttorney(**(given | changed))


def youth(at: datetime = NOW - DAY, **changed: Any) -> YouthAccess:
    return YouthAccess(patient="child", at=at, by="Patient/mother", **changed)


CASES: list[tuple[str, Somebody, Somebody, dict[str, Relative], list[AccessDecision], Facts]] = [
    ("FAM-01 one's own", CHILD, CHILD, family(), [], Facts((Bond(Relation.SELF),))),
    ("FAM-02 at home", MOTHER, CHILD, family(), [], Facts((Bond(AT_HOME),))),
    ("FAM-02 the other one elsewhere", FATHER, CHILD, family(f={"home": "y"}), [], Facts((Bond(ELSEWHERE),))),
    ("FAM-02 no parent at home", MOTHER, CHILD, family(c={"home": "z"}), [], Facts((Bond(APART),))),
    ("FAM-02 homes unknown are not one home", MOTHER, CHILD, family(m={"home": None}, f={"home": None},
     c={"home": None}), [], Facts((Bond(APART),))),
    ("FAM-02 a dead parent's address does not count", MOTHER, CHILD, family(m={"home": "y"}, f={"dead": True}), [],
     Facts((Bond(APART),))),
    ("FAM-02 no responsibility", FATHER, CHILD, family(c={"parents": ("m",)}), [], Facts(())),
    ("FAM-02 the child does not act for the parent", CHILD, MOTHER, family(), [], Facts(())),
    ("FAM-14 protected parent", MOTHER, CHILD, family(m={"protected": True, "home": None}), [],
     Facts((Bond(ELSEWHERE),), protected=True)),
    ("FAM-14 protected child", MOTHER, CHILD, family(c={"protected": True, "home": None}), [],
     Facts((Bond(APART),), protected=True)),
    ("FAM-16 dead child", MOTHER, CHILD, family(c={"dead": True}), [], Facts((Bond(AT_HOME),), dead=True)),
    ("FAM-16 dead parent", MOTHER, CHILD, family(m={"dead": True}), [], Facts((Bond(AT_HOME),), dead=True)),
    ("FAM-16 dead in the record alone", replace(MOTHER, dead=True), CHILD, family(), [],
     Facts((Bond(AT_HOME),), dead=True)),
    ("FAM-20 the register's placement", MOTHER, CHILD, family(c={"placed": True}), [],
     Facts((Bond(AT_HOME),), placed=True)),
    ("FAM-20 staff's flag", MOTHER, CHILD, family(), [ChildWelfare(patient="child", at=NOW - DAY)],
     Facts((Bond(AT_HOME),), placed=True)),
    ("FAM-20 staff's flag, ended", MOTHER, CHILD, family(), [ChildWelfare(patient="child", at=NOW - DAY, ends=NOW)],
     Facts((Bond(AT_HOME),))),
    ("FAM-20 another child's flag", MOTHER, CHILD, family(), [ChildWelfare(patient="other", at=NOW - DAY)],
     Facts((Bond(AT_HOME),))),
    ("unknown to the register", MOTHER, CHILD, {"m": family()["m"]}, [power(patient="child")], Facts(())),
    ("unknown asker", ADULT, CHILD, {"c": family()["c"]}, [], Facts(())),
    ("a number of before still finds the parent", replace(MOTHER, number="old"), CHILD,
     family() | {"old": Relative("m", former=("old",), home="h")}, [], Facts((Bond(AT_HOME),))),
    ("the child's entry still has the parent's old number", MOTHER, CHILD,
     family(m={"former": ("old",)}, c={"parents": ("old", "f")}), [], Facts((Bond(AT_HOME),))),
    ("FAM-17 one person with two records", Somebody("again", "old", MOTHER.born), MOTHER,
     family(m={"former": ("old",)}) | {"old": Relative("m", former=("old",))}, [], Facts((Bond(Relation.SELF),))),
    ("FAM-12 power", MOTHER, ADULT, family(), [power()], Facts((Bond(Relation.ATTORNEY, frozenset({Thing.LETTERS})),))),
    ("FAM-12 withdrawn", MOTHER, ADULT, family(), [power(withdrawn=True)], Facts(())),
    ("FAM-12 not yet", MOTHER, ADULT, family(), [power(starts=NOW + DAY)], Facts(())),
    ("FAM-12 over", MOTHER, ADULT, family(), [power(ends=NOW)], Facts(())),
    ("FAM-12 another's", FATHER, ADULT, family(), [power()], Facts(())),
    ("FAM-12 the giver gets nothing back", ADULT, MOTHER, family(), [power()], Facts(())),
    ("FAM-12 giver of 15", MOTHER, CHILD, family(c={"parents": ()}), [power(patient="child", by="Patient/child")],
     Facts(())),
    ("FAM-12 receiver of 17", Somebody("mother", "m", date(2008, 11, 25)), ADULT, family(), [power()], Facts(())),
    ("FAM-12 receiver of 18 today", Somebody("mother", "m", date(2008, 11, 24)), ADULT, family(), [power()],
     Facts((Bond(Relation.ATTORNEY, frozenset({Thing.LETTERS})),))),
    ("FAM-17 passed on by a representative", MOTHER, ADULT, family(), [power(by="Patient/father")], Facts(())),
    ("FAM-12 put down by staff from paper", MOTHER, ADULT, family(), [power(by="Practitioner/p")],
     Facts((Bond(Relation.ATTORNEY, frozenset({Thing.LETTERS})),))),
    ("FAM-13 guardian of all", MOTHER, ADULT, family(a={"guardians": (Guardian("m", None),)}), [],
     Facts((Bond(Relation.GUARDIAN),))),
    ("FAM-13 guardian of economy", MOTHER, ADULT, family(a={"guardians": (Guardian("m", frozenset()),)}), [],
     Facts((Bond(Relation.GUARDIAN, frozenset()),))),
    ("FAM-13 guardian until yesterday", MOTHER, ADULT, family(a={"guardians": (Guardian("m", None, ends=TODAY),)}),
     [], Facts(())),
    ("FAM-13 guardian from tomorrow", MOTHER, ADULT,
     family(a={"guardians": (Guardian("m", None, starts=TODAY + DAY),)}), [], Facts(())),
    ("FAM-13 the ward is no guardian", ADULT, MOTHER, family(a={"guardians": (Guardian("m", None),)}), [], Facts(())),
    ("FAM-17 no chain from guardian to parent", ADULT, CHILD, family(m={"guardians": (Guardian("a", None),)}), [],
     Facts(())),
    ("FAM-17 no chain from power to parent", ADULT, CHILD, family(), [power(patient="mother", receiver="adult")],
     Facts(())),
    ("FAM-06 youth access", CHILD, CHILD, family(), [youth()], Facts((Bond(Relation.SELF),), youth_access=True)),
    ("FAM-07 withdrawn by the other", CHILD, CHILD, family(),
     [youth(), replace(youth(NOW), by="Patient/father", withdrawn=True)], Facts((Bond(Relation.SELF),))),
    ("FAM-07 given again", CHILD, CHILD, family(), [youth(NOW - 2 * DAY, withdrawn=True), youth()],
     Facts((Bond(Relation.SELF),), youth_access=True)),
    ("FAM-07 given and withdrawn at one moment", CHILD, CHILD, family(), [youth(withdrawn=True), youth()],
     Facts((Bond(Relation.SELF),))),
    ("FAM-06 said for later", CHILD, CHILD, family(), [youth(NOW + DAY)], Facts((Bond(Relation.SELF),))),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_cases(case: tuple[str, Somebody, Somebody, dict[str, Relative], list[AccessDecision], Facts]) -> None:
    _, asker, patient, known, decisions, expected = case
    assert facts_of(asker, patient, known, decisions, NOW) == expected


PEOPLE = [MOTHER, FATHER, CHILD, ADULT]
NUMBERS = [one.number for one in PEOPLE]
moments = st.integers(-500, 500).map(lambda days: NOW + days * DAY)
days = st.none() | st.dates(date(2025, 1, 1), date(2028, 1, 1))
things = st.sets(st.sampled_from(list(Thing))).map(frozenset)
guardians = st.builds(Guardian, st.sampled_from(NUMBERS), st.none() | things, days, days)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Relative], list[AccessDecision], datetime]:
    """Any families, guardians and decisions whatever, and any instant."""
    numbers = st.lists(st.sampled_from(NUMBERS), max_size=3, unique=True).map(tuple)
    known = {
        number: Relative(
            number,
            dead=draw(st.booleans()),
            protected=draw(st.booleans()),
            placed=draw(st.booleans()),
            home=draw(st.sampled_from([None, "h", "x"])),
            parents=tuple(one for one in draw(numbers) if one != number),
            guardians=tuple(draw(st.lists(guardians, max_size=2))),
        )
        for number in draw(st.lists(st.sampled_from(NUMBERS), min_size=2, unique=True))
    }
    ids = st.sampled_from([one.id for one in PEOPLE])
    common = {"patient": ids, "at": moments, "starts": st.none() | moments, "ends": st.none() | moments,
              "withdrawn": st.booleans()}  # fmt: skip
    decisions: list[AccessDecision] = draw(
        st.lists(
            st.one_of(
                st.builds(PowerOfAttorney, receiver=ids, things=st.just(frozenset({"letters"})),
                          by=ids.map("Patient/{}".format), **common),
                st.builds(YouthAccess, **common),
                st.builds(ChildWelfare, **common),
            ),
            max_size=5,
        )
    )  # fmt: skip
    return known, decisions, draw(moments)


@given(worlds(), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
def test_every_bond_has_its_own_reason_whatever_the_world(
    world: tuple[dict[str, Relative], list[AccessDecision], datetime], asker: Somebody, patient: Somebody
) -> None:
    known, decisions, now = world
    facts = facts_of(asker, patient, known, decisions, now)
    relations = {bond.relation for bond in facts.bonds}
    if asker.id == patient.id:
        assert relations == {Relation.SELF}
        return
    assert Relation.SELF not in relations
    assert len(relations & PARENTS) <= 1
    if asker.number not in known or patient.number not in known:
        assert not relations
        return
    one, other = known[asker.number], known[patient.number]
    assert bool(relations & PARENTS) == (asker.number in other.parents)
    if AT_HOME in relations:
        assert one.home == other.home is not None
    if Relation.GUARDIAN in relations:
        assert any(guardian.number == asker.number for guardian in other.guardians)
    powers = [
        given for given in decisions
        if isinstance(given, PowerOfAttorney) and (given.patient, given.receiver) == (patient.id, asker.id)
        and given.holds(now) and given.by == f"Patient/{patient.id}"
        and age(patient.born, given.at.astimezone(OSLO).date()) >= HEALTH_MAJORITY
        and age(asker.born, now.astimezone(OSLO).date()) >= MAJORITY
    ]  # fmt: skip
    assert sum(bond.relation is Relation.ATTORNEY for bond in facts.bonds) == len(powers)
    assert facts.protected == (one.protected or other.protected)
    assert facts.dead == (one.dead or other.dead)


@given(worlds(), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
def test_what_third_persons_are_to_each_other_changes_no_bond_fam_17(
    world: tuple[dict[str, Relative], list[AccessDecision], datetime],
    asker: Somebody, patient: Somebody, third: Somebody,
) -> None:  # fmt: skip
    known, decisions, now = world
    if third.id in {asker.id, patient.id} or third.number not in known:
        return
    mandated = replace(known[third.number], guardians=(Guardian(asker.number, None),), parents=(asker.number,))
    passed = [*decisions, power(patient=third.id, receiver=asker.id, by=f"Patient/{third.id}")]
    before = facts_of(asker, patient, known, decisions, now)
    after = facts_of(asker, patient, known | {third.number: mandated}, passed, now)
    assert after == before


@given(worlds(), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
def test_withdrawing_everything_leaves_no_power_and_no_youth_access_at_any_instant_fam_07_fam_12(
    world: tuple[dict[str, Relative], list[AccessDecision], datetime], asker: Somebody, patient: Somebody
) -> None:
    known, decisions, now = world
    facts = facts_of(asker, patient, known, [replace(one, withdrawn=True) for one in decisions], now)
    assert not facts.youth_access
    assert all(bond.relation is not Relation.ATTORNEY for bond in facts.bonds)
