"""The platform's main job as a story in a real browser, on a demo of its own: a ward sends letters to ten patients,
one opens hers, and four days later the other nine are printed, none twice. The clock is the demo's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.browsing import DESKTOP, PHONE, chromium, faults, overflow, screenshot_path
from tests.demo_server import DemoServer, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RECEIVERS = 10


@pytest.fixture(scope="module")
def region() -> Iterator[DemoServer]:
    """A demo whose clock this story may move."""
    with running(patients=400, seed=11) as server:
        yield server


async def log_in(page: Page, address: str, key: str) -> None:
    """Log in as a person does: find oneself in the provider's list, and choose."""
    await page.goto(address)
    await page.fill("input[name=q]", key)
    await page.keyboard.press("Enter")
    await page.click(f"button[name=person][value='{key}']")
    await page.wait_for_load_state()


async def look(page: Page, name: str) -> None:
    """Nothing is wrong with the page that is shown; a picture of it is kept."""
    assert await faults(page) == []
    assert await overflow(page) <= 0
    await page.screenshot(path=screenshot_path(name), full_page=True)


def digital_names(server: DemoServer) -> dict[str, dict[str, Any]]:
    """Grown patients with a name of their own who use the portal and can be told: theirs are digital letters."""
    counted = Counter(one["name"] for one in server.everybody)
    return {
        one["name"]: one
        for one in server.everybody
        if one["role"] == "patient" and one["user"] and not one["reserved"] and not one["dead"]
        and one["age"] >= 18 and counted[one["name"]] == 1 and one["protection"] == "ugradert"
    }  # fmt: skip


async def choose(page: Page, names: Collection[str]) -> None:
    """Mark these patients on the page of those to call, and go on to the letter."""
    for row in await page.locator("tbody tr").all():
        if (await row.locator("th").inner_text()).split("\n")[0].strip() in names:
            await row.locator("input[type=checkbox]").check()
    await look(page, "story-choose")
    await page.click("text=Gå videre til brevet")
    await page.wait_for_selector("text=Slik blir brevet")


async def send_to_ten(browser: Browser, server: DemoServer) -> list[str]:
    """Staff choose ten patients whose letters go digitally, look the letter over and send it; the patients' names."""
    page = await browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
    await log_in(page, f"{server.base}/arbeid", server.worker("secretary")["hpr"])
    await look(page, "story-overview-before")
    await page.click("text=Send brev")
    await choose(page, digital_names(server))
    digital = [
        (await row.locator("th").inner_text()).split("\n")[0].strip()
        for row in await page.locator("tbody tr").all()
        if (await row.locator("td").first.inner_text()).startswith("Digitalt")
    ]
    assert len(digital) >= RECEIVERS, f"only {len(digital)} of the ward's patients fit the story"
    await page.goto(f"{server.base}/arbeid/brev/ny")
    await choose(page, digital[:RECEIVERS])
    await look(page, "story-write")
    assert await page.locator("tbody tr").count() == RECEIVERS
    await page.click("button[value=send]")
    await page.wait_for_selector("text=Ferdig: 10 av 10 brev er sendt.", timeout=60_000)
    await look(page, "story-sent")
    await page.close()
    return digital[:RECEIVERS]


async def left_by(server: DemoServer, edge: str) -> list[dict[str, Any]]:
    """What left by an edge, from the list that the demo gives."""
    found: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=server.base) as client:
        address: str | None = f"/demo/outbox?edge={edge}&count=200"
        while address:
            answer = (await client.get(address)).raise_for_status().json()
            found += answer["messages"]
            address = answer.get("next")
    return found


async def test_one_opens_and_nine_are_printed_once(region: DemoServer) -> None:
    """LET-04, LET-06, LET-20, LET-56."""
    told_before = {one["key"] for one in await left_by(region, "notify")}
    printed_before = {one["key"] for one in await left_by(region, "post")}
    async with chromium() as browser:
        names = await send_to_ten(browser, region)
        told = [one for one in await left_by(region, "notify") if one["key"] not in told_before]
        assert len({one["key"] for one in told}) == len(told) >= RECEIVERS

        reader = digital_names(region)[names[0]]
        page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
        await log_in(page, f"{region.base}/brev", reader["fnr"])
        await look(page, "story-inbox")
        await page.locator("a.row[data-unread]").first.click()
        await page.wait_for_selector("article.letter")
        await look(page, "story-letter")
        assert await page.locator("ol.log li").count() == 1
        await page.goto(f"{region.base}/")
        await look(page, "story-home")
        await page.close()

        # Four days, and what weekends and nights add: told in the morning, printed and posted on working days.
        for _ in range(5):
            await region.advance("P2D")
        printed = [one for one in await left_by(region, "post") if one["key"] not in printed_before]
        of_ours = Counter(one["key"] for one in printed)
        assert max(of_ours.values()) == 1
        page = await browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
        await log_in(page, f"{region.base}/arbeid", region.worker("secretary")["hpr"])
        await look(page, "story-overview-after")
        states = await states_of(page, names)
        assert states[names[0]] == "Åpnet"
        assert [states[name] for name in names[1:]] == ["Sendt i posten"] * 9
        await page.close()

        page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
        await page.goto(f"{region.base}/status")
        for _ in range(30):
            if await page.locator("text=Alle tjenestene som prøves, virker").count():
                break
            await page.wait_for_timeout(1000)
            await page.reload()
        await look(page, "story-status")
        assert await page.locator("text=Alle tjenestene som prøves, virker").count() == 1
        await page.close()


async def states_of(page: Page, names: list[str]) -> dict[str, str]:
    """The state that the staff's list shows for each patient's newest letter, over all its pages."""
    states: dict[str, str] = {}
    while True:
        for row in await page.locator("tbody tr").all():
            name = (await row.locator("th a").inner_text()).strip()
            if name in names and name not in states:
                states[name] = (await row.locator("td").nth(1).locator(".ds-tag").inner_text()).strip()
        following = page.locator("a[rel=next]")
        if len(states) == len(names) or not await following.count():
            return states
        await following.click()
        await page.wait_for_load_state()
