"""Use cases of the access log for those who read it: the patient's page, one line of it, staff's own log.

Which rows may be read is `trust/log/reach.py`'s; names and titles are looked up through the reader's own scope, so
that nothing is named that they may not see. That the log was read is in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.services.family.log_words import done_in_words, moment_in_words, sort_of, title_of, who_in_words
from varde.trust.access import name_of
from varde.trust.audit import Unlogged
from varde.trust.grounds import GROUNDS
from varde.trust.log.lines import (
    Choice,
    Done,
    Line,
    Wanted,
    Who,
    choices,
    count,
    line_of,
    lines,
    moments,
)
from varde.trust.log.reach import EVENT, admit
from varde.web.languages import Speech, Words

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

_ = str  # marks messages for extraction

CHOICES_OF = timedelta(days=5 * 366)
"""How far back units and people are offered to filter by."""
EMERGENCY = "BTG"
DOWNLOADED = 50
"""Pages of lines that a download takes, at most."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A line in words."""

    id: int
    day: date
    first: datetime
    last: datetime
    who: str
    did: str
    why: str
    law: str
    allowed: bool
    emergency: bool
    kind: str
    """patient, representative, staff or system."""
    unit: str
    through: str
    patient: str = ""
    """Whose record it was, for staff's own log."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A page of the log."""

    lines: Sequence[Shown]
    next: str | None
    units: Sequence[Choice]
    people: Sequence[Choice]
    systems: int
    """Rows of what systems did, at most a thousand and one."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One single thing that was done, in words."""

    at: datetime
    did: str


async def overview(platform: Platform, scope: Scope, wanted: Wanted, before: str | None, speech: Speech) -> Overview:
    """The newest lines of the patient's log, or those before. Raises Forbidden, ValueError for no such mark."""
    await admit(scope, Interaction.SEARCH)
    async with platform.database.connection() as connection:
        page = await lines(connection, scope, wanted, before)
        units, people = await choices(connection, scope, platform.clock.now() - CHOICES_OF)
        systems = await count(connection, scope, Wanted(who=Who.SYSTEMS)) if wanted.who is Who.PEOPLE else 0
        shown = await in_words(platform, scope, page.lines, speech, connection)
    await _read(scope, wanted)
    return Overview(shown, page.next, units, people, systems)


async def everything(platform: Platform, scope: Scope, wanted: Wanted, speech: Speech) -> list[Shown]:
    """All lines that are asked for, for print and download."""
    await admit(scope, Interaction.SEARCH)
    found: list[Shown] = []
    before: str | None = None
    async with platform.database.connection() as connection:
        for _page in range(DOWNLOADED):
            page = await lines(connection, scope, wanted, before)
            found += await in_words(platform, scope, page.lines, speech, connection)
            before = page.next
            if before is None:
                break
    await _read(scope, wanted)
    return found


async def one(platform: Platform, scope: Scope, row: int, speech: Speech) -> tuple[Line, Shown, list[Moment]]:
    """One line with all that was done in it. Raises NotFound, Forbidden."""
    await admit(scope, Interaction.READ)
    async with platform.database.connection() as connection:
        line = await line_of(connection, scope, row)
        if line is None:
            await scope.record(Disclosure(Interaction.READ, EVENT, [], _patients(scope), allowed=False), None)
            raise NotFound.of("no such entry of the log")
        single = await moments(connection, scope, line)
        titles = await _titles(platform, scope, (r for m in single for r in m.references), speech, connection)
        (shown,) = await in_words(platform, scope, [line], speech, connection)
    await scope.record(Disclosure(Interaction.READ, EVENT, [f"audit-{row}"], _patients(scope)), None)
    told = [
        Moment(
            moment.at,
            moment_in_words(
                Done(moment.interaction, moment.type, 1, moment.references, len(moment.references)), titles, speech,
                allowed=line.allowed,
            ),
        )
        for moment in single
    ]  # fmt: skip
    return line, shown, told


async def own_log(
    platform: Platform, scope: Scope, before: str | None, speech: Speech
) -> tuple[list[Shown], str | None]:
    """What is logged about a member of staff. Patients are named only where the unit treats them still."""
    await admit(scope, Interaction.SEARCH)
    async with platform.database.connection() as connection:
        page = await lines(connection, scope, Wanted(who=Who.ALL), before)
        shown = await in_words(platform, scope, page.lines, speech, connection)
        names = await patient_names(platform, scope, {line.patient for line in page.lines}, connection)
    await scope.record(Disclosure(Interaction.SEARCH, EVENT, [], []), None)
    nobody = speech.gettext(_("en pasient"))
    several = speech.gettext(_("flere, eller ingen"))
    return [
        replace(said, patient=names.get(line.patient, nobody) if line.patient else several)
        for said, line in zip(shown, page.lines, strict=True)
    ], page.next


async def in_words(
    platform: Platform, scope: Scope, found: Sequence[Line], speech: Speech, connection: Any
) -> list[Shown]:
    """Lines as they are read."""
    titles = await _titles(platform, scope, (one for line in found for one in line.references), speech, connection)
    made = []
    for line in found:
        # A refusal keeps the ground that was asked on; what it met was that there was none.
        ground = GROUNDS.get(line.ground) if line.allowed else GROUNDS["none"]
        made.append(
            Shown(
                line.id, line.day, line.first, line.last, who_in_words(line, speech),
                done_in_words(line, titles, speech), ground.sentence[speech.language] if ground else "",
                f"{ground.law} {ground.section}" if ground else "", line.allowed,
                line.purpose == EMERGENCY, line.actor_kind, line.unit_name or "", line.through,
            )
        )  # fmt: skip
    return made


async def _titles(
    platform: Platform, scope: Scope, references: Iterable[str], speech: Speech, connection: Any
) -> dict[str, str]:
    """Titles of those of some things that the reader may see, by reference."""
    wanted: dict[str, set[str]] = {}
    for reference in references:
        kind, _, identifier = reference.partition("/")
        if sort_of(kind).named:
            wanted.setdefault(kind, set()).add(identifier)
    words = Words(speech.language, platform.clock.now())
    found: dict[str, str] = {}
    for kind, resource in await _seen(platform, scope, wanted, connection):
        found[f"{kind}/{resource['id']}"] = title_of(resource, words)
    return found


async def _seen(
    platform: Platform, scope: Scope, wanted: Mapping[str, set[str]], connection: Any
) -> list[tuple[str, dict[str, Any]]]:
    silent = replace(scope, log=Unlogged(), grant=None)
    found = []
    for kind, identifiers in wanted.items():
        if not silent.allows(Interaction.SEARCH, kind):
            continue
        query = [("_id", ",".join(sorted(identifiers))), ("_count", str(len(identifiers)))]
        page = await platform.store.search(silent, kind, query, connection=connection)
        found += [(kind, match.resource) for match in page.matches]
    return found


async def patient_names(
    platform: Platform, scope: Scope, rids: Iterable[int | None], connection: Any
) -> dict[int, str]:
    """Names of those of some patients, by rid, that the scope may see."""
    known = await connection.fetch(
        "select rid, id from resource where rid = any($1::bigint[])", [rid for rid in rids if rid is not None]
    )
    identifiers = {row["id"]: row["rid"] for row in known}
    if not identifiers:
        return {}
    found = await _seen(platform, scope, {"Patient": set(identifiers)}, connection)
    return {identifiers[resource["id"]]: name_of(resource) for _, resource in found}


async def names_for_auditor(platform: Platform, rids: Sequence[int]) -> dict[int, str]:
    """Names of patients for who follows up the log. The caller logs that they were shown."""
    scope = replace(platform.access.for_system("log", types=frozenset({"Patient"})), log=Unlogged())
    async with platform.database.connection() as connection:
        return await patient_names(platform, scope, rids, connection)


def _patients(scope: Scope) -> list[int]:
    return [resource_key("Patient", scope.patient)] if scope.patient else []


async def _read(scope: Scope, wanted: Wanted) -> None:
    """Reading the log is logged; what was asked for is named, never with its values."""
    names = [name for name in ("unit", "actor", "types", "since", "until", "words") if getattr(wanted, name)]
    query = "&".join(f"{name}=" for name in names)
    await scope.record(Disclosure(Interaction.SEARCH, EVENT, [], _patients(scope), query=query), None)
