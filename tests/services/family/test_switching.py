"""Acting for another, through the front door of a running demo: no page can be misread, and nothing that was begun for
one person is done for another (FAM-18)."""

from __future__ import annotations

import re

import httpx

from tests.demo_server import DemoServer


def token(page: httpx.Response) -> str:
    """What the page's forms carry."""
    return page.text.split('name="csrf" value="')[1].split('"')[0]


async def switch(client: httpx.AsyncClient, to: str) -> httpx.Response:
    """Choose whom to act for, as on the page; "" is oneself."""
    page = await client.get("/familie/velg")
    return await client.post("/familie/velg", data={"hvem": to, "csrf": token(page)})


async def test_fam_18_header_title_and_buttons_name_both(demo: DemoServer) -> None:
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Nora Myrvang")["fnr"])
        page = await switch(client, demo.person("Emil Myrvang")["id"])
        for path in ("/", "/brev", "/timer", "/familie", "/familie/velg", "/nowhere"):
            page = await client.get(path)
            assert page.text.split("<title>")[1].startswith("For Emil Myrvang: "), path
            banner = page.text.split('class="acting"')[1].split("<main")[0]
            assert "Du handler for <strong>Emil Myrvang</strong>" in banner and "Du er <strong>Nora Myrvang" in banner
            assert "Tilbake til deg selv" in banner and "#people" in banner
        letter = re.search(r'href="(/brev/[^"/]+)"', (await client.get("/brev")).text)
        if letter:
            page = await client.get(letter[1])
            assert re.search(r'Arkiver\s*<span class="for-whom">for Emil Myrvang', page.text)
        page = await client.post("/familie/velg", data={"hvem": "", "csrf": token(page)})
        assert page.url.path == "/" and "Du handler for" not in page.text and "Emil" not in page.text


async def test_fam_18_a_form_opened_for_one_is_never_sent_for_another(demo: DemoServer) -> None:
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Nora Myrvang")["fnr"])
        await switch(client, demo.person("Emil Myrvang")["id"])
        for_emil = token(await client.get("/familie/velg"))
        await switch(client, demo.person("Tuva Myrvang")["id"])
        written = "Han har vondt i hodet."
        page = await client.post("/familie/velg", data={"hvem": "", "csrf": for_emil, "text": written})
        assert page.status_code == 403 and "siden var for en annen" in page.text
        assert "Send en gang til" not in page.text and written in page.text
        assert "Du handler for <strong>Tuva Myrvang" in page.text
        # Back with the first: the secret is another by then, and the person who sends confirms it.
        await switch(client, demo.person("Emil Myrvang")["id"])
        page = await client.post("/familie/velg", data={"hvem": "", "csrf": for_emil})
        assert page.status_code == 403 and "Siden har stått åpen lenge" in page.text


async def test_fam_18_a_form_that_outlived_its_session_remembers_whom_it_was_for(demo: DemoServer) -> None:
    nora = demo.person("Nora Myrvang")["fnr"]
    async with demo.client() as client:
        await demo.log_in(client, nora)
        await switch(client, demo.person("Emil Myrvang")["id"])
        for_emil = token(await client.get("/familie/velg"))
        client.cookies.clear()
        away = await client.post("/familie/velg", data={"hvem": "", "csrf": for_emil})
        assert away.status_code == 401 and "Du er logget ut" in away.text
        await demo.log_in(client, nora)
        page = await client.post("/familie/velg", data={"hvem": "", "csrf": token(away)})
        assert page.status_code == 403 and "siden var for en annen" in page.text
        await switch(client, demo.person("Emil Myrvang")["id"])
        page = await client.post("/familie/velg", data={"hvem": "", "csrf": token(away)})
        assert "Siden har stått åpen lenge" in page.text and "Send en gang til" in page.text
