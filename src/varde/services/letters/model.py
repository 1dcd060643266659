"""A letter as a typed object and as FHIR, both ways: one Communication is the whole letter, there is no second truth.

What may follow on what is `rules.py`; what a letter says is `document.py`. Reading back what was written gives the
same letter. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from varde.fhir.keys import lasting_id, resource_key
from varde.services.letters.rules import Channel, State

KEY = "https://varde.no/fhir/NamingSystem/letter-key"
STATE = "https://varde.no/fhir/CodeSystem/letter-state"
UNIT = "https://varde.no/fhir/CodeSystem/letter-unit"
"""Tag: id of the sending Organization. With tags a list is read in its own order from one index."""
UNIT_STATE = "https://varde.no/fhir/CodeSystem/letter-unit-state"
"""Tag: `unit.state`, which makes the counts of a unit one look-up each."""
FOLDER = "https://varde.no/fhir/CodeSystem/letter-folder"
KIND = "https://varde.no/fhir/CodeSystem/letter-kind"
DOCUMENT_TYPE = "urn:oid:2.16.578.1.12.4.1.1.9602"
RESTRICTION = "urn:oid:2.16.578.1.12.4.1.1.9603"
NOT_YET = "NORU"
"""9603: hidden from the patient and those who act for them, as a letter is before it is sent."""
LETTER = "I02-2"
EXTENSION = "https://varde.no/fhir/StructureDefinition/letter-"
JSON = "application/json"

ARCHIVE = "archive"

STATUS = {
    State.DRAFT: "preparation",
    State.WAITING: "preparation",
    State.SENT: "in-progress",
    State.NOTIFIED: "in-progress",
    State.DUE_FOR_PRINT: "in-progress",
    State.PRINTING: "in-progress",
    State.PRINTED: "in-progress",
    State.OPENED: "completed",
    State.POSTED: "completed",
    State.REPLACED: "completed",
    State.RETURNED: "on-hold",
    State.WITHDRAWN: "stopped",
    State.FAILED: "not-done",
}
"""LET-50 in FHIR's own words."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody by reference ("Patient/…", "Organization/…") and name. Empty reference: known by name alone."""

    reference: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state (LET-50). `cause` is a key of `causes.CAUSES`; `actor` a name."""

    state: State
    at: datetime
    cause: str
    actor: str


@dataclass(frozen=True, slots=True)
class Opened:
    """One person's first opening (LET-58). `who` is a Patient's id."""

    who: str
    name: str
    at: datetime
    for_another: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter. Ids are FHIR ids, moments are aware."""

    id: str
    key: str
    """Idempotency key (LET-53)."""
    state: State
    subject: Party
    unit: Party
    recipients: Sequence[Party]
    title: str
    kind: str
    template: str
    template_version: str
    language: str
    document: bytes
    """The content as `document.py`'s JSON, from which page and PDF are made for ever."""
    text: str
    """The content as plain text."""
    channel: Channel
    reason: str
    """Key of rules.REASONS."""
    urgent: bool = False
    to_representatives: bool = False
    appointment: str | None = None
    appointment_start: datetime | None = None
    """When the appointment was to be as the letter says it: LET-55."""
    sent: datetime | None = None
    scheduled: datetime | None = None
    deadline: datetime | None = None
    """When the print batch that takes it, unopened, closes."""
    reminder: datetime | None = None
    batch: str | None = None
    restrictions: Sequence[str] = ()
    """Codes of 9603 that what it is about carries: not for the parents (FAM-04) …"""
    replaces: str | None = None
    replaced_by: str | None = None
    withdrawn_reason: str = ""
    archived: bool = False
    changes: Sequence[Change] = ()
    openings: Sequence[Opened] = ()

    @property
    def opened(self) -> bool:
        """Whether somebody who may act for the patient has seen the content (LET-06)."""
        return bool(self.openings)

    @property
    def shown(self) -> bool:
        """Whether it was ever the patient's to see: not before it is sent, nor when it could not be."""
        return self.state not in (State.DRAFT, State.WAITING) and self.sent is not None

    @property
    def since(self) -> datetime | None:
        """When it came into its state."""
        return self.changes[-1].at if self.changes else None

    @property
    def patient(self) -> str:
        """Id of the Patient it is about."""
        return self.subject.reference.removeprefix("Patient/")

    @property
    def rid(self) -> int:
        """rid of the Communication."""
        return resource_key("Communication", self.id)

    @property
    def patient_key(self) -> int:
        """rid of that Patient."""
        return resource_key("Patient", self.patient)

    @property
    def unit_id(self) -> str:
        """Id of the Organization that sent it."""
        return self.unit.reference.removeprefix("Organization/")

    def moved(self, state: State, at: datetime, cause: str, actor: str) -> Letter:
        """The letter in `state`, with the change noted; itself when it is there already (LET-50)."""
        if state is self.state and self.changes:
            return self
        return replace(self, state=state, changes=(*self.changes, Change(state, at, cause, actor)))


def letter_id(unit: str, key: str, patient: str) -> str:
    """The id that `key` of `unit` gives for ever, with the patient's bucket in it (LET-53; fhir/keys.py)."""
    return lasting_id(f"{unit}\x1f{key}\x1f{patient}", patient)


def instant(moment: datetime) -> str:
    """A moment as a FHIR instant, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds" if moment.microsecond else "seconds")


def to_fhir(letter: Letter) -> dict[str, Any]:
    """The letter as a Communication."""
    meta: dict[str, Any] = {"tag": _tags(letter)}
    labels = [*letter.restrictions, *([] if letter.shown else [NOT_YET])]
    if labels:
        meta["security"] = [{"system": RESTRICTION, "code": code} for code in labels]
    resource: dict[str, Any] = {
        "resourceType": "Communication",
        "id": letter.id,
        "meta": meta,
        "language": letter.language,
        "extension": _extensions(letter),
        "identifier": [{"system": KEY, "value": letter.key}],
    }
    if letter.appointment is not None:
        resource["basedOn"] = [{"reference": f"Appointment/{letter.appointment}"}]
    resource["status"] = STATUS[letter.state]
    if letter.withdrawn_reason:
        resource["statusReason"] = {"text": letter.withdrawn_reason}
    resource["category"] = [
        {"coding": [{"system": DOCUMENT_TYPE, "code": LETTER, "display": "Brev"}]},
        {"coding": [{"system": KIND, "code": letter.kind}]},
    ]
    resource["priority"] = "urgent" if letter.urgent else "routine"
    resource["subject"] = reference_to(letter.subject)
    resource["topic"] = {"text": letter.title}
    if letter.appointment is not None:
        resource["about"] = [{"reference": f"Appointment/{letter.appointment}"}]
    if letter.sent is not None:
        resource["sent"] = instant(letter.sent)
    if letter.openings:
        resource["received"] = instant(letter.openings[0].at)
    resource["recipient"] = [reference_to(party) for party in letter.recipients]
    resource["sender"] = reference_to(letter.unit)
    resource["payload"] = [
        {"contentString": letter.text},
        {"contentAttachment": {"contentType": JSON, "data": base64.b64encode(letter.document).decode()}},
    ]
    return resource


def from_fhir(resource: Mapping[str, Any]) -> Letter:
    """The letter in a Communication. Raises KeyError or ValueError for one that is no letter of ours."""
    found: dict[str, list[Any]] = {}
    for one in resource["extension"]:
        found.setdefault(one["url"].removeprefix(EXTENSION), []).append(one)
    one_of = {name: value_of(values[0]) for name, values in found.items() if len(values) == 1}
    route, template = _parts(found["route"][0]), _parts(found["template"][0])
    tags = {tag["system"]: tag["code"] for tag in resource["meta"]["tag"]}
    based_on = resource.get("basedOn") or [{}]
    return Letter(
        id=resource["id"],
        key=resource["identifier"][0]["value"],
        state=State(tags[STATE]),
        subject=party_of(resource["subject"]),
        unit=party_of(resource["sender"]),
        recipients=tuple(party_of(one) for one in resource["recipient"]),
        title=resource["topic"]["text"],
        kind=resource["category"][1]["coding"][0]["code"],
        template=template["name"],
        template_version=template["version"],
        language=resource["language"],
        document=base64.b64decode(resource["payload"][1]["contentAttachment"]["data"]),
        text=resource["payload"][0]["contentString"],
        channel=Channel(route["channel"]),
        reason=route["reason"],
        to_representatives=route["representatives"],
        urgent=resource.get("priority") == "urgent",
        appointment=(based_on[0].get("reference") or "").removeprefix("Appointment/") or None,
        appointment_start=_moment(one_of.get("appointment-start")),
        sent=_moment(resource.get("sent")),
        scheduled=_moment(one_of.get("scheduled")),
        deadline=_moment(one_of.get("deadline")),
        reminder=_moment(one_of.get("reminder")),
        batch=one_of.get("batch"),
        restrictions=tuple(
            label["code"]
            for label in resource["meta"].get("security", ())
            if label.get("system") == RESTRICTION and label["code"] != NOT_YET
        ),
        replaces=_linked(found.get("replaces")),
        replaced_by=_linked(found.get("replaced-by")),
        withdrawn_reason=(resource.get("statusReason") or {}).get("text", ""),
        archived=tags.get(FOLDER) == ARCHIVE,
        changes=tuple(_change(_parts(one)) for one in found.get("change", ())),
        openings=tuple(_opening(one) for one in found.get("opening", ())),
    )


def _tags(letter: Letter) -> list[dict[str, str]]:
    tags = [
        {"system": STATE, "code": letter.state.value},
        {"system": UNIT, "code": letter.unit_id},
        {"system": UNIT_STATE, "code": unit_state(letter.unit_id, letter.state)},
    ]
    if letter.archived:
        tags.append({"system": FOLDER, "code": ARCHIVE})
    return tags


def unit_state(unit: str, state: State | str) -> str:
    """Code of the tag UNIT_STATE."""
    return f"{unit}.{State(state).value}"


def _extensions(letter: Letter) -> list[dict[str, Any]]:
    made = [
        _complex(
            "route",
            {"url": "channel", "valueCode": letter.channel.value},
            {"url": "reason", "valueCode": letter.reason},
            {"url": "representatives", "valueBoolean": letter.to_representatives},
        ),
        _complex(
            "template",
            {"url": "name", "valueCode": letter.template},
            {"url": "version", "valueString": letter.template_version},
        ),
    ]
    for name, moment in (
        ("appointment-start", letter.appointment_start),
        ("scheduled", letter.scheduled),
        ("reminder", letter.reminder),
        ("deadline", letter.deadline),
    ):
        if moment is not None:
            made.append({"url": EXTENSION + name, "valueInstant": instant(moment)})
    if letter.batch is not None:
        made.append({"url": EXTENSION + "batch", "valueString": letter.batch})
    for name, other in (("replaces", letter.replaces), ("replaced-by", letter.replaced_by)):
        if other is not None:
            made.append({"url": EXTENSION + name, "valueReference": {"reference": f"Communication/{other}"}})
    for change in letter.changes:
        made.append(
            _complex(
                "change",
                {"url": "state", "valueCode": change.state.value},
                {"url": "at", "valueInstant": instant(change.at)},
                {"url": "cause", "valueCode": change.cause},
                *([{"url": "actor", "valueString": change.actor}] if change.actor else []),
            )
        )
    for opening in letter.openings:
        made.append(
            _complex(
                "opening",
                {"url": "who", "valueReference": reference_to(Party(f"Patient/{opening.who}", opening.name))},
                {"url": "at", "valueInstant": instant(opening.at)},
                {"url": "for-another", "valueBoolean": opening.for_another},
            )
        )
    return made


def _complex(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"url": EXTENSION + name, "extension": list(parts)}


def reference_to(party: Party) -> dict[str, str]:
    """A Reference with its display."""
    made = {"reference": party.reference} if party.reference else {}
    return made | ({"display": party.name} if party.name else {})


def party_of(reference: Mapping[str, Any]) -> Party:
    """A Reference that `reference_to` made, read back."""
    return Party(reference.get("reference", ""), reference.get("display", ""))


def value_of(extension: Mapping[str, Any]) -> Any:
    """What stands in the `value[x]` of an extension."""
    return next((value for name, value in extension.items() if name.startswith("value")), None)


def _parts(extension: Mapping[str, Any]) -> dict[str, Any]:
    return {part["url"]: value_of(part) for part in extension["extension"]}


def _linked(extensions: Sequence[Mapping[str, Any]] | None) -> str | None:
    if not extensions:
        return None
    return str(extensions[0]["valueReference"]["reference"]).removeprefix("Communication/")


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _change(parts: Mapping[str, Any]) -> Change:
    return Change(State(parts["state"]), datetime.fromisoformat(parts["at"]), parts["cause"], parts.get("actor", ""))


def _opening(extension: Mapping[str, Any]) -> Opened:
    parts = _parts(extension)
    who = party_of(parts["who"])
    at = datetime.fromisoformat(parts["at"])
    return Opened(who.reference.removeprefix("Patient/"), who.name, at, parts["for-another"])
