"""Finding a patient among those that a member of staff reaches: for apps that want one in focus. What is looked for
goes in the form's body, never in an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from varde.trust.access import name_of
from varde.trust.persons import born_of, is_national_number, system_of
from varde.trust.scope import Scope
from varde.trust.smart.endpoints import AuthorizationServer
from varde.web.guards import form_of
from varde.web.shell import render

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One patient on the list."""

    id: str
    name: str
    born: date | None


class PatientChoice:
    """The page of choosing."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    async def found(self, scope: Scope, wanted: str) -> list[Found]:
        """Patients by a part of their names or their national identity number."""
        query = [("_count", str(_SHOWN)), ("_sort", "family")]
        if is_national_number(wanted):
            query.append(("identifier", f"{system_of(wanted)}|{wanted}"))
        else:
            query += [("name", part.replace(",", "")) for part in wanted.split()[:5]]
        page = await self._server.access.store.search(scope, "Patient", query)
        return [Found(one.resource["id"], name_of(one.resource), born_of(one.resource)) for one in page.matches]

    async def page(self, request: Request, scope: Scope, app: str) -> Response:
        """The list, with what was looked for."""
        wanted = form_of(request).one("q") if request.method == "POST" else ""
        # Nobody is shown unasked: each name on a list is a disclosure, and stands in that patient's log.
        found = await self.found(scope, wanted) if wanted else []
        return render(request, "web/apps/patient.html", app=app, patients=found, wanted=wanted, most=_SHOWN)
