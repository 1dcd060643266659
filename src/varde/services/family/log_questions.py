"""Questions about entries of the access log: a patient asks the unit's leader why somebody looked, and gets an answer.

A question is a Task in the patient's record, hidden from staff as staff (code NORS): the one who is asked about works
there. Only the unit's leader and the privacy officer read it, through this file. One that is not answered in time
becomes a finding of the privacy officer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.clock import OSLO
from varde.fhir.errors import Conflict, NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.fhir.splice import instant
from varde.trust.access import ROLE_SYSTEM
from varde.trust.audit import Unlogged
from varde.trust.law.marks import FROM_STAFF, RESTRICTION
from varde.trust.log.events import event_id, row_of
from varde.trust.log.findings import unanswered
from varde.trust.log.lines import who_did
from varde.trust.persons import HPR
from varde.work.jobs import Handler, Job, cancel, enqueue

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.log.lines import Line
    from varde.trust.scope import Scope

CODE = ("https://varde.no/fhir/CodeSystem/task", "log-question")
LEADER = "leader"
"""Code of ROLE_SYSTEM in a PractitionerRole, beside that of the profession: leads the unit."""
KIND = "family.log-question"
LONGEST = 2000
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Question:
    """A question and, when it was answered, what was said."""

    id: str
    row: int
    """Of the log: the line that it is about."""
    text: str
    about: str
    """The line in words, as the patient read it."""
    asked: datetime
    deadline: datetime
    unit: str | None
    unit_name: str
    patient: str
    """Id of the Patient."""
    actor: str
    """HPR number of who is asked about; empty when it is no member of staff, or one whose name is not told."""
    line: str = ""
    """Key of the line."""
    answer: str = ""
    answered: datetime | None = None
    answered_by: str = ""


def to_fhir(question: Question, asker: str) -> dict[str, Any]:
    """The question as a Task. `asker`: id of the Patient who asks, for themselves or another."""
    task: dict[str, Any] = {
        "resourceType": "Task",
        "meta": {"security": [{"system": RESTRICTION, "code": FROM_STAFF}]},
        "identifier": [
            {"system": f"{CODE[0]}/about", "value": question.actor or "-"},
            {"system": f"{CODE[0]}/line", "value": question.line},
        ],
        "status": "completed" if question.answered else "requested",
        "intent": "order",
        "code": {"coding": [{"system": CODE[0], "code": CODE[1]}], "text": question.about},
        "description": question.text,
        "focus": {"reference": f"AuditEvent/{event_id(question.row)}"},
        "for": {"reference": f"Patient/{question.patient}"},
        "authoredOn": instant(question.asked),
        "requester": {"reference": f"Patient/{asker}"},
        "owner": {"display": question.unit_name}
        | ({"reference": f"Organization/{question.unit}"} if question.unit else {}),
        "restriction": {"period": {"end": instant(question.deadline)}},
    }
    if question.id:
        task["id"] = question.id
    if question.answered is not None:
        task["note"] = [
            {"authorString": question.answered_by, "time": instant(question.answered), "text": question.answer}
        ]
    return task


def from_fhir(task: Mapping[str, Any]) -> Question:
    """The question in a Task. Raises KeyError for another Task."""
    owner = task["owner"].get("reference", "")
    answer = (task.get("note") or [{}])[0]
    about = task["identifier"][0]["value"]
    return Question(
        id=task["id"],
        row=row_of(task["focus"]["reference"].removeprefix("AuditEvent/")) or 0,
        text=task["description"],
        about=task["code"]["text"],
        asked=datetime.fromisoformat(task["authoredOn"]),
        deadline=datetime.fromisoformat(task["restriction"]["period"]["end"]),
        unit=owner.removeprefix("Organization/") or None,
        unit_name=task["owner"].get("display", ""),
        patient=task["for"]["reference"].removeprefix("Patient/"),
        actor="" if about == "-" else about,
        line=task["identifier"][1]["value"],
        answer=answer.get("text", ""),
        answered=datetime.fromisoformat(answer["time"]) if "time" in answer else None,
        answered_by=answer.get("authorString", ""),
    )


async def ask(platform: Platform, scope: Scope, line: Line, about: str, text: str) -> None:
    """Ask about a line of the log that the scope may read. One question a line. Raises Conflict when there is one,
    Forbidden."""
    now = platform.clock.now()
    if any(one.line == line.key for one in await asked(platform, scope)):
        raise Conflict.of("this has been asked already")
    question = Question(
        "", line.id, text, about, now, now + timedelta(days=platform.settings.log_answer_days), line.unit,
        line.unit_name or "", scope.patient or "", line.actor if line.actor_kind == "staff" else "",
        line.key,
    )  # fmt: skip
    writing = scope.acting("log", {"Task"})
    async with platform.store.transaction() as connection:
        written = await platform.store.create(writing, to_fhir(question, scope.actor.key), connection=connection)
        task = written.stored.id
        patient = resource_key("Patient", question.patient)
        await enqueue(connection, Job(KIND, {"task": task}, question.deadline, f"{KIND}:{task}", patient))


async def asked(platform: Platform, scope: Scope) -> list[Question]:
    """The questions about a patient's log, by the patient's own scope, the newest first."""
    query = [("code", "|".join(CODE)), ("_sort", "-authored-on"), ("_count", str(SHOWN))]
    page = await platform.store.search(replace(scope, log=Unlogged()), "Task", query)
    return [from_fhir(match.resource) for match in page.matches]


def _reading(platform: Platform) -> Scope:
    """A gate over questions alone; what it finds is logged by the scope of whoever it is found for."""
    return replace(platform.access.for_system("log", types=frozenset({"Task"})), log=Unlogged())


async def leads(platform: Platform, scope: Scope) -> bool:
    """Whether a member of staff leads the unit they work at now."""
    query = [
        ("practitioner.identifier", f"{HPR}|{scope.actor.key}"),
        ("organization", f"Organization/{scope.actor.unit}"),
        ("role", f"{ROLE_SYSTEM}|{LEADER}"),
        ("active", "true"),
    ]
    page = await platform.store.search(
        replace(platform.access.for_system("log"), log=Unlogged()), "PractitionerRole", query
    )
    return bool(page.matches)


async def waiting(platform: Platform, scope: Scope) -> list[Question]:
    """The questions that a leader or a privacy officer is to answer, the most urgent first."""
    query = [("code", "|".join(CODE)), ("status", "requested"), ("_sort", "authored-on"), ("_count", str(SHOWN))]
    if not scope.audits:
        query.append(("owner", f"Organization/{scope.actor.unit}"))
    page = await platform.store.search(_reading(platform), "Task", query)
    found = await _not_of(platform, scope, [from_fhir(match.resource) for match in page.matches])
    patients = sorted({resource_key("Patient", one.patient) for one in found})
    if found:
        await scope.record(Disclosure(Interaction.SEARCH, "Task", [one.id for one in found], patients), None)
    return found


async def _not_of(platform: Platform, scope: Scope, found: Sequence[Question]) -> list[Question]:
    """Nobody answers for themselves, not even who leads the unit."""
    async with platform.database.connection() as connection:
        actors = await who_did(connection, [one.row for one in found])
    return [one for one in found if actors.get(one.row, ("", ""))[0] != scope.actor.key]


async def to_answer(platform: Platform, scope: Scope, task: str) -> tuple[Question, str]:
    """One of them, and the name of who is asked about. Raises NotFound."""
    try:
        stored = await platform.store.read(_reading(platform), "Task", task)
        question = from_fhir(stored.resource)
    except (NotFound, KeyError):
        raise NotFound.of("no such question") from None
    mine = scope.audits or (question.unit == scope.actor.unit and await leads(platform, scope))
    mine = mine and bool(await _not_of(platform, scope, [question]))
    patients = [resource_key("Patient", question.patient)]
    await scope.record(Disclosure(Interaction.READ, "Task", [task], patients, allowed=mine), None)
    if not mine:
        raise NotFound.of("no such question")
    async with platform.database.connection() as connection:
        actors = await who_did(connection, [question.row])
    return question, actors.get(question.row, ("", ""))[1]


async def answer(platform: Platform, scope: Scope, question: Question, text: str) -> None:
    """Answer it. Raises Conflict when somebody did meanwhile."""
    now = platform.clock.now()
    by = f"{scope.actor.name}, {scope.actor.unit_name or ''}".rstrip(", ")
    gate = replace(_reading(platform), write_types=frozenset({"Task"}))
    async with platform.store.transaction() as connection:
        stored = await platform.store.read(gate, "Task", question.id, connection=connection, for_update=True)
        task = stored.resource
        if task["status"] != "requested":
            raise Conflict.of("the question is answered")
        answered = task | {"status": "completed", "note": [{"authorString": by, "time": instant(now), "text": text}]}
        await platform.store.update(gate, "Task", question.id, answered, connection=connection)
        patients = [resource_key("Patient", question.patient)]
        await scope.record(Disclosure(Interaction.UPDATE, "Task", [question.id], patients), connection)
        await cancel(connection, [f"{KIND}:{question.id}"])


async def about_me(platform: Platform, scope: Scope) -> list[Question]:
    """The questions that were asked about a member of staff: that there are, when, and what was answered. Who asked,
    and how, is between the patient and the unit's leader."""
    query = [("code", "|".join(CODE)), ("identifier", f"{CODE[0]}/about|{scope.actor.key}"),
             ("_sort", "-authored-on"), ("_count", str(SHOWN))]  # fmt: skip
    page = await platform.store.search(_reading(platform), "Task", query)
    return [replace(from_fhir(match.resource), text="", about="", patient="") for match in page.matches]


def handler(platform: Platform) -> Handler:
    """What is not answered when its time is over."""

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            stored = await platform.store.read(_reading(platform), "Task", payload["task"], connection=connection)
            question = from_fhir(stored.resource)
            if question.answered is None:
                await unanswered(
                    connection, resource_key("Patient", question.patient), question.unit, question.unit_name,
                    question.asked.astimezone(OSLO).date(), question.asked, platform.clock.now(),
                )  # fmt: skip

    return Handler(KIND, run)
