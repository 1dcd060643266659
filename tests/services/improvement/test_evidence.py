"""Evidence on the real store: a journey over HTTP is run and kept, the status page tells of it, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browsing import chromium, inspect, serving
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.store import Store
from varde.services import Service
from varde.services.improvement import alarms, flow
from varde.services.improvement.flow import NotSynthetic, Visit
from varde.services.improvement.runs import Runs
from varde.services.improvement.status import public_routes
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.web.assets import Assets
from varde.web.build import build
from varde.web.routes import install
from varde.web.shell import Shell, TemplateFolder
from varde.work.journey import Journey, Probe, Steps
from varde.work.reconcile import Finding

PROBE = Probe(
    unit="unit", location="room", staff="8199999", clinician="8199998", leader="8199997", patient="02810199900",
    paper_patient="03810199909", adult="04810199900", parent="05810199900", child="06810199900", surname="Prøve",
)  # fmt: skip


async def greet(steps: Steps) -> None:
    """Opens a page and sends its form."""

    async def forget() -> None:
        async with steps.visitor() as again:
            await again.get("/forgotten")

    steps.finally_do("Rydder", forget)
    async with steps.visitor() as visitor:
        async with steps.step("Åpner siden"):
            page = await visitor.get("/hello")
        async with steps.step("Sender skjemaet"):
            page = await visitor.send(page, "name", {"name": "Kari"})
            steps.expect("Hei Kari" in page.text, "a greeting", page.status)


JOURNEY = Journey("hello", "letters", {"nb": "Hilser"}, greet)


def live_system(seen: list[str], *, broken: bool = False) -> Starlette:
    """A small real system with a page, a form and a hidden field."""

    async def hello(request: Request) -> Response:
        seen.append(request.method)
        if request.method == "POST":
            form = await request.form()
            assert form["csrf"] == "secret"
            return HTMLResponse("<p>Nei</p>" if broken else f"<p>Hei {form['name']}</p>")
        form = "<form method='post'><input type='hidden' name='csrf' value='secret'><input name='name'></form>"
        return HTMLResponse(f"<html><body>{form}</body></html>")

    async def forgotten(request: Request) -> Response:
        seen.append("forgotten")
        return HTMLResponse("<p>Borte</p>")

    return Starlette(routes=[Route("/hello", hello, methods=["GET", "POST"]), Route("/forgotten", forgotten)])


@pytest.fixture
async def platform(database: Database, clock: SetClock) -> AsyncIterator[Any]:
    store = Store(database, clock, [Runs()])
    log = AuditLog(database, clock)
    letters = Service("letters", {"nb": "Brev"}, (1,), journeys=(JOURNEY,))
    yield SimpleNamespace(
        store=store, clock=clock, database=database, access=Access(store, clock, log), services=(letters,)
    )
    await log.stop()


def status_app(platform: Any) -> Starlette:
    build()
    shell = Shell(platform.clock, Assets(), folders=[TemplateFolder("improvement", "varde.services.improvement")])
    app = Starlette(routes=[*public_routes(platform), Route("/static/{name}", shell.assets.serve)])
    install(app, shell)
    return app


async def state_of(platform: Any) -> Any:
    transport = httpx.ASGITransport(status_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.get("/status", headers={"accept": "application/json"})).json()


async def prove(platform: Any, *, broken: bool = False) -> list[str]:
    seen: list[str] = []
    async with serving(live_system(seen, broken=broken)) as base:
        await flow.run(platform, JOURNEY, Visit(base, PROBE, lambda scopes: "token"))
    return seen


async def test_imp_08_without_evidence_nothing_is_called_well(platform: Any) -> None:
    state = await state_of(platform)
    assert {one["condition"] for one in state["services"]} == {"unknown"}
    assert not any(one["delivered"] for one in state["deliverables"]) and len(state["deliverables"]) == 10


async def test_a_green_run_is_kept_shown_and_grows_old(platform: Any) -> None:
    assert await prove(platform) == ["GET", "POST", "forgotten"]
    state = await state_of(platform)
    letters = next(one for one in state["services"] if one["name"] == "letters")
    assert letters["condition"] == "green" and letters["share"] == 1.0
    assert [step["text"] for step in letters["journeys"][0]["last"]["steps"]] == [
        "Åpner siden", "Sender skjemaet", "Rydder",
    ]  # fmt: skip
    platform.clock.advance(timedelta(minutes=16))
    state = await state_of(platform)
    assert state["condition"] == "unknown", "old evidence is none (IMP-08)"


async def test_imp_04_a_failure_says_step_expected_and_seen_and_cleans_up(platform: Any) -> None:
    assert "forgotten" in await prove(platform, broken=True)
    (report, run), *_ = await flow.last_runs(platform, "hello")
    failed = next(step for step in run.steps if not step.passed)
    assert (failed.text, failed.expected, failed.seen) == ("Sender skjemaet", "a greeting", "200")
    assert (await state_of(platform))["condition"] == "down"
    assert (await flow.one(platform, report)) == run


async def test_imp_05_people_are_told_at_the_first_failure(platform: Any) -> None:
    (check,) = alarms.checks(platform)

    async def finding() -> Any:
        async with platform.database.connection() as connection:
            return await check.run(connection, platform.clock.now()), await alarms.gauges(platform, connection)

    assert await finding() == (Finding(0), ({}, {})), "what never ran is not called failed"
    await prove(platform)
    assert await finding() == (Finding(0), ({"hello": True}, {"hello": 0.0}))
    platform.clock.advance(timedelta(minutes=16))
    assert (await finding())[0] == Finding(1, "hello: not run since 2026-11-24 09:00 UTC")
    await prove(platform, broken=True)
    assert await finding() == (Finding(1, "hello: failed 2026-11-24 09:16 UTC"), ({"hello": False}, {"hello": 0.0}))


async def test_imp_08_without_its_database_the_page_says_that_nothing_works(platform: Any) -> None:
    platform.database = Database("postgresql://varde@127.0.0.1:1/away")
    transport = httpx.ASGITransport(status_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/status", "/status/hello"):
            page = await client.get(path, headers={"accept": "text/html"})
            assert page.status_code == 503 and "Ingen av tjenestene virker akkurat nå" in page.text
            told = await client.get(path, headers={"accept": "application/json"})
            assert (told.status_code, told.json()["condition"]) == (503, "down")
            assert told.headers["retry-after"] == "30" and told.headers["vary"] == "Accept"


async def test_an_unknown_journey_is_not_found(platform: Any) -> None:
    transport = httpx.ASGITransport(status_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/status/nothing")).status_code == 404


async def test_imp_04_too_slow_is_failed(platform: Any) -> None:
    import asyncio

    async def slow(steps: Steps) -> None:
        async with steps.step("Venter", timedelta(milliseconds=20)):
            await asyncio.sleep(0.05)

    _, run = await flow.run(platform, replace(JOURNEY, run=slow), Visit("http://test", PROBE, lambda scopes: ""))
    assert not run.passed and run.steps[0].expected == "høyst 0,02 s"


async def test_imp_02_a_person_who_could_be_real_is_refused(platform: Any) -> None:
    real = replace(PROBE, patient="01010199900")
    with pytest.raises(NotSynthetic):
        await flow.run(platform, JOURNEY, Visit("http://test", real, lambda scopes: ""))


async def test_a_fault_outside_every_step_is_evidence_too(platform: Any) -> None:
    async def fails(steps: Steps) -> None:
        raise RuntimeError("Kari Nordmann")

    _, run = await flow.run(platform, replace(JOURNEY, run=fails), Visit("http://test", PROBE, lambda scopes: ""))
    assert not run.passed and "Kari" not in str(run)


@pytest.mark.browser
async def test_axe_finds_nothing_on_the_status_pages(platform: Any) -> None:
    app = status_app(platform)
    wrong: list[str] = []
    async with chromium() as browser, serving(app) as base:
        for broken in (False, True):
            await prove(platform, broken=broken)
            for scheme in ("light", "dark"):
                context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
                for path in ("/status", "/status/hello"):
                    wrong += await inspect(context, base + path)
                await context.close()
        platform.database = Database("postgresql://varde@127.0.0.1:1/away")
        async with serving(status_app(platform)) as away:
            context = await browser.new_context()
            found = await inspect(context, f"{away}/status")
            wrong += [fault for fault in found if ": 503" not in fault and "status of 503" not in fault]
            await context.close()
    assert wrong == []
