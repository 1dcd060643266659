"""An appointment as the patient reads it (APP-02), made from FHIR. Who may change one is not decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SHOWN = ("booked", "pending", "arrived", "checked-in")
"""Statuses of FHIR in which a coming appointment is the patient's to keep."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """One appointment. Texts are empty where the record says nothing."""

    id: str
    start: datetime
    minutes: int | None
    unit: str
    place: str
    address: str
    description: str
    instruction: str
    status: str


def from_fhir(resource: Mapping[str, Any], others: Iterable[Mapping[str, Any]] = ()) -> Appointment:
    """The appointment, with names of units and places from `others` or from the references' own display.

    Raises KeyError when it has no start: a request for an appointment is none yet.
    """
    known = {f"{other['resourceType']}/{other['id']}": other for other in others}
    unit = _first(_named(ref, known) for ref in resource.get("supportingInformation", ()) if _is(ref, "Organization"))
    actors = [p["actor"] for p in resource.get("participant", ()) if "actor" in p]
    service = _first(_named(actor, known) for actor in actors if _is(actor, "HealthcareService"))
    places = [known.get(a.get("reference", ""), a) for a in actors if _is(a, "Location")]
    place = places[0] if places else {}
    return Appointment(
        id=str(resource["id"]),
        start=datetime.fromisoformat(resource["start"]),
        minutes=_minutes(resource),
        unit=unit or service,
        place=str(place.get("name") or place.get("display") or ""),
        address=_address(place),
        description=str(resource.get("description", "")),
        instruction=str(resource.get("patientInstruction", "")),
        status=str(resource["status"]),
    )


def _is(reference: Mapping[str, Any], kind: str) -> bool:
    return reference.get("type") == kind or str(reference.get("reference", "")).startswith(f"{kind}/")


def _named(reference: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    other = known.get(str(reference.get("reference", "")), {})
    return str(other.get("name") or reference.get("display") or "")


def _first(names: Iterable[str]) -> str:
    return next((name for name in names if name), "")


def _minutes(resource: Mapping[str, Any]) -> int | None:
    if "minutesDuration" in resource:
        return int(resource["minutesDuration"])
    if "end" in resource:
        length = datetime.fromisoformat(resource["end"]) - datetime.fromisoformat(resource["start"])
        return int(length.total_seconds() // 60) or None
    return None


def _address(place: Mapping[str, Any]) -> str:
    address = place.get("address", {})
    town = " ".join(filter(None, (address.get("postalCode"), address.get("city"))))
    return ", ".join(filter(None, (*address.get("line", ()), town)))
