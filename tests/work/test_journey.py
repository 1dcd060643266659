"""The recorder of journeys and the visitor who walks them, over a small real site with a login, forms and an API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.browsing import serving
from varde.clock import SetClock
from varde.work.journey import Journey, JourneyFailed, Probe, Step, Steps, walk
from varde.work.visitor import Refused, Visitor

PROBE = Probe(
    unit="unit", location="room", staff="8199999", clinician="8199998", leader="8199997", patient="02810199900",
    paper_patient="03810199909", adult="04810199900", parent="05810199900", child="06810199900", surname="Prøve",
)  # fmt: skip


def site(posted: list[dict[str, list[str]]]) -> Starlette:
    """Pages behind a login at a provider that lists its persons, a form of every kind of field, and an API."""

    async def login(request: Request) -> Response:
        return RedirectResponse(f"/provider?til={request.query_params['til']}", 303)

    async def provider(request: Request) -> Response:
        if request.method == "POST":
            form = await request.form()
            answer = RedirectResponse(request.query_params["til"], 303)
            answer.set_cookie("who", str(form["person"]))
            return answer
        wanted = request.query_params.get("q", "")
        found = [number for number in ("1", "2") if wanted == number]
        rows = "".join(f"<form method=post><button name=person value={n}>{n}</button></form>" for n in found)
        back = request.query_params.get("til", "/me")
        search = f"<form><input name=q><input type=hidden name=til value='{back}'></form>"
        return HTMLResponse(f"<html><body>{search}{rows}</body></html>")

    async def me(request: Request) -> Response:
        return HTMLResponse(f"<p>Du er   {request.cookies.get('who', 'ingen')}</p>")

    async def form(request: Request) -> Response:
        if request.method == "POST":
            sent = await request.form()
            posted.append({name: [str(v) for v in sent.getlist(name)] for name in sent})
            return HTMLResponse("<p>Takk</p>")
        return HTMLResponse(
            "<form method=post><input type=hidden name=csrf value=secret><input name=text value=before>"
            "<input type=checkbox name=pick value=a checked><input type=checkbox name=pick value=b>"
            "<select name=kind><option value=x><option value=y selected></select>"
            "<textarea name=long>line</textarea><button name=act value=send></button></form>"
            "<form method=post action='https://example.org/'><input name=elsewhere></form>"
        )

    async def api(request: Request) -> Response:
        return JSONResponse({"token": request.headers["authorization"]}, 201 if request.method == "POST" else 200)

    return Starlette(
        routes=[
            Route("/login", login),
            Route("/provider", provider, methods=["GET", "POST"]),
            Route("/me", me),
            Route("/form", form, methods=["GET", "POST"]),
            Route("/fhir/{rest:path}", api, methods=["GET", "POST"]),
        ]
    )


async def test_a_visitor_logs_in_keeps_the_session_and_is_nobody_else() -> None:
    async with serving(site([])) as base, Visitor(base) as one, Visitor(base) as other:
        assert (await one.log_in("/me", "1")).text == "Du er 1"
        assert (await one.get("/me")).text == "Du er 1"
        assert (await other.get("/me")).text == "Du er ingen"
        with pytest.raises(Refused, match="personen i listen"):
            await other.log_in("/me", "3")


async def test_a_form_is_sent_as_a_browser_would() -> None:
    posted: list[dict[str, list[str]]] = []
    async with serving(site(posted)) as base, Visitor(base) as visitor:
        page = await visitor.get("/form")
        thanks = await visitor.send(page, "text", {"text": "after", "pick": ["a", "b"]}, ("act", "send"))
        assert thanks.text == "Takk"
        with pytest.raises(Refused, match="et annet sted"):
            await visitor.send(page, "elsewhere", {})
        with pytest.raises(Refused, match="«nothing»"):
            await visitor.send(page, "nothing", {})
    assert posted == [
        {"csrf": ["secret"], "text": ["after"], "pick": ["a", "b"], "kind": ["y"], "long": ["line"], "act": ["send"]}
    ]


async def test_another_status_is_refused_and_the_api_gets_its_token() -> None:
    async with serving(site([])) as base, Visitor(base) as visitor:
        assert await visitor.json("POST", "/fhir/Patient", "abc", {}, status=201) == {"token": "Bearer abc"}
        with pytest.raises(Refused) as refused:
            await visitor.get("/nowhere")
    assert (refused.value.expected, refused.value.seen) == ("svar 200", "svar 404")


def steps_at(clock: SetClock, base: str = "http://127.0.0.1:1") -> Steps:
    return Steps(base, PROBE, clock, lambda scopes: "token")


def journey(run: Callable[[Steps], Awaitable[None]]) -> Journey:
    return Journey("one", "letters", {"nb": "En"}, run)


async def test_imp_04_the_first_failure_ends_it_and_everything_begun_is_cleaned_up(clock: SetClock) -> None:
    cleaned: list[str] = []

    def cleaner(name: str, *, fails: bool = False) -> Callable[[], Awaitable[None]]:
        async def clean() -> None:
            cleaned.append(name)
            if fails:
                raise ValueError("02810199900")

        return clean

    async def run(steps: Steps) -> None:
        for name in ("first", "second", "third"):
            async with steps.step(name):
                steps.finally_do(f"clean {name}", cleaner(name, fails=name == "second"))
                steps.expect(name != "third", "ro", 17)
        raise AssertionError("not reached")

    ended = await walk(journey(run), steps_at(clock), "0.1.0")
    assert cleaned == ["third", "second", "first"]
    failed = [(step.text, step.expected, step.seen) for step in ended.steps if not step.passed]
    assert failed == [("third", "ro", "17"), ("clean second", "ingen feil", "ValueError")]
    assert not ended.passed and "02810199900" not in str(ended)


async def test_imp_04_a_live_system_that_is_away_is_a_failed_step(clock: SetClock) -> None:
    async def run(steps: Steps) -> None:
        async with steps.visitor() as visitor, steps.step("Åpner siden"):
            await visitor.get("/")

    (step,) = (await walk(journey(run), steps_at(clock), "0.1.0")).steps
    assert (step.text, step.passed, step.expected, step.seen) == ("Åpner siden", False, "ingen feil", "ConnectError")


async def test_imp_04_over_its_time_is_failed_and_near_it_is_slow(clock: SetClock) -> None:
    steps = steps_at(clock)
    with pytest.raises(JourneyFailed, match="høyst 0,01 s"):
        async with steps.step("Venter", timedelta(milliseconds=10)):
            await asyncio.sleep(0.02)

    def went(milliseconds: int, **more: Any) -> Step:
        return Step("x", timedelta(milliseconds=milliseconds), timedelta(seconds=1), more.get("passed", True))

    assert [went(500).slow, went(501).slow, went(900, passed=False).slow] == [False, True, False]


async def test_a_journey_without_a_step_has_proved_nothing(clock: SetClock) -> None:
    async def run(steps: Steps) -> None:
        return

    assert not (await walk(journey(run), steps_at(clock), "0.1.0")).passed
