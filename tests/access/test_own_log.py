"""What staff read of themselves in the log tells nothing of what they were refused: an id that is there and one that
never was leave the same lines (FAM-24, FAM-33)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.access import people
from tests.access.conftest import OTHER
from tests.access.varde_in_process import InProcess


async def refused(varde: InProcess, identifier: str) -> dict[str, Any]:
    """The newest line about oneself, after a try at an id."""
    assert (await varde.ask(people.CLINICIAN, "GET", f"/fhir/Observation/{identifier}")).status == 404
    found = (await varde.ask(people.CLINICIAN, "GET", "/fhir/AuditEvent?outcome=8&_sort=-date&_count=1")).json
    event: dict[str, Any] = found["entry"][0]["resource"]
    return {name: value for name, value in event.items() if name not in {"id", "meta", "recorded", "period"}}


async def test_a_refusal_has_no_patient_for_whom_it_refused(varde: InProcess) -> None:
    there, never = await refused(varde, f"{OTHER}-lab"), await refused(varde, "never-was")
    assert there == never and OTHER not in str(there)
    total = (await varde.ask(people.CLINICIAN, "GET", f"/fhir/AuditEvent?patient={OTHER}&_total=accurate")).json
    assert total["total"] == 0


async def test_nor_on_the_page(varde: InProcess) -> None:
    lines = []
    for identifier in (f"{OTHER}-lab", "never-was"):
        varde.clock.advance(timedelta(days=1))
        assert (await varde.ask(people.CLINICIAN, "GET", f"/fhir/Observation/{identifier}")).status == 404
        page = (await varde.ask(people.CLINICIAN, "GET", "/arbeid/innsyn")).text
        lines.append(next(row for row in page.split("<tr>") if "Ble stoppet" in row).split("</tr>")[0])
    assert lines[0] == lines[1] and "en pasient" not in lines[0]
