"""What a resource of a patient's record is called on these pages: a title, a day, where it is from. Pure.

Titles are the record's own words; where it has none, the kind of thing says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.fhir.search.dates import date_range

_ = str  # marks messages for extraction

KINDS: Mapping[str, str] = {
    "AllergyIntolerance": _("Allergi"),
    "Appointment": _("Time"),
    "CarePlan": _("Plan"),
    "Communication": _("Brev og meldinger"),
    "Condition": _("Diagnose"),
    "DiagnosticReport": _("Prøvesvar"),
    "DocumentReference": _("Dokument"),
    "Encounter": _("Besøk og innleggelse"),
    "EpisodeOfCare": _("Behandlingsforløp"),
    "Immunization": _("Vaksine"),
    "MedicationRequest": _("Legemiddel"),
    "MedicationStatement": _("Legemiddel i bruk"),
    "Observation": _("Måling og prøveresultat"),
    "Procedure": _("Inngrep"),
    "QuestionnaireResponse": _("Skjema"),
    "ServiceRequest": _("Henvisning"),
    "Task": _("Oppgave"),
}
"""Types that the pages tell of, by what they are called (source language)."""
OTHER = _("Annet")

_DATES = ("effectiveDateTime", "sent", "date", "issued", "start", "authoredOn", "authored", "occurrenceDateTime",
          "recordedDate", "performedDateTime", "dateAsserted", "created")  # fmt: skip
_FROM = ("serviceProvider", "managingOrganization", "custodian", "sender", "performer", "author", "requester", "owner",
         "supportingInformation")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """One thing, as a person would know it again."""

    reference: str
    """Type/id."""
    type: str
    kind: str
    """Message: what kind of thing it is."""
    title: str
    """Empty where the record has no words for it."""
    at: datetime | None
    source: str
    """Name of the unit or person it is from, where the record says so."""
    codes: frozenset[str] = frozenset()
    """Of 9603 and Varde's own, in meta.security."""


def named(resource: Mapping[str, Any]) -> Named:
    """A resource by its names."""
    kind = str(resource["resourceType"])
    return Named(
        f"{kind}/{resource['id']}", kind, KINDS.get(kind, OTHER), _title(resource), _at(resource), _source(resource),
        frozenset(one.get("code", "") for one in (resource.get("meta") or {}).get("security", ())),
    )  # fmt: skip


def _title(resource: Mapping[str, Any]) -> str:
    for name in ("topic", "code", "medicationCodeableConcept", "vaccineCode", "type", "title", "description", "class"):
        text = _text(resource.get(name))
        if text:
            return text
    return ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return next((text for one in value if (text := _text(one))), "")
    if isinstance(value, Mapping):
        codings = value.get("coding") or [value]
        return str(value.get("text") or next((c["display"] for c in codings if c.get("display")), ""))
    return ""


def _at(resource: Mapping[str, Any]) -> datetime | None:
    said = next((resource[name] for name in _DATES if resource.get(name)), None)
    said = said or (resource.get("period") or {}).get("start")
    try:
        return date_range(said)[0] if isinstance(said, str) else None
    except ValueError:
        return None


def _source(resource: Mapping[str, Any]) -> str:
    for name in _FROM:
        value = resource.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                inner = one.get("actor") or one
                if isinstance(inner, Mapping) and inner.get("display"):
                    return str(inner["display"])
    return ""
