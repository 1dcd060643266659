"""Which rows of the access log a scope may read, as SQL; the log's own Table A. No row is told of that would tell a
reader of something withheld from them (FAM-24), and no name of staff under threat (FAM-41).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from varde.fhir.definitions import resource_types, type_number
from varde.fhir.errors import Forbidden
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.trust.law.table import Band, Reach
from varde.trust.law.things import Thing
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope

EVENT = "AuditEvent"
"""What the log is called in scopes, grants and in the log itself."""


async def admit(scope: Scope, interaction: Interaction) -> None:
    """Raise Forbidden, after logging the try, where the log is not open to a scope at all."""
    narrowed = scope.grant is not None and any(
        rule.conditions for rule in scope.grant.rules if rule.fits(EVENT)
    )  # such conditions are over the store's own search values, which the log has none of
    # What is logged about oneself is for every member of staff to read, whatever their role opens of patients'.
    own = scope.grant is None and scope.actor.kind is ActorKind.STAFF
    if not narrowed and (own or scope.allows(interaction, EVENT)):
        return
    await scope.record(Disclosure(interaction, EVENT, [], [], allowed=False), None)
    raise Forbidden.of("this is not open to you")


def condition(scope: Scope, alias: str, parameters: Parameters, *, people: bool = False) -> str:
    """SQL condition on rows of trust_audit that the scope may read; `people`: of those that no system made.

    A patient reads what was done to their own record; one who acts for them the same, but never what tells of things
    withheld from that reader; staff what they did themselves; who follows up the log, and systems, all of it.
    """
    if scope.audits:
        return "true"
    if scope.actor.kind is ActorKind.STAFF:
        return f"({alias}.actor_kind = 'staff' and {alias}.actor = {parameters.add(scope.actor.key)})"
    if scope.actor.kind is ActorKind.SYSTEM:
        return "true" if scope.grant is None else scope.grant.predicate(alias, EVENT, parameters)
    if scope.patient is None:
        return "false"
    reach = reach_of(scope)
    if reach is Reach.NONE:
        return "false"
    patient = f"{alias}.patient = {parameters.add(resource_key('Patient', scope.patient))}::bigint"
    seen = _tells_of_the_seen(scope, alias, parameters)
    if reach is Reach.OWN:
        return f"({patient} and {own(scope, alias, parameters)} and ({_not_in_vain(alias)} or {seen}))"
    if people and _is_grown(scope):  # all of these are plain
        told = f"({alias}.resource_type <> 'Consent' and {_not_in_vain(alias)}) or {seen}"
        return f"({patient} and {alias}.actor_kind <> 'system' and ({told}))"
    return f"({patient} and ({plain(scope, alias, parameters)} or {seen}))"


def reach_of(scope: Scope) -> Reach:
    """How far a patient, or who acts for one, reaches in the log, by the law's table (Table A)."""
    return Reach.SEE if scope.mandate is None else scope.mandate.right(Thing.LOG).most


def own(scope: Scope, alias: str, parameters: Parameters) -> str:
    """Rows of what the reader did, by SQL."""
    return f"{alias}.actor = {parameters.add(scope.actor.key)}"


def plain(scope: Scope, alias: str, parameters: Parameters) -> str:
    """Rows that tell of nothing the reader may not know of.

    An adult's log has every person who looked, whatever at: that somebody did is theirs to know, and what it was is
    left out where it is withheld. Records of who may see what are told of only where the reader sees them: one that
    they do not see would tell that something is withheld. What systems did to things withheld would only tell that
    there are such things, and so would what people looked at, to those from whom staff withhold a child's things.
    """
    nothing_named = f"cardinality({alias}.resource_ids) = 0"
    if _is_grown(scope):
        told = f"{alias}.actor_kind <> 'system' and {alias}.resource_type <> 'Consent' and {_not_in_vain(alias)}"
        return f"(({told}) or {nothing_named})"
    return f"({nothing_named} or ({own(scope, alias, parameters)} and {_not_in_vain(alias)}))"


def _not_in_vain(alias: str) -> str:
    """No try of a patient, or of one who acts for one, at a thing that they were kept from: it stands in the log of
    the patient whose it is, and a try at what is not there stands in nobody's."""
    tried = f"{alias}.actor_kind in ('patient', 'representative') and not {alias}.allowed"
    return f"not ({tried} and cardinality({alias}.resource_ids) > 0)"


def _is_grown(scope: Scope) -> bool:
    """Whether the reader is the patient, and of an age from which nothing is withheld for (FAM-05, FAM-19)."""
    young = scope.mandate is not None and scope.mandate.band in {Band.CHILD, Band.TWELVE, Band.YOUTH}
    return scope.actor.kind is ActorKind.PATIENT and not young


def _tells_of_the_seen(scope: Scope, alias: str, parameters: Parameters) -> str:
    """At least one of the things that a row names may be seen by the reader."""
    one = f"case when strpos(one, '/') > 0 then one else {alias}.resource_type || '/' || one end"
    seen = _seen(scope, parameters)
    return f"coalesce((select bool_or({one} in ({seen})) from unnest({alias}.resource_ids) one), false)"


def _seen(scope: Scope, parameters: Parameters) -> str:
    """References to all of the patient's things that the reader may see."""
    numbers, names = _types()
    gate = replace(scope, grant=None)  # what an app may be told of is its grant's; what there is, the person's own
    return (
        f"select known.name || '/' || r.id from resource r join unnest({parameters.add(numbers)}::smallint[],"
        f" {parameters.add(names)}::text[]) as known (number, name) on known.number = r.type"
        f" where r.patient = {parameters.add(resource_key('Patient', scope.patient or ''))}::bigint"
        f" and not r.deleted and ({gate.predicate('r', None, parameters)})"
    )


@cache
def _types() -> tuple[list[int], list[str]]:
    names = sorted(resource_types())
    return [type_number(name) for name in names], names


async def visible(connection: Any, scope: Scope, references: Sequence[str]) -> frozenset[str]:
    """Those of some references ("Type/id") whose resource the scope may see."""
    wanted = {resource_key(*one.split("/", 1)): one for one in references if "/" in one}
    if not wanted or scope.audits:
        return frozenset(wanted.values())
    parameters = Parameters()
    rids = parameters.add(list(wanted))
    gate = replace(scope, grant=None)
    rows = await connection.fetch(
        f"select r.rid from resource r where r.rid = any({rids}::bigint[]) and not r.deleted"
        f" and ({gate.predicate('r', None, parameters)})",
        *parameters.values,
    )
    return frozenset(wanted[row["rid"]] for row in rows)


def references_of(row: Mapping[str, Any]) -> list[str]:
    """What a row of the log names, as "Type/id"."""
    return [one if "/" in one else f"{row['resource_type']}/{one}" for one in row["resource_ids"]]


def names_hidden(scope: Scope) -> bool:
    """Whether the names of staff under threat are hidden from this reader (FAM-41)."""
    return scope.actor.kind in {ActorKind.PATIENT, ActorKind.REPRESENTATIVE}


@dataclass(frozen=True, slots=True)
class Columns:
    """A row's actor, name, patient and what it names, as a reader may have them, as SQL."""

    actor: str
    name: str
    role: str
    patient: str
    things: str

    @classmethod
    def of(cls, scope: Scope, alias: str) -> Columns:
        """For rows named `alias`. Staff under threat are one and the same nobody. What a member of staff was kept out
        of, and whose it is, is not told them afterwards: it would tell that there is something (FAM-33)."""
        patient, things = f"{alias}.patient", f"{alias}.resource_ids"
        if not names_hidden(scope):
            if scope.actor.kind is ActorKind.STAFF and not scope.audits:
                patient = f"case when {alias}.allowed then {patient} end"
                things = f"case when {alias}.allowed then {things} else '{{}}' end"
            return cls(f"{alias}.actor", f"{alias}.actor_name", f"{alias}.role", patient, things)
        under_threat = f"({alias}.actor_kind = 'staff' and {alias}.actor in (select hpr from trust_shielded))"

        def told(column: str) -> str:
            return f"case when {under_threat} then '' else {alias}.{column} end"

        return cls(told("actor"), told("actor_name"), told("role"), patient, things)
