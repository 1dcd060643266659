"""The judgement of $match as a table of cases, and what must hold of it whatever is compared."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varde.fhir.matching.candidates import slips
from varde.fhir.matching.demographics import Demographics, read
from varde.fhir.matching.scoring import Grade, birth, score
from varde.fhir.matching.weights import POSSIBLE, PRIOR, PROBABLE, WEIGHTS

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
UNIQUE = frozenset({FNR})
KARI: dict[str, Any] = {
    "resourceType": "Patient", "gender": "female", "birthDate": "1981-03-14",
    "identifier": [{"system": FNR, "value": "14838112345"}],
    "name": [{"family": "Nilsen Hætta", "given": ["Kari", "Ánne"]}],
    "telecom": [{"system": "phone", "value": "+47 900 12 345"}],
    "address": [{"line": ["Storgata 1"], "postalCode": "9008", "city": "Tromsø"}],
}  # fmt: skip


def asked(**changes: Any) -> Demographics:
    """Kari without her number, as somebody else describes her."""
    given = {name: value for name, value in {**KARI, "identifier": None, **changes}.items() if value is not None}
    return read(given)


def named(family: str | None, *names: str) -> list[dict[str, Any]]:
    return [{"family": family, "given": list(names)}]


NUMBER = [{"system": FNR, "value": "148381 12345"}]
OTHER = [{"system": FNR, "value": "01017012345"}]
BARE = {"telecom": None, "address": None}
"""Without what is known only of few."""
CASES: list[tuple[str, dict[str, Any], Grade]] = [
    ("the number alone", {"identifier": NUMBER, "name": None, "birthDate": None, "gender": None}, Grade.CERTAIN),
    ("the number and all else", {"identifier": NUMBER}, Grade.CERTAIN),
    ("the number, married since", {"identifier": NUMBER, "name": named("Berg", "Kari")}, Grade.CERTAIN),
    ("the number, another's birthday", {"identifier": NUMBER, "birthDate": "1999-11-30"}, Grade.PROBABLE),
    ("the number, another's name", {"identifier": NUMBER, "name": named("Berg", "Ola"), "birthDate": None},
     Grade.PROBABLE),
    ("all but the number", {}, Grade.PROBABLE),
    ("name and birthday", {**BARE}, Grade.PROBABLE),
    ("without the Sámi letters", {"name": named("NILSEN HÆTTA", "kari", "anne"), "address": None}, Grade.PROBABLE),
    ("family and given exchanged", {"name": named("Kari Ánne", "Nilsen", "Hætta"), "telecom": None}, Grade.PROBABLE),
    ("as one text", {"name": [{"text": "Kari Ánne Nilsen Hætta"}], "telecom": None}, Grade.PROBABLE),
    ("as a list has it", {"name": [{"text": "Nilsen Hætta, Kari"}], "telecom": None}, Grade.PROBABLE),
    ("half the family name", {"name": named("Hætta", "Kari"), **BARE}, Grade.PROBABLE),
    ("an initial", {"name": named("Nilsen Hætta", "K"), **BARE}, Grade.POSSIBLE),
    ("a letter wrong", {"name": named("Nilsen Hætta", "Karri"), **BARE}, Grade.PROBABLE),
    ("day and month exchanged", {"birthDate": "1981-04-13", **BARE}, Grade.NOT),
    ("a digit of the birthday wrong, known address", {"birthDate": "1982-03-14", "telecom": None}, Grade.PROBABLE),
    ("a digit of the birthday wrong", {"birthDate": "1982-03-14", **BARE}, Grade.POSSIBLE),
    ("two digits of the birthday exchanged", {"birthDate": "1981-30-14", **BARE}, Grade.POSSIBLE),
    ("only the year of birth", {"birthDate": "1981", **BARE}, Grade.POSSIBLE),
    ("a name alone", {"birthDate": None, **BARE}, Grade.POSSIBLE),
    ("a telephone alone", {"name": None, "birthDate": None, "address": None}, Grade.POSSIBLE),
    ("a birthday alone", {"name": None, **BARE, "gender": None}, Grade.NOT),
    ("a family name alone", {"name": named("Nilsen Hætta"), "birthDate": None, **BARE}, Grade.NOT),
    ("another's number, else all the same", {"identifier": OTHER, **BARE}, Grade.POSSIBLE),
    ("a namesake born another day", {"birthDate": "1950-07-02", **BARE}, Grade.NOT),
    ("a sister at the same address", {"name": named("Nilsen Hætta", "Berit"), "birthDate": "1979-09-02",
     "telecom": None}, Grade.NOT),
    ("a twin brother", {"name": named("Nilsen Hætta", "Per"), "gender": "male", "telecom": None}, Grade.POSSIBLE),
    ("somebody else", {"name": named("Berg", "Ola"), "birthDate": "1950-07-02", "gender": "male", **BARE}, Grade.NOT),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "grade"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cases(changes: dict[str, Any], grade: Grade) -> None:
    made = score(asked(**changes), read(KARI), UNIQUE)
    assert made.grade is grade, made


def test_the_ways_of_writing_a_telephone_number_are_one() -> None:
    for value in ("90012345", "+4790012345", "0047 900 12 345", "900-12-345"):
        assert read({"telecom": [{"system": "phone", "value": value}]}).telecom == {"90012345"}
    assert read({"telecom": [{"value": "Kari@Example.no "}, {"value": "112"}]}).telecom == {"kari@example.no"}


def test_every_weight_is_a_chance_with_a_reason() -> None:
    for levels in WEIGHTS.values():
        for level in levels.values():
            assert 0 < level.same < 1
            assert 0 < level.other < 1
            assert level.why
        assert sum(level.same for name, level in levels.items() if name != "partial") <= 1.0001
        assert levels["equal"].weight == max(level.weight for level in levels.values())
        assert levels["different"].weight < 0
    assert 0 < PRIOR < POSSIBLE < PROBABLE < 1


_PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.lists(st.fixed_dictionaries({}, optional={
            "family": st.sampled_from(["Hætta", "Haetta", "Berg", "X"]) | st.text(max_size=8),
            "given": st.lists(st.sampled_from(["Kari", "K", "Ola"]) | st.text(max_size=5), max_size=2)}), max_size=2),
        "birthDate": st.dates().map(str) | st.sampled_from(["1981", "1981-03", "nonsense"]),
        "gender": st.sampled_from(["male", "female", "unknown"]),
        "identifier": st.lists(st.fixed_dictionaries({"system": st.just(FNR), "value": st.sampled_from(["1", "2"])})),
    },
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_PATIENTS, _PATIENTS)
def test_a_description_is_never_likelier_another_than_itself(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = read(one), read(other)
    same, different = score(first, first, UNIQUE), score(first, second, UNIQUE)
    assert 0 <= different.probability <= same.probability <= 1
    assert (birth(first, second) is None) == (birth(second, first) is None)


@given(st.dates(min_value=date(1900, 1, 1)))
def test_slips_are_those_that_are_told_apart(day: Any) -> None:
    text = day.isoformat()
    for slip in slips(text):
        assert birth(Demographics(birth=text), Demographics(birth=slip)) in {"digit", "swapped"}
    assert text not in slips(text)
