"""The unit's lists: the day's letters with their counts, and what a person must see to. Through the reader's scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import NotFound
from varde.fhir.store import ABSENT
from varde.services.letters import following, keeping, model
from varde.services.letters.following import Problem
from varde.services.letters.model import Letter
from varde.services.letters.rules import State
from varde.services.letters.views import Filters

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

ON_A_PAGE = 50
PROBLEMS_OF_A_LETTER = ("no-address", "returned", "dead", "emigrated", "failed", "refused", "telephone", "unknown",
                        "protected", "withheld", "appointment-changed")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """A letter in a list, with what the list says of its patient and appointment."""

    letter: Letter
    born: date | None = None
    appointment: datetime | None = None


async def letters(platform: Platform, scope: Scope, filters: Filters) -> tuple[Sequence[Listed], str | None]:
    """(a page of the unit's letters, newest first; key of the next page)."""
    query = _narrowed(scope, filters)
    page = [("_page", filters.page)] if filters.page else []
    asked = [*query, ("_sort", "-sent"), ("_count", str(ON_A_PAGE)), ("_include", "Communication:subject:Patient")]
    found = await platform.store.search(scope, "Communication", [*asked, *page])
    people = {e.stored.id: e.stored.resource for e in found.entries if e.mode == "include"}
    return [_listed(keeping.letter_of(one), people) for one in found.matches], found.next


def _listed(letter: Letter, people: Mapping[str, Mapping[str, Any]]) -> Listed:
    born = people.get(letter.patient, {}).get("birthDate")
    return Listed(letter, date.fromisoformat(born) if born else None, letter.appointment_start)


def _narrowed(scope: Scope, filters: Filters) -> list[tuple[str, str]]:
    unit = _unit(scope)
    if filters.state:
        query = [("_tag", f"{model.UNIT_STATE}|{model.unit_state(unit, filters.state)}")]
    else:
        query = [("_tag", f"{model.UNIT}|{unit}")]
    if filters.kind:
        query.append(("category", f"{model.KIND}|{filters.kind}"))
    if filters.day:
        query.append(("sent", filters.day))
    return query


async def counts(platform: Platform, scope: Scope, filters: Filters) -> Mapping[str, int]:
    """How many of the unit's letters are in each state, narrowed by kind and day."""
    found = {}
    for state in State:
        query = _narrowed(scope, replace(filters, state=state.value))
        page = await platform.store.search(scope, "Communication", [*query, ("_summary", "count")])
        if page.total:
            found[state.value] = page.total
    return found


async def letter(platform: Platform, scope: Scope, letter_id: str) -> Listed:
    """One letter of the reader's unit. Raises NotFound."""
    found = await keeping.read(platform, scope, letter_id)
    if found.unit_id != _unit(scope):
        raise NotFound.of(ABSENT)
    patient = (await platform.store.read(scope, "Patient", found.patient)).resource
    return _listed(found, {found.patient: patient})


async def problems(platform: Platform, scope: Scope, page: str | None = None) -> tuple[Sequence[Problem], str | None]:
    """(a page of what the unit must see to, oldest first; key of the next page)."""
    query = [
        ("_tag", f"{following.ATTENTION}|{_unit(scope)}"),
        ("_sort", "authored-on"),
        ("_count", str(ON_A_PAGE)),
        *([("_page", page)] if page else []),
    ]
    found = await platform.store.search(scope, "Task", query)
    return [following.problem_from_fhir(one.resource) for one in found.matches], found.next


async def attention(platform: Platform, scope: Scope) -> int:
    """How many things the unit must see to."""
    query = [("_tag", f"{following.ATTENTION}|{_unit(scope)}"), ("_summary", "count")]
    return (await platform.store.search(scope, "Task", query)).total or 0


async def settled(platform: Platform, scope: Scope, connection: Any, about: Letter) -> list[Mapping[str, Any]]:
    """The open tasks about a letter, as done: it was withdrawn or replaced."""
    wanted = [following.problem_of(about, kind, platform.clock.now()).id for kind in PROBLEMS_OF_A_LETTER]
    found = await platform.store.read_many(scope, "Task", wanted, connection=connection, for_update=True)
    read = [following.problem_from_fhir(one.resource) for one in found.values()]
    return [following.problem_to_fhir(replace(one, done=True)) for one in read if not one.done]


def _unit(scope: Scope) -> str:
    if scope.actor.unit is None:
        raise NotFound.of(ABSENT)
    return scope.actor.unit
