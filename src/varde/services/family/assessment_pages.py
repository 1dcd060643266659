"""Pages for the clinician: which referrals of 12–15-year-olds wait for an assessment, and the page for the conversation
with the young person alone (FAM-19 to FAM-21). What is said there is said in plain words, and nothing of it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import OSLO, today
from varde.fhir.errors import PreconditionFailed
from varde.services.family import assessing
from varde.services.family.assessing import Choice, Conversation
from varde.services.family.part import Part
from varde.services.family.rules import NotAllowed
from varde.trust.consents import Paper, ReferralAssessment
from varde.trust.policy import StaffRole
from varde.web import flash
from varde.web.errors import error_page
from varde.web.forms import Form
from varde.web.guards import form_of, refuse, staff_page
from varde.web.shell import MenuItem, render

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

MENU = MenuItem("/arbeid/unge", _("Unge 12–15 år"))
SAVED = flash.register("family.assessed", _("Vurderingen er lagret og gjelder fra nå."))

PAPERS: Mapping[Paper, tuple[str, str]] = {
    Paper.PARENTS: (_("Hjem, til foreldrene"), _("Slik det er hvis du ikke velger noe annet.")),
    Paper.YOUTH: (_("Hjem, til den unge selv"), _("De som bor hjemme, kan se konvolutten.")),
    Paper.NONE: (_("Ikke på papir"), _("Avdelingen avtaler med den unge hvordan beskjeder når fram.")),
}
FAULTS: Mapping[str, tuple[str, str]] = {
    "nobody": ("hvem", _("Velg hvem som skal se, eller at ingen skal det.")),
    "both": ("hvem", _("Du kan ikke velge både noen og ingen.")),
    "unknown": ("hvem", _("En av dem kan ikke få se noe her.")),
    "consent": ("samtykke", _("Foreldre kan bare velges når den unge selv har sagt ja, uten foreldre til stede.")),
    "when": ("dag", _("Skriv datoen for samtalen. Den kan ikke være etter i dag.")),
    "paper": ("papir", _("Velg hvor papirbrev skal.")),
    "changed": ("hvem", _("En annen har vurdert henvisningen imens. Se den nye vurderingen nedenfor.")),
}
LONGEST_NOTE = 1000
NOBODY = "ingen"


@dataclass(frozen=True, slots=True)
class Past:
    """One assessment in the history, in words."""

    at: datetime
    who: str
    names: Sequence[str]
    consented: datetime | None
    paper: str
    reason: str | None


def staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/arbeid/unge` and below."""

    def treats(request: Request) -> bool:
        return bool(request.state.session.role == StaffRole.CLINICIAN.value)

    @staff_page
    async def listing(request: Request) -> Response:
        if not treats(request):
            return error_page(request, 403)
        found = await assessing.waiting(platform, request.state.scope)
        waiting = [one for one in found if one.assessment is None]
        return render(
            request, "family/young.html", waiting=waiting, assessed=[one for one in found if one not in waiting]
        )

    @staff_page
    async def one(request: Request) -> Response:
        if not treats(request):
            return error_page(request, 403)
        about = await assessing.conversation(platform, request.state.scope, request.path_params["id"])
        form = form_of(request)
        if request.method == "POST":
            choice = _choice(platform, request, form, about)
            if choice is not None:
                try:
                    by = await practitioner(platform, request)
                    await assessing.record(platform, request.state.scope, by, about, choice)
                    response = RedirectResponse("/arbeid/unge", 303)
                    flash.put(response, SAVED, secure=request.url.scheme == "https")
                    return response
                except NotAllowed as refusal:
                    refuse(request, *FAULTS[refusal.fault])
                except PreconditionFailed:
                    refuse(request, *FAULTS["changed"])
                    about = await assessing.conversation(platform, request.state.scope, request.path_params["id"])
        return await _page(platform, request, form, about)

    return [
        Route("/arbeid/unge", listing),
        Route("/arbeid/unge/{id}", one, methods=["GET", "POST"]),
    ]


async def _page(platform: Platform, request: Request, form: Form, about: Conversation) -> Response:
    newest = about.history[0] if about.history else None
    posted = request.method == "POST"
    chosen = frozenset(form.all("hvem")) if posted else _as_chosen(newest)
    return render(
        request,
        "family/conversation.html",
        status_code=422 if form.faults else 200,
        about=about,
        form=form,
        faults=form.faults,
        chosen=chosen,
        consented=bool(form.one("samtykke")) if posted else False,
        day=form.one("dag") or today(platform.clock).isoformat(),
        papers=PAPERS,
        paper=form.one("papir") if posted else (newest.paper if newest else Paper.PARENTS),
        note=form.one("notat"),
        nobody=NOBODY,
        version=about.version,
        history=[_past(about, made) for made in about.history],
    )


def _as_chosen(newest: ReferralAssessment | None) -> frozenset[str]:
    if newest is None:
        return frozenset()
    return newest.opened_to or frozenset({NOBODY})


def _past(about: Conversation, made: ReferralAssessment) -> Past:
    names = {about.patient.id: about.patient.name} | {one.person.id: one.person.name for one in about.parents}
    return Past(
        made.at,
        about.clinicians.get(made.by or "", ""),
        [names.get(one, "–") for one in sorted(made.opened_to)],
        made.consented,
        PAPERS[made.paper][0],
        made.reason,
    )


async def practitioner(platform: Platform, request: Request) -> str:
    """The reference of who is logged in."""
    session = request.state.session
    positions = await platform.access.positions(session.person)
    return f"Practitioner/{next(one.practitioner for one in positions if one.unit == session.unit)}"


def _choice(platform: Platform, request: Request, form: Form, about: Conversation) -> Choice | None:
    """What the form says; None with its faults marked."""
    chosen, now = frozenset(form.all("hvem")), platform.clock.now()
    if not chosen:
        refuse(request, *FAULTS["nobody"])
    elif NOBODY in chosen and len(chosen) > 1:
        refuse(request, *FAULTS["both"])
    day = _day(form.one("dag"))
    if day is None or day > today(platform.clock):
        refuse(request, *FAULTS["when"])
    if form.one("papir") not in set(Paper):
        refuse(request, *FAULTS["paper"])
    opened = chosen - {NOBODY}
    if opened - {about.patient.id} and not form.one("samtykke"):
        refuse(request, *FAULTS["consent"])
    if form.faults or day is None:
        return None
    consented = None
    if form.one("samtykke"):
        noon = datetime.combine(day, time(12), OSLO)
        consented = min(noon, now - timedelta(seconds=1))
    version = form.one("versjon")
    return Choice(
        opened,
        consented,
        Paper(form.one("papir")),
        form.one("notat")[:LONGEST_NOTE] or None,
        int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


PART = Part(staff_routes=staff_routes, staff_menu=((MENU.path, MENU.message),))
