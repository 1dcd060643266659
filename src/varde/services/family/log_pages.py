"""Who has seen my record: the patient's page over the access log, one line of it, and asking about a line.

What is asked for is posted, never written into an address: names and words of people stand in no browser's history and
in no proxy's log.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import OSLO
from varde.fhir.errors import NotFound
from varde.services.family import log_flow, log_questions
from varde.services.family.log_questions import LONGEST
from varde.services.family.log_staff import staff_routes
from varde.services.family.log_watch import handlers
from varde.services.family.log_words import SORTS, types_of
from varde.services.family.part import Part
from varde.trust.law.table import Reach
from varde.trust.log.lines import Wanted, Who
from varde.trust.log.reach import reach_of
from varde.web import flash
from varde.web.forms import Form
from varde.web.guards import form_of, patient_page
from varde.web.shell import PAGE_HEADERS, MenuItem, render, speech_of

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

MENU = MenuItem("/innsyn", _("Hvem har sett"))
STAFF_MENU = MenuItem("/arbeid/innsyn", _("Tilgangslogg"))
ASKED = flash.register("log.asked", _("Spørsmålet er sendt. Svaret kommer her på siden."), "success")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula."""


def wanted_of(form: Form) -> tuple[Wanted, dict[str, str]]:
    """(what is asked for, the fields as they were filled in). What is no date or no choice is passed over."""
    fields = {name: form.one(name)[:200] for name in ("hvem", "enhet", "person", "slag", "fra", "til", "sok")}
    chosen = fields["hvem"]
    wanted = Wanted(
        who=Who(chosen) if chosen in set(Who) else Who.PEOPLE,
        unit=fields["enhet"] or None,
        actor=fields["person"] or None,
        types=types_of(fields["slag"]),
        since=_day(fields["fra"]),
        until=_day(fields["til"]),
        words=fields["sok"],
        refused=chosen == "stoppet",
        emergencies=chosen == "nod",
    )
    return wanted, fields


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1900 < found.year < 2200 else None


def patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/innsyn` and below."""

    @patient_page
    async def overview(request: Request) -> Response:
        form, scope = form_of(request), request.state.scope
        if reach_of(scope) is Reach.NONE:
            return render(request, "family/log_closed.html")
        wanted, fields = wanted_of(form)
        try:
            found = await log_flow.overview(platform, scope, wanted, form.one("for") or None, speech_of(request))
        except ValueError:
            raise NotFound.of("no such page of the log") from None
        return render(
            request,
            "family/log.html",
            log=found,
            days=[(day, list(several)) for day, several in groupby(found.lines, key=lambda line: line.day)],
            fields=fields,
            filtered=any(fields.values()),
            later=bool(form.one("for")),
            units=[(one.key, one.name) for one in found.units],
            people=[(one.key, one.name) for one in found.people],
            sorts=[(sort.key, speech_of(request).gettext(sort.title)) for sort in SORTS],
            questions=await log_questions.asked(platform, scope) if not any(fields.values()) else (),
        )

    @patient_page
    async def printed(request: Request) -> Response:
        wanted, _fields = wanted_of(form_of(request))
        found = await log_flow.everything(platform, request.state.scope, wanted, speech_of(request))
        return render(request, "family/log_print.html", lines=found)

    @patient_page
    async def download(request: Request) -> Response:
        wanted, _fields = wanted_of(form_of(request))
        speech = speech_of(request)
        found = await log_flow.everything(platform, request.state.scope, wanted, speech)
        headers = {**PAGE_HEADERS, "Content-Disposition": 'attachment; filename="innsyn.csv"'}
        head = [_("Dag"), _("Fra"), _("Til"), _("Hvem"), _("Hva"), _("Hvorfor"), _("Lov"), _("Fikk se"), _("Gjennom")]
        rows = [[speech.gettext(word) for word in head]]
        yes, no = speech.gettext(_("ja")), speech.gettext(_("nei"))
        for line in found:
            first, last = (moment.astimezone(OSLO).strftime("%H:%M:%S") for moment in (line.first, line.last))
            rows.append([
                line.day.isoformat(), first, last, line.who, line.did, line.why, line.law, yes if line.allowed else no,
                line.through,
            ])  # fmt: skip
        return Response(_as_csv(rows), headers=headers, media_type="text/csv; charset=utf-8")

    async def show_one(request: Request, fault: str = "", status: int = 200) -> Response:
        line, shown, moments = await log_flow.one(platform, request.state.scope, _row(request), speech_of(request))
        asked = [one for one in await log_questions.asked(platform, request.state.scope) if one.line == line.key]
        return render(
            request,
            "family/log_line.html",
            status_code=status,
            line=shown,
            moments=moments,
            question=asked[0] if asked else None,
            text=form_of(request).one("sporsmal"),
            faults={"sporsmal": fault} if fault else {},
            longest=LONGEST,
        )

    @patient_page
    async def one(request: Request) -> Response:
        return await show_one(request)

    @patient_page
    async def ask(request: Request) -> Response:
        text, speech = form_of(request).one("sporsmal"), speech_of(request)
        if not text or len(text) > LONGEST:
            fault = speech.gettext(_("Skriv hva du lurer på, med høyst %(count)s tegn."), count=LONGEST)
            return await show_one(request, fault, 422)
        line, shown, _moments = await log_flow.one(platform, request.state.scope, _row(request), speech)
        await log_questions.ask(platform, request.state.scope, line, f"{shown.who} {shown.did}", text)
        response = RedirectResponse("/innsyn", 303)
        flash.put(response, ASKED, secure=request.url.scheme == "https")
        return response

    return [
        Route("/innsyn", overview, methods=["GET", "POST"]),
        Route("/innsyn/utskrift", printed, methods=["POST"]),
        Route("/innsyn/last-ned", download, methods=["POST"]),
        Route("/innsyn/{row}", one),
        Route("/innsyn/{row}/spor", ask, methods=["POST"]),
    ]


def _row(request: Request) -> int:
    """Raises NotFound for what is no row."""
    text = request.path_params["row"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound.of("no such entry of the log")
    return int(text)


def _as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """For spreadsheets: with a mark of its encoding, and nothing that one would reckon with."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerows([[f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows])
    return out.getvalue().encode("utf-8-sig")


PART = Part(
    patient_routes=patient_routes,
    staff_routes=staff_routes,
    patient_menu=((MENU.path, MENU.message),),
    staff_menu=((STAFF_MENU.path, STAFF_MENU.message),),
    handlers=handlers,
)
