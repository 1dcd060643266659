"""What looks like snooping in the access log (FAM-37): pure rules over what one member of staff did with one patient on
one day. Gathering the facts is `watching.py`'s; deciding what it was is a person's.

A finding is a question, not a verdict. What is open to a unit is so for the patients that it treats; these rules look
for what that cannot tell: that the two know each other, or that nobody had a reason to look just then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What was found."""

    OWN_RECORD = "own-record"
    FAMILY = "family"
    HOUSEHOLD = "household"
    COLLEAGUE = "colleague"
    NEIGHBOUR = "neighbour"
    KNOWN_PERSON = "known-person"
    NO_RELATION = "no-relation"
    MANY_PATIENTS = "many-patients"
    MANY_VIEWERS = "many-viewers"
    UNANSWERED = "unanswered"
    """No pattern: a patient asked about an entry, and nobody answered in time."""
    EMERGENCY = "emergency"
    """Nor this: emergency access that its leader found needless, or that nobody went through in time (FAM-34)."""

    @property
    def serious(self) -> bool:
        """What comes first on the list."""
        return self in _SERIOUS


_SERIOUS = frozenset({Kind.OWN_RECORD, Kind.FAMILY, Kind.HOUSEHOLD, Kind.NO_RELATION, Kind.EMERGENCY})


@dataclass(frozen=True, slots=True)
class Norms:
    """The numbers of the rules, per region."""

    refused_of_one: int = 3
    """Refused tries at one patient in a day that no slip of the hand explains."""
    refused_of_several: int = 3
    """Patients that one was refused at in a day."""
    patients_a_day: int = 60
    """Fewer are never many."""
    times_usual: int = 3
    viewers_a_day: int = 25
    """Members of staff who see one patient in a day, of units that treat them: fewer are never many."""
    strangers_a_day: int = 5
    """The same of those whose unit had no occasion to."""


@dataclass(frozen=True, slots=True)
class Viewing:
    """What one member of staff did with one patient on one day, and what binds the two."""

    rows: int
    refused: int = 0
    occasion: bool = True
    """The unit had the patient in hand about then: a referral or stay that is open, an appointment within weeks."""
    own: bool = False
    """It is their own record."""
    family: bool = False
    """Parent or child, by the population register."""
    household: bool = False
    """Registered at the same address."""
    neighbour: bool = False
    """In the same street."""
    colleague: bool = False
    """The patient works in the same unit."""
    known: bool = False
    """The patient is marked as one whom people are curious about."""


def of_viewing(one: Viewing, norms: Norms) -> list[Kind]:
    """What a day's viewing of one patient looks like; nothing for an ordinary one.

    Own, family's, household's and colleagues' records are asked about whatever the occasion: that the unit treats
    them does not make one of the family their nurse. A neighbour's or a known person's only where the unit had no
    occasion, since small places are full of both.
    """
    if one.own:
        return [Kind.OWN_RECORD]
    unexplained = not one.occasion or one.refused > 0
    found = []
    if one.family:
        found.append(Kind.FAMILY)
    elif one.household:
        found.append(Kind.HOUSEHOLD)
    elif one.neighbour and unexplained:
        found.append(Kind.NEIGHBOUR)
    if one.colleague:
        found.append(Kind.COLLEAGUE)
    if one.known and unexplained:
        found.append(Kind.KNOWN_PERSON)
    if one.refused >= norms.refused_of_one:
        found.append(Kind.NO_RELATION)
    return found


def of_day(patients: int, refused_patients: int, usual: Sequence[int], norms: Norms) -> list[Kind]:
    """What one person's whole day looks like: patients seen, patients refused at, and how many they saw on each of
    their last days at work."""
    found = []
    if patients > max(norms.patients_a_day, norms.times_usual * _middle(usual)):
        found.append(Kind.MANY_PATIENTS)
    if refused_patients >= norms.refused_of_several:
        found.append(Kind.NO_RELATION)
    return found


def of_patient(viewers: int, strangers: int, usual: Sequence[int], norms: Norms) -> list[Kind]:
    """What one patient's day looks like: how many looked, how many of them without an occasion, and how many did on
    days before."""
    many = viewers > max(norms.viewers_a_day, norms.times_usual * _middle(usual))
    return [Kind.MANY_VIEWERS] if many or strangers >= norms.strangers_a_day else []


def _middle(values: Sequence[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0


def street_of(line: str) -> str:
    """The street in a postal address's line, without its house number: what neighbours share. Empty for a box."""
    text = " ".join(line.casefold().split())
    if text.startswith(("postboks", "pb ", "boks")):
        return ""
    return re.sub(r"\s*\d+\s*[a-zæøå]?$", "", text)
