"""Plain language by the measure (LET-34): LIX, long sentences, heavy words and passives. Pure; an aid, not a judge.

LIX is Björnsson's readability index: words a sentence plus the share of words longer than six letters. Below 30 is
very easy, 30 to 40 easy, 40 to 50 as newspapers, above that as public documents were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from varde.services.letters.document import Action, Bullets, Document, Heading, Link, Paragraph, Steps

LONGEST_SENTENCE = 25
"""Words; a list does not count as a sentence."""
HIGHEST_LIX = 40.0

_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*")
_END = re.compile(r"(?<!\bkl)(?<!\bdii)(?<!\bb)(?<!\d)[.!?:](?=\s|$)|(?<=\d)[.!?](?=\s+[^\W\d_a-zæøåáčđŋšŧž]|$)")
_PASSIVE = re.compile(r"\b(?:kan|skal|må|vil|bør|får)\s+(?:ikke\s+|ikkje\s+)?(\w{3,}(?:es|ast))\b", re.IGNORECASE)

_ENDINGS = "(?:r|s|t|n|ne|en|er|et|de|te)?"

HEAVY_NB: Mapping[str, str] = {
    "vedrørende": "om",
    "angående": "om",
    "i henhold til": "etter",
    "i forbindelse med": "ved",
    "ovennevnte": "dette",
    "herunder": "blant annet",
    "dersom": "hvis",
    "samt": "og",
    "imidlertid": "men",
    "foreta": "gjøre",
    "iverksette": "sette i gang",
    "anmode": "be",
    "avholde": "ha",
    "benytte": "bruke",
    "påbegynne": "begynne",
    "ankomme": "komme",
    "besørge": "ordne",
    "inneha": "ha",
    "vennligst": "",
    "innen utløpet av": "før",
    "eventuelle": "",
    "konsultasjon": "time",
    "poliklinisk": "uten innleggelse",
    "medikament": "medisin",
    "epikrise": "oppsummering",
    "elektiv": "planlagt",
    "komorbiditet": "andre sykdommer",
    "seponere": "slutte med",
    "fastende": "uten å ha spist",
    "peroral": "gjennom munnen",
}
HEAVY_NN: Mapping[str, str] = {
    "vedrørande": "om",
    "angåande": "om",
    "i samband med": "ved",
    "ovannemnde": "dette",
    "dersom": "om",
    "imidlertid": "men",
    "føreta": "gjere",
    "iverksetje": "setje i gang",
    "anmode": "be",
    "nytte": "bruke",
    "konsultasjon": "time",
    "poliklinisk": "utan innlegging",
    "medikament": "medisin",
    "epikrise": "oppsummering",
    "seponere": "slutte med",
}
HEAVY: Mapping[str, Mapping[str, str]] = {"nb": HEAVY_NB, "nn": HEAVY_NN}
"""Words to avoid, and what to write instead; empty: leave it out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach of plain language. `kind`: long-sentence, heavy-word, passive or lix."""

    kind: str
    said: str
    instead: str = ""


def sentences(text: str) -> Sequence[str]:
    """The sentences of running text. Dates and times (`1. desember kl. 09.30`) do not end one."""
    parts = (part.strip() for line in text.splitlines() for part in _END.split(line))
    return [part for part in parts if _WORD.search(part)]


def words(text: str) -> Sequence[str]:
    """The words of a text, numbers too."""
    return _WORD.findall(text)


def lix(text: str) -> float:
    """The readability index of a text; 0 for an empty one."""
    said, counted = words(text), len(sentences(text))
    if not said or not counted:
        return 0.0
    return len(said) / counted + 100 * sum(len(word) > 6 for word in said) / len(said)


def running_text(document: Document) -> str:
    """What the document says in sentences, a line a block or item: not its facts, signature and sender."""
    return "\n".join(_lines(document))


def findings(text: str, language: str) -> Sequence[Finding]:
    """Breaches in a text, in the order of the text and by sentence. LIX is judged for 30 words and more."""
    found: list[Finding] = []
    for sentence in sentences(text):
        if len(words(sentence)) > LONGEST_SENTENCE:
            found.append(Finding("long-sentence", sentence))
        for heavy, instead in HEAVY.get(language, {}).items():
            if re.search(rf"\b{re.escape(heavy)}{_ENDINGS}\b", sentence, re.IGNORECASE):
                found.append(Finding("heavy-word", heavy, instead))
        if language in HEAVY:
            found += [Finding("passive", passive.group(0)) for passive in _PASSIVE.finditer(sentence)]
    if len(words(text)) >= 30 and lix(text) > HIGHEST_LIX:
        found.append(Finding("lix", f"{lix(text):.0f}"))
    return found


def check_document(document: Document) -> Sequence[Finding]:
    """Breaches in a whole letter."""
    return findings(running_text(document), document.language)


def _lines(document: Document) -> Iterator[str]:
    yield document.title
    for block in document.blocks:
        match block:
            case Heading(text=text) | Paragraph(text=text) | Action(text=text):
                yield text
            case Bullets(items=items) | Steps(items=items):
                yield from items
            case Link(text=text, before=before):
                yield f"{before} {text}"
