"""A Document on paper: PDF/A-2a and PDF/UA-1 in one file, made with typst; `letter.typ` says how it looks.

The first page lies folded in a C5 envelope with a window to the left. The window of a Norwegian C5 envelope begins
15 mm from the left and 44 mm from the top and is 105 by 35 mm; the sheet can slide 19 mm sideways and 13.5 mm up
and down. So what stands within MAY_SHOW may be seen by anyone, and holds the recipient's name and address only
(LET-37). Nothing is asked of the network, and no font of the machine is used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import orjson
import typst
from babel import Locale

from varde.services.letters.document import (
    Action,
    Block,
    Bullets,
    Document,
    Facts,
    Heading,
    Link,
    Paragraph,
    Steps,
    kind_of,
)
from varde.services.letters.html import held_together, parts, safe_address
from varde.web.languages import day_in_words

STANDARDS = ("a-2a", "ua-1")
FONT_PACKAGE = "font_source_sans_pro"
"""Source Sans Pro (SIL Open Font License 1.1), with every letter of Norwegian and Northern Sámi."""
MAY_SHOW = (0.0, 30.5, 120.0, 79.0)
"""Left, top, right, bottom in mm on the first page: the window wherever the sheet has slid to."""
WINDOW = (15.0, 44.0, 120.0, 79.0)
"""The window when the sheet lies in the envelope's upper left corner."""
PREVIEW_WIDTH = 480
"""Pixels of the staff's picture of a first page."""
_A4_INCHES = 210 / 25.4

WORDS: Mapping[str, Mapping[str, str]] = {
    "nb": {"page": "Side {page} av {pages}", "date": "Dato", "reference": "Vår referanse", "phone": "Telefon"},
    "nn": {"page": "Side {page} av {pages}", "date": "Dato", "reference": "Vår referanse", "phone": "Telefon"},
    "se": {"page": "Siidu {page}/{pages}", "date": "Beaivi", "reference": "Min referánsa", "phone": "Telefovdna"},
    "en": {"page": "Page {page} of {pages}", "date": "Date", "reference": "Our reference", "phone": "Telephone"},
}


class Recipient(Protocol):
    """Who the envelope is for: `edges.registers.PostalAddress` with a name, or anything like it."""

    @property
    def name(self) -> str: ...
    @property
    def lines(self) -> Sequence[str]: ...
    @property
    def postal_code(self) -> str: ...
    @property
    def city(self) -> str: ...
    @property
    def country(self) -> str: ...


class PrintFault(Exception):
    """A letter that cannot be set. Says nothing of what is in the letter."""


def pdf(document: Document, recipient: Recipient | None = None) -> bytes:
    """The letter as PDF, addressed when there is a recipient. The same letter always gives the same bytes.

    Takes milliseconds of computing, so call it in a thread where others wait. Raises PrintFault.
    """
    return _press().set(_inputs(document, recipient), format="pdf", pdf_standards=list(STANDARDS))


def page_image(document: Document, recipient: Recipient | None = None, *, width: int = PREVIEW_WIDTH) -> bytes:
    """The first page as a PNG about `width` pixels wide. Raises PrintFault."""
    return _press().set(_inputs(document, recipient), format="png", ppi=width / _A4_INCHES)


def address_lines(recipient: Recipient) -> tuple[str, ...]:
    """The address as it stands in the window: name, lines, postal code and town, and the country when abroad."""
    town = f"{recipient.postal_code} {recipient.city}".strip()
    country = "" if recipient.country in {"", "NO"} else recipient.country
    # The post office at home reads the country, so it is in Norwegian, as the Universal Postal Union asks.
    name = Locale("nb").territories.get(country, country).upper()
    return tuple(filter(None, (recipient.name, *recipient.lines, town, name)))


class _Press:
    """Reused typst compilers, whose fonts are read once: as many as there are cores, each for one letter at a time.

    A compiler works outside Python's lock, so threads set letters side by side.
    """

    def __init__(self, size: int) -> None:
        self._places = threading.Semaphore(size)
        self._idle: list[typst.Compiler] = []

    def set(self, inputs: Mapping[str, str], **how: Any) -> bytes:
        with self._places:
            try:
                compiler = self._idle.pop()
            except IndexError:
                compiler = self._new()
            try:
                made = compiler.compile(sys_inputs=dict(inputs), **how)
            except Exception as fault:
                # The compiler's own message may quote the letter.
                raise PrintFault(type(fault).__name__) from None
            finally:
                self._idle.append(compiler)
        first = made[0] if isinstance(made, list) else made
        if first is None:
            raise PrintFault("nothing was set")
        return first

    def _new(self) -> typst.Compiler:
        with as_file(files("varde.services.letters") / "letter.typ") as source:
            return typst.Compiler(
                str(source), root=str(source.parent), font_paths=[str(_fonts())], ignore_system_fonts=True
            )


@lru_cache(maxsize=1)
def _press() -> _Press:
    return _Press(os.cpu_count() or 1)


def _fonts() -> Path:
    found = find_spec(FONT_PACKAGE)
    if found is None or found.origin is None:
        raise PrintFault(f"the font package {FONT_PACKAGE} is not installed")
    return Path(found.origin).parent / "files"


def _inputs(document: Document, recipient: Recipient | None) -> dict[str, str]:
    words = WORDS[document.language]
    sender = document.sender
    dated = document.dated
    head = [f"{words['phone']} {sender.phone}" if sender.phone else "", sender.hours]
    head += [f"{words['date']} {day_in_words(dated, document.language, weekday=False, year=True)}"]
    head += [f"{words['reference']} {document.reference}" if document.reference else ""]
    foot = (sender.trust, ", ".join(sender.address), sender.website.removeprefix("https://"))
    data = {
        "language": document.language,
        "title": document.title,
        "dated": {"year": dated.year, "month": dated.month, "day": dated.day},
        "words": words,
        "sender": {"trust": sender.trust, "unit": sender.unit},
        "head": [row for row in head if row],
        "foot": [part for part in foot if part],
        "recipient": address_lines(recipient) if recipient else None,
        "blocks": [_block(block) for block in document.blocks if not isinstance(block, Link) or block.on_paper],
        "signature": document.signature,
    }
    return {"letter": held_together(orjson.dumps(data).decode())}


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Link | Action):
        return _way(block)
    packed: dict[str, Any] = {"block": kind_of(block)}
    match block:
        case Heading(text=text, level=level):
            packed |= {"text": text, "level": level}
        case Paragraph(text=text):
            packed["text"] = _running(text)
        case Facts(facts=facts):
            packed["facts"] = [{"label": fact.label, "lines": fact.lines} for fact in facts]
        case Bullets(items=items) | Steps(items=items):
            packed["items"] = [_running(item) for item in items]
    return packed


def _running(text: str) -> list[dict[str, str]]:
    return [{"text": part, "address": address} for part, address in parts(text)]


def _way(block: Link | Action) -> dict[str, str]:
    """A link that can be clicked, and read on paper: the address is written out where the text does not say it."""
    address = safe_address(block.address) or ""
    written = address.partition(":")[2].removeprefix("//").removeprefix("www.")
    said = address.startswith("tel:") or not written or written in block.text
    return {
        "block": kind_of(block),
        "text": block.text,
        "address": address,
        "before": block.before if isinstance(block, Link) else "",
        "shown": "" if said else written,
    }
