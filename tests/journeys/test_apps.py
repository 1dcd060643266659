"""Apps in a real browser: the SMART JavaScript client goes through both launches against a running demo, a person
answers, and takes the access back. What axe finds, and what it looks like, is seen here too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from tests.browsing import DESKTOP, NARROWEST, chromium, faults, overflow, screenshot_path, serving
from tests.demo_server import DemoServer
from varde.web.build import node_modules

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
SCOPES = (
    "openid fhirUser launch/patient offline_access patient/Patient.r patient/Appointment.rs patient/Communication.rs"
    " patient/Observation.rs?category=laboratory"
)
EHR_SCOPES = "openid fhirUser launch patient/Patient.r patient/Appointment.rs user/Practitioner.r user/Patient.rs"
_PAGE = """<!doctype html><html lang="en"><title>{title}</title><meta charset="utf-8">
<body><h1>{title}</h1><pre id="out"></pre><script src="/fhir-client.js"></script>
<script>{script}</script></body></html>"""
_LAUNCH = """
const q = new URLSearchParams(location.search);
FHIR.oauth2.authorize({
  clientId: q.get('client') || 'ehr-app', scope: q.get('scope') || EHR, redirectUri: '/back', pkceMode: 'required',
  iss: q.get('iss'),
}).catch(e => { document.getElementById('out').textContent = 'failed: ' + e.message; });
"""
_BACK = """
FHIR.oauth2.ready().then(async client => {
  window.client = client;
  const patient = await client.patient.read();
  const timer = await client.request('Appointment?patient=' + client.patient.id + '&_count=100');
  const user = await client.request(client.user.fhirUser);
  window.seen = {
    patient: patient.id, name: patient.name[0], appointments: (timer.entry || []).length, user: user.resourceType,
    fhirUser: client.user.fhirUser, state: client.state.tokenResponse,
  };
  document.getElementById('out').textContent = 'ready';
}).catch(e => { document.getElementById('out').textContent = 'failed: ' + e.message; });
"""


@dataclass
class App:
    """An app of somebody else's, at its own origin."""

    base: str

    def start(self, demo: DemoServer, client: str, scope: str = SCOPES) -> str:
        """Where it is started alone."""
        from urllib.parse import urlencode

        return f"{self.base}/launch?{urlencode({'iss': demo.fhir, 'client': client, 'scope': scope})}"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
async def app(demo: DemoServer) -> AsyncIterator[App]:
    client = node_modules() / "fhirclient" / "build" / "fhir-client.min.js"

    async def launch(request: Request) -> Response:
        return HTMLResponse(_PAGE.format(title="Launch", script=f"const EHR = {EHR_SCOPES!r};" + _LAUNCH))

    async def back(request: Request) -> Response:
        return HTMLResponse(_PAGE.format(title="Back", script=_BACK))

    async def script(request: Request) -> Response:
        return FileResponse(client)

    routes = [Route("/launch", launch), Route("/back", back), Route("/fhir-client.js", script)]
    async with serving(Starlette(routes=routes)) as base:
        common = ("--publisher", "Helseapper AS", "--redirect", f"{base}/back")
        demo.varde("client", "add", "patient-app", "--name", "Helsedagbok", "--side", "patient",
                   "--scopes", SCOPES, *common)  # fmt: skip
        demo.varde("client", "add", "ehr-app", "--name", "Kurve", "--side", "staff", "--scopes", EHR_SCOPES,
                   "--launch", f"{base}/launch", *common)  # fmt: skip
        yield App(base)


async def log_in(page: Page, key: str) -> None:
    """On the issuer's page of persons."""
    await page.wait_for_url("**/demo/issuer/**")
    await page.fill("#q", key)
    await page.keyboard.press("Enter")
    await page.click(f"button[value='{key}']")


async def ready(page: Page) -> dict[str, Any]:
    """What the app has seen."""
    await page.wait_for_function("document.getElementById('out') && document.getElementById('out').textContent !== ''")
    assert await page.inner_text("#out") == "ready"
    seen: dict[str, Any] = await page.evaluate("window.seen")
    return seen


async def looked_at(page: Page, name: str) -> list[str]:
    """Pictures of a page at two widths; what is wrong with it."""
    wrong = []
    for size in (PHONE, DESKTOP, NARROWEST):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        wrong += await faults(page) if size is not NARROWEST else []
        if await overflow(page) > 0:
            wrong.append(f"scrolls sideways at {size['width']}")
        await page.screenshot(path=screenshot_path(f"{name}-{size['width']}"), full_page=True)
    await page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    return wrong


async def test_a_patient_starts_an_app_and_takes_its_access_back(browser: Browser, demo: DemoServer, app: App) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    ingrid = demo.person("Ingrid Solberg")
    await page.goto(app.start(demo, "patient-app"))
    await log_in(page, ingrid["fnr"])
    await page.wait_for_url("**/apper/samtykke/**")
    assert "Helsedagbok" in await page.inner_text("h1")
    assert await looked_at(page, "app-answer") == []
    await page.click("text=Brev og meldinger")  # not that
    await page.click("button[value='ja']")
    await page.wait_for_url(f"{app.base}/back**")
    seen = await ready(page)
    assert seen["patient"] == ingrid["id"] and seen["user"] == "Patient" and seen["appointments"] > 0
    granted = set(seen["state"]["scope"].split())
    assert granted == set(SCOPES.split()) - {"patient/Communication.rs"}
    refused = await page.evaluate(
        "client.request('Communication').then(() => 'seen', e => String(e.status || e.message))"
    )
    assert "403" in refused or "forbidden" in refused.lower(), refused
    former = await page.evaluate("client.state.tokenResponse.access_token")
    await page.evaluate("client.refresh()")
    assert await page.evaluate("client.state.tokenResponse.access_token") != former
    ours = [one for one in addresses if "/demo/issuer/" not in one]
    assert not [one for one in ours if ingrid["fnr"] in one], "no number of a person in any address"
    listed = await context.new_page()
    await listed.goto(f"{demo.base}/apper")
    assert await looked_at(listed, "app-list") == [] and "Helsedagbok" in await listed.inner_text("main")
    await listed.click("text=Ta tilgangen tilbake")
    await listed.wait_for_selector("text=Appen har ikke tilgang lenger")
    await page.wait_for_timeout(1100)
    status = await page.evaluate(
        "fetch(client.state.serverUrl + '/Patient/' + client.patient.id, {headers: {authorization:"
        " 'Bearer ' + client.state.tokenResponse.access_token}}).then(r => r.status)"
    )
    assert status == 401
    await context.close()


async def test_a_nurse_opens_an_app_for_a_patient(browser: Browser, demo: DemoServer, app: App) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    nurse = demo.worker("nurse")
    await page.goto(f"{demo.base}/arbeid/apper")
    await log_in(page, nurse["hpr"])
    await page.wait_for_url("**/arbeid/apper")
    assert await looked_at(page, "app-staff") == []
    await page.click("text=Kurve")
    await page.wait_for_url("**/arbeid/apper/aapne/ehr-app")
    async with demo.client() as client:
        headers = demo.headers("--staff", nurse["hpr"])
        found = (await client.get("/fhir/Patient?_count=1", headers=headers)).json()["entry"][0]["resource"]
    name = f"{' '.join(found['name'][0]['given'])} {found['name'][0]['family']}"
    await page.fill("#q", name)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(f"text={name}")
    assert await looked_at(page, "app-patient") == []
    await page.click(".row--button")
    await page.wait_for_url("**/arbeid/apper/samtykke/**")
    assert name in await page.inner_text("main")
    assert await looked_at(page, "app-answer-staff") == []
    await page.click("button[value='ja']")
    await page.wait_for_url(f"{app.base}/back**")
    seen = await ready(page)
    assert seen["user"] == "Practitioner" and seen["state"]["need_patient_banner"] is True
    assert seen["state"]["fhirContext"] == [{"reference": f"Organization/{nurse['units'][0]['id']}"}]
    await context.close()


async def test_answering_needs_no_script(browser: Browser, demo: DemoServer, app: App) -> None:
    """The person's browser runs none; the app's answer comes all the same."""
    starting = await browser.new_page()
    asked: list[str] = []
    await starting.route("**/auth/authorize**", lambda route: (asked.append(route.request.url), route.abort())[1])
    await starting.goto(app.start(demo, "patient-app"))
    await starting.wait_for_timeout(1500)
    assert asked
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(asked[0])
    await page.fill("#q", demo.person("Nora Myrvang")["fnr"])
    await page.keyboard.press("Enter")
    await page.click(f"button[value='{demo.person('Nora Myrvang')['fnr']}']")
    await page.wait_for_url("**/apper/samtykke/**")
    assert "Emil Myrvang" in await page.inner_text("main"), "a parent is asked whose"
    await page.screenshot(path=screenshot_path("app-answer-parent"), full_page=True)
    await page.click("button[value='ja']")
    await page.wait_for_url(f"{app.base}/back**")
    assert re.search(r"[?&]code=[\w-]+", page.url) and "state=" in page.url
    await context.close()
    await starting.close()


async def test_every_language_has_the_page(browser: Browser, demo: DemoServer, app: App) -> None:
    for language, word in (("nn", "Ja, gi tilgang"), ("se", "Juo, atte"), ("en", "Yes, give access")):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{demo.base}/sprak/{language}")
        await page.goto(app.start(demo, "patient-app"))
        await log_in(page, demo.person("Ingrid Solberg")["fnr"])
        await page.wait_for_url("**/apper/samtykke/**")
        assert word in await page.inner_text("main") and await page.get_attribute("html", "lang") == language
        assert await faults(page) == [] and await overflow(page) <= 0
        await page.click("button[value='nei']")
        await page.wait_for_url(f"{app.base}/back**error=access_denied**")
        await context.close()
