"""Pages of the family: whom one acts for, who acts for one, and what each may do. What may be is decided by `trust`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from varde.services.family.part import Part
from varde.web.guards import patient_page
from varde.web.shell import MenuItem, render

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

MENU = MenuItem("/familie", _("Familie og fullmakt"))


def patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/familie` and below."""

    @patient_page
    async def overview(request: Request) -> Response:
        acts_for = await platform.access.represented(request.state.session.person)
        return render(request, "family/overview.html", acts_for=acts_for)

    return [Route("/familie", overview)]


PART = Part(patient_routes=patient_routes, patient_menu=((MENU.path, MENU.message),))
