"""What people are told about who acts for whom: kinds, their words on the pages, and as FHIR both ways. Pure.

A notice is a Communication in the receiver's own compartment, hidden from all who act for them. The SMS or e-mail says
only that there is something to read: neither what nor about whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

from varde.clock import OSLO
from varde.fhir.keys import bucket_of, new_id

_ = str  # marks messages for extraction

CATEGORY = "https://varde.no/fhir/CodeSystem/family-notice"
SENDER = "Helsevarsel"
QUIET_FROM = time(21)
QUIET_UNTIL = time(8)
"""No SMS wakes anybody (LET-22)."""


class Kind(StrEnum):
    """What happened."""

    POWER_GIVEN = "power-given"
    POWER_RECEIVED = "power-received"
    POWER_WITHDRAWN = "power-withdrawn"
    POWER_LOST = "power-lost"
    YOUTH_ACCESS_GIVEN = "youth-access-given"
    YOUTH_ACCESS_WITHDRAWN = "youth-access-withdrawn"
    OTHER_PARENT_GAVE = "other-parent-gave"
    OTHER_PARENT_WITHDREW = "other-parent-withdrew"
    CHILD_12 = "child-12"
    CHILD_13 = "child-13"
    CHILD_16 = "child-16"
    CHILD_16_DRAFTS = "child-16-drafts"
    OWN_13 = "own-13"
    OWN_16 = "own-16"
    EMERGENCY = "emergency"
    EMERGENCY_CHILD = "emergency-child"


TEXTS: Mapping[Kind, str] = {
    Kind.POWER_GIVEN: _("Du ga %(name)s fullmakt."),
    Kind.POWER_RECEIVED: _("%(name)s ga deg fullmakt."),
    Kind.POWER_WITHDRAWN: _("Fullmakten du ga %(name)s, er trukket tilbake."),
    Kind.POWER_LOST: _("Fullmakten du hadde fra %(name)s, er slutt."),
    Kind.YOUTH_ACCESS_GIVEN: _("%(name)s ga deg ungdomstilgang."),
    Kind.YOUTH_ACCESS_WITHDRAWN: _("%(name)s trakk tilbake ungdomstilgangen din."),
    Kind.OTHER_PARENT_GAVE: _("Den andre med foreldreansvar ga %(name)s ungdomstilgang."),
    Kind.OTHER_PARENT_WITHDREW: _("Den andre med foreldreansvar trakk tilbake ungdomstilgangen til %(name)s."),
    Kind.CHILD_12: _(
        "%(name)s har fylt 12 år. Fra nå av avgjør behandleren og %(name)s hva du får se fra sykehuset, for hver "
        "henvisning."
    ),
    Kind.CHILD_13: _("%(name)s har fylt 13 år og kan få egen tilgang, hvis en med foreldreansvar gir den."),
    Kind.CHILD_16: _("%(name)s har fylt 16 år og styrer helsetjenestene sine selv. Tilgangen din er slutt."),
    Kind.CHILD_16_DRAFTS: _(
        "%(name)s har fylt 16 år og styrer helsetjenestene sine selv. Tilgangen din er slutt, og det du hadde begynt å "
        "skrive, er lukket uten å bli sendt."
    ),
    Kind.OWN_13: _("Du har fylt 13 år. Du kan få egen tilgang hvis en med foreldreansvar gir deg den."),
    Kind.OWN_16: _(
        "Du har fylt 16 år og styrer helsetjenestene dine selv. Foreldrene dine ser ikke lenger noe her, og "
        "varsler går til deg."
    ),
    Kind.EMERGENCY: _("En behandler åpnet journalen din i en nødsituasjon. Se hvorfor på siden Mine sperringer."),
    Kind.EMERGENCY_CHILD: _("En behandler åpnet journalen til %(name)s i en nødsituasjon. Avdelingen går gjennom det."),
}
"""In the source language; `name` is the other person's."""

TOLD: Mapping[str, str] = {
    "nb": "Noe er endret i Familie og fullmakt hos Helse Nord. Logg inn på {portal} for å lese om det.",
    "nn": "Noko er endra i Familie og fullmakt hos Helse Nord. Logg inn på {portal} for å lese om det.",
    "se": "Juoga lea rievdan Bearaš ja fápmudus -siiddus Helse Nordas. Logge sisa {portal} vai beasat lohkat dan.",
    "en": "Something has changed in Family and power of attorney at Helse Nord. Log in at {portal} to read about it.",
}
SUBJECT: Mapping[str, str] = {
    "nb": "Beskjed om familie og fullmakt",
    "nn": "Melding om familie og fullmakt",
    "se": "Diehtu bearraša ja fápmudusa birra",
    "en": "About family and power of attorney",
}

_HIDDEN = [
    {"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "NORN_FORANS"},
    {"system": "https://varde.no/fhir/CodeSystem/access-mark", "code": "youth-alone"},
]
"""For the receiver alone, a young person too, and never for those who act for them."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that somebody is told."""

    kind: Kind
    to: str
    """Id of the Patient who is told."""
    name: str
    """Of the other person; empty where there is none."""
    at: datetime
    id: str = ""


def to_fhir(notice: Notice) -> dict[str, Any]:
    """A notice as a Communication."""
    person = {"reference": f"Patient/{notice.to}"}
    made: dict[str, Any] = {
        "resourceType": "Communication",
        "id": notice.id or new_id(bucket_of(notice.to)),
        "meta": {"security": _HIDDEN},
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY, "code": notice.kind.value}]}],
        "subject": person,
        "recipient": [person],
        "sent": notice.at.isoformat(timespec="seconds"),
    }
    if notice.name:
        made["payload"] = [{"contentString": notice.name}]
    return made


def from_fhir(resource: Mapping[str, Any]) -> Notice:
    """The notice in a Communication. Raises KeyError or ValueError for one that is none."""
    return Notice(
        Kind(resource["category"][0]["coding"][0]["code"]),
        str(resource["subject"]["reference"]).removeprefix("Patient/"),
        str(resource["payload"][0]["contentString"]) if "payload" in resource else "",
        datetime.fromisoformat(resource["sent"]),
        str(resource["id"]),
    )


def awake(now: datetime) -> datetime:
    """The first moment from `now` on when an SMS may go (LET-22)."""
    local = now.astimezone(OSLO)
    if QUIET_UNTIL <= local.time() < QUIET_FROM:
        return now
    day = local.date() if local.time() < QUIET_UNTIL else local.date() + timedelta(days=1)
    return datetime.combine(day, QUIET_UNTIL, OSLO)


def message(portal: str, *, channel: str, to: str, language: str) -> dict[str, str]:
    """The payload of the edge "notify". `channel` is sms or email."""
    text = TOLD.get(language, TOLD["nb"]).format(portal=portal)
    made = {"channel": channel, "to": to, "sender": SENDER, "text": text}
    if channel == "email":
        made["subject"] = SUBJECT.get(language, SUBJECT["nb"])
    return made
