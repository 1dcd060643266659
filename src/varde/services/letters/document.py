"""A letter's content: typed blocks in one language, with its sender and signature. JSON both ways, and plain text.

What a letter says is decided in `library/`, how it looks in `html.py` and `pdf.py`. Every text is text: no markup
is read from it anywhere. The recipient's address is no part of it, so the same document is page and paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

FORMAT = 1
"""Of the JSON form. A letter is kept as it was sent (LET-30), so older formats must be read for ever."""


class NotADocument(ValueError):
    """Bytes that are no document of this or an earlier format."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the letter's title: level 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text. Line breaks in it are kept."""

    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know at a glance. `lines` are kept apart on page and paper."""

    label: str
    lines: tuple[str, ...]
    kind: str = ""
    """when, where, who, how, price, phone, deadline …: for an icon. Empty for none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What, when, where: what the reader looks for first (LET-32)."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """Things in no order."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """Things to be done in order (LET-34)."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A way to more. `address` is https:, tel: or mailto:, and is written out on paper. `before` comes first.

    Not on paper at all when `on_paper` is False: what can only be clicked is of no use there.
    """

    text: str
    address: str
    before: str = ""
    on_paper: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """The one thing the reader is asked to do, with a link to do it where there is one."""

    text: str
    address: str = ""


Block = Heading | Paragraph | Facts | Bullets | Steps | Link | Action


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the letter is from. Only `trust` may show through an envelope's window (LET-37)."""

    trust: str
    unit: str = ""
    address: tuple[str, ...] = ()
    phone: str = ""
    hours: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One letter. `dated` is the day it was written; `reference` the sender's own, without personal data.

    `written_in` is the language of the texts, where a template lacks the language that was asked for.
    """

    language: str
    title: str
    blocks: tuple[Block, ...]
    sender: Sender
    dated: date
    reference: str = ""
    signature: tuple[str, ...] = ()
    template: str = ""
    version: int = 1

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def to_json(self) -> bytes:
        """The document as it is kept; the same document always gives the same bytes."""
        return orjson.dumps(
            {
                "format": FORMAT,
                "language": self.language,
                "title": self.title,
                "dated": self.dated.isoformat(),
                "reference": self.reference,
                "template": self.template,
                "version": self.version,
                "sender": {name: getattr(self.sender, name) for name in _SENDER},
                "signature": self.signature,
                "blocks": [_packed(block) for block in self.blocks],
            }
        )

    @classmethod
    def from_json(cls, body: bytes | str) -> Document:
        """The document that `to_json` kept. Raises NotADocument."""
        try:
            kept = orjson.loads(body)
            if kept["format"] != FORMAT:
                raise NotADocument(f"format {kept['format']}")
            sender = kept["sender"]
            return cls(
                language=str(kept["language"]),
                title=str(kept["title"]),
                blocks=tuple(_unpacked(block) for block in kept["blocks"]),
                sender=Sender(**{name: _frozen(sender[name]) for name in _SENDER if name in sender}),
                dated=date.fromisoformat(kept["dated"]),
                reference=str(kept["reference"]),
                signature=_frozen(kept["signature"]),
                template=str(kept["template"]),
                version=int(kept["version"]),
            )
        except NotADocument:
            raise
        except (KeyError, TypeError, ValueError) as fault:
            raise NotADocument(str(fault)) from fault

    def plain_text(self) -> str:
        """The whole letter as text: for search, for SMS-like readers and for comparing."""
        parts = [self.title, *(_said(block) for block in self.blocks), "\n".join(self.signature)]
        return "\n\n".join(part for part in parts if part) + "\n"


_SENDER = ("trust", "unit", "address", "phone", "hours", "website")

_KINDS: Mapping[str, tuple[type[Block], tuple[str, ...]]] = {
    "heading": (Heading, ("text", "level")),
    "paragraph": (Paragraph, ("text",)),
    "facts": (Facts, ("facts",)),
    "bullets": (Bullets, ("items",)),
    "steps": (Steps, ("items",)),
    "link": (Link, ("text", "address", "before", "on_paper")),
    "action": (Action, ("text", "address")),
}
_NAMES = {kind: name for name, (kind, _) in _KINDS.items()}


def kind_of(block: Block) -> str:
    """The block's name in the JSON form."""
    return _NAMES[type(block)]


def _packed(block: Block) -> dict[str, Any]:
    if isinstance(block, Facts):
        facts = [{"label": f.label, "lines": f.lines, "kind": f.kind} for f in block.facts]
        return {"block": "facts", "facts": facts}
    name = kind_of(block)
    return {"block": name, **{field: getattr(block, field) for field in _KINDS[name][1]}}


def _unpacked(kept: Mapping[str, Any]) -> Block:
    kind, fields = _KINDS[kept["block"]]
    if kind is Facts:
        return Facts(tuple(Fact(f["label"], tuple(f["lines"]), f.get("kind", "")) for f in kept["facts"]))
    make: Callable[..., Block] = kind
    return make(**{field: _frozen(kept[field]) for field in fields if field in kept})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _said(block: Block) -> str:
    match block:
        case Heading() | Paragraph():
            return block.text
        case Facts():
            return "\n".join(f"{fact.label}: {', '.join(fact.lines)}" for fact in block.facts)
        case Bullets():
            return _listed(block.items, lambda _: "-")
        case Steps():
            return _listed(block.items, lambda number: f"{number}.")
        case Link():
            shown = block.address.removeprefix("tel:").removeprefix("mailto:")
            said = block.text if block.address.startswith("tel:") else f"{block.text}: {shown}"
            return f"{block.before} {said}".strip()
        case Action():
            return f"{block.text} {block.address}".strip()


def _listed(items: Sequence[str], mark: Callable[[int], str]) -> str:
    return "\n".join(f"{mark(number)} {item}" for number, item in enumerate(items, 1))
