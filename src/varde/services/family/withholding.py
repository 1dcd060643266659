"""Use cases of what a clinician lets the patient and others see, thing by thing (FAM-03 to FAM-05, FAM-35): the unit's
patients, one patient's things, one thing with what hangs together with it, the decision, and what the unit withholds.

Everything is read and written through the clinician's own scope. A decision is a Consent, one for each thing, whose
versions are its history; the thing carries the codes too. What hides by them is trust/withholding.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.clock import today
from varde.fhir.definitions import canonical_system
from varde.fhir.errors import Forbidden, Gone, NotFound, PreconditionFailed
from varde.fhir.keys import resource_key
from varde.fhir.model import Stored
from varde.services.family import withholding_rules as rules
from varde.services.family.identity import fixed_id
from varde.services.family.naming import Named, named
from varde.services.family.rules import NotAllowed
from varde.services.family.telling import SERVICE
from varde.services.family.withholding_rules import Choice, Tie, Way
from varde.trust import consents
from varde.trust.access import Person, name_of
from varde.trust.consents import KINDS, WITHHOLDING_CODES, Kind, Withholding
from varde.trust.explaining import Seer, who_may_see
from varde.trust.hidden import units_own
from varde.trust.law import marks
from varde.trust.law.explaining import Recorded
from varde.trust.law.things import Thing, thing_of
from varde.trust.persons import age, born_of, is_national_number, system_of
from varde.work import jobs
from varde.work.jobs import Job

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

TYPES = ("Communication", "Appointment", "DocumentReference", "DiagnosticReport", "Observation", "CarePlan",
         "Encounter", "QuestionnaireResponse", "Condition", "Procedure")  # fmt: skip
"""What can be withheld one by one."""
MOST = 200
"""Things of one type that are listed, the newest."""
MOST_FOUND = 30
OPENS = "family.withheld-opens"
"""Kind of the job that puts a thing in order when its time has come."""


@dataclass(frozen=True, slots=True)
class Item:
    """One of a patient's things, as this page sees it."""

    reference: str
    named: Named
    thing: Thing | None
    version: int
    own: bool
    """Of the clinician's own unit, who alone decides of it."""
    codes: frozenset[str]
    """Of 9603, in force now."""
    marks: frozenset[str]
    """To whom it is released."""
    decision: Withholding | None
    """The newest of it, in force or not."""
    decided: int
    """Version of that; 0 for none."""
    resource: Mapping[str, Any]

    @property
    def versions(self) -> str:
        """What the page was made from: a change by another since is seen by it."""
        return f"{self.version}.{self.decided}"


@dataclass(frozen=True, slots=True)
class Record:
    """A patient and their things."""

    patient: Person
    years: int
    items: Mapping[str, Item]
    """By reference, the newest first."""


@dataclass(frozen=True, slots=True)
class About:
    """One thing, and all that the page about it needs."""

    record: Record
    item: Item
    asked: frozenset[str]
    """Marks that the law asks for (table A)."""
    ties: Sequence[tuple[Item, Tie]]
    history: Sequence[Withholding]
    """The newest first."""
    clinicians: Mapping[str, str]
    """Names of who decided, by reference."""
    seers: Sequence[Seer]


@dataclass(frozen=True, slots=True)
class Found:
    """A patient whom the unit treats."""

    id: str
    name: str
    years: int


@dataclass(frozen=True, slots=True)
class Held:
    """A decision that stands, in the unit's list."""

    decision: Withholding
    patient: str
    named: Named | None
    """None for a thing that is no more."""
    due: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What a unit withholds now."""

    held: Sequence[Held]
    beyond: int
    """Decisions about patients whom the unit does not treat any more, counted alone."""


async def patients(platform: Platform, scope: Scope, search: str) -> Sequence[Found]:
    """The unit's patients by name, or by national identity number."""
    words = search.split()
    number = "".join(words)
    if is_national_number(number):
        query = [("identifier", f"{system_of(number)}|{number}")]
    elif words:
        query = [("name", word.replace(",", "\\,")) for word in words[:5]]
    else:
        return []
    page = await platform.store.search(scope, "Patient", [*query, ("_sort", "family"), ("_count", str(MOST_FOUND))])
    day = today(platform.clock)
    found = [(match.resource, born_of(match.resource)) for match in page.matches]
    return [Found(one["id"], name_of(one), age(born, day)) for one, born in found if born is not None]


async def record_of(platform: Platform, scope: Scope, patient_id: str) -> Record:
    """A patient's things that the clinician sees. Raises NotFound for a patient whom the unit does not treat."""
    await platform.store.read(scope, "Patient", patient_id)
    try:
        patient = await platform.access.known(patient_id)
    except LookupError:
        raise NotFound.of("no such patient") from None
    made = await _decisions(platform, scope, patient_id)
    async with platform.database.connection() as connection:
        own = await units_own(connection, resource_key("Patient", patient_id), scope.actor.unit or "")
    items = []
    for kind in TYPES:
        page = await platform.store.search(scope, kind, [("patient", patient_id), ("_count", str(MOST))])
        for match in page.matches:
            item = _item(match, made.get(match.reference, (None, 0)), platform.clock.now(), own)
            if not _held_back(item):
                items.append(item)
    oldest = datetime.min.replace(tzinfo=platform.clock.now().tzinfo)
    items.sort(key=lambda one: (one.named.at or oldest, one.reference), reverse=True)
    return Record(patient, age(patient.born, today(platform.clock)), {one.reference: one for one in items})


async def about(platform: Platform, scope: Scope, patient_id: str, reference: str) -> About:
    """One thing of a patient. Raises NotFound for what is not there, not theirs, or not to be seen."""
    record = await record_of(platform, scope, patient_id)
    item = record.items.get(reference)
    if item is None:
        raise NotFound.of("no such thing")
    ties = rules.hanging(reference, {one: other.resource for one, other in record.items.items()})
    history = await _history(platform, scope, consent_id(patient_id, reference))
    ids = sorted({made.by.partition("/")[2] for made in history if made.by and made.by.startswith("Practitioner/")})
    names = await platform.store.read_many(scope, "Practitioner", ids)
    kind, _, identifier = reference.partition("/")
    return About(
        record, item, rules.marks_asked(record.years, item.thing),
        [(record.items[one], tie) for one, tie in sorted(ties.items(), key=lambda one: one[1])],
        history, {f"Practitioner/{one}": name_of(names[one].resource) for one in names},
        await who_may_see(platform.access, kind, identifier),
    )  # fmt: skip


async def who_then(platform: Platform, one: About, choice: Choice) -> Sequence[Seer]:
    """Who would see the thing with this choice."""
    kind, _, identifier = one.item.reference.partition("/")
    labels = _labels(one.item.resource, choice, one.asked)
    return await who_may_see(platform.access, kind, identifier, labelled=labels)


async def decide(
    platform: Platform, scope: Scope, by: str, one: About, choice: Choice, also: Collection[str],
    versions: Mapping[str, str],
) -> int:  # fmt: skip
    """Withhold, delay or release a thing, and those that follow by choice; in force from the same moment. How many
    things. `by` is the clinician's reference; `versions` what the page showed of each thing (Item.versions).

    Raises Forbidden for who does not treat, NotAllowed (see withholding_rules), PreconditionFailed when another
    changed one of them meanwhile.
    """
    if scope.types is not None and "Consent" not in scope.types:
        raise Forbidden.of("what a patient sees is decided by those who treat")
    tied = {item.reference: item for item, _ in one.ties if item.own}
    if not one.item.own or not set(also) <= tied.keys():
        raise NotAllowed("other-unit")
    rules.check(choice, one.record.years, one.item.thing, platform.clock.now())
    chosen = [one.item, *(tied[reference] for reference in sorted(also))]
    if choice.way is Way.OPEN and not choice.marks and all(_untouched(item) for item in chosen):
        raise NotAllowed("same")
    acting = scope.acting(SERVICE, {*TYPES, "Consent"})
    async with platform.store.transaction() as connection:
        names = [item.reference for item in chosen]
        current = await _things(platform, acting, names, connection=connection, for_update=True)
        for item in chosen:
            stored = current.get(item.reference)
            if stored is None or versions.get(item.reference) != f"{stored.version}.{item.decided}":
                raise PreconditionFailed.of("another changed it meanwhile")
            await _write(platform, acting, connection, by, one, item, stored, choice)
    return len(chosen)


async def _write(
    platform: Platform, scope: Scope, connection: Any, by: str, one: About, item: Item, stored: Stored, choice: Choice
) -> None:
    root, now = one.item.reference, platform.clock.now()
    asked = rules.marks_asked(one.record.years, item.thing)
    mine = replace(choice, marks=choice.marks & asked)
    decision = Withholding(
        id=consent_id(one.record.patient.id, item.reference), patient=one.record.patient.id, at=now, by=by,
        unit=scope.actor.unit, thing=item.reference, codes=mine.codes, marks=mine.marks, ends=mine.until,
        event=mine.event.value if mine.event else None, cause=mine.cause.value if mine.cause else None,
        reason=mine.reason.strip(), follows=None if item.reference == root else root,
        withdrawn=not (mine.codes or mine.marks),
    )  # fmt: skip
    await platform.store.write_many(
        scope, [relabelled(stored.resource, mine, asked)], connection=connection, checked=True
    )
    await platform.store.update(
        scope, "Consent", str(decision.id), consents.to_fhir(decision), if_match=item.decided, connection=connection
    )
    if decision.ends is not None:
        key = f"{OPENS}:{decision.id}:{marks.moment_text(decision.ends)}:{item.decided + 1}"
        patient = resource_key("Patient", decision.patient)
        await jobs.enqueue(connection, Job(OPENS, {"consent": decision.id}, decision.ends, key, patient))


async def standing(platform: Platform, scope: Scope) -> Standing:
    """What the unit withholds now: what should be looked at again first, then the oldest first (FAM-35)."""
    now, unit = platform.clock.now(), scope.actor.unit or ""
    page = await platform.store.search(
        scope, "Consent",
        [("category", f"{KINDS}|{Kind.WITHHOLDING.value}"), ("organization", f"Organization/{unit}"),
         ("status", "active"), ("_sort", "date"), ("_count", "500")],
    )  # fmt: skip
    read = [consents.from_fhir(match.resource) for match in page.matches]
    made = [one for one in read if isinstance(one, Withholding) and one.codes and one.holds(now)]
    people = await platform.store.read_many(scope, "Patient", sorted({one.patient for one in made}))
    things = await _things(platform, scope, [one.thing for one in made])
    held = [
        Held(
            one, name_of(people[one.patient].resource),
            named(things[one.thing].resource) if one.thing in things else None, rules.due(one, now),
        )
        for one in made
        if one.patient in people
    ]  # fmt: skip
    async with platform.database.connection() as connection:
        every = await connection.fetchval(
            "select count(*) from trust_withheld where unit = $1 and (opens is null or opens > $2)", unit, now
        )
    held.sort(key=lambda one: (not one.due, one.decision.at, one.decision.thing))
    return Standing(held, max(0, every - len(held)))


def consent_id(patient: str, reference: str) -> str:
    """Id of the one Consent that holds what is decided of a thing."""
    return fixed_id(patient, "withholding", reference)


def relabelled(resource: Mapping[str, Any], choice: Choice, asked: frozenset[str]) -> dict[str, Any]:
    """The thing with the codes of a choice; all others that it carries are kept, NORS among them (FAM-36)."""
    meta = {name: value for name, value in (resource.get("meta") or {}).items() if name != "security"}
    labels = _labels(resource, choice, asked)
    return {**resource, "meta": {**meta, "security": labels} if labels else meta}


def _labels(resource: Mapping[str, Any], choice: Choice, asked: frozenset[str]) -> list[dict[str, Any]]:
    kept = [one for one in (resource.get("meta") or {}).get("security", ()) if not _decided(one, asked)]
    return kept + marks.decided(
        choice.codes, choice.until, awaits=choice.event is not None, marks=choice.marks
    )  # fmt: skip


def _decided(coding: Mapping[str, Any], asked: frozenset[str]) -> bool:
    """Whether a coding is one that a decision replaces."""
    system, code = canonical_system(coding.get("system") or ""), coding.get("code")
    return (
        (system == marks.RESTRICTION and code in WITHHOLDING_CODES)
        or system == marks.OPENS
        or (system == marks.MARK and code in asked)
    )


def _item(stored: Stored, made: tuple[Withholding | None, int], now: datetime, own: frozenset[int]) -> Item:
    decision, version = made
    held = decision.codes if decision is not None and decision.holds(now) else frozenset()
    recorded = Recorded.of(stored.resource, None, held)
    released = {one for one in (marks.TO_PARENTS, marks.TO_YOUTH)
                if marks.label(marks.MARK, one) in recorded.labels}  # fmt: skip
    return Item(
        stored.reference, named(stored.resource), thing_of(stored.type, stored.resource), stored.version,
        stored.rid in own, recorded.codes(now), frozenset(released), decision, version, stored.resource,
    )  # fmt: skip


def _held_back(item: Item) -> bool:
    """Whether a service or the record system holds the thing back until it is theirs to show, as a letter that is not
    sent: nothing has been shown yet, and nothing is decided here."""
    ours = item.decision is not None and not item.decision.withdrawn
    timed = any(
        canonical_system(one.get("system") or "") == marks.OPENS
        for one in (item.resource.get("meta") or {}).get("security", ())
    )
    return marks.DELAYED in item.codes and not ours and not timed


def _untouched(item: Item) -> bool:
    return not item.codes and not item.marks and (item.decision is None or item.decision.withdrawn)


async def _decisions(platform: Platform, scope: Scope, patient: str) -> dict[str, tuple[Withholding, int]]:
    """The newest decision of each thing, with its version."""
    query = [("category", f"{KINDS}|{Kind.WITHHOLDING.value}"), ("patient", patient), ("_count", "1000")]
    page = await platform.store.search(scope, "Consent", query)
    found = {}
    for match in page.matches:
        made = consents.from_fhir(match.resource)
        if isinstance(made, Withholding) and match.id == consent_id(patient, made.thing):
            found[made.thing] = (made, match.version)
    return found


async def _history(platform: Platform, scope: Scope, consent: str) -> Sequence[Withholding]:
    try:
        page = await platform.store.history(scope, "Consent", consent, count=100)
    except (NotFound, Gone):
        return []
    read = [consents.from_fhir(entry.stored.resource) for entry in page.entries if not entry.stored.deleted]
    return [one for one in read if isinstance(one, Withholding)]


async def _things(
    platform: Platform, scope: Scope, references: Sequence[str], *, connection: Any = None, for_update: bool = False
) -> dict[str, Stored]:
    """Things by reference, of those that are there and may be seen, and are of the types decided of here."""
    ids: dict[str, set[str]] = {}
    for reference in references:
        kind, _, identifier = reference.partition("/")
        if kind in TYPES:
            ids.setdefault(kind, set()).add(identifier)
    found: dict[str, Stored] = {}
    for kind in sorted(ids):
        read = await platform.store.read_many(
            scope, kind, sorted(ids[kind]), connection=connection, for_update=for_update
        )
        found |= {stored.reference: stored for stored in read.values()}
    return found
