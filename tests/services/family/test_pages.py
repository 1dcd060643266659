"""The family's and the blocks' pages in the running demo, as people use them: every kind of block made, opened and
lifted, a power given and withdrawn, youth access given and withdrawn; in a real browser on phone and desktop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import Cookie
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browsing import PHONE, inspect, screenshot_path
from tests.demo_server import DemoServer
from varde.work.visitor import PageSeen, Refused, Visitor

pytestmark = pytest.mark.browser

BLOCKS = "/familie/sperringer"


@pytest.fixture
async def visitor(demo: DemoServer) -> AsyncIterator[Visitor]:
    async with Visitor(demo.base) as made:
        yield made


async def _in_browser(browser: Browser, demo: DemoServer, cookies: list[Cookie]) -> BrowserContext:
    context = await browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    await context.add_cookies([{"name": c.name, "value": c.value or "", "url": demo.base} for c in cookies])
    return context


async def looked_at(browser: Browser, demo: DemoServer, visitor: Visitor, *paths: str) -> list[str]:
    """What is wrong with pages, seen as who is logged in."""
    context = await _in_browser(browser, demo, visitor.cookies)
    wrong = [fault for path in paths for fault in await inspect(context, demo.base + path)]
    for path in paths:
        page = await context.new_page()
        for width in (390, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(demo.base + path)
            name = "-".join(part for part in path.split("/") if part and len(part) < 20) or "start"
            await page.screenshot(path=screenshot_path(f"family-{name}-{width}"), full_page=True)
        await page.close()
    await context.close()
    return wrong


def standing(page: PageSeen) -> list[str]:
    return [str(one) for one in page.all("//section[@aria-labelledby='gjelder']//a/@href")]


@pytest.mark.parametrize("kind", ["person", "unit", "source", "thing", "sharing", "service"])
async def test_fam_33_every_kind_of_block_is_explained_made_opened_and_lifted(
    browser: Browser, demo: DemoServer, visitor: Visitor, kind: str
) -> None:
    await visitor.log_in(BLOCKS, demo.person("Ingrid Solberg")["fnr"])
    before = standing(await visitor.get(BLOCKS))
    address = f"{BLOCKS}/ny/{kind}"
    page = await visitor.get(address)
    if kind != "sharing":
        choices = page.all("//input[@name='valg']/@value")
        assert choices, f"nothing of the kind {kind} to choose"
        nothing = await visitor.get(f"{address}?videre=ja")
        assert "Velg en på listen først" in nothing.text
        page = await visitor.send(page, "videre", {"valg": str(choices[0])})
    assert "Vil du gjøre dette?" in page.text and "Dette skjer" in page.text
    assert standing(await visitor.get(BLOCKS)) == before, "nothing was done yet"
    page = await visitor.send(page, "slag", {})
    made = [one for one in standing(page) if one not in before]
    assert len(made) == 1, "made, and on the list"
    assert await looked_at(browser, demo, visitor, BLOCKS, address, made[0]) == []
    one = await visitor.get(made[0])
    assert "Dette betyr det" in one.text and "Gjelder siden" in one.text
    assert set(one.all("//nav//a[@aria-current]/@href")) == {BLOCKS}, "one entry of the menu, and not that above it"
    page = await visitor.submit(one, "/opphev")
    assert standing(page) == before
    assert (await visitor.get(made[0], 404)).status == 404


async def test_a_block_that_is_made_again_is_the_same_consent(demo: DemoServer, visitor: Visitor) -> None:
    await visitor.log_in(BLOCKS, demo.person("Ingrid Solberg")["fnr"])
    addresses = []
    for _ in range(2):
        page = await visitor.send(await visitor.get(f"{BLOCKS}/ny/sharing"), "slag", {})
        again = await visitor.send(await visitor.get(f"{BLOCKS}/ny/sharing"), "slag", {})
        assert standing(again) == standing(page), "what stands is not made twice"
        addresses += standing(page)
        await visitor.submit(await visitor.get(addresses[-1]), "/opphev")
    assert len(addresses) == 2 and addresses[0] == addresses[1]


@pytest.mark.parametrize(
    ("who", "whose", "why"),
    [
        ("Lars Myrvang", "Emil Myrvang", "Til barnet fyller 12 år"),
        ("Ingrid Solberg", "Astrid Nilsen", "En fullmakt omfatter ikke sperringer"),
        ("Randi Lyng", "Sofie Lyng", "Fra 12 år er sperringene barnets egne"),
    ],
)
async def test_who_acts_for_another_is_told_what_they_may(
    demo: DemoServer, visitor: Visitor, who: str, whose: str, why: str
) -> None:
    page = await visitor.log_in("/familie", demo.person(who)["fnr"])
    await visitor.send(page, "hvem", {}, ("hvem", demo.person(whose)["id"]))
    page = await visitor.get(BLOCKS)
    assert why in page.text and whose in page.text
    may = who == "Lars Myrvang"
    assert page.has(f"//a[@href='{BLOCKS}/ny/unit']") is may
    await visitor.get(f"{BLOCKS}/ny/unit", 200 if may else 404)


async def give(visitor: Visitor, wish: dict[str, Any]) -> PageSeen:
    """The page after the first step; the form again when it is refused."""
    return await visitor.send(await visitor.get("/familie/fullmakt"), "nummer", wish)


async def test_fam_12_a_power_is_asked_for_confirmed_seen_by_both_and_withdrawn(
    browser: Browser, demo: DemoServer, visitor: Visitor
) -> None:
    ingrid, astrid = demo.person("Ingrid Solberg"), demo.person("Astrid Nilsen")
    wish = {"nummer": ingrid["fnr"], "etternavn": "Solberg", "ting": ["letters", "results"]}
    await visitor.log_in("/familie", demo.person("Arne Ødegård")["fnr"])
    for wrong in ({"etternavn": "Berg"}, {"nummer": "01010100000"}):
        with pytest.raises(Refused, match="svar 422"):
            await give(visitor, wish | wrong)
    page = await give(visitor, wish)
    assert "Solberg" in page.text and page.has("//button[@name='gjor'][@value='gi']")
    assert ingrid["fnr"] not in page.path
    page = await visitor.send(page, "nummer", {}, ("gjor", "gi"))
    assert "Ingrid Solberg" in page.text and "Dette har skjedd" in page.text
    assert await looked_at(browser, demo, visitor, "/familie", "/familie/fullmakt") == []
    async with Visitor(demo.base) as other:
        seen = await other.log_in("/familie", ingrid["fnr"])
        assert "Arne Ødegård" in seen.text and "ga deg fullmakt" in seen.text
        assert "Astrid Nilsen" in seen.text and astrid["fnr"] not in seen.text
        page = await visitor.submit(await visitor.get("/familie"), "/slutt")
        assert not page.has("//form[starts-with(@action, '/familie/fullmakt/')]")
        seen = await other.get("/familie")
        assert not seen.has(f"//button[@name='hvem'][@value='{demo.person('Arne Ødegård')['id']}']")
        assert "er slutt" in seen.text


async def test_fam_07_a_parent_gives_and_withdraws_youth_access_on_the_page(
    browser: Browser, demo: DemoServer, visitor: Visitor
) -> None:
    turid, sara = demo.person("Turid Fjellheim"), demo.person("Sara Fjellheim")
    page = await visitor.log_in("/familie", turid["fnr"])
    assert "Har ikke egen tilgang" in page.text
    page = await visitor.send(page, "barn", {"barn": sara["id"]}, ("gjor", "gi"))
    assert "Har egen tilgang" in page.text
    assert await looked_at(browser, demo, visitor, "/familie") == []
    async with Visitor(demo.base) as young:
        own = await young.log_in("/familie", sara["fnr"])
        assert "Det du selv kan se her" in own.text and "ga deg ungdomstilgang" in own.text
        page = await visitor.send(await visitor.get("/familie"), "barn", {"barn": sara["id"]}, ("gjor", "trekk"))
        assert "Har ikke egen tilgang" in page.text
        await visitor.send(page, "barn", {"barn": sara["id"]}, ("gjor", "gi"))
        await visitor.send(await visitor.get("/familie"), "barn", {"barn": sara["id"]}, ("gjor", "trekk"))


async def test_nobody_gives_anothers_power_or_youth_access(demo: DemoServer, visitor: Visitor) -> None:
    """FAM-07, FAM-17: acting for another, one's own family is out of reach; a stranger's child too."""
    page = await visitor.log_in("/familie", demo.person("Lars Myrvang")["fnr"])
    acting = await visitor.send(page, "hvem", {}, ("hvem", demo.person("Emil Myrvang")["id"]))
    assert "Emil Myrvang" in acting.text
    await visitor.get("/familie/fullmakt", 404)
    page = await visitor.get("/familie")
    assert not page.has("//form[starts-with(@action, '/familie/fullmakt/')]")
