"""Whom one acts for: oneself, a child, one who gave a power of attorney. The page to choose on, and the switch itself.

Who may is decided by `trust`, anew at every request; that every page names both is `templates/layout.html` (FAM-18).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import today
from varde.trust.access import Access, Refused
from varde.trust.persons import age
from varde.trust.sessions import Session, Sessions
from varde.web.errors import error_page
from varde.web.guards import form_of, patient_page
from varde.web.shell import render

CHOOSE_PATIENT = "/familie/velg"


def routes(access: Access, sessions: Sessions) -> list[BaseRoute]:
    """/familie/velg."""

    @patient_page
    async def choose(request: Request) -> Response:
        session: Session = request.state.session
        if request.method != "POST":
            on = today(access.clock)
            others = [
                {"id": one.id, "name": one.name, "years": age(one.born, on)}
                for one in await access.represented(session.person)
            ]
            return render(
                request, "web/choose_patient.html", children=others, chosen=session.patient, own=session.person
            )
        try:
            scope, person, patient = await access.act_for(
                session.person, form_of(request).one("hvem") or session.person
            )
        except (Refused, LookupError):
            return error_page(request, 404)
        other = patient.name if patient.id != person.id else None
        values = {"kind": scope.actor.kind.value, "patient": patient.id, "acting_for_name": other}
        response = RedirectResponse("/", 303)
        sessions.put(response, await sessions.replace(session, **values))
        return response

    return [Route(CHOOSE_PATIENT, choose, methods=["GET", "POST"])]
