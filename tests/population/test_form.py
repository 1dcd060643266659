"""A Patient and its RelatedPersons as the register has them, from the data alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.edges.registers import (
    Extent,
    FormerNumber,
    GuardianKind,
    Guardianship,
    Kin,
    PersonStatus,
    Protection,
    RegisteredPerson,
    Responsibility,
    Role,
)
from varde.fhir.keys import bucket_of, new_id
from varde.fhir.validate import validate
from varde.population import form
from varde.trust.persons import DNR, FNR, make_number, system_of

TODAY = date(2026, 11, 24)
BORN = date(1990, 5, 17)


def number(born: date, individual: int, *, d_number: bool = False) -> str:
    return next(n for i in range(100) if (n := make_number(born, individual + i, d_number=d_number)))


NOW_NUMBER, OLD_NUMBER = number(BORN, 100), number(BORN, 200, d_number=True)
PERSON = RegisteredPerson(NOW_NUMBER, "Kari Li Nordmann", BORN, family="Li Nordmann")
PATIENT: dict[str, Any] = {
    "resourceType": "Patient", "id": new_id(), "active": True, "birthDate": "1990-05-17",
    "meta": {"security": [{"system": "s", "code": "HTEST"}], "versionId": "3"},
    "identifier": [{"use": "official", "system": FNR, "value": NOW_NUMBER}, {"system": "urn:other", "value": "7"}],
    "name": [{"use": "official", "family": "Li Nordmann", "given": ["Kari"]}],
    "address": [{"line": ["Storgata 1"], "city": "TROMSØ"}],
}  # fmt: skip


def test_what_is_in_step_is_left_alone() -> None:
    assert form.same(form.patient_of(PATIENT, PERSON, TODAY), PATIENT)


def test_a_new_name_is_official_and_the_one_before_is_old() -> None:
    made = form.patient_of(PATIENT, replace(PERSON, name="Kari Berg", family="Berg"), TODAY)
    assert made["name"] == [
        {"use": "official", "family": "Berg", "given": ["Kari"]},
        {"use": "old", "family": "Li Nordmann", "given": ["Kari"], "period": {"end": "2026-11-24"}},
    ]
    validate(made)


def test_a_changed_number_stays_with_its_end_and_others_identifiers_are_kept() -> None:
    before = {
        **PATIENT,
        "identifier": [{"use": "official", "system": DNR, "value": OLD_NUMBER}, PATIENT["identifier"][1]],
    }
    made = form.patient_of(before, replace(PERSON, former=(FormerNumber(OLD_NUMBER, date(2025, 3, 1)),)), TODAY)
    assert made["identifier"] == [
        {"use": "official", "system": FNR, "value": NOW_NUMBER},
        {"use": "old", "system": DNR, "value": OLD_NUMBER, "period": {"end": "2025-03-01"}},
        {"system": "urn:other", "value": "7"},
    ]
    validate(made)


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (replace(PERSON, dead=date(2026, 11, 20), status=PersonStatus.DEAD), {"deceasedDateTime": "2026-11-20"}),
        (replace(PERSON, status=PersonStatus.DEAD), {"deceasedBoolean": True}),
    ],
)
def test_a_death_is_taken_in_fam_16(person: RegisteredPerson, expected: dict[str, Any]) -> None:
    made = form.patient_of(PATIENT, person, TODAY)
    assert expected.items() <= made.items()
    assert made["active"] is False
    assert form.is_dead(made)
    validate(made)


def test_what_the_hospital_knows_of_a_death_is_kept() -> None:
    exact = {**PATIENT, "deceasedDateTime": "2026-11-20T04:12:00+01:00", "active": False}
    assert form.same(form.patient_of(exact, PERSON, TODAY), exact)
    dead = replace(PERSON, dead=date(2026, 11, 20), status=PersonStatus.DEAD)
    assert form.same(form.patient_of(exact, dead, TODAY), exact)


@pytest.mark.parametrize("protection", [Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL])
def test_a_protected_address_is_taken_away_and_marked_let_08_fam_14(protection: Protection) -> None:
    made = form.patient_of(PATIENT, replace(PERSON, protection=protection), TODAY)
    assert "address" not in made
    assert {"system": form.CONFIDENTIALITY, "code": protection.value} in made["meta"]["security"]
    assert {"system": "s", "code": "HTEST"} in made["meta"]["security"]
    assert form.same(form.patient_of(made, replace(PERSON, protection=protection), TODAY), made)
    lifted = form.patient_of(made, PERSON, TODAY)
    assert lifted["meta"]["security"] == [{"system": "s", "code": "HTEST"}]


def test_relatives_go_to_the_patient_with_what_they_are_to_them() -> None:
    mother, guardian, dead = (number(date(1960, 1, 1), n) for n in (100, 150, 180))
    others = {
        mother: RegisteredPerson(mother, "Anne Li", date(1960, 1, 1), family="Li"),
        guardian: RegisteredPerson(guardian, "Per Moe", date(1960, 1, 1), family="Moe"),
        dead: RegisteredPerson(dead, "Ola Li", date(1960, 1, 1), status=PersonStatus.DEAD),
    }
    person = replace(
        PERSON,
        parents=(mother, "unknown"),
        responsibility=Responsibility.MOTHER,
        kin=(Kin(mother, Role.MOTHER), Kin(dead, Role.FATHER)),
        guardians=(
            Guardianship(guardian, GuardianKind.ADULT, Extent.PERSONAL, starts=date(2020, 1, 1)),
            Guardianship(dead, GuardianKind.ADULT, Extent.PERSONAL, ends=TODAY),
        ),
    )
    found = form.relatives_of(PATIENT["id"], person, others, TODAY)
    by_number = {form.numbers_of(one)[0]: one for one in found.values()}
    assert by_number.keys() == {mother, guardian, dead}
    for identifier, one in found.items():
        validate(one)
        assert one["patient"] == {"reference": f"Patient/{PATIENT['id']}"}
        assert bucket_of(identifier) == bucket_of(PATIENT["id"])
        assert form.is_ours(one, PATIENT["id"])
        assert "address" not in one
    codes = {n: [r["coding"][0]["code"] for r in one["relationship"]] for n, one in by_number.items()}
    assert codes == {mother: ["mor", "mor"], guardian: ["voksen"], dead: ["far"]}
    systems = [r["coding"][0]["system"] for r in by_number[mother]["relationship"]]
    assert systems == [form.PARENTAL, form.FAMILY]
    assert [by_number[n]["active"] for n in (mother, guardian, dead)] == [True, True, False]
    assert not form.is_ours({"id": new_id(), "identifier": []}, PATIENT["id"])


persons = st.builds(
    replace,
    st.just(PERSON),
    name=st.sampled_from(["Kari Li Nordmann", "Kari Berg", "Berg"]),
    family=st.sampled_from(["Li Nordmann", "Berg", None]),
    dead=st.none() | st.dates(date(2020, 1, 1), TODAY),
    protection=st.sampled_from(list(Protection)),
    former=st.just(()) | st.just((FormerNumber(OLD_NUMBER, date(2025, 3, 1)),)),
)


@given(persons, persons)
def test_comparing_again_changes_nothing_whatever_came_before(one: RegisteredPerson, other: RegisteredPerson) -> None:
    before = form.patient_of(PATIENT, one, TODAY)
    made = form.patient_of(before, other, TODAY)
    assert form.same(form.patient_of(made, other, TODAY), made)
    assert form.numbers_of(made)[0] == NOW_NUMBER
    assert all(system_of(i["value"]) == i["system"] for i in made["identifier"] if i["system"] in {FNR, DNR})
    assert {i["value"] for i in before["identifier"]} <= {i["value"] for i in made["identifier"]}
    validate(made)


@given(st.permutations(range(3)))
def test_whichever_record_is_looked_at_the_same_one_stands_for_them(order: list[int]) -> None:
    records = [
        {"id": "b", "identifier": [{"use": "official", "system": DNR, "value": OLD_NUMBER}]},
        {"id": "c", "identifier": [{"use": "official", "system": FNR, "value": NOW_NUMBER}]},
        {"id": "d", "identifier": [{"use": "official", "system": FNR, "value": NOW_NUMBER}]},
    ]
    assert form.survivor([records[place] for place in order], PERSON)["id"] == "c"
