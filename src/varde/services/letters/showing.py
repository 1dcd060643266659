"""What the pages show, made from the flow's letters: the values of `views.py` in the reader's language."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from varde.edges.registers import RegisterUnavailable
from varde.fhir.errors import Conflict, NotFound, Unavailable, Unprocessable
from varde.fhir.store import ABSENT
from varde.services.letters import flow, people, rules, sending, waiting
from varde.services.letters.cases import Case, gather, read_unit
from varde.services.letters.causes import cause
from varde.services.letters.document import Document
from varde.services.letters.envelope import envelope
from varde.services.letters.following import Problem
from varde.services.letters.html import to_html
from varde.services.letters.keeping import read
from varde.services.letters.library import Field, MissingContent, Template, check, template, templates
from varde.services.letters.model import Letter
from varde.services.letters.pdf import page_image, pdf
from varde.services.letters.reasons import NEXT_STEPS, PATIENT_REASONS, REASONS
from varde.services.letters.rules import Action, Channel, State
from varde.services.letters.staff import neighbour
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
from varde.web.seers import SeenBy, who_sees

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

LOOKED_OVER = 50
"""Receivers of an order that are shown and looked over before it is sent; all are when it is."""
COUNTED = 1000
"""Receivers whose way is counted for the summary."""
GONE = {
    "nb": "Timen finnes ikke lenger.",
    "nn": "Timen finst ikkje lenger.",
    "se": "Diibmu ii gávdno šat.",
    "en": "The appointment is no longer there.",
}
SUMMARY = {
    "nb": {"digital": "{count} digitalt", "paper": "{count} på papir", "both": "{count} på begge måter",
           "none": "{count} kan ikke sendes", "digital-mailbox": "{count} i digital postkasse",
           "of": " (av de første {count})"},
    "nn": {"digital": "{count} digitalt", "paper": "{count} på papir", "both": "{count} på begge måtar",
           "none": "{count} kan ikkje sendast", "digital-mailbox": "{count} i digital postkasse",
           "of": " (av dei første {count})"},
    "se": {"digital": "{count} digitálalaččat", "paper": "{count} báberis", "both": "{count} goappašiid láhkai",
           "none": "{count} ii sáhte sáddejuvvot", "digital-mailbox": "{count} digitála poastakássii",
           "of": " (vuosttaš {count} gaskkas)"},
    "en": {"digital": "{count} digitally", "paper": "{count} on paper", "both": "{count} both ways",
           "none": "{count} cannot be sent", "digital-mailbox": "{count} to a digital mailbox",
           "of": " (of the first {count})"},
}  # fmt: skip


@contextmanager
def _told() -> Iterator[None]:
    """Faults of the flow as faults that every page can tell of: too late, incomplete, a register that is away."""
    try:
        yield
    except rules.NotAllowed:
        raise Conflict.of("the letter is no longer in a state that allows this") from None
    except flow.EmptyOrder:
        raise NotFound.of(ABSENT) from None
    except MissingContent:
        raise Unprocessable.of("the letter lacks something") from None
    except RegisterUnavailable as error:
        raise Unavailable.of("a register is away; try again shortly") from error


def opening_of(letter: Letter) -> list[Opening]:
    """Who has opened it (LET-58)."""
    return [Opening(one.name, one.at, one.for_another) for one in letter.openings]


class ShownToPatients:
    """`views.PatientLetters`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def inbox(self, scope: Scope, *, archived: bool, page: str | None, language: str) -> Inbox:
        """A page of the patient's letters."""
        found, following = await flow.inbox(self._platform, scope, archived=archived, page=page)
        path = "/brev/arkiv" if archived else "/brev"
        return Inbox(
            [_inbox_row(one) for one in found],
            await flow.unread(self._platform, scope),
            next=neighbour(path, side=following) if following else None,
        )

    async def seers(self, scope: Scope, letter_id: str) -> Sequence[SeenBy]:
        """Who else can see a letter that was opened, and why."""
        return await who_sees(self._platform.access, scope, "Communication", letter_id)

    async def open(self, scope: Scope, letter_id: str, *, language: str) -> LetterPage:
        """The letter's page; it counts as opened (LET-06)."""
        letter = await flow.open_letter(self._platform, scope, letter_id)
        withdrawn = letter.state is State.WITHDRAWN
        return LetterPage(
            id=letter.id,
            title=letter.title,
            sender=letter.unit.name,
            sent=letter.sent or self._platform.clock.now(),
            html="" if withdrawn else to_html(Document.from_json(letter.document)),
            openings=opening_of(letter),
            archived=letter.archived,
            paper_on_its_way=flow.paper_on_its_way(letter),
            withdrawn=withdrawn,
            withdrawn_reason=letter.withdrawn_reason,
            replaced_by=letter.replaced_by,
            replaces=letter.replaces,
            route_sentence=PATIENT_REASONS.get(letter.reason, {}).get(language, ""),
            language=letter.language,
        )

    async def pdf(self, scope: Scope, letter_id: str) -> bytes:
        """The letter as PDF, without the envelope's address. It shows the content, so it opens the letter."""
        letter = await flow.open_letter(self._platform, scope, letter_id)
        if letter.state is State.WITHDRAWN:
            raise NotFound.of(ABSENT)
        return await asyncio.to_thread(pdf, Document.from_json(letter.document))

    async def archive(self, scope: Scope, letter_id: str, archived: bool) -> None:
        """Put a letter away, or take it out."""
        await flow.archive(self._platform, scope, letter_id, archived)


def _inbox_row(letter: Letter) -> InboxRow:
    withdrawn, replaced = letter.state is State.WITHDRAWN, letter.replaced_by is not None
    assert letter.sent is not None
    return InboxRow(
        letter.id, letter.title, letter.unit.name, letter.sent,
        unread=not letter.opened and not withdrawn and not replaced, withdrawn=withdrawn, replaced=replaced,
    )  # fmt: skip


class ShownToStaff:
    """`views.StaffLetters`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def overview(self, scope: Scope, filters: Filters, *, language: str) -> Overview:
        """The unit's letters and how many are in each state."""
        found, following = await flow.letters(self._platform, scope, filters)
        counts = await flow.counts(self._platform, scope, filters)
        chosen = {"tilstand": filters.state, "type": filters.kind, "dag": filters.day}
        return Overview(
            counts=counts,
            letters=[self._row(one.letter, one.born, language) for one in found],
            total=counts.get(filters.state, 0) if filters.state else sum(counts.values()),
            attention=await flow.attention(self._platform, scope),
            kinds=sorted({one.kind: one.title[language] for one in templates()}.items()),
            next=neighbour("/arbeid", **chosen, side=following) if following else None,
        )

    def _row(self, letter: Letter, born: date | None, language: str) -> StaffRow:
        step = rules.next_step(
            letter.state,
            channel=letter.channel,
            deadline=letter.deadline,
            reminder=letter.reminder,
            scheduled=letter.scheduled,
            now=self._platform.clock.now(),
        )
        return StaffRow(
            id=letter.id,
            patient=letter.subject.name,
            born=born,
            title=letter.title,
            state=letter.state.value,
            state_since=letter.since,
            channel=letter.channel.value,
            why=REASONS.get(letter.reason, {}).get(language, ""),
            appointment=letter.appointment_start,
            next_step=NEXT_STEPS[step.key][language] if step else None,
            next_at=step.at if step else None,
        )

    async def to_call(self, scope: Scope, search: str, *, most: int) -> tuple[Sequence[ToCall], int]:
        """Coming appointments without a letter."""
        found, total = await flow.to_call(self._platform, scope, search, most=most)
        return [ToCall(one.id, one.patient, one.born, one.start, one.description) for one in found], total

    async def look_over(self, scope: Scope, order: Order, *, language: str) -> Draft:
        """The order before it is sent: faults, ways, and how one of the letters will be. Raises Unavailable."""
        with _told():
            return await self._looked_over(scope, order, language)

    async def _looked_over(self, scope: Scope, order: Order, language: str) -> Draft:
        chosen = _chosen(order)
        wanted = await sending.ordered(self._platform, scope, order)
        cases = await self._cases(scope, wanted[:COUNTED])
        faults = check(chosen, order.values, language=language)
        now = self._platform.clock.now()
        ways = {
            case.id: people.route(case.known, withheld=case.withheld, appointment=case.start, now=now) for case in cases
        }
        refused = []
        for case in cases[:LOOKED_OVER]:
            try:
                self._compose(chosen, case, order, language)
            except MissingContent as missing:
                if not faults:
                    refused.append(Refused(case.known.party.name, " ".join(missing.faults.values())))
        shown = next((case for case in cases if case.id == order.shown), cases[0] if cases else None)
        html = image = ""
        if shown is not None and not faults:
            try:
                document = self._compose(chosen, shown, order, language)
            except MissingContent:
                pass
            else:
                to = envelope(shown.known, document.language)
                picture = await asyncio.to_thread(page_image, document, to.recipient if to else None)
                html, image = to_html(document), f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        return Draft(
            templates=[(one.key, one.title[language]) for one in templates()],
            template=chosen.key,
            fields=[_field(one, order, faults, language) for one in chosen.fields],
            receivers=[
                Receiver(
                    case.id, case.known.party.name, case.start, ways[case.id].channel.value,
                    REASONS.get(ways[case.id].reason, {}).get(language, ""),
                )
                for case in cases[:LOOKED_OVER]
            ],
            total=len(wanted),
            refused=refused,
            routes_summary=_summary(Counter(way.channel for way in ways.values()), len(wanted), language),
            shown=shown.id if shown else "",
            shown_name=shown.known.party.name if shown else "",
            preview_html=html,
            paper_image=image,
        )  # fmt: skip

    async def _cases(self, scope: Scope, appointments: Sequence[str]) -> list[Case]:
        if scope.actor.unit is None or not appointments:
            return []
        async with self._platform.store.transaction() as connection:
            unit = await read_unit(self._platform, connection, scope.actor.unit)
            return await gather(self._platform, scope, connection, appointments, unit)

    def _compose(self, chosen: Template, case: Case, order: Order, language: str) -> Document:
        return sending.written(self._platform, case, chosen, order.values, staff_language=language)

    async def paper(self, scope: Scope, order: Order) -> bytes:
        """The shown letter of an order on paper. Raises Unprocessable, NotFound, Unavailable."""
        with _told():
            return await self._paper(scope, order)

    async def _paper(self, scope: Scope, order: Order) -> bytes:
        wanted = [order.shown] if order.shown else (await sending.ordered(self._platform, scope, order))[:1]
        cases = await self._cases(scope, wanted)
        if not cases:
            raise flow.EmptyOrder
        document = self._compose(_chosen(order), cases[0], order, "nb")
        to = envelope(cases[0].known, document.language)
        return await asyncio.to_thread(pdf, document, to.recipient if to else None)

    async def send(self, scope: Scope, order: Order, key: str) -> str:
        """Accept the order; the batch's id. Raises NotFound when it reaches nobody."""
        with _told():
            return await flow.send(self._platform, scope, order, key)

    async def batch(self, scope: Scope, batch_id: str, *, language: str) -> BatchPage:
        """How far a batch has come."""
        found = await flow.batch(self._platform, scope, batch_id)
        wanted = [str(one["appointment"]) for one in found.refused if one["appointment"]]
        names = await self._names(scope, wanted[:LOOKED_OVER])
        refused = [Refused(names.get(str(one["appointment"]), ""), _fault(one, language)) for one in found.refused]
        return BatchPage(found.id, found.total, found.done, found.sent, found.digital, found.paper, refused)

    async def _names(self, scope: Scope, appointments: Sequence[str]) -> dict[str, str]:
        return await waiting.names(self._platform, scope, appointments) if appointments else {}

    async def letter(self, scope: Scope, letter_id: str, *, language: str) -> StaffLetter:
        """One letter of the unit."""
        found = await flow.letter(self._platform, scope, letter_id)
        letter = found.letter
        return StaffLetter(
            row=self._row(letter, found.born, language),
            html=to_html(Document.from_json(letter.document)),
            changes=[Change(one.state.value, one.at, cause(one.cause, language), one.actor) for one in letter.changes],
            openings=opening_of(letter),
            may_withdraw=rules.may(letter.state, Action.WITHDRAW, opened=letter.opened),
            may_return=rules.may(letter.state, Action.RETURN),
            language=letter.language,
        )

    async def pdf(self, scope: Scope, letter_id: str) -> bytes:
        """The letter on paper, as it is for whoever reads it at the ward: without the envelope's address (LET-08)."""
        letter = await read(self._platform, scope, letter_id)
        return await asyncio.to_thread(pdf, Document.from_json(letter.document))

    async def withdraw(self, scope: Scope, letter_id: str, reason: str) -> None:
        """LET-51. Raises Conflict when it is too late."""
        with _told():
            await flow.withdraw(self._platform, scope, letter_id, reason)

    async def mark_returned(self, scope: Scope, letter_id: str) -> None:
        """LET-11. Raises Conflict for one that was never posted."""
        with _told():
            await flow.mark_returned(self._platform, scope, letter_id)

    async def worklist(self, scope: Scope, *, page: str | None, language: str) -> Worklist:
        """What a person must see to."""
        found, following = await flow.problems(self._platform, scope, page)
        return Worklist(
            [_item(one) for one in found], next=neighbour("/arbeid/arbeidsliste", side=following) if following else None
        )


def _fault(refused: Mapping[str, Any], language: str) -> str:
    reason = refused.get("reason", "")
    if reason == sending.GONE:
        return GONE[language]
    return REASONS[reason][language] if reason in REASONS else " ".join(refused.get("faults", ()))


def _item(one: Problem) -> WorkItem:
    href = f"/arbeid/brev/{one.letter}" if one.letter else None
    return WorkItem(one.patient.name, one.title, one.problem, href, one.detail, one.at)


def _chosen(order: Order) -> Template:
    """The template that was chosen; the first where none was, or one that is not there."""
    try:
        return template(order.template)
    except KeyError:
        return templates()[0]


def _field(one: Field, order: Order, faults: Mapping[str, str], language: str) -> TemplateField:
    kind = {"long": "text"}.get(one.type, one.type)
    return TemplateField(
        name=one.name,
        label=one.label[language],
        type=kind,
        value=order.values.get(one.name, ""),
        hint=one.hint[language] if one.hint else None,
        fault=faults.get(one.name),
        required=one.required,
        rows=one.rows,
        choices=[(key, texts[language]) for key, texts in one.choices],
    )


def _summary(ways: Counter[Channel], total: int, language: str) -> str:
    words = SUMMARY[language]
    said = ", ".join(words[channel.value].format(count=count) for channel, count in ways.most_common())
    counted = sum(ways.values())
    return said + (words["of"].format(count=counted) if counted < total else "")
