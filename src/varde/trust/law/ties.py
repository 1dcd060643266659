"""What ties a resource to a referral, as SQL over the store's own index of references: a letter to its appointment,
that to its referral, a result to its report. Every write keeps it, so in whichever order things are written.

A tie that cannot be followed (a logical or foreign reference) ties to something that nobody opened.
"""

from __future__ import annotations

from functools import cache

from varde.fhir.definitions import resource_types, search_parameters, type_number
from varde.fhir.gate import Parameters
from varde.trust.law.things import ORDER_CATEGORIES, has_category

_UP = (
    "based-on", "basedon", "incoming-referral", "encounter", "context", "episode-of-care", "appointment", "part-of",
    "focus", "derived-from", "related", "related-ref", "request", "prescription",
)  # fmt: skip
"""Search parameters by which a resource names what it is tied to."""
_DOWN = {
    "DiagnosticReport": ("result", "media", "specimen"), "Observation": ("has-member", "specimen"),
    "CarePlan": ("activity-reference", "goal", "care-team"), "Encounter": ("diagnosis",), "Composition": ("entry",),
    "ServiceRequest": ("specimen",),
}  # fmt: skip
"""And by which it names what is tied to it: a report's results are its own."""


@cache
def upward() -> tuple[int, ...]:
    """Keys of the parameters of `_UP`, of every type."""
    return tuple(
        sorted(
            parameter.key
            for name in resource_types()
            for code, parameter in search_parameters(name).items()
            if code in _UP and parameter.kind == "reference"
        )
    )


@cache
def downward() -> tuple[int, ...]:
    """Keys of the parameters of `_DOWN`."""
    return tuple(sorted(search_parameters(name)[code].key for name, codes in _DOWN.items() for code in codes))


def opened(patient: str, asker: str, now: str, parameters: Parameters) -> str:
    """SQL: a query for the rids of what is tied to a referral of the patient that is open to who asks, and to none
    that is not (FAM-19). `patient`, `asker` and `now` are placeholders.

    Every referral is assessed by itself, also one that is based on another; orders of tests follow what they are based
    on. One without an assessment in force is closed.
    """
    is_open = (
        f"coalesce((select a.opened @> array[{asker}] from trust_assessment a"
        f" where a.patient = r.patient and a.referral = r.rid and a.dated <= {now} and a.starts <= {now}"
        f" and a.ends > {now} order by a.dated desc, a.rid desc limit 1), false)"
    )
    return (
        f"{_reached(patient, is_open, 'false', parameters)} select rid from reached group by rid having bool_and(root)"
    )


def roots(patient: str, parameters: Parameters) -> str:
    """SQL: a query for each thing of the patient (rid) with each referral that it is tied to; 0 for a tie that cannot
    be followed."""
    return f"{_reached(patient, 'r.rid', '0', parameters)} select rid, root as referral from reached"


def _reached(patient: str, root: str, lost: str, parameters: Parameters) -> str:
    """The common table `reached` (rid, root): what is tied to referrals, with what `root` says of each referral `r` or,
    for a tie that cannot be followed, with `lost`."""
    add = parameters.add
    request = f"{add(type_number('ServiceRequest'))}::smallint"
    order = has_category("r", "ServiceRequest", sorted(ORDER_CATEGORIES), parameters)
    up, down = f"{add(list(upward()))}::int[]", f"{add(list(downward()))}::int[]"
    mine = f"x.patient = {patient} and x.patient <> x.rid"
    return (
        "with recursive edge as materialized ("
        f"select x.rid as one, x.target as other from index_reference x"
        f" where {mine} and x.param = any({up}) and x.form = 'l'"
        f" union all select x.target, x.rid from index_reference x"
        f" where {mine} and x.param = any({down}) and x.form = 'l'"
        "), reached(rid, root) as (("
        f"select r.rid, {root} from resource r"
        f" where r.patient = {patient} and r.type = {request} and not r.deleted and not {order}"
        f" union select x.rid, {lost} from index_reference x where {mine} and x.param = any({up})"
        " group by x.rid, x.param"
        " having count(*) filter (where x.form in ('i', 'u')) > count(*) filter (where x.form = 'l')"
        ") union select edge.one, reached.root from reached join edge on edge.other = reached.rid)"
    )
