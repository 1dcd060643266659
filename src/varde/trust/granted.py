"""Consents by which people decide who may see what, checked as they are written, and those that mandates stand on
kept as rows: in the store's own transaction, so that a withdrawal is in force at the next request (FAM-07, FAM-12).

Blocks, reservations, assessments and emergency access have rows of their own elsewhere; here they are only checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir.errors import Forbidden, Unprocessable
from varde.fhir.gate import Gate
from varde.fhir.model import ProjectedRow
from varde.trust.consents import (
    AccessDecision,
    ChildWelfare,
    Kind,
    PowerOfAttorney,
    YouthAccess,
    from_fhir,
    kind_of,
)
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope

_KEPT = (PowerOfAttorney, YouthAccess, ChildWelfare)
_OF_STAFF = frozenset({Kind.REFERRAL_ASSESSMENT, Kind.CHILD_WELFARE, Kind.EMERGENCY, Kind.WITHHOLDING})


class Granted:
    """Projection of the store: the table trust_decision."""

    types = frozenset({"Consent"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the decisions of the written Consents. Raises Unprocessable for half a decision, Forbidden for one by
        somebody whose it is not."""
        changed = [row.rid for row in rows if row.old is not None]
        if changed:
            await connection.execute("delete from trust_decision where source = any($1::bigint[])", changed)
        found = []
        for row in rows:
            _check_writer(row)
            decision = _read(row.new) if row.new is not None else None
            if isinstance(decision, _KEPT):
                found.append(_record(row.rid, decision))
        if found:
            await connection.executemany(
                "insert into trust_decision (source, kind, patient, receiver, things, decided, by_whom, starts, ends,"
                " withdrawn) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                found,
            )


def _record(rid: int, decision: PowerOfAttorney | YouthAccess | ChildWelfare) -> tuple[Any, ...]:
    power = decision if isinstance(decision, PowerOfAttorney) else None
    return (
        rid, decision.kind.value, decision.patient, power.receiver if power else None,
        sorted(power.things) if power else [], decision.at, decision.by, decision.starts or decision.at,
        decision.ends, decision.withdrawn,
    )  # fmt: skip


def decision_of(row: Mapping[str, Any]) -> AccessDecision:
    """A row of trust_decision as what it was made of."""
    common: dict[str, Any] = {
        "patient": row["patient"], "at": row["decided"], "by": row["by_whom"], "starts": row["starts"],
        "ends": row["ends"], "withdrawn": row["withdrawn"],
    }  # fmt: skip
    kind = Kind(row["kind"])
    if kind is Kind.POWER_OF_ATTORNEY:
        return PowerOfAttorney(receiver=row["receiver"], things=frozenset(row["things"]), **common)
    return YouthAccess(**common) if kind is Kind.YOUTH_ACCESS else ChildWelfare(**common)


def _read(consent: Mapping[str, Any]) -> AccessDecision | None:
    try:
        return from_fhir(consent)
    except ValueError as error:
        raise Unprocessable.of(str(error), "Consent") from error


def _check_writer(row: ProjectedRow) -> None:
    """Raises Forbidden where a person writes a decision that is not theirs to make, however wide their token is."""
    for version in (row.old, row.new):
        kind = kind_of(version) if version is not None else None
        if kind is not None and not may_write(kind, row.by, version or {}, new=version is row.new):
            raise Forbidden.of("this decision is another's to make")


def may_write(kind: Kind, by: Gate | None, consent: Mapping[str, Any], *, new: bool = True) -> bool:
    """Whether who writes may make or change such a decision. Systems and the house itself may: they carry others'.

    A power of attorney is given by the patient alone, and given up by its receiver too (FAM-12, FAM-17); youth access
    by those who act for the child (FAM-07), never by the child (FAM-06); staff's decisions by staff (FAM-09). No app
    makes such decisions on a person's behalf.
    """
    if not isinstance(by, Scope) or by.actor.kind is ActorKind.SYSTEM:
        return True
    if by.grant is not None:
        return False
    if by.actor.kind is ActorKind.STAFF:
        return True
    if kind in _OF_STAFF or by.patient is None:
        return False
    if by.actor.kind is ActorKind.REPRESENTATIVE:
        gives_up = not new or consent.get("status") != "active"
        return kind is Kind.YOUTH_ACCESS or (kind is Kind.POWER_OF_ATTORNEY and gives_up)
    return kind is not Kind.YOUTH_ACCESS
