"""The population register over its real interface's shapes, on a real HTTP server: persons, families, guardians,
numbers, protection, changes, and what is away or of another form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta

import orjson
import pytest

from tests.edges.registers.folk import (
    Folk,
    address,
    connected,
    guardianship,
    identifier,
    kin,
    parental,
    person,
    related,
)
from tests.edges.servers import Answer, HttpServer, http_server
from varde.clock import SetClock
from varde.edges.registers import (
    Extent,
    FormerNumber,
    GuardianKind,
    Guardianship,
    Kin,
    PersonStatus,
    PostalAddress,
    Protection,
    RegisterUnavailable,
    Responsibility,
    Role,
)
from varde.edges.registers.freg import PERSONS_AT_ONCE, Freg

MOTHER, FATHER, CHILD, WARD, GUARDIAN = "20819695016", "11817512345", "01915512346", "05813012345", "09816012345"
FLAT = "H0101"


@pytest.fixture
def folk(clock: SetClock) -> Folk:
    folk = Folk(clock)
    home = address("Åsvegen 3", "9010", "TROMSØ", unit=FLAT)
    folk.add(
        person(MOTHER, "Nora", "Myrvang", "1996-01-20", home, middle="Li"),
        person(FATHER, "Lars", "Berg", "1975-01-11", address("Åsvegen 3", "9010", "TROMSØ", unit="H0201")),
        person(CHILD, "Emil", "Berg", "2015-11-01", home, address("Gata 1", "9008", "TROMSØ", current=False)),
        related(CHILD, MOTHER, parental("responsibleParty", MOTHER), kin("mor")),
        related(CHILD, FATHER, parental("responsibleParty", FATHER), kin("far"), literal=True),
        related(MOTHER, CHILD, parental("subjectOfResponsibility", CHILD), kin("barn")),
        related(FATHER, CHILD, parental("subjectOfResponsibility", CHILD), kin("barn")),
        related(FATHER, "01010112345", parental("subjectOfResponsibility", "01010112345", current=False)),
    )
    return folk


@pytest.fixture
def server(folk: Folk) -> Iterator[HttpServer]:
    with http_server(folk.answer) as made:
        folk.base = made.base
        yield made


@pytest.fixture
async def freg(server: HttpServer, clock: SetClock) -> AsyncIterator[Freg]:
    made = connected(server, clock)
    yield made
    await made.close()


async def test_a_family_as_the_register_has_it(freg: Freg) -> None:
    found = await freg.persons([MOTHER, FATHER, CHILD, "00000000000"])
    assert found.keys() == {MOTHER, FATHER, CHILD}
    mother, father, child = found[MOTHER], found[FATHER], found[CHILD]
    assert (mother.name, mother.family, mother.born) == ("Nora Li Myrvang", "Li Myrvang", date(1996, 1, 20))
    assert mother.address == PostalAddress(("Åsvegen 3",), "9010", "TROMSØ")
    assert (mother.municipality, mother.status) == ("5501", PersonStatus.RESIDENT)
    assert (mother.children, mother.kin) == ((CHILD,), (Kin(CHILD, Role.CHILD),))
    assert set(child.parents) == {MOTHER, FATHER}
    assert child.responsibility is Responsibility.SHARED
    assert set(child.kin) == {Kin(MOTHER, Role.MOTHER), Kin(FATHER, Role.FATHER)}
    assert father.children == (CHILD,), "what is not in force any more is left out"


async def test_two_flats_of_one_building_are_two_homes_fam_02(freg: Freg) -> None:
    found = await freg.persons([MOTHER, FATHER, CHILD])
    assert found[CHILD].lives_with(found[MOTHER])
    assert not found[CHILD].lives_with(found[FATHER])
    assert found[FATHER].address == found[MOTHER].address, "mail reaches both at one address"


async def test_mail_goes_where_the_person_prefers_and_home_stays_home(folk: Folk, freg: Freg) -> None:
    folk.add(
        person(MOTHER, "Nora", "Myrvang", "1996-01-20", address("Åsvegen 3", "9010", "TROMSØ", unit=FLAT),
               address("Hytta 1", "9100", "KVALØYSLETTA", kind="PreferertKontaktadresse"))
    )  # fmt: skip
    found = await freg.persons([MOTHER, CHILD])
    assert found[MOTHER].address == PostalAddress(("Hytta 1",), "9100", "KVALØYSLETTA")
    assert found[CHILD].lives_with(found[MOTHER])


@pytest.mark.parametrize("level", ["fortrolig", "strengtFortrolig"])
async def test_a_protected_address_is_not_read_at_all_let_08_fam_14(folk: Folk, freg: Freg, level: str) -> None:
    folk.add(person(MOTHER, "Nora", "Myrvang", "1996-01-20", address("Hemmelig 1", "9010", "TROMSØ"), protection=level))
    mother = (await freg.persons([MOTHER]))[MOTHER]
    assert mother.protection.hides_address
    assert (mother.address, mother.municipality, mother.residence, mother.home) == (None, None, None, None)
    assert "Hemmelig" not in repr(mother)


async def test_client_addresses_are_known_by_the_address_itself(folk: Folk, freg: Freg) -> None:
    at = address("Kontoret 1", "9010", "TROMSØ", confidentiality="klientadresse")
    folk.add(person(MOTHER, "Nora", "Myrvang", "1996-01-20", at, protection="ugradert"))
    mother = (await freg.persons([MOTHER]))[MOTHER]
    assert (mother.protection, mother.address is not None) == (Protection.CLIENT, True)


@pytest.mark.parametrize(
    ("status", "dead", "day"),
    [("død", "2026-11-20", date(2026, 11, 20)), ("død", None, None), ("bosatt", "2026-11-20", date(2026, 11, 20))],
)
async def test_a_death_is_read_from_status_and_date_fam_16(
    folk: Folk, freg: Freg, status: str, dead: str | None, day: date | None
) -> None:
    folk.add(person(MOTHER, "Nora", "Myrvang", "1996-01-20", status=status, dead=dead))
    mother = (await freg.persons([MOTHER]))[MOTHER]
    assert (mother.status, mother.dead, mother.is_dead) == (PersonStatus.DEAD, day, True)


async def test_one_person_is_found_by_every_number_they_had(folk: Folk, freg: Freg) -> None:
    folk.add(
        person("01890012345", "Ali", "Omar", "1990-09-01", former=(("41890012345", "2025-03-01T00:00:00+01:00"),)),
        related("01890012345", CHILD, parental("subjectOfResponsibility", CHILD)),
    )
    found = await freg.persons(["41890012345", "01890012345"])
    assert found["41890012345"] == found["01890012345"]
    assert found["01890012345"].number == "01890012345"
    assert found["01890012345"].former == (FormerNumber("41890012345", date(2025, 3, 1)),)
    assert found["01890012345"].numbers == ("01890012345", "41890012345")
    assert found["41890012345"].children == (CHILD,)


async def test_guardianships_are_read_from_both_sides_fam_13(folk: Folk, freg: Freg) -> None:
    folk.add(
        person(WARD, "Else", "Vik", "1930-01-05"),
        person(GUARDIAN, "Berit", "Vik", "1960-01-09"),
        related(
            WARD,
            GUARDIAN,
            guardianship("voksen", "personligeOgOekonomiskeInteresser", start="2020-01-01", end="2030-01-01"),
        ),
        related(
            WARD, FATHER, guardianship("voksen", "oekonomiskeInteresser", personal=False),
            guardianship("midlertidigForVoksen", "personligeInteresser", current=False),
        ),
    )  # fmt: skip
    found = await freg.persons([WARD, GUARDIAN, FATHER])
    assert set(found[WARD].guardians) == {
        Guardianship(GUARDIAN, GuardianKind.ADULT, Extent.BOTH, (), date(2020, 1, 1), date(2030, 1, 1)),
        Guardianship(FATHER, GuardianKind.ADULT, Extent.ECONOMIC),
    }
    assert found[GUARDIAN].wards == (WARD,)
    assert not found[WARD].placed


async def test_a_lone_child_and_a_child_in_care_have_no_parents_to_see_for_them_fam_20(folk: Folk, freg: Freg) -> None:
    lone = "01815012347"
    folk.add(
        person(lone, "Sami", "Noor", "2015-01-01"),
        related(lone, GUARDIAN, guardianship("ensligMindreaarigAsylsoeker", "personligeInteresser")),
    )
    assert (await freg.persons([lone]))[lone].placed
    organisation = parental("responsibleParty", MOTHER)
    organisation["extension"][0]["extension"].append(
        {"url": "responsibleOrganization", "valueIdentifier": {"system": "urn:oid:2.16.578.1.12.4.1.2.101",
                                                               "value": "974761076"}}
    )  # fmt: skip
    folk.add(related(CHILD, MOTHER, organisation))
    assert (await freg.persons([CHILD]))[CHILD].placed


async def test_the_wrongly_nested_family_of_the_published_example_is_read_too(folk: Folk, freg: Freg) -> None:
    inner = related(CHILD, FATHER, parental("responsibleParty", FATHER))
    outer = related(CHILD, MOTHER, parental("responsibleParty", MOTHER))
    folk.resources = [one for one in folk.resources if one["resourceType"] == "Person"]
    folk.add(outer | {"RelatedPerson": {name: inner[name] for name in ("identifier", "patient", "relationship")}})
    assert set((await freg.persons([CHILD]))[CHILD].parents) == {MOTHER, FATHER}


async def test_many_are_asked_for_in_parts_and_pages(folk: Folk, freg: Freg, server: HttpServer) -> None:
    numbers = [f"0181551{n:04d}" for n in range(PERSONS_AT_ONCE + 20)]
    folk.add(*(person(number, "Kari", "Vik", "2015-01-01") for number in numbers))
    assert list(await freg.persons(numbers)) and len(await freg.persons(numbers)) == len(numbers)
    folk.page_size = 7
    assert len(await freg.persons(numbers[:40])) == 40
    assert not any(number in request.path for request in server.requests for number in numbers)


@pytest.mark.parametrize(
    "broken",
    [
        (500, b"{}"), (503, b""), (429, b""), (403, b"{}"), (401, b"{}"), (0, b""), (200, b"nonsense"),
        (200, b'{"resourceType":"OperationOutcome"}'), (200, b"[]"),
        (200, orjson.dumps({"resourceType": "Bundle", "link": [{"relation": "next", "url": "https://other.example/"}]})),
        (200, orjson.dumps({"resourceType": "Bundle", "entry": [
            {"resource": {"resourceType": "Person", "identifier": [identifier(MOTHER)]}}]})),
        (200, orjson.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "RelatedPerson"}}]})),
    ],
)  # fmt: skip
async def test_what_is_away_or_of_another_form_is_waited_for_never_guessed(
    folk: Folk, freg: Freg, broken: Answer
) -> None:
    folk.broken = broken
    with pytest.raises(RegisterUnavailable) as raised:
        await freg.persons([MOTHER])
    assert MOTHER not in str(raised.value)
    folk.broken = None
    assert MOTHER in await freg.persons([MOTHER])


async def test_an_unknown_word_of_status_or_protection_is_not_passed_over(folk: Folk, freg: Freg) -> None:
    for wrong in (person(MOTHER, "N", "M", "1996-01-20", status="omgjort"),
                  person(MOTHER, "N", "M", "1996-01-20", protection="hemmelig")):  # fmt: skip
        folk.add(wrong)
        with pytest.raises(RegisterUnavailable):
            await freg.persons([MOTHER])


async def test_changes_are_followed_from_where_one_was(folk: Folk, freg: Freg, clock: SetClock) -> None:
    clock.advance(timedelta(hours=1))
    begun = await freg.changes(None)
    assert begun.numbers == ()
    clock.advance(timedelta(minutes=10))
    assert (await freg.changes(begun.position)).numbers == ()
    folk.add(person(MOTHER, "Nora", "Berg", "1996-01-20"))
    folk.add(related(CHILD, "12815512345", parental("responsibleParty", "12815512345")))
    told = await freg.changes(begun.position)
    assert set(told.numbers) == {MOTHER, CHILD, "12815512345"}
    clock.advance(timedelta(minutes=10))
    folk.add(person(FATHER, "Lars", "Berg", "1975-01-11"))
    folk.page_size = 1
    later = await freg.changes(told.position)
    assert FATHER in later.numbers
    folk.broken = (503, b"")
    with pytest.raises(RegisterUnavailable):
        await freg.changes(later.position)
