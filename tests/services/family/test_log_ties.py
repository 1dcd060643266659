"""Who knows whom, from the store and the register; a question that nobody answers; words of a line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from varde.app import House, build
from varde.clock import SetClock
from varde.db import Database
from varde.edges.registers import PostalAddress, RegisteredPerson
from varde.edges.registers.embedded import fill
from varde.fhir.errors import Conflict, NotFound
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.services.family import log_flow, log_questions
from varde.services.family.log_ties import RegisteredTies
from varde.settings import Settings
from varde.trust.access import ROLE_SYSTEM
from varde.trust.audit import Who
from varde.trust.log.findings import listed
from varde.trust.log.lines import Wanted, lines
from varde.trust.log.shielded import SHIELDED
from varde.trust.log.snooping import Kind
from varde.trust.log.watching import Tie
from varde.trust.persons import FNR, HPR, make_number
from varde.trust.scope import Scope
from varde.web.languages import Speech, catalog

NURSE, LEADER = "8100001", "8100002"
BORN = {"nurse": date(1985, 1, 1), "child": date(2018, 2, 2), "spouse": date(1984, 3, 3), "neighbour": date(1970, 4, 4),
        "colleague": date(1990, 5, 5), "stranger": date(1960, 6, 6), "famous": date(1950, 7, 7)}  # fmt: skip
NUMBER = {
    name: next(made for n in range(100) if (made := make_number(born, (100 if born.year < 2000 else 600) + n)))
    for name, born in BORN.items()
}
HOME = PostalAddress(("Storgata 5",), "9008", "TROMSØ")
ADDRESSES = {
    "nurse": HOME,
    "child": HOME,
    "spouse": HOME,
    "neighbour": PostalAddress(("Storgata 12 B",), "9008", "TROMSØ"),
}
SPEECH = Speech("nb", catalog("nb"))


def _worker(hpr: str, number: str | None, *roles: str, **more: Any) -> list[dict[str, Any]]:
    identifiers = [{"system": HPR, "value": hpr}] + ([{"system": FNR, "value": number}] if number else [])
    return [
        {"resourceType": "Practitioner", "id": f"p{hpr}", "identifier": identifiers,
         "name": [{"text": f"Ansatt {hpr}"}], **more},
        {"resourceType": "PractitionerRole", "id": f"r{hpr}", "active": True,
         "practitioner": {"reference": f"Practitioner/p{hpr}"}, "organization": {"reference": "Organization/ward"},
         "code": [{"coding": [{"system": ROLE_SYSTEM, "code": role}], "text": role} for role in roles]},
    ]  # fmt: skip


@pytest.fixture
async def house(database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[House]:
    made = build(Settings(data=tmp_path, database_url=database.url), process="test", clock=clock)
    patients = [
        {"resourceType": "Patient", "id": name, "birthDate": born.isoformat(), "name": [{"text": name.title()}],
         "identifier": [{"system": FNR, "value": NUMBER[name]}],
         **({"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "CEL"}]}}
            if name == "famous" else {})}
        for name, born in BORN.items()
    ]  # fmt: skip
    await made.platform.store.write_many(
        made.platform.access.for_system("test"),
        [
            {"resourceType": "Organization", "id": "ward", "name": "Hudavdelingen"},
            *_worker(NURSE, NUMBER["nurse"], "nurse"),
            *_worker(LEADER, None, "doctor", "leader"),
            *_worker("8100003", NUMBER["colleague"], "secretary"),
            *patients,
        ],
    )
    persons = [
        RegisteredPerson(
            NUMBER[name], name, born, address=ADDRESSES.get(name),
            children=(NUMBER["child"],) if name == "nurse" else (),
            parents=(NUMBER["nurse"],) if name == "child" else (),
        )
        for name, born in BORN.items()
    ]  # fmt: skip
    async with database.transaction() as connection:
        await fill(connection, persons, {})
    yield made
    await made.close()


async def test_who_knows_whom(house: House) -> None:
    """FAM-37, by the employer's directory and the population register."""
    pairs = [(hpr, "ward", resource_key("Patient", one)) for hpr in (NURSE, LEADER) for one in BORN]
    async with house.platform.database.transaction() as connection:
        found = await RegisteredTies(house.platform).of(connection, pairs)
        assert await RegisteredTies(house.platform).of(connection, []) == {}
    of_nurse = {one: found[NURSE, "ward", resource_key("Patient", one)] for one in BORN}
    assert of_nurse == {
        "nurse": Tie(own=True, household=True, neighbour=True),
        "child": Tie(family=True, household=True, neighbour=True),
        "spouse": Tie(household=True, neighbour=True), "neighbour": Tie(neighbour=True),
        "colleague": Tie(colleague=True), "stranger": Tie(), "famous": Tie(known=True),
    }  # fmt: skip
    # Of one whose number nobody told, only the work is known.
    of_leader = {one: found[LEADER, "ward", resource_key("Patient", one)] for one in BORN}
    assert {one for one, tie in of_leader.items() if tie != Tie()} == {"nurse", "colleague", "famous"}


async def _looked_at(house: House, whom: str, hpr: str = NURSE) -> Scope:
    """Somebody of the ward looks at a patient, whose own scope is returned."""
    who = Who("staff", hpr, f"Ansatt {hpr}", "sykepleier", "ward", "Hudavdelingen", None, "TREAT", "treatment", "Varde")
    told = Disclosure(Interaction.READ, "Patient", [whom], [resource_key("Patient", whom)])
    await house.log.write(who, told, None)
    return (await house.platform.access.for_patient(NUMBER[whom]))[0]


async def _ask(house: House, scope: Scope) -> log_questions.Question:
    async with house.platform.database.connection() as connection:
        (line,) = (await lines(connection, scope, Wanted())).lines
    await log_questions.ask(house.platform, scope, line, "Ansatt så", "Hvorfor?")
    with pytest.raises(Conflict):
        await log_questions.ask(house.platform, scope, line, "Ansatt så", "Hvorfor?")
    (asked,) = await log_questions.asked(house.platform, scope)
    return asked


async def test_a_question_that_nobody_answers_comes_to_the_privacy_officer(house: House, clock: SetClock) -> None:
    scope = await _looked_at(house, "stranger")
    asked = await _ask(house, scope)
    assert asked.deadline == clock.now() + timedelta(days=house.platform.settings.log_answer_days)
    clock.advance(timedelta(days=31))
    await house.worker(recurring=False).drain(clock.now())
    async with house.platform.database.connection() as connection:
        found, _ = await listed(connection)
    assert [(one.kind, one.patient) for one in found] == [(Kind.UNANSWERED, resource_key("Patient", "stranger"))]


async def test_one_that_is_answered_in_time_does_not(house: House, clock: SetClock) -> None:
    asked = await _ask(house, await _looked_at(house, "stranger"))
    leader = (await house.platform.access.for_staff(LEADER))[0]
    assert [one.id for one in await log_questions.waiting(house.platform, leader)] == [asked.id]
    question, about = await log_questions.to_answer(house.platform, leader, asked.id)
    assert about == f"Ansatt {NURSE}"
    await log_questions.answer(house.platform, leader, question, "Fordi.")
    with pytest.raises(Conflict):
        await log_questions.answer(house.platform, leader, question, "Igjen.")
    clock.advance(timedelta(days=31))
    await house.worker(recurring=False).drain(clock.now())
    async with house.platform.database.connection() as connection:
        assert (await listed(connection))[0] == []


async def test_nobody_answers_for_themselves_or_for_another_ward(house: House) -> None:
    asked = await _ask(house, await _looked_at(house, "stranger", LEADER))
    for hpr in (LEADER, NURSE):
        scope = (await house.platform.access.for_staff(hpr))[0]
        assert await log_questions.leads(house.platform, scope) == (hpr == LEADER)
        with pytest.raises(NotFound):
            await log_questions.to_answer(house.platform, scope, asked.id)
    leader = (await house.platform.access.for_staff(LEADER))[0]
    assert await log_questions.waiting(house.platform, leader) == []


async def test_a_question_about_one_under_threat_tells_the_patient_no_name(house: House) -> None:
    """FAM-41: nor in the Task that the patient may read over FHIR; the ward's head still learns who it was."""
    hidden = {"extension": [{"url": SHIELDED, "valueBoolean": True}]}
    await house.platform.store.write_many(
        house.platform.access.for_system("test"), _worker(NURSE, NUMBER["nurse"], "nurse", **hidden)
    )
    scope = await _looked_at(house, "stranger")
    overview = await log_flow.overview(house.platform, scope, Wanted(), None, SPEECH)
    assert [line.who for line in overview.lines] == ["En ansatt ved Hudavdelingen"]
    asked = await _ask(house, scope)
    stored = await house.platform.store.read(scope, "Task", asked.id)
    assert NURSE.encode() not in stored.body
    leader = (await house.platform.access.for_staff(LEADER))[0]
    assert (await log_questions.to_answer(house.platform, leader, asked.id))[1] == f"Ansatt {NURSE}"
