"""Coming appointments of one who has died are called off, and listed for the unit (FAM-16)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.fhir.keys import lasting_id

if TYPE_CHECKING:
    from varde.services import Platform

OPEN = ("proposed", "pending", "booked", "waitlist")
_DIED = {"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat-dec"}
_TYPES = frozenset({"Appointment", "Patient", "Task"})
PROBLEM = "https://varde.no/fhir/CodeSystem/letter-problem"
ATTENTION = "https://varde.no/fhir/CodeSystem/letter-attention"
"""The unit's one list of what it must see to: its words are those of letters, which show it."""
KEY = "https://varde.no/fhir/NamingSystem/letter-key"
_FROM_PATIENT = {"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "NORU"}


async def call_off(platform: Platform, connection: Any, patient_id: str) -> None:
    """Call off every appointment of a patient that lies ahead or has no time yet, and tell the unit."""
    scope = platform.access.for_system("appointments", types=_TYPES, write_types=frozenset({"Appointment", "Task"}))
    query = [("patient", f"Patient/{patient_id}"), ("status", ",".join(OPEN)), ("_count", "200")]
    page = await platform.store.search(scope, "Appointment", query, connection=connection)
    wanted = [one.id for one in page.matches]
    locked = await platform.store.read_many(scope, "Appointment", wanted, connection=connection, for_update=True)
    patient = await platform.store.read(scope, "Patient", patient_id, connection=connection)
    now, written = platform.clock.now(), list[Mapping[str, Any]]()
    for stored in locked.values():
        appointment = stored.resource
        if appointment["status"] not in OPEN or not _ahead(appointment, now):
            continue
        written.append({**appointment, "status": "cancelled", "cancelationReason": {"coding": [_DIED]}})
        unit = _unit(appointment)
        if unit is not None:
            written.append(_task(appointment, patient.resource, unit, now))
    if written:
        await platform.store.write_many(scope, written, connection=connection)


def _ahead(appointment: Mapping[str, Any], now: datetime) -> bool:
    start = appointment.get("start")
    return start is None or datetime.fromisoformat(start) > now


def _unit(appointment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = appointment.get("supportingInformation", ())
    return next((one for one in references if str(one.get("reference")).startswith("Organization/")), None)


def _task(
    appointment: Mapping[str, Any], patient: Mapping[str, Any], unit: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    key = f"appointment:{appointment['id']}:dead"
    names = patient.get("name") or [{}]
    name = names[0].get("text") or " ".join([*names[0].get("given", ()), names[0].get("family", "")]).strip()
    return {
        "resourceType": "Task",
        "id": lasting_id(key, patient["id"]),
        "meta": {
            "security": [_FROM_PATIENT],
            "tag": [{"system": ATTENTION, "code": str(unit["reference"]).partition("/")[2]}],
        },
        "identifier": [{"system": KEY, "value": key}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": PROBLEM, "code": "dead"}]},
        "description": str(appointment.get("description") or ""),
        "for": {"reference": f"Patient/{patient['id']}", "display": name},
        "authoredOn": now.isoformat(),
        "owner": dict(unit),
        "focus": {"reference": f"Appointment/{appointment['id']}"},
        "note": [{"text": "Timen er avlyst."}],
    }
