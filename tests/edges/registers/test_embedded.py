"""The embedded registers on a real database: shapes, bulk, changes, outages, and that protected addresses vanish."""

from __future__ import annotations

import time
from datetime import date

import asyncpg
import pytest

from varde.db import Database
from varde.edges.registers import (
    Contact,
    Extent,
    FormerNumber,
    GuardianKind,
    Guardianship,
    Kin,
    PersonStatus,
    PostalAddress,
    Protection,
    RegisteredPerson,
    RegisterUnavailable,
    Responsibility,
    Role,
)
from varde.edges.registers.embedded import (
    EmbeddedRegisters,
    Register,
    change_number,
    fill,
    move,
    protect,
    put_contact,
    remove_contact,
    set_dead,
    set_guardians,
    set_parents,
    set_placed,
    set_reachable,
    set_reserved,
)

HOME = PostalAddress(("Storgata 4",), "9008", "Tromsø")
MOTHER = RegisteredPerson(
    "20914695016", "Ánde Sara", date(1990, 1, 1), address=HOME, municipality="5501", children=("01815512345",)
)
CHILD = RegisteredPerson(
    "01815512345", "Iŋgá Sara", date(2018, 5, 1), address=HOME, municipality="5501", parents=("20914695016",)
)
HIDDEN = RegisteredPerson("11111111111", "Kari Nordmann", date(1980, 1, 1), protection=Protection.STRICTLY_CONFIDENTIAL)
CONTACT = Contact(False, "+4799999999", "ande@example.no", True, "ande.sara#9YDT", "se")


@pytest.fixture
async def registers(database: Database) -> EmbeddedRegisters:
    async with database.connection() as connection:
        assert await fill(connection, [MOTHER, CHILD, HIDDEN], {MOTHER.number: CONTACT}) == (3, 1)
    return EmbeddedRegisters(database)


async def test_gives_back_what_was_filled_in(registers: EmbeddedRegisters) -> None:
    numbers = [MOTHER.number, CHILD.number, HIDDEN.number, "00000000000"]
    assert await registers.persons(numbers) == {person.number: person for person in (MOTHER, CHILD, HIDDEN)}
    assert await registers.contacts(numbers) == {MOTHER.number: CONTACT}
    assert await registers.persons([]) == {}


async def test_bonds_need_to_be_told_from_one_side_only(database: Database) -> None:
    parent = RegisteredPerson("1", "Far", date(1980, 1, 1))
    child = RegisteredPerson("2", "Barn", date(2020, 1, 1), parents=("1", "3"))
    async with database.connection() as connection:
        await fill(connection, [parent, child], {})
        found = await EmbeddedRegisters(database).persons(["1", "2"])
        assert found["1"].children == ("2",)
        assert found["2"].parents == ("1", "3")
        await set_parents(connection, "2", ["3"])
        assert (await EmbeddedRegisters(database).persons(["1"]))["1"].children == ()


async def test_filling_again_replaces(registers: EmbeddedRegisters, database: Database) -> None:
    async with database.connection() as connection:
        await fill(connection, [MOTHER, CHILD], {MOTHER.number: Contact(reserved=True)})
    assert (await registers.persons([MOTHER.number]))[MOTHER.number] == MOTHER
    assert (await registers.contacts([MOTHER.number]))[MOTHER.number] == Contact(reserved=True)


def test_a_protected_address_cannot_be_held_let_08_fam_14() -> None:
    for protection in (Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL):
        with pytest.raises(ValueError, match="LET-08"):
            RegisteredPerson("1", "A", date(1980, 1, 1), protection=protection, address=HOME)
        with pytest.raises(ValueError, match="LET-08"):
            RegisteredPerson("1", "A", date(1980, 1, 1), protection=protection, municipality="5501")
    assert not Protection.CLIENT.hides_address


async def test_the_table_itself_refuses_a_protected_address_let_08(
    registers: EmbeddedRegisters, database: Database
) -> None:
    async with database.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "update register_person set protection = 'fortrolig' where number = $1", MOTHER.number
            )


async def test_protection_takes_the_address_away(registers: EmbeddedRegisters, database: Database) -> None:
    async with database.connection() as connection:
        await protect(connection, MOTHER.number, Protection.CONFIDENTIAL)
    found = (await registers.persons([MOTHER.number]))[MOTHER.number]
    assert (found.protection, found.address, found.municipality) == (Protection.CONFIDENTIAL, None, None)
    assert found.children == MOTHER.children
    assert not found.lives_with(CHILD)


async def test_what_happens_to_people_outside(registers: EmbeddedRegisters, database: Database) -> None:
    assert MOTHER.lives_with(CHILD)
    assert not HIDDEN.lives_with(HIDDEN)
    async with database.connection() as connection:
        await move(connection, MOTHER.number, None, status=PersonStatus.EMIGRATED)
        await set_dead(connection, HIDDEN.number, date(2026, 11, 1))
        await set_reserved(connection, MOTHER.number)
        await set_reserved(connection, CHILD.number)
        await put_contact(connection, HIDDEN.number, Contact(email="a@example.no", notifiable=True))
        with pytest.raises(LookupError):
            await set_dead(connection, "00000000000", date(2026, 11, 1))
    found = await registers.persons([MOTHER.number, HIDDEN.number])
    assert found[MOTHER.number].status is PersonStatus.EMIGRATED
    assert found[MOTHER.number].address is None
    assert found[HIDDEN.number].dead == date(2026, 11, 1)
    contacts = await registers.contacts([MOTHER.number, CHILD.number, HIDDEN.number])
    assert contacts[MOTHER.number].reserved
    assert contacts[MOTHER.number].mobile == CONTACT.mobile
    assert contacts[CHILD.number] == Contact(reserved=True)
    assert contacts[HIDDEN.number].email == "a@example.no"
    async with database.connection() as connection:
        await remove_contact(connection, HIDDEN.number)
    assert await registers.contacts([HIDDEN.number]) == {}


async def test_a_register_that_is_down_says_so_to_every_process(
    registers: EmbeddedRegisters, database: Database
) -> None:
    async with database.connection() as connection:
        await set_reachable(connection, Register.CONTACT, False)
        await set_reachable(connection, Register.CONTACT, False)
    with pytest.raises(RegisterUnavailable, match="contact"):
        await EmbeddedRegisters(database).contacts([MOTHER.number])
    assert await registers.persons([MOTHER.number])
    async with database.connection() as connection:
        await set_reachable(connection, Register.CONTACT, True)
    assert await registers.contacts([MOTHER.number])


async def test_hundreds_are_looked_up_in_milliseconds_and_thousands_filled_in_a_second(database: Database) -> None:
    people = [
        RegisteredPerson(f"{n:011d}", f"Person {n}", date(1990, 1, 1), address=HOME, parents=(f"{n + 1:011d}",))
        for n in range(20_000)
    ]
    contacts = {person.number: CONTACT for person in people}
    async with database.connection() as connection:
        start = time.perf_counter()
        await fill(connection, people, contacts)
        filled = time.perf_counter() - start
    registers = EmbeddedRegisters(database)
    numbers = [person.number for person in people[5_000:5_500]]
    await registers.persons(numbers)
    start = time.perf_counter()
    assert len(await registers.persons(numbers)) == 500
    assert len(await registers.contacts(numbers)) == 500
    looked_up = time.perf_counter() - start
    print(f"filled 20,000 in {filled:.2f} s; looked up 500 of both in {looked_up * 1000:.1f} ms")
    assert filled < 10
    assert looked_up < 0.5


WHOLE = RegisteredPerson(
    "3", "Olga Berg", date(1940, 1, 1), address=HOME, municipality="5501", family="Berg", residence="hjem",
    responsibility=Responsibility.SHARED, former=(FormerNumber("4"), FormerNumber("5", date(2020, 1, 1))),
    guardians=(
        Guardianship("6", GuardianKind.FUTURE_POWER, Extent.BOTH, ("timer",), date(2021, 1, 1), date(2030, 1, 1)),
    ),
    kin=(Kin("7", Role.SPOUSE),), placed=True,
)  # fmt: skip


async def test_all_that_the_register_tells_of_a_person(database: Database) -> None:
    registers = EmbeddedRegisters(database)
    async with database.connection() as connection:
        await fill(connection, [WHOLE, RegisteredPerson("6", "Per Moe", date(1970, 1, 1))], {})
    found = await registers.persons(["3", "4", "5", "6"])
    assert found["3"] == found["4"] == found["5"] == WHOLE
    assert found["6"].wards == ("3",)
    assert WHOLE.numbers == ("3", "4", "5")


async def test_a_changed_number_is_changed_in_every_bond(database: Database) -> None:
    registers = EmbeddedRegisters(database)
    guardian = Guardianship("1", GuardianKind.ADULT, Extent.PERSONAL)
    people = [
        RegisteredPerson("1", "Mor", date(1980, 1, 1), status=PersonStatus.TEMPORARY),
        RegisteredPerson("2", "Barn", date(2020, 1, 1), parents=("1",), kin=(Kin("1", Role.MOTHER),)),
        RegisteredPerson("3", "Eldre", date(1940, 1, 1), guardians=(guardian,)),
    ]
    async with database.connection() as connection:
        await fill(connection, people, {"1": Contact(reserved=True)})
        await change_number(connection, "1", "9", date(2026, 11, 24))
    found = await registers.persons(["1", "2", "3", "9"])
    assert found["1"] == found["9"]
    assert (found["9"].number, found["9"].former, found["9"].status) == (
        "9", (FormerNumber("1", date(2026, 11, 24)),), PersonStatus.RESIDENT,
    )  # fmt: skip
    assert (found["9"].children, found["9"].wards) == (("2",), ("3",))
    assert (found["2"].parents, found["2"].kin) == (("9",), (Kin("9", Role.MOTHER),))
    assert found["3"].guardians[0].guardian == "9"
    assert (await registers.contacts(["9"]))["9"].reserved


async def test_the_feed_tells_of_every_change_once_it_is_done(registers: EmbeddedRegisters, database: Database) -> None:
    begun = await registers.changes(None)
    assert begun.numbers == ()
    assert (await registers.changes(begun.position)).numbers == ()
    async with database.connection() as connection, database.connection() as other:
        under_way = connection.transaction()
        await under_way.start()
        await set_dead(connection, HIDDEN.number, date(2026, 11, 1))
        await set_placed(other, CHILD.number)
        early = await registers.changes(begun.position)
        await under_way.commit()
        late = await registers.changes(early.position)
        # What was not done is not passed by, whatever was done meanwhile.
        assert HIDDEN.number not in early.numbers
        assert {*early.numbers, *late.numbers} == {HIDDEN.number, CHILD.number}
        await set_parents(other, CHILD.number, ["3"], Responsibility.FATHER)
        await set_guardians(other, HIDDEN.number, [Guardianship("8", GuardianKind.ADULT, Extent.BOTH)])
        told = await registers.changes(late.position)
        assert set(told.numbers) == {CHILD.number, MOTHER.number, "3", HIDDEN.number, "8"}
        assert (await registers.persons([CHILD.number]))[CHILD.number].responsibility is Responsibility.FATHER
    assert (await registers.changes(told.position)).numbers == ()


async def test_a_feed_that_is_away_says_so(registers: EmbeddedRegisters, database: Database) -> None:
    async with database.connection() as connection:
        await set_reachable(connection, Register.PERSON, False)
    with pytest.raises(RegisterUnavailable):
        await registers.changes(None)
