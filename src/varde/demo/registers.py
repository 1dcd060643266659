"""The synthetic region's people as the registers outside know them: the population register and the contact and
reservation register. What the registers mean is edges/registers'."""

from __future__ import annotations

from varde.demo.people import Human
from varde.edges.registers import Contact, PersonStatus, PostalAddress, Protection, RegisteredPerson


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
    )


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
