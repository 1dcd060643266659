"""Letters to a person of 12 to 15 follow the clinician's assessment of the referral: who is told, who may open, and
whom paper goes to (LET-02, LET-13, FAM-04, FAM-19, FAM-21, table A). In a whole house on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import orjson
import pytest

from tests.services.family.household import AWAY, SECRETARY, Household, household_on
from tests.services.family.test_youth import assess, decide
from varde.clock import SetClock
from varde.fhir.errors import NotFound
from varde.services.letters import flow
from varde.services.letters.model import Letter
from varde.services.letters.rules import Channel, State
from varde.services.letters.views import Filters, Order
from varde.trust.consents import Paper

PARENT, OTHER, YOUNG = "Kari Nord", "Ola Nord", "Liv Nord"


@pytest.fixture
async def home(database_url: str, clock: SetClock, tmp_path: Path) -> AsyncIterator[Household]:
    """A young person who logs in, a parent at home and one elsewhere, both of whom read digitally."""
    async with household_on(database_url, clock, tmp_path) as made:
        await made.add(PARENT, date(1980, 5, 17))
        await made.add(OTHER, date(1979, 3, 2), address=AWAY)
        await made.add(YOUNG, date(2012, 3, 1), parents=[PARENT, OTHER])
        await decide(made, PARENT, give=True)
        await made.drain()
        yield made


async def sent(home: Household) -> Letter:
    """The secretary sends the summons, and what is due at once is done."""
    scope = await home.staff(SECRETARY)
    order = Order("summons", {"preparation": "Kom fastende.", "message": ""}, (), everyone=True)
    await flow.send(home.platform, scope, order, "one")
    await home.drain()
    return await standing(home)


async def standing(home: Household) -> Letter:
    (listed,), _ = await flow.letters(home.platform, await home.staff(SECRETARY), Filters())
    return listed.letter


async def opens(home: Household, name: str, letter: Letter) -> bool:
    """Whether somebody can open it."""
    try:
        await flow.open_letter(home.platform, await home.scope(name, YOUNG), letter.id)
    except NotFound:
        return False
    return True


async def papers(home: Household) -> list[str]:
    """Who stands on the envelopes of what was printed, ten days on."""
    await home.until(home.clock.now() + timedelta(days=10))
    async with home.platform.database.connection() as connection:
        rows = await connection.fetch("select payload from work_outbox where edge = 'post'")
    return [orjson.loads(row["payload"])["recipient"]["name"] for row in rows]


async def test_fam_21_a_parent_at_home_who_is_named_reads_it_and_there_is_no_paper(home: Household) -> None:
    before = {name: await home.told(name) for name in home.people}
    await assess(home, await home.referral(YOUNG), YOUNG, PARENT)
    letter = await sent(home)
    assert (letter.channel, letter.reason) == (Channel.DIGITAL, "youth-digital")
    told = {name: await home.told(name) - before[name] for name in home.people}
    assert told == {PARENT: 1, OTHER: 0, YOUNG: 1}
    assert [await opens(home, name, letter) for name in (OTHER, PARENT)] == [False, True]
    assert await papers(home) == []


async def test_fam_19_opened_to_the_young_person_alone_the_parents_get_paper_unless_the_clinician_says_otherwise(
    home: Household,
) -> None:
    await assess(home, await home.referral(YOUNG), YOUNG)
    letter = await sent(home)
    assert (letter.channel, letter.reason) == (Channel.BOTH, "parent-at-home")
    assert await papers(home) == [f"Foresatte til {YOUNG}"]


@pytest.mark.parametrize("paper", [Paper.YOUTH, Paper.NONE])
async def test_fam_19_no_parent_hears_of_what_is_the_young_persons_alone(home: Household, paper: Paper) -> None:
    before = {name: await home.told(name) for name in home.people}
    await assess(home, await home.referral(YOUNG), YOUNG, paper=paper)
    letter = await sent(home)
    assert (letter.channel, letter.reason) == (Channel.DIGITAL, "youth-digital")
    told = {name: await home.told(name) - before[name] for name in home.people}
    assert told == {PARENT: 0, OTHER: 0, YOUNG: 1}
    assert [await opens(home, name, letter) for name in (PARENT, OTHER)] == [False, False]
    printed = await papers(home)
    if paper is Paper.YOUTH:
        assert printed == [YOUNG], "unopened, it goes to her in her own name"
    else:
        assert printed == []
        assert (await standing(home)).state is State.FAILED, "the ward has it on its list"


async def test_fam_19_what_is_open_to_nobody_is_paper_to_whom_the_clinician_chose(home: Household) -> None:
    before = {name: await home.told(name) for name in home.people}
    await assess(home, await home.referral(YOUNG), paper=Paper.NONE)
    letter = await sent(home)
    assert (letter.channel, letter.reason) == (Channel.NONE, "no-paper")
    assert [await opens(home, name, letter) for name in home.people if name != YOUNG] == [False, False]
    assert await papers(home) == []
    assert {name: await home.told(name) for name in home.people} == before


async def test_let_12_an_assessment_that_is_changed_changes_the_way_of_a_letter_under_way(home: Household) -> None:
    referral = await home.referral(YOUNG)
    await assess(home, referral, YOUNG, PARENT)
    assert (await sent(home)).channel is Channel.DIGITAL
    before = await home.told(PARENT)
    await assess(home, referral, YOUNG, paper=Paper.NONE)
    assert await papers(home) == []
    assert await home.told(PARENT) == before, "no reminder of what is hers no more to see"
    assert (await standing(home)).state is State.FAILED
