"""The public status page `/status`: each service by its last evidence, as a page and as JSON (IMP-08), and the ten
deliverables, delivered or not by evidence alone (IMP-09). `/status/{journey}` shows the steps of the last run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from varde.fhir.errors import NotFound, Unavailable
from varde.services.improvement.deliverables import SERVICE_TITLES
from varde.services.improvement.rules import Condition
from varde.services.improvement.situation import JourneyState, Situation, State
from varde.web.shell import Shell, language_of, render

if TYPE_CHECKING:
    from varde.services import Platform

_log = structlog.get_logger("varde.status")
_ = str  # marks messages for extraction

WORDS: Mapping[Condition, tuple[str, str]] = {
    Condition.GREEN: (_("Virker"), "success"),
    Condition.SLOW: (_("Virker, men er treg"), "warning"),
    Condition.DOWN: (_("Virker ikke"), "danger"),
    Condition.UNKNOWN: (_("Vet ikke"), "neutral"),
}
ALL: Mapping[Condition, str] = {
    Condition.GREEN: _("Alle tjenestene som prøves, virker"),
    Condition.SLOW: _("Alt virker, men noe er tregt"),
    Condition.DOWN: _("Noe virker ikke akkurat nå"),
    Condition.UNKNOWN: _("Vi vet ikke om alt virker akkurat nå"),
}
HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept"}
AGAIN_SECONDS = "30"
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable)
"""How a database that is away is met."""


def wants_json(request: Request) -> bool:
    """Whether the client prefers JSON to a page."""
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def public_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/status` and below, open to everybody."""
    situation = Situation(platform)

    async def status(request: Request) -> Response:
        try:
            state = await situation.now()
        except AWAY as fault:
            _log.warning("status.away", fault=type(fault).__name__)
            return _away(request, platform.clock.now())
        if wants_json(request):
            return JSONResponse(as_json(state), headers=HEADERS)
        return _page(
            request,
            "improvement/status.html",
            state=state,
            overall=ALL[state.condition],
            tone=WORDS[state.condition][1],
            conditions=WORDS,
            titles=SERVICE_TITLES,
            tried=[one for one in state.services if one.journeys],
            untried=[one for one in state.services if not one.journeys],
        )

    async def journey(request: Request) -> Response:
        try:
            state = await situation.now()
        except AWAY as fault:
            _log.warning("status.away", fault=type(fault).__name__)
            return _away(request, platform.clock.now())
        name = request.path_params["journey"]
        found = next((j for one in state.services for j in one.journeys if j.journey.name == name), None)
        if found is None:
            raise NotFound.of("no such journey")
        if wants_json(request):
            return JSONResponse(_journey(found), headers=HEADERS)
        shell: Shell = request.app.state.shell
        language = language_of(request)
        return _page(
            request,
            "improvement/status_journey.html",
            found=found,
            title=found.journey.title.get(language, found.journey.title["nb"]),
            label=shell.gettext(language, WORDS[found.condition][0]),
            tone=WORDS[found.condition][1],
        )

    return [Route("/status", status), Route("/status/{journey}", journey)]


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    response = render(request, template, status_code=status, **values)
    response.headers["Vary"] = "Accept, Cookie"
    return response


def _away(request: Request, now: datetime) -> Response:
    """Without its database the house can do nothing, and says so itself (IMP-06, IMP-08)."""
    if wants_json(request):
        body = {
            "at": now.isoformat(), "condition": Condition.DOWN.value, "why": "the database does not answer",
            "services": [], "deliverables": [],
        }  # fmt: skip
        response: Response = JSONResponse(body, 503, HEADERS)
    else:
        response = _page(request, "improvement/status_away.html", 503)
    response.headers["Retry-After"] = AGAIN_SECONDS
    return response


def as_json(state: State) -> dict[str, Any]:
    """The whole state for machines: docs/status.md."""
    return {
        "at": state.at.isoformat(),
        "condition": state.condition.value,
        "services": [
            {
                "name": one.name,
                "title": SERVICE_TITLES[one.name],
                "condition": one.condition.value,
                "since": one.since.isoformat() if one.since else None,
                "checked": one.checked.isoformat() if one.checked else None,
                "share": one.share,
                "journeys": [_journey(state_of) for state_of in one.journeys],
                "days": [{"day": d.day.isoformat(), "runs": d.runs, "failed": d.failed} for d in one.days if d.runs],
            }
            for one in state.services
        ],
        "deliverables": [
            {
                "number": one.number,
                "title": one.title,
                "service": one.service,
                "delivered": state.delivered.get(one.number, False),
            }
            for one in state.deliverables
        ],
    }


def _journey(found: JourneyState) -> dict[str, Any]:
    last = found.last
    return {
        "name": found.journey.name,
        "title": found.journey.title["nb"],
        "condition": found.condition.value,
        "since": found.since.isoformat() if found.since else None,
        "report": f"TestReport/{found.report}" if found.report else None,
        "last": {
            "at": last.at.isoformat(),
            "version": last.version,
            "passed": last.passed,
            "seconds": round(last.took.total_seconds(), 3),
            "steps": [
                {
                    "text": step.text,
                    "passed": step.passed,
                    "seconds": round(step.took.total_seconds(), 3),
                    "within": step.within.total_seconds(),
                    **({} if step.passed else {"expected": step.expected, "seen": step.seen}),
                }
                for step in last.steps
            ],
        }
        if last
        else None,
    }
