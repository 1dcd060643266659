"""What a summary says in words: one table a section, in Norwegian or English. Pure.

Everything that comes from a resource is escaped; there is no other markup than the table's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Resource = Mapping[str, Any]

WORDS = {
    "nb": {
        "title": "Pasientoppsummering", "what": "Hva", "details": "Detaljer", "date": "Dato",
        "unavailable": "Ingen opplysninger er registrert her.", "withheld": "Disse opplysningene er ikke åpne for deg.",
    },
    "en": {
        "title": "Patient summary", "what": "What", "details": "Details", "date": "Date",
        "unavailable": "No information is recorded here.", "withheld": "This information is not open to you.",
    },
}  # fmt: skip
_CONCEPTS = ("code", "medicationCodeableConcept", "vaccineCode", "category", "scope")
_DATES = ("onsetDateTime", "effectiveDateTime", "performedDateTime", "occurrenceDateTime", "authoredOn", "recordedDate",
          "recordedOn", "dateAsserted", "issued", "date", "dateTime", "created")  # fmt: skip
_PERIODS = ("onsetPeriod", "effectivePeriod", "performedPeriod", "timingPeriod", "period")


def concept(value: Any) -> str:
    """A CodeableConcept, or the first of several, in words."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping):
        return ""
    if value.get("text"):
        return str(value["text"])
    for coding in value.get("coding") or ():
        if isinstance(coding, Mapping) and (coding.get("display") or coding.get("code")):
            return str(coding.get("display") or coding["code"])
    return ""


def label(resource: Resource) -> str:
    """What a resource tells of."""
    for name in _CONCEPTS:
        said = concept(resource.get(name))
        if said:
            return said
    for name in ("title", "medicationReference", "device", "description"):
        named = resource.get(name)
        display = named.get("display") if isinstance(named, Mapping) else named
        if isinstance(display, str) and display:
            return display
    return str(resource["resourceType"])


def value(resource: Resource) -> str:
    """What was found, as far as it is one value."""
    quantity = resource.get("valueQuantity")
    if isinstance(quantity, Mapping) and quantity.get("value") is not None:
        said = f"{quantity.get('comparator', '')}{quantity['value']} {quantity.get('unit') or quantity.get('code', '')}"
        return said.strip()
    said = concept(resource.get("valueCodeableConcept"))
    for name in ("valueString", "valueDateTime", "valueInteger", "valueBoolean"):
        if not said and resource.get(name) is not None:
            said = str(resource[name])
    return said


def details(resource: Resource) -> str:
    """What stands beside it: the value, the parts, the dosage, the reaction."""
    parts = [value(resource)]
    parts += [f"{label(one)} {value(one)}".strip() for one in resource.get("component") or ()
              if isinstance(one, Mapping) and one.get("code")]  # fmt: skip
    for name in ("dosageInstruction", "dosage"):
        parts += [str(one["text"]) for one in resource.get(name) or () if isinstance(one, Mapping) and one.get("text")]
    for reaction in resource.get("reaction") or ():
        if isinstance(reaction, Mapping):
            parts += [concept(one) for one in reaction.get("manifestation") or ()]
    if resource.get("conclusion"):
        parts.append(str(resource["conclusion"]))
    return ", ".join(part for part in parts if part)


def when(resource: Resource) -> str:
    """The day that it is of, as it was written."""
    for name in _DATES:
        if isinstance(resource.get(name), str):
            return str(resource[name])[:10]
    for name in _PERIODS:
        period = resource.get(name)
        if isinstance(period, Mapping) and (period.get("start") or period.get("end")):
            return str(period.get("start") or period["end"])[:10]
    return ""


def table(resources: Sequence[Resource], language: str) -> dict[str, str]:
    """A section's narrative."""
    words = WORDS[language]
    heads = "".join(f"<th>{words[name]}</th>" for name in ("what", "details", "date"))
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (label(one), details(one), when(one))) + "</tr>"
        for one in resources
    )
    return _narrative(f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>", language)


def sentence(name: str, language: str) -> dict[str, str]:
    """The narrative of an empty section: `unavailable` or `withheld`."""
    return _narrative(f"<p>{WORDS[language][name]}</p>", language)


def _narrative(inner: str, language: str) -> dict[str, str]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}" xml:lang="{language}">{inner}</div>'
    return {"status": "generated", "div": div}
