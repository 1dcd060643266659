"""The shell in a real browser: axe finds nothing in light or dark; keyboard, zoom and no JavaScript."""

from __future__ import annotations

import pytest

from tests.browsing import DESKTOP, NARROWEST, PHONE, chromium, faults, inspect, overflow, serving
from tests.web.conftest import SampleSession, sample_app
from varde.clock import SetClock

pytestmark = pytest.mark.browser
SIZES = {"light": (PHONE, DESKTOP, NARROWEST), "dark": (PHONE,)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_on_the_shells_pages(clock: SetClock, scheme: str) -> None:
    acting = SampleSession(kind="representative", acting_for_name="Elle Márjá Sara")
    wrong: list[str] = []
    async with chromium() as browser:
        for session, paths in (
            (None, ["/", "/nowhere"]),
            (SampleSession(), ["/", "/fail/unexpected", "/fail/Unavailable"]),
            (acting, ["/"]),
        ):
            async with serving(sample_app(session, clock)) as base:
                context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
                for path in paths:
                    found = await inspect(context, base + path, SIZES[scheme])
                    wrong += [fault for fault in found if "status of 5" not in fault and ": 50" not in fault]
                await context.close()
    assert wrong == []


async def test_menus_work_by_keyboard_and_without_javascript(clock: SetClock) -> None:
    async with chromium() as browser, serving(sample_app(SampleSession(), clock)) as base:
        page = await browser.new_page(viewport={"width": 360, "height": 740})
        await page.goto(base)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "ds-skip-link"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.focus(".me > summary")
        await page.keyboard.press("Enter")
        assert await page.locator(".me__menu a[href='/brev']").is_visible()
        await page.keyboard.press("Escape")
        assert not await page.locator(".me__menu a[href='/brev']").is_visible()
        await page.close()

        plain = await browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
        page = await plain.new_page()
        await page.goto(base)
        await page.click(".language > summary")
        await page.click("text=Davvisámegiella")
        assert await page.get_attribute("html", "lang") == "se"


async def test_text_may_be_twice_as_large(clock: SetClock) -> None:
    """WCAG 1.4.4: 200 %. Half the width is what a browser makes of it."""
    async with chromium() as browser, serving(sample_app(SampleSession(), clock)) as base:
        page = await browser.new_page(viewport={"width": 640, "height": 400}, device_scale_factor=2)
        await page.goto(base)
        assert await overflow(page) == 0
        await page.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
        assert await overflow(page) == 0


async def test_axe_is_awake() -> None:
    """A page with known faults: so that nothing found elsewhere means something."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.set_content("<html><body><img src='x.png'><p style='color:#aaa;background:#fff'>Pale</p>")
        found = " ".join(await faults(page))
        assert "image-alt" in found and "color-contrast" in found and "html-has-lang" in found
