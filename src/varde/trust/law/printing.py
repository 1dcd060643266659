"""The tables of docs/access.md, printed from the same data that decides and is tested:
`python -m varde.trust.law.printing` prints them, with the page's path it writes them into the page, between its marks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from varde.trust.grounds import GROUNDS
from varde.trust.law.cells import cells, lines
from varde.trust.law.marks import FROM_PARENTS, FROM_STAFF, FROM_YOUTH, WITHHELD
from varde.trust.law.table import LAW, Assessment, Band
from varde.trust.law.things import Thing, types_of
from varde.trust.policy import ADMINISTRATIVE_TYPES, REASONS, Configuration
from varde.trust.referrals import OPEN_STATUSES, opens_services
from varde.trust.scope import DIRECTORY

_BANDS = ["0–11", "12", "13–15", "16–17", "18+"]


def tables() -> dict[str, str]:
    """What stands between the page's marks, by the mark's name."""
    return {
        "cells": _cells(),
        "law": _table(("rules", "why", "ground", "reach"), _law()),
        "things": _table(("thing", "kept in"), ((thing.value, ", ".join(sorted(types_of(thing)))) for thing in Thing)),
        "services": _table(("age", "referral", *Assessment), _services()),
        "reach": _table(("who", "whose things", "types", "withheld by code"), _reach()),
        "grounds": _table(
            ("key", "law", "to the patient"),
            ((one.key, f"{one.law} {one.section}", one.sentence["nb"]) for one in GROUNDS.values()),
        ),
        "directory": ", ".join(sorted(DIRECTORY)),
    }


def _cells() -> str:
    made = [f"\n{sum(1 for _ in cells())} cells: **A** sees and acts, **S** sees, **o** only what they did themselves."]
    heading = ""
    for line in lines():
        if line.heading != heading:
            heading = line.heading
            columns = ["who", "age", "recorded", *(thing.value for thing in Thing), "other", "ground", "rules"]
            made += [f"\n### {heading}\n", _row(columns), _row(["---"] * len(columns))]
        grounds = " / ".join(one for one in (line.seen, line.unseen) if one != "none")
        made.append(
            _row([", ".join(line.relations), ", ".join(line.bands), line.recorded, *line.answers, grounds, line.rules])
        )
    return "\n".join(made) + "\n"


def _law() -> Iterable[Sequence[str]]:
    for clause in LAW:
        yield clause.rules, REASONS[clause.why], clause.ground.key, clause.reach.name.lower()


def _services() -> Iterable[Sequence[str]]:
    """FAM-19, FAM-22."""
    for status in ("active", "draft", "revoked"):
        for band in Band:
            opened = ["open" if opens_services(band, status, one) else "-" for one in Assessment]
            yield band.value, status, *opened
    assert "active" in OPEN_STATUSES


def _reach() -> Iterable[Sequence[str]]:
    after = Configuration().care_relation_after.days
    treats = f"the patients that the unit treats, until {after} days after the last contact (FAM-30)"
    person = f"{WITHHELD}, NORU until its time"
    yield "patient", "their own (FAM-01, FAM-06)", "by the law's table", f"{person}; {FROM_YOUTH} under 16"
    yield "representative", "one patient's (FAM-02, FAM-12, FAM-13)", "by the law's table", f"{person}; {FROM_PARENTS}"
    yield "clinician", treats, "all", FROM_STAFF
    yield "secretary", treats, f"{', '.join(sorted(ADMINISTRATIVE_TYPES))} (FAM-31)", FROM_STAFF
    yield "operator", "nobody's", "none", FROM_STAFF
    yield "system", "everybody's", "what its scopes say", ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n" + "\n".join([_row(columns), _row(["---"] * len(columns)), *(_row(row) for row in rows)]) + "\n"


def _row(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |".replace("|  |", "| |")


def written(page: str) -> str:
    """The page with its tables made anew."""
    for name, table in tables().items():
        page = re.sub(
            rf"<!-- {name} -->.*?<!-- /{name} -->",
            lambda _, name=name, table=table: f"<!-- {name} -->{table}<!-- /{name} -->",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
    return page


if __name__ == "__main__":
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write("".join(f"## {name}\n{table}\n" for name, table in tables().items()))
