"""The record system's part in journeys, over the API, as far as services share it: who the patient is, and an
appointment at the probe's unit. What else a service's journey asks of it is its own.
"""

from __future__ import annotations

from datetime import timedelta

from varde.trust.persons import system_of
from varde.work.journey import Steps
from varde.work.visitor import Visitor

_UNTIL = timedelta(days=21)
"""From now to the appointment: far enough that no rule shortens the way of a letter about it (LET-05)."""


class RecordSystem:
    """The record system. Each service's journeys name the `scopes` that they need."""

    scopes: str

    def __init__(self, steps: Steps, visitor: Visitor) -> None:
        self._steps = steps
        self._visitor = visitor

    def _token(self) -> str:
        return self._steps.token(self.scopes)

    async def patient(self, number: str) -> str:
        """Id of the patient with a national identity number."""
        form = {"identifier": f"{system_of(number)}|{number}"}
        found = await self._visitor.look_up("/fhir/Patient", self._token(), form)
        self._steps.expect(len(found.get("entry", ())) == 1, "én prøvepasient", len(found.get("entry", ())))
        return str(found["entry"][0]["resource"]["id"])

    async def appoint(self, patient: str) -> str:
        """An appointment at the probe's unit for the patient with this id; its id."""
        start = self._steps.clock.now().replace(minute=0, second=0, microsecond=0) + _UNTIL
        made = await self._visitor.json(
            "POST", "/fhir/Appointment", self._token(),
            {
                "resourceType": "Appointment",
                "status": "booked",
                "description": "Prøvetime",
                "start": start.isoformat(),
                "end": (start + timedelta(minutes=30)).isoformat(),
                "created": self._steps.clock.now().isoformat(),
                "supportingInformation": [{"reference": f"Organization/{self._steps.probe.unit}"}],
                "participant": [
                    {"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"},
                    {"actor": {"reference": f"Location/{self._steps.probe.location}"}, "status": "accepted"},
                ],
            },
            status=201,
        )  # fmt: skip
        return str(made["id"])
