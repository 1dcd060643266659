"""Whether a letter has all it must have, told in plain words (LET-31). Pure; nothing is sent from here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from varde.services.letters.library.shapes import Field, LetterFacts, Template

_PHONE = re.compile(r"\+?[0-9 ]{3,20}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

FAULTS: Mapping[str, Mapping[str, str]] = {
    "missing": {
        "nb": "Fyll ut dette feltet.",
        "nn": "Fyll ut dette feltet.",
        "se": "Deavdde dán gietti.",
        "en": "Fill in this field.",
    },
    "too-long": {
        "nb": "Skriv kortere. Her er det plass til {longest} tegn.",
        "nn": "Skriv kortare. Her er det plass til {longest} teikn.",
        "se": "Čále oaneheappot. Dása čáhket {longest} mearkka.",
        "en": "Write less. There is room for {longest} characters.",
    },
    "not-a-date": {
        "nb": "Skriv en dato, for eksempel 2026-12-01.",
        "nn": "Skriv ein dato, til dømes 2026-12-01.",
        "se": "Čále beaivemeari, ovdamearkka dihtii 2026-12-01.",
        "en": "Write a date, for example 2026-12-01.",
    },
    "not-a-phone": {
        "nb": "Skriv et telefonnummer med bare tall.",
        "nn": "Skriv eit telefonnummer med berre tal.",
        "se": "Čále telefonnummira mas leat dušše logut.",
        "en": "Write a telephone number with digits only.",
    },
    "not-a-choice": {
        "nb": "Velg en av mulighetene.",
        "nn": "Vel eitt av alternativa.",
        "se": "Vállje ovtta molssaeavttuin.",
        "en": "Choose one of the options.",
    },
    "strange": {
        "nb": "Teksten har tegn som ikke kan trykkes. Skriv den på nytt.",
        "nn": "Teksten har teikn som ikkje kan trykkjast. Skriv han på nytt.",
        "se": "Teavsttas leat mearkkat maid ii sáhte deaddilit. Čále dan ođđasit.",
        "en": "The text has characters that cannot be printed. Write it again.",
    },
    "appointment": {
        "nb": "Brevet trenger en time.",
        "nn": "Brevet treng ein time.",
        "se": "Reive dárbbaša diimmu.",
        "en": "The letter needs an appointment.",
    },
    "place": {
        "nb": "Timen mangler sted.",
        "nn": "Timen manglar stad.",
        "se": "Diimmus váilu báiki.",
        "en": "The appointment lacks a place.",
    },
    "unit_phone": {
        "nb": "Avdelingen mangler telefonnummer.",
        "nn": "Avdelinga manglar telefonnummer.",
        "se": "Ossodagas váilu telefonnummir.",
        "en": "The ward lacks a telephone number.",
    },
    "referral_date": {
        "nb": "Henvisningen mangler dato.",
        "nn": "Tilvisinga manglar dato.",
        "se": "Čujuhusas váilu beaivemearri.",
        "en": "The referral lacks a date.",
    },
    "deadline": {
        "nb": "Henvisningen mangler frist for behandling.",
        "nn": "Tilvisinga manglar frist for behandling.",
        "se": "Čujuhusas váilu divššu áigemearri.",
        "en": "The referral lacks a deadline for treatment.",
    },
    "previous_start": {
        "nb": "Brevet trenger den gamle timen.",
        "nn": "Brevet treng den gamle timen.",
        "se": "Reive dárbbaša boares diimmu.",
        "en": "The letter needs the earlier appointment.",
    },
}
"""Every fault, in the language of who reads it: staff."""


def check(template: Template, values: Mapping[str, str], *, language: str = "nb") -> Mapping[str, str]:
    """Faults in what staff filled in, by field. Fields that the template does not have are not looked at."""
    faults = {field.name: _fault(field, values.get(field.name, "").strip()) for field in template.fields}
    return {
        name: FAULTS[fault][language].format(longest=_field(template, name).longest)
        for name, fault in faults.items()
        if fault
    }


def check_facts(template: Template, facts: LetterFacts, *, language: str = "nb") -> Mapping[str, str]:
    """What the record lacks for this letter, by fact."""
    faults = [need for need in template.needs if not getattr(facts, need)]
    if template.needs_appointment and facts.start is None:
        faults.append("appointment")
    elif template.tells_place and facts.meeting == "in-person" and not (facts.place or facts.address):
        faults.append("place")
    return {fault: FAULTS[fault][language] for fault in faults}


def _field(template: Template, name: str) -> Field:
    return next(field for field in template.fields if field.name == name)


def _fault(field: Field, value: str) -> str | None:
    if not value:
        return "missing" if field.required else None
    if len(value) > field.longest:
        return "too-long"
    if _CONTROL.search(value.replace("\r\n", "\n")):
        return "strange"
    if field.type == "date" and _date(value) is None:
        return "not-a-date"
    if field.type == "tel" and not _PHONE.fullmatch(value):
        return "not-a-phone"
    if field.type == "choice" and value not in {choice for choice, _ in field.choices}:
        return "not-a-choice"
    return None


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None
