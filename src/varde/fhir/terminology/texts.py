"""Which of a concept's texts is shown: by the languages that are asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir.search.fold import fold
from varde.fhir.terminology.concepts import Concept

_RELATED: Mapping[str, Sequence[str]] = {
    "nb": ("nb", "no", "nn"), "nn": ("nn", "nb", "no"), "no": ("no", "nb", "nn"), "se": ("se", "nb", "no", "nn"),
}  # fmt: skip
"""What a reader of a language reads when there is nothing in it: none of these languages stands alone in Norway."""
DISPLAY = {"system": "http://terminology.hl7.org/CodeSystem/designation-usage", "code": "display"}


def wanted(asked: str | None) -> list[str]:
    """The languages to look for, best first, of a `displayLanguage` or an Accept-Language header."""
    if not asked:
        return []
    weighed = []
    for place, one in enumerate(asked.split(",")):
        tag, _, weight = one.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        if tag and tag != "*" and quality > 0:
            weighed.append((-quality, place, tag.strip()))
    found: list[str] = []
    for _, _, tag in sorted(weighed):
        base = tag.partition("-")[0].lower()
        found += [tag, *_RELATED.get(base, (base,))]
    return list(dict.fromkeys(found))


def display_of(concept: Concept, languages: Sequence[str], language: str | None = None) -> str | None:
    """The text to show. `language` is that of the code system's own displays."""
    for one in languages:
        if concept.display and speaks(language, one):
            return concept.display
        named = [d for d in concept.designations if speaks(d.get("language"), one) and isinstance(d.get("value"), str)]
        if named:
            # One whose use says "display" before a synonym.
            plain = [d for d in named if (d.get("use") or {}).get("code") in {None, "display", "preferred"}]
            best = (plain or named)[0]
            return str(best["value"])
    return concept.display


def speaks(have: Any, asked: str) -> bool:
    """Whether a text in language `have` serves who asked for `asked`."""
    if not isinstance(have, str):
        return False
    own, other = have.lower(), asked.lower()
    return own == other or own.startswith(f"{other}-")


def fits(display: str, concept: Concept) -> bool:
    """Whether `display` is one of the concept's texts, case and spaces aside."""
    said = fold(display)
    return any(fold(text) == said for text in concept.texts)


def merged(concept: Concept, supplements: Sequence[Concept]) -> Concept:
    """The concept with what supplements add to it: texts and properties, never another meaning."""
    if not supplements:
        return concept
    detail = dict(concept.detail)
    for one in supplements:
        for name in ("designation", "property"):
            if one.detail.get(name):
                detail[name] = [*detail.get(name, ()), *one.detail[name]]
    return Concept(concept.code, concept.display, concept.inactive, concept.abstract, detail)
