"""/auth/authorize: an app sends a person's browser here. A request that is right leads to the page of answering; one
that is wrong goes back to the app, or, where it cannot be trusted, to a page that says so and sends nobody anywhere.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.trust.smart.clients import Client, Side
from varde.trust.smart.discovery import AUTHORIZE
from varde.trust.smart.endpoints import AuthorizationServer
from varde.trust.smart.requests import PUSHED, Asked, Refused, answer_address, redirect_of, sides_of, single
from varde.web.errors import Explanation, error_page
from varde.web.shell import render

PATIENT_ANSWER = "/apper/samtykke"
STAFF_ANSWER = "/arbeid/apper/samtykke"
CHOOSE_SIDE = "/auth/velg"
_LARGEST = 20_000

_ = str  # marks messages for extraction

WRONG_APP = Explanation(
    _("Vi kan ikke åpne appen"),
    _("Appen er ikke registrert hos oss, eller adressen den bruker, stemmer ikke. Kontakt dem som har laget appen."),
)
OLD = Explanation(
    _("Spørsmålet fra appen er for gammelt"),
    _("Gå tilbake til appen og begynn på nytt."),
)
ANSWERS = {Side.PATIENT: PATIENT_ANSWER, Side.STAFF: STAFF_ANSWER}


def _side(request: Request) -> Side | None:
    session = getattr(request.state, "session", None)
    if session is None:
        return None
    return Side.STAFF if session.kind == "staff" else Side.PATIENT


class Authorizing:
    """The authorization endpoint."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def routes(self) -> list[BaseRoute]:
        """The endpoint, and the choice of side."""
        return [
            Route(AUTHORIZE, self.authorize, methods=["GET", "POST"]),
            Route(f"{CHOOSE_SIDE}/{{handle}}", self.choose_side),
        ]

    async def authorize(self, request: Request) -> Response:
        """GET and POST (SMART's authorize-post), with the request itself or the name of a pushed one."""
        try:
            parameters = single(await _pairs(request))
        except Refused:
            return error_page(request, 400, explanation=WRONG_APP)
        client = await self._server.clients.find(parameters.get("client_id", ""))
        if client is None:
            return error_page(request, 400, explanation=WRONG_APP)
        if "request_uri" in parameters:
            return await self._pushed(request, client, parameters["request_uri"])
        try:
            target = redirect_of(client, parameters)
        except LookupError:
            return error_page(request, 400, explanation=WRONG_APP)
        try:
            asked = await self._server.requests.check(client, parameters)
        except Refused as refused:
            return self._back(target, parameters.get("state", ""), refused)
        return await self._forward(request, client, asked)

    async def _pushed(self, request: Request, client: Client, name: str) -> Response:
        try:
            if not name.startswith(PUSHED):
                raise LookupError("a request is fetched from nowhere")
            asked = await self._server.requests.open_pushed(client.id, name)
        except LookupError:
            return error_page(request, 400, explanation=OLD)
        return await self._forward(request, client, asked)

    def _back(self, target: str, state: str, refused: Refused) -> Response:
        address = answer_address(
            target, self._server.addresses.issuer, state, error=refused.error, error_description=str(refused)
        )
        return RedirectResponse(address, 303, {"cache-control": "no-store"})

    async def _forward(self, request: Request, client: Client, asked: Asked) -> Response:
        sides = sides_of(client, asked)
        if not sides:
            refused = Refused("invalid_request", "the app is not launched from here")
            return self._back(asked.redirect_uri, asked.state, refused)
        if asked.quiet:
            known = _side(request) in sides
            error = "interaction_required" if known else "login_required"
            return self._back(asked.redirect_uri, asked.state, Refused(error, "a person must answer"))
        handle = await self._server.requests.keep(asked)
        page = ANSWERS[next(iter(sides))] if len(sides) == 1 else CHOOSE_SIDE
        return RedirectResponse(f"{page}/{handle}", 303, {"cache-control": "no-store"})

    async def choose_side(self, request: Request) -> Response:
        """For apps of both patients and staff: who one is, unless one is logged in already."""
        handle = request.path_params["handle"]
        asked = await self._server.requests.find(handle)
        client = None if asked is None else await self._server.clients.find(asked.client)
        if asked is None or client is None:
            return error_page(request, 404, explanation=OLD)
        side = _side(request)
        if side is not None:
            return RedirectResponse(f"{ANSWERS[side]}/{handle}", 303)
        return render(
            request, "web/apps/side.html", app=client.name,
            patient=f"{PATIENT_ANSWER}/{handle}", staff=f"{STAFF_ANSWER}/{handle}",
        )  # fmt: skip


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters as they came. Raises Refused when there is too much of them."""
    if request.method == "POST":
        posted = await request.form(max_files=0, max_fields=50)
        return [(name, text) for name, text in posted.multi_items() if isinstance(text, str)]
    query = request.url.query
    if len(query) > _LARGEST:
        raise Refused("invalid_request", "too long")
    return parse_qsl(query, keep_blank_values=True)
