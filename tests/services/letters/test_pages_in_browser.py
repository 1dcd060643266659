"""The letters' pages in a real browser over sample values: axe, keyboard, no JavaScript, narrow."""

from __future__ import annotations

import pytest

from tests.browsing import DESKTOP, NARROWEST, PHONE, chromium, faults, inspect, overflow, serving
from tests.services.letters.sample_pages import STAFF, SampleSession, SampleStaffLetters, sample_app

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("built")]

SIZES = {"light": (PHONE, DESKTOP, NARROWEST), "dark": (PHONE,)}
PATIENT_PAGES = ["/", "/brev", "/brev/arkiv", "/brev/1", "/brev/2", "/brev/4", "/brev/5"]
STAFF_PAGES = ["/arbeid", "/arbeid/brev/ny", "/arbeid/brev/3", "/arbeid/brev/8", "/arbeid/arbeidsliste"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(scheme: str) -> None:
    wrong: list[str] = []
    async with chromium() as browser:
        for session, paths in ((SampleSession(), PATIENT_PAGES), (STAFF, STAFF_PAGES)):
            async with serving(sample_app(session)) as base:
                context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
                for path in paths:
                    wrong += await inspect(context, base + path, SIZES[scheme])
                await context.close()
    assert wrong == []


async def test_inbox_without_javascript() -> None:
    async with chromium() as browser, serving(sample_app(SampleSession())) as base:
        context = await browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
        page = await context.new_page()
        await page.goto(f"{base}/brev")
        await page.click("text=Svar på henvisning >> nth=0")
        await page.click("text=Arkiver")
        assert "Brevet ligger nå i arkivet." in await page.content()


async def test_inbox_by_keyboard_alone() -> None:
    async with chromium() as browser, serving(sample_app(SampleSession())) as base:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{base}/brev")
        for _ in range(12):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.classList.contains('row')"):
                break
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/brev/1")


async def test_send_flow_by_keyboard_alone() -> None:
    """Choose two patients, be told of a missing field, mend it, look at another's letter, send."""
    letters = SampleStaffLetters()
    async with chromium() as browser, serving(sample_app(STAFF, staff=letters)) as base:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{base}/arbeid/brev/ny")
        await page.focus("#time-1")
        await page.keyboard.press("Space")
        for _ in range(2):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        assert await page.inner_text("[data-selected-count]") == "2"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#felt-phone")
        await page.focus("#felt-phone")
        await page.keyboard.press("Control+A")
        await page.keyboard.press("Delete")
        assert await page.evaluate("document.querySelector('#felt-phone').validity.valueMissing")
        await page.keyboard.type("77 62 60 00")
        await page.focus("button[name=vis]")
        await page.keyboard.press("Enter")
        await page.wait_for_load_state()
        await page.focus("button[value=send]")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/arbeid/utsending/b1")
        await page.wait_for_selector("text=Ferdig: 311 av 312")
    assert letters.sent[0][0].appointments == ["0", "2"]


async def test_send_page_is_accessible_and_fits() -> None:
    async with chromium() as browser, serving(sample_app(STAFF)) as base:
        for width in (320, 360, 1280):
            page = await browser.new_page(viewport={"width": width, "height": 800})
            await page.goto(f"{base}/arbeid/brev/ny")
            await page.check("#time-1")
            await page.check("#time-2")
            await page.click("text=Gå videre til brevet")
            await page.wait_for_selector("#felt-phone")
            assert await faults(page) == []
            assert await overflow(page) <= 0
            await page.evaluate("document.querySelector('#felt-phone').removeAttribute('required')")
            await page.fill("#felt-phone", "")
            await page.click("button[value=send]")
            await page.wait_for_selector(".ds-error-summary")
            assert await page.evaluate("document.activeElement.id") == "faults"
            assert await faults(page) == []
            await page.close()


async def test_select_all_and_back() -> None:
    async with chromium() as browser, serving(sample_app(STAFF)) as base:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{base}/arbeid/brev/ny")
        await page.check("[data-select-all]")
        assert await page.inner_text("[data-selected-count]") == "5"
        await page.uncheck("#time-3")
        assert await page.evaluate("document.querySelector('[data-select-all]').indeterminate")
