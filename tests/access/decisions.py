"""Consents that decide access, as the services write them: who a referral is open to, powers, blocks. As FHIR."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from varde.trust import consents

Resource = dict[str, Any]
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _made(identifier: str, decision: consents.AccessDecision) -> Resource:
    return consents.to_fhir(replace(decision, id=identifier))


def assessment(referral: str, whose: str, *open_to: str) -> Resource:
    """A referral's assessment, with the young person's own consent where others are named (FAM-19, FAM-21)."""
    consented = AT if set(open_to) - {whose} else None
    made = consents.ReferralAssessment(
        patient=whose, at=AT, referral=referral, opened_to=frozenset(open_to), consented=consented
    )
    return _made(f"assessment-{referral}", made)


def youth_access(whose: str, parent: str) -> Resource:
    """A parent lets a young person use the services (FAM-06)."""
    return _made(f"youth-{whose}", consents.YouthAccess(patient=whose, at=AT, by=f"Patient/{parent}"))


def power(giver: str, receiver: str, *things: str) -> Resource:
    """A power of attorney (FAM-12)."""
    made = consents.PowerOfAttorney(
        patient=giver, at=AT, by=f"Patient/{giver}", receiver=receiver, things=frozenset(things)
    )
    return _made(f"power-{giver}-{receiver}", made)


def block(whose: str, *, hpr: str | None = None, resources: Iterable[str] = ()) -> Resource:
    """A patient's block of one who works somewhere, or of things (FAM-33)."""
    made = consents.Block(patient=whose, at=AT, by=f"Patient/{whose}", hpr=hpr, resources=frozenset(resources))
    return _made("hid-block", made)
