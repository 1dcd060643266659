"""Nødtilgang: pages for health workers who must see a record at once, and for leaders who go through it afterwards
(FAM-34). What it asks for and what follows is said before anything opens. Works without JavaScript.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.fhir.errors import NotFound
from varde.services.family import emergency_access, emergency_reviews, log_questions
from varde.services.family.blocks_pages import CAUSES
from varde.services.family.emergency_rules import LONGEST_REASON, SHORTEST_REASON, faults, may_open
from varde.services.family.part import Part
from varde.web import flash
from varde.web.errors import error_page
from varde.web.guards import form_of, staff_page
from varde.web.shell import render, speech_of

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

HOME = "/arbeid/nodtilgang"
REVIEWS = f"{HOME}/gjennomgang"
ENDED = flash.register("family.emergency-ended", _("Nødtilgangen er avsluttet."), "success")
REVIEWED = flash.register("family.emergency-reviewed", _("Gjennomgangen er lagret."), "success")
FAULTS: Mapping[str, str] = {
    "number": _("Vi finner ingen pasient med dette nummeret. Skriv de 11 sifrene."),
    "cause": _("Velg årsaken."),
    "short": _("Skriv hvorfor, med minst %(count)s tegn. Pasienten leser det."),
    "long": _("Skriv kortere: høyst %(count)s tegn."),
    "outcome": _("Velg om det var nødvendig."),
    "text": _("Skriv en begrunnelse."),
}
_COUNTS = {"short": SHORTEST_REASON, "long": LONGEST_REASON}


def staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/arbeid/nodtilgang` and below."""

    def opens(request: Request) -> bool:
        return may_open(request.state.session.role)

    @staff_page
    async def home(request: Request) -> Response:
        scope = request.state.scope
        reviews = scope.audits or await log_questions.leads(platform, scope)
        if not opens(request):
            return RedirectResponse(REVIEWS, 303) if reviews else error_page(request, 403)
        form = form_of(request)
        if request.method == "POST":
            person = await emergency_access.find(platform, scope, form.one("nummer").replace(" ", ""))
            wrong = faults(person is not None, form.one("arsak"), form.one("grunn"))
            for field, fault in wrong.items():
                form.refuse(field, speech_of(request).gettext(FAULTS[fault], count=_COUNTS.get(fault, 0)))
            if person is not None and not wrong:
                if form.one("bekreft") != "ja":
                    return render(
                        request, "family/emergency_confirm.html", form=form, person=person, causes=CAUSES,
                        hours=platform.settings.emergency_hours, key=secrets.token_urlsafe(12),
                    )  # fmt: skip
                identifier = await emergency_access.open_it(
                    platform, scope, await _practitioner(platform, request), person, cause=form.one("arsak"),
                    reason=form.one("grunn"), key=form.one("nokkel")[:40],
                )  # fmt: skip
                return RedirectResponse(f"{HOME}/{identifier}", 303)
        return render(
            request, "family/emergency.html", status_code=422 if form.faults else 200, form=form, faults=form.faults,
            causes=CAUSES, hours=platform.settings.emergency_hours, shortest=SHORTEST_REASON,
            open=await emergency_access.mine(platform, scope), reviews=reviews,
        )  # fmt: skip

    @staff_page
    async def record(request: Request) -> Response:
        found = await emergency_access.record(platform, request.state.scope, request.path_params["id"])
        return render(request, "family/emergency_record.html", found=found)

    @staff_page
    async def end(request: Request) -> Response:
        await emergency_access.end(platform, request.state.scope, request.path_params["id"])
        response = RedirectResponse(HOME, 303)
        flash.put(response, ENDED, secure=request.url.scheme == "https")
        return response

    @staff_page
    async def reviews(request: Request) -> Response:
        scope = request.state.scope
        if not (scope.audits or await log_questions.leads(platform, scope)):
            return error_page(request, 403)
        found = await emergency_reviews.waiting(platform, scope)
        return render(request, "family/emergency_reviews.html", reviews=found, causes=CAUSES)

    @staff_page
    async def review(request: Request) -> Response:
        found = await emergency_reviews.one(platform, request.state.scope, request.path_params["id"])
        form = form_of(request)
        if request.method == "POST":
            outcome, text = form.one("utfall"), form.one("begrunnelse").strip()
            wrong = []
            if outcome not in {emergency_reviews.NEEDED, emergency_reviews.NOT_NEEDED}:
                wrong.append(("utfall", "outcome"))
            if not text or len(text) > LONGEST_REASON:
                wrong.append(("begrunnelse", "text"))
            for field, fault in wrong:
                form.refuse(field, speech_of(request).gettext(FAULTS[fault]))
            if not form.faults:
                await emergency_reviews.decide(platform, request.state.scope, found, outcome, text)
                response = RedirectResponse(REVIEWS, 303)
                flash.put(response, REVIEWED, secure=request.url.scheme == "https")
                return response
        return render(
            request, "family/emergency_review.html", status_code=422 if form.faults else 200, review=found, form=form,
            faults=form.faults, causes=CAUSES,
        )  # fmt: skip

    return [
        Route(HOME, home, methods=["GET", "POST"]),
        Route(REVIEWS, reviews),
        Route(f"{REVIEWS}/{{id}}", review, methods=["GET", "POST"]),
        Route(f"{HOME}/{{id}}", record),
        Route(f"{HOME}/{{id}}/slutt", end, methods=["POST"]),
    ]


async def _practitioner(platform: Platform, request: Request) -> str:
    """The reference of who is logged in. Raises NotFound for one who works there no more."""
    session = request.state.session
    for position in await platform.access.positions(session.person):
        if position.unit == session.unit:
            return f"Practitioner/{position.practitioner}"
    raise NotFound.of("no such position")


PART = Part(
    staff_routes=staff_routes,
    staff_menu=((HOME, _("Nødtilgang")),),
    handlers=lambda platform: [emergency_reviews.handler(platform)],
)
