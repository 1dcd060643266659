"""The expected answers of the law, as cells.txt has them: what the table is tested against and the page printed from.
Nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file."""

    heading: str
    number: int
    rules: str
    relations: Sequence[str]
    bands: Sequence[str]
    recorded: str
    seen: str
    unseen: str
    answers: Sequence[str]

    def cells(self) -> Iterator[Cell]:
        """Its cells: every relation, age and thing that it names."""
        for relation in self.relations:
            for band in self.bands:
                for thing, answer in zip(COLUMNS, self.answers, strict=True):
                    situation = Situation(Band(band), Relation(relation), thing, **_recorded(self.recorded.split()))
                    yield Cell(
                        self.number, frozenset(self.rules.split()), situation, REACH[answer], self.seen, self.unseen
                    )


def lines() -> Iterator[Line]:
    """Every line of the file, with the heading it stands under."""
    heading = ""
    for number, text in enumerate(FILE.read_text(encoding="utf-8").splitlines(), start=1):
        if text.startswith("#"):
            heading = text.removeprefix("#").strip()
        elif text:
            rules, relations, bands, recorded, seen, unseen, answers = (part.strip() for part in text.split("|"))
            yield Line(
                heading, number, rules, relations.split(","), bands.split(","), recorded, seen, unseen, answers.split()
            )


def cells() -> Iterator[Cell]:
    """Every cell of the file."""
    for line in lines():
        yield from line.cells()


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
