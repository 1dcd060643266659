"""Staff's page of apps: open one for a patient (SMART's EHR launch), and see and end what one let in."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.fhir.errors import Gone, NotFound
from varde.trust.scope import Scope
from varde.trust.smart.clients import Client
from varde.trust.smart.endpoints import AuthorizationServer
from varde.web.apps.choosing import PatientChoice
from varde.web.apps.listing import held
from varde.web.apps.noting import with_forms_to
from varde.web.errors import error_page
from varde.web.guards import form_of, staff_page
from varde.web.shell import render

STAFF_APPS = "/arbeid/apper"


class Launching:
    """The pages of opening apps."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._choice = PatientChoice(server)

    def routes(self) -> list[BaseRoute]:
        """/arbeid/apper and below."""
        return [
            Route(STAFF_APPS, staff_page(self._apps)),
            Route(f"{STAFF_APPS}/aapne/{{app}}", staff_page(self._open), methods=["GET", "POST"]),
        ]

    async def _apps(self, request: Request) -> Response:
        return render(
            request, "web/apps/staff.html", apps=await self._server.clients.launchable(),
            held=await held(self._server, request, "staff"),
        )  # fmt: skip

    async def _open(self, request: Request) -> Response:
        every = await self._server.clients.launchable()
        client = next((one for one in every if one.id == request.path_params["app"]), None)
        if client is None or client.launch_uri is None:
            return error_page(request, 404)
        scope: Scope = request.state.scope
        chosen = form_of(request).one("pasient") if request.method == "POST" else ""
        if not chosen:
            return with_forms_to(await self._choice.page(request, scope, client.name), client.launch_uri)
        return await self._launch(request, client, client.launch_uri, scope, chosen)

    async def _launch(self, request: Request, client: Client, address: str, scope: Scope, patient: str) -> Response:
        store = self._server.access.store
        try:
            await store.read(scope, "Patient", patient)
        except (NotFound, Gone):
            return error_page(request, 404)
        query = [("patient", patient), ("status", "in-progress"), ("_sort", "-date"), ("_count", "1")]
        under_way = []
        if scope.types is None or "Encounter" in scope.types:
            under_way = (await store.search(scope, "Encounter", query)).matches
        launch = await self._server.requests.begin_launch(
            client, hpr=scope.actor.key, unit=scope.actor.unit or "", patient=patient,
            encounter=under_way[0].resource["id"] if under_way else None,
        )  # fmt: skip
        parts = urlsplit(address)
        own = parse_qsl(parts.query, keep_blank_values=True)
        asked = urlencode([*own, ("iss", self._server.addresses.fhir), ("launch", launch)])
        target = urlunsplit(parts._replace(query=asked))
        return RedirectResponse(target, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
