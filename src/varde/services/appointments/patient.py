"""Pages for the patient and those who act for them: coming appointments, and one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from varde.services.appointments import flow
from varde.web.guards import patient_page
from varde.web.seers import who_sees
from varde.web.shell import render

if TYPE_CHECKING:
    from varde.services import Platform


def patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/timer` and below."""

    @patient_page
    async def coming(request: Request) -> Response:
        found = await flow.upcoming(platform, request.state.scope)
        return render(request, "appointments/list.html", appointments=found)

    @patient_page
    async def one(request: Request) -> Response:
        found = await flow.one(platform, request.state.scope, request.path_params["id"])
        seers = await who_sees(platform.access, request.state.scope, "Appointment", found.id)
        return render(request, "appointments/one.html", appointment=found, seers=seers)

    return [Route("/timer", coming), Route("/timer/{id}", one)]
