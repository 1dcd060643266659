"""What a store holds so that others can read and check the Consents of `consents.py`: their code systems, and the
profile that each names. As FHIR; put in with the demo, and by `varde load` elsewhere. Pure.
"""

from __future__ import annotations

from typing import Any

from varde.trust.consents import CONSENT_DOCUMENT, KIND_WORDS, KINDS, LOINC, PROFILE, REASON, SCOPE, THINGS
from varde.trust.law.things import Thing

Resource = dict[str, Any]

_THINGS = {
    Thing.LETTERS: "Brev",
    Thing.APPOINTMENTS: "Timer",
    Thing.DIALOGUE: "Meldinger",
    Thing.FORMS: "Skjema",
    Thing.PLANS: "Planer",
    Thing.DOCUMENTS: "Journaldokumenter",
    Thing.RESULTS: "Prøvesvar",
    Thing.LOG: "Innsynslogg",
    Thing.CONTACT: "Vaksiner, fastlege og kontaktopplysninger",
}


def definitions() -> list[Resource]:
    """Code systems, the value set of kinds, the extension and the profile."""
    return [
        _code_system("consent-kind", KINDS, "Avgjørelser om innsyn", KIND_WORDS),
        _code_system("thing", THINGS, "Det en fullmakt kan gjelde", _THINGS),
        {
            "resourceType": "ValueSet", "id": "varde-consent-kind", "status": "active", "publisher": "Varde",
            "url": "https://varde.no/fhir/ValueSet/consent-kind", "name": "ConsentKind",
            "compose": {"include": [{"system": KINDS}]},
        },
        {
            **_definition("consent-reason", REASON, "Extension", "http://hl7.org/fhir/StructureDefinition/Extension"),
            "context": [{"type": "element", "expression": "Consent"}],
            "differential": {"element": [
                {"id": "Extension", "path": "Extension", "max": "1"},
                {"id": "Extension.url", "path": "Extension.url", "fixedUri": REASON},
                {"id": "Extension.value[x]", "path": "Extension.value[x]", "min": 1, "type": [{"code": "string"}]},
            ]},
        },
        {
            **_definition("access-decision", PROFILE, "Consent", "http://hl7.org/fhir/StructureDefinition/Consent"),
            "differential": {"element": _elements()},
        },
    ]  # fmt: skip


def _elements() -> list[Resource]:
    """Who, when and what kind; the rest of each kind is checked by reading it (granted.py)."""
    return [
        {"id": "Consent", "path": "Consent"},
        {"id": "Consent.scope", "path": "Consent.scope", "patternCodeableConcept": {"coding": [SCOPE]}},
        {
            "id": "Consent.category", "path": "Consent.category", "min": 2, "max": "2",
            "slicing": {"discriminator": [{"type": "value", "path": "coding.system"}], "rules": "closed"},
        },
        {
            "id": "Consent.category:document", "path": "Consent.category", "sliceName": "document",
            "min": 1, "max": "1",
            "patternCodeableConcept": {"coding": [CONSENT_DOCUMENT]},
        },
        {"id": "Consent.category:document.coding", "path": "Consent.category.coding", "min": 1, "max": "1"},
        {"id": "Consent.category:document.coding.system", "path": "Consent.category.coding.system", "min": 1,
         "fixedUri": LOINC},
        {"id": "Consent.category:kind", "path": "Consent.category", "sliceName": "kind", "min": 1, "max": "1",
         "binding": {"strength": "required", "valueSet": "https://varde.no/fhir/ValueSet/consent-kind"}},
        {"id": "Consent.category:kind.coding", "path": "Consent.category.coding", "min": 1, "max": "1"},
        {"id": "Consent.category:kind.coding.system", "path": "Consent.category.coding.system", "min": 1,
         "fixedUri": KINDS},
        {"id": "Consent.patient", "path": "Consent.patient", "min": 1},
        {"id": "Consent.dateTime", "path": "Consent.dateTime", "min": 1},
        {"id": "Consent.policyRule", "path": "Consent.policyRule", "min": 1},
        {"id": "Consent.provision", "path": "Consent.provision", "min": 1},
        {"id": "Consent.provision.type", "path": "Consent.provision.type", "min": 1},
    ]  # fmt: skip


def _definition(identifier: str, url: str, kind: str, base: str) -> Resource:
    return {
        "resourceType": "StructureDefinition", "id": f"varde-{identifier}", "url": url, "status": "active",
        "name": "".join(part.capitalize() for part in identifier.split("-")), "publisher": "Varde",
        "fhirVersion": "4.0.1", "kind": "resource" if kind == "Consent" else "complex-type", "abstract": False,
        "type": kind, "baseDefinition": base, "derivation": "constraint",
    }  # fmt: skip


def _code_system(identifier: str, url: str, title: str, codes: Any) -> Resource:
    return {
        "resourceType": "CodeSystem", "id": f"varde-{identifier}", "url": url,
        "name": "".join(part.capitalize() for part in identifier.split("-")), "title": title, "status": "active",
        "publisher": "Varde", "language": "nb", "caseSensitive": True, "content": "complete",
        "concept": [{"code": code.value, "display": display} for code, display in codes.items()],
    }  # fmt: skip
