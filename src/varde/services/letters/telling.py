"""Telling again: the reminder of an unopened letter (LET-21), and another way where one failed (LET-23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from varde.services.letters import keeping, people, rules, sending, young
from varde.services.letters.cases import NOT_FOR_PARENTS, read_unit
from varde.services.letters.model import Letter
from varde.services.letters.rules import State
from varde.work import jobs, outbox

if TYPE_CHECKING:
    from varde.services import Platform

_UNOPENED = frozenset({State.SENT, State.NOTIFIED})


async def remind(platform: Platform, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
    """The jobs of reminders. One who is no longer digital is not reminded: the deadline takes care of them (LET-12).
    Raises RegisterUnavailable."""
    for letter, readers, unit in await _unopened(platform, connection, [one["letter"] for one in payloads]):
        now = platform.clock.now()
        texts = await sending.texts_today(connection, [one.patient for one in readers], now)
        _, notices = sending.tell(platform, letter, readers, unit, texts, now, reminder=True)
        await outbox.put_many(connection, notices)


async def tell_otherwise(platform: Platform, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
    """The jobs of notifications that failed: the next way, and where there is none, print with the next working
    morning's batch (LET-23). Raises RegisterUnavailable."""
    tried = {one["letter"]: str(one["tried"]) for one in payloads}
    for letter, readers, unit in await _unopened(platform, connection, list(tried)):
        now = platform.clock.now()
        deadline = letter.deadline or now
        way = tried[letter.id]
        before = [way] if way == "sms" else ["sms", "email"]
        available = [channel for reader in readers for channel, _ in reader.ways]
        after = rules.after_failed_notification(before, available, now=now, deadline=deadline)
        if after.way is not None:
            _, notices = sending.tell(platform, letter, readers, unit, {}, now, avoid=before)
            await outbox.put_many(connection, notices)
        elif after.print_at is not None and letter.state is State.SENT:
            await _sooner(platform, connection, replace(letter, deadline=after.print_at, reminder=None))


async def _sooner(platform: Platform, connection: Any, letter: Letter) -> None:
    """Move the deadline forward. A deadline whose job runs just now needs no moving."""
    keys = [keeping.remind_key(letter.id), keeping.deadline_key(letter.id)]
    await jobs.cancel(connection, keys)
    await jobs.enqueue_many(connection, sending.follow_ups(letter, letter.patient_key))
    await keeping.keep(platform, keeping.own_scope(platform), connection, [letter])


async def _unopened(
    platform: Platform, connection: Any, letter_ids: Sequence[str]
) -> list[tuple[Letter, Sequence[people.Reachable], Any]]:
    """Those of these letters that wait to be opened, locked, with who may be told now and the sender."""
    scope, now = keeping.own_scope(platform), platform.clock.now()
    letters = [
        one
        for one in await keeping.locked(platform, scope, connection, letter_ids)
        if one.state in _UNOPENED and not one.opened
    ]
    if not letters:
        return []
    patients = await platform.store.read_many(
        scope, "Patient", sorted({one.patient for one in letters}), connection=connection
    )
    known = await people.known_people(platform, connection, [one.resource for one in patients.values()])
    units = {one: await read_unit(platform, connection, one) for one in sorted({one.unit_id for one in letters})}
    found = []
    for letter in letters:
        person = known.get(letter.patient)
        if person is None:
            continue
        person = await young.assessed(platform, connection, person, letter.rid, letter.restrictions)
        withheld = NOT_FOR_PARENTS in letter.restrictions
        way = people.route(person, withheld=withheld, appointment=letter.appointment_start, now=now)
        found.append((letter, person.readers(way), units[letter.unit_id]))
    return found
