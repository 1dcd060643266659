"""The embedded registers: tables of synthetic persons in our own database, standing in for the registers outside.

Reading is what services see. Filling and changing are the outside world's doings, and are called by the demo and by
tests alone: no service writes to a register.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from enum import StrEnum
from typing import Any

from varde.db import Connection, Database
from varde.edges.registers import (
    Changes,
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

_PERSONS = """
with asked as (
    select one as number, coalesce((select person from register_former where number = one), one) as person
    from unnest($1::text[]) as one
)
select asked.number as asked, p.*,
       array(select parent from register_parent where child = p.number order by parent) as parents,
       array(select child from register_parent where parent = p.number order by child) as children,
       array(select guardian.ward from register_guardian guardian where guardian.guardian = p.number
             order by ward) as wards,
       (select array_agg(f order by f.until desc nulls first, f.number) from register_former f
         where f.person = p.number) as formers,
       (select array_agg(g order by g.guardian, g.kind) from register_guardian g where g.ward = p.number) as guardians,
       (select array_agg(k order by k.relative, k.role) from register_kin k where k.person = p.number) as kin
from asked join register_person p on p.number = asked.person"""
_PERSON_COLUMNS = ("number", "name", "born", "dead", "status", "protection", "address_lines", "postal_code", "city",
                   "country", "municipality", "family", "residence", "responsibility", "placed")  # fmt: skip
_GUARDIAN_COLUMNS = ("ward", "guardian", "kind", "extent", "areas", "starts", "ends")
_CONTACT_COLUMNS = ("number", "reserved", "mobile", "email", "notifiable", "mailbox", "language")


class Register(StrEnum):
    """Which register is meant."""

    PERSON = "person"
    CONTACT = "contact"


class EmbeddedRegisters:
    """Both registers, from `register_*` of `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        """See PersonRegister. One query, whatever the number of persons."""
        rows = await self._rows(Register.PERSON, _PERSONS, numbers)
        return {row["asked"]: _person(row) for row in rows}

    async def changes(self, since: str | None) -> Changes:
        """See PersonRegister. A position is the first transaction that was still under way."""
        query = (
            "select pg_snapshot_xmin(pg_current_snapshot())::text as horizon, (select array_agg(distinct number order"
            " by number) from register_change where transaction_id >= $1::text::xid8"
            " and transaction_id < pg_snapshot_xmin(pg_current_snapshot())) as numbers"
        )
        (row,) = await self._rows(Register.PERSON, query, since if since is not None else "0")
        changed = row["numbers"] or () if since is not None else ()
        return Changes(tuple(changed), row["horizon"])

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """See ContactRegister. One query, whatever the number of persons."""
        query = "select * from register_contact where number = any($1::text[])"
        rows = await self._rows(Register.CONTACT, query, numbers)
        return {row["number"]: Contact(*list(row.values())[1:]) for row in rows}

    async def _rows(self, register: Register, query: str, asked: Sequence[str]) -> list[Any]:
        async with self._database.connection() as connection:
            if await connection.fetchval("select true from register_outage where register = $1", register.value):
                raise RegisterUnavailable(f"the {register} register", "does not answer")
            return (
                list(await connection.fetch(query, asked if isinstance(asked, str) else list(asked))) if asked else []
            )

    async def close(self) -> None:
        """Close the connections that it was given."""
        await self._database.close()


def _person(row: Any) -> RegisteredPerson:
    address = None
    if row["address_lines"] is not None:
        address = PostalAddress(tuple(row["address_lines"]), row["postal_code"], row["city"], row["country"])
    return RegisteredPerson(
        number=row["number"],
        name=row["name"],
        born=row["born"],
        dead=row["dead"],
        status=PersonStatus(row["status"]),
        protection=Protection(row["protection"]),
        address=address,
        parents=tuple(row["parents"]),
        children=tuple(row["children"]),
        municipality=row["municipality"],
        family=row["family"],
        residence=row["residence"],
        responsibility=Responsibility(row["responsibility"]) if row["responsibility"] else None,
        former=tuple(FormerNumber(one["number"], one["until"]) for one in row["formers"] or ()),
        guardians=tuple(
            Guardianship(
                one["guardian"], GuardianKind(one["kind"]), Extent(one["extent"]), tuple(one["areas"]),
                one["starts"], one["ends"],
            )
            for one in row["guardians"] or ()
        ),
        wards=tuple(dict.fromkeys(row["wards"])),
        kin=tuple(Kin(one["relative"], Role(one["role"])) for one in row["kin"] or ()),
        placed=row["placed"],
    )  # fmt: skip


def _record(person: RegisteredPerson) -> tuple[Any, ...]:
    at = person.address
    address = (list(at.lines), at.postal_code, at.city, at.country) if at else (None, None, None, None)
    return (person.number, person.name, person.born, person.dead, person.status.value, person.protection.value,
            *address, person.municipality, person.family, person.residence,
            person.responsibility.value if person.responsibility else None, person.placed)  # fmt: skip


async def fill(
    connection: Connection, persons: Iterable[RegisteredPerson], contacts: Mapping[str, Contact]
) -> tuple[int, int]:
    """Put persons and contacts (by national identity number) in, in place of those already there with the same
    numbers, and return how many of each. All or nothing. The feed of changes does not tell of it."""
    people = list(persons)
    numbers = [person.number for person in people]
    bonds = {(person.number, parent) for person in people for parent in person.parents}
    bonds |= {(child, person.number) for person in people for child in person.children}
    former = [(one.number, person.number, one.until) for person in people for one in person.former]
    guardians = [
        (person.number, one.guardian, one.kind.value, one.extent.value, list(one.areas), one.starts, one.ends)
        for person in people
        for one in person.guardians
    ]
    kin = {(person.number, one.number, one.role.value) for person in people for one in person.kin}
    records = [
        (number, c.reserved, c.mobile, c.email, c.notifiable, c.mailbox, c.language) for number, c in contacts.items()
    ]
    async with connection.transaction():
        for table, columns in (
            ("register_person", ("number",)), ("register_parent", ("child", "parent")),
            ("register_former", ("person",)), ("register_guardian", ("ward",)), ("register_kin", ("person",)),
        ):  # fmt: skip
            where = " or ".join(f"{column} = any($1::text[])" for column in columns)
            await connection.execute(f"delete from {table} where {where}", numbers)
        await connection.execute("delete from register_contact where number = any($1::text[])", list(contacts))
        copied: list[tuple[str, Iterable[tuple[Any, ...]], tuple[str, ...]]] = [
            ("register_person", map(_record, people), _PERSON_COLUMNS),
            ("register_parent", sorted(bonds), ("child", "parent")),
            ("register_former", former, ("number", "person", "until")),
            ("register_guardian", guardians, _GUARDIAN_COLUMNS),
            ("register_kin", sorted(kin), ("person", "relative", "role")),
            ("register_contact", records, _CONTACT_COLUMNS),
        ]
        for table, rows, names in copied:
            await connection.copy_records_to_table(table, records=rows, columns=names)
    return len(people), len(contacts)


async def put_contact(connection: Connection, number: str, contact: Contact) -> None:
    """Let a person be in the contact register with this and nothing else."""
    await fill(connection, (), {number: contact})


async def remove_contact(connection: Connection, number: str) -> None:
    """Take a person out of the contact register."""
    await connection.execute("delete from register_contact where number = $1", number)


async def set_reserved(connection: Connection, number: str, reserved: bool = True) -> None:
    """Let a person reserve against digital communication, or take that back."""
    await connection.execute(
        "insert into register_contact (number, reserved, notifiable) values ($1, $2, false)"
        " on conflict (number) do update set reserved = excluded.reserved",
        number,
        reserved,
    )


async def set_dead(connection: Connection, number: str, on: date) -> None:
    """Register a death. Raises LookupError for a person not in the register."""
    person = await _get(connection, number)
    await _replace(connection, replace(person, dead=on, status=PersonStatus.DEAD))


async def move(
    connection: Connection,
    number: str,
    address: PostalAddress | None,
    *,
    municipality: str | None = None,
    status: PersonStatus = PersonStatus.RESIDENT,
    protection: Protection = Protection.NONE,
) -> None:
    """Register a person's new address, or its absence, with status and protection.

    Raises LookupError for a person not in the register, ValueError for an address together with code 6 or 7.
    """
    person = await _get(connection, number)
    await _replace(
        connection,
        replace(
            person, address=address, municipality=municipality, status=status, protection=protection, residence=None
        ),
    )


async def protect(connection: Connection, number: str, protection: Protection) -> None:
    """Give a person a protection; codes 6 and 7 take the address away. Raises LookupError."""
    person = await _get(connection, number)
    if protection.hides_address:
        person = replace(person, address=None, municipality=None, residence=None, protection=protection)
    await _replace(connection, replace(person, protection=protection))


async def set_parents(
    connection: Connection, child: str, parents: Sequence[str], responsibility: Responsibility | None = None
) -> None:
    """Let exactly these have parental responsibility for the child."""
    async with connection.transaction():
        before = await connection.fetch("delete from register_parent where child = $1 returning parent", child)
        await connection.executemany(
            "insert into register_parent (child, parent) values ($1, $2)", [(child, parent) for parent in set(parents)]
        )
        await connection.execute(
            "update register_person set responsibility = $2 where number = $1",
            child,
            responsibility.value if responsibility else None,
        )
        await _tell(connection, [child, *parents, *(row["parent"] for row in before)])


async def set_guardians(connection: Connection, ward: str, guardians: Sequence[Guardianship]) -> None:
    """Let exactly these be the person's guardians. Raises LookupError for a person not in the register."""
    person = await _get(connection, ward)
    await _tell(connection, [one.guardian for one in (*person.guardians, *guardians)])
    await _replace(connection, replace(person, guardians=tuple(guardians)))


async def set_placed(connection: Connection, number: str, placed: bool = True) -> None:
    """Let child welfare have placed a child, or have ended it. Raises LookupError."""
    person = await _get(connection, number)
    await _replace(connection, replace(person, placed=placed))


async def change_number(connection: Connection, old: str, new: str, on: date) -> None:
    """Give a person a new number, as when a d-number gives way: the old one finds them still, and everybody bound to
    them is bound to the new one. Raises LookupError for a person not in the register."""
    person = await _get(connection, old)
    async with connection.transaction():
        for table, columns in (
            ("register_parent", ("child", "parent")), ("register_guardian", ("ward", "guardian")),
            ("register_kin", ("person", "relative")), ("register_former", ("person",)),
            ("register_contact", ("number",)),
        ):  # fmt: skip
            for column in columns:
                await connection.execute(f"update {table} set {column} = $2 where {column} = $1", old, new)
        await connection.execute("update register_person set number = $2 where number = $1", old, new)
        former = (FormerNumber(old, on), *person.former)
        moved = await _get(connection, new)
        await _replace(connection, replace(moved, status=_settled(moved.status), former=former))
        await _tell(connection, [old, *moved.parents, *moved.children, *moved.wards])


def _settled(status: PersonStatus) -> PersonStatus:
    return PersonStatus.RESIDENT if status is PersonStatus.TEMPORARY else status


async def set_reachable(connection: Connection, register: Register, reachable: bool) -> None:
    """Let a register be down for every process, or come back: while it is down, look-ups raise RegisterUnavailable."""
    if reachable:
        await connection.execute("delete from register_outage where register = $1", register.value)
    else:
        await connection.execute(
            "insert into register_outage values ($1) on conflict (register) do nothing", register.value
        )


async def _get(connection: Connection, number: str) -> RegisteredPerson:
    row = await connection.fetchrow(_PERSONS, [number])
    if row is None:
        raise LookupError("no such person in the population register")
    return _person(row)


async def _replace(connection: Connection, person: RegisteredPerson) -> None:
    async with connection.transaction():
        await fill(connection, (person,), {})
        await _tell(connection, [person.number])


async def _tell(connection: Connection, numbers: Iterable[str]) -> None:
    """Let the feed of changes tell of these."""
    await connection.execute(
        "insert into register_change (number) select * from unnest($1::text[])", sorted(set(numbers))
    )
