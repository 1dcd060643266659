"""A Document as a piece of a page: `letter__body` with its title, facts, headings and lists. All text is escaped.

The classes and the shape are those that `web/static/varde.css` styles; the page around it is `templates/letter.html`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

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
)

_SAFE_ADDRESS = re.compile(r"(?:https://|tel:\+?[0-9]|mailto:)[^\s\"'<>]*")
_TAPPED = re.compile(
    r"(?<![\w@+./-])(?:"
    r"(?P<phone>(?:\+47 ?)?(?:[2-9]\d \d{2} \d{2} \d{2}|[489]\d{2} \d{2} \d{3}|0\d{4}|116 117))(?![\w-])"
    r"|(?P<page>(?:[a-z0-9-]+\.)+no(?:/[a-z0-9-]+)*)(?![\w@]))"
)
"""What running text says that a reader wants to tap: Norwegian telephone numbers as letters write them
(77 62 60 00, 800 41 004, 05515), and pages as in helsenorge.no/pasientreiser."""

NO_BREAK = "\u00a0"
_HELD_TOGETHER = re.compile(
    r"\b(?:\d{2} \d{2} \d{2} \d{2}|116 117|(?:kl|dii)\. \d|\d+ (?:kroner|ruvnno)|\d{1,2}\. (?=[a-zæøåáčđŋšŧž]))"
)


def held_together(text: str) -> str:
    """The text with no line end within a telephone number, a time, an amount or a date's day and month."""
    return _HELD_TOGETHER.sub(lambda found: found.group(0).replace(" ", NO_BREAK), text)


def to_html(document: Document) -> str:
    """Safe HTML: no text of the document can become markup, and every address is https:, tel: or mailto:."""
    parts = [
        f'<div class="letter__body" lang="{escape(document.language)}">',
        f'<h1 id="letter-title">{escape(document.title)}</h1>',
        *(_block(block) for block in document.blocks),
    ]
    if document.signature:
        parts.append(f'<p class="letter__signature">{_lines(document.signature)}</p>')
    return "\n".join([*parts, "</div>"])


def safe_address(address: str) -> str | None:
    """`address` when it is one that a letter may link to, else None."""
    return address if _SAFE_ADDRESS.fullmatch(address) else None


def _block(block: Block) -> str:
    match block:
        case Heading():
            level = 3 if block.level >= 3 else 2
            return f"<h{level}>{escape(block.text)}</h{level}>"
        case Paragraph():
            return f"<p>{_running(block.text)}</p>"
        case Facts():
            rows = (f"<div><dt>{escape(f.label)}</dt><dd>{_lines(f.lines)}</dd></div>" for f in block.facts)
            return f'<dl class="facts">{"".join(rows)}</dl>'
        case Bullets():
            return f"<ul>{_items(block.items)}</ul>"
        case Steps():
            return f"<ol>{_items(block.items)}</ol>"
        case Link():
            before = f"{_running(block.before)} " if block.before else ""
            return f"<p>{before}{_anchor(block.text, block.address)}</p>"
        case Action():
            if safe_address(block.address):
                return f'<p class="letter__action">{_anchor(block.text, block.address)}</p>'
            return f'<p class="letter__action"><strong>{_running(block.text)}</strong></p>'


def _items(items: tuple[str, ...]) -> str:
    return "".join(f"<li>{_running(item)}</li>" for item in items)


def _lines(lines: tuple[str, ...]) -> str:
    return "<br>".join(_running(line) for line in lines)


def _anchor(text: str, address: str) -> str:
    if safe_address(address) is None:
        return escape(text)
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Running text in parts, each with the address of the page that it names, or an empty one."""
    rest = 0
    for found in _TAPPED.finditer(text):
        if found.group("page"):
            if found.start() > rest:
                yield text[rest : found.start()], ""
            yield found.group(0), f"https://{found.group(0)}"
            rest = found.end()
    if rest < len(text) or not text:
        yield text[rest:], ""


def _running(text: str) -> str:
    """Escaped text with its line breaks, and with telephone numbers and pages that can be tapped."""
    return held_together(_TAPPED.sub(_tapped, escape(text))).replace("\n", "<br>")


def _tapped(found: re.Match[str]) -> str:
    said = found.group(0)
    if found.group("page"):
        return f'<a href="https://{said}">{said}</a>'
    number = re.sub(r"\D", "", said.removeprefix("+47"))
    return f'<a href="tel:{f"+47{number}" if len(number) == 8 else number}">{said}</a>'
