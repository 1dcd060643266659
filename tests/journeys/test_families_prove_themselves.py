"""The journeys of the family on a real demo, as operators run them: green, told of on the status page, and out of the
lists of those who follow up (IMP-01, IMP-03, IMP-08). What they catch: tests/services/family/test_journeys.py."""

from __future__ import annotations

import httpx
import pytest

from tests.demo_server import DemoServer
from varde.demo import probe
from varde.services.family.journeys import JOURNEYS

pytestmark = pytest.mark.slow


async def test_green_for_everybody_to_see_and_nobodys_work(demo: DemoServer) -> None:
    for journey in JOURNEYS:
        ran = demo.varde("journey", "run", journey.name, check=False)
        assert ran.returncode == 0 and f"{journey.name}: green" in ran.stdout, ran.stdout
        assert not any(human.number in ran.stdout or human.id in ran.stdout for human in probe.PATIENTS)
    async with demo.client() as client:
        state = (await client.get("/status", headers={"accept": "application/json"})).json()
        family = next(one for one in state["services"] if one["name"] == "family")
        assert family["condition"] in ("green", "slow")
        page = (await client.get("/status")).text
        assert "Familie og fullmakt" in page
        auditor = demo.worker("auditor")
        findings = (await demo.log_in(client, auditor["hpr"], "/arbeid/innsyn/funn")).text
        assert "Prøve Lege" not in findings and "Prøvepasient" not in findings
        assert "Prøve Lege" not in (await client.get("/arbeid/nodtilgang/gjennomgang")).text
    async with demo.client() as client:
        doctor = demo.worker("doctor")
        page = (await demo.log_in(client, doctor["hpr"], "/arbeid/pasienten-ser")).text
        csrf = page.split('name="csrf" value="')[1].split('"')[0]
        found = await client.post("/arbeid/pasienten-ser", data={"csrf": csrf, "sok": "Prøvepasient"})
        assert "Ingen pasient hos oss passer" in found.text


def test_imp_02_the_persons_are_marked_for_all_who_read_them(demo: DemoServer) -> None:
    headers = demo.headers("--system", "test", "--scopes", "system/Patient.rs")
    marked = "https://varde.no/fhir/CodeSystem/probe|journey"
    answer = httpx.get(f"{demo.fhir}/Patient", params={"_tag": marked}, headers=headers).raise_for_status()
    assert {entry["resource"]["id"] for entry in answer.json()["entry"]} == {human.id for human in probe.PATIENTS}
