"""Powers of attorney (FAM-12, FAM-17): who may give and receive, what each sees, and that withdrawing is at once."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.services.family.household import Household
from varde.clock import OSLO
from varde.edges.registers import Protection
from varde.fhir.errors import NotFound
from varde.services.family import powers, relations, telling
from varde.services.family.notices import Kind
from varde.services.family.powers import Wish
from varde.services.family.rules import Dates, NotAllowed, same_surname
from varde.trust.access import Refused
from varde.trust.law.things import Thing

TODAY = date(2026, 11, 24)


async def grown(home: Household) -> None:
    """A giver with an appointment, and one to receive."""
    await home.add("Kari Nord", date(1980, 5, 17))
    await home.add("Ola Sør", date(1979, 3, 2))
    await home.referral("Kari Nord")


def wish(
    home: Household,
    to: str = "Ola Sør",
    *things: Thing,
    first: date = TODAY,
    last: date | None = None,
    surname: str | None = None,
) -> Wish:
    """What is asked for in the form."""
    number = home.people[to].number
    return Wish(number, surname or to.rsplit(" ", 1)[1], frozenset(things or (Thing.APPOINTMENTS,)), Dates(first, last))


async def give(home: Household, asked: Wish, by: str = "Kari Nord") -> None:
    """Give it as the person."""
    await powers.give(home.platform, await home.scope(by), home.people[by], asked)


async def test_fam_12_a_power_opens_its_things_at_once_and_is_withdrawn_at_once(home: Household) -> None:
    await grown(home)
    with pytest.raises(Refused):
        await home.scope("Ola Sør", "Kari Nord")
    await give(home, wish(home))
    scope = await home.scope("Ola Sør", "Kari Nord")
    assert scope.acting_for == home.people["Kari Nord"].id
    assert await home.appointments(scope) == 1
    await give(home, wish(home, "Ola Sør", Thing.LETTERS))
    assert await home.appointments(await home.scope("Ola Sør", "Kari Nord")) == 0
    (given,) = await powers.given(home.platform, home.people["Kari Nord"])
    (received,) = await powers.received(home.platform, home.people["Ola Sør"])
    assert (given.id, given.other.name) == (received.id, "Ola Sør") and received.other.name == "Kari Nord"
    assert list(received.things) == [Thing.LETTERS]
    (mine,) = await relations.acts_for(home.platform, home.people["Ola Sør"])
    (theirs,) = await relations.act_for(home.platform, home.people["Kari Nord"])
    assert mine.patient.name == "Kari Nord" and theirs.asker.name == "Ola Sør"
    with pytest.raises(NotFound):
        await powers.withdraw(
            home.platform, await home.scope("Ola Sør"), await home.add("Per Vest", date(1990, 1, 1)), given.id
        )
    await powers.withdraw(home.platform, await home.scope("Kari Nord"), home.people["Kari Nord"], given.id)
    with pytest.raises(Refused):
        await home.scope("Ola Sør", "Kari Nord")
    assert await powers.given(home.platform, home.people["Kari Nord"]) == []
    told = [one.kind for one in await telling.told(home.platform, await home.scope("Ola Sør"))]
    assert set(told) == {Kind.POWER_RECEIVED, Kind.POWER_LOST}
    await home.drain()
    assert await home.told("Ola Sør") > 0 and await home.told("Kari Nord") > 0


async def test_fam_12_the_receiver_may_give_it_up(home: Household) -> None:
    await grown(home)
    await give(home, wish(home))
    (received,) = await powers.received(home.platform, home.people["Ola Sør"])
    await powers.withdraw(home.platform, await home.scope("Ola Sør"), home.people["Ola Sør"], received.id)
    with pytest.raises(Refused):
        await home.scope("Ola Sør", "Kari Nord")


async def test_fam_12_dates_hold_to_the_midnight(home: Household) -> None:
    await grown(home)
    await give(home, wish(home, first=TODAY + timedelta(days=1), last=TODAY + timedelta(days=2)))
    with pytest.raises(Refused):
        await home.scope("Ola Sør", "Kari Nord")
    home.clock.set(datetime(2026, 11, 25, tzinfo=OSLO))
    assert await home.appointments(await home.scope("Ola Sør", "Kari Nord")) == 1
    home.clock.set(datetime(2026, 11, 26, 23, 59, 59, tzinfo=OSLO))
    assert await home.appointments(await home.scope("Ola Sør", "Kari Nord")) == 1
    home.clock.set(datetime(2026, 11, 27, tzinfo=OSLO))
    with pytest.raises(Refused):
        await home.scope("Ola Sør", "Kari Nord")


async def test_who_may_give_and_receive(home: Household) -> None:
    await grown(home)
    await home.add("Liv Nord", date(2011, 3, 1))
    await home.add("Nils Nord", date(2010, 1, 1))
    await home.add("Eva Øst", date(2009, 1, 1))
    await home.add("Anne Lund", date(1990, 1, 1), protection=Protection.CONFIDENTIAL)
    await home.add("Odd Død", date(1940, 1, 1), dead=True)
    refused = {
        "young": wish(home, "Eva Øst"),  # FAM-12: receiver 18 or more
        "self": wish(home, "Kari Nord"),  # FAM-17
        "things": Wish(home.people["Ola Sør"].number, "Sør", frozenset(), Dates(TODAY, None)),
        "first": wish(home, first=TODAY - timedelta(days=1)),
        "last": wish(home, first=TODAY, last=TODAY - timedelta(days=1)),
    }
    for fault, asked in refused.items():
        with pytest.raises(NotAllowed, match=fault):
            await give(home, asked)
    # FAM-14, FAM-16: nobody learns anything of a person by trying numbers.
    for name in ("Anne Lund", "Odd Død"):
        with pytest.raises(NotAllowed, match="receiver"):
            await give(home, wish(home, name))
    with pytest.raises(NotAllowed, match="receiver"):
        await give(home, wish(home, surname="Nord"))
    with pytest.raises(NotAllowed, match="giver"):
        await give(home, wish(home), by="Anne Lund")
    # FAM-12: giver 16 or more.
    await give(home, wish(home), by="Nils Nord")
    # FAM-17: nobody gives another's away.
    await give(home, wish(home, "Ola Sør", *Thing))
    with pytest.raises(NotAllowed, match="giver"):
        await powers.give(
            home.platform, await home.scope("Ola Sør", "Kari Nord"), home.people["Kari Nord"], wish(home, "Nils Nord")
        )


def test_surnames_of_several_words_and_any_case() -> None:
    assert same_surname("Kari Marie Nord", "NORD") and same_surname("Kari von der Lippe", "von der lippe")
    assert not same_surname("Kari Nord", "Kari Nord") and not same_surname("Kari Nord", " ")
