"""Which row of table A a resource is: letters, appointments, dialogue … From the resource, and the same in SQL.

Whoever adds a type to a row widens what parents and holders of powers see: types that stand in none are seen only by
those who see all. A RelatedPerson is one of them: it tells where the other parent lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from varde.fhir.definitions import canonical_system, search_parameters, type_number
from varde.fhir.gate import Parameters
from varde.fhir.keys import text_key


class Thing(StrEnum):
    """A row of table A (../shared/domain/family.md)."""

    LETTERS = "letters"
    APPOINTMENTS = "appointments"
    DIALOGUE = "dialogue"
    FORMS = "forms"
    PLANS = "plans"
    DOCUMENTS = "documents"
    RESULTS = "results"
    LOG = "log"
    CONTACT = "contact"
    """Vaccines, general practitioner, contact data."""


_TYPES: Mapping[Thing, frozenset[str]] = {
    Thing.LETTERS: frozenset({"Communication"}),
    Thing.APPOINTMENTS: frozenset(
        {"Appointment", "AppointmentResponse", "Encounter", "EpisodeOfCare", "ServiceRequest"}
    ),
    Thing.DIALOGUE: frozenset({"Communication", "CommunicationRequest"}),
    Thing.FORMS: frozenset({"QuestionnaireResponse"}),
    Thing.PLANS: frozenset({"CarePlan", "CareTeam", "Goal", "NutritionOrder", "RequestGroup", "DeviceRequest"}),
    Thing.DOCUMENTS: frozenset(
        {
            "DocumentReference", "DocumentManifest", "Composition", "ClinicalImpression", "Condition", "Procedure",
            "AllergyIntolerance", "FamilyMemberHistory", "MedicationRequest", "MedicationStatement",
            "MedicationAdministration", "MedicationDispense", "RiskAssessment", "DetectedIssue", "AdverseEvent",
        }
    ),
    Thing.RESULTS: frozenset(
        {"Observation", "DiagnosticReport", "ImagingStudy", "Media", "Specimen", "MolecularSequence", "ServiceRequest"}
    ),
    Thing.LOG: frozenset({"AuditEvent", "Provenance"}),
    Thing.CONTACT: frozenset(
        {"Patient", "Immunization", "ImmunizationEvaluation", "ImmunizationRecommendation"}
    ),
}  # fmt: skip
LETTER_CATEGORY = ("urn:oid:2.16.578.1.12.4.1.1.9602", "I02-2")
"""(system, code) in Communication.category that makes it a letter; any other one is part of a dialogue."""
SNOMED = "http://snomed.info/sct"
ORDER_CATEGORIES = frozenset({"108252007", "363679005", "394914008", "394595002"})
"""Codes of SNOMED CT in ServiceRequest.category that make it an order of tests (laboratory, imaging, radiology,
pathology); any other one is a referral."""


def types_of(thing: Thing) -> frozenset[str]:
    """The resource types in which a thing is kept."""
    return _TYPES[thing]


def things_in(resource_type: str) -> tuple[Thing, ...]:
    """The things that a resource of this type may be: two for a Communication and a ServiceRequest."""
    return tuple(thing for thing in Thing if resource_type in _TYPES[thing])


def thing_of(resource_type: str, resource: Mapping[str, Any]) -> Thing | None:
    """Which thing a resource is; None for what stands in no row."""
    if resource_type == "Communication":
        return Thing.LETTERS if _has(resource, *LETTER_CATEGORY) else Thing.DIALOGUE
    if resource_type == "ServiceRequest":
        ordered = any(_has(resource, SNOMED, code) for code in ORDER_CATEGORIES)
        return Thing.RESULTS if ordered else Thing.APPOINTMENTS
    found = things_in(resource_type)
    return found[0] if found else None


def is_any(alias: str, things: frozenset[Thing], resource_type: str | None, parameters: Parameters) -> str:
    """SQL: whether the row `alias` (see Gate.predicate) is one of these things; the twin of `thing_of`. A former
    version is what the resource is now."""
    if resource_type is not None:
        return _told(alias, things, resource_type, parameters)
    names = sorted({name for thing in things for name in _TYPES[thing]})
    plain = [name for name in names if things.issuperset(things_in(name))]
    tests = [f"{alias}.type = any({parameters.add([type_number(name) for name in plain])}::smallint[])"]
    for name in names:
        if name not in plain:
            number = parameters.add(type_number(name))
            tests.append(f"({alias}.type = {number}::smallint and {_told(alias, things, name, parameters)})")
    return f"({' or '.join(tests)})"


def _told(alias: str, things: frozenset[Thing], resource_type: str, parameters: Parameters) -> str:
    """The condition that tells these things from others of the same type."""
    mine = things.intersection(things_in(resource_type))
    if not mine:
        return "false"
    if mine == set(things_in(resource_type)):
        return "true"
    letters = resource_type == "Communication"
    codes = [LETTER_CATEGORY[1]] if letters else sorted(ORDER_CATEGORIES)
    found = has_category(alias, resource_type, codes, parameters)
    return found if mine <= {Thing.LETTERS, Thing.RESULTS} else f"not {found}"


def has_category(alias: str, resource_type: str, codes: list[str], parameters: Parameters) -> str:
    """SQL: whether the resource's category has one of these codes, of the system that the type goes by."""
    system = LETTER_CATEGORY[0] if resource_type == "Communication" else SNOMED
    key = parameters.add(search_parameters(resource_type)["category"].key)
    return (
        f"exists (select 1 from index_token what where what.rid = {alias}.rid and what.patient = {alias}.patient"
        f" and what.patient <> what.rid and what.param = {key}::int"
        f" and what.code = any({parameters.add(codes)}::text[])"
        f" and what.system = {parameters.add(text_key(canonical_system(system)))}::bigint)"
    )


def _has(resource: Mapping[str, Any], system: str, code: str) -> bool:
    return any(
        coding.get("code") == code and canonical_system(coding.get("system") or "") == system
        for category in resource.get("category") or ()
        for coding in category.get("coding") or ()
    )
