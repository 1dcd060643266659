"""Letters to make documents of: an ordinary appointment, and values for every template's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from varde.services.letters.document import Document
from varde.services.letters.library import LetterFacts, compose, template

TODAY = date(2026, 11, 24)
START = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
FACTS = LetterFacts(
    patient="Ánde Nilsen Sara",
    born=date(1970, 3, 14),
    unit="Hudpoliklinikken",
    trust="Universitetssykehuset Nord-Norge HF",
    hospital="UNN Tromsø",
    unit_phone="77 62 60 00",
    opening_hours="mandag til fredag kl. 08.00–15.00",
    website="https://www.unn.no",
    sender_address=("Postboks 100", "9038 Tromsø"),
    start=START,
    minutes=30,
    kind="Poliklinisk konsultasjon",
    place="Hudpoliklinikken",
    address=("Hansine Hansens veg 67", "9019 Tromsø"),
    room="A-fløya, plan 3, rom A3.114",
    practitioner="Overlege Kari Nordmann",
    instruction="Ta med en liste over medisinene du bruker.\nKom ti minutter før timen.",
    previous_start=datetime(2026, 11, 27, 8, 30, tzinfo=UTC),
    referral_date=date(2026, 10, 1),
    deadline=date(2027, 1, 15),
    reference="2026/12345",
)
VALUES: Mapping[str, Mapping[str, str]] = {
    "referral-waiting": {"expected": "januar 2027"},
    "referral-refused": {"reason": "Fastlegen din kan hjelpe deg.", "advice": "Bruk kremen i fire uker."},
    "changed": {"reason": "ward"},
    "cancelled": {"reason": "ward", "next": "new"},
    "discharge": {
        "summary": "Vi tok en prøve av huden din.\n\nDen viste ikke noe farlig.",
        "todo": "Smør deg hver kveld.\nHold såret tørt i to dager.",
        "medicines": "Kremen: morgen og kveld, mot kløe",
        "followup": "gp",
        "warning": "såret blør\ndu får feber",
    },
    "questionnaire": {"answer_by": "2026-11-27"},
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A recipient with an address."""

    name: str = "Ánde Nilsen Sara"
    lines: tuple[str, ...] = ("c/o Elle Márjá Sara", "Fjellveien 14 B")
    postal_code: str = "9520"
    city: str = "KAUTOKEINO"
    country: str = "NO"


def letter(key: str = "summons", language: str = "nb", facts: LetterFacts = FACTS, **values: str) -> Document:
    """A letter of the template `key`."""
    return compose(template(key), language=language, facts=facts, values={**VALUES.get(key, {}), **values}, today=TODAY)
