"""Emergency access through its pages (FAM-34): opened with a reason, read, ended, told of and gone through."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser

from tests.browsing import PHONE, chromium, inspect
from tests.demo_server import DemoServer
from varde.services.family.emergency_access import says
from varde.services.family.emergency_rules import CAUSES, LONGEST_REASON, SHORTEST_REASON, faults, may_open

pytestmark = pytest.mark.browser
REASON = "Bevisstløs etter ulykke, må vite om legemidler og allergier"
HOME = "/arbeid/nodtilgang"


@pytest.mark.parametrize(
    ("known", "cause", "reason", "wrong"),
    [
        (True, "life", REASON, {}),
        (False, "life", REASON, {"nummer": "number"}),
        (True, "curious", REASON, {"arsak": "cause"}),
        (True, "life", "haster", {"grunn": "short"}),
        (True, "life", "x" + " " * SHORTEST_REASON + "y", {"grunn": "short"}),
        (True, "life", "x" * (LONGEST_REASON + 1), {"grunn": "long"}),
        (False, "", "", {"nummer": "number", "arsak": "cause", "grunn": "short"}),
    ],
)
def test_fam_34_nothing_opens_without_a_patient_a_cause_and_a_reason(
    known: bool, cause: str, reason: str, wrong: dict[str, str]
) -> None:
    assert faults(known, cause, reason) == wrong


def test_fam_34_only_those_who_give_health_care() -> None:
    assert [role for role in ("clinician", "secretary", "operator", "auditor", "") if may_open(role)] == ["clinician"]
    assert len(set(CAUSES)) == 5


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({"valueQuantity": {"value": 13.1, "unit": "g/dL"}}, "13.1 g/dL"),
        ({"valueCodeableConcept": {"text": "positiv"}}, "positiv"),
        ({"conclusion": "Brudd i håndleddet"}, "Brudd i håndleddet"),
        ({"dosageInstruction": [{"text": "1 tablett"}, {"text": "2 om kvelden"}]}, "1 tablett 2 om kvelden"),
        ({"reaction": [{"description": "Utslett"}]}, "Utslett"),
        ({"topic": {"text": "Innkalling"}, "payload": [{"contentString": "hele brevet"}]}, ""),
        ({}, ""),
    ],
)
def test_what_a_thing_says_is_told_beside_its_name(resource: dict[str, Any], said: str) -> None:
    assert says(resource) == said


def _csrf(page: str) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', page)[1]  # type: ignore[index]


def _fields(page: str) -> dict[str, str]:
    """The hidden fields of the form that opens it."""
    form = re.search(r'<form method="post" action="/arbeid/nodtilgang" class="actions">.*?</form>', page, re.S)
    assert form is not None, page[-3000:]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
def stranger(demo: DemoServer) -> dict[str, Any]:
    """A doctor of a ward that does not treat the patient."""
    return next(
        one for one in demo.everybody
        if one.get("title") == "lege" and one["unit"]["name"].startswith("Lungeavdelingen")
    )  # fmt: skip


async def test_fam_34_opened_read_told_ended_and_gone_through(
    browser: Browser, demo: DemoServer, stranger: dict[str, Any]
) -> None:
    patient = demo.person("Knut Haugen")
    asked = {"nummer": patient["fnr"], "arsak": "unconscious", "grunn": REASON}
    async with demo.client() as staff:
        page = (await demo.log_in(staff, stranger["hpr"], HOME)).text
        csrf = {"csrf": _csrf(page)}
        wrong = await staff.post(HOME, data=csrf | asked | {"grunn": "haster"})
        assert wrong.status_code == 422 and patient["fnr"] in wrong.text and "Pasienten leser det" in wrong.text
        assert (await staff.post(HOME, data=csrf | asked | {"nummer": "01010100000"})).status_code == 422
        confirm = await staff.post(HOME, data=csrf | asked)
        assert "Er dette riktig pasient?" in confirm.text and "Knut Haugen" in confirm.text
        form = _fields(confirm.text)
        opened = await staff.post(HOME, data=form)
        record = str(opened.url.path)
        assert opened.status_code == 200 and record.startswith(f"{HOME}/") and patient["fnr"] not in str(opened.url)
        assert "Nødtilgang til én pasient" in opened.text and "Ortopedisk" in opened.text
        again = await staff.post(HOME, data=form)
        assert str(again.url.path) == record, "a form that is sent twice opens one"
        context = await browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
        await context.add_cookies(
            [{"name": c.name, "value": c.value or "", "url": demo.base} for c in staff.cookies.jar]
        )
        wrong_pages = []
        for path in (HOME, record):
            wrong_pages += await inspect(context, demo.base + path)
        await context.close()
        assert wrong_pages == []
        async with demo.client() as other:
            await demo.log_in(other, demo.worker("doctor")["hpr"], HOME)
            assert (await other.get(record)).status_code == 404, "another's access is nobody else's"
        ended = await staff.post(f"{record}/slutt", data=csrf)
        assert ended.status_code == 200 and "Nødtilgangen er avsluttet" in ended.text
        assert (await staff.get(record)).status_code == 404

    async with demo.client() as client:
        home = (await demo.log_in(client, patient["fnr"], "/familie")).text
        assert home.count("åpnet journalen din i en nødsituasjon") == 1, "told, and once"
        blocks = (await client.get("/familie/sperringer")).text
        assert "Pasienten kan ikke svare for seg" in blocks
        assert stranger["name"] in (await client.get("/innsyn")).text

    leader = next(
        one for one in demo.everybody
        if one.get("title") == "overlege" and one["unit"]["id"] == stranger["unit"]["id"]
    )  # fmt: skip
    async with demo.client() as staff:
        listed = (await demo.log_in(staff, leader["hpr"], f"{HOME}/gjennomgang")).text
        task = re.search(r'href="(/arbeid/nodtilgang/gjennomgang/[^"]+)"', listed)[1]  # type: ignore[index]
        one = (await staff.get(task)).text
        assert REASON in one and stranger["name"] in one and "Knut Haugen" in one
        csrf = {"csrf": _csrf(one)}
        assert (await staff.post(task, data=csrf)).status_code == 422
        done = await staff.post(task, data=csrf | {"utfall": "not-needed", "begrunnelse": "Pasienten var våken."})
        assert "Gjennomgangen er lagret" in done.text and task not in done.text
        assert (await staff.post(task, data=csrf | {"utfall": "needed", "begrunnelse": "x"})).status_code == 409
    auditor = demo.worker("auditor")
    async with demo.client() as staff:
        await demo.log_in(staff, auditor["hpr"], "/arbeid/innsyn")
        assert "Nødtilgang som ikke var nødvendig" in (await staff.get("/arbeid/innsyn/funn")).text


async def test_fam_34_it_is_not_for_others(demo: DemoServer) -> None:
    async with demo.client() as staff:
        page = await demo.log_in(staff, demo.worker("secretary")["hpr"], HOME)
        assert page.status_code == 403
        assert (await staff.get(f"{HOME}/gjennomgang")).status_code in {200, 403}
        assert (await staff.get(f"{HOME}/no-such")).status_code == 404
    async with httpx.AsyncClient(base_url=demo.base) as nobody:
        assert (await nobody.get(HOME)).status_code == 303
