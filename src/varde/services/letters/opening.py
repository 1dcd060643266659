"""The patient's side: the inbox, opening a letter, putting it away. Through the reader's own scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import NotFound
from varde.fhir.store import ABSENT
from varde.services.letters import keeping, model, rules
from varde.services.letters.model import Letter, Opened
from varde.services.letters.rules import Action, State
from varde.work import jobs, outbox

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

ON_A_PAGE = 20
UNREAD_STATES = (State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT, State.PRINTING, State.PRINTED, State.POSTED,
                 State.RETURNED, State.FAILED)  # fmt: skip
LETTERS = f"{model.DOCUMENT_TYPE}|{model.LETTER}"


async def inbox(
    platform: Platform, scope: Scope, *, archived: bool = False, page: str | None = None, most: int = ON_A_PAGE
) -> tuple[Sequence[Letter], str | None]:
    """(the patient's letters, newest first; key of the next page). LET-57."""
    folder = "_tag" if archived else "_tag:not"
    query = [
        ("patient", _patient(scope)),
        ("category", LETTERS),
        (folder, f"{model.FOLDER}|{model.ARCHIVE}"),
        ("_sort", "-sent"),
        ("_count", str(most)),
        *([("_page", page)] if page else []),
    ]
    found = await platform.store.search(scope, "Communication", query)
    return [keeping.letter_of(one) for one in found.matches], found.next


async def unread(platform: Platform, scope: Scope) -> int:
    """How many letters nobody has opened, withdrawn and replaced ones left out."""
    states = ",".join(f"{model.STATE}|{state.value}" for state in UNREAD_STATES)
    query = [
        ("patient", _patient(scope)),
        ("category", LETTERS),
        ("received:missing", "true"),
        ("_tag", states),
        ("_summary", "count"),
    ]
    return (await platform.store.search(scope, "Communication", query)).total or 0


async def open_letter(platform: Platform, scope: Scope, letter_id: str) -> Letter:
    """The letter, marked as opened by whoever reads it (LET-06); for the same person once. Raises NotFound.

    Waiting notifications, reminders and deadlines end; one that waits for the printer is taken out of the batch
    (LET-07). What was withdrawn is not shown, and reading that it was so opens nothing (LET-51).
    """
    letter = await keeping.read(platform, scope, letter_id)
    if not letter.shown:
        raise NotFound.of(ABSENT)
    if letter.state is State.WITHDRAWN or _has_opened(letter, scope):
        return letter
    acting = scope.acting(keeping.SERVICE, keeping.BY_PATIENT)
    async with platform.store.transaction() as connection:
        # Locked first: from here on nobody hands it to the printer unless they hold it already.
        found = await keeping.locked(platform, acting, connection, [letter_id])
        if not found:
            raise NotFound.of(ABSENT)
        letter = found[0]
        if letter.state is State.WITHDRAWN or _has_opened(letter, scope):
            return letter
        letter = await _opened(platform, connection, letter, scope)
        await keeping.keep(platform, acting, connection, [letter])
    return letter


async def _opened(platform: Platform, connection: Any, letter: Letter, scope: Scope) -> Letter:
    now, who = platform.clock.now(), scope.actor
    opening = Opened(who.key, who.name, now, for_another=scope.acting_for is not None)
    opened = replace(letter, openings=(*letter.openings, opening))
    await jobs.cancel(connection, keeping.waiting_keys(letter.id))
    # A notification held back for the night (LET-22) would tell of what has been read.
    await outbox.cancel(connection, "notify", keeping.message_keys(letter.id))
    state = rules.after(letter.state, Action.OPEN)
    if letter.state is State.PRINTING:
        taken_out = await outbox.cancel(connection, "post", [keeping.print_key(letter.id)])
        state = State.OPENED if taken_out else letter.state
    if state is State.OPENED and letter.state is not State.OPENED:
        opened = replace(opened, deadline=None, reminder=None).moved(state, now, "opened", who.name)
    return opened


def _has_opened(letter: Letter, scope: Scope) -> bool:
    return any(opening.who == scope.actor.key for opening in letter.openings)


def paper_on_its_way(letter: Letter) -> bool:
    """LET-07: opened here after it went to the printer."""
    return letter.opened and letter.state in (State.PRINTING, State.PRINTED, State.POSTED, State.RETURNED)


async def archive(platform: Platform, scope: Scope, letter_id: str, archived: bool) -> None:
    """Put a letter away, or take it out again (LET-57). Raises NotFound."""
    acting = scope.acting(keeping.SERVICE, keeping.BY_PATIENT)
    async with platform.store.transaction() as connection:
        found = await keeping.locked(platform, acting, connection, [letter_id])
        if not found or not found[0].shown:
            raise NotFound.of(ABSENT)
        if found[0].archived != archived:
            await keeping.keep(platform, acting, connection, [replace(found[0], archived=archived)])


def _patient(scope: Scope) -> str:
    if scope.patient is None:
        raise NotFound.of(ABSENT)
    return scope.patient
