"""The shell's own routes: the built files, the choice of language, and the patient's front page `/`.

`install` makes an application speak as Varde's pages do; services bring the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.web import errors
from varde.web.assets import PREFIX
from varde.web.guards import ended_page
from varde.web.languages import LANGUAGES
from varde.web.shell import LANGUAGE_COOKIE, Shell, render, viewer_of

LANGUAGE_KEPT_SECONDS = 365 * 24 * 3600


class HomeCard(Protocol):
    """What the front page needs of a service's card (`services.Card` is one)."""

    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def href(self) -> str: ...
    @property
    def due(self) -> datetime | None: ...
    @property
    def urgent(self) -> bool: ...
    @property
    def kind(self) -> str: ...


Cards = Callable[[Request], Awaitable[Sequence[HomeCard]]]
"""All cards of all services for the person that the request is from."""


def local_path(wanted: str | None) -> str:
    """`wanted` when it is a path of this site, else `/`: no redirect leaves the house."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return wanted if wanted.isprintable() and "\\" not in wanted else "/"


def routes(shell: Shell, cards: Cards) -> list[BaseRoute]:
    """The shell's routes."""

    async def home(request: Request) -> Response:
        viewer = viewer_of(request)
        if viewer is None:
            return render(request, "web/start.html")
        if viewer.kind == "staff":
            return RedirectResponse("/arbeid", 303)
        ended = ended_page(request)
        if ended is not None:
            return ended
        found = await cards(request)
        far = datetime.max.replace(tzinfo=UTC)
        ordered = sorted(found, key=lambda card: (not card.urgent, card.due or far))
        appointments = [card for card in ordered if card.kind == "appointment" and not card.urgent]
        letters = [card for card in found if card.kind == "letter-read"]
        rest = [card for card in ordered if card not in appointments and card not in letters]
        return render(request, "web/home.html", tasks=rest, appointments=appointments[:5], letters=letters[:5])

    async def choose_language(request: Request) -> Response:
        code = request.path_params["code"]
        if code not in LANGUAGES:
            return errors.error_page(request, 404)
        response = RedirectResponse(local_path(request.query_params.get("til")), 303)
        response.set_cookie(
            LANGUAGE_COOKIE,
            code,
            max_age=LANGUAGE_KEPT_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    async def robots(request: Request) -> Response:
        return PlainTextResponse("User-agent: *\nAllow: /$\nAllow: /status\nDisallow: /\n")

    async def favicon(request: Request) -> Response:
        return RedirectResponse(shell.assets.url("favicon.svg"), 301)

    return [
        Route("/", home),
        Route("/sprak/{code}", choose_language),
        Route(f"{PREFIX}/{{name}}", shell.assets.serve),
        Route("/robots.txt", robots),
        Route("/favicon.ico", favicon),
    ]


def install(app: Starlette, shell: Shell) -> None:
    """Put the shell on `app` and let every error become a page."""
    app.state.shell = shell
    for kind, handler in errors.handlers().items():
        app.add_exception_handler(kind, handler)
