"""Whether somebody works in the organisation that HelseID vouches for: places of work against organisation numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.trust.access import Access, Position
from varde.trust.identity.helseid import Organisation
from varde.trust.persons import ENH

_DEEPEST = 8
"""Organizations above a unit, at most: a circle ends there."""


async def within(access: Access, positions: Sequence[Position], organisation: Organisation) -> list[Position]:
    """Those of the positions that are in `organisation`, by the units' `partOf` and organisation numbers. When the
    register here knows the business (`child`) that the provider names, the place of work must be in that one."""
    if not positions:
        return []
    numbers = await _numbers(access, [one.unit for one in positions])
    wanted = {organisation.parent}
    if organisation.child is not None and await names(access, [organisation.child]):
        wanted.add(organisation.child)
    return [one for one in positions if wanted <= numbers[one.unit]]


async def names(access: Access, numbers: Sequence[str]) -> dict[str, str]:
    """Names of the organisations with these numbers, as far as the register here knows them."""
    if not numbers:
        return {}
    query = [("identifier", ",".join(f"{ENH}|{number}" for number in numbers)), ("_count", "100")]
    page = await access.store.search(access.for_system("identity"), "Organization", query)
    found: dict[str, str] = {}
    for match in page.matches:
        found |= {number: str(match.resource.get("name", number)) for number in _own(match.resource)}
    return {number: found[number] for number in numbers if number in found}


async def _numbers(access: Access, units: Sequence[str]) -> dict[str, set[str]]:
    """The organisation numbers of each unit and of all above it."""
    known: dict[str, dict[str, Any]] = {}
    wanted = set(units)
    for _ in range(_DEEPEST):
        if not wanted:
            break
        found = await access.store.read_many(access.for_system("identity"), "Organization", sorted(wanted))
        known |= {one.resource["id"]: one.resource for one in found.values()}
        wanted = {above for one in known.values() if (above := _above(one))} - known.keys()
    return {unit: _line(known, unit) for unit in units}


def _line(known: Mapping[str, Mapping[str, Any]], unit: str) -> set[str]:
    numbers: set[str] = set()
    at: str | None = unit
    for _ in range(_DEEPEST):
        one = known.get(at) if at else None
        if one is None:
            break
        numbers |= _own(one)
        at = _above(one)
    return numbers


def _own(organization: Mapping[str, Any]) -> set[str]:
    return {str(i.get("value")) for i in organization.get("identifier", ()) if i.get("system") == ENH}


def _above(organization: Mapping[str, Any]) -> str | None:
    reference = str(organization.get("partOf", {}).get("reference", ""))
    return reference.removeprefix("Organization/") or None
