"""The only maker of scopes: finds who somebody is, asks `policy.py`, and gives a `Scope` or a refusal.

Looks up persons through the store with a scope of its own, so that a login is in the access log too. That a
running session is judged anew shows nothing to anybody, and leaves no row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import structlog

from varde.clock import Clock, today
from varde.fhir.errors import Gone, NotFound
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.dates import date_range
from varde.fhir.store import Store
from varde.trust import emergency, grounds
from varde.trust.audit import AuditLog, Who
from varde.trust.grounds import Ground
from varde.trust.law.mandate import Bond, Facts, Mandate, mandate_of
from varde.trust.law.table import PARENTS, Narrowing, Relation
from varde.trust.mandates import Bound, Mandates
from varde.trust.persons import DNR, FNR, HPR, is_national_number, system_of
from varde.trust.policy import ActorKind, Decision, StaffRole, entry, staff_types
from varde.trust.scope import Actor, Scope, patient_types
from varde.trust.smart.grant import Grant

_ROLES = {"doctor": StaffRole.CLINICIAN, "nurse": StaffRole.CLINICIAN, "secretary": StaffRole.SECRETARY,
          "operator": StaffRole.OPERATOR, "auditor": StaffRole.AUDITOR}  # fmt: skip
PURPOSES = frozenset({"TREAT", "ETREAT", "COC"})
"""What staff may ask for (v3-PurposeOfUse). ETREAT opens no more than TREAT does; emergency access, BTG, needs its
written reason first (FAM-34)."""
ROLE_SYSTEM = "https://varde.no/fhir/CodeSystem/staff-role"


_log = structlog.get_logger("varde.access")


class Refused(Exception):
    """Somebody is known and may not be let in. `decision` says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.why)
        self.decision = decision


@dataclass(frozen=True, slots=True)
class Person:
    """A person in the store, as far as access needs."""

    id: str
    name: str
    born: date
    dead: bool
    number: str
    language: str = "nb"


@dataclass(frozen=True, slots=True)
class Position:
    """A member of staff's place of work."""

    hpr: str
    name: str
    role: StaffRole
    role_text: str
    unit: str
    unit_name: str
    practitioner: str = ""
    """Id of the Practitioner."""


def name_of(resource: dict[str, Any]) -> str:
    """A Patient's or Practitioner's name as it is said: given names and family name."""
    names = resource.get("name") or [{}]
    first = next((n for n in names if n.get("use") == "official"), names[0])
    if first.get("text"):
        return str(first["text"])
    return " ".join([*first.get("given", ()), first.get("family", "")]).strip()


def national_number(resource: dict[str, Any]) -> str:
    """A Patient's national identity number, the one in use. Raises LookupError when there is none."""
    found = [one for one in resource.get("identifier", ()) if one.get("system") in {FNR, DNR} and one.get("value")]
    if not found:
        raise LookupError("no national identity number")
    return str(min(found, key=lambda one: one.get("use") == "old")["value"])


class _Unlogged:
    """In the log's place where a lookup only decides: what is then shown is logged by the scope it leads to, and a
    refusal by `_refuse`. Else every page would leave rows about nothing in the patient's log."""

    patience = 10.0

    def found(self, who: Who, interaction: Interaction, resource_type: str, found: str, parameters: Parameters) -> None:
        """Nothing."""

    def values(self, who: Who, disclosures: Sequence[Disclosure], parameters: Parameters) -> None:
        """Nothing."""

    async def write(self, who: Who, disclosure: Disclosure, connection: Any | None) -> None:
        """Nothing."""


class Access:
    """Makes scopes. One a process."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        log: AuditLog,
        mandates: Mandates | None = None,
        narrowing: Narrowing | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.log = log
        self._mandates = mandates
        self._narrowing = narrowing or Narrowing()

    def for_system(
        self,
        name: str,
        ground: Ground = grounds.RUNNING_SERVICE,
        *,
        purpose: str = "HOPERAT",
        types: frozenset[str] | None = None,
        write_types: frozenset[str] | None = None,
        grant: Grant | None = None,
    ) -> Scope:
        """A scope for a part of the house or another system: jobs, loading, integrations. None: all types."""
        return Scope(
            Actor(ActorKind.SYSTEM, name, name, role="system"), ground, purpose, self.log, self.clock,
            types=types, write_types=write_types, grant=grant,
        )  # fmt: skip

    async def person(self, number: str) -> Person | None:
        """The patient with a national identity number, one of before too; None when nobody has it, or when several do
        and it cannot be told who is meant. Records that another one replaced do not count."""
        if not is_national_number(number):
            return None
        query = [("identifier", f"{system_of(number)}|{number}"), ("_count", "10")]
        page = await self.store.search(self.for_system("identity"), "Patient", query)
        found = [match.resource for match in page.matches if not _replaced(match.resource)]
        if len(found) > 1:
            _log.error("identity.several", patients=[resource["id"] for resource in found])
        return _person(found[0], national_number(found[0])) if len(found) == 1 else None

    async def for_patient(self, number: str, *, acting_for: str | None = None) -> tuple[Scope, Person, Person]:
        """(scope, who asks, whose things) for a person logged in with `number`, for themselves or for the one
        with number `acting_for`. Raises Refused (FAM-01, FAM-02, FAM-16), LookupError for no such person."""
        person = await self.person(number)
        if person is None:
            raise LookupError("no such person")
        if acting_for is None or acting_for == number:
            return await self._decided(person, person), person, person
        child = await self.person(acting_for)
        if child is None:
            raise LookupError("no such person")
        return await self._decided(person, child), person, child

    async def _decided(self, person: Person, patient: Person) -> Scope:
        """The scope of `person` for the things of `patient`, by the clock now. Raises Refused, LookupError."""
        mandate = await self._mandate(person, patient)
        decision = entry(mandate)
        if not decision.allowed:
            await self._refuse(person, patient, decision)
        own = patient.id == person.id
        kind = ActorKind.PATIENT if own else ActorKind.REPRESENTATIVE
        actor = Actor(kind, person.id, person.name, role=_role(mandate))
        return self._patient_scope(actor, decision.ground, patient.id, mandate)

    async def mandate(self, person_id: str, patient_id: str) -> Mandate:
        """What one may see and do of the other's now, also where that is nothing, by ids of Patients: for what tells
        of it. Raises LookupError, Unavailable."""
        person = await self._known(person_id)
        return await self._mandate(person, person if patient_id == person_id else await self._known(patient_id))

    async def _mandate(self, person: Person, patient: Person) -> Mandate:
        facts = await self.facts(person, patient)
        return mandate_of(
            facts, patient.born, today(self.clock), asker_born=person.born, narrowing=self._narrowing
        )  # fmt: skip

    async def facts(self, person: Person, patient: Person) -> Facts:
        """What binds the one to the other now (trust/mandates.py). Raises Unavailable, LookupError."""
        own = person.id == patient.id
        if self._mandates is None:
            if not own:
                raise LookupError("no register of families")
            return Facts((Bond(Relation.SELF),), dead=person.dead)
        facts = await self._mandates.facts(person, patient)
        if own:
            return replace(facts, bonds=(Bond(Relation.SELF),), dead=facts.dead or person.dead)
        bonds = tuple(bond for bond in facts.bonds if bond.relation is not Relation.SELF)  # FAM-17
        return replace(facts, bonds=bonds, dead=facts.dead or person.dead or patient.dead)

    async def between(self, person: Person, patient: Person) -> tuple[Facts, Mandate]:
        """What one is to the other now and what the law makes of it: for what tells of it and for what people decide
        for one another. Raises LookupError, Unavailable."""
        return await self.facts(person, patient), await self._mandate(person, patient)

    async def may_act_for(self, person: Person) -> list[Person]:
        """Those for whom a person may be able to act: each is then asked about with `between`."""
        return [] if self._mandates is None else await self._bound(person, await self._mandates.whom(person))

    async def known(self, patient_id: str) -> Person:
        """Who a Patient is. Raises LookupError."""
        return await self._known(patient_id)

    async def deciding(self, person: Person, patient: Person, service: str) -> Scope:
        """The scope in which one writes down a decision about another's access, such as a parent's consent to youth
        access, which the mandate itself would not reach. That it is theirs to make is judged by who asks."""
        mandate = await self._mandate(person, patient)
        actor = Actor(ActorKind.REPRESENTATIVE, person.id, person.name, role=_role(mandate))
        ground, types = entry(mandate).ground, frozenset({"Consent"})
        scope = Scope(actor, ground, "PATRQT", self.log, self.clock, patient=patient.id, types=types)
        return scope.acting(service, types)

    async def for_session(self, person_id: str, patient_id: str) -> Scope:
        """The scope of a running session, decided anew at every request, by the clock (FAM-15).

        Raises Refused, LookupError.
        """
        return (await self.act_for(person_id, patient_id))[0]

    async def between_known(self, person: Person, patient: Person) -> Scope:
        """As `for_session`, of two who were known a moment ago: only what binds them is asked. Raises Refused."""
        return await self._decided(person, patient)

    async def act_for(self, person_id: str, patient_id: str) -> tuple[Scope, Person, Person]:
        """As `for_patient`, by ids of Patients. Raises Refused, LookupError."""
        person = await self._known(person_id)
        patient = person if patient_id == person_id else await self._known(patient_id)
        return await self._decided(person, patient), person, patient

    async def represented(self, person_id: str) -> list[Person]:
        """Those whom a person, by the Patient's id, may act for now (FAM-02, FAM-12, FAM-13), the eldest first."""
        if self._mandates is None:
            return []
        person = await self._known(person_id)
        found = await self._bound(person, await self._mandates.whom(person))
        allowed = [one for one in found if entry(await self._mandate(person, one)).allowed]
        return sorted(allowed, key=lambda one: (one.born, one.name))

    async def bound_to(self, patient: Person) -> list[Person]:
        """Those who may be able to act for a patient: each is then asked about with `facts`."""
        return [] if self._mandates is None else await self._bound(patient, await self._mandates.who(patient))

    async def person_by_rid(self, rid: int) -> Person | None:
        """The person whose Patient has this rid; None for none, and for one without a national identity number."""
        async with self.store.database.connection() as connection:
            found = await connection.fetchval("select id from resource where rid = $1 and not deleted", rid)
        try:
            return await self._known(found) if found is not None else None
        except LookupError:
            return None

    async def _bound(self, person: Person, bound: Bound) -> list[Person]:
        found: dict[str, Person] = {}
        for number in bound.numbers:
            one = await self.person(number)
            if one is not None:
                found[one.id] = one
        for patient_id in bound.patients:
            with suppress(LookupError):
                found.setdefault(patient_id, await self._known(patient_id))
        found.pop(person.id, None)
        return list(found.values())

    async def _known(self, patient_id: str) -> Person:
        """One who logged in, or for whom one did, as the record says now. Raises LookupError."""
        scope = replace(self.for_system("identity"), log=_Unlogged())
        try:
            resource = (await self.store.read(scope, "Patient", patient_id)).resource
        except (NotFound, Gone):
            raise LookupError("no such person") from None
        if _replaced(resource):
            raise LookupError("replaced by another record")
        return _person(resource, national_number(resource))

    def _patient_scope(self, actor: Actor, ground: Ground, patient: str, mandate: Mandate | None = None) -> Scope:
        return Scope(
            actor, ground, "PATRQT", self.log, self.clock, patient=patient, types=patient_types(), mandate=mandate
        )  # fmt: skip

    async def _refuse(self, person: Person, patient: Person, decision: Decision) -> None:
        actor = Actor(ActorKind.PATIENT, person.id, person.name)
        scope = self._patient_scope(actor, decision.ground, patient.id)
        key = resource_key("Patient", patient.id)
        await scope.record(Disclosure(Interaction.READ, "Patient", [patient.id], [key], allowed=False), None)
        raise Refused(decision)

    async def positions(self, hpr: str) -> list[Position]:
        """Where a health worker with this HPR number works now."""
        if not hpr.isascii() or not hpr.isdigit():
            return []
        scope = replace(self.for_system("identity"), log=_Unlogged())  # tells of no patient
        page = await self.store.search(
            scope,
            "PractitionerRole",
            [
                ("practitioner.identifier", f"{HPR}|{hpr}"),
                ("active", "true"),
                ("_include", "PractitionerRole:practitioner"),
                ("_include", "PractitionerRole:organization"),
            ],
        )
        others = {e.stored.reference: e.stored.resource for e in page.entries if e.mode == "include"}
        found = []
        for match in page.matches:
            role = match.resource
            practitioner = others.get(role["practitioner"]["reference"])
            unit = others.get(role.get("organization", {}).get("reference", ""))
            if practitioner is None or unit is None or practitioner.get("active") is False:
                continue
            if not _under_way(role.get("period") or {}, self.clock.now()):
                continue
            code = next(
                (
                    c["code"]
                    for r in role.get("code", ())
                    for c in r.get("coding", ())
                    if c.get("system") == ROLE_SYSTEM
                ),
                "secretary",
            )
            text = next((str(r["text"]) for r in role.get("code", ()) if r.get("text")), code)
            found.append(
                Position(
                    hpr,
                    name_of(practitioner),
                    _ROLES.get(code, StaffRole.SECRETARY),
                    text,
                    unit["id"],
                    unit["name"],
                    practitioner["id"],
                )
            )
        return found

    async def for_staff(self, hpr: str, unit: str | None = None, purpose: str = "TREAT") -> tuple[Scope, Position]:
        """(scope, position) for a health worker in `unit` (an Organization's id; None: the first).

        Raises LookupError for one who does not work there, and for a purpose that this house does not serve.
        """
        if purpose not in PURPOSES and purpose != emergency.PURPOSE:
            raise LookupError("not a purpose of staff")
        for position in await self.positions(hpr):
            if unit is None or position.unit == unit:
                if purpose == emergency.PURPOSE:
                    return await self.emergency_scope(position), position
                return self.staff_scope(position, purpose), position
        raise LookupError("does not work there")

    async def emergency_scope(self, position: Position, opened: str | None = None) -> Scope:
        """The scope of the emergency access that a health worker has open now at a unit: the one with the id `opened`,
        else the one opened last (FAM-34). Raises LookupError when there is none."""
        async with self.store.database.connection() as connection:
            every = await emergency.opened(connection, position.hpr, position.unit, self.clock.now())
        for one in every:
            if opened is None or one.id == opened:
                return emergency.scope_of(self.staff_scope(position), one)
        raise LookupError("no emergency access is open")

    def staff_scope(self, position: Position, purpose: str = "TREAT") -> Scope:
        """The scope of a position that `positions` found."""
        audits = position.role is StaffRole.AUDITOR
        ground = grounds.TREATMENT if position.role is StaffRole.CLINICIAN else grounds.ADMINISTRATION
        ground = grounds.LOG_FOLLOW_UP if audits else ground
        actor = Actor(
            ActorKind.STAFF, position.hpr, position.name, position.role_text, position.unit, position.unit_name
        )
        return Scope(actor, ground, purpose, self.log, self.clock, types=staff_types(position.role), audits=audits)


def _role(mandate: Mandate) -> str:
    """What who asks is to the patient, as the log has it: by the bond that counts the most."""
    if Relation.SELF in mandate.relations:
        return "pasient"
    if PARENTS & set(mandate.relations):
        return "forelder"
    return "verge" if Relation.GUARDIAN in mandate.relations else "fullmektig"


def _under_way(period: dict[str, Any], now: datetime) -> bool:
    start, end = period.get("start"), period.get("end")
    return (start is None or date_range(start)[0] <= now) and (end is None or now < date_range(end)[1])


def _replaced(resource: dict[str, Any]) -> bool:
    return any(link.get("type") == "replaced-by" for link in resource.get("link", ()))


def _person(resource: dict[str, Any], number: str) -> Person:
    born = date.fromisoformat(resource["birthDate"])
    dead = resource.get("deceasedDateTime") is not None or resource.get("deceasedBoolean") is True
    languages = [
        c.get("code", "")
        for one in resource.get("communication", ())
        if one.get("preferred")
        for c in one.get("language", {}).get("coding", ())
    ]
    language = (languages[0].split("-")[0] if languages else "nb") or "nb"
    return Person(resource["id"], name_of(resource), born, dead, number, language)


async def portal_uses(connection: Any, patients: list[int]) -> dict[int, Any]:
    """When each patient (by rid) agreed to use the portal and last logged in (LET-01). Missing: never."""
    rows = await connection.fetch(
        "select patient, consented, last_login from trust_portal_use where patient = any($1::bigint[])", patients
    )
    return {row["patient"]: row for row in rows}


async def note_portal_use(connection: Any, patient: int, now: Any) -> None:
    """A patient logged in: they use the portal from now on."""
    await connection.execute(
        "insert into trust_portal_use (patient, consented, last_login) values ($1, $2, $2)"
        " on conflict (patient) do update set last_login = excluded.last_login",
        patient, now,
    )  # fmt: skip
