"""The journeys of letters on a real demo, as operators run them: green, with evidence for everybody to see, and
leaving nothing behind (IMP-01 to IMP-04, IMP-08)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.demo_server import DemoServer
from varde.demo import probe
from varde.services.letters.journey import JOURNEYS

pytestmark = pytest.mark.slow

SCOPES = "system/Appointment.cruds system/Communication.rs system/TestReport.rs"


class Machine:
    """Another system, over the API."""

    def __init__(self, demo: DemoServer) -> None:
        self.demo = demo
        headers = demo.headers("--system", "test", "--scopes", SCOPES) | {"content-type": "application/fhir+json"}
        self.client = httpx.Client(base_url=demo.base, headers=headers, timeout=30)

    def found(self, path: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/fhir/{path}").raise_for_status().json()
        return [entry["resource"] for entry in answer.get("entry", ())]

    def appointments(self) -> list[str]:
        patients = f"Patient/{probe.DIGITAL.id},Patient/{probe.PAPER.id}"
        return [one["id"] for one in self.found(f"Appointment?patient={patients}")]


@pytest.fixture(scope="module")
def machine(demo: DemoServer) -> Iterator[Machine]:
    made = Machine(demo)
    yield made
    made.client.close()


def notices(demo: DemoServer) -> list[dict[str, Any]]:
    answer = httpx.get(f"{demo.base}/demo/outbox?edge=notify&count=200", timeout=30).raise_for_status().json()
    return [one for one in answer["messages"] if one["payload"]["to"] == probe.DIGITAL.email]


def test_green_with_evidence_and_nothing_left_behind(demo: DemoServer, machine: Machine) -> None:
    before = len(notices(demo))
    said = "".join(demo.varde("journey", "run", journey.name).stdout for journey in JOURNEYS)
    assert said.count(": green  TestReport/") == len(JOURNEYS) == 2, said
    reports = [line.rsplit("/", 1)[1] for line in said.splitlines() if "TestReport/" in line]
    for report in reports:
        (kept,) = machine.found(f"TestReport?_id={report}")
        assert (kept["result"], kept["status"]) == ("pass", "completed")
    assert "Journalsystemet" in demo.varde("journey", "show", reports[0]).stdout
    told = notices(demo)
    assert len(told) > before and {one["state"] for one in told} == {"received"}, "each letter was told of at once"
    assert machine.found(f"Communication?_tag=https://varde.no/fhir/CodeSystem/letter-unit|{probe.UNIT}") == []
    assert machine.appointments() == []
    state = httpx.get(f"{demo.base}/status", headers={"accept": "application/json"}).json()
    letters = next(one for one in state["services"] if one["name"] == "letters")
    assert letters["condition"] in ("green", "slow") and letters["days"][-1]["runs"] >= 2
    listed = demo.varde("journey", "list").stdout
    assert all(one.name in listed for one in JOURNEYS) and "never" not in listed


def test_what_a_broken_off_run_left_is_taken_away_by_the_next(demo: DemoServer, machine: Machine) -> None:
    now = datetime.fromisoformat(httpx.get(f"{demo.base}/demo/clock").json()["now"])
    start = now.replace(microsecond=0) + timedelta(days=20)
    left = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=30)).isoformat(),
        "created": (now - timedelta(hours=1)).replace(microsecond=0).isoformat(),
        "supportingInformation": [{"reference": f"Organization/{probe.UNIT}"}],
        "participant": [{"actor": {"reference": f"Patient/{probe.PAPER.id}"}, "status": "accepted"}],
    }
    made = machine.client.post("/fhir/Appointment", json=left).raise_for_status().json()["id"]
    ran = demo.varde("journey", "run", "letters-paper")
    assert "Det en avbrutt prøve lot ligge, tas bort" in ran.stdout
    assert made not in machine.appointments()


def test_a_system_that_is_away_is_told_with_step_expected_and_seen(demo: DemoServer) -> None:
    """IMP-04. The next run is green again, and so is the page."""
    ran = demo.varde("journey", "run", "letters-digital", "--base", "http://127.0.0.1:1", check=False)
    assert ran.returncode == 1
    assert "expected: ingen feil" in ran.stdout and "seen: ConnectError" in ran.stdout
    assert demo.varde("journey", "run", "letters-digital").returncode == 0


def test_an_unknown_journey_is_said_to_be_so(demo: DemoServer) -> None:
    ran = demo.varde("journey", "run", "nothing", check=False)
    assert (ran.returncode, ran.stderr.strip()) == (2, "no such journey")
