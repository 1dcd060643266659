"""The tree of units: what each Organization is part of, and which enterprise it belongs to. Kept by the store in the
transaction of the Organization, so that a block of a clinic keeps out the staff of its wards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.trust.persons import ENH

DEEPEST = 20
"""Levels of a tree; a circle of units ends here."""

_TREE = f"""
with recursive tree as (
    select unit, unit as above, 0 as depth from trust_unit_parent
    union all
    select tree.unit, over.parent, tree.depth + 1 from tree
    join trust_unit_parent over on over.unit = tree.above and over.parent is not null
    where tree.depth < {DEEPEST}
), named as (
    select tree.unit, tree.above, min(tree.depth) as depth, bool_or(coalesce(one.enterprise, false)) as enterprise
    from tree left join trust_unit_parent one on one.unit = tree.above group by tree.unit, tree.above
), ranked as (
    select unit, above,
        row_number() over (partition by unit order by enterprise desc, case when enterprise then depth else -depth end)
    from named
)
insert into trust_unit (unit, above, trust) select unit, above, row_number = 1 from ranked
"""
"""The enterprise of a unit is the nearest above it that stands in the register of legal entities, else the topmost."""


class Units:
    """Projection of the store: the tables trust_unit, trust_unit_parent and trust_place."""

    types = frozenset({"Organization", "PractitionerRole", "HealthcareService", "Location"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Keep the tree, and what stands for a unit."""
        organisations = [row for row in rows if row.type == "Organization"]
        places = [row for row in rows if row.type != "Organization"]
        if places:
            await _place(connection, places)
        # A unit that was deleted stays in the tree: what it did is in the record still.
        kept = [(row.id, *_standing(row.new)) for row in organisations if row.new is not None]
        if not kept:
            return
        changed = await connection.fetch(
            "insert into trust_unit_parent as u (unit, parent, enterprise)"
            " select * from unnest($1::text[], $2::text[], $3::boolean[])"
            " on conflict (unit) do update set parent = excluded.parent, enterprise = excluded.enterprise"
            " where (u.parent, u.enterprise) is distinct from (excluded.parent, excluded.enterprise) returning 1",
            *(list(column) for column in zip(*kept, strict=True)),
        )
        if changed:
            await connection.execute("select pg_advisory_xact_lock(hashtext('trust_unit'))")
            await connection.execute("delete from trust_unit")
            await connection.execute(_TREE)


def _standing(organisation: Mapping[str, Any]) -> tuple[str | None, bool]:
    """(the unit above, whether it is an enterprise)."""
    parent = _unit((organisation.get("partOf") or {}).get("reference"))
    return parent, any(one.get("system") == ENH for one in organisation.get("identifier") or ())


def _unit(reference: Any) -> str | None:
    if isinstance(reference, str) and reference.startswith("Organization/"):
        return reference.removeprefix("Organization/")
    return None


_STANDS_FOR = {"PractitionerRole": "organization", "HealthcareService": "providedBy",
               "Location": "managingOrganization"}  # fmt: skip


async def _place(connection: Any, rows: Sequence[ProjectedRow]) -> None:
    """What stands for which unit. A health worker stands for every unit they have worked at."""
    changed = [row.rid for row in rows if row.old is not None]
    if changed:
        await connection.execute("delete from trust_place where rid = any($1::bigint[])", changed)
    found = set()
    for row in rows:
        new = row.new or {}
        unit = _unit((new.get(_STANDS_FOR[row.type]) or {}).get("reference"))
        if unit is None:
            continue
        found.add((row.rid, unit))
        worker = (new.get("practitioner") or {}).get("reference") if row.type == "PractitionerRole" else None
        if isinstance(worker, str) and worker.startswith("Practitioner/"):
            found.add((resource_key(*worker.split("/", 1)), unit))
    if found:
        await connection.execute(
            "insert into trust_place (rid, unit) select * from unnest($1::bigint[], $2::text[]) on conflict do nothing",
            *(list(column) for column in zip(*sorted(found), strict=True)),
        )


def within(unit: str, column: str) -> str:
    """SQL: whether the unit in the placeholder `unit` is the one in `column`, or below it."""
    return (
        f"({column} = {unit} or exists"
        f" (select 1 from trust_unit tree where tree.unit = {unit} and tree.above = {column}))"
    )
