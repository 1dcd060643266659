"""What a visit costs, by date: configuration, in `fees.toml` (LET-32)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Fees:
    """Amounts in whole kroner, valid from a day on."""

    valid_from: date
    fee: int
    missed: int
    missed_psychiatric: int


@lru_cache(maxsize=1)
def all_fees() -> tuple[Fees, ...]:
    """Every set of amounts, oldest first."""
    text = (files("varde.services.letters.library") / "fees.toml").read_text(encoding="utf-8")
    read = [
        Fees(row["from"], row["fee"], row["missed"], row["missed_psychiatric"]) for row in tomllib.loads(text)["fees"]
    ]
    return tuple(sorted(read, key=lambda fees: fees.valid_from))


def fees_on(day: date) -> Fees:
    """The amounts that hold on `day`; before the first, the first."""
    holding = [fees for fees in all_fees() if fees.valid_from <= day]
    return holding[-1] if holding else all_fees()[0]
