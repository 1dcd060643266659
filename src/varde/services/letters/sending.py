"""Sending: an order becomes a batch, the batch chunks, and each chunk letters with all that follows from them.

A batch is accepted in one transaction and sent by jobs; each chunk is one transaction, so that a letter, its
notification, its reminder and its deadline are there together or not at all. The same key sends nothing twice
(LET-53). What is decided is `rules.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from varde.clock import OSLO, today
from varde.fhir.errors import NotFound
from varde.services.letters import following, keeping, model, people, rules
from varde.services.letters.cases import Case, Unit, belongs_to, gather, read_unit
from varde.services.letters.document import Document
from varde.services.letters.following import Problem
from varde.services.letters.keeping import ACTOR, deadline_key, notify_key, remind_key
from varde.services.letters.library import MissingContent, Template, compose, template
from varde.services.letters.model import Letter, Party
from varde.services.letters.notices import notice
from varde.services.letters.rules import Channel, Route, State
from varde.services.letters.views import Order
from varde.services.letters.waiting import everyone
from varde.work import jobs, outbox
from varde.work.jobs import Job
from varde.work.outbox import Dispatch

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

CHUNK = 100
"""Appointments in one job: small enough to show progress and to be tried again, large enough to be quick."""

GONE = "gone"
"""Reason of an appointment that was no longer there."""

SEND = "letters.send"
DEADLINE = "letters.deadline"
REMIND = "letters.remind"


@dataclass(frozen=True, slots=True)
class Batch:
    """How far a sending has come."""

    id: str
    unit: str
    template: str
    total: int
    done: int
    sent: int
    digital: int
    paper: int
    refused: Sequence[Mapping[str, Any]]


class EmptyOrder(ValueError):
    """An order that reaches nobody the sender may write to."""


async def send(platform: Platform, scope: Scope, order: Order, key: str) -> str:
    """Accept an order from a member of staff and return the batch's id; the same key gives the same batch.

    Only appointments of the sender's own unit that they may see are taken. Raises EmptyOrder, KeyError for an
    unknown template, NotFound for one without a unit.
    """
    unit = _unit_of(scope)
    chosen = template(order.template)
    wanted = await ordered(platform, scope, order)
    if not wanted:
        raise EmptyOrder
    identifier = str(uuid4())
    now = platform.clock.now()
    async with platform.store.transaction() as connection:
        taken = await connection.fetchval(
            "insert into letters_batch"
            " (id, unit, key, template, actor, actor_name, created, total, order_values)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (unit, key) do nothing returning id",
            identifier, unit, key, chosen.key, scope.actor.key, scope.actor.name, now, len(wanted),
            orjson.dumps(dict(order.values)).decode(),
        )  # fmt: skip
        if taken is None:
            return str(
                await connection.fetchval("select id from letters_batch where unit = $1 and key = $2", unit, key)
            )
        await jobs.enqueue_many(
            connection,
            [
                Job(
                    SEND,
                    {"batch": identifier, "appointments": wanted[start : start + CHUNK]},
                    now,
                    key=f"letters:{identifier}:{start // CHUNK}",
                )
                for start in range(0, len(wanted), CHUNK)
            ],
        )
    return identifier


async def ordered(platform: Platform, scope: Scope, order: Order) -> list[str]:
    """Ids of the appointments that an order reaches: of the sender's unit, seen through their own scope."""
    unit = _unit_of(scope)
    wanted = await everyone(platform, scope, order.search) if order.everyone else order.appointments
    found = await platform.store.read_many(scope, "Appointment", list(wanted))
    return [one for one in dict.fromkeys(wanted) if one in found and belongs_to(found[one].resource, unit)]


async def batch(platform: Platform, scope: Scope, batch_id: str) -> Batch:
    """A batch of the reader's own unit. Raises NotFound."""
    async with platform.database.connection() as connection:
        row = await connection.fetchrow(
            "select * from letters_batch where id = $1 and unit = $2", batch_id, _unit_of(scope)
        )
    if row is None:
        raise NotFound.of("no such batch")
    return Batch(
        row["id"], row["unit"], row["template"], row["total"], row["done"], row["sent"], row["digital"], row["paper"],
        orjson.loads(row["refused"]),
    )  # fmt: skip


def _unit_of(scope: Scope) -> str:
    if scope.actor.unit is None:
        raise NotFound.of("no unit")
    return scope.actor.unit


async def send_chunk(platform: Platform, connection: Any, payload: Mapping[str, Any]) -> None:
    """The job of one chunk. Raises RegisterUnavailable, and is then run again."""
    row = await connection.fetchrow("select * from letters_batch where id = $1", payload["batch"])
    if row is None:
        return
    scope = keeping.own_scope(platform)
    unit = await read_unit(platform, connection, row["unit"])
    cases = await gather(platform, scope, connection, payload["appointments"], unit)
    writing = Writing(
        template=template(row["template"]),
        values=orjson.loads(row["order_values"]),
        key=row["key"],
        actor=row["actor_name"],
        batch=row["id"],
    )
    made = await deliver(platform, scope, connection, cases, writing)
    lost = len(payload["appointments"]) - len(cases)
    await connection.execute(
        "update letters_batch set done = done + $2, sent = sent + $3, digital = digital + $4, paper = paper + $5,"
        " refused = refused || $6::jsonb,"
        " order_values = case when done + $2 >= total then '{}'::json else order_values end where id = $1",
        row["id"], len(payload["appointments"]), made.sent, made.digital, made.paper,
        orjson.dumps([*made.refused, *[{"appointment": "", "reason": GONE}] * lost]).decode(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What is written, by whom and under which key."""

    template: Template
    values: Mapping[str, str]
    key: str
    actor: str
    batch: str | None = None
    urgent: bool = False
    replaces: str | None = None


@dataclass(slots=True)
class Delivered:
    """What came of sending."""

    letters: list[Letter] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    """Letters that could not be made (LET-31), with faults, or have no way (LET-10), with its reason."""
    sent: int = 0
    digital: int = 0
    paper: int = 0

    def count(self, letter: Letter) -> None:
        """Count a letter that is sent, or was already."""
        self.letters.append(letter)
        if letter.sent is None:
            self.refused.append({"appointment": letter.appointment or "", "reason": letter.reason})
            return
        self.sent += 1
        self.digital += letter.channel in (Channel.DIGITAL, Channel.BOTH, Channel.DIGITAL_MAILBOX)
        self.paper += letter.channel in (Channel.PAPER, Channel.BOTH)


async def deliver(
    platform: Platform, scope: Scope, connection: Any, cases: Sequence[Case], writing: Writing
) -> Delivered:
    """Make and send the letters of these cases in the connection's transaction, with notifications, reminders,
    deadlines and tasks. What stands already under the key is left as it is (LET-53)."""
    now = platform.clock.now()
    made = Delivered()
    keys = {case.id: f"{writing.key}:{case.id}" for case in cases}
    ids = {case.id: model.letter_id(case.unit.id, keys[case.id], case.known.id) for case in cases}
    standing = {one.id: one for one in await keeping.locked(platform, scope, connection, list(ids.values()))}
    texts = await _texts_today(connection, cases, now)
    letters: list[Letter] = []
    tasks: list[Mapping[str, Any]] = []
    later: list[Job] = []
    leaving: list[Dispatch] = []
    for case in cases:
        known = standing.get(ids[case.id])
        if known is not None:
            made.count(known)
            continue
        try:
            letter, route = _write(platform, case, writing, ids[case.id], keys[case.id], now)
        except MissingContent as missing:
            made.refused.append({"appointment": case.id, "faults": list(missing.faults.values())})
            tasks.append(_refused(case, writing, missing, now))
            continue
        letter, notices = _send(platform, case, letter, route, texts, now)
        letters.append(letter)
        made.count(letter)
        leaving += notices
        later += follow_ups(letter, case.known.rid)
        if route.problem is not None:
            tasks.append(following.problem_to_fhir(following.problem_of(letter, route.problem, now)))
    if letters or tasks:
        await keeping.keep(platform, scope, connection, letters, tasks)
    await outbox.put_many(connection, leaving)
    await jobs.enqueue_many(connection, later)
    return made


def _write(
    platform: Platform, case: Case, writing: Writing, letter_id: str, key: str, now: datetime
) -> tuple[Letter, Route]:
    """The letter, not sent yet, and its way. Raises MissingContent (LET-31)."""
    way = people.route(case.known, withheld=case.withheld, appointment=case.start, now=now)
    document = written(platform, case, writing.template, writing.values)
    recipients = tuple(one.party for one in case.known.readers(way)) or (case.known.party,)
    letter = Letter(
        id=letter_id,
        key=key,
        state=State.DRAFT,
        subject=case.known.party,
        unit=case.unit.party,
        recipients=recipients,
        title=document.title,
        kind=writing.template.kind,
        template=writing.template.key,
        template_version=str(writing.template.version),
        language=document.language,
        document=document.to_json(),
        text=document.plain_text(),
        channel=way.channel,
        reason=way.reason,
        urgent=writing.urgent,
        to_representatives=way.to_representatives,
        appointment=case.id,
        appointment_start=case.start,
        batch=writing.batch,
        restrictions=case.restrictions,
        replaces=writing.replaces,
    )
    if way.channel is Channel.NONE:
        return letter.moved(State.FAILED, now, way.reason, ACTOR), way
    return replace(letter, sent=now).moved(State.SENT, now, "sent", writing.actor), way


def written(
    platform: Platform, case: Case, chosen: Template, values: Mapping[str, str], *, staff_language: str = "nb"
) -> Document:
    """What the letter of a case says. Raises MissingContent, told in `staff_language` (LET-31)."""
    return compose(
        chosen,
        language=case.known.language,
        facts=replace(case.facts, for_parents=case.known.facts.age < rules.YOUTH),
        values=values,
        today=today(platform.clock),
        staff_language=staff_language,
    )


def _send(
    platform: Platform, case: Case, letter: Letter, way: Route, texts: dict[int, int], now: datetime
) -> tuple[Letter, list[Dispatch]]:
    """The letter with its deadline, and the notifications of it. `texts` counts those of the day by person."""
    if way.channel is Channel.NONE:
        return letter, []
    if not way.digital:
        deadline = rules.print_deadline(now, case.start, channel=way.channel)
        return replace(letter, deadline=deadline).moved(State.DUE_FOR_PRINT, now, way.reason, ACTOR), []
    told, notices = tell(platform, letter, case.known.readers(way), case.unit, texts, now)
    deadline = rules.print_deadline(told, case.start, channel=way.channel)
    reminder = None if way.printed_at_once else rules.reminder_at(told, deadline)
    return replace(letter, deadline=deadline, reminder=reminder), notices


def tell(
    platform: Platform,
    letter: Letter,
    readers: Sequence[people.Reachable],
    unit: Unit,
    texts: dict[int, int],
    now: datetime,
    *,
    reminder: bool = False,
    avoid: Sequence[str] = (),
) -> tuple[datetime, list[Dispatch]]:
    """(when the first of the readers is told, the notifications): LET-20 to LET-23. `avoid`: ways that failed.

    With nobody to tell, now.
    """
    leaving = []
    for place, reader in enumerate(readers):
        way = next((one for one in reader.ways if one[0] not in avoid), None)
        if way is None:
            continue
        channel, address = way
        due = now
        if channel == "sms":
            due = rules.quiet(now, letter.urgent, sent_that_day=texts.get(reader.patient, 0))
            texts[reader.patient] = texts.get(reader.patient, 0) + 1
        key = remind_key(letter.id, place) if reminder else notify_key(letter.id, channel if avoid else "", place)
        text = notice(
            unit.trust, platform.settings.base, channel=channel, to=address, language=reader.language,
            reminder=reminder,
        )  # fmt: skip
        leaving.append(Dispatch("notify", key, text, due, patient=reader.patient))
    return min((one.due for one in leaving), default=now), leaving


async def _texts_today(connection: Any, cases: Sequence[Case], now: datetime) -> dict[int, int]:
    readers = {case.known.rid for case in cases}
    readers |= {one.patient for case in cases for one in case.known.representatives}
    return await texts_today(connection, sorted(readers), now)


async def texts_today(connection: Any, patients: Sequence[int], now: datetime) -> dict[int, int]:
    """How many SMS and e-mails each person is told by today, from all services (LET-22)."""
    midnight = datetime.combine(now.astimezone(OSLO).date(), time(0), OSLO)
    return dict(await outbox.count_since(connection, "notify", patients, midnight))


def follow_ups(letter: Letter, patient: int) -> list[Job]:
    """The jobs that wait for an unopened letter: its reminder (LET-21) and its deadline (LET-04)."""
    made = []
    if letter.reminder is not None:
        made.append(Job(REMIND, {"letter": letter.id}, letter.reminder, remind_key(letter.id), patient))
    if letter.deadline is not None:
        made.append(Job(DEADLINE, {"letter": letter.id}, letter.deadline, deadline_key(letter.id), patient))
    return made


def _refused(case: Case, writing: Writing, missing: MissingContent, now: datetime) -> Mapping[str, Any]:
    """LET-31: listed for the unit, with what is wrong."""
    return following.problem_to_fhir(
        Problem(
            key=f"{writing.key}:{case.id}:refused",
            problem="refused",
            unit=case.unit.party,
            patient=Party(case.known.party.reference, case.known.party.name),
            title=writing.template.title["nb"],
            at=now,
            appointment=case.id,
            detail=" ".join(missing.faults.values()),
        )
    )
