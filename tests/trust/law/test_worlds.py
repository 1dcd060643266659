"""The law in SQL against the law in words, over worlds that nobody thought of: ages, bonds, referrals, ties in any
order, assessments, marks and codes. What the gate shows is, resource by resource, what `explain` lets be seen; ties are
followed here from the resources themselves, there from the store's index."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varde.clock import SetClock, today
from varde.db import Database
from varde.fhir.errors import NotFound
from varde.fhir.gate import Interaction
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.consents import ReferralAssessment, to_fhir
from varde.trust.law.explaining import Asking, Recorded, explain
from varde.trust.law.mandate import Bond, Facts, mandate_of
from varde.trust.law.marks import MARK, OPENS, RESTRICTION
from varde.trust.law.table import Relation
from varde.trust.law.things import LETTER_CATEGORY, SNOMED, Thing
from varde.trust.policy import ActorKind, entry
from varde.trust.referrals import Assessments
from varde.trust.scope import Actor, Scope, patient_types

Resource = dict[str, Any]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
KINDS: Mapping[str, tuple[str, str, str]] = {
    # kind: (type, where it names what it is tied to, where it names what is tied to it)
    "referral": ("ServiceRequest", "basedOn", ""),
    "order": ("ServiceRequest", "basedOn", ""),
    "episode": ("EpisodeOfCare", "referralRequest", ""),
    "encounter": ("Encounter", "basedOn", ""),
    "appointment": ("Appointment", "basedOn", ""),
    "letter": ("Communication", "basedOn", ""),
    "dialogue": ("Communication", "partOf", ""),
    "report": ("DiagnosticReport", "basedOn", "result"),
    "result": ("Observation", "basedOn", "hasMember"),
    "plan": ("CarePlan", "basedOn", ""),
    "form": ("QuestionnaireResponse", "basedOn", ""),
    "document": ("DocumentReference", "context", ""),
    "task": ("Task", "basedOn", ""),
    "vaccine": ("Immunization", "", ""),
    "family": ("RelatedPerson", "", ""),
}
MARKS = ("parents", "youth", "youth-alone", "primary-care")
CODES = ("N", "NORU", "NORN_FORANS", "NORN_UNGDOM", "NORS")
MOMENTS = ("2026-11-01T00:00:00Z", "2026-11-24T09:00:00Z", "2026-11-24T09:00:01Z", "2027-01-01T00:00:00Z", "soon",
           "2026-11-24T10:30:00+02:00")  # fmt: skip


@dataclass(frozen=True)
class Made:
    """One resource of a world: what it is, which others (by place) it names, what it is marked with."""

    kind: str
    up: tuple[int, ...]
    down: tuple[int, ...]
    logical: bool
    marks: tuple[str, ...]
    codes: tuple[str, ...]
    moments: tuple[str, ...]


@dataclass(frozen=True)
class Assessed:
    """One assessment of the referral at a place: to whom, when, whether it was withdrawn."""

    place: int
    to: frozenset[str]
    hours: int
    withdrawn: bool


def some(values: Any, most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """None twice as often as any."""
    several = st.lists(values, max_size=most, unique=True).map(tuple)
    return st.one_of(st.just(()), several)


def seldom(one_in: int) -> st.SearchStrategy[bool]:
    return st.integers(1, one_in).map(lambda n: n == one_in)


PLACES = st.integers(0, 8)
MADE = st.builds(
    Made, st.sampled_from([*KINDS, "referral", "referral"]), st.lists(PLACES, max_size=2, unique=True).map(tuple),
    some(PLACES), seldom(8), some(st.sampled_from(MARKS)), some(st.sampled_from(CODES)), some(st.sampled_from(MOMENTS)),
)  # fmt: skip
BONDS = st.builds(
    Bond, st.sampled_from([one for one in Relation if one not in {Relation.SELF, Relation.NONE}]),
    st.one_of(st.none(), st.frozensets(st.sampled_from(list(Thing)), min_size=1)), st.booleans(),
)  # fmt: skip
FACTS = st.builds(
    Facts, st.one_of(st.just((Bond(Relation.SELF),)), st.just((Bond(Relation.PARENT_AT_HOME),)),
                     st.lists(BONDS, max_size=2).map(tuple)),
    st.booleans(), seldom(8), seldom(8), seldom(10),
)  # fmt: skip
ASSESSED = st.builds(
    Assessed, PLACES, st.frozensets(st.sampled_from(["patient", "asker", "other"])), st.integers(-3, 1), seldom(5)
)


class World:
    """A generated world as FHIR, and a naive reading of its ties and assessments."""

    def __init__(self, made: list[Made], assessed: list[Assessed], *, own: bool) -> None:
        mark = uuid4().hex[:12]
        self.made = made
        self.patient = f"patient-{mark}"
        self.asker = self.patient if own else f"asker-{mark}"
        self.people = {"patient": self.patient, "asker": self.asker, "other": f"other-{mark}"}
        self.ids = [f"{place}-{mark}" for place in range(len(made))]
        self.resources = [self._resource(place) for place in range(len(made))]
        self.assessed = [
            one for one in assessed if one.place < len(made) and KINDS[made[one.place].kind][0] == "ServiceRequest"
        ]
        self.consents = [
            to_fhir(
                ReferralAssessment(
                    id=f"consent-{number}-{mark}", patient=self.patient, referral=self.ids[one.place],
                    at=NOW + timedelta(hours=one.hours, minutes=number), withdrawn=one.withdrawn,
                    opened_to=frozenset(self.people[who] for who in one.to), consented=NOW - timedelta(days=1),
                )
            )
            for number, one in enumerate(self.assessed)
        ]  # fmt: skip

    def _reference(self, place: int) -> Resource:
        if place < len(self.made):
            return {"reference": f"{KINDS[self.made[place].kind][0]}/{self.ids[place]}"}
        return {"reference": f"Encounter/nowhere-{self.patient}"}

    def _resource(self, place: int) -> Resource:
        one = self.made[place]
        kind, up, down = KINDS[one.kind]
        about = {"reference": f"Patient/{self.patient}"}
        whose: Resource = {"subject": about}
        if kind in {"EpisodeOfCare", "Immunization", "RelatedPerson"}:
            whose = {"patient": about}
        elif kind == "Task":
            whose = {"for": about}
        elif kind == "Appointment":
            whose = {"participant": [{"actor": about}]}
        made: Resource = {"resourceType": kind, "id": self.ids[place], **whose}
        labels = [*((MARK, code) for code in one.marks), *((RESTRICTION, code) for code in one.codes),
                  *((OPENS, moment) for moment in one.moments)]  # fmt: skip
        if labels:
            made["meta"] = {"security": [{"system": system, "code": code} for system, code in labels]}
        tied = [self._reference(other) for other in one.up]
        tied += [{"identifier": {"system": "urn:x", "value": "elsewhere"}}] if one.logical else []
        if tied and up:
            made[up] = {"encounter": tied} if up == "context" else tied
        if down and one.down:
            made[down] = [self._reference(other) for other in one.down]
        if one.kind == "letter":
            made["category"] = [{"coding": [{"system": LETTER_CATEGORY[0], "code": LETTER_CATEGORY[1]}]}]
        elif one.kind == "order":
            made["category"] = [{"coding": [{"system": SNOMED, "code": "108252007"}]}]
        return made

    def _above(self, place: int) -> set[int]:
        """What the resource at a place is tied to."""
        one = self.made[place]
        named = set(one.up) if KINDS[one.kind][1] else set()
        naming = {
            other
            for other, its in enumerate(self.made)
            if KINDS[its.kind][2] and place in its.down
        }  # fmt: skip
        return {other for other in named | naming if other < len(self.made)}

    def opened(self, place: int) -> frozenset[int] | None:
        """To whom all referrals of the resource at a place are open; None where one is not assessed, or without any."""
        seen, waiting = {place}, [place]
        while waiting:
            for other in self._above(waiting.pop()) - seen:
                seen.add(other)
                waiting.append(other)
        if any(self._lost(self.made[one]) for one in seen):
            return None
        found = [self._assessment(one) for one in seen if self.made[one].kind == "referral"]
        if not found or any(one is None for one in found):
            return None
        return frozenset.intersection(*(one for one in found if one is not None))

    @staticmethod
    def _lost(one: Made) -> bool:
        """Whether it is tied to something that cannot be followed, and to nothing else in the same place."""
        return bool(KINDS[one.kind][1]) and one.logical and not one.up

    def _assessment(self, place: int) -> frozenset[int] | None:
        valid = [
            (NOW + timedelta(hours=one.hours, minutes=number), one)
            for number, one in enumerate(self.assessed)
            if one.place == place and not one.withdrawn
        ]
        come = [(at, one) for at, one in valid if at <= NOW]
        if not come:
            return None
        latest = max(come, key=lambda pair: pair[0])[1]
        return frozenset(resource_key("Patient", self.people[who]) for who in latest.to)


@pytest.mark.parametrize("examples", [80])
async def test_what_the_gate_shows_is_what_the_law_says(database: Database, clock: SetClock, examples: int) -> None:
    store = Store(database, clock, (Assessments(),))
    log = AuditLog(database, clock)
    house = Access(store, clock, log).for_system("test")
    loop = asyncio.get_running_loop()
    day = today(clock)
    shown = 0

    async def check(made: list[Made], assessed: list[Assessed], facts: Facts, years: int, asker_years: int) -> None:
        nonlocal shown
        own = facts.bonds == (Bond(Relation.SELF),)
        world = World(made, assessed, own=own)
        born = day.replace(year=day.year - years)
        asker_born = born if own else day.replace(year=day.year - asker_years)
        person = {"resourceType": "Patient", "id": world.patient, "birthDate": date(2005, 1, 1).isoformat()}
        everything = [*world.resources, *world.consents, person]
        # The other way round: what is tied is written before what it is tied to.
        await store.write_many(house, [person], checked=True)
        for resource in reversed(everything[:-1]):
            await store.write_many(house, [resource], checked=True)
        mandate = mandate_of(facts, born, day, asker_born=asker_born)
        kind = ActorKind.PATIENT if own else ActorKind.REPRESENTATIVE
        scope = Scope(
            Actor(kind, world.asker, "Somebody"), entry(mandate).ground, "PATRQT", log, clock, patient=world.patient,
            types=patient_types(), mandate=mandate,
        )  # fmt: skip
        asking = Asking(resource_key("Patient", world.asker), asker_born, born, facts, day, NOW)
        expected = {
            f"{resource['resourceType']}/{resource['id']}"
            for place, resource in enumerate(everything)
            if explain(
                Recorded.of(resource, world.opened(place) if place < len(world.made) else None), asking
            ).allowed
        }  # fmt: skip
        shown += len(expected)
        page = await store.search(scope, None, "_lastUpdated=gt2020&_count=100")
        found = {one.stored.reference for one in page.entries}
        assert found == expected, (facts, years)
        for one in {resource["resourceType"] for resource in everything}:
            page = await store.search(scope, one, "_count=100&_total=accurate")
            mine = {reference for reference in expected if reference.startswith(f"{one}/")}
            assert {entry.stored.reference for entry in page.entries} == mine
            assert page.total == len(mine)
        for resource in everything:
            kind_of, identifier = resource["resourceType"], resource["id"]
            try:
                await store.read(scope, kind_of, identifier)
                seen = True
            except NotFound:
                seen = False
            assert seen is (f"{kind_of}/{identifier}" in expected)
        assert scope.allows(Interaction.VREAD, "Observation") is mandate.whole

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(MADE, max_size=8), st.lists(ASSESSED, max_size=5), FACTS,
        st.sampled_from([5, 11, 12, 13, 14, 15, 14, 15, 16, 17, 18, 40]), st.sampled_from([14, 16, 17, 18, 40, 40]),
    )  # fmt: skip
    def run(made: list[Made], assessed: list[Assessed], facts: Facts, years: int, asker_years: int) -> None:
        asyncio.run_coroutine_threadsafe(check(made, assessed, facts, years, asker_years), loop).result(60)

    await asyncio.to_thread(run)
    assert shown > examples // 8, "the worlds show something"
    await log.stop()
