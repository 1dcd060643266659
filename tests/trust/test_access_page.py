"""docs/access.md says what the code does. Run this file as a program to write its tables anew."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

from varde.trust.grounds import GROUNDS
from varde.trust.policy import (
    REASONS,
    ActorKind,
    Configuration,
    Decision,
    Parenthood,
    StaffRole,
    own_access,
    parental_access,
    staff_types,
    withheld_from,
)
from varde.trust.scope import DIRECTORY

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
BORN = date(2000, 1, 1)


def _decisions() -> dict[str, Decision]:
    """One decision of each kind, made by the policy itself."""
    good = Parenthood(True, True, False)
    ages = [BORN + timedelta(days=round(365.25 * years)) for years in (5, 14, 17, 30)]
    made = [own_access(BORN, day, dead=dead) for day in ages for dead in (False, True)]
    for facts in (good, Parenthood(False, True, False), Parenthood(True, False, False), Parenthood(True, True, True)):
        made += [parental_access(BORN, day, facts) for day in ages]
    return {decision.why: decision for decision in made}


def tables() -> dict[str, str]:
    """What stands between the page's marks."""
    reasons = ["| decision | why | ground |", "|---|---|---|"]
    staff = {"staff": "treatment", "staff-administration": "administration"}
    decisions = _decisions()
    for key, text in REASONS.items():
        ground = staff.get(key) or (decisions[key].ground.key if decisions[key].allowed else None)
        reasons.append(f"| {'let in' if ground else 'refused'} | {text} | {ground or ''} |")
    after = Configuration().care_relation_after.days
    treats = f"the patients that the unit treats, until {after} days after the last contact (FAM-30)"
    secretary = ", ".join(sorted(staff_types(StaffRole.SECRETARY) or ()))
    rows = [
        ("patient", "their own (FAM-01)", "all but Group", ActorKind.PATIENT),
        ("parent", "one child's (FAM-02)", "all but Group", ActorKind.REPRESENTATIVE),
        ("clinician", treats, "all", ActorKind.STAFF),
        ("secretary", treats, f"{secretary} (FAM-31)", ActorKind.STAFF),
        ("operator", "nobody's", "none", ActorKind.STAFF),
        ("system", "everybody's", "what its scopes say", ActorKind.SYSTEM),
    ]
    reach = ["| who | whose things | types | withheld by code |", "|---|---|---|---|"]
    reach += [f"| {a} | {b} | {c} | {', '.join(sorted(withheld_from(kind)))} |" for a, b, c, kind in rows]
    grounds = ["| key | law | to the patient |", "|---|---|---|"]
    grounds += [f"| {g.key} | {g.law} {g.section} | {g.sentence['nb']} |" for g in GROUNDS.values()]
    return {
        "reasons": "\n" + "\n".join(reasons) + "\n",
        "reach": "\n" + "\n".join(reach) + "\n",
        "grounds": "\n" + "\n".join(grounds) + "\n",
        "directory": ", ".join(sorted(DIRECTORY)),
    }


def written(text: str) -> str:
    """The page with its tables made anew."""
    for name, table in tables().items():
        text = re.sub(
            rf"<!-- {name} -->.*?<!-- /{name} -->", f"<!-- {name} -->{table}<!-- /{name} -->", text, flags=re.DOTALL
        )
    return text


def test_the_page_says_what_the_code_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m tests.trust.test_access_page"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
