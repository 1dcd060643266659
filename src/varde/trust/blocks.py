"""Blocks and reservations by the patient (FAM-32, FAM-33, FAM-36; pbrl § 5-3): the Consents that hold them, kept as
small tables in the store's own transaction, and the SQL that hides. What single blocks take in is `hidden.py`'s.

Staff are bound, and every system outside the house: nobody works there whom the patient could have let in. The patient
and those who act for them see what is blocked, and so do the house's own jobs, which show it to nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.fhir.definitions import compartment_parameters, resource_types, type_number
from varde.fhir.errors import Unprocessable
from varde.fhir.gate import Parameters
from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.fhir.search.dates import OPEN_HIGH
from varde.trust import consents, emergency, hidden
from varde.trust.consents import Block, Reservation
from varde.trust.law.marks import FROM_STAFF, RESTRICTION, label
from varde.trust.policy import ActorKind
from varde.trust.units import within

if TYPE_CHECKING:
    from varde.trust.scope import Scope

YOUNG = timedelta(minutes=15)
"""Longer than any transaction that writes: how long `mend` looks after a block that was made."""
_NORS = label(RESTRICTION, FROM_STAFF)


def condition(scope: Scope, alias: str, parameters: Parameters, *, writing: bool = False) -> str:
    """SQL that is false for a row (see Gate.predicate) that a patient's block hides from whoever asks; "true" where no
    block can. A row of a patient without blocks costs one look into an index. `writing`: for a new row too, of which
    no origin is known yet."""
    actor = scope.actor
    if scope.purpose == emergency.PURPOSE:
        return emergency.condition(scope, alias, parameters)
    if actor.kind is not ActorKind.STAFF and (actor.kind is not ActorKind.SYSTEM or scope.grant is None):
        return "true"
    now = f"{parameters.add(scope.clock.now())}::timestamptz"
    unit = None if actor.unit is None else f"{parameters.add(actor.unit)}::text"
    hpr = f"{parameters.add(actor.key)}::text" if actor.kind is ActorKind.STAFF else None
    stands = f"block.starts <= {now} and block.ends > {now}"
    let_in = _let_in(hpr, unit)
    shut = f"{stands} and {_meant(hpr, unit)} and not {let_in} and {_what(alias, unit, parameters, writing=writing)}"
    # The block itself tells that there is something to hide, also when it is over (FAM-24, FAM-33).
    free = (
        f"not exists (select 1 from trust_block block where block.patient = {alias}.patient"
        f" and (block.consent = {alias}.rid or ({shut})))"
    )
    allowed = (
        "exists (select 1 from trust_hidden marked join trust_block block on block.consent = marked.consent"
        f" where marked.rid = {alias}.rid and {stands} and {let_in})"
    )
    nors = parameters.add([_NORS])
    return f"({free} and ({alias}.security is null or not {alias}.security && {nors}::text[] or {allowed}))"


def _meant(hpr: str | None, unit: str | None) -> str:
    """Whether the block is against whoever asks."""
    worker = f"(block.hpr is null or block.hpr = {hpr})" if hpr else "block.hpr is null"
    place = f"(block.unit is null or {within(unit, 'block.unit')})" if unit else "block.unit is null"
    source = f"(block.source is null or not {within(unit, 'block.source')})" if unit else "true"
    return f"({worker} and {place} and {source})"


def _let_in(hpr: str | None, unit: str | None) -> str:
    """Whether the patient made an exception for whoever asks (FAM-36)."""
    tests = [f"{hpr} = any(block.allowed_hpr)"] if hpr else []
    if unit:
        tests.append(
            f"({unit} = any(block.allowed_units) or exists (select 1 from trust_unit tree where tree.unit = {unit}"
            " and tree.above = any(block.allowed_units)))"
        )
    return f"({' or '.join(tests)})" if tests else "false"


def _what(alias: str, unit: str | None, parameters: Parameters, *, writing: bool) -> str:
    """Whether the block takes in the row."""
    things = (
        "(block.things is not null and exists (select 1 from trust_hidden one where one.consent = block.consent"
        f" and one.rid = {alias}.rid))"
    )
    source = (
        f"(block.source is not null and exists (select 1 from trust_origin came where came.rid = {alias}.rid"
        f" and {within('came.unit', 'block.source')}))"
    )
    own = (
        "false" if unit is None else
        f"exists (select 1 from trust_origin came join trust_unit theirs on theirs.unit = came.unit and theirs.trust"
        f" join trust_unit mine on mine.above = theirs.above and mine.trust and mine.unit = {unit}"
        f" where came.rid = {alias}.rid)"
    )  # fmt: skip
    known = f" and exists (select 1 from resource was where was.rid = {alias}.rid)" if writing else ""
    patient = parameters.add(type_number("Patient"))
    sharing = f"(block.sharing and {alias}.type <> {patient}::smallint and not {own}{known})"
    whole = "(block.things is null and block.source is null and not block.sharing)"
    return f"({whole} or {things} or {source} or {sharing})"


class Blocks:
    """Projection of the store: blocks, reservations and emergency access from their Consents."""

    types = frozenset({"Consent"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the written Consents. Raises Unprocessable for one that is not whole."""
        for row in rows:
            if row.patient is None:
                continue
            if row.new is None:
                await self._gone(connection, row)
                continue
            try:
                decision = consents.from_fhir(row.new)
            except ValueError as error:
                raise Unprocessable.of(str(error), code="invalid") from None
            if isinstance(decision, Block):
                await _keep_block(connection, row, decision)
            elif isinstance(decision, Reservation):
                await _keep_reservation(connection, row, decision)
            elif isinstance(decision, consents.Emergency):
                await emergency.keep(connection, row, decision)
            elif row.old is not None:
                await self._gone(connection, row)

    @staticmethod
    async def _gone(connection: Any, row: ProjectedRow) -> None:
        """Deleted, or entered in error: it holds no more. A block's row stays, and hides its former versions."""
        await connection.execute(
            "update trust_block set ends = '-infinity' where consent = $1", row.rid,
        )  # fmt: skip
        await connection.execute("delete from trust_hidden where consent = $1", row.rid)
        await connection.execute("delete from trust_reservation where consent = $1", row.rid)
        await connection.execute("delete from trust_emergency where consent = $1", row.rid)


def _ends(decision: Block | Reservation) -> datetime:
    if decision.withdrawn:
        return decision.at if decision.ends is None else min(decision.at, decision.ends)
    return decision.ends or OPEN_HIGH


async def _keep_block(connection: Any, row: ProjectedRow, block: Block) -> None:
    things = sorted(resource_key(*one.split("/", 1)) for one in block.resources if "/" in one)
    if row.patient in things:
        raise Unprocessable.of("a block of a whole record is one of a person or a unit", code="invalid")
    await connection.execute(
        "insert into trust_block (consent, patient, starts, ends, hpr, unit, source, things, sharing, allowed_hpr,"
        " allowed_units) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        " on conflict (consent) do update set patient = excluded.patient, starts = excluded.starts,"
        " ends = excluded.ends, hpr = excluded.hpr, unit = excluded.unit, source = excluded.source,"
        " things = excluded.things, sharing = excluded.sharing, allowed_hpr = excluded.allowed_hpr,"
        " allowed_units = excluded.allowed_units",
        row.rid, row.patient, block.starts or block.at, _ends(block), block.hpr, block.blocked_unit, block.source,
        things or None, block.sharing, sorted(block.allowed_workers), sorted(block.allowed_units),
    )  # fmt: skip
    if row.old is not None:
        await connection.execute("delete from trust_hidden where consent = $1", row.rid)
    if things or block.source or block.sharing:
        assert row.patient is not None
        await hidden.refresh(connection, [row.patient])


async def _keep_reservation(connection: Any, row: ProjectedRow, one: Reservation) -> None:
    await connection.execute(
        "insert into trust_reservation (consent, patient, service, starts, ends) values ($1, $2, $3, $4, $5)"
        " on conflict (consent) do update set patient = excluded.patient, service = excluded.service,"
        " starts = excluded.starts, ends = excluded.ends",
        row.rid, row.patient, one.service, one.starts or one.at, _ends(one),
    )  # fmt: skip


class Hidden:
    """Projection of the store: what blocks of single things and of a unit's things take in, as the record grows."""

    types = frozenset(name for name in resource_types() if compartment_parameters(name)) - {"Consent"}

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Work out anew what is hidden of the patients among the rows who have such blocks."""
        patients = sorted({row.patient for row in rows if row.patient is not None})
        if not patients:
            return
        found = await connection.fetch(
            "select distinct patient from trust_block where patient = any($1::bigint[])"
            " and (things is not null or source is not null or sharing)",
            patients,
        )
        if found:
            await hidden.refresh(connection, [row["patient"] for row in found])


async def mend(connection: Any, since: datetime) -> None:
    """Work out anew what blocks made since then take in: what was written by a transaction that was under way when the
    block was made did not know of it. The work of a recurring job."""
    rows = await connection.fetch("select distinct patient from trust_block where starts >= $1", since)
    await hidden.refresh(connection, [row["patient"] for row in rows])


async def reserved(connection: Any, patients: Sequence[int], service: str, now: datetime) -> frozenset[int]:
    """Those of these patients (rids) who have reserved themselves against a service (its name in services/)."""
    rows = await connection.fetch(
        "select distinct patient from trust_reservation where patient = any($1::bigint[]) and service = $2"
        " and starts <= $3 and ends > $3",
        list(patients), service, now,
    )  # fmt: skip
    return frozenset(row["patient"] for row in rows)
