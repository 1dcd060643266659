"""What is under way to one who has died is stopped, and listed for the unit (FAM-16)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from varde.services.letters import following, keeping, rules
from varde.services.letters.keeping import ACTOR
from varde.services.letters.model import DOCUMENT_TYPE, LETTER, Letter
from varde.services.letters.rules import Action, State
from varde.work import jobs, outbox

if TYPE_CHECKING:
    from varde.services import Platform

_UNDER_WAY = frozenset({State.WAITING, State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT, State.PRINTING})
_AT_ONCE = "200"


async def stop_all(platform: Platform, connection: Any, patient_id: str) -> None:
    """Stop every letter to a patient that nobody has read and the printer does not hold, with all that waits for it."""
    scope, now = keeping.own_scope(platform), platform.clock.now()
    letters = await keeping.locked(platform, scope, connection, await _of_patient(platform, connection, patient_id))
    stopped: list[Letter] = []
    for letter in letters:
        if letter.state not in _UNDER_WAY:
            continue
        await jobs.cancel(connection, keeping.waiting_keys(letter.id))
        await outbox.cancel(connection, "notify", keeping.message_keys(letter.id))
        if letter.state is State.PRINTING and not await outbox.cancel(
            connection, "post", [keeping.print_key(letter.id)]
        ):
            continue
        failed = letter.moved(rules.after(letter.state, Action.FAIL), now, "dead", ACTOR)
        stopped.append(replace(failed, deadline=None, reminder=None))
    tasks = [following.problem_to_fhir(following.problem_of(one, "dead", now)) for one in stopped]
    if stopped:
        await keeping.keep(platform, scope, connection, stopped, tasks)


async def _of_patient(platform: Platform, connection: Any, patient_id: str) -> list[str]:
    query: list[tuple[str, str]] = [
        ("subject", f"Patient/{patient_id}"),
        ("category", f"{DOCUMENT_TYPE}|{LETTER}"),
        ("status", "in-progress,preparation,on-hold"),
        ("_count", _AT_ONCE),
    ]
    found: list[str] = []
    page_key: str | None = None
    while True:
        asked = [*query, ("_page", page_key)] if page_key else query
        page = await platform.store.search(keeping.own_scope(platform), "Communication", asked, connection=connection)
        found += [one.id for one in page.matches]
        page_key = page.next
        if page_key is None:
            return found
