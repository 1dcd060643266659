"""The synthetic region's people as the registers outside know them: the population register and the contact and
reservation register. What the registers mean is edges/registers'."""

from __future__ import annotations

from varde.demo.people import Human
from varde.edges.registers import (
    Contact,
    FormerNumber,
    Kin,
    PersonStatus,
    PostalAddress,
    Protection,
    RegisteredPerson,
    Responsibility,
    Role,
)


def registered(human: Human) -> RegisteredPerson:
    """The person in the population register. Codes 6 and 7 have no address there for us (FAM-14, LET-08)."""
    number, _, postal, city, _, _ = human.municipality
    protection = Protection(human.protection)
    hidden = protection.hides_address or human.emigrated
    return RegisteredPerson(
        number=human.number,
        name=human.name,
        born=human.born,
        dead=human.dead,
        status=_status(human),
        protection=protection,
        address=None if hidden else PostalAddress((human.street,), postal, city),
        parents=tuple(human.parents),
        municipality=None if hidden else number,
        family=human.family,
        responsibility=_responsibility(human),
        former=tuple(FormerNumber(old, until) for old, until in human.former),
        guardians=tuple(human.guardians),
        kin=tuple(Kin(parent, Role.MOTHER if _is_woman(parent) else Role.FATHER) for parent in human.parents),
        placed=human.placed,
    )


def _responsibility(human: Human) -> Responsibility | None:
    if not human.parents:
        return None
    if len(human.parents) > 1:
        return Responsibility.SHARED
    return Responsibility.MOTHER if _is_woman(human.parents[0]) else Responsibility.FATHER


def _is_woman(number: str) -> bool:
    """The ninth digit of a number is even for women."""
    return int(number[8]) % 2 == 0


def _status(human: Human) -> PersonStatus:
    if human.dead is not None:
        return PersonStatus.DEAD
    if human.emigrated:
        return PersonStatus.EMIGRATED
    return PersonStatus.TEMPORARY if int(human.number[:2]) > 40 else PersonStatus.RESIDENT


def contact(human: Human) -> Contact:
    """How the person may be reached; nobody but those who registered themselves is asked for."""
    reachable = bool(human.mobile or human.email) and not human.reserved and human.dead is None
    return Contact(human.reserved, human.mobile, human.email, notifiable=reachable, language=human.language)
