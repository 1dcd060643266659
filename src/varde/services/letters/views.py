"""What the pages of letters show, as plain values, and the use cases they need. No FHIR, no database.

The pages (`patient.py`, `staff.py`) know only this; `showing.py` makes these values from the flow's letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from varde.trust.scope import Scope
    from varde.web.seers import SeenBy


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One letter in the patient's list."""

    id: str
    title: str
    sender: str
    sent: datetime
    unread: bool
    withdrawn: bool = False
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    """A page of the patient's letters, newest first. `next` and `previous` are addresses of neighbours."""

    letters: Sequence[InboxRow]
    unread: int
    previous: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """Who opened a letter, and when (LET-58)."""

    who: str
    at: datetime
    for_another: bool = False


@dataclass(frozen=True, slots=True)
class LetterPage:
    """A letter as the patient reads it. `html` is made by our own renderer and safe to show."""

    id: str
    title: str
    sender: str
    sent: datetime
    html: str
    openings: Sequence[Opening]
    archived: bool = False
    paper_on_its_way: bool = False
    """LET-07: opened here after it went to the printer."""
    withdrawn: bool = False
    withdrawn_reason: str = ""
    replaced_by: str | None = None
    replaces: str | None = None
    route_sentence: str = ""
    language: str = "nb"
    """Of the letter's own text, which need not be the page's (WCAG 3.1.2)."""


class PatientLetters(Protocol):
    """What a patient, or one who acts for them, does with letters."""

    async def inbox(self, scope: Scope, *, archived: bool, page: str | None, language: str) -> Inbox: ...
    async def open(self, scope: Scope, letter_id: str, *, language: str) -> LetterPage: ...
    async def seers(self, scope: Scope, letter_id: str) -> Sequence[SeenBy]: ...
    async def pdf(self, scope: Scope, letter_id: str) -> bytes: ...
    async def archive(self, scope: Scope, letter_id: str, archived: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Filters:
    """What the staff's list is narrowed to; an empty text is no filter. `day` is ISO 8601."""

    state: str = ""
    kind: str = ""
    day: str = ""
    page: str | None = None

    @property
    def any(self) -> bool:
        """Whether anything is narrowed."""
        return bool(self.state or self.kind or self.day)


@dataclass(frozen=True, slots=True)
class StaffRow:
    """One letter in the staff's list: state now, why that channel, what comes next and when."""

    id: str
    patient: str
    born: date | None
    title: str
    state: str
    state_since: datetime | None
    channel: str
    why: str
    appointment: datetime | None = None
    next_step: str | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The staff's front page of letters. `counts` is by state of LET-50."""

    counts: Mapping[str, int]
    letters: Sequence[StaffRow]
    total: int
    attention: int
    kinds: Sequence[tuple[str, str]]
    previous: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class ToCall:
    """A patient of the unit with a coming appointment and no letter about it. `id` is the appointment's."""

    id: str
    patient: str
    born: date | None
    start: datetime
    description: str = ""


@dataclass(frozen=True, slots=True)
class TemplateField:
    """One field that staff fill in for a template. `type` is that of an HTML input, or choice."""

    name: str
    label: str
    type: str = "text"
    value: str = ""
    hint: str | None = None
    fault: str | None = None
    required: bool = True
    rows: int | None = None
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What staff want to send: template, values of its fields, and to which appointments' patients."""

    template: str
    values: Mapping[str, str]
    appointments: Sequence[str]
    everyone: bool = False
    """All that match `search`, not only `appointments`."""
    search: str = ""
    shown: str = ""
    """The appointment whose letter is previewed."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """One who would get the letter, by which channel and why (LET-02)."""

    id: str
    patient: str
    start: datetime | None
    channel: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that cannot be sent, and the fault in plain words (LET-31)."""

    patient: str
    fault: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An order looked over before it is sent."""

    templates: Sequence[tuple[str, str]]
    template: str
    fields: Sequence[TemplateField]
    receivers: Sequence[Receiver]
    total: int
    refused: Sequence[Refused] = ()
    routes_summary: str = ""
    shown: str = ""
    shown_name: str = ""
    preview_html: str = ""
    paper_image: str = ""

    @property
    def faults(self) -> Mapping[str, str]:
        """Faults by the id of the field on the page."""
        return {f"felt-{f.name}": f.fault for f in self.fields if f.fault}


@dataclass(frozen=True, slots=True)
class BatchPage:
    """How far a batch has come."""

    id: str
    total: int
    done: int
    sent: int
    digital: int
    paper: int
    refused: Sequence[Refused] = ()

    @property
    def finished(self) -> bool:
        """Whether every letter is sent or refused."""
        return self.done >= self.total


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state in a letter's life, with time, cause and actor (LET-50)."""

    state: str
    at: datetime
    cause: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class StaffLetter:
    """A letter as staff of the unit see it."""

    row: StaffRow
    html: str
    changes: Sequence[Change]
    openings: Sequence[Opening] = ()
    may_withdraw: bool = False
    may_return: bool = False
    language: str = "nb"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Something that a person must see to. `problem` is a key of `staff.PROBLEMS`."""

    patient: str
    title: str
    problem: str
    href: str | None = None
    detail: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Worklist:
    """A page of what must be seen to, oldest first."""

    items: Sequence[WorkItem] = field(default=())
    previous: str | None = None
    next: str | None = None


class StaffLetters(Protocol):
    """What staff of a unit do with letters."""

    async def overview(self, scope: Scope, filters: Filters, *, language: str) -> Overview: ...
    async def to_call(self, scope: Scope, search: str, *, most: int) -> tuple[Sequence[ToCall], int]: ...
    async def look_over(self, scope: Scope, order: Order, *, language: str) -> Draft: ...
    async def paper(self, scope: Scope, order: Order) -> bytes: ...
    async def send(self, scope: Scope, order: Order, key: str) -> str: ...
    async def batch(self, scope: Scope, batch_id: str, *, language: str) -> BatchPage: ...
    async def letter(self, scope: Scope, letter_id: str, *, language: str) -> StaffLetter: ...
    async def pdf(self, scope: Scope, letter_id: str) -> bytes: ...
    async def withdraw(self, scope: Scope, letter_id: str, reason: str) -> None: ...
    async def mark_returned(self, scope: Scope, letter_id: str) -> None: ...
    async def worklist(self, scope: Scope, *, page: str | None, language: str) -> Worklist: ...
