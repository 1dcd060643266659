"""Mandates on a real store: what is withdrawn is withdrawn at the next request, an answer of the register is used for
an hour at most by the clock, an outage is waited for, and nobody writes a decision that is another's to make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.trust.region import CHILD, KARI, OLA, STRANGER, YOUTH, everybody
from varde.clock import SetClock
from varde.db import Database
from varde.fhir.errors import Forbidden, Unavailable, Unprocessable
from varde.fhir.store import Store
from varde.trust import consents
from varde.trust.access import Access, Person
from varde.trust.audit import AuditLog
from varde.trust.consents import AccessDecision, ChildWelfare, PowerOfAttorney, Reservation, YouthAccess
from varde.trust.granted import Granted, may_write
from varde.trust.law.mandate import Bond, Facts
from varde.trust.law.table import Relation
from varde.trust.law.things import Thing
from varde.trust.mandates import Bound, Guardian, Relative
from varde.trust.policy import ActorKind
from varde.trust.registered import RegisteredMandates, forget, sweep
from varde.trust.scope import Actor, Scope
from varde.trust.smart.grant import grant_of

HOME = Facts((Bond(Relation.PARENT_AT_HOME),))
SELF = Facts((Bond(Relation.SELF),))


@dataclass
class Register:
    """A population register that counts what it is asked."""

    known: dict[str, Relative] = field(default_factory=dict)
    asked: list[Sequence[str]] = field(default_factory=list)
    away: bool = False

    async def relatives(self, numbers: Sequence[str]) -> Mapping[str, Relative]:
        self.asked.append(tuple(numbers))
        if self.away:
            raise Unavailable.of("away")
        return {number: self.known[number] for number in numbers if number in self.known}


@dataclass
class Place:
    """The region, its register, and the mandates over both."""

    store: Store
    access: Access
    database: Database
    clock: SetClock
    register: Register
    mandates: RegisteredMandates

    async def write(self, decision: AccessDecision, gate: Scope | None = None) -> AccessDecision:
        resource = consents.to_fhir(decision)
        gate = gate or self.access.for_system("test")
        if decision.id is not None:
            written = await self.store.update(gate, "Consent", decision.id, resource)
        else:
            written = await self.store.create(gate, resource)
        return replace(decision, id=written.stored.id)

    async def facts(self, asker: str, patient: str) -> Facts:
        one, other = await self.person(asker), await self.person(patient)
        return await self.mandates.facts(one, other)

    async def person(self, number: str) -> Person:
        found = await self.access.person(number)
        assert found is not None
        return found


@pytest.fixture
async def place(database: Database, clock: SetClock) -> AsyncIterator[Place]:
    register = Register(
        {
            KARI: Relative(KARI, home="h", children=(CHILD, YOUTH), wards=(OLA,)),
            OLA: Relative(OLA, home="x", guardians=(Guardian(KARI, frozenset({Thing.LETTERS})),)),
            CHILD: Relative(CHILD, home="h", parents=(KARI,)),
            YOUTH: Relative(YOUTH, home="h", parents=(KARI, STRANGER)),
        }
    )
    store = Store(database, clock, (Granted(),))
    log = AuditLog(database, clock)
    mandates = RegisteredMandates(database, clock, register)
    access = Access(store, clock, log, mandates)
    await store.write_many(access.for_system("test"), everybody())
    yield Place(store, access, database, clock, register, mandates)
    await log.stop()


def power(place: Place, **changed: Any) -> PowerOfAttorney:
    given: dict[str, Any] = {
        "patient": "ola", "receiver": "kari", "things": frozenset({"results"}), "at": place.clock.now(),
        "by": "Patient/ola",
    }  # fmt: skip
    return PowerOfAttorney(**(given | changed))


async def test_the_register_is_asked_once_an_hour_by_the_clock_fam_15(place: Place) -> None:
    assert await place.facts(KARI, CHILD) == HOME
    assert len(place.register.asked) == 1
    place.register.known[CHILD] = replace(place.register.known[CHILD], parents=())
    place.clock.advance(timedelta(minutes=59, seconds=59))
    assert await place.facts(KARI, CHILD) == HOME
    assert len(place.register.asked) == 1
    place.clock.advance(timedelta(seconds=1))
    assert await place.facts(KARI, CHILD) == Facts(())
    assert len(place.register.asked) == 2


async def test_parents_who_are_not_at_hand_are_asked_for_too_fam_02(place: Place) -> None:
    assert await place.facts(KARI, YOUTH) == HOME
    # The other parent, whom the register does not know, is remembered as unknown.
    assert place.register.asked == [tuple(sorted((KARI, YOUTH))), (STRANGER,)]
    await place.facts(KARI, YOUTH)
    assert len(place.register.asked) == 2


async def test_a_change_that_the_register_tells_of_counts_at_once(place: Place) -> None:
    assert await place.facts(KARI, CHILD) == HOME
    place.register.known[KARI] = replace(place.register.known[KARI], protected=True, home=None)
    async with place.database.connection() as connection:
        await forget(connection, [KARI])
    assert (await place.facts(KARI, CHILD)).protected


async def test_a_change_is_known_by_a_former_number_too(place: Place) -> None:
    place.register.known[CHILD] = replace(place.register.known[CHILD], former=("41890012345",))
    await place.facts(KARI, CHILD)
    async with place.database.connection() as connection:
        await forget(connection, ["41890012345"])
        assert not await connection.fetchval("select count(*) from trust_relative where number = $1", CHILD)


async def test_an_outage_is_waited_for_and_an_old_answer_never_used(place: Place) -> None:
    assert await place.facts(KARI, CHILD) == HOME
    place.register.away = True
    assert await place.facts(KARI, CHILD) == HOME
    place.clock.advance(timedelta(hours=1))
    with pytest.raises(Unavailable):
        await place.facts(KARI, CHILD)
    # One's own things need no register.
    assert await place.facts(KARI, KARI) == SELF
    place.register.away = False
    assert await place.facts(KARI, CHILD) == HOME


async def test_what_is_kept_tells_neither_name_nor_address_and_goes_away(place: Place) -> None:
    await place.facts(KARI, CHILD)
    async with place.database.connection() as connection:
        kept = " ".join(row["known"] for row in await connection.fetch("select known from trust_relative"))
        assert "Nordmann" not in kept
        place.clock.advance(timedelta(hours=1))
        assert await sweep(connection, place.clock.now()) == 2


def test_no_answer_is_used_longer_than_an_hour_fam_15(database: Database, clock: SetClock) -> None:
    with pytest.raises(ValueError, match="FAM-15"):
        RegisteredMandates(database, clock, Register(), fresh=timedelta(hours=1, seconds=1))


async def test_a_power_holds_from_the_writing_and_ends_with_the_withdrawing_fam_12(place: Place) -> None:
    guardian = Bond(Relation.GUARDIAN, frozenset({Thing.LETTERS}))
    assert await place.facts(KARI, OLA) == Facts((guardian,))
    given = await place.write(power(place, ends=place.clock.now() + timedelta(days=2)))
    attorney = Bond(Relation.ATTORNEY, frozenset({Thing.RESULTS}))
    assert await place.facts(KARI, OLA) == Facts((guardian, attorney))
    await place.write(replace(given, withdrawn=True))
    assert await place.facts(KARI, OLA) == Facts((guardian,))
    await place.write(given)
    place.clock.advance(timedelta(days=2))
    assert await place.facts(KARI, OLA) == Facts((guardian,))


async def test_a_deleted_consent_gives_nothing(place: Place) -> None:
    given = await place.write(power(place))
    assert len((await place.facts(KARI, OLA)).bonds) == 2
    await place.store.delete(place.access.for_system("test"), "Consent", given.id or "")
    assert len((await place.facts(KARI, OLA)).bonds) == 1


async def test_either_parent_gives_and_withdraws_youth_access_at_once_fam_07(place: Place) -> None:
    assert not (await place.facts(YOUTH, YOUTH)).youth_access
    await place.write(YouthAccess(patient="youth", at=place.clock.now(), by="Patient/kari"))
    assert (await place.facts(YOUTH, YOUTH)).youth_access
    place.clock.advance(timedelta(minutes=1))
    await place.write(YouthAccess(patient="youth", at=place.clock.now(), by="Patient/stranger", withdrawn=True))
    assert not (await place.facts(YOUTH, YOUTH)).youth_access


async def test_child_welfares_flag_is_seen_at_the_next_request_fam_20(place: Place) -> None:
    flag = await place.write(ChildWelfare(patient="child", at=place.clock.now()))
    assert (await place.facts(KARI, CHILD)).placed
    await place.write(replace(flag, withdrawn=True))
    assert not (await place.facts(KARI, CHILD)).placed


async def test_whom_one_may_act_for_and_who_acts_for_one(place: Place) -> None:
    given = await place.write(power(place))
    kari, ola = await place.person(KARI), await place.person(OLA)
    assert await place.mandates.whom(kari) == Bound((CHILD, YOUTH, OLA), ("ola",))
    assert await place.mandates.who(ola) == Bound((KARI,), ("kari",))
    await place.write(replace(given, withdrawn=True))
    assert await place.mandates.whom(kari) == Bound((CHILD, YOUTH, OLA))
    assert await place.mandates.who(ola) == Bound((KARI,))


async def test_facts_take_one_round_trip_when_the_register_was_asked_lately(place: Place) -> None:
    kari, child = await place.person(KARI), await place.person(CHILD)
    await place.mandates.facts(kari, child)
    statements: list[str] = []
    original = place.database.connection

    class Counted:
        def __init__(self) -> None:
            self.inner = original()

        async def __aenter__(self) -> Any:
            statements.append("connection")
            return await self.inner.__aenter__()

        async def __aexit__(self, *error: Any) -> Any:
            return await self.inner.__aexit__(*error)

    place.database.connection = Counted  # type: ignore[method-assign,assignment]
    await place.mandates.facts(kari, child)
    assert len(statements) == 1


@pytest.mark.parametrize("lacking", ["patient", "provision", "dateTime"])
async def test_half_a_decision_is_not_stored(place: Place, lacking: str) -> None:
    resource = consents.to_fhir(power(place))
    del resource[lacking]
    with pytest.raises(Unprocessable):
        await place.store.create(place.access.for_system("test"), resource)


def scope(place: Place, kind: ActorKind, person: str, patient: str | None, *, app: bool = False) -> Scope:
    grant = grant_of([]) if app else None
    made = place.access.for_system("test")
    return replace(made, actor=Actor(kind, person, person), patient=patient, write_types=frozenset({"Consent"}),
                   types=None, grant=grant)  # fmt: skip


WRITERS = [
    # (who writes, for whom, what, may they)
    (ActorKind.PATIENT, "ola", "ola", {}, True),
    (ActorKind.REPRESENTATIVE, "kari", "ola", {}, False),
    (ActorKind.REPRESENTATIVE, "kari", "ola", {"withdrawn": True}, True),
]


@pytest.mark.parametrize(("kind", "person", "patient", "changed", "may"), WRITERS)
async def test_a_power_is_given_by_oneself_and_given_up_by_either_fam_12_fam_17(
    place: Place, kind: ActorKind, person: str, patient: str, changed: dict[str, Any], may: bool
) -> None:
    given = await place.write(power(place))
    gate = scope(place, kind, person, patient)
    if may:
        await place.write(replace(given, **changed), gate)
    else:
        with pytest.raises(Forbidden):
            await place.write(given, gate)


async def test_nobody_gives_themselves_youth_access_and_no_patient_makes_staffs_decisions(place: Place) -> None:
    now = place.clock.now()
    access = YouthAccess(patient="youth", at=now, by="Patient/youth")
    with pytest.raises(Forbidden):
        await place.write(access, scope(place, ActorKind.PATIENT, "youth", "youth"))
    await place.write(access, scope(place, ActorKind.REPRESENTATIVE, "kari", "youth"))
    flag = await place.write(ChildWelfare(patient="child", at=now))
    for kind, person in ((ActorKind.PATIENT, "child"), (ActorKind.REPRESENTATIVE, "kari")):
        with pytest.raises(Forbidden):
            await place.write(replace(flag, withdrawn=True), scope(place, kind, person, "child"))
    await place.write(
        Reservation(patient="ola", at=now, service="letters"), scope(place, ActorKind.PATIENT, "ola", "ola")
    )
    assert may_write(consents.Kind.RESERVATION, scope(place, ActorKind.PATIENT, "ola", "ola"), {})
    assert not may_write(consents.Kind.RESERVATION, scope(place, ActorKind.PATIENT, "ola", "ola", app=True), {})
