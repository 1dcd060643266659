"""The pages where a clinician decides what a patient sees, in the running demo, in a real browser on phone and desktop:
from the list to the thing, what would happen, and what came of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.browsing import DESKTOP, PHONE, faults, inspect, overflow, screenshot_path
from tests.demo_server import DemoServer
from varde.work.visitor import Visitor

pytestmark = pytest.mark.browser

HOME = "/arbeid/pasienten-ser"


async def reports(demo: DemoServer, *who: str) -> list[dict[str, Any]]:
    """Results as somebody sees them over the API."""
    async with httpx.AsyncClient(headers=demo.headers(*who), timeout=30) as client:
        found = (await client.get(f"{demo.fhir}/DiagnosticReport")).json()
    return [one["resource"] for one in found.get("entry", ())]


async def _fine(page: Page, name: str) -> None:
    """The page as it stands now, at both widths: nothing for axe to find, nothing to scroll sideways for."""
    for size in ({**PHONE, "width": 390}, DESKTOP):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await page.screenshot(path=screenshot_path(f"withheld-{name}-{size['width']}"), full_page=True)
        assert (await faults(page), await overflow(page)) == ([], 0), (name, size)
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]


async def test_fam_04_fam_24_what_was_released_to_a_parent_is_kept_from_her_by_the_pages(
    browser: Browser, demo: DemoServer
) -> None:
    sofie, randi = (demo.person(name)["fnr"] for name in ("Sofie Lyng", "Randi Lyng"))
    parent = ("--person", randi, "--for", sofie)
    (released,) = await reports(demo, *parent)
    unit = released["performer"][0]["display"]
    doctor = next(one for one in demo.everybody if one.get("position") == "doctor" and one["units"][0]["name"] == unit)
    patient = released["subject"]["reference"].removeprefix("Patient/")
    thing = f"{HOME}/{patient}/DiagnosticReport/{released['id']}"
    async with Visitor(demo.base) as visitor:
        await visitor.log_in(HOME, doctor["hpr"])
        context = await browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
        await context.add_cookies([{"name": c.name, "value": c.value or "", "url": demo.base} for c in visitor.cookies])
        page = await context.new_page()
        await page.goto(f"{demo.base}{HOME}")
        await page.get_by_role("searchbox").fill("Sofie")
        await page.get_by_role("searchbox").press("Enter")
        await _fine(page, "list")
        await page.get_by_role("link", name="Sofie Lyng").first.click()
        await _fine(page, "patient")
        await page.get_by_role("link", name="Blodprøver").click()
        assert await page.get_by_text("Randi Lyng").count() > 0
        await _fine(page, "thing")
        await page.locator("#begrunnelse").fill("Hun har ombestemt seg.")
        await page.get_by_role("button", name="Se hva som skjer").click()
        assert await page.get_by_role("heading", name="Noe må rettes").count() == 1, "no ground was chosen"
        await _fine(page, "faults")
        assert not await page.get_by_label("Dag", exact=True).is_visible()
        await page.locator("#hva-tid").check()
        assert await page.get_by_label("Dag", exact=True).is_visible()
        await page.locator("#hva-foreldre").check()
        await page.locator("#grunn").select_option(value="young-wish")
        await page.get_by_role("button", name="Se hva som skjer").click()
        assert await page.get_by_text("Frigi for foreldrene").count() == 0, "kept from them and released to them"
        await _fine(page, "confirm")
        assert [one["id"] for one in await reports(demo, *parent)] == [released["id"]], "nothing was done yet"
        await page.get_by_role("button", name="Ja, lagre").click()
        await _fine(page, "saved")
        assert await reports(demo, *parent) == []
        for path in (HOME, f"{HOME}/{patient}", thing):
            assert await inspect(context, demo.base + path) == []
        await context.close()
