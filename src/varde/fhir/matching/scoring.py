"""How sure it is that two descriptions are of one person. Pure; what each thing tells is in `weights.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from varde.fhir.matching.demographics import Demographics
from varde.fhir.matching.weights import POSSIBLE, PRIOR, PROBABLE, WEIGHTS

_SIMILAR = 0.84
"""Likeness of two words of which one has a letter too many, too few, wrong or in the wrong place."""


class Grade(StrEnum):
    """FHIR's match-grade."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    NOT = "certainly-not"


@dataclass(frozen=True, slots=True)
class Score:
    """The judgement: probability, grade, and the level of each comparison that could be made."""

    probability: float
    grade: Grade
    levels: dict[str, str]


def score(asked: Demographics, found: Demographics, unique: frozenset[str]) -> Score:
    """Compare two descriptions. `unique`: identifier systems whose numbers belong to one person alone.

    A number that agrees makes it certain, unless both name and date of birth, or all that is said of them, speak
    against it: then somebody's number was mistyped or borrowed, and a person must look.
    """
    levels = {
        name: level
        for name, level in (
            ("identifier", _identifier(asked, found, unique)), *_names(asked, found), ("birth", birth(asked, found)),
            ("gender", _equal(asked.gender, found.gender)), ("address", _address(asked, found)),
            ("telecom", _any(asked.telecom, found.telecom)),
        )
        if level is not None
    }  # fmt: skip
    bits = math.log2(PRIOR / (1 - PRIOR)) + sum(WEIGHTS[name][level].weight for name, level in levels.items())
    probability = 1 / (1 + 2**-bits) if bits > -60 else 0.0
    if levels.get("identifier") == "equal":
        doubted = _doubted(levels)
        return Score(probability, Grade.PROBABLE if doubted else Grade.CERTAIN, levels)
    grade = Grade.PROBABLE if probability >= PROBABLE else Grade.POSSIBLE if probability >= POSSIBLE else Grade.NOT
    return Score(probability, grade, levels)


def _doubted(levels: dict[str, str]) -> bool:
    """Whether everything said of name and date of birth speaks against."""
    said = [levels[name] for name in ("family", "given", "birth") if name in levels]
    return levels.get("birth") == "different" or (len(said) > 1 and all(level == "different" for level in said))


def _identifier(asked: Demographics, found: Demographics, unique: frozenset[str]) -> str | None:
    ours = {one for one in asked.identifiers if one[0] in unique}
    theirs = {one for one in found.identifiers if one[0] in unique}
    if ours & theirs:
        return "equal"
    return "different" if {system for system, _ in ours} & {system for system, _ in theirs} else None


def _names(asked: Demographics, found: Demographics) -> list[tuple[str, str | None]]:
    """The best of every pair of names, in their own order or with family and given name exchanged."""
    best: tuple[float, list[tuple[str, str | None]]] | None = None
    for family, given in asked.names:
        for other_family, other_given in found.names:
            for words, names in ((family, given), (frozenset(given), tuple(sorted(family)))):
                levels = [("family", _family(words, other_family)), ("given", _given(names, other_given))]
                weight = sum(WEIGHTS[name][level].weight for name, level in levels if level is not None)
                if best is None or weight > best[0]:
                    best = weight, levels
    return best[1] if best is not None else []


def _family(asked: frozenset[str], found: frozenset[str]) -> str | None:
    if not asked or not found:
        return None
    if asked == found:
        return "equal"
    if asked & found or any(alike(one, other) for one in asked for other in found):
        return "similar"
    return "different"


def _given(asked: tuple[str, ...], found: tuple[str, ...]) -> str | None:
    if not asked or not found:
        return None
    if asked[0] == found[0] or set(asked) == set(found):
        return "equal"
    whole = [one for one in asked if len(one) > 1]
    if set(whole) & set(found) or any(alike(one, other) for one in whole for other in found):
        return "similar"
    initials = {one[0] for one in found}
    if any(len(one) == 1 and one in initials for one in asked) or any(
        len(one) == 1 and any(word.startswith(one) for word in asked) for one in found
    ):
        return "initial"
    return "different"


def alike(one: str, other: str) -> bool:
    """Whether two words are one word with an error in it. Short ones must be the same."""
    if one == other:
        return True
    if min(len(one), len(other)) < 4:
        return False
    return sorted(one) == sorted(other) or SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SIMILAR


def birth(asked: Demographics, found: Demographics) -> str | None:
    """How two dates of birth lie to each other."""
    one, other = asked.birth, found.birth
    if one is None or other is None:
        return None
    if one == other:
        return "equal" if len(one) == 10 else "partial"
    if len(one) < 10 or len(other) < 10:
        shorter = min(len(one), len(other))
        return "partial" if one[:shorter] == other[:shorter] else "different"
    if one == f"{other[:4]}-{other[8:]}-{other[5:7]}":
        return "swapped"
    a, b = one.replace("-", ""), other.replace("-", "")
    wrong = [place for place in range(8) if a[place] != b[place]]
    if len(wrong) == 1:
        return "digit"
    if len(wrong) == 2 and wrong[1] == wrong[0] + 1 and a[wrong[0]] == b[wrong[1]] and a[wrong[1]] == b[wrong[0]]:
        return "digit"
    return "different"


def _equal(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return None
    return "equal" if one == other else "different"


def _address(asked: Demographics, found: Demographics) -> str | None:
    if not (asked.streets or asked.postal) or not (found.streets or found.postal):
        return None
    if any(
        street == other and (postal == code or not postal or not code)
        for street, postal in asked.streets for other, code in found.streets
    ):  # fmt: skip
        return "equal"
    return "postal" if asked.postal & found.postal else "different"


def _any(one: frozenset[str], other: frozenset[str]) -> str | None:
    if not one or not other:
        return None
    return "equal" if one & other else "different"
