"""Which coming appointments a unit has, and which of them a letter stands about: a derived table, kept in the
store's own transaction. It gives ids and numbers alone; what is shown is read through a scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.services.letters.cases import start_of

OPEN = frozenset({"booked", "pending"})
"""Statuses of an appointment that a letter may summon to."""
STANDS = frozenset({"preparation", "in-progress", "completed", "on-hold"})
"""Statuses of a letter that stands: one that was withdrawn or failed leaves its appointment to be called again."""

_WITHOUT = """
from letters_appointment a where a.unit = $1 and a.starts > $2
    and not exists (select 1 from letters_about l where l.appointment = a.appointment)
"""


class Called:
    """The projection."""

    types = frozenset({"Appointment", "Communication"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the tables after appointments and letters were written."""
        appointments = [row for row in rows if row.type == "Appointment"]
        if appointments:
            await _appointments(connection, appointments)
        letters = [row for row in rows if row.type == "Communication"]
        if letters:
            await _letters(connection, letters)


async def _appointments(connection: Any, rows: Sequence[ProjectedRow]) -> None:
    changed = [row.rid for row in rows if row.old is not None]
    if changed:
        await connection.execute("delete from letters_appointment where appointment = any($1::bigint[])", changed)
    found = [
        (row.rid, unit, start, row.id) for row in rows if row.new is not None for unit, start in _of_units(row.new)
    ]
    if found:
        await connection.execute(
            "insert into letters_appointment (appointment, unit, starts, id)"
            " select * from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[]) on conflict do nothing",
            *(list(column) for column in zip(*found, strict=True)),
        )


async def _letters(connection: Any, rows: Sequence[ProjectedRow]) -> None:
    about = {row.rid: _about(row.new) for row in rows}
    gone = [row.rid for row in rows if row.old is not None and about[row.rid] is None]
    if gone:
        await connection.execute("delete from letters_about where letter = any($1::bigint[])", gone)
    standing = [(letter, appointment) for letter, appointment in about.items() if appointment is not None]
    if standing:
        await connection.execute(
            "insert into letters_about (letter, appointment) select * from unnest($1::bigint[], $2::bigint[])"
            " on conflict (letter) do update set appointment = excluded.appointment"
            " where letters_about.appointment <> excluded.appointment",
            *(list(column) for column in zip(*standing, strict=True)),
        )


def _of_units(appointment: Mapping[str, Any]) -> list[tuple[str, datetime]]:
    try:
        start = start_of(appointment)
    except ValueError:
        return []
    if start is None or start.tzinfo is None or appointment.get("status") not in OPEN:
        return []
    references = [str(one.get("reference", "")) for one in appointment.get("supportingInformation", ())]
    units = {one.removeprefix("Organization/") for one in references if one.startswith("Organization/")}
    return [(unit, start) for unit in sorted(units)]


def _about(letter: Mapping[str, Any] | None) -> int | None:
    """rid of the appointment that a letter stands about."""
    if letter is None or letter.get("status") not in STANDS:
        return None
    for reference in letter.get("basedOn", ()):
        kind, _, identifier = str(reference.get("reference", "")).partition("/")
        if kind == "Appointment" and identifier:
            return resource_key("Appointment", identifier)
    return None


async def without_letter(connection: Any, unit: str, now: datetime, most: int) -> list[str]:
    """Ids of the unit's coming appointments that no letter stands about, soonest first."""
    rows = await connection.fetch(f"select a.id {_WITHOUT} order by a.starts, a.appointment limit $3", unit, now, most)
    return [row["id"] for row in rows]


async def count_without_letter(connection: Any, unit: str, now: datetime) -> int:
    """How many they are."""
    return int(await connection.fetchval(f"select count(*) {_WITHOUT}", unit, now))


async def called(connection: Any, appointments: Sequence[str]) -> set[str]:
    """Those of these appointments that a letter stands about."""
    keys = {resource_key("Appointment", one): one for one in appointments}
    rows = await connection.fetch("select appointment from letters_about where appointment = any($1)", list(keys))
    return {keys[row["appointment"]] for row in rows}
