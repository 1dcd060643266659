"""What a template is, what it is filled from, and what is said when something is missing. No texts of letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

Texts = Mapping[str, str]
"""language -> text."""

HEALTH_MAJORITY = 16
"""Years: younger ones pay no user fee at an outpatient clinic."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that staff fill in. `type`: text, long, date, tel or choice.

    An empty optional field with `prefill` takes the named fact of the letter, so that one order fits many patients.
    """

    name: str
    label: Texts
    type: str = "text"
    required: bool = False
    hint: Texts | None = None
    choices: Sequence[tuple[str, Texts]] = ()
    rows: int | None = None
    longest: int = 200
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of letter. `blocks` are as the file has them; `composing.py` reads them.

    `kind` groups letters for staff's lists; `needs` names facts of the letter that must be there (LET-31, LET-33).
    """

    key: str
    version: int
    title: Texts
    kind: str
    needs_appointment: bool
    fields: Sequence[Field]
    needs: Sequence[str] = ()
    blocks: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    languages: frozenset[str] = frozenset({"nb"})
    """Those that every text of the template has."""

    @property
    def tells_place(self) -> bool:
        """Whether the letter says where to come."""
        return any("where" in block.get("facts", ()) for block in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFacts:
    """What the record knows of one letter. Empty where it says nothing; nothing is guessed.

    `meeting`: in-person, video, telephone or home. `minutes` is the appointment's length. `deadline` is the latest
    date for treatment or examination to begin (pbrl § 2-2). `for_parents`: the letter is read by the child's parents.
    `psychiatric`: another fee for a missed appointment. `instruction` is what the record tells the patient to do.
    """

    patient: str
    unit: str
    trust: str
    born: date | None = None
    hospital: str = ""
    unit_phone: str = ""
    opening_hours: str = ""
    website: str = ""
    sender_address: tuple[str, ...] = ()
    start: datetime | None = None
    minutes: int | None = None
    kind: str = ""
    meeting: str = "in-person"
    place: str = ""
    address: tuple[str, ...] = ()
    room: str = ""
    practitioner: str = ""
    instruction: str = ""
    previous_start: datetime | None = None
    referral_date: date | None = None
    deadline: date | None = None
    reference: str = ""
    for_parents: bool = False
    psychiatric: bool = False

    def is_child(self, day: date) -> bool:
        """Whether the patient is under 16 on `day`. Not when the date of birth is unknown."""
        if self.born is None:
            return False
        years = day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))
        return years < HEALTH_MAJORITY


class MissingContent(Exception):
    """A letter that lacks something, or has it wrong (LET-31): field or fact -> what is wrong, in plain words."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(", ".join(sorted(faults)))
        self.faults = faults


class TemplateFault(Exception):
    """A template's file is wrong: found when it is read, never while a letter is made."""
