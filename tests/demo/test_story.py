"""The region's letters, as the demo's visitors find them: in every state, each reached through the letters' flow."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.demo_server import DemoServer
from varde.demo import places
from varde.demo.world import TO_CALL


@pytest.fixture
async def letters(demo: DemoServer) -> list[dict[str, Any]]:
    """Every letter of the region."""
    headers = demo.headers("--system", "test", "--scopes", "system/*.rs")
    found: list[dict[str, Any]] = []
    address = f"{demo.fhir}/Communication?_count=200"
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        while address:
            page = (await client.get(address)).json()
            found += [entry["resource"] for entry in page.get("entry", ())]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found


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
