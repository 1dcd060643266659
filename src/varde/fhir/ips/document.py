"""The document itself: a Bundle of a Composition, the Patient, the entries and what they refer to. Pure.

The same record, language and moment give the same document, byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from varde.fhir import splice
from varde.fhir.ips import narrative
from varde.fhir.ips.sections import SECTIONS, Resource, Section, chosen
from varde.fhir.model import Stored

PROFILE = "http://hl7.org/fhir/uv/ips/StructureDefinition"
_NAMESPACE = UUID("6f5f0a3e-5f55-5c19-9f0e-3c8d0a1b2c4d")
_EMPTY = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_REASONS = {"unavailable": "Unavailable", "withheld": "Information Withheld"}
LOINC = "http://loinc.org"


def chosen_of(record: Sequence[Stored]) -> list[tuple[Section, list[Stored]]]:
    """The sections with their entries, newest first; those that may be left out only where they have some."""
    newest = sorted(record, key=lambda one: (narrative.when(one.resource), one.reference), reverse=True)
    by_reference = {one.reference: one for one in newest}
    resources = [one.resource for one in newest]
    found = []
    for section in SECTIONS:
        entries = [by_reference[f"{one['resourceType']}/{one['id']}"] for one in chosen(section, resources)]
        if entries or section.required:
            found.append((section, entries))
    return found


def document(
    base: str,
    patient: Stored,
    sections: Sequence[tuple[Section, Sequence[Stored]]],
    others: Sequence[Stored],
    *,
    language: str,
    moment: str,
    closed: frozenset[str],
) -> bytes:
    """The Bundle as text, with each resource's bytes as stored. `closed`: types that may not be shown to who asks;
    `moment` is an instant."""
    entries: dict[str, Stored] = {patient.reference: patient}
    for _, several in sections:
        entries |= {one.reference: one for one in several}
    entries |= {one.reference: one for one in others}
    content = "|".join([base, language, *(f"{one.reference}/{one.version}" for one in entries.values())])
    made = uuid5(_NAMESPACE, content)
    author = {
        "resourceType": "Device",
        "id": str(uuid5(_NAMESPACE, f"{base}|author")),
        "meta": {"profile": [f"{PROFILE}/Device-observer-uv-ips"]},
        "deviceName": [{"name": "Varde", "type": "user-friendly-name"}],
    }
    composition = {
        "resourceType": "Composition",
        "id": str(made),
        "meta": {"profile": [f"{PROFILE}/Composition-uv-ips"]},
        "language": language,
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{made}"},
        "status": "final",
        "type": {"coding": [{"system": LOINC, "code": "60591-5", "display": "Patient summary Document"}]},
        "subject": {"reference": patient.reference},
        "date": moment,
        "author": [{"reference": f"Device/{author['id']}", "display": "Varde"}],
        "title": narrative.WORDS[language]["title"],
        "confidentiality": "N",
        **_custodian(patient.resource, entries),
        "section": [_section(section, several, language, closed) for section, several in sections],
    }
    identity = uuid5(_NAMESPACE, f"{made}|{moment}")
    head = {
        "resourceType": "Bundle",
        "id": str(identity),
        "meta": {"profile": [f"{PROFILE}/Bundle-uv-ips"]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{identity}"},
        "type": "document",
        "timestamp": moment,
    }
    listed = [
        _entry(base, f"Composition/{made}", splice.dump(composition)),
        *(_entry(base, reference, one.body) for reference, one in entries.items()),
        _entry(base, f"Device/{author['id']}", splice.dump(author)),
    ]
    return splice.dump(head)[:-1] + b',"entry":[' + b",".join(listed) + b"]}"


def _entry(base: str, reference: str, body: bytes) -> bytes:
    return b'{"fullUrl":"%s/%s","resource":%s}' % (base.encode(), reference.encode(), body)


def _custodian(patient: Resource, entries: Mapping[str, Stored]) -> dict[str, Any]:
    """Who keeps the record, where the document tells of them."""
    reference = (patient.get("managingOrganization") or {}).get("reference")
    return {"custodian": {"reference": reference}} if reference in entries else {}


def _section(section: Section, several: Sequence[Stored], language: str, closed: frozenset[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "title": section.titles[language],
        "code": {"coding": [{"system": LOINC, "code": section.code, "display": section.display}]},
    }
    if several:
        text = narrative.table([one.resource for one in several], language)
        return made | {"text": text, "entry": [{"reference": one.reference} for one in several]}
    # That nothing is recorded is not that there is nothing: only a clinician says "none known", in a resource.
    reason = "withheld" if section.picks.keys() <= closed else "unavailable"
    coding = {"system": _EMPTY, "code": reason, "display": _REASONS[reason]}
    return made | {"text": narrative.sentence(reason, language), "emptyReason": {"coding": [coding]}}
