"""What a block of one thing, or of all that comes from a unit, takes in: worked out from the patient's own record when
the block is made and when the record grows, so that reading asks a small table. Only of patients who have such a block.

A thing that was hidden once stays hidden as long as the block stands, with all its versions: what it said before would
tell of what is blocked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from varde.fhir.keys import resource_key

_BELONGS = ("encounter", "partOf", "inResponseTo", "focus", "target", "relatesTo", "report")
"""Elements by which a thing says what it is part of or tells of: a result of its visit, a message of its thread, a task
of what it is about, a provenance of what was written, a new document of the one it replaces."""
_STANDS_ON = ("basedOn", "episodeOfCare", "request", "appointment", "reasonReference")
"""And what it stands on: a result comes from the unit that the order was for."""
_PARTS = ("result", "hasMember", "imagingStudy", "media")
"""Elements by which a thing names its parts: a report's results."""
_FROM = (
    "serviceProvider", "managingOrganization", "custodian", "author", "performer", "sender", "requester",
    "organization", "owner", "source", "recorder", "asserter", "participant", "supportingInformation", "location",
)  # fmt: skip
"""Elements that say whose work a thing is. Not whom it was sent to."""
_UNITS = ("Organization", "PractitionerRole", "Practitioner", "HealthcareService", "Location")


@dataclass(slots=True)
class Told:
    """What all versions of one resource say together, by rid."""

    belongs: set[int] = field(default_factory=set)
    stands_on: set[int] = field(default_factory=set)
    parts: set[int] = field(default_factory=set)
    places: set[tuple[str, str]] = field(default_factory=set)
    """(type, id) of units, and of what stands for one."""


def read(resource: Mapping[str, Any], told: Told) -> None:
    """Add what a version says. Pure."""
    for reference in _references(resource, _BELONGS):
        told.belongs.add(_key(reference))
    context = resource.get("context")
    for reference in _literals(context) if context else ():
        if reference.startswith("Encounter/"):
            told.belongs.add(_key(reference))
        elif reference.startswith("EpisodeOfCare/"):
            told.stands_on.add(_key(reference))
    for reference in _references(resource, _STANDS_ON):
        told.stands_on.add(_key(reference))
    for reference in _references(resource, _PARTS):
        told.parts.add(_key(reference))
    for reference in _references(resource, _FROM):
        kind, _, identifier = reference.partition("/")
        if kind in _UNITS:
            told.places.add((kind, identifier))


def _references(resource: Mapping[str, Any], elements: Iterable[str]) -> Iterator[str]:
    for name in elements:
        if name in resource:
            yield from _literals(resource[name])


def _literals(value: Any) -> Iterator[str]:
    """Every local literal reference under an element, without its version."""
    if isinstance(value, Mapping):
        literal = value.get("reference")
        if isinstance(literal, str):
            parts = literal.split("/")
            if len(parts) >= 2 and parts[0].isalpha():
                yield "/".join(parts[:2])
        for inner in value.values():
            yield from _literals(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _literals(inner)


def _key(reference: str) -> int:
    return resource_key(*reference.split("/", 1))


def taken_in(seeds: Collection[int], record: Mapping[int, Told]) -> set[int]:
    """The things themselves, what belongs to them, and their parts, however far. Pure."""
    owned: dict[int, set[int]] = {}
    for rid, told in record.items():
        for owner in told.belongs:
            owned.setdefault(owner, set()).add(rid)
    found: set[int] = set()
    frontier = set(seeds)
    while frontier:
        found |= frontier
        reached: set[int] = set()
        for rid in frontier:
            reached |= owned.get(rid, set())
            if rid in record:
                reached |= record[rid].parts
        frontier = reached - found
    return found


def origins(record: Mapping[int, Told], standing: Mapping[tuple[str, str], Collection[str]]) -> dict[int, set[str]]:
    """Ids of the units that each resource comes from: those it names, and those that what it belongs to or stands on
    comes from. `standing`: the units that a (type, id) stands for. Pure."""
    found = {rid: {u for place in told.places for u in standing.get(place, ())} for rid, told in record.items()}
    above = {rid: (told.belongs | told.stands_on) & record.keys() for rid, told in record.items()}
    for rid, told in record.items():
        for part in told.parts & record.keys():
            above[part] = above[part] | {rid}
    changed = True
    while changed:
        changed = False
        for rid, over in above.items():
            before = len(found[rid])
            for one in over:
                found[rid] |= found[one]
            changed = changed or len(found[rid]) > before
    return found


async def refresh(connection: Any, patients: Sequence[int]) -> None:
    """Work out what the blocks of these patients (rids) take in now. In the caller's transaction, one writer a patient
    at a time: whoever comes second sees what the first wrote."""
    for patient in sorted(patients):
        await connection.execute("select pg_advisory_xact_lock($1)", patient)
        blocks = await connection.fetch(
            "select consent, things, source, sharing from trust_block where patient = $1"
            " and (things is not null or source is not null or sharing)", patient,
        )  # fmt: skip
        if not blocks:
            continue
        record = await _record(connection, patient)
        pairs = [(rid, one["consent"]) for one in blocks if one["things"] for rid in taken_in(one["things"], record)]
        if pairs:
            await connection.execute(
                "insert into trust_hidden (rid, consent) select * from unnest($1::bigint[], $2::bigint[])"
                " on conflict do nothing",
                *(list(column) for column in zip(*pairs, strict=True)),
            )
        if any(one["source"] or one["sharing"] for one in blocks):
            await _keep_origins(connection, patient, record)


async def _record(connection: Any, patient: int) -> dict[int, Told]:
    """What every version of the patient's things says, but for the Patient itself."""
    record: dict[int, Told] = {}
    rows = await connection.fetch(
        "select rid, body from resource where patient = $1 and rid <> $1 and body is not null"
        " union all select rid, body from resource_history where patient = $1 and rid <> $1 and body is not null",
        patient,
    )
    for row in rows:
        read(orjson.loads(row["body"]), record.setdefault(row["rid"], Told()))
    return record


async def _keep_origins(connection: Any, patient: int, record: Mapping[int, Told]) -> None:
    pairs = [(rid, unit) for rid, units in (await _origins(connection, record)).items() for unit in units]
    if pairs:
        rids, units = (list(column) for column in zip(*pairs, strict=True))
        await connection.execute(
            "insert into trust_origin (rid, unit, patient) select rid, unit, $3::bigint"
            " from unnest($1::bigint[], $2::text[]) as u(rid, unit) on conflict do nothing",
            rids, units, patient,
        )  # fmt: skip


async def _origins(connection: Any, record: Mapping[int, Told]) -> dict[int, set[str]]:
    named = {place for told in record.values() for place in told.places}
    standing: dict[tuple[str, str], set[str]] = {p: {p[1]} for p in named if p[0] == "Organization"}
    keys = {resource_key(*place): place for place in named if place[0] != "Organization"}
    for row in await connection.fetch("select rid, unit from trust_place where rid = any($1::bigint[])", list(keys)):
        standing.setdefault(keys[row["rid"]], set()).add(row["unit"])
    return origins(record, standing)


async def units_own(connection: Any, patient: int, unit: str) -> frozenset[int]:
    """rids of a patient's (rid) things that come from a unit (an Organization's id) or from one below it, by what they
    say themselves and by what they belong to. For the house itself: shows nothing to anybody."""
    rows = await connection.fetch("select unit from trust_unit where above = $1", unit)
    below = {unit, *(row["unit"] for row in rows)}
    found = await _origins(connection, await _record(connection, patient))
    return frozenset(rid for rid, units in found.items() if units & below)
