"""What a person has let in, to see and to end at once; and for operators, the apps that are registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.fhir.errors import Gone, NotFound
from varde.fhir.gate import Interaction
from varde.trust.access import Refused, name_of
from varde.trust.scope import Scope
from varde.trust.sessions import Session
from varde.trust.smart.authorizations import Authorization
from varde.trust.smart.discovery import MANAGE
from varde.trust.smart.endpoints import AuthorizationServer
from varde.trust.smart.scopes import read_words
from varde.web import flash
from varde.web.apps.noting import note
from varde.web.apps.words import Line, lines
from varde.web.guards import form_of, operator_page, patient_page, staff_page
from varde.web.shell import MenuItem, Shell, language_of, render

_ = str  # marks messages for extraction

WITHDRAWN = flash.register("apps.withdrawn", _("Appen har ikke tilgang lenger."))
PATIENT_MENU = MenuItem(MANAGE, _("Apper"))
STAFF_MENU = MenuItem("/arbeid/apper", _("Apper"))
OPERATORS = "/drift/apper"


@dataclass(frozen=True, slots=True)
class Held:
    """What one app may do for one patient."""

    app: str
    name: str
    publisher: str
    patient: str | None
    whose: str | None
    """Name of the patient, when it is another than who asks; None also when they may be seen no more."""
    lines: Sequence[Line]
    since: datetime
    until: datetime
    lasting: bool


async def held(server: AuthorizationServer, request: Request, kind: str) -> list[Held]:
    """All that the person of a page has let in now, one an app and patient."""
    session: Session = request.state.session
    shell: Shell = request.app.state.shell
    language = language_of(request)
    by_app: dict[tuple[str, str | None], list[Authorization]] = {}
    for one in await server.authorizations.of_person(kind, session.person):
        by_app.setdefault((one.client, one.patient), []).append(one)
    names = {client.id: client for client in await server.clients.every()}
    found = []
    for (app, patient), several in by_app.items():
        words = dict.fromkeys(word for one in several for word in read_words(one.scopes)[0])

        def say(message: str, **values: object) -> str:
            return shell.gettext(language, message, **values)

        found.append(
            Held(
                app, names[app].name, names[app].publisher, patient, await _whose(server, request, patient),
                lines(list(words), say, staff=kind == "staff"),
                min(one.created for one in several if one.created is not None),
                max(one.ends for one in several),
                any("offline_access" in one.scopes.split() for one in several),
            )
        )  # fmt: skip
    return found


async def _whose(server: AuthorizationServer, request: Request, patient: str | None) -> str | None:
    session: Session = request.state.session
    if patient is None or patient == session.person:
        return None
    try:
        if session.kind == "staff":
            scope: Scope = request.state.scope
            return name_of((await server.access.store.read(scope, "Patient", patient)).resource)
        return (await server.access.act_for(session.person, patient))[2].name
    except (Refused, LookupError, NotFound, Gone):
        return None


class Listing:
    """The lists, and withdrawing."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def routes(self) -> list[BaseRoute]:
        """/apper, its withdrawing and staff's, and /drift/apper."""
        return [
            Route(MANAGE, patient_page(self._patient)),
            Route(f"{MANAGE}/trekk", patient_page(self._withdraw), methods=["POST"]),
            Route("/arbeid/apper/trekk", staff_page(self._withdraw), methods=["POST"]),
            Route(OPERATORS, operator_page(self._operators)),
        ]

    async def _patient(self, request: Request) -> Response:
        return render(request, "web/apps/list.html", held=await held(self._server, request, "patient"))

    async def _withdraw(self, request: Request) -> Response:
        session: Session = request.state.session
        form = form_of(request)
        staff = session.kind == "staff"
        client = next((one for one in await self._server.clients.every() if one.id == form.one("app")), None)
        if client is not None:
            patient = form.one("pasient") or None
            ended = await self._server.authorizations.withdraw(
                "staff" if staff else "patient", session.person, client.id, patient
            )
            if ended:
                scope: Scope = request.state.scope
                await note(scope, client, Interaction.DELETE, ended, patient, None)
        response = RedirectResponse("/arbeid/apper" if staff else MANAGE, 303)
        flash.put(response, WITHDRAWN, secure=request.url.scheme == "https")
        return response

    async def _operators(self, request: Request) -> Response:
        return render(
            request, "web/apps/operators.html", apps=await self._server.clients.every(),
            counts=await self._server.authorizations.counts(),
        )  # fmt: skip
