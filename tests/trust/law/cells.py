"""The expected answers of the law, as cells.txt has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varde.trust.law.table import Assessment, Band, Reach, Relation, Situation
from varde.trust.law.things import Thing

FILE = Path(__file__).parent / "cells.txt"
REACH = {"A": Reach.ACT, "S": Reach.SEE, "o": Reach.OWN, "-": Reach.NONE}
ASSESSMENTS = {"open": Assessment.TO_ACTOR, "others": Assessment.TO_OTHERS, "closed": Assessment.CLOSED}
CODES = frozenset({"N", "NORU", "NORN_FORANS", "NORN_UNGDOM"})
FLAGS = {"opened": "opened", "alone": "alone", "primary": "primary", "consent": "youth_access", "placed": "placed",
         "protected": "protected", "dead": "dead"}  # fmt: skip
COLUMNS: tuple[Thing | None, ...] = (
    Thing.LETTERS, Thing.APPOINTMENTS, Thing.DIALOGUE, Thing.FORMS, Thing.PLANS, Thing.DOCUMENTS, Thing.RESULTS,
    Thing.LOG, Thing.CONTACT, None,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One expected answer."""

    line: int
    rules: frozenset[str]
    situation: Situation
    reach: Reach
    seen: str
    """Key of the ground where anything is seen."""
    unseen: str


def cells() -> Iterator[Cell]:
    """Every cell of the file."""
    for number, text in enumerate(FILE.read_text(encoding="utf-8").splitlines(), start=1):
        if not text or text.startswith("#"):
            continue
        rules, relations, bands, recorded, seen, unseen, answers = (part.strip() for part in text.split("|"))
        for relation in relations.split(","):
            for band in bands.split(","):
                for thing, answer in zip(COLUMNS, answers.split(), strict=True):
                    situation = Situation(Band(band), Relation(relation), thing, **_recorded(recorded.split()))
                    yield Cell(number, frozenset(rules.split()), situation, REACH[answer], seen, unseen)


def _recorded(words: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"codes": frozenset(words) & CODES}
    for word in words:
        if word in ASSESSMENTS:
            said["assessment"] = ASSESSMENTS[word]
        elif word in FLAGS:
            said[FLAGS[word]] = True
        elif word == "outside":
            said["covered"] = False
        elif word not in CODES:
            raise ValueError(word)
    return said
