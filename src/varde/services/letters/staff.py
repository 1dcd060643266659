"""Pages for staff: the day's letters and their states, sending in three steps, one letter, the worklist."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.services.letters.patient import pdf_response
from varde.services.letters.views import BatchPage, Draft, Filters, Order, StaffLetters, StaffRow
from varde.web import flash
from varde.web.forms import Form
from varde.web.guards import form_of, staff_page
from varde.web.shell import Shell, language_of, render

_ = str  # marks messages for extraction

WITHDRAWN = flash.register("letters.withdrawn", _("Brevet er trukket tilbake."))
RETURNED = flash.register("letters.returned", _("Brevet er merket som returnert."))

ON_ONE_PAGE = 200
"""Patients that the send page lists; more are found by searching, or all sent to at once."""
LONGEST_REASON = 500

FIELD_PREFIX = "felt-"


@dataclass(frozen=True, slots=True)
class StateWords:
    """How a state of LET-50 is named and toned for staff."""

    label: str
    tone: str


STATES = {
    "draft": StateWords(_("Utkast"), "neutral"),
    "waiting": StateWords(_("Venter på å bli sendt"), "neutral"),
    "sent": StateWords(_("Sendt"), "info"),
    "notified": StateWords(_("Varslet, ikke åpnet"), "info"),
    "opened": StateWords(_("Åpnet"), "success"),
    "due-for-print": StateWords(_("Skal trykkes"), "warning"),
    "printing": StateWords(_("Hos trykkeriet"), "warning"),
    "printed": StateWords(_("Trykket"), "neutral"),
    "posted": StateWords(_("Sendt i posten"), "success"),
    "returned": StateWords(_("Kom i retur"), "danger"),
    "withdrawn": StateWords(_("Trukket tilbake"), "neutral"),
    "replaced": StateWords(_("Erstattet"), "neutral"),
    "failed": StateWords(_("Feilet"), "danger"),
}
ALWAYS_SHOWN = ("notified", "opened", "due-for-print", "posted", "returned", "failed")
"""States whose count is shown even when it is nought, so that a nought can be trusted."""

CHANNELS = {
    "digital": _("Digitalt"),
    "paper": _("På papir"),
    "both": _("Digitalt og på papir"),
    "none": _("Ikke sendt"),
    "digital-mailbox": _("Digital postkasse"),
}

PROBLEMS = {
    "no-address": (_("Uten adresse"), "danger", _("Finn adressen, eller ring pasienten.")),
    "returned": (_("Kom i retur"), "danger", _("Ring pasienten og få riktig adresse.")),
    "dead": (_("Pasienten er død"), "neutral", _("Brevet ble ikke sendt. Avlys timen.")),
    "emigrated": (_("Utvandret"), "warning", _("Finn ut hvordan pasienten kan nås.")),
    "failed": (_("Feilet"), "danger", _("Se brevet. Send det på nytt når feilen er rettet.")),
    "refused": (_("Ikke sendt"), "danger", _("Rett det som mangler, og send på nytt.")),
    "telephone": (_("Timen er snart"), "warning", _("Ring pasienten. Brevet kan komme for sent.")),
    "protected": (_("Skjermet adresse"), "warning", _("Ring pasienten. Ikke let etter adressen.")),
    "withheld": (_("Skjult for foreldre"), "warning", _("Avtal med den unge hvordan brevet kan nå fram.")),
    "appointment-changed": (
        _("Timen er endret"),
        "warning",
        _("Brevet ble ikke trykket. Send et nytt om timen som gjelder."),
    ),
    "unknown": (_("Vet ikke om det ble trykket"), "danger", _("Drift må avklare med trykkeriet.")),
}


def staff_routes(letters: StaffLetters) -> Sequence[BaseRoute]:
    """`/arbeid` and the letters' pages below it."""

    @staff_page
    async def overview(request: Request) -> Response:
        asked = request.query_params
        state = asked.get("tilstand", "")
        filters = Filters(
            state=state if state in STATES else "",
            kind=asked.get("type", ""),
            day=_iso_day(asked.get("dag", "")),
            page=asked.get("side"),
        )
        found = await letters.overview(request.state.scope, filters, language=language_of(request))
        tiles = [
            {"key": key, "label": words.label, "tone": words.tone, "count": found.counts.get(key, 0)}
            for key, words in STATES.items()
            if found.counts.get(key) or key in ALWAYS_SHOWN
        ]
        shell: Shell = request.app.state.shell
        translated = [(key, shell.gettext(language_of(request), words.label)) for key, words in STATES.items()]
        everything = ("", shell.gettext(language_of(request), _("Alle")))
        return render(
            request,
            "letters/staff_overview.html",
            tiles=tiles,
            letters=[_row(letter) for letter in found.letters],
            total=found.total,
            attention=found.attention,
            chosen=filters,
            state_choices=[everything, *translated],
            kind_choices=[everything, *found.kinds],
            previous=found.previous,
            next=found.next,
        )

    @staff_page
    async def choose(request: Request) -> Response:
        return await choosing(request, request.query_params.get("sok", "").strip()[:100])

    async def choosing(request: Request, search: str, fault: str | None = None) -> Response:
        found, total = await letters.to_call(request.state.scope, search, most=ON_ONE_PAGE)
        return render(
            request,
            "letters/staff_choose.html",
            status_code=422 if fault else 200,
            appointments=found,
            total=total,
            search=search,
            chosen=frozenset[str](),
            faults={"time-1": fault} if fault else {},
        )

    @staff_page
    async def write(request: Request) -> Response:
        form = form_of(request)
        order = _order(form)
        language = language_of(request)
        shell: Shell = request.app.state.shell
        if not order.appointments and not order.everyone:
            return await choosing(request, order.search, shell.gettext(language, _("Velg minst én pasient først.")))
        wanted = form.one("gjor")
        if wanted == "pdf":
            return pdf_response(await letters.paper(request.state.scope, order), "brev", download=False)
        draft = await letters.look_over(request.state.scope, order, language=language)
        key = form.one("nokkel") or secrets.token_urlsafe(18)
        if wanted == "send" and not draft.faults and len(draft.refused) < draft.total:
            batch = await letters.send(request.state.scope, order, key)
            return RedirectResponse(f"/arbeid/utsending/{batch}", 303)
        return _draft_page(request, draft, order, key, tried=bool(wanted))

    @staff_page
    async def batch(request: Request) -> Response:
        return render(request, "letters/staff_batch.html", batch=await _batch(request))

    @staff_page
    async def progress(request: Request) -> Response:
        return render(request, "letters/staff_batch_progress.html", batch=await _batch(request))

    async def _batch(request: Request) -> BatchPage:
        return await letters.batch(request.state.scope, request.path_params["id"], language=language_of(request))

    @staff_page
    async def letter(request: Request) -> Response:
        return await one_letter(request)

    async def one_letter(request: Request, reason: str = "", fault: str | None = None) -> Response:
        shown = await letters.letter(request.state.scope, request.path_params["id"], language=language_of(request))
        changes = [
            {
                "label": STATES[change.state].label,
                "at": change.at,
                "cause": change.cause,
                "actor": change.actor,
            }
            for change in shown.changes
        ]
        return render(
            request,
            "letters/staff_letter.html",
            status_code=422 if fault else 200,
            letter=_row(shown.row)
            | {
                "html": Markup(shown.html),  # noqa: S704
                "language": shown.language,
                "changes": changes,
                "openings": shown.openings,
                "may_withdraw": shown.may_withdraw,
                "may_return": shown.may_return,
            },
            reason=reason,
            faults={"grunn": fault} if fault else {},
        )

    @staff_page
    async def pdf(request: Request) -> Response:
        content = await letters.pdf(request.state.scope, request.path_params["id"])
        return pdf_response(content, "brev", download=False)

    @staff_page
    async def withdraw(request: Request) -> Response:
        shell: Shell = request.app.state.shell
        reason = form_of(request).one("grunn")
        if not reason or len(reason) > LONGEST_REASON:
            message = _("Skriv en grunn på høyst %(count)s tegn.")
            fault = shell.gettext(language_of(request), message, count=LONGEST_REASON)
            return await one_letter(request, reason, fault)
        await letters.withdraw(request.state.scope, request.path_params["id"], reason)
        return _back(request, WITHDRAWN)

    @staff_page
    async def returned(request: Request) -> Response:
        await letters.mark_returned(request.state.scope, request.path_params["id"])
        return _back(request, RETURNED)

    @staff_page
    async def worklist(request: Request) -> Response:
        found = await letters.worklist(
            request.state.scope, page=request.query_params.get("side"), language=language_of(request)
        )
        items = []
        for item in found.items:
            label, tone, advice = PROBLEMS[item.problem]
            items.append(
                {
                    "patient": item.patient,
                    "title": item.title,
                    "href": item.href,
                    "label": label,
                    "tone": tone,
                    "advice": advice,
                    "detail": item.detail,
                    "since": item.since,
                }
            )
        return render(request, "letters/staff_worklist.html", items=items, previous=found.previous, next=found.next)

    return [
        Route("/arbeid", overview),
        Route("/arbeid/brev/ny", choose),
        Route("/arbeid/brev/ny/skriv", write, methods=["POST"]),
        Route("/arbeid/utsending/{id}", batch),
        Route("/arbeid/utsending/{id}/framdrift", progress),
        Route("/arbeid/brev/{id}", letter),
        Route("/arbeid/brev/{id}/pdf", pdf),
        Route("/arbeid/brev/{id}/trekk", withdraw, methods=["POST"]),
        Route("/arbeid/brev/{id}/retur", returned, methods=["POST"]),
        Route("/arbeid/arbeidsliste", worklist),
    ]


def _iso_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def _order(form: Form) -> Order:
    return Order(
        template=form.one("mal"),
        values=form.under(FIELD_PREFIX),
        appointments=list(dict.fromkeys(form.all("time"))),
        everyone=form.one("alle") == "ja",
        search=form.one("sok")[:100],
        shown=form.one("vis"),
    )


def _row(letter: StaffRow) -> dict[str, object]:
    words = STATES[letter.state]
    return {
        "id": letter.id,
        "patient": letter.patient,
        "born": letter.born,
        "title": letter.title,
        "appointment": letter.appointment,
        "state_label": words.label,
        "state_tone": words.tone,
        "state_since": letter.state_since,
        "channel": CHANNELS.get(letter.channel, letter.channel),
        "why": letter.why,
        "next_step": letter.next_step,
        "next_at": letter.next_at,
    }


def _draft_page(request: Request, draft: Draft, order: Order, key: str, *, tried: bool) -> Response:
    faults = draft.faults if tried else {}
    receivers = [
        {
            "id": receiver.id,
            "patient": receiver.patient,
            "start": receiver.start,
            "channel": CHANNELS.get(receiver.channel, receiver.channel),
            "why": receiver.why,
        }
        for receiver in draft.receivers
    ]
    return render(
        request,
        "letters/staff_write.html",
        status_code=422 if faults else 200,
        faults=faults,
        labels={f"{FIELD_PREFIX}{field.name}": field.label for field in draft.fields},
        key=key,
        everyone=order.everyone,
        search=order.search,
        chosen=order.appointments,
        template=draft.template,
        template_choices=draft.templates,
        fields=draft.fields,
        receivers=receivers,
        total=draft.total,
        refused=draft.refused,
        routes_summary=draft.routes_summary,
        shown=draft.shown,
        shown_name=draft.shown_name,
        preview_html=Markup(draft.preview_html),  # noqa: S704
        paper_image=draft.paper_image,
    )


def _back(request: Request, message: str) -> Response:
    response = RedirectResponse(f"/arbeid/brev/{request.path_params['id']}", 303)
    flash.put(response, message, secure=request.url.scheme == "https")
    return response


def neighbour(path: str, **values: str | None) -> str:
    """The address of a neighbouring page of a list."""
    return f"{path}?{urlencode({key: value for key, value in values.items() if value})}"
