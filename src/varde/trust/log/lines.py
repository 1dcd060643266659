"""The access log as lines that a person reads: what one person did on one day at one place is one line.

Reads rows; what a line says in words is the pages'. A page of lines takes whole days, as many as hold about
`WINDOW` rows, so that its cost does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from varde.clock import OSLO
from varde.fhir.gate import Parameters
from varde.trust.log.reach import Columns, condition, own, references_of
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope

WINDOW = 500
"""Rows that a page of lines looks at, about."""
LINES = 40
SAMPLES = 3
"""Things of one kind that a line names; the rest are counted."""


class Who(StrEnum):
    """Whose doings are asked for."""

    PEOPLE = "people"
    """Staff, and those who act for the patient: what the page is for."""
    OWN = "own"
    SYSTEMS = "systems"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks the log for; all of it must hold."""

    who: Who = Who.PEOPLE
    unit: str | None = None
    """Id of an Organization."""
    actor: str | None = None
    types: frozenset[str] | None = None
    since: date | None = None
    until: date | None = None
    """Inclusive, as people say it."""
    words: str = ""
    """Anything of a name, a role or a unit."""
    refused: bool = False
    """Only what was refused."""
    emergencies: bool = False
    """Only emergency access (FAM-34)."""
    patient: int | None = None
    """rid of a Patient, for readers of more than one's log."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to things of one type, within a line."""

    interaction: str
    type: str
    times: int
    named: tuple[str, ...]
    """References of some of them, newest first."""
    things: int
    """How many were named in all, some of them perhaps more than once."""


@dataclass(slots=True)
class Line:
    """What one actor did on one day, on one ground."""

    id: int
    """Of its newest row: what a link to the line names."""
    day: date
    first: datetime
    last: datetime
    actor_kind: str
    actor: str
    name: str
    """Empty for one whose name is not told (FAM-41)."""
    role: str
    unit: str | None
    unit_name: str | None
    acting_for: str | None
    purpose: str
    ground: str
    allowed: bool
    through: str
    patient: int | None
    done: list[Done] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Names the line whatever is added to it later that day; tells nothing of what is in it."""
        same = (self.day.isoformat(), *(str(getattr(self, name)) for name in _SAME))
        return sha256("\x1f".join(same).encode()).hexdigest()[:32]

    @property
    def references(self) -> list[str]:
        """All that is named in it."""
        return [one for done in self.done for one in done.named]


@dataclass(frozen=True, slots=True)
class Lines:
    """One page of lines. `next` is given back as `before` for the following one."""

    lines: Sequence[Line]
    next: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Somebody or some unit that stands in a log, to filter by."""

    key: str
    name: str


_THROUGH = "case when starts_with(a.through, 'Varde: ') then 'Varde' else a.through end"
"""Which of Varde's own services it was tells a reader nothing that what was done does not."""
_SAME = ("actor_kind", "actor", "name", "role", "unit", "unit_name", "acting_for", "purpose", "ground", "allowed",
         "through", "patient")  # fmt: skip


def _asked(scope: Scope, wanted: Wanted, parameters: Parameters) -> str:
    """The rows of the log named `a` that may be read and are asked for."""
    columns = Columns.of(scope, "a")
    parts = [condition(scope, "a", parameters, people=wanted.who is Who.PEOPLE)]
    if wanted.who is Who.PEOPLE:
        parts.append(f"a.actor_kind <> 'system' and not ({own(scope, 'a', parameters)})")
    elif wanted.who is Who.OWN:
        parts.append(own(scope, "a", parameters))
    elif wanted.who is Who.SYSTEMS:
        parts.append("a.actor_kind = 'system'")
    if scope.actor.kind is ActorKind.STAFF:
        # A list of several patients stands in each one's log, and once as a whole: that is what its reader did.
        parts.append(f"(({columns.patient}) is null or a.interaction <> 'search' or a.resource_ids <> '{{}}')")
    if wanted.unit is not None:
        parts.append(f"a.unit = {parameters.add(wanted.unit)}")
    if wanted.actor is not None:
        parts.append(f"({columns.actor}) = {parameters.add(wanted.actor)}")
    if wanted.types is not None:
        parts.append(f"a.resource_type = any({parameters.add(sorted(wanted.types))}::text[])")
    if wanted.since is not None:
        parts.append(f"a.at >= {parameters.add(_start(wanted.since))}")
    if wanted.until is not None:
        parts.append(f"a.at < {parameters.add(_start(wanted.until + timedelta(days=1)))}")
    if wanted.refused:
        parts.append("not a.allowed")
    if wanted.emergencies:
        parts.append("a.purpose = 'BTG'")
    if wanted.patient is not None:
        parts.append(f"({columns.patient}) = {parameters.add(wanted.patient)}::bigint")
    for word in wanted.words.split()[:5]:
        pattern = parameters.add(f"%{_literal(word)}%")
        parts.append(f"concat_ws(' ', {columns.name}, {columns.role}, a.unit_name) ilike {pattern}")
    return " and ".join(parts)


def _literal(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _start(day: date) -> datetime:
    """Midnight in Norway, when the day begins."""
    return datetime.combine(day, time(), OSLO)


async def lines(connection: Any, scope: Scope, wanted: Wanted, before: str | None = None) -> Lines:
    """The newest lines, or those before `Lines.next`. Raises ValueError for what is no such mark."""
    mark = datetime.fromisoformat(before) if before else None
    if mark is not None and mark.tzinfo is None:
        raise ValueError("a mark of the log has a time zone")
    parameters = Parameters()
    asked = _asked(scope, wanted, parameters)
    # The day of the mark is read whole again: what came before it within the day may stand in a line begun there.
    ceiling = None
    if mark is not None:
        last = (mark - timedelta(microseconds=1)).astimezone(OSLO).date()
        ceiling = _start(last + timedelta(days=1))
    if ceiling is not None:
        asked += f" and a.at < {parameters.add(ceiling)}"
    oldest = await connection.fetchval(
        f"select a.at from trust_audit a where {asked} order by a.at desc offset {WINDOW} limit 1", *parameters.values
    )
    floor = None if oldest is None else _start(oldest.astimezone(OSLO).date())
    if floor is not None:
        asked += f" and a.at >= {parameters.add(floor)}"
    grouped = _grouped(scope, asked)
    if mark is not None:
        grouped = f"select * from ({grouped}) found where latest < {parameters.add(mark)}"
    rows = await connection.fetch(f"{grouped} order by latest desc, id desc", *parameters.values)
    made = _made(rows)
    if len(made) > LINES:
        return Lines(made[:LINES], made[LINES - 1].last.isoformat())
    following = None if floor is None else floor.isoformat()
    if not made and following is not None:  # all of this window stands on pages before
        return await lines(connection, scope, wanted, following)
    return Lines(made, following)


def _grouped(scope: Scope, asked: str) -> str:
    columns = Columns.of(scope, "a")
    told = (
        f"a.actor_kind, a.unit, a.unit_name, a.acting_for, a.purpose, a.ground, a.allowed, {_THROUGH} as through,"
        f" {columns.patient} as patient,"
        f" a.interaction, a.resource_type, a.id, a.at, {columns.things} as resource_ids,"
        f" {columns.actor} as actor, {columns.name} as name, {columns.role} as role,"
        " (a.at at time zone 'Europe/Oslo')::date as day"
    )
    same = ", ".join(("day", *_SAME))
    return (
        f"select {same}, interaction, resource_type, count(*) as times, min(at) as first, max(at) as last,"
        " max(id) as id, coalesce(sum(cardinality(resource_ids)), 0) as things,"
        f" (array_agg(array_to_string(resource_ids[1:{SAMPLES}], ' ') order by at desc)"
        f" filter (where resource_ids <> '{{}}'))[1:{SAMPLES * 4}] as named,"
        f" max(max(at)) over (partition by {same}) as latest"
        f" from (select {told} from trust_audit a where {asked}) told group by {same}, interaction, resource_type"
    )


def _made(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    found: dict[tuple[Any, ...], Line] = {}
    for row in rows:
        key = (row["day"], *(row[name] for name in _SAME))
        line = found.get(key)
        if line is None:
            same = {name: row[name] for name in _SAME}
            line = found[key] = Line(id=row["id"], day=row["day"], first=row["first"], last=row["last"], **same)
        line.id, line.first, line.last = (
            max(line.id, row["id"]), min(line.first, row["first"]), max(line.last, row["last"])
        )  # fmt: skip
        line.done.append(_done(row))
    return sorted(found.values(), key=lambda line: (line.last, line.id), reverse=True)


def _done(row: Mapping[str, Any]) -> Done:
    named: dict[str, None] = {}
    for several in row["named"] or ():
        for one in references_of({"resource_type": row["resource_type"], "resource_ids": several.split(" ")}):
            named.setdefault(one)
    return Done(row["interaction"], row["resource_type"], row["times"], tuple(named)[:SAMPLES], int(row["things"]))


async def line_of(connection: Any, scope: Scope, row: int) -> Line | None:
    """The line in which a row of the log stands; None for one that may not be read."""
    parameters = Parameters()
    open_rows = condition(scope, "a", parameters)
    columns = Columns.of(scope, "a")
    found = await connection.fetchrow(
        f"select a.*, {columns.actor} as told_actor, {columns.name} as told_name, {columns.role} as told_role,"
        f" {_THROUGH} as told_through, {columns.patient} as told_patient from trust_audit a"
        f" where a.id = {parameters.add(row)}::bigint and {open_rows}",
        *parameters.values,
    )
    if found is None:
        return None
    day = found["at"].astimezone(OSLO).date()
    parameters = Parameters()
    told = {"actor": "told_actor", "name": "told_name", "role": "told_role", "through": "told_through",
            "patient": "told_patient"}  # fmt: skip
    asked = condition(scope, "a", parameters)
    asked += f" and a.at >= {parameters.add(_start(day))} and a.at < {parameters.add(_start(day + timedelta(days=1)))}"
    tests = " and ".join(f"{name} is not distinct from {parameters.add(found[told.get(name, name)])}" for name in _SAME)
    rows = await connection.fetch(f"select * from ({_grouped(scope, asked)}) found where {tests}", *parameters.values)
    made = _made(rows)
    return made[0] if made else None


@dataclass(frozen=True, slots=True)
class Moment:
    """One row of a line: one thing that was done."""

    at: datetime
    interaction: str
    type: str
    references: tuple[str, ...]


async def who_did(connection: Any, rows: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(HPR number or id, name) behind rows of the log, also of staff under threat: for those who answer for them."""
    found = await connection.fetch(
        "select id, actor, actor_name from trust_audit where id = any($1::bigint[])", list(rows)
    )
    return {row["id"]: (row["actor"], row["actor_name"]) for row in found}


async def moments(connection: Any, scope: Scope, line: Line, most: int = 200) -> list[Moment]:
    """The single rows of a line, newest first."""
    parameters = Parameters()
    columns = Columns.of(scope, "a")
    names = {"actor": columns.actor, "name": columns.name, "role": columns.role, "through": _THROUGH,
             "patient": columns.patient}  # fmt: skip
    tests = " and ".join(
        f"({names.get(name) or f'a.{name}'}) is not distinct from {parameters.add(getattr(line, name))}"
        for name in _SAME
    )
    asked = condition(scope, "a", parameters)
    start, end = parameters.add(_start(line.day)), parameters.add(_start(line.day + timedelta(days=1)))
    rows = await connection.fetch(
        f"select a.at, a.interaction, a.resource_type, {columns.things} as resource_ids from trust_audit a"
        f" where {asked} and a.at >= {start} and a.at < {end} and {tests}"
        f" order by a.at desc, a.id desc limit {int(most)}",
        *parameters.values,
    )
    return [Moment(row["at"], row["interaction"], row["resource_type"], tuple(references_of(row))) for row in rows]


async def count(connection: Any, scope: Scope, wanted: Wanted, most: int = 1000) -> int:
    """How many rows are asked for; more than `most` are not counted."""
    parameters = Parameters()
    asked = _asked(scope, wanted, parameters)
    return int(
        await connection.fetchval(
            f"select count(*) from (select 1 from trust_audit a where {asked} limit {most + 1}) found",
            *parameters.values,
        )
    )


async def choices(connection: Any, scope: Scope, since: datetime) -> tuple[list[Choice], list[Choice]]:
    """(units, people) that stand in the log since then, by name: what the page offers to filter by."""
    parameters = Parameters()
    asked = _asked(scope, Wanted(), parameters)
    columns = Columns.of(scope, "a")
    rows = await connection.fetch(
        f"select distinct unit, unit_name, actor, name from (select a.unit, a.unit_name, {columns.actor} as actor,"
        f" {columns.name} as name from trust_audit a where {asked} and a.at >= {parameters.add(since)}) told",
        *parameters.values,
    )
    units = {row["unit"]: row["unit_name"] or row["unit"] for row in rows if row["unit"]}
    people = {row["actor"]: row["name"] for row in rows if row["actor"] and row["name"]}
    return _sorted(units), _sorted(people)


def _sorted(named: Mapping[str, str]) -> list[Choice]:
    return [Choice(key, name) for key, name in sorted(named.items(), key=lambda one: one[1].casefold())]
