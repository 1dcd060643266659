"""A decision as SQL: `Scope` is the store's Gate. Made only by `access.py`.

The predicates use the columns rid, patient, type and security of `resource` alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from varde.clock import Clock
from varde.fhir.definitions import compartment_parameters, resource_types, type_number
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.trust import blocks, withholding
from varde.trust.audit import Log, Who, masked
from varde.trust.grounds import Ground
from varde.trust.law import rendering
from varde.trust.law.mandate import Mandate
from varde.trust.law.rendering import Rendering, all_of
from varde.trust.law.table import Reach
from varde.trust.policy import ActorKind, withheld_from
from varde.trust.smart.grant import Grant

DIRECTORY = frozenset(
    {
        "Organization", "Practitioner", "PractitionerRole", "HealthcareService", "Location", "Endpoint",
        "Questionnaire", "ValueSet", "CodeSystem", "ConceptMap", "StructureDefinition", "SearchParameter",
        "ActivityDefinition", "PlanDefinition", "Schedule", "Slot",
    }
)  # fmt: skip
"""Types that tell of no patient: everybody who is let in may read them. One that does (a Schedule whose actor is
a Patient) is clinical all the same."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `key` is a Patient's id, an HPR number or a system's name; never a national id."""

    kind: ActorKind
    key: str
    name: str
    role: str = ""
    unit: str | None = None
    """Id of the Organization a member of staff works for now."""
    unit_name: str | None = None


@dataclass(frozen=True)
class Scope:
    """What one actor may see and do, on which ground, until the request ends."""

    actor: Actor
    ground: Ground
    purpose: str
    """A code of v3-PurposeOfUse: PATRQT, TREAT, HOPERAT, SYSADMIN…"""
    log: Log
    clock: Clock
    through: str = "Varde"
    patient: str | None = None
    """Id of the Patient in focus, for patients and those who act for them."""
    types: frozenset[str] | None = None
    """Clinical types that may be read; None for all."""
    write_types: frozenset[str] | None = frozenset()
    """Types that may be written; None for all, empty for none."""
    grant: Grant | None = None
    """What the token's scopes allow, interaction by interaction, within `types` and `write_types`."""
    decision_ref: str | None = None
    """See trust.audit.Who."""
    audits: bool = False
    """Follows up the access log: reads all of it, and nothing else by that (pasientjournalloven § 22)."""
    mandate: Mandate | None = None
    """What the law lets a patient, or who acts for one, see and do (law/mandate.py); None for staff and systems."""

    @property
    def acting_for(self) -> str | None:
        """The Patient acted for, when it is another than who asks (FAM-18)."""
        return self.patient if self.actor.kind is ActorKind.REPRESENTATIVE else None

    def acting(self, service: str, types: Iterable[str]) -> Scope:
        """The same person, using a service that writes these types on their behalf. The reach over patients is
        unchanged; the log names the service."""
        return replace(self, write_types=frozenset(types), through=f"Varde: {service}")

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        """Whether this interaction may be tried at all on this type."""
        if self.grant is not None and not self.grant.allows(interaction, resource_type):
            return False
        if interaction.writes:
            return self.write_types is None or resource_type in self.write_types
        # A former version may tell of a referral that the thing was tied to then.
        if interaction in _FORMER and self.mandate is not None and not self.mandate.whole:
            return False
        if self.types is None or resource_type == "*":
            return True
        return resource_type in self.types or resource_type in DIRECTORY

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """SQL condition on rows that may be read: by the actor, and by the token's scopes."""
        kept = len(parameters.values)
        own = parameters.named(self._own(alias, resource_type, parameters), kept)
        if own == "false":
            return own
        parts = [own, self._granted(alias, resource_type, parameters), self._free(alias, resource_type, parameters)]
        if "false" in parts:
            parameters.forget(kept)
            return "false"
        told = [part for part in parts if part != "true"]
        return " and ".join(f"({part})" for part in told) or "true"

    def _free(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """Not hidden by a block of the patient's (FAM-33)."""
        if resource_type is not None and resource_type != "Patient" and not compartment_parameters(resource_type):
            return "true"
        return blocks.condition(self, alias, parameters)

    def _granted(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """What the scopes open. A system's scopes that tell only types apart are in `types` already."""
        if self.grant is None or (self.actor.kind is ActorKind.SYSTEM and self.grant.whole):
            return "true"
        return self.grant.predicate(alias, resource_type, parameters)

    def _own(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """What the actor may read."""
        if self.actor.kind is ActorKind.SYSTEM:
            typed = self._types(alias, resource_type, parameters, self.types)
            own = self._own_subscriptions(alias, resource_type, parameters)
            return typed if own == "true" or typed == "false" else own if typed == "true" else f"{typed} and {own}"
        if resource_type in DIRECTORY:
            if not compartment_parameters(resource_type):
                return "true"
            return f"({alias}.patient is null or ({self._clinical(alias, resource_type, parameters)}))"
        clinical = self._clinical(alias, resource_type, parameters)
        if resource_type is not None:
            return clinical
        directory = f"{alias}.type = any({parameters.add(_numbers(DIRECTORY))}::smallint[])"
        return f"(({directory} and {alias}.patient is null) or ({clinical}))"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        """SQL condition on rows that may be changed, and on new rows. What may not be seen may not be changed (a system
        may write types that it does not read), and nobody but a system moves a resource from one patient to another."""
        if self.write_types is not None and not self.write_types:
            return "false"
        kept = len(parameters.values)
        return parameters.named(self._written(alias, resource_type, parameters), kept)

    def _written(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        typed = self._types(alias, None if resource_type == "*" else resource_type, parameters, self.write_types)
        if self.actor.kind is ActorKind.SYSTEM:
            own = self._own_subscriptions(alias, None if resource_type == "*" else resource_type, parameters)
            return all_of([typed, own, blocks.condition(self, alias, parameters, writing=True)])
        stays = (
            f"not exists (select 1 from resource was where was.rid = {alias}.rid"
            f" and was.patient is distinct from {alias}.patient)"
        )
        kind = None if resource_type == "*" else resource_type
        law = []
        if self.mandate is not None and not self.mandate.whole:
            render = self._rendering(self.mandate, parameters)
            done = render.within(alias, kind, Reach.ACT)
            new = f"not exists (select 1 from resource was where was.rid = {alias}.rid)"
            law = [render.may_create(alias), f"({new} or {done})"]
        return all_of(
            [
                typed, self._reach(alias, parameters), self._open(alias, parameters),
                self._no_decision(alias, kind, parameters), stays,
                blocks.condition(self, alias, parameters, writing=True), *law,
            ]
        )  # fmt: skip

    def admits(self, interaction: Interaction, resource_type: str, content: bytes | Mapping[str, Any]) -> bool:
        """Whether content that no predicate judges is within the token's scopes; see fhir.gate."""
        return self.grant is None or self.grant.whole or self.grant.admits(interaction, resource_type, content)

    def takes_every(self, resource_type: str) -> bool:
        """Whether no new resource of the type is refused: to a system, whose token opens the whole of it. What is
        there already may be blocked. Subscriptions are their owners': that there is one is not told."""
        if self.actor.kind is not ActorKind.SYSTEM or self.judges_content:
            return False
        mine = resource_type != "Subscription" or self.grant is None
        return mine and (self.write_types is None or resource_type in self.write_types)

    @property
    def judges_content(self) -> bool:
        """Whether `admits` may say no: only where the token's scopes are narrowed by a query."""
        return not (self.grant is None or self.grant.whole)

    def _types(
        self, alias: str, resource_type: str | None, parameters: Parameters, types: frozenset[str] | None
    ) -> str:
        if types is None:
            return "true"
        if resource_type is not None:
            return "true" if resource_type in types else "false"
        return f"{alias}.type = any({parameters.add(_numbers(types))}::smallint[])"

    def _own_subscriptions(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """A subscription, which names its owner's address and headers, is seen by its owner and the house alone."""
        if self.grant is None or resource_type not in {None, "Subscription"}:
            return "true"
        return (
            f"({alias}.type <> {parameters.add(type_number('Subscription'))}::smallint or not exists"
            f" (select 1 from subscription one where one.rid = {alias}.rid"
            f" and one.owner <> {parameters.add(self.actor.key)}))"
        )

    def _clinical(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        typed = self._types(alias, resource_type, parameters, self.types)
        if typed == "false":
            return "false"
        within = "true"
        if self.mandate is not None and not self.mandate.whole:
            within = self._rendering(self.mandate, parameters).within(alias, resource_type)
        if within == "false":
            return within
        return all_of(
            [
                typed, self._reach(alias, parameters), self._open(alias, parameters),
                self._no_decision(alias, resource_type, parameters), within,
            ]
        )  # fmt: skip

    def _open(self, alias: str, parameters: Parameters) -> str:
        """Not withheld from this actor: by a code in meta.security, or by what a clinician decided of it."""
        codes, now = withheld_from(self.actor.kind, self.mandate), self.clock.now()
        return all_of(
            [
                rendering.not_withheld(alias, codes, now, parameters),
                withholding.condition(alias, codes, now, parameters),
            ]
        )  # fmt: skip

    def _no_decision(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """Not a record of who may see what that is kept from this actor (FAM-24, FAM-33)."""
        kinds = rendering.HIDDEN_FROM_STAFF if self.mandate is None else rendering.HIDDEN_FROM_PERSONS
        return rendering.not_decision(alias, resource_type, kinds, parameters)

    def _rendering(self, mandate: Mandate, parameters: Parameters) -> Rendering:
        assert self.patient is not None
        return Rendering(mandate, self.patient, self.actor.key, self.clock.now(), parameters)

    def _reach(self, alias: str, parameters: Parameters) -> str:
        """Whose things: one patient's, or those of the patients that the unit treats (FAM-30)."""
        if self.patient is not None:
            return f"{alias}.patient = {parameters.add(resource_key('Patient', self.patient))}::bigint"
        if self.actor.unit is None:
            return "false"
        unit, now = parameters.add(self.actor.unit), parameters.add(self.clock.now())
        return (
            f"exists (select 1 from trust_care_relation care where care.patient = {alias}.patient"
            f" and care.unit = {unit} and care.starts <= {now} and care.ends > {now})"
        )

    async def record(self, disclosure: Disclosure, connection: Any | None) -> None:
        """Write the access log; see AuditLog.write."""
        await self.log.write(self._who, disclosure, connection)

    def log_found(self, interaction: Interaction, resource_type: str, found: str, parameters: Parameters) -> str | None:
        """SQL that logs what a statement finds; see AuditLog.found."""
        return self.log.found(self._who, interaction, resource_type, found, parameters)

    def log_values(self, disclosures: Sequence[Disclosure], parameters: Parameters) -> str | None:
        """SQL that logs disclosures; see AuditLog.values."""
        return self.log.values(self._who, disclosures, parameters)

    def log_key(self) -> Hashable:
        """Who asks, as the log has it."""
        return self._who

    def log_id(self, identifier: str) -> str:
        """An id as it may stand in the log."""
        return masked(identifier)

    @property
    def log_patience(self) -> float:
        """Seconds that an answer waits for its log at most."""
        return self.log.patience

    @cached_property
    def _who(self) -> Who:
        actor = self.actor
        return Who(
            actor.kind.value, actor.key, actor.name, actor.role, actor.unit, actor.unit_name, self.acting_for,
            self.purpose, self.ground.key, self.through, self.decision_ref,
        )  # fmt: skip


_FORMER = frozenset({Interaction.VREAD, Interaction.HISTORY})


def _numbers(types: Iterable[str]) -> list[int]:
    return sorted(type_number(name) for name in types)


@cache
def patient_types() -> frozenset[str]:
    """Every type that can stand in a patient's compartment and tells of that patient alone. A Group names others
    too, and is a tool of staff."""
    found = {name for name in resource_types() if compartment_parameters(name) or name == "Patient"}
    return frozenset(found - {"Group"})
