"""What one person is to another now: the facts that decisions stand on, and nothing decided (`law/` does).

From two sources, asked in one round trip: what the population register said at most an hour ago (FAM-15), kept in
`trust_relative`, and the Consents by which people let others act for them, kept in `trust_decision` by
`granted.py` in the store's own transaction, so that what is withdrawn is withdrawn at once. A chain of mandates is
never followed: a bond is always between the two themselves (FAM-17).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from varde.trust.law.mandate import Facts
from varde.trust.law.things import Thing


class Party(Protocol):
    """One of the two, as the record has them (`trust.access.Person`)."""

    @property
    def id(self) -> str:
        """Id of the Patient."""
        ...

    @property
    def number(self) -> str:
        """A national identity number, of several perhaps."""
        ...

    @property
    def born(self) -> date:
        """Date of birth."""
        ...

    @property
    def dead(self) -> bool:
        """Whether the record says so."""
        ...


@dataclass(frozen=True, slots=True)
class Guardian:
    """Who acts for a person by a guardianship or a power for the future that is in force (FAM-13)."""

    number: str
    areas: frozenset[Thing] | None
    """None: everything personal; empty: nothing that Varde holds (economy alone)."""
    starts: date | None = None
    ends: date | None = None
    """The last day."""


@dataclass(frozen=True, slots=True)
class Relative:
    """What the population register says of one person, as far as acting for one another goes."""

    number: str
    """The number in use now."""
    former: tuple[str, ...] = ()
    """Numbers that they had before, and those that they have beside it."""
    dead: bool = False
    protected: bool = False
    """Codes 6 and 7 (FAM-14)."""
    placed: bool = False
    """A placed or unaccompanied child (FAM-20)."""
    home: Hashable = None
    """The same for those registered at one address; None when unknown or hidden."""
    parents: tuple[str, ...] = ()
    """With parental responsibility."""
    children: tuple[str, ...] = ()
    guardians: tuple[Guardian, ...] = ()
    wards: tuple[str, ...] = ()
    """For whom they are guardian."""

    @property
    def numbers(self) -> frozenset[str]:
        """All their numbers."""
        return frozenset({self.number, *self.former})


class FamilyRegister(Protocol):
    """The population register in the words of this room (varde/families.py)."""

    async def relatives(self, numbers: Sequence[str]) -> Mapping[str, Relative]:
        """By the number asked with, which may be a former one; missing: unknown there. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """Persons between whom and somebody there may be a bond: each is then asked about with `facts`."""

    numbers: tuple[str, ...] = ()
    """Known by a national identity number, from the register."""
    patients: tuple[str, ...] = ()
    """Known by the id of their Patient, from a power of attorney."""


class Mandates(Protocol):
    """The question, as `Access` asks it."""

    async def facts(self, asker: Party, patient: Party) -> Facts:
        """What `asker` is to `patient` now. Raises Unavailable while the register is away and it must be asked:
        that is never so for one's own things from 16 years."""
        ...

    async def whom(self, asker: Party) -> Bound:
        """For whom `asker` may be able to act. Raises Unavailable."""
        ...

    async def who(self, patient: Party) -> Bound:
        """Who may be able to act for `patient`. Raises Unavailable."""
        ...
