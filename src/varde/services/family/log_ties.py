"""Who knows whom, as far as the store and the population register tell: what `trust/log/watching.py` judges by.

A member of staff is a person to the registers only by the national identity number in their Practitioner, which the
employer's directory gives; one without it is known by their work alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from varde.edges.registers import RegisteredPerson, RegisterUnavailable
from varde.fhir.errors import Unavailable
from varde.trust.access import national_number
from varde.trust.audit import Unlogged
from varde.trust.log.snooping import street_of
from varde.trust.log.watching import Tie
from varde.trust.persons import FNR, HPR, system_of
from varde.trust.probes import is_probe

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

KNOWN = frozenset({"CEL", "VIP"})
"""Codes of v3-ActCode and v3-ConfidentialityClassification's kin in Patient.meta.security: celebrities."""
_AT_ONCE = 100

Pair = tuple[str, str | None, int]


@dataclass(frozen=True, slots=True)
class _Patient:
    """A patient as the ties need them."""

    number: str | None
    known: bool
    probe: bool


class RegisteredTies:
    """`watching.Ties` over the store and the population register."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def of(self, connection: Any, pairs: Sequence[Pair]) -> Mapping[Pair, Tie]:
        """See Ties. Raises Unavailable while the register is away: the days are judged when it is back."""
        if not pairs:
            return {}
        scope = replace(self._platform.access.for_system("log"), log=Unlogged())
        patients = await self._patients(connection, scope, sorted({rid for _, _, rid in pairs}))
        workers = await self._workers(connection, scope, sorted({hpr for hpr, _, _ in pairs}))
        numbers = {one.number for one in patients.values()} | set(workers.values())
        try:
            persons = await self._platform.registers.persons(sorted(filter(None, numbers)))
        except RegisterUnavailable as error:
            raise Unavailable.of("the population register is away; try again shortly") from error
        staffed = {number: hpr for hpr, number in workers.items()}
        missing = sorted({one.number for one in patients.values() if one.number} - staffed.keys())
        staffed |= await self._who_work_here(connection, scope, missing)
        places = await self._places(connection, scope, sorted(set(staffed.values())))
        made = {}
        for pair in pairs:
            hpr, unit, rid = pair
            patient = patients.get(rid)
            if patient is None:
                continue
            works_here = unit is not None and unit in places.get(staffed.get(patient.number or "", ""), ())
            tie = _tie(persons.get(workers.get(hpr, "")), persons.get(patient.number or ""))
            colleague = works_here and staffed.get(patient.number or "") != hpr
            made[pair] = replace(tie, colleague=colleague, known=patient.known, probe=patient.probe)
        return made

    async def _patients(self, connection: Any, scope: Scope, rids: Sequence[int]) -> dict[int, _Patient]:
        rows = await connection.fetch("select rid, id from resource where rid = any($1::bigint[])", list(rids))
        named = {row["id"]: row["rid"] for row in rows}
        found = {}
        for resource in await self._search(connection, scope, "Patient", "_id", sorted(named)):
            try:
                number: str | None = national_number(resource)
            except LookupError:
                number = None
            codes = {one.get("code") for one in resource.get("meta", {}).get("security", ())}
            found[named[resource["id"]]] = _Patient(number, bool(codes & KNOWN), is_probe(resource))
        return found

    async def _workers(self, connection: Any, scope: Scope, numbers: Sequence[str]) -> dict[str, str]:
        """HPR number -> national identity number, of those whose employer tells it."""
        wanted = [f"{HPR}|{number}" for number in numbers]
        found = await self._search(connection, scope, "Practitioner", "identifier", wanted)
        return dict(pair for one in found if (pair := _numbers(one)) is not None)

    async def _who_work_here(self, connection: Any, scope: Scope, numbers: Sequence[str]) -> dict[str, str]:
        """National identity number -> HPR number, of patients who are staff themselves."""
        wanted = [f"{system_of(number)}|{number}" for number in numbers]
        found = await self._search(connection, scope, "Practitioner", "identifier", wanted)
        return {pair[1]: pair[0] for one in found if (pair := _numbers(one)) is not None}

    async def _places(self, connection: Any, scope: Scope, numbers: Sequence[str]) -> dict[str, set[str]]:
        """HPR number -> ids of the units where they work now."""
        made: dict[str, set[str]] = {}
        for number in numbers:
            made[number] = {position.unit for position in await self._platform.access.positions(number)}
        return made

    async def _search(
        self, connection: Any, scope: Scope, kind: str, name: str, values: Sequence[str]
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(values), _AT_ONCE):
            query = [(name, ",".join(values[start : start + _AT_ONCE])), ("_count", str(2 * _AT_ONCE))]
            page = await self._platform.store.search(scope, kind, query, connection=connection)
            found += [match.resource for match in page.matches]
        return found


def _numbers(practitioner: Mapping[str, Any]) -> tuple[str, str] | None:
    told = {one.get("system"): str(one.get("value")) for one in practitioner.get("identifier", ())}
    return (told[HPR], told[FNR]) if HPR in told and FNR in told else None


def _tie(worker: RegisteredPerson | None, patient: RegisteredPerson | None) -> Tie:
    """What the register tells of two persons. Pure."""
    if worker is None or patient is None:
        return Tie()
    related = {*worker.parents, *worker.children}
    return Tie(
        own=worker.number == patient.number,
        family=patient.number in related or worker.number in {*patient.parents, *patient.children},
        household=worker.lives_with(patient),
        neighbour=_near(worker, patient),
    )


def _near(one: RegisteredPerson, other: RegisteredPerson) -> bool:
    if one.address is None or other.address is None or one.address.postal_code != other.address.postal_code:
        return False
    streets = [street_of(address.lines[0]) if address.lines else "" for address in (one.address, other.address)]
    return bool(streets[0]) and streets[0] == streets[1]
