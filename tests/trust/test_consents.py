"""Each access decision as a Consent and back; what is not one; what holds when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from varde.clock import SetClock
from varde.db import Database
from varde.fhir.errors import Unprocessable
from varde.fhir.store import Store
from varde.fhir.validate import validate
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.consents import (
    KINDS,
    AccessDecision,
    Block,
    ChildWelfare,
    Emergency,
    PowerOfAttorney,
    ReferralAssessment,
    Reservation,
    YouthAccess,
    from_fhir,
    kind_of,
    to_fhir,
)
from varde.trust.definitions import definitions

NOW = datetime(2026, 11, 25, 9, 30, 0, 123456, tzinfo=UTC)
WHO: dict[str, Any] = {"id": "c-1", "patient": "p-1", "at": NOW}
ALL: list[AccessDecision] = [
    PowerOfAttorney(receiver="p-2", things=frozenset({"letters", "results"}), ends=NOW + timedelta(days=9), **WHO),
    PowerOfAttorney(receiver="p-2", things=frozenset({"letters"}), by="Patient/p-1", **WHO),
    YouthAccess(by="Patient/p-3", **WHO),
    YouthAccess(by="Patient/p-4", withdrawn=True, **WHO),
    ReferralAssessment(referral="s-1", by="Practitioner/h-1", unit="u-1", **WHO),
    ReferralAssessment(referral="s-1", opened_to=frozenset({"p-1", "p-3"}), consented=NOW, **WHO),
    Block(hpr="8200001", reason="nabo", **WHO),
    Block(blocked_unit="u-2", resources=frozenset({"DocumentReference/d-1"}), **WHO),
    Block(sharing=True, starts=NOW - timedelta(days=1), **WHO),
    Reservation(service="letters", **WHO),
    ChildWelfare(unit="u-1", reason="akuttplassering", **WHO),
    Emergency(hpr="8200001", unit="u-1", reason="bevisstløs", **(WHO | {"ends": NOW + timedelta(hours=4)})),
]


@pytest.mark.parametrize("decision", ALL, ids=lambda one: one.kind.value)
def test_a_decision_is_a_valid_consent_and_comes_back_the_same(decision: AccessDecision) -> None:
    consent = to_fhir(decision)
    validate(consent)
    assert from_fhir(consent) == decision
    assert kind_of(consent) is decision.kind


@pytest.mark.parametrize("decision", ALL, ids=lambda one: one.kind.value)
def test_what_was_entered_in_error_decides_nothing(decision: AccessDecision) -> None:
    assert from_fhir(to_fhir(decision) | {"status": "entered-in-error"}) is None


def test_other_consents_are_left_alone() -> None:
    assert (
        from_fhir({"resourceType": "Consent", "status": "active", "category": [{"coding": [{"code": "block"}]}]})
        is None
    )
    assert kind_of({"resourceType": "Flag"}) is None


@pytest.mark.parametrize("missing", ["patient", "dateTime", "provision"])
def test_half_a_decision_is_refused(missing: str) -> None:
    consent = to_fhir(ALL[0])
    del consent[missing]
    with pytest.raises(ValueError, match=r"not a whole decision|reference|moment"):
        from_fhir(consent)


def test_a_block_says_what_it_blocks() -> None:
    with pytest.raises(ValueError, match="whom or what"):
        Block(**WHO)


def test_holds_from_its_start_until_its_end_and_never_when_withdrawn() -> None:
    one = PowerOfAttorney(
        patient="p", at=NOW, starts=NOW + timedelta(days=1), ends=NOW + timedelta(days=2), receiver="q",
        things=frozenset(),
    )  # fmt: skip
    second = timedelta(seconds=1)
    assert not one.holds(NOW + timedelta(days=1) - second)
    assert one.holds(NOW + timedelta(days=1))
    assert one.holds(NOW + timedelta(days=2) - second)
    assert not one.holds(NOW + timedelta(days=2))
    assert not YouthAccess(patient="p", at=NOW, withdrawn=True).holds(NOW)


async def test_the_stores_own_profile_takes_whole_decisions_and_no_others(database: Database, clock: SetClock) -> None:
    store = Store(database, clock)
    gate = Access(store, clock, AuditLog(database, clock)).for_system("test")
    for definition in definitions():
        validate(definition)
    await store.write_many(gate, definitions())
    await store.write_many(gate, [{"resourceType": "Patient", "id": "p-1"}])
    for decision in ALL:
        await store.create(gate, {name: value for name, value in to_fhir(decision).items() if name != "id"})
    whole = to_fhir(ALL[0])
    one, kind = whole["category"]
    unknown = {"coding": [{"system": KINDS, "code": "everything"}]}
    for wrong in (
        {"category": [one]},
        {"category": [one, kind, kind]},
        {"category": [one, unknown]},
        {"scope": {"coding": [{"code": "research"}]}},
        {"provision": {}},
    ):
        with pytest.raises(Unprocessable):
            await store.create(gate, whole | wrong)
