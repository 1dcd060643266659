"""The access log on the side of staff: what is logged about oneself, questions that a unit's leader answers, and what
looks like snooping, for the privacy officer. Who is which is decided by `trust`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.fhir.errors import NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.services.family import log_flow, log_questions
from varde.services.family.log_questions import LONGEST, Question
from varde.trust.log import findings
from varde.trust.log.findings import BREACH, EXPLAINED, Finding
from varde.trust.log.snooping import Kind
from varde.web import flash
from varde.web.errors import error_page
from varde.web.guards import form_of, staff_page
from varde.web.shell import render, speech_of

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

_ = str  # marks messages for extraction

ANSWERED = flash.register("log.answered", _("Svaret er sendt til pasienten."), "success")
DECIDED = flash.register("log.decided", _("Vurderingen er lagret."), "success")
KINDS = {
    Kind.OWN_RECORD: _("Egen journal"),
    Kind.FAMILY: _("Nær familie"),
    Kind.HOUSEHOLD: _("Samme bosted"),
    Kind.COLLEAGUE: _("Kollega i samme enhet"),
    Kind.NEIGHBOUR: _("Nabo, uten at enheten hadde noe å gjøre da"),
    Kind.KNOWN_PERSON: _("Kjent person, uten at enheten hadde noe å gjøre da"),
    Kind.NO_RELATION: _("Ble stoppet flere ganger"),
    Kind.MANY_PATIENTS: _("Uvanlig mange pasienter på en dag"),
    Kind.MANY_VIEWERS: _("Uvanlig mange har sett på denne pasienten"),
    Kind.UNANSWERED: _("Pasientens spørsmål er ikke besvart i tide"),
    Kind.EMERGENCY: _("Nødtilgang som ikke var nødvendig, eller ikke er gjennomgått"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding as the privacy officer reads it."""

    finding: Finding
    label: str
    patient: str
    serious: bool


def staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/arbeid/innsyn` and below."""

    @staff_page
    async def mine(request: Request) -> Response:
        scope: Scope = request.state.scope
        try:
            lines, following = await log_flow.own_log(
                platform, scope, request.query_params.get("for"), speech_of(request)
            )
        except ValueError:
            raise NotFound.of("no such page of the log") from None
        return render(
            request,
            "family/log_mine.html",
            days=[(day, list(several)) for day, several in groupby(lines, key=lambda line: line.day)],
            next=following,
            asked=await log_questions.about_me(platform, scope),
            leads=await log_questions.leads(platform, scope),
            audits=scope.audits,
        )

    @staff_page
    async def questions(request: Request) -> Response:
        scope: Scope = request.state.scope
        if not await _answers(scope):
            return error_page(request, 403)
        found = await log_questions.waiting(platform, scope)
        return render(request, "family/log_questions.html", questions=found)

    async def _answers(scope: Scope) -> bool:
        return scope.audits or await log_questions.leads(platform, scope)

    async def show(request: Request, question: Question, about: str, fault: str = "", status: int = 200) -> Response:
        return render(
            request,
            "family/log_answer.html",
            status_code=status,
            question=question,
            about=about,
            text=form_of(request).one("svar"),
            faults={"svar": fault} if fault else {},
        )

    @staff_page
    async def question(request: Request) -> Response:
        found, about = await log_questions.to_answer(platform, request.state.scope, request.path_params["id"])
        if request.method != "POST":
            return await show(request, found, about)
        text = form_of(request).one("svar")
        if not text or len(text) > LONGEST:
            fault = speech_of(request).gettext(_("Skriv et svar på høyst %(count)s tegn."), count=LONGEST)
            return await show(request, found, about, fault, 422)
        await log_questions.answer(platform, request.state.scope, found, text)
        return _done(request, "/arbeid/innsyn/sporsmal", ANSWERED)

    async def listing(request: Request, fault: str = "", faulty: int = 0, status: int = 200) -> Response:
        scope: Scope = request.state.scope
        chosen = request.query_params.get("vis", findings.OPEN)
        state = chosen if chosen in {findings.OPEN, EXPLAINED, BREACH} else findings.OPEN
        async with platform.database.connection() as connection:
            found, total = await findings.listed(connection, state)
            rids = sorted({one.patient for one in found if one.patient is not None})
        names = await log_flow.names_for_auditor(platform, rids)
        if rids:
            await scope.record(Disclosure(Interaction.SEARCH, "Patient", [], rids), None)
        return render(
            request,
            "family/log_findings.html",
            status_code=status,
            findings=[
                Shown(one, KINDS[one.kind], names.get(one.patient, "") if one.patient else "", one.kind.serious)
                for one in found
            ],
            total=total,
            state=state,
            faults={f"grunn-{faulty}": fault} if fault else {},
        )

    @staff_page
    async def found(request: Request) -> Response:
        return await listing(request) if request.state.scope.audits else error_page(request, 403)

    @staff_page
    async def decide(request: Request) -> Response:
        scope: Scope = request.state.scope
        number = request.path_params["id"]
        if not scope.audits:
            return error_page(request, 403)
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise NotFound.of("no such finding")
        form = form_of(request)
        reason = form.one("grunn")
        if not reason or len(reason) > LONGEST:
            fault = speech_of(request).gettext(_("Skriv en begrunnelse på høyst %(count)s tegn."), count=LONGEST)
            return await listing(request, fault, int(number), 422)
        state = BREACH if form.one("gjor") == BREACH else EXPLAINED
        async with platform.database.transaction() as connection:
            await findings.decide(
                connection, int(number), state, actor=scope.actor.key, name=scope.actor.name, reason=reason,
                now=platform.clock.now(),
            )  # fmt: skip
        return _done(request, "/arbeid/innsyn/funn", DECIDED)

    return [
        Route("/arbeid/innsyn", mine),
        Route("/arbeid/innsyn/sporsmal", questions),
        Route("/arbeid/innsyn/sporsmal/{id}", question, methods=["GET", "POST"]),
        Route("/arbeid/innsyn/funn", found),
        Route("/arbeid/innsyn/funn/{id}", decide, methods=["POST"]),
    ]


def _done(request: Request, to: str, message: str) -> Response:
    response = RedirectResponse(to, 303)
    flash.put(response, message, secure=request.url.scheme == "https")
    return response
