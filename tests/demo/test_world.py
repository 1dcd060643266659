"""The synthetic region as data: the same for the same seed and day, valid, and with everybody a visitor needs."""

from __future__ import annotations

import tracemalloc
from datetime import date, timedelta
from itertools import islice

import orjson
import pytest

from varde.demo.filling import Region, parse_mark
from varde.demo.persons import patients
from varde.demo.registers import contact, registered
from varde.demo.world import SMALLEST, TO_CALL, World
from varde.fhir.keys import bucket_of
from varde.fhir.validate import validate
from varde.population import form
from varde.trust.consents import from_fhir
from varde.trust.persons import NumberKind, age, birth_date, is_national_number, is_synthetic, kind_of

TODAY = date(2026, 11, 24)


def everything(world: World) -> bytes:
    """The whole region as bytes."""
    records = [world.record(human, place) for place, human in enumerate(world.people())]
    return orjson.dumps([world.fixed.resources, records])


def test_the_same_seed_and_day_give_the_same_region_and_another_seed_another() -> None:
    first, again, other = World(3, 150, TODAY), World(3, 150, TODAY), World(4, 150, TODAY)
    assert everything(first) == everything(again)
    assert everything(first) == everything(first)
    assert everything(first) != everything(other)


def test_a_larger_region_begins_with_the_same_people() -> None:
    small = [human.id for human in World(3, 100, TODAY).people()]
    large = [human.id for human in islice(World(3, 5000, TODAY).people(), 100)]
    assert small[:90] == large[:90]


def test_everything_in_it_is_valid_and_marked_as_synthetic() -> None:
    world = World(1, 200, TODAY)
    resources = [*world.fixed.resources]
    for place, human in enumerate(world.people()):
        resources += world.record(human, place)
    for resource in resources:
        validate(resource)
        assert resource["meta"]["security"][0]["code"] == "HTEST"
    assert len({(one["resourceType"], one["id"]) for one in resources}) == len(resources)


def test_people_are_synthetic_in_their_very_numbers() -> None:
    people = list(World(1, 1500, TODAY).people())
    assert len(people) == 1500
    assert len({human.number for human in people}) == 1500
    for human in people:
        assert is_national_number(human.number) and is_synthetic(human.number)
        assert birth_date(human.number) == human.born
        assert age(human.born, TODAY) >= 0


def test_families_are_whole_and_parents_are_grown() -> None:
    people = list(World(1, 1500, TODAY).people())
    known = {human.number: human for human in people}
    children = [human for human in people if human.parents]
    assert len(children) > 150
    for child in children:
        for parent in (known[number] for number in child.parents if number in known):
            assert age(parent.born, TODAY) - age(child.born, TODAY) >= 14
    shared = sum(any(known[n].street == child.street for n in child.parents if n in known) for child in children)
    assert shared > 100 and any(
        any(known[n].street != child.street for n in child.parents if n in known) for child in children
    )


def test_a_protected_address_stands_nowhere() -> None:
    for human in World(1, 2000, TODAY).people():
        if human.protection == "ugradert":
            continue
        person = registered(human)
        assert person.address is None and person.municipality is None
        text = orjson.dumps(World(1, 2000, TODAY).record(human, 100)).decode()
        assert human.street not in text


def test_the_first_ward_has_enough_people_to_call() -> None:
    for size in (SMALLEST, 2000):
        world = World(2, size, TODAY)
        coming = 0
        for place, human in islice(enumerate(world.people()), 200):
            for one in world.record(human, place):
                if one["resourceType"] == "Appointment" and one["start"] > "2026-11-25":
                    coming += one["supportingInformation"][0]["reference"].endswith(world.fixed.ward.id)
        assert coming >= TO_CALL


def test_what_belongs_to_a_patient_lies_in_the_patient_s_bucket() -> None:
    world = World(1, 100, TODAY)
    for place, human in enumerate(world.people()):
        assert {bucket_of(one["id"]) for one in world.record(human, place)} == {bucket_of(human.id)}


def test_the_reserved_and_the_dead_may_not_be_notified() -> None:
    for human in World(1, 800, TODAY).people():
        if human.reserved or human.dead:
            assert not contact(human).notifiable


def test_a_hundred_thousand_patients_are_made_in_little_memory() -> None:
    world = World(1, 100_000, TODAY)
    assert world.fixed.ward
    tracemalloc.start()
    places = sum(1 for place, human in enumerate(islice(world.people(), 20_000)) if world.record(human, place))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert places == 20_000
    assert peak < 12_000_000


def test_a_region_says_what_it_is_in_its_mark() -> None:
    region = Region(7, 2000, TODAY)
    assert parse_mark(region.code) == region


def test_a_region_too_small_for_its_named_persons_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        World(1, SMALLEST - 1, TODAY)


def test_records_are_in_step_with_the_register_from_the_first_day() -> None:
    world = World(5, 1500, TODAY)
    for place, human in enumerate(world.people()):
        record = world.record(human, place)
        assert form.same(form.patient_of(record[0], registered(human), TODAY), record[0])


def test_the_named_persons_show_every_case_of_families_and_mandates() -> None:
    world = World(1, SMALLEST, TODAY)
    listed = {one["name"]: one for one in patients(world) if one["part"]}
    born = {name: date.fromisoformat(one["born"]) for name, one in listed.items()}
    tomorrow = TODAY + timedelta(days=1)
    for name, years in (("Oskar Berg", 12), ("Jonas Fjellheim", 16)):
        assert (age(born[name], TODAY), age(born[name], tomorrow)) == (years - 1, years)
        assert len([one for one in listed[name]["relations"] if one["relation"] == "parent"]) == 2
    relations = {(name, one["relation"], one["name"]) for name, one in listed.items() for one in one["relations"]}
    for expected in (
        ("Else Vik", "guardian", "Berit Vik"), ("Berit Vik", "ward", "Samir Noori"),
        ("Astrid Nilsen", "attorney", "Ingrid Solberg"), ("Ingrid Solberg", "giver", "Astrid Nilsen"),
        ("Leah Strand", "parent", "Kine Strand"),
    ):  # fmt: skip
        assert expected in relations
    assert not any(one["relation"] in {"attorney", "giver"} for one in listed["Berit Vik"]["relations"])
    assert {name for name, one in listed.items() if one["placed"]} == {"Leah Strand", "Samir Noori"}
    assert listed["Rolf Eide"]["dead"]
    assert (
        kind_of(listed["Marek Kowalski"]["fnr"]) is kind_of(listed["Amina Yusuf"]["former"][0]) is NumberKind.D_NUMBER
    )
    assert kind_of(listed["Amina Yusuf"]["fnr"]) is NumberKind.BIRTH
    again = {one["name"]: one for one in patients(World(1, SMALLEST, TODAY)) if one["part"]}
    assert listed == again


def test_what_the_named_persons_decided_can_be_read_back() -> None:
    world = World(1, SMALLEST, TODAY)
    kinds = []
    for place, human in enumerate(world.people()):
        for one in world.record(human, place):
            if one["resourceType"] == "Consent":
                decision = from_fhir(one)
                assert decision is not None and decision.patient == human.id
                kinds.append(decision.kind.value)
    assert sorted(kinds) == ["power-of-attorney", "power-of-attorney", "referral-assessment", "youth-access"]
