"""The sections of a patient summary, as data: their codes, titles, and which resources belong in each. Pure.

Source: StructureDefinition Composition-uv-ips of hl7.fhir.uv.ips 2.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]
Picks = Callable[[Resource], bool]

_WRONG = {"entered-in-error", "refuted"}
_PREGNANCY = {"82810-3", "11778-8", "11779-6", "11780-4", "11636-8", "11637-6", "11638-4", "11639-2", "11640-0",
              "11612-9", "11613-7", "11614-5", "33065-4"}  # fmt: skip
"""LOINC codes of the profiles of pregnancy: status, expected date, outcomes."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `required`: it stands in every summary, and says when it is empty."""

    code: str
    """LOINC."""
    display: str
    titles: Mapping[str, str]
    """By language: nb, en."""
    picks: Mapping[str, Picks]
    """Resource type -> whether a resource of it belongs here."""
    required: bool = False
    latest: bool = False
    """Only the newest of each code."""
    most: int = 100
    """Entries at most, the newest first."""


def codes(concept: Any) -> set[str]:
    """The codes of a CodeableConcept."""
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    return {str(one["code"]) for one in codings or () if isinstance(one, Mapping) and one.get("code")}


def _categories(resource: Resource) -> set[str]:
    return {code for category in resource.get("category") or () for code in codes(category)}


def _status(*statuses: str) -> Picks:
    return lambda resource: resource.get("status") in statuses


def _stands(resource: Resource) -> bool:
    return not codes(resource.get("verificationStatus")) & _WRONG


def _problem(resource: Resource) -> bool:
    clinical = codes(resource.get("clinicalStatus"))
    return _stands(resource) and (not clinical or bool(clinical & {"active", "recurrence", "relapse"}))


def _past(resource: Resource) -> bool:
    return _stands(resource) and bool(codes(resource.get("clinicalStatus")) & {"inactive", "remission", "resolved"})


def _allergy(resource: Resource) -> bool:
    return _stands(resource) and not codes(resource.get("clinicalStatus")) & {"inactive", "resolved"}


def _ordered(resource: Resource) -> bool:
    return resource.get("status") in {"active", "on-hold", "unknown"} and resource.get("intent") in {
        "order", "original-order", "reflex-order", "filler-order", "instance-order",
    }  # fmt: skip


def _observed(*categories: str) -> Picks:
    done = _status("final", "amended", "corrected", "preliminary")
    return lambda resource: (
        done(resource) and bool(_categories(resource) & set(categories)) and not _pregnancy(resource)
    )


def _pregnancy(resource: Resource) -> bool:
    return bool(codes(resource.get("code")) & _PREGNANCY) and resource.get("status") != "entered-in-error"


def _directive(resource: Resource) -> bool:
    return resource.get("status") == "active" and "adr" in codes(resource.get("scope"))


SECTIONS: Sequence[Section] = (
    Section("11450-4", "Problem list - Reported", {"nb": "Problemer og diagnoser", "en": "Problems"},
            {"Condition": _problem}, required=True),
    Section("48765-2", "Allergies and adverse reactions Document",
            {"nb": "Allergier og overfølsomhet", "en": "Allergies and intolerances"},
            {"AllergyIntolerance": _allergy}, required=True),
    Section("10160-0", "History of Medication use Narrative", {"nb": "Legemidler", "en": "Medications"},
            {"MedicationStatement": _status("active", "intended", "on-hold", "unknown"), "MedicationRequest": _ordered},
            required=True),
    Section("11369-6", "History of Immunization note", {"nb": "Vaksiner", "en": "Immunizations"},
            {"Immunization": _status("completed")}),
    Section("30954-2", "Relevant diagnostic tests/laboratory data note", {"nb": "Prøvesvar", "en": "Results"},
            {"Observation": _observed("laboratory", "imaging"),
             "DiagnosticReport": _status("final", "amended", "corrected", "appended", "preliminary", "partial")},
            latest=True, most=60),
    Section("47519-4", "History of Procedures Document", {"nb": "Inngrep og undersøkelser", "en": "Procedures"},
            {"Procedure": _status("completed", "in-progress")}),
    Section("46264-8", "History of medical device use", {"nb": "Medisinsk utstyr", "en": "Medical devices"},
            {"DeviceUseStatement": _status("active", "completed", "intended")}),
    Section("104605-1", "Alert", {"nb": "Kritisk informasjon", "en": "Alerts"}, {"Flag": _status("active")}),
    Section("8716-3", "Vital signs note", {"nb": "Vitale målinger", "en": "Vital signs"},
            {"Observation": _observed("vital-signs")}, latest=True),
    Section("11348-0", "History of Past illness note", {"nb": "Tidligere sykdommer", "en": "Past problems"},
            {"Condition": _past}),
    Section("10162-6", "History of pregnancies Narrative", {"nb": "Svangerskap", "en": "Pregnancies"},
            {"Observation": _pregnancy}),
    Section("29762-2", "Social history note", {"nb": "Levevaner", "en": "Social history"},
            {"Observation": _observed("social-history")}, latest=True),
    Section("47420-5", "Functional status assessment note", {"nb": "Funksjon", "en": "Functional status"},
            {"ClinicalImpression": _status("completed")}),
    Section("42348-3", "Advance healthcare directives", {"nb": "Forhåndsønsker", "en": "Advance directives"},
            {"Consent": _directive}),
    Section("18776-5", "Plan of care note", {"nb": "Planer", "en": "Plan of care"},
            {"CarePlan": _status("active", "on-hold")}),
)  # fmt: skip

TYPES = frozenset(kind for section in SECTIONS for kind in section.picks)
"""Every type that some section holds."""


def chosen(section: Section, resources: Sequence[Resource]) -> Iterator[Resource]:
    """Those of `resources`, newest first, that a section holds."""
    seen: set[str] = set()
    count = 0
    for resource in resources:
        picks = section.picks.get(str(resource.get("resourceType")))
        if picks is None or not picks(resource) or count >= section.most:
            continue
        if section.latest:
            named = codes(resource.get("code")) or {str((resource.get("code") or {}).get("text"))}
            mark = f"{resource['resourceType']} {sorted(named)}"
            if mark in seen:
                continue
            seen.add(mark)
        count += 1
        yield resource
