"""The pages around logging in, in a real browser: nothing for axe to find, and to be used with the keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browsing import DESKTOP, PHONE, chromium, faults, inspect, overflow
from tests.demo_server import DemoServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


async def test_the_open_pages_are_without_faults(browser: Browser, demo: DemoServer) -> None:
    context = await browser.new_context()
    wrong = []
    for path in ("/", "/status", "/login", "/arbeid/login", "/login/problem?hvorfor=own-young", "/no-such-page"):
        wrong += await inspect(context, f"{demo.base}{path}")
    await context.close()
    assert wrong == []


async def test_a_parent_chooses_a_child_by_keyboard(browser: Browser, demo: DemoServer) -> None:
    for size in (PHONE, DESKTOP):
        page = await browser.new_page(viewport=size)  # type: ignore[arg-type]
        await page.goto(f"{demo.base}/login?til=/familie/velg")
        await page.focus(f"button[value='{demo.person('Nora Myrvang')['fnr']}']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/familie/velg")
        assert await faults(page) == [] and await overflow(page) <= 0
        await page.focus(f"button[value='{demo.person('Emil Myrvang')['id']}']")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=Du handler for")
        assert await faults(page) == []
        assert "Emil Myrvang" in await page.inner_text("h1")
        await page.close()


async def test_staff_choose_their_unit(browser: Browser, demo: DemoServer) -> None:
    doctor = demo.worker("doctor", units=2)
    page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
    await page.goto(f"{demo.base}/arbeid/login")
    await page.fill("#q", doctor["hpr"])
    await page.keyboard.press("Enter")
    await page.click(f"button[value='{doctor['hpr']}']")
    await page.wait_for_url("**/arbeid/enhet**")
    assert await faults(page) == [] and await overflow(page) <= 0
    await page.click(f"text={doctor['units'][1]['name']}")
    await page.wait_for_url("**/arbeid")
    assert doctor["units"][1]["name"] in await page.inner_text("main")
    await page.close()
