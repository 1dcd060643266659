"""The words in `meta.security` that decide who sees a resource: code system 9603, and Varde's own beside it.

They stand in the column `security` as "system|code", so that the gate judges them in SQL, in every version by itself.
Which of them hides what from whom is `table.py`'s. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

RESTRICTION = "urn:oid:2.16.578.1.12.4.1.1.9603"
"""Code system of access restrictions (SPECS 3.8)."""
WITHHELD = "N"
"""Hidden from the patient and from those who act for them, until it is lifted (FAM-05)."""
DELAYED = "NORU"
"""Hidden from the same, until its time or an event (FAM-35)."""
FROM_PARENTS = "NORN_FORANS"
"""Hidden from those who act for the patient (FAM-04)."""
FROM_YOUTH = "NORN_UNGDOM"
"""Hidden from a person under 16 (FAM-05)."""
FROM_STAFF = "NORS"
"""Hidden from staff but those whom the patient allows (FAM-36)."""

OPENS = "https://varde.no/fhir/CodeSystem/opens-at"
"""Beside DELAYED: when it opens by itself (FAM-35). The code is the moment in UTC, to the second."""
MARK = "https://varde.no/fhir/CodeSystem/access-mark"
"""What opens a thing of a person of 12–15 years, one by one."""
TO_PARENTS = "parents"
"""A thread opened to parents, a form that parents may fill in, a document or a result released to them (table A)."""
TO_YOUTH = "youth"
"""A thread opened for youth, a form addressed to the young person, a plan shared with them (table B)."""
YOUTH_ALONE = "youth-alone"
"""What law gives a young person without anybody's consent: school nurse, youth clinic and the like (FAM-06)."""
PRIMARY_CARE = "primary-care"
"""From general practitioner or municipality: follows the sender's own marks (FAM-23)."""

AWAITED = "event"
"""Code in OPENS of what waits for an event: no moment, so that it never comes by the clock alone."""

_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
MOMENT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")
"""How a moment stands in OPENS. One that is written otherwise never comes."""


def label(system: str, code: str) -> str:
    """A coding as the column `security` has it."""
    return f"{system}|{code}"


def moment_text(moment: datetime) -> str:
    """An aware moment as it stands in OPENS; texts are in the order of their moments."""
    return moment.astimezone(UTC).strftime(_MOMENT)


def delayed_until(moment: datetime) -> list[dict[str, str]]:
    """Codings of `meta.security` that hide a resource from the patient until an aware moment (FAM-35)."""
    return [{"system": RESTRICTION, "code": DELAYED}, {"system": OPENS, "code": moment_text(moment)}]


def decided(
    codes: Iterable[str], opens: datetime | None, *, awaits: bool, marks: Iterable[str]
) -> list[dict[str, str]]:
    """Codings of `meta.security` that say what a clinician decided of one thing. `opens`: when what is delayed opens by
    itself; `awaits`: it waits for an event (trust/consents.py: Withholding)."""
    found = [restriction(code) for code in sorted(codes)]
    if opens is not None:
        found.append({"system": OPENS, "code": moment_text(opens)})
    elif awaits:
        found.append({"system": OPENS, "code": AWAITED})
    return found + [mark(code) for code in sorted(marks)]


def mark(code: str) -> dict[str, str]:
    """A coding of `meta.security` with one of Varde's own marks."""
    return {"system": MARK, "code": code}


def restriction(code: str) -> dict[str, str]:
    """A coding of `meta.security` of code system 9603."""
    return {"system": RESTRICTION, "code": code}
