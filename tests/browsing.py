"""A real Chromium for the tests: start it, serve an application to it, ask axe what is wrong with a page."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.markers import BrowserWatch
from varde.web.build import node_modules

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
NARROWEST = {"width": 320, "height": 640}
"""WCAG 1.4.10: content at 320 CSS pixels without scrolling sideways; the same as 400 % on a desktop."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The Chromium that CHROMIUM names, else the system's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS
        )
        watch = BrowserWatch(browser)
        yield browser
        await watch.end()
        await browser.close()


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(application: Any, port: int | None = None) -> AsyncIterator[str]:
    """Serve an ASGI application on the loopback address, at a port that is free unless named; gives its base
    address."""
    port = port or free_port()
    server = Server(application, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    task = asyncio.create_task(server.serve())
    for _ in range(200):
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        break
    yield f"http://127.0.0.1:{port}"
    server.stop()
    await task


async def faults(page: Page) -> list[str]:
    """What axe finds on the page: rule, first element, why. Empty when all is well."""
    source = (node_modules() / "axe-core" / "axe.min.js").read_text()
    await page.evaluate(source)
    found = await page.evaluate(
        "async rules => (await axe.run(document, {runOnly: rules})).violations.map("
        "v => v.id + ': ' + v.nodes[0].html.slice(0, 160) + ' | ' + v.nodes[0].failureSummary)",
        RULES,
    )
    return [str(fault) for fault in found]


async def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window: 0 when nothing must be scrolled sideways."""
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def inspect(
    context: BrowserContext, address: str, sizes: Sequence[dict[str, int]] = (PHONE, DESKTOP, NARROWEST)
) -> list[str]:
    """All that is wrong with the page at `address`: by axe, sideways scrolling, and in the console."""
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    wrong: list[str] = []
    for size in sizes:
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        answer = await page.goto(address)
        if answer is None or answer.status >= 500:
            wrong.append(f"{address}: {answer.status if answer else 'no answer'}")
        if size is not NARROWEST:
            wrong += [f"{address} {size['width']}: {fault}" for fault in await faults(page)]
        if await overflow(page) > 0:
            wrong.append(f"{address}: scrolls sideways at {size['width']}")
    wrong += [f"{address}: {text}" for text in said if "status of 4" not in text]
    await page.close()
    return wrong


def screenshot_path(name: str) -> Path:
    """Where a test keeps a picture of what it saw: `test-results/`."""
    folder = Path("test-results")
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.png"
