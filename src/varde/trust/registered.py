"""Asks for the facts of `mandates.py`: one statement for what is at hand, and the register for what is not.

An answer of the register is kept for `fresh`, an hour at most (FAM-15), by its number, without name and address; it
is forgotten at once when the register tells of a change (`forget`, called by population.py). An answer that is too
old is never used, register away or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from varde.clock import Clock
from varde.db import Connection, Database
from varde.trust.granted import decision_of
from varde.trust.law.mandate import Facts
from varde.trust.law.things import Thing
from varde.trust.mandates import Bound, FamilyRegister, Guardian, Party, Relative, facts_of

LONGEST = timedelta(hours=1)
"""How old the register's answer may be (FAM-15)."""

_ASK = """
with near as (
    select number, known from trust_relative where number = any($1::text[]) and asked > $2 and asked <= $3
), parents as (
    select r.number, r.known from trust_relative r
     where r.asked > $2 and r.asked <= $3 and r.number = any(array(
           select jsonb_array_elements_text(near.known -> 'parents') from near where near.known is not null))
)
select (select coalesce(jsonb_object_agg(number, coalesce(known, 'null'::jsonb)), '{}'::jsonb)
          from (select * from near union select * from parents) as answers)::text as known,
       (select coalesce(jsonb_agg(to_jsonb(d)), '[]'::jsonb) from trust_decision d
         where d.patient = any($4::text[]) or d.receiver = any($4::text[]))::text as decided"""


class RegisteredMandates:
    """`Mandates` over a database and a population register. One a process."""

    def __init__(
        self, database: Database, clock: Clock, register: FamilyRegister, *, fresh: timedelta = LONGEST
    ) -> None:
        """`fresh`: how long an answer is used; zero asks the register every time. Raises ValueError above an hour."""
        if fresh > LONGEST:
            raise ValueError("an answer of the register is used for an hour at most (FAM-15)")
        self._database = database
        self._clock = clock
        self._register = register
        self._fresh = fresh

    async def facts(self, asker: Party, patient: Party) -> Facts:
        """See `Mandates`."""
        now = self._clock.now()
        itself = asker.id == patient.id
        wanted = [] if itself else [asker.number, patient.number]
        known, decided = await self._at_hand(wanted or [patient.number], [patient.id], now)
        if not itself:
            known = await self._completed(known, wanted, now)
            # Where the parents are registered decides which kind of parent one is (FAM-02); only of children is it so.
            child = known.get(patient.number)
            known = await self._completed(known, list(child.parents) if child is not None else [], now)
        relatives = {number: relative for number, relative in known.items() if relative is not None}
        return facts_of(asker, patient, relatives, map(decision_of, decided), now)

    async def whom(self, asker: Party) -> Bound:
        """See `Mandates`."""
        known, decided = await self._around(asker)
        powers = [row["patient"] for row in decided if row["receiver"] == asker.id and not row["withdrawn"]]
        numbers = (*known.children, *known.wards) if known is not None else ()
        return Bound(tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(powers)))

    async def who(self, patient: Party) -> Bound:
        """See `Mandates`."""
        known, decided = await self._around(patient)
        powers = [
            row["receiver"]
            for row in decided
            if row["patient"] == patient.id and row["receiver"] is not None and not row["withdrawn"]
        ]
        numbers = (*known.parents, *(one.number for one in known.guardians)) if known is not None else ()
        return Bound(tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(powers)))

    async def _around(self, party: Party) -> tuple[Relative | None, list[dict[str, Any]]]:
        now = self._clock.now()
        known, decided = await self._at_hand([party.number], [party.id], now)
        return (await self._completed(known, [party.number], now)).get(party.number), decided

    async def _at_hand(
        self, numbers: Sequence[str], patients: Sequence[str], now: datetime
    ) -> tuple[dict[str, Relative | None], list[dict[str, Any]]]:
        """(what was asked of the register lately, by number; rows of trust_decision of the patients)."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_ASK, list(numbers), now - self._fresh, now, list(patients))
        known = {number: _relative(one) for number, one in orjson.loads(row["known"]).items()}
        return known, [_moments(one) for one in orjson.loads(row["decided"])]

    async def _completed(
        self, known: dict[str, Relative | None], numbers: Sequence[str], now: datetime
    ) -> dict[str, Relative | None]:
        """With the register's answer for those of `numbers` of whom nothing is at hand. Raises Unavailable."""
        missing = sorted({number for number in numbers if number not in known})
        if not missing:
            return known
        answered = await self._register.relatives(missing)
        if self._fresh:
            await self._keep(missing, answered, now)
        return {**known, **{number: answered.get(number) for number in missing}}

    async def _keep(self, numbers: Sequence[str], answered: Mapping[str, Relative], now: datetime) -> None:
        records = [_json(answered.get(number)) for number in numbers]
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into trust_relative (number, asked, known)"
                " select number, $2, known::jsonb from unnest($1::text[], $3::text[]) as one(number, known)"
                " on conflict (number) do update set asked = excluded.asked, known = excluded.known"
                " where trust_relative.asked <= excluded.asked",
                list(numbers), now, records,
            )  # fmt: skip


async def forget(connection: Connection, numbers: Sequence[str]) -> None:
    """Ask the register anew about these persons, by any of their numbers, and about those bound to them."""
    await connection.execute(
        "delete from trust_relative where number = any($1::text[]) or known ->> 'number' = any($1::text[])"
        " or known -> 'former' ?| $1::text[] or known -> 'parents' ?| $1::text[]"
        " or known -> 'children' ?| $1::text[]",
        list(numbers),
    )


async def sweep(connection: Connection, now: datetime) -> int:
    """Take away answers that may not be used any more; how many."""
    done: str = await connection.execute("delete from trust_relative where asked <= $1", now - LONGEST)
    return int(done.rpartition(" ")[2])


def _json(relative: Relative | None) -> str | None:
    if relative is None:
        return None
    made: str = orjson.dumps(
        {
            "number": relative.number, "former": relative.former, "dead": relative.dead,
            "protected": relative.protected, "placed": relative.placed, "home": relative.home,
            "parents": relative.parents, "children": relative.children, "wards": relative.wards,
            "guardians": [
                {
                    "number": one.number, "starts": one.starts, "ends": one.ends,
                    "areas": None if one.areas is None else sorted(one.areas),
                }
                for one in relative.guardians
            ],
        }
    ).decode()  # fmt: skip
    return made


def _relative(kept: Mapping[str, Any] | None) -> Relative | None:
    if kept is None:
        return None
    return Relative(
        kept["number"], tuple(kept["former"]), kept["dead"], kept["protected"], kept["placed"], kept["home"],
        tuple(kept["parents"]), tuple(kept["children"]),
        tuple(
            Guardian(
                one["number"],
                None if one["areas"] is None else frozenset(map(Thing, one["areas"])),
                _day(one["starts"]),
                _day(one["ends"]),
            )
            for one in kept["guardians"]
        ),
        tuple(kept["wards"]),
    )  # fmt: skip


def _day(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text).date()


def _moments(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON with its moments read."""
    names = ("decided", "starts", "ends")
    return row | {name: None if row[name] is None else datetime.fromisoformat(row[name]) for name in names}
