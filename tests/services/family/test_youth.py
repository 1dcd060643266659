"""Youth access given and withdrawn by either parent (FAM-06 to FAM-09), and the clinician's assessment of a referral
(FAM-19 to FAM-24), by the use cases on a real database."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.services.family.household import AWAY, DOCTOR, SECRETARY, Household
from varde.clock import OSLO
from varde.fhir.errors import FhirError, NotFound, PreconditionFailed
from varde.services.family import assessing, plain, relations, telling, youth
from varde.services.family.assessing import Choice
from varde.services.family.notices import Kind
from varde.services.family.rules import NotAllowed
from varde.trust import consents
from varde.trust.access import Refused
from varde.trust.consents import Paper, ReferralAssessment
from varde.trust.law.things import Thing

BY = f"Practitioner/p{DOCTOR}"


async def family(home: Household, born: date = date(2012, 3, 1)) -> None:
    """A young person with a parent at home and one elsewhere, and a referral."""
    await home.add("Kari Nord", date(1980, 5, 17))
    await home.add("Ola Nord", date(1979, 3, 2), address=AWAY)
    await home.add("Liv Nord", born, parents=["Kari Nord", "Ola Nord"])


async def decide(home: Household, parent: str, *, give: bool) -> None:
    """A parent gives or withdraws youth access."""
    await youth.decide(home.platform, home.people[parent], home.people["Liv Nord"].id, give=give)


async def assess(
    home: Household,
    referral: str,
    *names: str,
    consented: bool = True,
    version: int | None = None,
    paper: Paper = Paper.PARENTS,
) -> ReferralAssessment:
    """The clinician records who shall see a referral, and whom paper goes to."""
    scope = await home.staff()
    about = await assessing.conversation(home.platform, scope, referral)
    choice = Choice(
        frozenset(home.people[name].id for name in names),
        home.clock.now() - timedelta(minutes=5) if consented else None,
        paper,
        None,
        about.version if version is None else version,
    )
    return await assessing.record(home.platform, scope, BY, about, choice)


async def seen(home: Household, name: str) -> int:
    """How many appointments of the young person somebody sees, with as a person the young person's own page."""
    return await home.appointments(await home.scope(name, "Liv Nord"))


async def test_fam_07_either_parent_gives_and_withdraws_and_it_takes_effect_at_once(home: Household) -> None:
    await family(home)
    referral = await home.referral("Liv Nord")
    await assess(home, referral, "Liv Nord")
    assert await seen(home, "Liv Nord") == 0
    await decide(home, "Ola Nord", give=True)
    assert await seen(home, "Liv Nord") == 1
    await decide(home, "Kari Nord", give=False)
    assert await seen(home, "Liv Nord") == 0
    standing = await youth.standing(home.platform, home.people["Liv Nord"])
    assert standing is not None and standing.withdrawn and standing.by == f"Patient/{home.people['Kari Nord'].id}"
    told = {
        name: {one.kind for one in await telling.told(home.platform, await home.scope(name))} for name in home.people
    }
    assert told == {
        "Kari Nord": {Kind.OTHER_PARENT_GAVE},
        "Ola Nord": {Kind.OTHER_PARENT_WITHDREW},
        "Liv Nord": {Kind.YOUTH_ACCESS_GIVEN, Kind.YOUTH_ACCESS_WITHDRAWN},
    }
    # FAM-18: the log of the child names who did it.
    async with home.platform.database.connection() as connection:
        rows = await connection.fetch(
            "select actor_name, acting_for from trust_audit where acting_for = $1 and interaction = 'update'",
            home.people["Liv Nord"].id,
        )
    assert {row["actor_name"] for row in rows} == {"Kari Nord", "Ola Nord"}


async def test_fam_08_youth_access_takes_nothing_from_the_parents(home: Household) -> None:
    """FAM-08."""
    await family(home)
    referral = await home.referral("Liv Nord")
    await assess(home, referral, "Liv Nord", "Kari Nord", "Ola Nord")
    before = [(await home.scope(name, "Liv Nord")).mandate for name in ("Kari Nord", "Ola Nord")]
    assert [await seen(home, name) for name in home.people] == [1, 1, 0]
    await decide(home, "Kari Nord", give=True)
    assert [(await home.scope(name, "Liv Nord")).mandate for name in ("Kari Nord", "Ola Nord")] == before
    assert [await seen(home, name) for name in home.people] == [1, 1, 1]


@pytest.mark.parametrize(("born", "allowed"), [("2013-11-25", False), ("2013-11-24", True), ("2010-11-25", True),
                                               ("2010-11-24", False)])  # fmt: skip
async def test_fam_06_youth_access_is_for_those_of_13_to_15(home: Household, born: str, allowed: bool) -> None:
    await family(home, date.fromisoformat(born))
    if allowed:
        await decide(home, "Kari Nord", give=True)
    else:
        with pytest.raises(NotAllowed, match="age"):
            await decide(home, "Kari Nord", give=True)


async def test_no_stranger_and_not_the_young_person_gives_youth_access(home: Household) -> None:
    await family(home)
    await home.add("Per Vest", date(1990, 1, 1))
    for name in ("Per Vest", "Liv Nord"):
        with pytest.raises(NotAllowed, match="not-parent"):
            await decide(home, name, give=True)
    with pytest.raises(NotAllowed, match="none"):
        await decide(home, "Kari Nord", give=False)


async def test_fam_19_nothing_shows_before_the_assessment_and_then_to_those_alone_who_are_named(
    home: Household,
) -> None:
    await family(home)
    referral = await home.referral("Liv Nord")
    await decide(home, "Kari Nord", give=True)
    assert [await seen(home, name) for name in home.people] == [0, 0, 0]
    (waiting,) = await assessing.waiting(home.platform, await home.staff())
    assert (waiting.id, waiting.years, waiting.assessment) == (referral, 14, None)
    await assess(home, referral, "Liv Nord", "Ola Nord")
    assert [await seen(home, name) for name in home.people] == [0, 1, 1]
    await assess(home, referral, consented=False)
    assert [await seen(home, name) for name in home.people] == [0, 0, 0]
    await assess(home, referral, "Kari Nord")
    assert [await seen(home, name) for name in home.people] == [1, 0, 0]
    about = await assessing.conversation(home.platform, await home.staff(), referral)
    assert [len(made.opened_to) for made in about.history] == [1, 0, 2] and about.version == 3
    assert about.clinicians[BY] == f"Ola Ansatt{DOCTOR}"
    assert [(one.person.name, one.at_home) for one in about.parents] == [("Kari Nord", True), ("Ola Nord", False)]


async def test_fam_21_no_parent_without_the_young_persons_own_yes_whoever_writes_it(home: Household) -> None:
    await family(home)
    await home.add("Per Vest", date(1990, 1, 1))
    referral = await home.referral("Liv Nord")
    with pytest.raises(NotAllowed, match="consent"):
        await assess(home, referral, "Kari Nord", consented=False)
    with pytest.raises(NotAllowed, match="unknown"):
        await assess(home, referral, "Per Vest")
    await assess(home, referral, "Liv Nord", consented=False)
    made = ReferralAssessment(
        patient=home.people["Liv Nord"].id, at=home.clock.now(), referral=referral,
        opened_to=frozenset({home.people["Kari Nord"].id}),
    )  # fmt: skip
    with pytest.raises(FhirError):
        await home.put({**consents.to_fhir(made), "id": assessing.consent_id(
            (await assessing.conversation(home.platform, await home.staff(), referral)).referral)})  # fmt: skip


async def test_two_clinicians_never_overwrite_one_another(home: Household) -> None:
    await family(home)
    referral = await home.referral("Liv Nord")
    await assess(home, referral, "Liv Nord")
    with pytest.raises(PreconditionFailed):
        await assess(home, referral, version=0)


async def test_only_referrals_of_the_unit_and_of_the_age_are_assessed_and_only_by_those_who_treat(
    home: Household,
) -> None:
    await family(home, date(2014, 11, 26))  # 11 years and 363 days
    referral = await home.referral("Liv Nord")
    assert await assessing.waiting(home.platform, await home.staff()) == []
    with pytest.raises(NotFound):
        await assessing.conversation(home.platform, await home.staff(), referral)
    home.clock.set(datetime(2026, 11, 26, tzinfo=OSLO))
    (found,) = await assessing.waiting(home.platform, await home.staff())
    about = await assessing.conversation(home.platform, await home.staff(), found.id)
    with pytest.raises(FhirError):
        await assessing.record(
            home.platform, await home.staff(SECRETARY), BY, about, Choice(frozenset(), None, Paper.NONE, None, 0)
        )


async def test_fam_24_an_empty_inbox_and_a_withheld_one_look_the_same(home: Household) -> None:
    await family(home)
    await decide(home, "Kari Nord", give=True)

    async def all_seen() -> list[object]:
        """What the pages of the young person and a parent are made of."""
        own = await relations.bonded(home.platform, home.people["Liv Nord"], home.people["Liv Nord"])
        parent = await relations.bonded(home.platform, home.people["Kari Nord"], home.people["Liv Nord"])
        counted: list[object] = [plain.lines(own.mandate), plain.lines(parent.mandate)]
        for name in ("Liv Nord", "Kari Nord"):
            for kind in ("Appointment", "ServiceRequest", "Communication", "Consent"):
                page = await home.platform.store.search(await home.scope(name, "Liv Nord"), kind, "_total=accurate")
                counted.append((kind, page.total))
        return counted

    empty = await all_seen()
    referral = await home.referral("Liv Nord")
    assert await all_seen() == empty
    await assess(home, referral, consented=False)
    assert await all_seen() == empty


async def test_a_protected_family_gives_nothing_and_a_parents_words_tell_what_the_law_does(home: Household) -> None:
    await family(home)
    between = await relations.bonded(home.platform, home.people["Kari Nord"], home.people["Liv Nord"])
    words = {line.thing: line.words for line in plain.lines(between.mandate)}
    assert words[plain.THINGS[Thing.CONTACT]] == "Se og gjøre"
    assert words[plain.THINGS[Thing.LOG]] == "Se det de selv har gjort"
    assert "åpnet" in words[plain.THINGS[Thing.LETTERS]] and "ett for ett" in words[plain.THINGS[Thing.RESULTS]]
    with pytest.raises(Refused):
        await home.scope("Liv Nord", "Kari Nord")
