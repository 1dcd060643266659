"""Powers of attorney (FAM-12): given by the receiver's national number and surname, seen by both, withdrawn at once.

A power is a Consent in the giver's record, one for each receiver, whose versions are its history. What it opens is
worked out by `trust` from that Consent alone, in the transaction that writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from varde.clock import today
from varde.fhir.errors import NotFound
from varde.services.family import rules, telling
from varde.services.family.identity import fixed_id
from varde.services.family.notices import Kind, Notice
from varde.services.family.rules import Dates, NotAllowed
from varde.services.family.telling import SERVICE, own_scope
from varde.trust import consents
from varde.trust.access import Person
from varde.trust.consents import KINDS, PowerOfAttorney
from varde.trust.law.things import Thing

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks to give. `number` is the receiver's, as it was typed in a form."""

    number: str
    surname: str
    things: frozenset[Thing]
    dates: Dates


@dataclass(frozen=True, slots=True)
class Power:
    """A power of attorney and the other person in it."""

    id: str
    other: Person
    consent: PowerOfAttorney

    @property
    def things(self) -> Sequence[Thing]:
        """What it takes in, in table A's order."""
        return [thing for thing in Thing if thing.value in self.consent.things]


def power_id(giver: str, receiver: str) -> str:
    """Id of the Consent of a giver and a receiver, both ids of Patients: there is one, whatever its state."""
    return fixed_id(giver, "power", receiver)


async def judge(platform: Platform, giver: Person, wish: Wish) -> Person:
    """The receiver, when this power may be given. Raises NotAllowed (FAM-12, FAM-14, FAM-17), RegisterUnavailable."""
    day = today(platform.clock)
    rules.check_dates(wish.dates, day)
    if not wish.things:
        raise NotAllowed("things")
    registered = await platform.registers.persons([giver.number, wish.number])
    rules.may_give(registered.get(giver.number), registered.get(wish.number), wish.surname, day)
    receiver = await platform.access.person(wish.number)
    if receiver is None or receiver.dead:
        raise NotAllowed("receiver")
    if receiver.id == giver.id:
        raise NotAllowed("self")
    return receiver


async def give(platform: Platform, scope: Scope, giver: Person, wish: Wish) -> None:
    """Give it, or give it anew with other bounds; both are told. `scope` is the giver's own: nobody gives another's
    away (FAM-17). Raises NotAllowed, RegisterUnavailable."""
    if scope.acting_for is not None or scope.patient != giver.id:
        raise NotAllowed("giver")
    receiver = await judge(platform, giver, wish)
    now = platform.clock.now()
    consent = PowerOfAttorney(
        id=power_id(giver.id, receiver.id), patient=giver.id, at=now, by=f"Patient/{giver.id}", receiver=receiver.id,
        things=frozenset(thing.value for thing in wish.things),
        starts=max(wish.dates.starts, now), ends=wish.dates.ends,
    )  # fmt: skip
    async with platform.store.transaction() as connection:
        await platform.store.update(
            scope.acting(SERVICE, {"Consent"}), "Consent", str(consent.id), consents.to_fhir(consent),
            connection=connection,
        )  # fmt: skip
        await telling.tell(
            platform,
            connection,
            [
                Notice(Kind.POWER_GIVEN, giver.id, receiver.name, now),
                Notice(Kind.POWER_RECEIVED, receiver.id, giver.name, now),
            ],
        )


async def withdraw(platform: Platform, scope: Scope, person: Person, power: str) -> None:
    """End a power at once, by the giver or by the receiver who does not want it; both are told. Raises NotFound, also
    for one that is not theirs, and NotAllowed for one who acts for another (FAM-17)."""
    if scope.acting_for is not None:
        raise NotAllowed("giver")
    own, now = own_scope(platform), platform.clock.now()
    async with platform.store.transaction() as connection:
        stored = await platform.store.read(own, "Consent", power, connection=connection, for_update=True)
        consent = consents.from_fhir(stored.resource)
        if not isinstance(consent, PowerOfAttorney) or person.id not in {consent.patient, consent.receiver}:
            raise NotFound.of("no such power of attorney")
        if consent.withdrawn:
            return
        ended = replace(consent, withdrawn=True, at=now, starts=consent.starts or consent.at, by=f"Patient/{person.id}")
        # The receiver may not write in the giver's record; who did it stands in the Consent.
        writing = scope.acting(SERVICE, {"Consent"}) if person.id == consent.patient else own
        await platform.store.update(
            writing, "Consent", power, consents.to_fhir(ended), if_match=stored.version, connection=connection
        )
        giver = await platform.access.known(consent.patient)
        receiver = await platform.access.known(consent.receiver)
        await telling.tell(
            platform,
            connection,
            [
                Notice(Kind.POWER_WITHDRAWN, consent.patient, receiver.name, now),
                Notice(Kind.POWER_LOST, consent.receiver, giver.name, now),
            ],
        )


async def given(platform: Platform, person: Person) -> Sequence[Power]:
    """The powers that a person has given and that hold or will, the newest first."""
    return await _powers(platform, [("patient", person.id)], lambda one: one.receiver)


async def received(platform: Platform, person: Person) -> Sequence[Power]:
    """The powers that a person has been given and that hold or will, the newest first."""
    return await _powers(platform, [("actor", f"Patient/{person.id}")], lambda one: one.patient)


async def _powers(
    platform: Platform, narrowed: Sequence[tuple[str, str]], other: Callable[[PowerOfAttorney], str]
) -> Sequence[Power]:
    query = [*narrowed, ("category", f"{KINDS}|{PowerOfAttorney.kind.value}"), ("status", "active"), ("_count", "200")]
    page = await platform.store.search(own_scope(platform), "Consent", query)
    now, found = platform.clock.now(), []
    for match in page.matches:
        consent = consents.from_fhir(match.resource)
        if not isinstance(consent, PowerOfAttorney) or consent.withdrawn or (consent.ends and consent.ends <= now):
            continue
        try:
            found.append(Power(match.id, await platform.access.known(other(consent)), consent))
        except LookupError:
            continue
    return sorted(found, key=lambda power: power.consent.at, reverse=True)
