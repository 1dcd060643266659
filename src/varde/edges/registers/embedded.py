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
    Contact,
    PersonStatus,
    PostalAddress,
    Protection,
    RegisteredPerson,
    RegisterUnavailable,
)

_PERSONS = """
select p.*,
       array(select parent from register_parent where child = p.number order by parent) as parents,
       array(select child from register_parent where parent = p.number order by child) as children
from register_person p where p.number = any($1::text[])"""
_PERSON_COLUMNS = ("number", "name", "born", "dead", "status", "protection", "address_lines", "postal_code", "city",
                   "country", "municipality")  # fmt: skip
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
        return {row["number"]: _person(row) for row in rows}

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """See ContactRegister. One query, whatever the number of persons."""
        query = "select * from register_contact where number = any($1::text[])"
        rows = await self._rows(Register.CONTACT, query, numbers)
        return {row["number"]: Contact(*list(row.values())[1:]) for row in rows}

    async def _rows(self, register: Register, query: str, numbers: Sequence[str]) -> list[Any]:
        async with self._database.connection() as connection:
            if await connection.fetchval("select true from register_outage where register = $1", register.value):
                raise RegisterUnavailable(f"the {register} register", "does not answer")
            return list(await connection.fetch(query, list(numbers))) if numbers else []

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
    )


def _record(person: RegisteredPerson) -> tuple[Any, ...]:
    at = person.address
    address = (list(at.lines), at.postal_code, at.city, at.country) if at else (None, None, None, None)
    return (person.number, person.name, person.born, person.dead, person.status.value, person.protection.value,
            *address, person.municipality)  # fmt: skip


async def fill(
    connection: Connection, persons: Iterable[RegisteredPerson], contacts: Mapping[str, Contact]
) -> tuple[int, int]:
    """Put persons and contacts (by national identity number) in, in place of those already there with the same
    numbers, and return how many of each. All or nothing."""
    people = list(persons)
    numbers = [person.number for person in people]
    bonds = {(person.number, parent) for person in people for parent in person.parents}
    bonds |= {(child, person.number) for person in people for child in person.children}
    async with connection.transaction():
        await connection.execute("delete from register_person where number = any($1::text[])", numbers)
        await connection.execute(
            "delete from register_parent where child = any($1::text[]) or parent = any($1::text[])", numbers
        )
        await connection.execute("delete from register_contact where number = any($1::text[])", list(contacts))
        await connection.copy_records_to_table("register_person", records=map(_record, people), columns=_PERSON_COLUMNS)
        await connection.copy_records_to_table("register_parent", records=sorted(bonds), columns=("child", "parent"))
        records = (
            (number, c.reserved, c.mobile, c.email, c.notifiable, c.mailbox, c.language)
            for number, c in contacts.items()
        )
        await connection.copy_records_to_table("register_contact", records=records, columns=_CONTACT_COLUMNS)
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
        replace(person, address=address, municipality=municipality, status=status, protection=protection),
    )


async def protect(connection: Connection, number: str, protection: Protection) -> None:
    """Give a person a protection; codes 6 and 7 take the address away. Raises LookupError."""
    person = await _get(connection, number)
    if protection.hides_address:
        person = replace(person, address=None, municipality=None, protection=protection)
    await _replace(connection, replace(person, protection=protection))


async def set_parents(connection: Connection, child: str, parents: Sequence[str]) -> None:
    """Let exactly these have parental responsibility for the child."""
    async with connection.transaction():
        await connection.execute("delete from register_parent where child = $1", child)
        await connection.executemany(
            "insert into register_parent (child, parent) values ($1, $2)", [(child, parent) for parent in set(parents)]
        )


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
    await fill(connection, (person,), {})
