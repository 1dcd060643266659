"""What emergency access asks for before it opens, and who may use it (FAM-34). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from varde.trust.policy import StaffRole

SHORTEST_REASON = 20
"""Characters. A word is no reason that a patient understands, and that a leader can judge."""
LONGEST_REASON = 1000
REVIEW_WITHIN = timedelta(days=7)
"""How soon the unit's leader goes through each one; later it is the privacy officer's."""

CAUSES = ("life", "unconscious", "medicine", "asked", "other")
"""Codes of trust.consents.CAUSES, the gravest first."""


def may_open(role: str) -> bool:
    """Only who gives health care opens a record in an emergency (helsepersonelloven § 45, FAM-34)."""
    return role == StaffRole.CLINICIAN.value


def faults(number_known: bool, cause: str, reason: str) -> Mapping[str, str]:
    """What is wrong with a form, by field: keys of emergency_pages.FAULTS. Empty when it may be opened."""
    found: dict[str, str] = {}
    if not number_known:
        found["nummer"] = "number"
    if cause not in CAUSES:
        found["arsak"] = "cause"
    text = " ".join(reason.split())
    if len(text) < SHORTEST_REASON:
        found["grunn"] = "short"
    elif len(text) > LONGEST_REASON:
        found["grunn"] = "long"
    return found


def ends(now: datetime, hours: int) -> datetime:
    """When one that is opened now ends by itself."""
    return now + timedelta(hours=hours)
