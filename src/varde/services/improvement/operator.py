"""The operators' page `/drift`: what stopped, what leaves and has not been received, what the checks found.

It shows kinds, keys and times, never a person or a text. What it shows comes through `Operations`; retrying
and discarding need a reason, which is kept with the act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.web import flash
from varde.web.guards import form_of, operator_page
from varde.web.shell import Shell, language_of, render

if TYPE_CHECKING:
    from varde.trust.scope import Scope

_ = str  # marks messages for extraction

RETRIED = flash.register("operator.retried", _("Lagt i køen på nytt."))
DISCARDED = flash.register("operator.discarded", _("Forkastet. Grunnen er lagret."))
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job or message that was given up, or whose outcome nobody knows (LET-56)."""

    id: str
    kind: str
    """job or message."""
    name: str
    """Kind of job, or edge."""
    why: str
    """Type of fault; never a text that could hold a person's data."""
    at: datetime
    attempts: int
    unknown: bool = False
    """The outcome is unknown: a person asks the other side before it is retried."""


@dataclass(frozen=True, slots=True)
class EdgeState:
    """How many messages of one edge are in each state."""

    edge: str
    waiting: int
    sent: int
    received: int
    failed: int
    unknown: int
    oldest_waiting: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check of reconciliation found when it last ran."""

    name: str
    at: datetime | None
    found: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobState:
    """How many jobs of one kind wait, and since when the oldest should have run."""

    name: str
    waiting: int
    overdue: int
    oldest_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the page shows. `dead` is oldest first, at most a page of them; `dead_total` counts all."""

    dead: Sequence[DeadLetter]
    dead_total: int
    edges: Sequence[EdgeState]
    checks: Sequence[CheckResult]
    jobs: Sequence[JobState]


class Operations(Protocol):
    """What operators see and do."""

    async def situation(self, scope: Scope) -> Situation: ...
    async def retry(self, scope: Scope, kind: str, dead_id: str, reason: str) -> None: ...
    async def discard(self, scope: Scope, kind: str, dead_id: str, reason: str) -> None: ...


def operator_routes(operations: Operations) -> Sequence[BaseRoute]:
    """`/drift` and what is done there."""

    async def show(request: Request, fault: str | None = None, faulty: str = "") -> Response:
        return render(
            request,
            "improvement/operations.html",
            status_code=422 if fault else 200,
            now_is=await operations.situation(request.state.scope),
            faults={f"grunn-{faulty}": fault} if fault else {},
        )

    @operator_page
    async def situation(request: Request) -> Response:
        return await show(request)

    @operator_page
    async def decide(request: Request) -> Response:
        form = form_of(request)
        kind, dead_id = request.path_params["kind"], request.path_params["id"]
        reason = form.one("grunn")
        if not reason or len(reason) > LONGEST_REASON:
            shell: Shell = request.app.state.shell
            message = _("Skriv en grunn på høyst %(count)s tegn.")
            fault = shell.gettext(language_of(request), message, count=LONGEST_REASON)
            return await show(request, fault, dead_id)
        discard = form.one("gjor") == "forkast"
        act = operations.discard if discard else operations.retry
        await act(request.state.scope, kind, dead_id, reason)
        response = RedirectResponse("/drift", 303)
        flash.put(response, DISCARDED if discard else RETRIED, secure=request.url.scheme == "https")
        return response

    return [
        Route("/drift", situation),
        Route("/drift/{kind}/{id}", decide, methods=["POST"]),
    ]
