"""Makes a Document from a template, the record's facts and what staff wrote. Pure.

Values go into texts by name and are never read as anything but text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from varde.clock import OSLO
from varde.services.letters.document import (
    Action,
    Block,
    Bullets,
    Document,
    Fact,
    Facts,
    Heading,
    Link,
    Paragraph,
    Sender,
    Steps,
)
from varde.services.letters.library.checking import check, check_facts
from varde.services.letters.library.fees import fees_on
from varde.services.letters.library.loading import passages, shape_of
from varde.services.letters.library.shapes import LetterFacts, MissingContent, Template, Texts
from varde.web.languages import SOURCE, day_in_words, time_in_words
from varde.workdays import add_working_days, is_working_day

MAP = "https://www.openstreetmap.org/search?query="
_NAMED = re.compile(r"\{(\w+)\}")
_BLANK_LINE = re.compile(r"\n\s*\n")
_BULLET = re.compile(r"^\s*(?:[-*•–]\s+)?")


def compose(
    template: Template,
    *,
    language: str,
    facts: LetterFacts,
    values: Mapping[str, str],
    today: date,
    staff_language: str = SOURCE,
) -> Document:
    """The letter in `language`, or in Bokmål with a note where the template lacks it (LET-35).

    Raises MissingContent with every fault, in the words of `staff_language` (LET-31).
    """
    faults = {
        **check(template, values, language=staff_language),
        **check_facts(template, facts, language=staff_language),
    }
    if faults:
        raise MissingContent(faults)
    written = language if language in template.languages else SOURCE
    said = _Said(written, _values(template, written, facts, values, today), _flags(facts, today), values)
    blocks = [block for part in template.blocks if said.holds(part.get("when", "")) for block in said.blocks(part)]
    if written != language:
        blocks.insert(0, Paragraph(passages()["texts"]["only-bokmal"][language]))
    return Document(
        language=written,
        title=said.text(template.title),
        blocks=tuple(blocks),
        sender=Sender(
            trust=facts.trust,
            unit=facts.unit,
            address=facts.sender_address,
            phone=said.values["phone"],
            hours=facts.opening_hours,
            website=facts.website,
        ),
        dated=today,
        reference=facts.reference,
        signature=said.signature(facts),
        template=template.key,
        version=template.version,
    )


def cancel_by(start: datetime) -> datetime:
    """The last moment to cancel in time: 24 hours before; where the day before is no working day, the same hour of
    the last working day before (APP-30)."""
    local = start.astimezone(OSLO)
    day = local.date() - timedelta(days=1)
    if not is_working_day(day):
        day = add_working_days(day, -1)
    return datetime.combine(day, local.time(), OSLO)


class _Said:
    """The texts of one letter in one language, with their values put in."""

    def __init__(
        self, language: str, values: Mapping[str, str], flags: frozenset[str], chosen: Mapping[str, str]
    ) -> None:
        self.language, self.values, self.flags, self.chosen = language, values, flags, chosen

    def text(self, texts: Texts) -> str:
        return _NAMED.sub(lambda named: self.values[named.group(1)], texts[self.language]).strip()

    def holds(self, when: str) -> bool:
        return all(self._one(condition) for condition in when.split(" and ") if condition)

    def _one(self, condition: str) -> bool:
        name = condition.removeprefix("not ")
        if "=" in name:
            field, _, choice = name.partition("=")
            found = self.chosen.get(field, "") == choice
        else:
            found = name in self.flags or bool(self.values.get(name))
        return found is not condition.startswith("not ")

    def blocks(self, part: Mapping[str, Any]) -> Iterator[Block]:
        match shape_of(part):
            case "heading":
                yield Heading(self.text(part["heading"]))
            case "subheading":
                yield Heading(self.text(part["subheading"]), 3)
            case "paragraph":
                yield Paragraph(self.text(part["paragraph"]))
            case "facts":
                yield Facts(tuple(self._facts(part["facts"])))
            case "bullets":
                yield from self._list(part["bullets"], Bullets)
            case "steps":
                yield from self._list(part["steps"], Steps)
            case "link":
                address = _NAMED.sub(lambda named: self.values[named.group(1)], part["address"])
                before = self.text(part["before"]) if "before" in part else ""
                yield Link(self.text(part["link"]), address, before, part.get("on_paper", True))
            case "action":
                yield Action(self.text(part["action"]), part.get("address", ""))
            case "paragraphs_of":
                for said in _BLANK_LINE.split(self.values[part["paragraphs_of"]]):
                    if said.strip():
                        yield Paragraph(said.strip())
            case "bullets_of":
                yield from _written_list(self.values[part["bullets_of"]])

    def _facts(self, names: Sequence[str]) -> Iterator[Fact]:
        for name in names:
            known = passages()["facts"][name]
            if self.holds(known.get("when", name)):
                said = self.text(known["text"]) if "text" in known else self.values[name]
                lines = tuple(line for line in said.split("\n") if line.strip())
                if lines:
                    first = lines[0][0].upper() + lines[0][1:]
                    yield Fact(self.text(known["label"]), (first, *lines[1:]), known.get("kind", name))

    def _list(self, items: Sequence[Mapping[str, Any]], make: Callable[[tuple[str, ...]], Block]) -> Iterator[Block]:
        shown = tuple(self.text(item) for item in items if self.holds(item.get("when", "")))
        if shown:
            yield make(shown)

    def signature(self, facts: LetterFacts) -> tuple[str, ...]:
        return tuple(filter(None, (self.text(passages()["texts"]["greeting"]), facts.unit, facts.trust)))


def _written_list(written: str) -> Iterator[Block]:
    """What staff wrote, one thing a line: a list, or a paragraph when it is one line."""
    lines = tuple(_BULLET.sub("", line).strip() for line in written.splitlines() if line.strip())
    if len(lines) == 1:
        yield Paragraph(lines[0])
    elif lines:
        yield Bullets(lines)


def _flags(facts: LetterFacts, today: date) -> frozenset[str]:
    on = facts.start.astimezone(OSLO).date() if facts.start else today
    flags = {facts.meeting.replace("-", "_")}
    if facts.is_child(on):
        flags.add("child")
    if facts.for_parents:
        flags.add("for_parents")
    if facts.start and facts.start.astimezone(OSLO).date() >= today:
        flags.add("coming")
    return frozenset(flags)


def _values(
    template: Template, language: str, facts: LetterFacts, written: Mapping[str, str], today: date
) -> dict[str, str]:
    """Every value that a text may name, in the words of `language`; empty where there is none."""

    def day(value: date | None, *, weekday: bool = False) -> str:
        return day_in_words(value, language, weekday=weekday, year=True) if value else ""

    def moment(value: datetime | None) -> str:
        if value is None:
            return ""
        return f"{day(value.astimezone(OSLO).date(), weekday=True)} {time_in_words(value, language)}"

    own = passages()["texts"]
    visit = facts.start.astimezone(OSLO).date() if facts.start else today
    by = cancel_by(facts.start) if facts.start else None
    fees = fees_on(visit)
    within = facts.place.startswith(facts.hospital)
    place = facts.place if within else ", ".join(filter(None, (facts.hospital, facts.place)))
    values = {
        "patient": facts.patient,
        "born": day(facts.born),
        "unit": facts.unit,
        "trust": facts.trust,
        "hospital": facts.hospital,
        "phone": facts.unit_phone,
        "hours": facts.opening_hours,
        "website": facts.website,
        "when": moment(facts.start),
        "date": day(visit, weekday=True) if facts.start else "",
        "time": time_in_words(facts.start, language) if facts.start else "",
        "length": own["minutes"][language].replace("{minutes}", str(facts.minutes)) if facts.minutes else "",
        "kind": facts.kind,
        "place": place,
        "address": ", ".join(facts.address),
        "room": facts.room,
        "practitioner": facts.practitioner,
        "instruction": facts.instruction,
        "previous": moment(facts.previous_start),
        "referral_date": day(facts.referral_date),
        "deadline": day(facts.deadline, weekday=True),
        "cancel_by": moment(by) if by and by.date() >= today else "",
        "fee": str(fees.fee),
        "missed_fee": str(fees.missed_psychiatric if facts.psychiatric else fees.missed),
        "today": day(today),
        "map": MAP + quote(", ".join(facts.address)) if facts.address else "",
    }
    for field in template.fields:
        text = written.get(field.name, "").replace("\r\n", "\n").strip()
        if text and field.type == "date":
            text = day(date.fromisoformat(text), weekday=True)
        elif text and field.type == "choice":
            text = dict(field.choices)[text].get(language, "")
        if text or field.name not in values:
            values[field.name] = text or str(values.get(field.prefill, ""))
    return values
