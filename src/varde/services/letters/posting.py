"""From the deadline to the printer: the letter that nobody opened, or that goes on paper from the first.

The way is decided again at each step (LET-12), the last time while the letter is locked and before it is handed
over, so that one opened until then is taken out (LET-07). A letter is handed over once: the state, the exact PDF and
the outbox row are one transaction (LET-54, LET-56).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from varde.services.letters import following, keeping, people, rules, sending, young
from varde.services.letters.cases import NO_LETTER, NOT_FOR_PARENTS, read_unit, start_of
from varde.services.letters.document import Document
from varde.services.letters.envelope import Envelope, envelope
from varde.services.letters.keeping import ACTOR
from varde.services.letters.model import Letter
from varde.services.letters.pdf import pdf
from varde.services.letters.people import Known
from varde.services.letters.rules import Action, Channel, Route, State
from varde.work import jobs, outbox
from varde.work.jobs import Job
from varde.work.outbox import Dispatch

if TYPE_CHECKING:
    from varde.services import Platform

_PAGE = re.compile(rb"/Type\s*/Page\b")
"""A page in a PDF whose page tree is not compressed, as `pdf.py` makes it."""

CANCELLATION = "cancelled"
"""Kind of the letters that tell that an appointment is cancelled."""
PRINT = "letters.print"
POST = "post"

_UNDER_WAY = frozenset({State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT})


@dataclass(frozen=True, slots=True)
class Judged:
    """A letter at its deadline, and what is known about it now."""

    letter: Letter
    known: Known
    paper: Route
    """Its way on paper, or why it has none."""
    changed: bool
    """The appointment was moved or cancelled since (LET-55)."""


async def post_unopened(platform: Platform, connection: Any, letter_ids: Sequence[str]) -> None:
    """The jobs of letters whose deadline has come: LET-04, LET-05, LET-12, LET-55. Raises RegisterUnavailable."""
    now = platform.clock.now()
    kept: list[Letter] = []
    tasks: list[dict[str, Any]] = []
    prints: list[Job] = []
    for one in await _judged(platform, connection, letter_ids):
        letter = one.letter
        straight = letter.channel is Channel.PAPER
        if straight and not one.changed and await _digital_now(platform, connection, one, now, kept):
            continue
        decided = rules.must_post(
            letter.state,
            opened=letter.opened,
            now=now,
            deadline=letter.deadline or now,
            channel=letter.channel,
            appointment_changed=one.changed,
        )
        if decided.yes and one.paper.channel is Channel.PAPER:
            due = letter.moved(State.DUE_FOR_PRINT, now, decided.why, ACTOR)
            if due is not letter:
                kept.append(due)
            prints.append(Job(PRINT, {"letter": letter.id}, now, keeping.print_job_key(letter.id), one.known.rid))
        elif decided.yes or decided.why in ("appointment-changed", "no-way"):
            kept.append(_stopped(one, now, tasks))
    await _finish(platform, connection, kept, tasks)
    await jobs.enqueue_many(connection, prints)


async def _digital_now(platform: Platform, connection: Any, one: Judged, now: datetime, kept: list[Letter]) -> bool:
    """LET-12: one who has become digital since the letter was put on paper is reached digitally, once."""
    letter = one.letter
    way = _route(one, now)
    if not way.digital or way.printed_at_once or any(c.cause == "digital-now" for c in letter.changes):
        return False
    readers = one.known.readers(way)
    unit = await read_unit(platform, connection, letter.unit_id)
    texts = await sending.texts_today(connection, [reader.patient for reader in readers], now)
    told, notices = sending.tell(platform, letter, readers, unit, texts, now)
    deadline = rules.print_deadline(told, letter.appointment_start, channel=way.channel)
    moved = replace(
        letter,
        channel=way.channel,
        reason=way.reason,
        to_representatives=way.to_representatives,
        recipients=tuple(reader.party for reader in readers),
        deadline=deadline,
        reminder=rules.reminder_at(told, deadline),
    ).moved(rules.after(letter.state, Action.NOTIFY), now, "digital-now", ACTOR)
    kept.append(moved)
    await outbox.put_many(connection, notices)
    # The key of a job that runs just now is taken: this second deadline has a key of its own.
    later = [
        replace(job, key=f"{job.key}:again") if job.kind == sending.DEADLINE else job
        for job in sending.follow_ups(moved, one.known.rid)
    ]
    await jobs.enqueue_many(connection, later)
    return True


async def print_letters(platform: Platform, connection: Any, letter_ids: Sequence[str]) -> None:
    """The jobs that hand letters to the printer. Raises RegisterUnavailable."""
    now = platform.clock.now()
    kept: list[Letter] = []
    tasks: list[dict[str, Any]] = []
    ready: list[tuple[Judged, Document, Envelope]] = []
    for one in await _judged(platform, connection, letter_ids):
        letter = one.letter
        if letter.state is not State.DUE_FOR_PRINT:
            continue
        to = envelope(one.known, letter.language)
        if one.changed or one.paper.channel is not Channel.PAPER or to is None:
            kept.append(_stopped(one, now, tasks))
        else:
            ready.append((one, Document.from_json(letter.document), to))
    made = await asyncio.to_thread(_made, [(document, to) for _, document, to in ready])
    dispatches = []
    for (one, _, to), (body, count) in zip(ready, made, strict=True):
        digest = people.address_digest(to.address)
        kept.append(one.letter.moved(State.PRINTING, now, "handed-over", ACTOR))
        tasks.append(following.printed_document(one.letter, body, now, digest))
        dispatches.append(
            Dispatch(
                POST,
                keeping.print_key(one.letter.id),
                {"recipient": to.payload, "pages": count, "digest": sha256(body).hexdigest()},
                now,
                body=body,
                patient=one.known.rid,
            )
        )
    await _finish(platform, connection, kept, tasks)
    await outbox.put_many(connection, dispatches)


def _made(letters: Sequence[tuple[Document, Envelope]]) -> list[tuple[bytes, int]]:
    """PDFs and their pages; in a thread, since the event loop has other things to do."""
    found = []
    for document, to in letters:
        body = pdf(document, to.recipient)
        found.append((body, max(1, len(_PAGE.findall(body)))))
    return found


async def _judged(platform: Platform, connection: Any, letter_ids: Sequence[str]) -> list[Judged]:
    """These letters, locked, with what registers and appointments say now; those no longer under way are left."""
    scope, store, now = keeping.own_scope(platform), platform.store, platform.clock.now()
    letters = [one for one in await keeping.locked(platform, scope, connection, letter_ids) if one.state in _UNDER_WAY]
    if not letters:
        return []
    patients = await store.read_many(scope, "Patient", sorted({one.patient for one in letters}), connection=connection)
    known = await people.known_people(platform, connection, [one.resource for one in patients.values()])
    wanted = sorted({one.appointment for one in letters if one.appointment})
    appointments = await store.read_many(scope, "Appointment", wanted, connection=connection)
    judged = []
    for letter in letters:
        if letter.patient not in known:
            continue
        found = appointments.get(letter.appointment or "")
        withheld = NOT_FOR_PARENTS in letter.restrictions
        person = await young.assessed(platform, connection, known[letter.patient], letter.rid, letter.restrictions)
        judged.append(
            Judged(
                letter,
                person,
                people.paper_route(person, withheld=withheld, now=now),
                letter.appointment is not None and _changed(letter, found.resource if found else None),
            )
        )
    return judged


def _changed(letter: Letter, appointment: dict[str, Any] | None) -> bool:
    """LET-55: the appointment is not as the letter says it. One that tells of a cancellation says so itself."""
    if letter.kind == CANCELLATION:
        return False
    if appointment is None or appointment.get("status") in NO_LETTER - {"fulfilled"}:
        return True
    return start_of(appointment) != letter.appointment_start


def _route(one: Judged, now: datetime) -> Route:
    withheld = NOT_FOR_PARENTS in one.letter.restrictions
    return people.route(one.known, withheld=withheld, appointment=one.letter.appointment_start, now=now)


def _stopped(one: Judged, now: datetime, tasks: list[dict[str, Any]]) -> Letter:
    """The letter that cannot be posted, and the task for the unit: LET-08, LET-10, LET-11, LET-55."""
    if one.changed:
        cause = kind = "appointment-changed"
    else:
        cause, kind = one.paper.reason, one.paper.problem or "no-address"
        if one.paper.channel is Channel.PAPER:
            cause = kind = "no-address"
    tasks.append(following.problem_to_fhir(following.problem_of(one.letter, kind, now)))
    stopped = one.letter.moved(rules.after(one.letter.state, Action.FAIL), now, cause, ACTOR)
    return replace(stopped, deadline=None, reminder=None)


async def _finish(
    platform: Platform, connection: Any, letters: Sequence[Letter], others: Sequence[dict[str, Any]]
) -> None:
    if letters or others:
        await keeping.keep(platform, keeping.own_scope(platform), connection, letters, others)
