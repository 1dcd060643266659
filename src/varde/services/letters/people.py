"""What the registers and the store know of the patients of letters, in bulk: the facts that `rules.py` decides by.

Nothing is guessed: a register that does not answer raises RegisterUnavailable, and the caller's job is run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from varde.clock import today
from varde.edges.registers import Contact, PersonStatus, PostalAddress, RegisteredPerson
from varde.fhir.keys import resource_key
from varde.services.letters import following, rules
from varde.services.letters.keeping import SERVICE, own_scope
from varde.services.letters.model import Party
from varde.services.letters.rules import Channel, Facts, Route
from varde.trust import blocks
from varde.trust.access import name_of, national_number, portal_uses
from varde.trust.persons import age, system_of
from varde.trust.policy import Parenthood, parental_access

if TYPE_CHECKING:
    from varde.services import Platform

_AT_ONCE = 500
"""Identifiers asked for in one search."""
_LANGUAGES = frozenset({"nb", "nn", "se", "en"})


@dataclass(frozen=True, slots=True)
class Reachable:
    """Somebody who reads the letter in the portal, and how they are told that it is there (LET-20)."""

    party: Party
    contact: Contact
    language: str
    at_home: bool = False
    """A parent who lives at the child's address (LET-13)."""

    @property
    def id(self) -> str:
        """Id of their own Patient."""
        return self.party.reference.removeprefix("Patient/")

    @property
    def patient(self) -> int:
        """rid of their own Patient, whose notifications of a day are counted (LET-22)."""
        return resource_key("Patient", self.id)

    @property
    def ways(self) -> Sequence[tuple[str, str]]:
        """(channel, address) in the order they are tried (LET-23)."""
        found = (("sms", self.contact.mobile), ("email", self.contact.email))
        return [(channel, address) for channel, address in found if address]


@dataclass(frozen=True, slots=True)
class Known:
    """One patient, as far as sending letters needs."""

    party: Party
    born: date
    language: str
    municipality: str | None
    facts: Facts
    own: Reachable | None
    """The patient, when they may be told digitally."""
    representatives: Sequence[Reachable]
    """Those who may act for a child, are digital and may be told."""
    address: PostalAddress | None
    parents_address: PostalAddress | None = None

    @property
    def rid(self) -> int:
        """rid of the Patient."""
        return resource_key("Patient", self.id)

    @property
    def id(self) -> str:
        """Id of the Patient."""
        return self.party.reference.removeprefix("Patient/")

    def readers(self, route: Route) -> Sequence[Reachable]:
        """Who is told of a letter that goes this way."""
        if not route.digital:
            return ()
        own = [self.own] if self.own is not None and self.facts.age >= rules.YOUTH else []
        if self.facts.age >= rules.OWN:
            return own
        return [*own, *(self.representatives if route.to_representatives else ())]

    @property
    def envelope(self) -> PostalAddress | None:
        """Where paper goes: the patient's address, for a child without one the parents' (LET-03, LET-13)."""
        return self.address or (self.parents_address if self.facts.age < rules.OWN else None)


def address_digest(address: PostalAddress | None) -> str:
    """A mark of an address that does not tell it: mail came back from this one (LET-11)."""
    if address is None:
        return ""
    text = "\x1f".join((*address.lines, address.postal_code, address.city, address.country))
    return sha256(text.encode()).hexdigest()[:24]


def route(known: Known, *, withheld: bool, appointment: datetime | None, now: datetime) -> Route:
    """The letter's way (LET-01 to LET-13). `withheld`: about something that the parents shall not be told (FAM-04),
    which under 12 years leaves nobody to write to."""
    facts = replace(known.facts, withheld_from_parents=withheld)
    if withheld and facts.age < rules.YOUTH:
        return Route(Channel.NONE, "withheld", "withheld")
    return rules.route(facts, appointment=appointment, now=now)


def paper_route(known: Known, *, withheld: bool, now: datetime) -> Route:
    """The way on paper of a letter that nobody opened, or the reason that it has none (LET-08, LET-10, LET-12)."""
    unread = replace(
        known,
        facts=replace(
            known.facts, is_user=False, last_login=None, has_mailbox=False, a_representative_is_digital=False,
            parent_at_home_is_digital=False,
        ),
    )  # fmt: skip
    return route(unread, withheld=withheld, appointment=None, now=now)


async def known_people(platform: Platform, connection: Any, patients: Sequence[Mapping[str, Any]]) -> dict[str, Known]:
    """What is known of each Patient resource, by id. Raises RegisterUnavailable."""
    numbers = {patient["id"]: _number(patient) for patient in patients}
    asked = [number for number in numbers.values() if number]
    persons = await platform.registers.persons(asked)
    contacts = dict(await platform.registers.contacts(asked))
    families = await _families(platform, connection, [persons[n] for n in asked if n in persons])
    rids = [resource_key("Patient", patient["id"]) for patient in patients]
    uses = await portal_uses(connection, rids)
    declined = await blocks.reserved(connection, rids, SERVICE, platform.clock.now())
    wrong = await _wrong_addresses(platform, connection, [patient["id"] for patient in patients])
    found = {}
    for patient, rid in zip(patients, rids, strict=True):
        number = numbers[patient["id"]]
        one = _Sources(
            persons.get(number or ""), contacts.get(number or ""), uses.get(rid), wrong.get(patient["id"]),
            declined=rid in declined,
        )  # fmt: skip
        found[patient["id"]] = _known(platform, patient, one, families)
    return found


@dataclass(frozen=True, slots=True)
class _Sources:
    person: RegisteredPerson | None
    contact: Contact | None
    use: Any
    wrong_address: str | None
    """Digest of the address that mail came back from."""
    declined: bool = False
    """Said no to letters here."""


@dataclass(frozen=True, slots=True)
class _Parent:
    person: RegisteredPerson
    digital: Reachable | None


def _known(platform: Platform, patient: Mapping[str, Any], one: _Sources, families: Mapping[str, _Parent]) -> Known:
    now = platform.clock.now()
    party = Party(f"Patient/{patient['id']}", name_of(dict(patient)))
    born = date.fromisoformat(patient["birthDate"]) if one.person is None else one.person.born
    language = _language(patient, one.contact)
    facts = _facts(patient, one, born, today(platform.clock))
    parents: list[_Parent] = []
    allowed: list[Reachable] = []
    at_home = False
    if facts.age < rules.OWN and one.person is not None:
        parents = [families[number] for number in one.person.parents if number in families]
        lives = any(not p.person.is_dead and p.person.lives_with(one.person) for p in parents)
        for parent in parents:
            protected = parent.person.protection.hides_address or one.person.protection.hides_address
            bond = Parenthood(True, lives, protected, child_dead=facts.dead)
            # From 12 years it is decided letter by letter (young.py).
            may = facts.age >= rules.YOUTH or parental_access(born, today(platform.clock), bond).allowed
            # A placed child's parents are told nothing digitally (FAM-20).
            if may and not parent.person.is_dead and not one.person.placed and parent.digital is not None:
                home = parent.person.lives_with(one.person)
                allowed.append(replace(parent.digital, at_home=home))
                at_home = at_home or home
        facts = replace(facts, a_representative_is_digital=bool(allowed), parent_at_home_is_digital=at_home)
        if one.person.address is None and not one.person.protection.hides_address:
            facts = replace(facts, has_address=any(p.person.address for p in parents))
    own = None
    if one.contact is not None and one.contact.notifiable and not one.contact.reserved and facts.last_login:
        own = Reachable(party, one.contact, language)
    return Known(
        party=party,
        born=born,
        language=language,
        municipality=one.person.municipality if one.person else None,
        facts=facts,
        own=own if rules.reads_here(facts, now) else None,
        representatives=allowed,
        address=one.person.address if one.person else None,
        parents_address=next((p.person.address for p in parents if p.person.address), None),
    )


def _facts(patient: Mapping[str, Any], one: _Sources, born: date, on: date) -> Facts:
    person, contact = one.person, one.contact
    deceased = patient.get("deceasedDateTime") is not None or patient.get("deceasedBoolean") is True
    address = person.address if person else None
    return Facts(
        age=age(born, on),
        is_user=one.use is not None,
        last_login=one.use["last_login"] if one.use is not None else None,
        reserved=contact is not None and contact.reserved,
        declined=one.declined,
        notifiable=contact is not None and contact.notifiable,
        has_mailbox=contact is not None and contact.mailbox is not None,
        protection=person.protection.value if person else "ugradert",
        has_address=address is not None,
        dead=deceased or (person is not None and person.is_dead),
        emigrated=person is not None and person.status is PersonStatus.EMIGRATED,
        address_wrong=one.wrong_address is not None and one.wrong_address in ("", address_digest(address)),
    )


async def _families(platform: Platform, connection: Any, persons: Sequence[RegisteredPerson]) -> dict[str, _Parent]:
    """The parents of the children among `persons`, by national identity number."""
    day = today(platform.clock)
    numbers = sorted({p for one in persons if age(one.born, day) < rules.OWN for p in one.parents})
    if not numbers:
        return {}
    found = await platform.registers.persons(numbers)
    contacts = await platform.registers.contacts(numbers)
    users = await _patients_by_number(platform, connection, numbers)
    uses = await portal_uses(connection, [resource_key("Patient", one["id"]) for one in users.values()])
    parents = {}
    for number, person in found.items():
        patient, contact = users.get(number), contacts.get(number)
        digital = None
        if patient is not None and contact is not None:
            use = uses.get(resource_key("Patient", patient["id"]))
            facts = _facts(patient, _Sources(person, contact, use, None), person.born, day)
            if rules.route(facts, appointment=None, now=platform.clock.now()).reason == "digital":
                party = Party(f"Patient/{patient['id']}", name_of(patient))
                digital = Reachable(party, contact, _language(patient, contact))
        parents[number] = _Parent(person, digital)
    return parents


async def _patients_by_number(platform: Platform, connection: Any, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(numbers), _AT_ONCE):
        wanted = ",".join(f"{system_of(number)}|{number}" for number in numbers[start : start + _AT_ONCE])
        page = await platform.store.search(
            own_scope(platform), "Patient", [("identifier", wanted), ("_count", "1000")], connection=connection
        )
        found |= {_number(one.resource) or "": one.resource for one in page.matches}
    return found


async def _wrong_addresses(platform: Platform, connection: Any, patients: Sequence[str]) -> dict[str, str]:
    """Digest of the address that mail came back from, by patient (LET-11)."""
    flags = {following.flag_id(patient): patient for patient in patients}
    found = await platform.store.read_many(own_scope(platform), "Flag", list(flags), connection=connection)
    return {
        flags[one.id]: following.flagged_address(one.resource)
        for one in found.values()
        if one.resource.get("status") == "active"
    }


def _number(patient: Mapping[str, Any]) -> str | None:
    try:
        return national_number(dict(patient))
    except LookupError:
        return None


def _language(patient: Mapping[str, Any], contact: Contact | None) -> str:
    """LET-35: the chosen one, else what the record says, else Bokmål."""
    if contact is not None and contact.language in _LANGUAGES:
        return str(contact.language)
    for one in patient.get("communication", ()):
        if one.get("preferred"):
            for coding in one.get("language", {}).get("coding", ()):
                code = str(coding.get("code", "")).split("-")[0]
                code = {"no": "nb", "sme": "se"}.get(code, code)
                if code in _LANGUAGES:
                    return code
    return "nb"
