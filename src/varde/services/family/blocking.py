"""Use cases of the patient's blocks and reservations: what is blocked now, what can be, making and lifting (FAM-33,
FAM-36). Through the person's own scope; the Consents are trust/consents.py's, and what they hide trust/blocks.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Forbidden, Gone, NotFound
from varde.fhir.keys import bucket_of, new_id, resource_key
from varde.services.family.blocking_rules import May, may, may_lift
from varde.services.family.naming import KINDS, Named, named
from varde.trust import consents
from varde.trust.access import name_of
from varde.trust.consents import Block, Emergency, Kind, Reservation
from varde.trust.persons import HPR
from varde.trust.policy import ActorKind

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

SERVICE = "sperringer"
MOST = 200
MOST_FOUND = 30
"""Persons, units or things listed at once; a search finds more."""
BLOCKABLE = ("Communication", "DocumentReference", "DiagnosticReport", "Observation", "Encounter", "Appointment",
             "ServiceRequest", "Condition", "Procedure", "CarePlan", "QuestionnaireResponse")  # fmt: skip
RESERVABLE = ("letters", "dialogue", "forms", "plans", "documents", "results")
"""Services of Varde that a patient may decline: each asks `trust.blocks.reserved` before it turns to the patient."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Somebody or something that can be blocked. `key` is what the form carries."""

    key: str
    name: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One block or reservation, as the page tells of it."""

    id: str
    decision: Block | Reservation
    who: str = ""
    """Name of the person or unit that it is about."""
    things: Sequence[Named] = ()
    liftable: bool = True

    @property
    def kind(self) -> str:
        """person, unit, source, thing, sharing or service."""
        return kind_of(self.decision)


def kind_of(decision: Block | Reservation) -> str:
    """What the pages call this kind."""
    if isinstance(decision, Reservation):
        return "service"
    if decision.sharing:
        return "sharing"
    if decision.resources:
        return "thing"
    if decision.source:
        return "source"
    return "unit" if decision.blocked_unit else "person"


@dataclass(frozen=True, slots=True)
class Used:
    """Emergency access that was used on the patient."""

    at: datetime
    unit: str
    cause: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """All of a patient's blocks and reservations."""

    may: May
    blocks: Sequence[Shown] = ()
    reservations: Sequence[Shown] = ()
    emergencies: Sequence[Used] = ()


def allowed(scope: Scope) -> May:
    """What whoever asks may do with the blocks of the patient in focus."""
    return may(scope.mandate)


async def overview(platform: Platform, scope: Scope) -> Overview:
    """What stands now, the newest first."""
    let = allowed(scope)
    if not let.see:
        return Overview(let)
    found = await _decisions(platform, scope, (Kind.BLOCK, Kind.RESERVATION, Kind.EMERGENCY))
    now = platform.clock.now()
    standing = [one for one in found if isinstance(one, Block | Reservation) and one.holds(now)]
    shown = [await _shown(platform, scope, let, one) for one in standing]
    used = [one for one in found if isinstance(one, Emergency)]
    return Overview(
        let,
        [one for one in shown if isinstance(one.decision, Block)],
        [one for one in shown if isinstance(one.decision, Reservation)],
        [
            Used(
                one.starts or one.at, await unit_name(platform, one.unit), one.cause,
                min(one.at, one.ends) if one.withdrawn else one.ends,
            )
            for one in used
        ],
    )  # fmt: skip


async def one(platform: Platform, scope: Scope, block_id: str) -> Shown:
    """One that stands. Raises NotFound, also for what may not be seen."""
    let = allowed(scope)
    decision = await _standing(platform, scope, let, block_id)
    return await _shown(platform, scope, let, decision)


async def make(platform: Platform, scope: Scope, decision: Block | Reservation) -> str:
    """Make a block or reservation in the patient's name; its id. What stands already is not made twice, and what was
    lifted before is taken up again: each choice is one Consent, whose versions are its history. Raises Forbidden where
    the law does not let (see blocking_rules)."""
    if not allowed(scope).change or scope.patient is None:
        raise Forbidden.of("blocks are the patient's own")
    now = platform.clock.now()
    alike = [one for one in await _decisions(platform, scope, (decision.kind,)) if _same(one, decision)]
    standing = next((one for one in alike if one.holds(now)), None)
    if standing is not None:
        return str(standing.id)
    writer = scope.acting(SERVICE, ["Consent"])
    identifier = next((str(one.id) for one in alike), new_id(bucket_of(scope.patient)))
    made = replace(decision, id=identifier, patient=scope.patient, at=now, by=_by(scope))
    written = await platform.store.update(writer, "Consent", str(made.id), consents.to_fhir(made))
    return written.stored.id


async def lift(platform: Platform, scope: Scope, block_id: str) -> str:
    """Lift one: nothing is hidden by it from now on. Its kind. Raises NotFound; Forbidden for what another made."""
    let = allowed(scope)
    decision = await _standing(platform, scope, let, block_id)
    if not _liftable(scope, let, decision):
        raise Forbidden.of("who acts for another does not lift what that person made")
    now = platform.clock.now()
    writer = scope.acting(SERVICE, ["Consent"])
    lifted = replace(decision, withdrawn=True, at=now, starts=decision.starts or decision.at)
    await platform.store.update(writer, "Consent", block_id, consents.to_fhir(lifted))
    return kind_of(decision)


def block_of(kind: str, key: str, now: datetime) -> Block | Reservation:
    """What a choice on the pages means. Raises ValueError for what is no choice."""
    common: dict[str, Any] = {"patient": "", "at": now}
    if kind == "person" and key.isascii() and key.isdigit():
        return Block(hpr=key, **common)
    if kind == "unit" and key:
        return Block(blocked_unit=key, **common)
    if kind == "source" and key:
        return Block(source=key, **common)
    if kind == "thing" and key.partition("/")[0] in BLOCKABLE:
        return Block(resources=frozenset({key}), **common)
    if kind == "sharing":
        return Block(sharing=True, **common)
    if kind == "service" and key in RESERVABLE:
        return Reservation(service=key, **common)
    raise ValueError("no such choice")


async def chosen(platform: Platform, scope: Scope, decision: Block | Reservation) -> Shown:
    """The block as it would stand, for the page that asks to confirm it. Raises NotFound for what is not there."""
    shown = await _shown(platform, scope, allowed(scope), decision)
    if shown.kind in {"person", "unit", "source"} and not shown.who:
        raise NotFound.of("nobody by that name")
    if shown.kind == "thing" and not shown.things:
        raise NotFound.of("no such thing")
    return shown


async def persons(platform: Platform, scope: Scope, search: str) -> list[Choice]:
    """Health workers: those who have looked into the record, the last first, and those at the units that have treated
    the patient; with a search, those of them whose name fits."""
    key = _key(scope)
    async with platform.database.connection() as connection:
        rows = await connection.fetch(
            "select actor, actor_name, role, unit_name from (select distinct on (actor) actor, actor_name, role,"
            " unit_name, at from trust_audit where patient = $1 and actor_kind = 'staff' and allowed"
            " order by actor, at desc) last order by at desc limit $2", key, MOST,
        )  # fmt: skip
        units = await _treating(connection, key)
    found = {
        row["actor"]: Choice(row["actor"], row["actor_name"], ", ".join(filter(None, (row["role"], row["unit_name"]))))
        for row in rows
    }
    for choice in await _staff_at(platform, units):
        found.setdefault(choice.key, choice)
    return _fitting(found.values(), search)


async def units(platform: Platform, scope: Scope, search: str) -> list[Choice]:
    """Units that have treated the patient, or whose name fits the search."""
    async with platform.database.connection() as connection:
        treating = await _treating(connection, _key(scope))
    directory = platform.access.for_system(SERVICE, types=frozenset({"Organization"}))
    found: list[Mapping[str, Any]] = []
    if treating:
        page = await platform.store.search(
            directory, "Organization", [("_id", ",".join(treating)), ("_count", str(MOST))]
        )
        found += [match.resource for match in page.matches]
    if search:
        page = await platform.store.search(
            directory, "Organization", [("name:contains", search), ("_count", str(MOST_FOUND))]
        )
        found += [match.resource for match in page.matches]
    named_by_id = {one["id"]: Choice(one["id"], str(one.get("name", ""))) for one in found}
    return _fitting(named_by_id.values(), search)


async def things(platform: Platform, scope: Scope, kind: str, search: str) -> list[Named]:
    """Things in the record that can be blocked one by one, of one type or all, the newest first."""
    types = (kind,) if kind in BLOCKABLE else BLOCKABLE
    found = []
    for name in types:
        page = await platform.store.search(scope, name, [("_count", str(MOST)), ("_sort", "-_lastUpdated")])
        found += [named(match.resource) for match in page.matches]
    word = search.casefold()
    found = [one for one in found if word in f"{one.title} {one.source}".casefold()]
    oldest = datetime.min.replace(tzinfo=platform.clock.now().tzinfo)
    return sorted(found, key=lambda one: one.at or oldest, reverse=True)[:MOST_FOUND]


def kinds_of_things() -> list[tuple[str, str]]:
    """(type, message) to choose among."""
    return [(name, KINDS[name]) for name in BLOCKABLE]


async def unit_name(platform: Platform, unit: str | None) -> str:
    """A unit's name, from the directory that everybody may read; empty when there is none."""
    if not unit:
        return ""
    try:
        directory = platform.access.for_system(SERVICE, types=frozenset({"Organization"}))
        return str((await platform.store.read(directory, "Organization", unit)).resource.get("name", ""))
    except (NotFound, Gone):
        return ""


async def worker_name(platform: Platform, hpr: str) -> str:
    """A health worker's name by HPR number; empty when there is none."""
    directory = platform.access.for_system(SERVICE, types=frozenset({"Practitioner"}))
    page = await platform.store.search(directory, "Practitioner", [("identifier", f"{HPR}|{hpr}"), ("_count", "1")])
    return name_of(page.matches[0].resource) if page.matches else ""


def _fitting(choices: Any, search: str) -> list[Choice]:
    word = search.casefold()
    return [one for one in choices if word in f"{one.name} {one.more}".casefold()][:MOST_FOUND]


def _key(scope: Scope) -> int:
    assert scope.patient is not None
    return resource_key("Patient", scope.patient)


def _by(scope: Scope) -> str:
    return f"Patient/{scope.actor.key}"


async def _treating(connection: Any, patient: int) -> list[str]:
    rows = await connection.fetch(
        "select unit from trust_care_relation where patient = $1 group by unit order by max(starts) desc limit $2",
        patient, MOST,
    )  # fmt: skip
    return [row["unit"] for row in rows]


async def _staff_at(platform: Platform, units: Sequence[str]) -> list[Choice]:
    if not units:
        return []
    directory = platform.access.for_system(SERVICE, types=frozenset({"Practitioner", "PractitionerRole"}))
    page = await platform.store.search(
        directory, "PractitionerRole",
        [("organization", ",".join(f"Organization/{unit}" for unit in units)), ("active", "true"),
         ("_include", "PractitionerRole:practitioner"), ("_count", str(MOST))],
    )  # fmt: skip
    workers = {e.stored.reference: e.stored.resource for e in page.entries if e.mode == "include"}
    found = []
    for match in page.matches:
        role = match.resource
        worker = workers.get(role["practitioner"]["reference"])
        hpr = next((i["value"] for i in (worker or {}).get("identifier", ()) if i.get("system") == HPR), None)
        if worker is not None and hpr is not None:
            text = next((str(code["text"]) for code in role.get("code", ()) if code.get("text")), "")
            place = str((role.get("organization") or {}).get("display", ""))
            found.append(Choice(hpr, name_of(worker), ", ".join(filter(None, (text, place)))))
    return found


async def _decisions(platform: Platform, scope: Scope, kinds: Sequence[Kind]) -> list[Any]:
    codes = ",".join(f"{consents.KINDS}|{kind.value}" for kind in kinds)
    page = await platform.store.search(
        scope, "Consent", [("category", codes), ("_count", str(MOST)), ("_sort", "-date")]
    )
    found = (consents.from_fhir(match.resource) for match in page.matches)
    return [one for one in found if one is not None]


async def _standing(platform: Platform, scope: Scope, let: May, block_id: str) -> Block | Reservation:
    if not let.see:
        raise NotFound.of("the block does not exist")
    stored = await platform.store.read(scope, "Consent", block_id)
    decision = consents.from_fhir(stored.resource)
    if not isinstance(decision, Block | Reservation) or not decision.holds(platform.clock.now()):
        raise NotFound.of("the block does not exist")
    return decision


def _liftable(scope: Scope, let: May, decision: Block | Reservation) -> bool:
    own = scope.actor.kind is ActorKind.PATIENT
    return may_lift(let, own=own, by=decision.by, patient=scope.patient or "")


async def _shown(platform: Platform, scope: Scope, let: May, decision: Block | Reservation) -> Shown:
    who, seen = "", []
    if isinstance(decision, Block):
        if decision.hpr:
            who = await worker_name(platform, decision.hpr)
        unit = decision.blocked_unit or decision.source
        if unit:
            who = " – ".join(filter(None, (who, await unit_name(platform, unit))))
        for reference in sorted(decision.resources):
            kind, _, identifier = reference.partition("/")
            try:
                seen.append(named((await platform.store.read(scope, kind, identifier)).resource))
            except (NotFound, Gone):
                continue
    return Shown(str(decision.id or ""), decision, who, seen, _liftable(scope, let, decision))


def _same(one: Any, other: Block | Reservation) -> bool:
    """Whether two say the same, whoever made them and when."""
    if isinstance(one, Reservation) and isinstance(other, Reservation):
        return one.service == other.service
    if isinstance(one, Block) and isinstance(other, Block):
        names = ("hpr", "blocked_unit", "source", "resources", "sharing", "allowed_workers", "allowed_units")
        return all(getattr(one, name) == getattr(other, name) for name in names)
    return False
