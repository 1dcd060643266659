"""What staff do to a letter that is sent: withdraw it (LET-51), replace it (LET-52), note that it came back (LET-11).
Through the staff member's own scope, and only for letters of their own unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Conflict, NotFound
from varde.fhir.store import ABSENT
from varde.services.letters import keeping, receipts, rules, sending, worklist
from varde.services.letters.cases import gather, read_unit
from varde.services.letters.library import template
from varde.services.letters.model import Letter
from varde.services.letters.rules import Action, State
from varde.work import jobs, outbox

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope


async def withdraw(platform: Platform, scope: Scope, letter_id: str, reason: str) -> None:
    """Take a letter back before it is opened or printed; the patient sees that it was, and why (LET-51).

    Raises NotFound, NotAllowed when it is too late.
    """
    acting, now = _acting(scope), platform.clock.now()
    async with platform.store.transaction() as connection:
        letter = await _mine(platform, acting, connection, letter_id)
        state = rules.after(letter.state, Action.WITHDRAW, opened=letter.opened)
        await _stop(connection, letter)
        withdrawn = replace(letter, withdrawn_reason=reason, deadline=None, reminder=None)
        withdrawn = withdrawn.moved(state, now, "withdrawn", scope.actor.name)
        done = await worklist.settled(platform, acting, connection, letter)
        await keeping.keep(platform, acting, connection, [withdrawn], done)


async def mark_returned(platform: Platform, scope: Scope, letter_id: str) -> None:
    """The envelope came back to the ward (LET-11). Raises NotFound, NotAllowed when it was never posted."""
    acting, now = _acting(scope), platform.clock.now()
    async with platform.store.transaction() as connection:
        letter = await _mine(platform, acting, connection, letter_id)
        if letter.state is State.RETURNED:
            return
        state = rules.after(letter.state, Action.RETURN)
        returned = letter.moved(state, now, "returned-to-ward", scope.actor.name)
        others = await receipts.came_back(platform, connection, returned, now)
        await keeping.keep(platform, acting, connection, [returned], others)


async def change(platform: Platform, scope: Scope, letter_id: str, values: Mapping[str, str], key: str) -> Letter:
    """Send a corrected letter about the same appointment in place of one; both stay readable, the old one marked
    (LET-52). The same key gives the same letter (LET-53).

    Raises NotFound, NotAllowed, MissingContent's faults as Conflict when it cannot be made, RegisterUnavailable.
    """
    acting, now = _acting(scope), platform.clock.now()
    async with platform.store.transaction() as connection:
        letter = await _mine(platform, acting, connection, letter_id)
        if letter.replaced_by is not None:
            return (await keeping.locked(platform, acting, connection, [letter.replaced_by]))[0]
        state = rules.after(letter.state, Action.REPLACE)
        unit = await read_unit(platform, connection, letter.unit_id)
        cases = await gather(platform, acting, connection, [letter.appointment or ""], unit)
        writing = sending.Writing(
            template=template(letter.template), values=values, key=key, actor=scope.actor.name, replaces=letter.id
        )
        made = await sending.deliver(platform, acting, connection, cases, writing)
        if not made.letters:
            raise Conflict.of("the corrected letter cannot be made")
        await _stop(connection, letter)
        old = _replaced(letter, made.letters[0], state, now, scope.actor.name)
        done = await worklist.settled(platform, acting, connection, letter)
        await keeping.keep(platform, acting, connection, [old], done)
        return made.letters[0]


def _replaced(letter: Letter, by: Letter, state: State, now: datetime, actor: str) -> Letter:
    marked = replace(letter, replaced_by=by.id, deadline=None, reminder=None)
    return marked.moved(state, now, "replaced", actor)


async def _stop(connection: Any, letter: Letter) -> None:
    """End all that waits for a letter, notifications that have not gone with it."""
    await jobs.cancel(connection, keeping.waiting_keys(letter.id))
    await outbox.cancel(connection, "notify", keeping.message_keys(letter.id))


async def _mine(platform: Platform, acting: Scope, connection: Any, letter_id: str) -> Letter:
    found = await keeping.locked(platform, acting, connection, [letter_id])
    if not found or found[0].unit_id != acting.actor.unit:
        raise NotFound.of(ABSENT)
    return found[0]


def _acting(scope: Scope) -> Scope:
    return scope.acting(keeping.SERVICE, keeping.BY_STAFF)
