"""Birthdays by the clock (FAM-10): the days and moments, and what midnight does for a family, with nobody doing
anything."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.family.household import AWAY, Household
from varde.clock import OSLO
from varde.fhir.keys import bucket_of, new_id
from varde.services.family import birthdays, telling
from varde.services.family.notices import Kind, awake
from varde.trust.persons import age


@given(st.dates(date(1990, 1, 1), date(2020, 12, 31)), st.sampled_from(birthdays.YEARS))
def test_everybody_has_one_birthday_a_year_also_those_of_29_february(born: date, years: int) -> None:
    days = [date(born.year + years, month, day) for month, day in ((born.month, born.day), (2, 28), (3, 1))
            if (month, day) != (2, 29) or (born.year + years) % 4 == 0]  # fmt: skip
    turning = [day for day in dict.fromkeys(days) if born in birthdays.born_then(day, years)]
    assert len(turning) == 1
    assert age(born, turning[0]) == years and age(born, turning[0] - timedelta(days=1)) == years - 1


def test_midnight_is_norwegian_in_summer_and_winter() -> None:
    assert birthdays.midnight(date(2026, 7, 1)).astimezone(OSLO).hour == 0
    assert birthdays.midnight(date(2026, 7, 1)).utcoffset() == timedelta(hours=2)
    assert birthdays.midnight(date(2026, 12, 1)).utcoffset() == timedelta(hours=1)


def test_lets_people_sleep() -> None:
    assert awake(datetime(2026, 11, 25, 0, 0, tzinfo=OSLO)) == datetime(2026, 11, 25, 8, 0, tzinfo=OSLO)
    assert awake(datetime(2026, 11, 25, 22, 0, tzinfo=OSLO)) == datetime(2026, 11, 26, 8, 0, tzinfo=OSLO)
    assert awake(datetime(2026, 11, 25, 9, 0, tzinfo=OSLO)) == datetime(2026, 11, 25, 9, 0, tzinfo=OSLO)


MIDNIGHT = datetime(2026, 11, 26, tzinfo=OSLO)
"""The tests' clock begins two days before."""


async def family(home: Household, born: date) -> None:
    """Two parents, one of them living elsewhere, and a child."""
    await home.add("Kari Nord", date(1980, 5, 17))
    await home.add("Ola Nord", date(1979, 3, 2), address=AWAY)
    await home.add("Liv Nord", born, parents=["Kari Nord", "Ola Nord"])


async def kinds(home: Household, name: str) -> list[Kind]:
    """What somebody is told on their page."""
    return [one.kind for one in await telling.told(home.platform, await home.scope(name))]


async def statuses(home: Household, *ids: str) -> list[str]:
    """How forms stand."""
    found = [await home.platform.store.read(home.system(), "QuestionnaireResponse", one) for one in ids]
    return [one.resource["status"] for one in found]


async def test_fam_10_at_16_the_parents_leave_and_the_young_person_takes_over(home: Household) -> None:
    await family(home, date(2010, 11, 26))
    child, mother = home.people["Liv Nord"].id, home.people["Kari Nord"].id
    draft, own = new_id(bucket_of(child)), new_id(bucket_of(child))
    for one, author in ((draft, mother), (own, child)):
        subject, writer = {"reference": f"Patient/{child}"}, {"reference": f"Patient/{author}"}
        await home.put({"resourceType": "QuestionnaireResponse", "id": one, "status": "in-progress",
                        "subject": subject, "author": writer})  # fmt: skip
    await home.drain()
    await home.until(MIDNIGHT - timedelta(seconds=1))
    assert await kinds(home, "Kari Nord") == []
    assert await statuses(home, draft) == ["in-progress"]
    assert (await home.scope("Kari Nord", "Liv Nord")).acting_for == child

    await home.until(MIDNIGHT)
    assert await statuses(home, draft, own) == ["stopped", "in-progress"]
    assert await kinds(home, "Kari Nord") == [Kind.CHILD_16_DRAFTS]
    assert await kinds(home, "Ola Nord") == [Kind.CHILD_16]
    assert await kinds(home, "Liv Nord") == [Kind.OWN_16]
    with pytest.raises(Exception, match="parent-adult"):
        await home.scope("Kari Nord", "Liv Nord")
    assert [await home.told(name) for name in home.people] == [0, 0, 0]
    await home.until(MIDNIGHT + timedelta(hours=9))
    assert [await home.told(name) for name in home.people] == [1, 1, 1]
    await home.until(MIDNIGHT + timedelta(days=2))
    assert [await home.told(name) for name in home.people] == [1, 1, 1]


async def test_fam_03_at_12_the_parents_are_told_that_their_access_is_limited(home: Household) -> None:
    await family(home, date(2014, 11, 26))
    await home.referral("Liv Nord")
    await home.drain()
    assert await home.appointments(await home.scope("Kari Nord", "Liv Nord")) == 1
    await home.until(MIDNIGHT)
    assert await home.appointments(await home.scope("Kari Nord", "Liv Nord")) == 0
    assert await kinds(home, "Kari Nord") == [Kind.CHILD_12]


async def test_a_corrected_birth_date_is_made_up_for_and_the_dead_have_no_birthday(home: Household) -> None:
    await family(home, date(2011, 3, 1))
    child = home.people["Liv Nord"]
    await home.drain()
    resource = (await home.platform.store.read(home.system(), "Patient", child.id)).resource
    await home.put({**resource, "birthDate": "2010-03-01"})
    await home.drain()
    assert await kinds(home, "Kari Nord") == [Kind.CHILD_16]
    await home.put({**resource, "birthDate": "2010-11-27"})
    await home.drain()
    await home.put({**resource, "birthDate": "2008-11-26", "deceasedBoolean": True})
    await home.until(MIDNIGHT + timedelta(days=2))
    assert await kinds(home, "Kari Nord") == [Kind.CHILD_16]
