"""The letters' pages with sample values in place of the flow: for looking at every state a page can be in.

A double of `views.PatientLetters` and `views.StaffLetters` only; the real flow is tested beside it and in the
journeys.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from varde.clock import SetClock
from varde.fhir.errors import NotFound
from varde.services.letters.patient import patient_routes
from varde.services.letters.staff import STATES, staff_routes
from varde.services.letters.views import (
    BatchPage,
    Change,
    Draft,
    Filters,
    Inbox,
    InboxRow,
    LetterPage,
    Opening,
    Order,
    Overview,
    Receiver,
    Refused,
    StaffLetter,
    StaffRow,
    TemplateField,
    ToCall,
    WorkItem,
    Worklist,
)
from varde.trust.grounds import OWN_RECORD
from varde.web.assets import Assets
from varde.web.routes import install, routes
from varde.web.seers import SeenBy
from varde.web.shell import MenuItem, Shell, TemplateFolder

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
KIRKENES = "Finnmarkssykehuset, Klinikk Kirkenes"
UNN = "Universitetssykehuset Nord-Norge, Hudpoliklinikken"
LETTER = """
<div class="letter__body" lang="nb"><h1 id="letter-title">Innkalling til time</h1>
<dl class="facts"><div><dt>Når</dt><dd>Tirsdag 1. desember 2026 kl. 09.30</dd></div>
<div><dt>Hvor</dt><dd>Hansine Hansens veg 67, Tromsø. A-fløya, plan 3, rom A3.114</dd></div></dl>
<p>Du har fått time hos hudlege. Henvisningen kom fra fastlegen din.</p>
<h2>Slik forbereder du deg</h2>
<ul><li>Ta med en liste over medisinene du bruker.</li><li>Kom ti minutter før.</li></ul>
<h2>Passer ikke timen?</h2><p>Ring oss senest dagen før på <a href="tel:+4777626000">77 62 60 00</a>.</p></div>
"""


@dataclass
class SamplePatientLetters:
    """Letters in every state that a patient can meet."""

    archived: set[str] = field(default_factory=set)

    async def inbox(self, scope: Any, *, archived: bool, page: str | None, language: str) -> Inbox:
        rows = [
            InboxRow("1", "Innkalling til time", UNN, NOW - timedelta(hours=3), unread=True),
            InboxRow("2", "Svar på henvisning", KIRKENES, NOW - timedelta(days=1), unread=True),
            InboxRow("3", "Endring av time", UNN, NOW - timedelta(days=9), unread=False),
            InboxRow("4", "Innkalling til time", UNN, NOW - timedelta(days=40), unread=False, withdrawn=True),
            InboxRow("5", "Svar på henvisning", UNN, NOW - timedelta(days=400), unread=False, replaced=True),
        ]  # fmt: skip
        shown = [row for row in rows if (row.id in self.archived) == archived]
        return Inbox(shown, sum(row.unread for row in shown), next=None if archived else "/brev?side=2")

    async def seers(self, scope: Any, letter_id: str) -> list[SeenBy]:
        return [SeenBy("Du selv", "", OWN_RECORD.sentence, "lov § 1")]

    async def open(self, scope: Any, letter_id: str, *, language: str) -> LetterPage:
        if letter_id not in "12345":
            raise NotFound.of("not here")
        page = LetterPage(
            letter_id,
            "Innkalling til time",
            UNN,
            NOW - timedelta(days=3),
            LETTER,
            [Opening("Elle Márjá Sara", NOW, for_another=True), Opening("Ánde Nilsen Sara", NOW)],
            archived=letter_id in self.archived,
            route_sentence="Du bruker digitale tjenester. Derfor kom brevet her.",
        )
        return {
            "2": replace(page, paper_on_its_way=True, replaces="5"),
            "4": replace(page, withdrawn=True, withdrawn_reason="Timen er flyttet til en annen dag."),
            "5": replace(page, replaced_by="2"),
        }.get(letter_id, page)

    async def pdf(self, scope: Any, letter_id: str) -> bytes:
        return b"%PDF-1.7"

    async def archive(self, scope: Any, letter_id: str, archived: bool) -> None:
        (self.archived.add if archived else self.archived.discard)(letter_id)


PEOPLE = [
    "Ánde Nilsen Sara",
    "Kari Hansen",
    "Per-Arne Johnsen",
    "Elle Márjá Sara",
    "Odd Magnus Eira-Kristoffersen",
]


def sample_row(number: int, state: str) -> StaffRow:
    """A letter in `state`."""
    return StaffRow(
        str(number),
        PEOPLE[number % len(PEOPLE)],
        date(1950 + number, 3, 14),
        "Innkalling til time",
        state,
        NOW - timedelta(hours=number),
        "digital" if state in ("sent", "notified", "opened") else "paper",
        "Bruker digitale tjenester, sist innlogget i oktober"
        if state in ("sent", "notified", "opened")
        else "Har reservert seg mot digital post",
        NOW + timedelta(days=7 + number),
        "Påminnelse på SMS" if state == "notified" else None,
        NOW + timedelta(days=2) if state == "notified" else None,
    )


@dataclass
class SampleStaffLetters:
    """A unit's letters in every state."""

    sent: list[tuple[Order, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    polls: int = 0

    async def overview(self, scope: Any, filters: Filters, *, language: str) -> Overview:
        rows = [sample_row(n, state) for n, state in enumerate(STATES)]
        if filters.state:
            rows = [row for row in rows if row.state == filters.state]
        counts = {state: 3 * n + 1 for n, state in enumerate(STATES) if state not in ("draft", "failed")}
        return Overview(counts, rows, 312, 3, [("innkalling", "Innkalling til time")], next="/arbeid?side=2")

    async def to_call(self, scope: Any, search: str, *, most: int) -> tuple[list[ToCall], int]:
        found = [
            ToCall(str(n), name, date(1960, 1, 1 + n), NOW + timedelta(days=20 + n, hours=n), "Konsultasjon, hud")
            for n, name in enumerate(PEOPLE)
            if search.lower() in name.lower()
        ]
        return found, 312 if not search else len(found)

    async def look_over(self, scope: Any, order: Order, *, language: str) -> Draft:
        chosen = order.appointments or ["0"]
        shown = order.shown or chosen[0]
        phone = order.values.get("phone", "77 62 60 00")
        fault = None if phone else "Skriv telefonnummeret."
        text = order.values.get("preparation", "")
        return Draft(
            [("innkalling-v3", "Innkalling til time"), ("svar-v2", "Svar på henvisning med time")],
            order.template or "innkalling-v3",
            [
                TemplateField("room", "Rom", value=order.values.get("room", "A3.114"), required=False),
                TemplateField("phone", "Telefon", "tel", phone, "Vises for pasienten", fault),
                TemplateField("preparation", "Forberedelser", value=text, rows=4, required=False),
            ],
            [
                Receiver(id_, PEOPLE[int(id_)], NOW + timedelta(days=20), "paper", "Reservert")
                for id_ in chosen
            ],
            len(chosen),
            [Refused("Kari Hansen", "Timen mangler sted.")] if "1" in chosen else [],
            "3 digitalt, 2 på papir",
            shown,
            PEOPLE[int(shown)],
            LETTER.replace('id="letter-title"', ""),
        )  # fmt: skip

    async def paper(self, scope: Any, order: Order) -> bytes:
        return b"%PDF-1.7"

    async def send(self, scope: Any, order: Order, key: str) -> str:
        self.sent.append((order, key))
        return "b1"

    async def batch(self, scope: Any, batch_id: str, *, language: str) -> BatchPage:
        self.polls += 1
        done = min(312, 200 * self.polls)
        return BatchPage(batch_id, 312, done, done - 1, 200, 111, [Refused("Kari Hansen", "Timen mangler sted.")])

    async def letter(self, scope: Any, letter_id: str, *, language: str) -> StaffLetter:
        row = sample_row(int(letter_id), list(STATES)[int(letter_id)])
        return StaffLetter(
            row,
            LETTER,
            [
                Change("sent", NOW - timedelta(days=2), "Sendt fra avdelingen", "Grete Olsen"),
                Change("notified", NOW - timedelta(days=2), "SMS levert"),
                Change("due-for-print", NOW, "Ikke åpnet innen fire dager"),
            ],
            [Opening("Ánde Nilsen Sara", NOW)] if row.state == "opened" else [],
            may_withdraw=row.state in ("sent", "notified"),
            may_return=row.state == "posted",
        )

    async def pdf(self, scope: Any, letter_id: str) -> bytes:
        return b"%PDF-1.7"

    async def withdraw(self, scope: Any, letter_id: str, reason: str) -> None:
        self.done.append(f"withdraw {letter_id} {reason}")

    async def mark_returned(self, scope: Any, letter_id: str) -> None:
        self.done.append(f"returned {letter_id}")

    async def worklist(self, scope: Any, *, page: str | None, language: str) -> Worklist:
        return Worklist(
            [
                WorkItem("Kari Hansen", "Innkalling til time", "no-address", "/arbeid/brev/3", since=NOW),
                WorkItem("Per-Arne Johnsen", "Innkalling til time", "returned", "/arbeid/brev/9", since=NOW),
                WorkItem("Elle Márjá Sara", "Endring av time", "telephone", None, "Timen er i morgen", NOW),
            ]
        )


@dataclass(frozen=True)
class SampleSession:
    """What the shell reads of a session."""

    display_name: str = "Ánde Nilsen Sara"
    kind: str = "patient"
    acting_for_name: str | None = None
    unit_name: str | None = None
    csrf: str = "sample-token"


STAFF = SampleSession("Grete Olsen", "staff", unit_name="Hudpoliklinikken, UNN Tromsø")


class _WithSession:
    def __init__(self, app: ASGIApp, session: SampleSession | None) -> None:
        self.app, self.session = app, session

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(session=self.session, scope=None)
        await self.app(scope, receive, send)


def sample_app(
    session: SampleSession | None,
    patient: SamplePatientLetters | None = None,
    staff: SampleStaffLetters | None = None,
) -> Starlette:
    """The letters' pages over sample values, seen as `session`."""

    async def cards(request: Request) -> list[Any]:
        return []

    shell = Shell(
        SetClock(NOW),
        Assets(),
        patient_menu=[MenuItem("/", "Forsiden"), MenuItem("/brev", "Brev")],
        staff_menu=[MenuItem("/arbeid", "Brev"), MenuItem("/arbeid/arbeidsliste", "Arbeidsliste")],
        folders=[TemplateFolder("letters", "varde.services.letters")],
    )
    app = Starlette(
        routes=[
            *routes(shell, cards),
            *patient_routes(patient or SamplePatientLetters()),
            *staff_routes(staff or SampleStaffLetters()),
        ],
        middleware=[Middleware(_WithSession, session=session)],
    )
    install(app, shell)
    return app
