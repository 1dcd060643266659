"""What agreement and disagreement of two descriptions of persons tell, as data with reasons.

Each level of a comparison has two chances: `same`, that it is seen when both descriptions are of one person, and
`other`, that it is seen of two persons drawn at random. Their ratio is the level's weight (Fellegi and Sunter, "A
theory for record linkage", 1969); weights add up, and with the prior chance give the probability that is the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR = 1 / 500_000
"""That one drawn at random is the one who is meant: Helse Nord has about 480,000 inhabitants."""

PROBABLE = 0.99
"""From this probability a match is `probable`: a name, a date of birth and nothing against it."""
POSSIBLE = 0.10
"""From this one it is `possible`: a full name without date of birth, or a telephone number. Below, it is not shown."""


@dataclass(frozen=True, slots=True)
class Level:
    """One outcome of a comparison."""

    same: float
    other: float
    why: str

    @property
    def weight(self) -> float:
        """In bits; below 0 where it speaks against."""
        return math.log2(self.same / self.other)


WEIGHTS: dict[str, dict[str, Level]] = {
    "identifier": {
        "equal": Level(0.97, 1e-8, "a number given to one person alone; a typing error seldom gives another's"),
        "different": Level(0.01, 0.999, "a new number after a D-number or a change of sex; else another person"),
    },
    "family": {
        "equal": Level(0.90, 0.003, "the commonest family names have one in a hundred each, most have far fewer"),
        "similar": Level(0.06, 0.004, "a letter wrong, or one part of a double name"),
        "different": Level(0.04, 0.993, "marriage; a name written in another way"),
    },
    "given": {
        "equal": Level(0.88, 0.008, "given names of one generation are often the same"),
        "similar": Level(0.05, 0.01, "a letter wrong, or one of several names"),
        "initial": Level(0.03, 0.07, "an initial says little, but another initial says more"),
        "different": Level(0.04, 0.912, "a name called by instead of the registered one"),
    },
    "birth": {
        "equal": Level(0.965, 1 / 25_000, "some 25,000 days of birth are living"),
        "swapped": Level(0.005, 1 / 25_000, "day and month in the other order: seldom, but hardly by chance"),
        "digit": Level(0.02, 1 / 1_000, "one digit wrong, or two beside each other exchanged"),
        "partial": Level(0.965, 1 / 70, "only the year, or year and month, is said, and agrees"),
        "different": Level(0.01, 0.95, "a date of birth hardly changes"),
    },
    "gender": {
        "equal": Level(0.99, 0.5, "half of all people"),
        "different": Level(0.01, 0.5, "registered wrongly, or changed"),
    },
    "address": {
        "equal": Level(0.70, 1e-4, "the household; people move, one in ten a year"),
        "postal": Level(0.12, 0.005, "the same postal code"),
        "different": Level(0.18, 0.99, "moved"),
    },
    "telecom": {
        "equal": Level(0.60, 1e-5, "a telephone or an e-mail address belongs to a person or a household"),
        "different": Level(0.40, 0.99, "a new number"),
    },
}
"""Comparison -> level -> what it tells. What one of the two does not say tells nothing."""
