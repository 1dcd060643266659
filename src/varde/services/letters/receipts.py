"""What the edges tell: a notification that went or could not, a letter that was printed, posted or came back.

Run in the transaction that stores the receipts, each told once. Telling another way is a job (`jobs.py`), because it
asks the registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.services.letters import following, keeping, rules, sending
from varde.services.letters.keeping import ACTOR, letter_of_key
from varde.services.letters.model import Letter
from varde.services.letters.rules import Action, State
from varde.work import jobs
from varde.work.jobs import Job
from varde.work.outbox import Message, Permanent, Receiver, Told, Unknown

if TYPE_CHECKING:
    from varde.services import Platform

TELL_OTHERWISE = "letters.tell-otherwise"

_PRINTED = {"received": None, "printed": Action.PRINT, "posted": Action.POST, "returned": Action.RETURN}
"""Receipts of the printer. Received says only that it has the letter, which handing over said already."""
_CAUSES = {Action.PRINT: "printed", Action.POST: "posted", Action.RETURN: "returned"}


def notified(platform: Platform) -> Receiver:
    """The edge "notify": LET-20, LET-23."""

    async def receive(connection: Any, told: Sequence[tuple[Message, Told]]) -> None:
        now = platform.clock.now()
        went: set[str] = set()
        failed: list[Job] = []
        for message, one in told:
            letter = letter_of_key(message.key)
            if letter is None or ":notify" not in message.key:
                continue  # a reminder that could not be sent changes nothing
            if isinstance(one, Permanent):
                payload = {"letter": letter, "tried": message.payload["channel"]}
                failed.append(Job(TELL_OTHERWISE, payload, now, f"{message.key}:failed", message.patient))
            elif not isinstance(one, Unknown):
                went.add(letter)
        await _told(platform, connection, sorted(went))
        await jobs.enqueue_many(connection, failed)

    return receive


async def _told(platform: Platform, connection: Any, letter_ids: Sequence[str]) -> None:
    """These were told. The days of LET-04 run from the sending of the notification, so one sent late moves the
    deadline."""
    now = platform.clock.now()
    kept = []
    for letter in await keeping.locked(platform, keeping.own_scope(platform), connection, letter_ids):
        if letter.state is not State.SENT:
            continue
        moved = letter.moved(State.NOTIFIED, now, "notified", ACTOR)
        kept.append(await _late(connection, moved, now))
    if kept:
        await keeping.keep(platform, keeping.own_scope(platform), connection, kept)


async def _late(connection: Any, letter: Letter, now: datetime) -> Letter:
    if letter.deadline is None:
        return letter
    deadline = rules.print_deadline(now, letter.appointment_start, channel=letter.channel)
    if deadline <= letter.deadline:
        return letter
    moved = replace(letter, deadline=deadline)
    if await jobs.cancel(connection, [keeping.deadline_key(letter.id)]):
        await jobs.enqueue_many(connection, sending.follow_ups(replace(moved, reminder=None), letter.patient_key))
    return moved


def printed(platform: Platform) -> Receiver:
    """The edge "post": LET-11, LET-50, LET-56."""

    async def receive(connection: Any, told: Sequence[tuple[Message, Told]]) -> None:
        by_letter: dict[str, list[tuple[Message, Told]]] = {}
        for message, one in told:
            letter_id = letter_of_key(message.key)
            if letter_id is not None:
                by_letter.setdefault(letter_id, []).append((message, one))
        scope, now = keeping.own_scope(platform), platform.clock.now()
        kept: list[Letter] = []
        others: list[dict[str, Any]] = []
        for letter in await keeping.locked(platform, scope, connection, sorted(by_letter)):
            moved = letter
            for _, one in by_letter[letter.id]:
                if isinstance(one, Unknown):
                    others.append(following.problem_to_fhir(following.problem_of(letter, "unknown", now)))
                elif isinstance(one, Permanent):
                    if rules.may(moved.state, Action.FAIL):
                        moved = moved.moved(State.FAILED, now, "printer-refused", ACTOR)
                        others.append(following.problem_to_fhir(following.problem_of(letter, "failed", now, one.why)))
                else:
                    moved = _advanced(moved, _PRINTED.get(one.state), one.at)
            if moved.state is State.RETURNED and letter.state is not State.RETURNED:
                others += await came_back(platform, connection, moved, now)
            if moved is not letter:
                kept.append(moved)
        if kept or others:
            await keeping.keep(platform, scope, connection, kept, others)

    return receive


def _advanced(letter: Letter, action: Action | None, at: datetime) -> Letter:
    """The letter after a receipt; itself for one that says what is known already."""
    if action is None or not rules.may(letter.state, action):
        return letter
    return letter.moved(rules.after(letter.state, action), at, _CAUSES[action], "Trykkeriet")


async def came_back(platform: Platform, connection: Any, letter: Letter, now: datetime) -> list[dict[str, Any]]:
    """LET-11: the flag on the patient, for the address that the letter was sent to, and the task for the unit."""
    document_id = following.printed_id(letter)
    found = await platform.store.read_many(
        keeping.own_scope(platform), "DocumentReference", [document_id], connection=connection
    )
    digest = following.flagged_address(found[document_id].resource) if document_id in found else ""
    return [
        following.address_flag(letter.subject, now, digest),
        following.problem_to_fhir(following.problem_of(letter, "returned", now)),
    ]
