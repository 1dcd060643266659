"""The region's letters, as the demo's visitors find them: in every state, each reached through the letters' flow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests import markers
from tests.demo_server import DemoServer
from varde.demo import places
from varde.demo.world import TO_CALL
from varde.services.letters.model import DOCUMENT_TYPE, LETTER


@pytest.fixture
async def letters(demo: DemoServer) -> list[dict[str, Any]]:
    """Every letter of the region: all but those of the patient whom tests/markers.py plants in it."""
    headers = demo.headers("--system", "test", "--scopes", "system/*.rs")
    found: list[dict[str, Any]] = []
    address = f"{demo.fhir}/Communication?category={DOCUMENT_TYPE}|{LETTER}&_count=200"
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        while address:
            page = (await client.get(address)).json()
            found += [entry["resource"] for entry in page.get("entry", ())]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return [one for one in found if one["subject"]["reference"] != f"Patient/{markers.WHOSE}"]


def state(letter: dict[str, Any]) -> str:
    """The letter's state as its tag says."""
    return next(tag["code"] for tag in letter["meta"]["tag"] if tag["system"].endswith("letter-state"))


def test_there_are_letters_in_every_state_that_lasts(letters: list[dict[str, Any]]) -> None:
    states = Counter(state(letter) for letter in letters)
    assert {"notified", "opened", "posted", "returned", "withdrawn", "replaced", "failed"} <= states.keys(), states


def test_no_letter_is_of_a_time_before_the_region_s_history(letters: list[dict[str, Any]]) -> None:
    sent = [datetime.fromisoformat(letter["sent"]) for letter in letters if "sent" in letter]
    assert len(sent) > 20
    span = max(sent) - min(sent)
    assert 8 <= span.days <= 13


async def test_a_visitor_finds_what_is_to_do_and_what_is_done(demo: DemoServer) -> None:
    async with demo.client() as client:
        page = await demo.log_in(client, demo.person("Ingrid Solberg")["fnr"], "/brev")
        assert "Innkalling til time" in page.text and "Svar på henvisning" in page.text
    async with demo.client() as client:
        page = await demo.log_in(client, demo.worker("secretary")["hpr"], "/arbeid/brev/ny")
        assert page.text.count('name="time"') >= TO_CALL - 2


async def test_a_text_message_tells_of_the_trust_and_nothing_more(demo: DemoServer) -> None:
    async with demo.client() as client:
        told = (await client.get("/demo/outbox?edge=notify&count=500")).json()["messages"]
    texts = [one["payload"]["text"] for one in told if one["payload"]["channel"] == "sms"]
    senders = [f"Du har et nytt brev fra {trust.name}." for trust in places.TRUSTS]
    assert sum(text.startswith(tuple(senders)) for text in texts) > 10
    assert not any("Ortopedisk" in text for text in texts)
    assert all(one["receipts"] for one in told if one["state"] == "received")


async def _until(found: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(100):
        if await found():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("not within twenty seconds")


async def test_the_death_that_the_register_tells_of_stops_what_is_under_way_fam_16(demo: DemoServer) -> None:
    rolf = demo.person("Rolf Eide")
    headers = demo.headers("--system", "test", "--scopes", "system/*.rs")
    async with httpx.AsyncClient(headers=headers, base_url=demo.fhir + "/", timeout=30) as client:

        async def states(kind: str) -> set[str]:
            page = (await client.get(f"{kind}?patient=Patient/{rolf['id']}")).json()
            return {entry["resource"]["status"] for entry in page.get("entry", ())}

        async def stopped() -> bool:
            return "not-done" in await states("Communication") and await states("Appointment") == {"cancelled"}

        await _until(stopped)
        record = (await client.get(f"Patient/{rolf['id']}")).json()
        assert record["deceasedDateTime"] and record["active"] is False
        task = (await client.get(f"Task?patient=Patient/{rolf['id']}&code=dead&status=requested")).json()
        assert task["entry"]


async def test_relatives_stand_in_the_named_persons_records(demo: DemoServer) -> None:
    headers = demo.headers("--system", "test", "--scopes", "system/*.rs")
    async with httpx.AsyncClient(headers=headers, base_url=demo.fhir + "/", timeout=30) as client:

        async def there() -> bool:
            page = (await client.get(f"RelatedPerson?patient=Patient/{demo.person('Maja Berg')['id']}")).json()
            names = {entry["resource"]["name"][0]["given"][0] for entry in page.get("entry", ())}
            return names == {"Hilde", "Jakob"}

        await _until(there)


@pytest.mark.parametrize(
    ("who", "whom", "may"),
    [
        ("Hilde Nygård", "Oskar Berg", True), ("Jakob Berg", "Oskar Berg", True), ("Berit Vik", "Else Vik", True),
        ("Berit Vik", "Gunnar Vik", True), ("Berit Vik", "Harald Vik", False), ("Berit Vik", "Samir Noori", True),
        ("Ingrid Solberg", "Astrid Nilsen", True), ("Berit Vik", "Astrid Nilsen", False),
        ("Kine Strand", "Leah Strand", False), ("Anne Lund", "Noah Lund", False),
    ],
)  # fmt: skip
async def test_who_acts_for_whom(demo: DemoServer, who: str, whom: str, may: bool) -> None:
    asked = ("--person", demo.person(who)["fnr"], "--for", demo.person(whom)["fnr"])
    headers = {"authorization": f"Bearer {demo.token(*asked)}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        answer = await client.get(f"{demo.fhir}/Appointment?_count=1")
    assert answer.status_code == (200 if may else 401), answer.text


async def test_an_assessed_referral_opens_to_the_young_person_and_the_parent_fam_06_fam_19(demo: DemoServer) -> None:
    sofie, randi = demo.person("Sofie Lyng")["fnr"], demo.person("Randi Lyng")["fnr"]
    for asked in (("--person", sofie), ("--person", randi, "--for", sofie)):
        headers = {"authorization": f"Bearer {demo.token(*asked)}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            found = (await client.get(f"{demo.fhir}/Appointment")).json()
        assert len(found.get("entry", ())) == 1, (asked, found)


async def test_results_wait_for_a_talk_or_are_released_or_kept_from_a_parent_fam_03_fam_04_fam_35(
    demo: DemoServer,
) -> None:
    sofie, randi, ingrid = (demo.person(name)["fnr"] for name in ("Sofie Lyng", "Randi Lyng", "Ingrid Solberg"))
    seen = []
    for asked in (("--person", sofie), ("--person", randi, "--for", sofie), ("--person", ingrid)):
        headers = {"authorization": f"Bearer {demo.token(*asked)}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            found = (await client.get(f"{demo.fhir}/DiagnosticReport")).json()
        seen.append([one["resource"]["code"]["text"] for one in found.get("entry", ())])
    assert seen == [[], ["Blodprøver"], []]


async def test_one_is_found_by_the_number_of_before(demo: DemoServer) -> None:
    amina = demo.person("Amina Yusuf")
    headers = {"authorization": f"Bearer {demo.token('--person', amina['former'][0])}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        found = (await client.get(f"{demo.fhir}/Patient")).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [amina["id"]]
