"""Registers of people: population, contact and reservation. No rule of their use lives here.

The population register is Folkeregisteret; the contact and reservation register is KRR. The words of the codes are
the registers' own (Folkeregisteret's information model; KRR's attributes: SPECS.md 3.1, 3.8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol


class RegisterUnavailable(Exception):
    """A register does not answer, or not wholly. Waited for and asked again; the answer is never guessed."""

    def __init__(self, register: str, why: str) -> None:
        super().__init__(f"{register}: {why}")
        self.register = register
        self.why = why


class Protection(StrEnum):
    """Folkeregisteret's `adressebeskyttelse`."""

    NONE = "ugradert"
    CLIENT = "klientadresse"
    """The address is that of an authority or institution on the person's behalf. Mail reaches them there."""
    CONFIDENTIAL = "fortrolig"
    """Code 7."""
    STRICTLY_CONFIDENTIAL = "strengtFortrolig"
    """Code 6."""

    @property
    def hides_address(self) -> bool:
        """Codes 6 and 7: nobody sees the address (LET-08), nobody is represented and nobody represents (FAM-14)."""
        return self in {Protection.CONFIDENTIAL, Protection.STRICTLY_CONFIDENTIAL}


class PersonStatus(StrEnum):
    """Folkeregisteret's `personstatus`."""

    RESIDENT = "bosatt"
    EMIGRATED = "utflyttet"
    MISSING = "forsvunnet"
    DEAD = "doed"
    CEASED = "opphoert"
    """The number is no longer in use; the person may have another."""
    BIRTH_REGISTERED = "foedselsregistrert"
    TEMPORARY = "midlertidig"
    """Holds a d-number."""
    INACTIVE = "inaktiv"
    NOT_RESIDENT = "ikkeBosatt"


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Where mail reaches a person: up to three lines, then postal code and city. `country` is ISO 3166 alpha-2."""

    lines: tuple[str, ...]
    postal_code: str
    city: str
    country: str = "NO"


@dataclass(frozen=True, slots=True)
class RegisteredPerson:
    """One person in the population register. Parents and children are those bound by parental responsibility
    (`foreldreansvar`), as national identity numbers."""

    number: str
    name: str
    born: date
    dead: date | None = None
    status: PersonStatus = PersonStatus.RESIDENT
    protection: Protection = Protection.NONE
    address: PostalAddress | None = None
    """None when there is none, and always for codes 6 and 7 (LET-08, FAM-14)."""
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    municipality: str | None = None
    """Municipality number, four digits; None for codes 6 and 7, which it would narrow down."""

    def __post_init__(self) -> None:
        if self.protection.hides_address and (self.address or self.municipality):
            raise ValueError("a protected address is never held (LET-08, FAM-14)")

    def lives_with(self, other: RegisteredPerson) -> bool:
        """Whether both are registered at one address (FAM-02, LET-13). Never so for one whose address is hidden."""
        return self.address is not None and self.address == other.address


@dataclass(frozen=True, slots=True)
class Contact:
    """One person in the contact and reservation register."""

    reserved: bool = False
    """Against digital communication (eForvaltningsforskriften § 9)."""
    mobile: str | None = None
    """With country code (+47…). Only when it may be used for notification: confirmed in the last 18 months
    (eForvaltningsforskriften § 32). The same goes for `email`."""
    email: str | None = None
    notifiable: bool = False
    """May be notified: active in the register, with a mobile or e-mail that may be used."""
    mailbox: str | None = None
    """Address of a digital mailbox (LET-09)."""
    language: str | None = None
    """nb, nn, en or se, when the person has chosen one (LET-35)."""


class PersonRegister(Protocol):
    """Folkeregisteret."""

    async def persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        """The persons with these national identity numbers; one missing is unknown there.

        Raises RegisterUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ContactRegister(Protocol):
    """KRR."""

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """How these persons may be reached; one missing never registered, and is not reserved.

        Raises RegisterUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Registers(PersonRegister, ContactRegister, Protocol):
    """Both registers, as services see them. Any number of persons may be asked for in one call."""


class Combined:
    """Two registers of different origin as one."""

    def __init__(self, persons: PersonRegister, contacts: ContactRegister) -> None:
        self._persons = persons
        self._contacts = contacts

    async def persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        """See PersonRegister."""
        return await self._persons.persons(numbers)

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """See ContactRegister."""
        return await self._contacts.contacts(numbers)

    async def close(self) -> None:
        """Let go of both."""
        await self._persons.close()
        await self._contacts.close()
