"""Going through each emergency access afterwards (FAM-34): a Task for the leader of the unit, with what was opened, and
the leader's word whether it was needed. One that was not, or that nobody went through in time, goes to the privacy
officer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.clock import OSLO
from varde.fhir.errors import Conflict, NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.fhir.splice import instant
from varde.services.family import log_questions
from varde.services.family.emergency_rules import REVIEW_WITHIN
from varde.trust.access import name_of
from varde.trust.audit import Unlogged
from varde.trust.consents import Emergency
from varde.trust.law.marks import FROM_STAFF, RESTRICTION
from varde.trust.log.findings import unjustified
from varde.trust.persons import HPR
from varde.trust.probes import is_probe
from varde.work.jobs import Handler, Job, cancel, enqueue

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

CODE = ("https://varde.no/fhir/CodeSystem/task", "emergency-review")
OUTCOME = "https://varde.no/fhir/CodeSystem/emergency-outcome"
NEEDED, NOT_NEEDED = "needed", "not-needed"
KIND = "family.emergency-review"
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Review:
    """An emergency access to be gone through."""

    id: str
    """Of the Task."""
    access: str
    """Id of the Consent, which the rows of the log name."""
    patient: str
    hpr: str
    unit: str
    unit_name: str
    cause: str
    reason: str
    opened: datetime
    deadline: datetime
    who: str = ""
    """Name of the health worker."""
    about: str = ""
    """Name of the patient."""
    seen: int = 0
    """How many times something of the record was shown."""
    reviewed: bool = False
    probe: bool = False
    """Of a patient who is there to test the system: no finding comes of it, and no officer is asked (IMP-03)."""


async def begin(platform: Platform, connection: Any, made: Emergency, unit_name: str) -> None:
    """Make the Task, in the transaction that opens the access, and see to it that it is not forgotten."""
    deadline = made.at + REVIEW_WITHIN
    task = {
        "resourceType": "Task",
        "id": f"{made.id}",
        # The one to be asked about works in that unit: only its leader and the privacy officer read it.
        "meta": {"security": [{"system": RESTRICTION, "code": FROM_STAFF}]},
        "identifier": [{"system": f"{CODE[0]}/about", "value": made.hpr}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": CODE[0], "code": CODE[1]}], "text": made.cause},
        "description": made.reason,
        "focus": {"reference": f"Consent/{made.id}"},
        "for": {"reference": f"Patient/{made.patient}"},
        "authoredOn": instant(made.at),
        "requester": {"type": "Practitioner", "identifier": {"system": HPR, "value": made.hpr}},
        "owner": {"reference": f"Organization/{made.unit}", "display": unit_name},
        "restriction": {"period": {"end": instant(deadline)}},
    }
    await platform.store.update(_own(platform), "Task", str(made.id), task, connection=connection)
    patient = resource_key("Patient", made.patient)
    await enqueue(connection, Job(KIND, {"task": str(made.id)}, deadline, f"{KIND}:{made.id}", patient))


async def waiting(platform: Platform, scope: Scope) -> list[Review]:
    """Those that a leader or a privacy officer is to go through, the oldest first; never one's own."""
    query = [("code", "|".join(CODE)), ("status", "requested"), ("_sort", "authored-on"), ("_count", str(SHOWN))]
    if not scope.audits:
        query.append(("owner", f"Organization/{scope.actor.unit}"))
    page = await platform.store.search(_own(platform), "Task", query)
    every = [_review(match.resource) for match in page.matches]
    found = [await _told(platform, one) for one in every if one.hpr != scope.actor.key]
    if scope.audits:
        found = [one for one in found if not one.probe]
    if found:
        patients = sorted({resource_key("Patient", one.patient) for one in found})
        await scope.record(Disclosure(Interaction.SEARCH, "Task", [one.id for one in found], patients), None)
    return found


async def one(platform: Platform, scope: Scope, task: str) -> Review:
    """One of them. Raises NotFound, for whoever is not to go through it too."""
    try:
        found = _review((await platform.store.read(_own(platform), "Task", task)).resource)
    except (NotFound, KeyError):
        raise NotFound.of("no such review") from None
    mine = scope.audits or (found.unit == scope.actor.unit and await log_questions.leads(platform, scope))
    mine = mine and found.hpr != scope.actor.key
    patients = [resource_key("Patient", found.patient)]
    await scope.record(Disclosure(Interaction.READ, "Task", [task], patients, allowed=mine), None)
    if not mine:
        raise NotFound.of("no such review")
    return await _told(platform, found)


async def decide(platform: Platform, scope: Scope, review: Review, outcome: str, text: str) -> None:
    """Write down whether it was needed. Raises Conflict when somebody did meanwhile, ValueError for another outcome."""
    if outcome not in {NEEDED, NOT_NEEDED}:
        raise ValueError("no such outcome")
    now = platform.clock.now()
    by = f"{scope.actor.name}, {scope.actor.unit_name or ''}".rstrip(", ")
    async with platform.store.transaction() as connection:
        stored = await platform.store.read(_own(platform), "Task", review.id, connection=connection, for_update=True)
        if stored.resource["status"] != "requested":
            raise Conflict.of("it has been gone through")
        done = stored.resource | {
            "status": "completed",
            "businessStatus": {"coding": [{"system": OUTCOME, "code": outcome}]},
            "note": [{"authorString": by, "time": instant(now), "text": text}],
        }
        await platform.store.update(_own(platform), "Task", review.id, done, connection=connection)
        patients = [resource_key("Patient", review.patient)]
        await scope.record(Disclosure(Interaction.UPDATE, "Task", [review.id], patients), connection)
        await cancel(connection, [f"{KIND}:{review.id}"])
        if outcome == NOT_NEEDED:
            await _finding(connection, review, now)


def handler(platform: Platform) -> Handler:
    """What nobody has gone through when its time is over."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            stored = await platform.store.read(_own(platform), "Task", payload["task"], connection=connection)
            if stored.resource["status"] == "requested":
                review = await _told(platform, _review(stored.resource))
                await _finding(connection, review, platform.clock.now())

    return Handler(KIND, run)


async def _finding(connection: Any, review: Review, now: datetime) -> None:
    if review.probe:
        return
    await unjustified(
        connection, resource_key("Patient", review.patient), (review.hpr, review.who),
        (review.unit, review.unit_name), review.opened.astimezone(OSLO).date(), review.opened, max(review.seen, 1), now,
    )  # fmt: skip


async def _told(platform: Platform, review: Review) -> Review:
    """With names, and how much was seen."""
    house = replace(platform.access.for_system("log"), log=Unlogged())
    async with platform.database.connection() as connection:
        seen = await connection.fetchval(
            "select count(*) from trust_audit where decision_ref = $1 and patient = $2",
            review.access, resource_key("Patient", review.patient),
        )  # fmt: skip
    patient = (await platform.store.read(house, "Patient", review.patient)).resource
    workers = await platform.store.search(house, "Practitioner", [("identifier", f"{HPR}|{review.hpr}")])
    who = next((name_of(match.resource) for match in workers.matches), "")
    return replace(review, who=who, about=name_of(patient), seen=int(seen), probe=is_probe(patient))


def _review(task: Mapping[str, Any]) -> Review:
    owner = task["owner"]
    return Review(
        task["id"],
        task["focus"]["reference"].removeprefix("Consent/"),
        task["for"]["reference"].removeprefix("Patient/"),
        task["identifier"][0]["value"],
        owner["reference"].removeprefix("Organization/"),
        owner.get("display", ""),
        task["code"]["text"],
        task["description"],
        datetime.fromisoformat(task["authoredOn"]),
        datetime.fromisoformat(task["restriction"]["period"]["end"]),
        reviewed=task["status"] != "requested",
    )


def _own(platform: Platform) -> Scope:
    """A gate over these Tasks; what it finds is logged by the scope of whoever it is found for."""
    types = frozenset({"Task"})
    return replace(platform.access.for_system("emergency", types=types, write_types=types), log=Unlogged())
