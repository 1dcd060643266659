"""Whom a letter to a person of 12 to 15 may reach: as the law has it for that letter, and as the clinician who assessed
the referral chose (FAM-03 to FAM-06, FAM-19 to FAM-21, table A). Which way it then goes is `routing.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from varde.services.letters import rules
from varde.services.letters.model import DOCUMENT_TYPE, LETTER, RESTRICTION
from varde.services.letters.people import Known
from varde.trust.consents import Paper
from varde.trust.explaining import who_would_see
from varde.trust.referrals import Opened

if TYPE_CHECKING:
    from varde.services import Platform


async def assessed(
    platform: Platform, connection: Any, known: Known, rid: int, restrictions: Sequence[str] = ()
) -> Known:
    """What is known of a patient, for one letter: itself but from 12 to 15 years. `rid` is of the letter, or of what a
    letter not written yet is about; `restrictions` are the letter's codes of 9603. Raises LookupError, Unavailable."""
    if not rules.YOUTH <= known.facts.age < rules.OWN:
        return known
    letter = {
        "resourceType": "Communication",
        "meta": {"security": [{"system": RESTRICTION, "code": code} for code in restrictions]},
        "category": [{"coding": [{"system": DOCUMENT_TYPE, "code": LETTER}]}],
    }
    allowed, opened = await who_would_see(platform.access, connection, known.id, rid, letter)
    return narrowed(known, allowed, opened)


def narrowed(known: Known, allowed: Collection[str], opened: Opened | None) -> Known:
    """What is known of a person of 12 to 15, for one letter that those `allowed` (ids of Patients) may read. Pure."""
    parents = [one for one in known.representatives if one.id in allowed]
    facts = replace(
        known.facts,
        referral_assessed=opened is not None,
        young_may_see=known.id in allowed,
        parents_may_see=bool(parents),
        a_representative_is_digital=bool(parents),
        parent_at_home_is_digital=any(one.at_home for one in parents),
        paper=(Paper.PARENTS if opened is None else opened.paper).value,
    )
    return replace(known, facts=facts, representatives=parents, own=known.own if known.id in allowed else None)
