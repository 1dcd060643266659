"""`POST /fhir/Patient/[id]/$explain-access`: who could see one of a patient's resources, and by which rule. For staff
who see the resource themselves, and for who follows up the access log.

Parameters in: `resource`, a reference to it. Out: one `who` a person or a unit's role, with what was decided of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, Forbidden, Gone, NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.keys import resource_key
from varde.fhir.store import ABSENT
from varde.fhir.storing.writing import is_id
from varde.trust.access import Access
from varde.trust.explaining import Seer, who_may_see
from varde.trust.log.events import POLICY
from varde.trust.policy import REASONS, ActorKind
from varde.trust.scope import Scope

NAME = "explain-access"
DEFINITION = "https://varde.no/fhir/OperationDefinition/explain-access"


def explain_access(access: Access) -> Operation:
    """The operation."""

    async def run(call: Call) -> Answer:
        scope = call.gate
        if not isinstance(scope, Scope) or scope.actor.kind is not ActorKind.STAFF:
            await call.gate.record(Disclosure(Interaction.READ, "Patient", [], [], allowed=False), None)
            raise Forbidden.of("this is told to staff and to who follows up the access log")
        kind, identifier = _asked(call)
        patient = resource_key("Patient", call.id or "")
        # What one may not see is not there for them, nor is what is another patient's.
        gate = access.for_system(NAME) if scope.audits else scope
        try:
            stored = await call.store.read(gate, kind, identifier)
        except Gone:
            raise NotFound.of(ABSENT) from None
        if stored.patient != patient:
            raise NotFound.of(ABSENT)
        await scope.record(Disclosure(Interaction.READ, kind, [identifier], [patient], query=NAME), None)
        seers = await who_may_see(access, kind, identifier)
        return Answer(200, orjson.dumps(as_parameters(seers)))

    return Operation(NAME, DEFINITION, run, Level.INSTANCE, frozenset({"Patient"}))


def _asked(call: Call) -> tuple[str, str]:
    """(type, id) of the resource. Raises BadRequest."""
    found = [value for name, value in call.parameters() if name == "resource"]
    reference = found[0].get("reference") if len(found) == 1 and isinstance(found[0], dict) else None
    text = reference if isinstance(reference, str) else found[0] if len(found) == 1 else None
    kind, _, identifier = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not (is_type(kind) and is_id(identifier)):
        raise BadRequest.of("resource is one reference: Type/id", "Parameters.parameter")
    return kind, identifier


def as_parameters(seers: Sequence[Seer]) -> dict[str, Any]:
    """What was decided of each, as a Parameters resource. Pure."""
    return {"resourceType": "Parameters", "parameter": [{"name": "who", "part": _parts(one)} for one in seers]}


def _parts(one: Seer) -> list[dict[str, Any]]:
    decision = one.decision
    return [
        {"name": "actor", "valueReference": {"reference": one.reference, "display": one.name}},
        *({"name": "relation", "valueCode": relation.value} for relation in one.relations),
        *([{"name": "role", "valueCode": one.role.value}] if one.role is not None else []),
        {"name": "allowed", "valueBoolean": decision.allowed},
        {"name": "rule", "valueString": decision.rules or "-"},
        {"name": "why", "valueString": REASONS[decision.why]},
        {"name": "ground", "valueUri": POLICY + decision.ground.key},
        {"name": "law", "valueString": f"{decision.ground.law} {decision.ground.section}"},
        {"name": "sentence", "valueString": decision.ground.sentence["nb"]},
    ]
