"""The shell alone, in an application of its own, with sample persons: no database, no service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from varde.clock import SetClock
from varde.fhir import errors as fhir
from varde.web import flash
from varde.web.assets import Assets
from varde.web.build import build
from varde.web.forms import read_form
from varde.web.routes import install, routes
from varde.web.shell import MenuItem, Shell, render

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SAVED = flash.register("test.saved", "Brevet er sendt", "success")


@dataclass(frozen=True)
class SampleSession:
    """What the shell reads of a session."""

    display_name: str = "Ánde Nilsen Sara"
    kind: str = "patient"
    acting_for_name: str | None = None
    unit_name: str | None = None
    csrf: str = "sample-token"


@dataclass(frozen=True)
class SampleCard:
    """A card as services give it."""

    title: str
    text: str
    href: str
    due: datetime | None = None
    urgent: bool = False
    kind: str = ""


CARDS = [
    SampleCard(
        "Svar på henvisning",
        "Universitetssykehuset Nord-Norge",
        "/brev/1",
        NOW + timedelta(days=3),
        kind="letter",
    ),
    SampleCard(
        "Hudpoliklinikken, UNN Tromsø",
        "Tirsdag 1. desember kl. 09.30",
        "/brev/2",
        NOW + timedelta(days=7),
        kind="appointment",
    ),
    SampleCard("Endring av time", "Finnmarkssykehuset", "/brev/3", kind="letter-read"),
]


class _WithSession:
    def __init__(self, app: ASGIApp, session: SampleSession | None) -> None:
        self.app, self.session = app, session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["session"] = self.session
        await self.app(scope, receive, send)


def sample_app(session: SampleSession | None, clock: SetClock) -> Starlette:
    """The shell with pages that fail in every way."""

    async def cards(request: Request) -> list[SampleCard]:
        return CARDS

    async def fail(request: Request) -> Response:
        kind: str = request.path_params["kind"]
        if request.method == "POST":
            await read_form(request)
        if kind == "unexpected":
            raise RuntimeError("a text with Kari Nordmann in it")
        raise getattr(fhir, kind).of("technical text")

    async def saved(request: Request) -> Response:
        response = render(request, "web/start.html")
        flash.put(response, SAVED)
        return response

    shell = Shell(
        clock,
        Assets(),
        patient_menu=[MenuItem("/", "Forsiden"), MenuItem("/brev", "Brev")],
        staff_menu=[MenuItem("/arbeid", "Oversikt")],
    )
    app = Starlette(
        routes=[
            *routes(shell, cards),
            Route("/fail/{kind}", fail, methods=["GET", "POST"]),
            Route("/saved", saved),
        ],
        middleware=[Middleware(_WithSession, session=session)],
    )
    install(app, shell)
    return app


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The files that browsers fetch, built once."""
    build()


@pytest.fixture
def client(clock: SetClock) -> Callable[..., TestClient]:
    """A client for the sample application, logged in as `session` or not."""

    def make(session: SampleSession | None = None) -> TestClient:
        return TestClient(sample_app(session, clock), raise_server_exceptions=False)

    return make
