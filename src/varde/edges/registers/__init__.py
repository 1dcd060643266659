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


class Responsibility(StrEnum):
    """How parental responsibility for a child is held (`foreldreansvar`)."""

    SHARED = "felles"
    MOTHER = "mor"
    FATHER = "far"
    CO_MOTHER = "medmor"
    OTHERS = "andre"
    UNKNOWN = "ukjent"


class Role(StrEnum):
    """What a relative is to a person (`familierelasjon`)."""

    MOTHER = "mor"
    FATHER = "far"
    CO_MOTHER = "medmor"
    CHILD = "barn"
    SIBLING = "søsken"
    SPOUSE = "ektefelleEllerPartner"
    STILLBORN = "dødfødtBarn"


class GuardianKind(StrEnum):
    """Folkeregisteret's `vergetype`."""

    LONE_ASYLUM_SEEKER = "ensligMindreaarigAsylsoeker"
    LONE_REFUGEE = "ensligMindreaarigFlyktning"
    ADULT = "voksen"
    ADULT_FOR_NOW = "midlertidigForVoksen"
    MINOR = "mindreaarig"
    MINOR_FOR_NOW = "midlertidigForMindreaarig"
    OUTSIDE = "forvaltningUtenforVergemaal"
    """Management of property alone."""
    FUTURE_POWER = "stadfestetFremtidsfullmakt"


class Extent(StrEnum):
    """How far a guardianship goes (`omfang`)."""

    PERSONAL = "personligeInteresser"
    ECONOMIC = "oekonomiskeInteresser"
    BOTH = "personligeOgOekonomiskeInteresser"
    BOTH_AND_IMMIGRATION = "utlendingssakerPersonligeOgOekonomiskeInteresser"

    @property
    def personal(self) -> bool:
        """Whether it takes in what is personal: all that health services hold."""
        return self is not Extent.ECONOMIC


@dataclass(frozen=True, slots=True)
class Guardianship:
    """A guardian, a representative of a lone child, or the holder of a power for the future that is confirmed."""

    guardian: str
    """National identity number."""
    kind: GuardianKind
    extent: Extent
    areas: tuple[str, ...] = ()
    """Where the mandate names single areas; empty: all within the extent."""
    starts: date | None = None
    ends: date | None = None
    """The first day it no longer holds (`opphørstidspunkt`, "til, men ikke på")."""


@dataclass(frozen=True, slots=True)
class FormerNumber:
    """A number that a person had before, or has beside the one in use."""

    number: str
    until: date | None = None
    """The first day it was no longer theirs; None: not told, or still in use."""


@dataclass(frozen=True, slots=True)
class Kin:
    """One relative."""

    number: str
    role: Role
    """What the relative is to the person."""


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
    family: str | None = None
    """The surname, as it ends `name`; None when not told apart."""
    residence: str | None = None
    """Where they are registered as living, the same text for all who live there: a dwelling, which `address`, where
    mail reaches them, need not be. None: not told; then `address` says."""
    responsibility: Responsibility | None = None
    """How the responsibility for this child is held."""
    former: tuple[FormerNumber, ...] = ()
    guardians: tuple[Guardianship, ...] = ()
    wards: tuple[str, ...] = ()
    """Numbers of those whose guardian this person is."""
    kin: tuple[Kin, ...] = ()
    placed: bool = False
    """A child whose parents do not have the care: placed by child welfare, or alone in the country (FAM-20)."""

    def __post_init__(self) -> None:
        if self.protection.hides_address and (self.address or self.municipality or self.residence):
            raise ValueError("a protected address is never held (LET-08, FAM-14)")

    @property
    def is_dead(self) -> bool:
        """Whether the person has died, the day known or not (FAM-16)."""
        return self.dead is not None or self.status is PersonStatus.DEAD

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number they have or had, the one in use first."""
        return (self.number, *(one.number for one in self.former))

    @property
    def home(self) -> str | None:
        """The same for all who are registered as living at one place; None when unknown or hidden."""
        if self.residence is not None or self.address is None:
            return self.residence
        at = self.address
        return "|".join((*at.lines, at.postal_code, at.city, at.country)).casefold()

    def lives_with(self, other: RegisteredPerson) -> bool:
        """Whether both are registered at one address (FAM-02, LET-13). Never so for one whose address is hidden."""
        return self.home is not None and self.home == other.home


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


@dataclass(frozen=True, slots=True)
class Changes:
    """Of whom the population register has something new to tell."""

    numbers: tuple[str, ...]
    """Any of their numbers, each once."""
    position: str
    """Where to ask on from."""


class PersonRegister(Protocol):
    """Folkeregisteret."""

    async def persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        """The persons with these national identity numbers, by the number asked with, a former one too; one missing
        is unknown there.

        Raises RegisterUnavailable.
        """
        ...

    async def changes(self, since: str | None) -> Changes:
        """Whose entry was changed after `since`, a position of an earlier answer; None: nobody's, only where to begin.

        What changed more than once is told at least once. Raises RegisterUnavailable.
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

    async def changes(self, since: str | None) -> Changes:
        """See PersonRegister."""
        return await self._persons.changes(since)

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """See ContactRegister."""
        return await self._contacts.contacts(numbers)

    async def close(self) -> None:
        """Let go of both."""
        await self._persons.close()
        await self._contacts.close()
