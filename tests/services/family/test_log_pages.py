"""Who has seen my record, in the running demo: the patient's page, asking about an entry, staff's own log, and the
privacy officer's list; in a real browser, on phone and desktop."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browsing import PHONE, inspect
from tests.demo_server import DemoServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def ingrid(demo: DemoServer) -> dict[str, Any]:
    """A patient whom a doctor of the first ward has looked at, and one of another ward has tried to."""
    person = demo.person("Ingrid Solberg")
    async with httpx.AsyncClient(base_url=demo.fhir, timeout=30) as client:
        headers = demo.headers("--staff", demo.worker("doctor")["hpr"])
        found = (await client.get(f"/Communication?patient={person['id']}", headers=headers)).json()
        letters = [entry["resource"] for entry in found["entry"] if "topic" in entry["resource"]]
        for letter in letters[:2]:
            await client.get(f"/Communication/{letter['id']}", headers=headers)
        stranger = next(
            one for one in demo.everybody
            if one.get("position") == "doctor" and one["unit"]["name"].startswith("Barneavdelingen")
        )  # fmt: skip
        refused = await client.get(f"/Patient/{person['id']}", headers=demo.headers("--staff", stranger["hpr"]))
        assert refused.status_code == 404
    return person | {"letter": letters[0], "stranger": stranger}


def _text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def _csrf(page: str) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', page)[1]  # type: ignore[index]


async def _in_browser(browser: Browser, demo: DemoServer, client: httpx.AsyncClient) -> BrowserContext:
    """A browser with what `client` is logged in as."""
    context = await browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    await context.add_cookies([{"name": c.name, "value": c.value or "", "url": demo.base} for c in client.cookies.jar])
    return context


async def test_the_patient_reads_who_looked_and_why(browser: Browser, demo: DemoServer, ingrid: dict[str, Any]) -> None:
    """FAM-41: names, wards and titles, in plain words, at once; who was stopped; in four languages; by axe."""
    async with demo.client() as client:
        started = time.perf_counter()
        answer = await demo.log_in(client, ingrid["fnr"], "/innsyn")
        assert answer.status_code == 200 and time.perf_counter() - started < 60
        said = _text(answer.text)
        doctor = demo.worker("doctor")
        assert f"{doctor['name']}, {doctor['title']} ved {doctor['unit']['name']}" in said
        assert f"brevet «{ingrid['letter']['topic']['text']}»" in said
        assert "Avdelingen gir deg helsehjelp" in said
        assert f"{ingrid['stranger']['name']}, " in said and "Ble stoppet" in said
        for code, words in (("nn", "Kven har sett journalen"), ("se", "Gii lea oaidnán"), ("en", "Who has seen")):
            await client.get(f"/sprak/{code}")
            assert words in _text((await client.get("/innsyn")).text)
        await client.get("/sprak/nb")
        context = await _in_browser(browser, demo, client)
        line = re.search(r'href="(/innsyn/\d+)"', answer.text)[1]  # type: ignore[index]
        wrong = []
        for path in ("/innsyn", line, f"/brev/{ingrid['letter']['id']}"):
            wrong += await inspect(context, demo.base + path)
        page = await context.new_page()
        await page.goto(f"{demo.base}/innsyn")
        await page.click("text=Finn bestemte oppslag")
        await page.fill("#sok", ingrid["stranger"]["name"])
        await page.click("button:has-text('Vis') >> nth=0")
        assert await page.locator("a.row").count() == 1 and page.url == f"{demo.base}/innsyn"
        await context.close()
        assert wrong == []


async def test_filters_paper_and_spreadsheet(demo: DemoServer, ingrid: dict[str, Any]) -> None:
    async with demo.client() as client:
        page = (await demo.log_in(client, ingrid["fnr"], "/innsyn")).text
        form = {"csrf": _csrf(page)}
        every = len(re.findall(r'class="row"', page))
        for fields, holds in (
            ({"hvem": "stoppet"}, lambda n: 1 <= n < every), ({"hvem": "nod"}, lambda n: n == 0),
            ({"slag": "brev"}, lambda n: n >= 1), ({"til": "2020-01-01"}, lambda n: n == 0),
            ({"fra": "2020-01-01"}, lambda n: n == every),
            ({"hvem": "systems"}, lambda n: n >= 1),
            ({"fra": "nonsense", "hvem": "nobody"}, lambda n: n == every),
        ):  # fmt: skip
            found = (await client.post("/innsyn", data=form | fields)).text
            assert holds(len(re.findall(r'class="row"', found))), fields
        assert (await client.post("/innsyn", data=form | {"for": "nonsense"})).status_code == 404
        printed = await client.post("/innsyn/utskrift", data=form)
        assert "pasientjournalloven" in printed.text
        table = await client.post("/innsyn/last-ned", data=form)
        lines = table.content.decode("utf-8-sig").splitlines()
        assert lines[0].startswith("Dag;Fra;Til;Hvem") and len(lines) > every
        assert "no-store" in table.headers["cache-control"] and ingrid["fnr"] not in table.text
        assert (await client.post("/innsyn", data={})).status_code == 403


async def test_a_question_goes_to_the_wards_head_and_the_answer_comes_back(
    browser: Browser, demo: DemoServer, ingrid: dict[str, Any]
) -> None:
    """FAM-41: not to the one who is asked about; hidden from staff as staff; answered once."""
    leader, asked_about = demo.worker("doctor"), demo.worker("secretary")
    async with httpx.AsyncClient(base_url=demo.fhir, timeout=30) as api:
        headers = demo.headers("--staff", asked_about["hpr"])
        assert (await api.get(f"/Appointment?patient={ingrid['id']}", headers=headers)).status_code == 200
    async with demo.client() as client:
        page = (await demo.log_in(client, ingrid["fnr"], "/innsyn")).text
        form = {"csrf": _csrf(page)}
        mine = (await client.post("/innsyn", data=form | {"sok": asked_about["name"]})).text
        line = re.search(r'href="(/innsyn/\d+)"', mine)[1]  # type: ignore[index]
        assert (await client.post(f"{line}/spor", data=form | {"sporsmal": " "})).status_code == 422
        after = await client.post(f"{line}/spor", data=form | {"sporsmal": "Hvorfor så du på timen min?"})
        assert "Spørsmålet er sendt" in _text(after.text) and "Svar innen" in _text(after.text)
        assert "Send spørsmålet" not in (await client.get(line)).text
        assert (await client.post(f"{line}/spor", data=form | {"sporsmal": "Igjen"})).status_code == 409
    async with demo.client() as staff:
        await demo.log_in(staff, asked_about["hpr"], "/arbeid/innsyn")
        own = _text((await staff.get("/arbeid/innsyn")).text)
        assert "En pasient spurte" in own and "Hvorfor så du på timen min" not in own
        assert (await staff.get("/arbeid/innsyn/sporsmal")).status_code == 403
        assert (await staff.get("/arbeid/innsyn/funn")).status_code == 403
    async with httpx.AsyncClient(base_url=demo.fhir, timeout=30) as api:
        for worker in (leader, asked_about):
            found = (
                await api.get(f"/Task?patient={ingrid['id']}", headers=demo.headers("--staff", worker["hpr"]))
            ).text
            assert "Hvorfor så du på timen min" not in found
    async with demo.client() as staff:
        await demo.log_in(staff, leader["hpr"], "/arbeid/innsyn")
        listed = (await staff.get("/arbeid/innsyn/sporsmal")).text
        href = re.search(r'href="(/arbeid/innsyn/sporsmal/[^"]+)"', listed)[1]  # type: ignore[index]
        question = (await staff.get(href)).text
        assert "Hvorfor så du på timen min?" in question and asked_about["name"] in question
        context = await _in_browser(browser, demo, staff)
        wrong = []
        for path in ("/arbeid/innsyn", "/arbeid/innsyn/sporsmal", href):
            wrong += await inspect(context, demo.base + path)
        await context.close()
        assert wrong == []
        reply = {"csrf": _csrf(question), "svar": "Hun flyttet timen din."}
        assert (await staff.post(href, data=reply | {"svar": ""})).status_code == 422
        assert "Svaret er sendt" in _text((await staff.post(href, data=reply)).text)
        assert (await staff.post(href, data=reply)).status_code == 409
    async with demo.client() as client:
        page = _text((await demo.log_in(client, ingrid["fnr"], "/innsyn")).text)
        assert "Hun flyttet timen din." in page and f"{leader['name']}, {leader['unit']['name']} svarte" in page


async def test_the_privacy_officer_sees_what_looks_like_snooping(
    browser: Browser, demo: DemoServer, ingrid: dict[str, Any]
) -> None:
    """FAM-37: tries without a treatment relation, again and again, come to the list within minutes."""
    async with httpx.AsyncClient(base_url=demo.fhir, timeout=30) as api:
        headers = demo.headers("--staff", ingrid["stranger"]["hpr"])
        for _ in range(3):
            await api.get(f"/Patient/{ingrid['id']}", headers=headers)
    auditor = demo.worker("auditor")
    async with demo.client() as staff:
        await demo.log_in(staff, auditor["hpr"], "/arbeid/innsyn")
        await demo.advance("PT6M")
        page = (await staff.get("/arbeid/innsyn/funn")).text
        assert ingrid["stranger"]["name"] in page and "Ingrid Solberg" in page and "Ble stoppet flere ganger" in page
        context = await _in_browser(browser, demo, staff)
        assert await inspect(context, f"{demo.base}/arbeid/innsyn/funn") == []
        await context.close()
        number = re.search(r'action="/arbeid/innsyn/funn/(\d+)"', page)[1]  # type: ignore[index]
        form = {"csrf": _csrf(page), "gjor": "explained"}
        assert (await staff.post(f"/arbeid/innsyn/funn/{number}", data=form)).status_code == 422
        decided = await staff.post(f"/arbeid/innsyn/funn/{number}", data=form | {"grunn": "Feil person, lukket straks"})
        assert "Vurderingen er lagret" in _text(decided.text)
        assert "Feil person" in (await staff.get("/arbeid/innsyn/funn?vis=explained")).text
        assert (await staff.get("/brev")).status_code == 403
    async with httpx.AsyncClient(base_url=demo.fhir, timeout=30) as api:
        headers = demo.headers("--staff", auditor["hpr"])
        assert (await api.get(f"/Patient/{ingrid['id']}", headers=headers)).status_code in {403, 404}
        assert (await api.get(f"/AuditEvent?patient={ingrid['id']}", headers=headers)).json()["entry"]


async def test_another_patient_reads_nothing_of_it(demo: DemoServer, ingrid: dict[str, Any]) -> None:
    async with demo.client() as client:
        page = (await demo.log_in(client, ingrid["fnr"], "/innsyn")).text
        line = re.search(r'href="(/innsyn/\d+)"', page)[1]  # type: ignore[index]
    async with demo.client() as client:
        other = (await demo.log_in(client, demo.person("Knut Haugen")["fnr"], "/innsyn")).text
        assert ingrid["stranger"]["name"] not in other
        assert (await client.get(line)).status_code == 404
        for path in ("/innsyn/x", "/innsyn/99999999999999999999", "/innsyn/0"):
            assert (await client.get(path)).status_code == 404
