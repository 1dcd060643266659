"""What a clinician withholds, delays and releases, by the use cases on a real database (FAM-03 to FAM-05, FAM-24,
FAM-35): who sees each thing before and after, at each age; who may decide; what another changed; what opens by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from tests.services.family.household import AWAY, DOCTOR, SECRETARY, UNIT, Household
from tests.services.family.test_youth import BY, assess, decide
from varde.fhir.errors import FhirError, NotFound, PreconditionFailed
from varde.fhir.keys import bucket_of, new_id
from varde.services.family import withholding
from varde.services.family.rules import NotAllowed
from varde.services.family.withholding import About
from varde.services.family.withholding_rules import CAUSES, Cause, Choice, Event, Tie, Way, released
from varde.trust.access import ROLE_SYSTEM
from varde.trust.explaining import who_may_see
from varde.trust.law.marks import RESTRICTION, TO_PARENTS, TO_YOUTH
from varde.trust.persons import HPR

LETTER = {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9602", "code": "I02-2"}]}
ELSEWHERE, STRANGER = "other-ward", "8000009"
KINDS = (
    "Communication",
    "Appointment",
    "DocumentReference",
    "DiagnosticReport",
    "Observation",
    "CarePlan",
    "Encounter",
)
"""One of each is in the record of whoever is treated here."""


def choice(way: Way, **more: Any) -> Choice:
    given = {"cause": CAUSES[way][0], "reason": "En god grunn", **more}
    return Choice(way, **given)


async def treated(home: Household, name: str, unit: str = UNIT) -> dict[str, str]:
    """One thing of each kind of a person whom the ward treats, all tied to a referral: references by kind."""
    referral = await home.referral(name)
    patient = home.people[name].id
    subject, ward = {"reference": f"Patient/{patient}"}, {"reference": f"Organization/{unit}"}
    ids = {kind: new_id(bucket_of(patient)) for kind in (*KINDS, "Message", "Answer")}
    based, at = [{"reference": f"ServiceRequest/{referral}"}], home.clock.now().isoformat()
    visit = {"reference": f"Encounter/{ids['Encounter']}"}
    (appointment,) = (await home.platform.store.search(home.system(), "Appointment", f"patient={patient}")).matches
    await home.put(
        {"resourceType": "Encounter", "id": ids["Encounter"], "status": "in-progress", "class": {"code": "AMB"},
         "subject": subject, "serviceProvider": ward, "basedOn": based, "period": {"start": at}},
        {"resourceType": "Communication", "id": ids["Communication"], "status": "completed", "subject": subject,
         "category": [LETTER], "sent": at, "sender": ward, "topic": {"text": "Brev om timen"},
         "basedOn": [{"reference": appointment.reference}]},
        {"resourceType": "Communication", "id": ids["Message"], "status": "completed", "subject": subject,
         "basedOn": based, "sent": at, "sender": ward, "topic": {"text": "Spørsmål"}},
        {"resourceType": "Communication", "id": ids["Answer"], "status": "completed", "subject": subject,
         "basedOn": based, "sent": at, "sender": subject, "inResponseTo": [
             {"reference": f"Communication/{ids['Message']}"}], "partOf": [
             {"reference": f"Communication/{ids['Message']}"}]},
        {"resourceType": "DocumentReference", "id": ids["DocumentReference"], "status": "current", "subject": subject,
         "description": "Epikrise", "custodian": ward, "date": at, "context": {"encounter": [visit]},
         "content": [{"attachment": {"contentType": "text/plain", "data": "aGVp"}}]},
        {"resourceType": "Observation", "id": ids["Observation"], "status": "final", "subject": subject,
         "code": {"text": "Hemoglobin"}, "basedOn": based, "effectiveDateTime": at},
        {"resourceType": "DiagnosticReport", "id": ids["DiagnosticReport"], "status": "final", "subject": subject,
         "code": {"text": "Blodprøver"}, "basedOn": based, "effectiveDateTime": at, "performer": [ward],
         "result": [{"reference": f"Observation/{ids['Observation']}"}]},
        {"resourceType": "CarePlan", "id": ids["CarePlan"], "status": "active", "intent": "plan", "subject": subject,
         "title": "Plan", "author": ward, "encounter": visit},
    )  # fmt: skip
    found = {kind: f"{kind}/{identifier}" for kind, identifier in ids.items() if kind in KINDS}
    return found | {"Appointment": appointment.reference, "Message": f"Communication/{ids['Message']}",
                    "Answer": f"Communication/{ids['Answer']}", "referral": referral}  # fmt: skip


async def look(home: Household, name: str, reference: str, hpr: str = DOCTOR) -> About:
    return await withholding.about(home.platform, await home.staff(hpr), home.people[name].id, reference)


def shown(one: About) -> Mapping[str, str]:
    """What the page showed of each thing."""
    return {item.reference: item.versions for item in (one.item, *(item for item, _ in one.ties))}


async def do(home: Household, name: str, reference: str, chosen: Choice, also: Sequence[str] = ()) -> About:
    one = await look(home, name, reference)
    await withholding.decide(home.platform, await home.staff(), BY, one, chosen, also, shown(one))
    return await look(home, name, reference)


async def sees(home: Household, who: str, whose: str, reference: str) -> bool:
    """Whether somebody sees it: by reading it, by searching for it, and by what the page says, which all agree."""
    kind, _, identifier = reference.partition("/")
    scope = await home.scope(who, whose)
    try:
        await home.platform.store.read(scope, kind, identifier)
        found = True
    except NotFound:
        found = False
    page = await home.platform.store.search(scope, kind, f"_id={identifier}&_total=accurate")
    assert page.total == len(page.matches) == int(found)
    told = await who_may_see(home.platform.access, kind, identifier)
    seers = {one.reference: one.decision.allowed for one in told}
    assert seers[f"Patient/{home.people[who].id}"] is found
    return found


ALL = frozenset({"patient", "parent"})
AFTER = [
    # way, age, who sees it then of those who did
    (Way.UNTIL, 40, set()), (Way.EVENT, 40, set()), (Way.ALL, 40, set()), (Way.PARENTS, 40, {"patient"}),
    (Way.UNTIL, 8, set()), (Way.EVENT, 8, set()), (Way.ALL, 8, set()), (Way.PARENTS, 8, set()),
    (Way.YOUTH, 8, {"parent"}),
    (Way.UNTIL, 14, set()), (Way.EVENT, 14, set()), (Way.ALL, 14, set()), (Way.PARENTS, 14, {"patient"}),
    (Way.YOUTH, 14, {"parent"}), (Way.PARENTS, 16, {"patient"}), (Way.ALL, 16, set()),
]  # fmt: skip
BORN = {40: date(1986, 1, 1), 8: date(2018, 3, 1), 14: date(2012, 3, 1), 16: date(2010, 3, 1)}


async def family(home: Household, years: int) -> None:
    await home.add("Kari Nord", date(1960, 5, 17))
    await home.add("Ola Nord", date(1961, 3, 2), address=AWAY)
    await home.add("Liv Nord", BORN[years], parents=["Kari Nord", "Ola Nord"] if years < 18 else [])
    await home.put(
        {"resourceType": "Organization", "id": ELSEWHERE, "name": "Kirurgisk avdeling"},
        {"resourceType": "Practitioner", "id": f"p{STRANGER}", "identifier": [{"system": HPR, "value": STRANGER}],
         "name": [{"given": ["Per"], "family": "Annen"}]},
        {"resourceType": "PractitionerRole", "id": f"r{STRANGER}", "active": True,
         "practitioner": {"reference": f"Practitioner/p{STRANGER}"},
         "organization": {"reference": f"Organization/{ELSEWHERE}"},
         "code": [{"coding": [{"system": ROLE_SYSTEM, "code": "doctor"}]}]},
    )  # fmt: skip


@pytest.mark.parametrize("years", [8, 14, 16, 40])
async def test_who_sees_each_kind_before_withheld_and_released_again(home: Household, years: int) -> None:
    """The table of cases: who × kind × age × way, before and after, and after it is released."""
    await family(home, years)
    things = await treated(home, "Liv Nord")
    if years == 14:
        await decide(home, "Kari Nord", give=True)
        await assess(home, things["referral"], "Liv Nord", "Kari Nord")
    who = {"patient": "Liv Nord"} if years not in {8} else {}
    if years < 16:
        who["parent"] = "Kari Nord"
    for kind in KINDS:
        before = {one for one, name in who.items() if await sees(home, name, "Liv Nord", things[kind])}
        one = await look(home, "Liv Nord", things[kind])
        if years != 14:
            assert before == who.keys(), kind
        else:
            assert before == {"Communication": ALL, "Appointment": ALL, "Encounter": ALL, "CarePlan": {"parent"}}.get(
                kind, set()
            ), kind
            if one.asked:  # table A and B: released one by one
                await do(home, "Liv Nord", things[kind], choice(Way.OPEN, cause=Cause.OTHER, marks=one.asked))
                before = {one for one, name in who.items() if await sees(home, name, "Liv Nord", things[kind])}
                assert before == (ALL if kind == "CarePlan" else {"parent"}), kind
        for way, age, left in AFTER:
            if age != years:
                continue
            until = home.clock.now() + timedelta(days=2) if way is Way.UNTIL else None
            wanted = choice(way, until=until, event=Event.TALKED if way is Way.EVENT else None, marks=one.asked)
            await do(home, "Liv Nord", things[kind], wanted)
            after = {one for one, name in who.items() if await sees(home, name, "Liv Nord", things[kind])}
            assert after == before & left, (kind, way)
            if way is not Way.OPEN:
                scope = await home.staff()
                assert await home.platform.store.read(scope, *things[kind].split("/"))  # staff see it all the same
        released = await do(home, "Liv Nord", things[kind], choice(Way.OPEN, marks=one.asked))
        assert {one for one, name in who.items() if await sees(home, name, "Liv Nord", things[kind])} == before, kind
        assert released.history[0].reason == "En god grunn" and released.clinicians[BY] == f"Ola Ansatt{DOCTOR}"


async def test_table_a_only_what_the_law_asks_for_is_released(home: Household) -> None:
    await family(home, 14)
    things = await treated(home, "Liv Nord")
    asked = {kind: (await look(home, "Liv Nord", things[kind])).asked for kind in KINDS}
    both = {TO_PARENTS, TO_YOUTH}
    assert asked == {"Communication": set(), "Appointment": set(), "DocumentReference": {TO_PARENTS}, "CarePlan": {
        TO_YOUTH}, "DiagnosticReport": {TO_PARENTS}, "Observation": {TO_PARENTS}, "Encounter": set()}  # fmt: skip
    assert (await look(home, "Liv Nord", things["Message"])).asked == both
    with pytest.raises(NotAllowed, match="marks"):
        await do(home, "Liv Nord", things["Appointment"], choice(Way.OPEN, marks=frozenset({TO_PARENTS})))
    # FAM-19, FAM-21: what is released is still not seen before the referral is assessed.
    await do(home, "Liv Nord", things["Observation"], choice(Way.OPEN, marks=frozenset({TO_PARENTS})))
    assert not await sees(home, "Kari Nord", "Liv Nord", things["Observation"])
    await assess(home, things["referral"], "Kari Nord")
    assert await sees(home, "Kari Nord", "Liv Nord", things["Observation"])
    assert not await sees(home, "Ola Nord", "Liv Nord", things["Observation"])


async def test_fam_35_a_delay_opens_by_the_clock_with_or_without_a_job_and_is_put_in_order_after(
    home: Household,
) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    opens = home.clock.now() + timedelta(days=3)
    await do(home, "Liv Nord", things["Observation"], choice(Way.UNTIL, until=opens))
    home.clock.set(opens - timedelta(seconds=1))
    assert not await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    home.clock.set(opens)
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    await home.drain()
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    one = await look(home, "Liv Nord", things["Observation"])
    assert "security" not in one.item.resource["meta"], "nothing is left of what was"
    assert one.history[0].withdrawn and one.history[0].by is None and len(one.history) == 2
    assert (await withholding.standing(home.platform, await home.staff())).held == []


async def test_fam_35_a_delay_that_was_moved_does_not_open_at_its_first_time(home: Household) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    first, later = (home.clock.now() + timedelta(days=days) for days in (1, 5))
    await do(home, "Liv Nord", things["Observation"], choice(Way.UNTIL, until=first))
    await do(home, "Liv Nord", things["Observation"], choice(Way.UNTIL, until=later))
    await home.until(first + timedelta(hours=1))
    assert not await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    await home.until(later)
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])


async def test_fam_35_a_visit_that_is_over_opens_what_waits_for_it_and_no_other_does(home: Household) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    await do(home, "Liv Nord", things["Observation"], choice(Way.EVENT, event=Event.VISIT))
    await do(home, "Liv Nord", things["CarePlan"], choice(Way.EVENT, event=Event.TALKED))
    visit = (await look(home, "Liv Nord", things["Encounter"])).item.resource
    begun = home.clock.now()
    before = {"start": (begun - timedelta(days=9)).isoformat(), "end": (begun - timedelta(days=8)).isoformat()}
    elsewhere = {"reference": f"Organization/{ELSEWHERE}"}
    await home.put({**visit, "id": new_id(bucket_of(home.people["Liv Nord"].id)), "status": "finished",
                    "period": before})  # fmt: skip
    home.clock.set(begun + timedelta(days=1))
    period = {"start": begun.isoformat(), "end": (begun + timedelta(hours=20)).isoformat()}
    await home.put({**visit, "id": new_id(bucket_of(home.people["Liv Nord"].id)), "status": "finished",
                    "period": period, "serviceProvider": elsewhere})  # fmt: skip
    await home.drain()
    assert not await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    await home.put({**visit, "status": "finished", "period": period})
    await home.drain()
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    assert not await sees(home, "Liv Nord", "Liv Nord", things["CarePlan"])


async def test_what_hangs_together_follows_by_choice(home: Household) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")

    async def ties(kind: str) -> dict[str, Tie]:
        names = {reference: name for name, reference in things.items()}
        return {names[item.reference]: tie for item, tie in (await look(home, "Liv Nord", things[kind])).ties}

    assert await ties("DiagnosticReport") == {"Observation": Tie.PART}
    assert await ties("Observation") == {"DiagnosticReport": Tie.WHOLE}
    assert await ties("Appointment") == {"Communication": Tie.ABOUT}
    assert await ties("Communication") == {"Appointment": Tie.ABOUT}
    assert await ties("Message") == {"Answer": Tie.PART}
    assert await ties("Answer") == {"Message": Tie.WHOLE}
    assert await ties("Encounter") == {"DocumentReference": Tie.PART, "CarePlan": Tie.PART}
    one = await do(home, "Liv Nord", things["DiagnosticReport"], choice(Way.ALL))
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    await do(home, "Liv Nord", things["DiagnosticReport"], choice(Way.ALL), [things["Observation"]])
    for kind in ("Observation", "DiagnosticReport"):
        assert not await sees(home, "Liv Nord", "Liv Nord", things[kind])
    followed = await look(home, "Liv Nord", things["Observation"])
    assert followed.history[0].follows == things["DiagnosticReport"] and one.history[0].follows is None
    await do(home, "Liv Nord", things["DiagnosticReport"], choice(Way.OPEN), [things["Observation"]])
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])


async def test_another_systems_writing_opens_nothing_and_another_clinicians_change_is_never_overwritten(
    home: Household,
) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    one = await look(home, "Liv Nord", things["Observation"])
    original = dict(one.item.resource)
    await do(home, "Liv Nord", things["Observation"], choice(Way.ALL))
    with pytest.raises(PreconditionFailed):  # from a page that was opened before
        await withholding.decide(home.platform, await home.staff(), BY, one, choice(Way.PARENTS), (), shown(one))
    original.pop("meta")
    await home.put(original)
    assert not await sees(home, "Liv Nord", "Liv Nord", things["Observation"])
    again = await look(home, "Liv Nord", things["Observation"])
    assert again.item.codes == {"N"}
    report = await look(home, "Liv Nord", things["DiagnosticReport"])
    await home.put({**original, "status": "amended"})
    with pytest.raises(PreconditionFailed):  # what follows was changed meanwhile: nothing of it is done
        await withholding.decide(
            home.platform, await home.staff(), BY, report, choice(Way.ALL), [things["Observation"]], shown(report)
        )
    assert await sees(home, "Liv Nord", "Liv Nord", things["DiagnosticReport"])


async def test_misuse(home: Household) -> None:
    """Other units, secretaries, guessed ids, forged forms, the patient themselves (FAM-09)."""
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    liv, kari = home.people["Liv Nord"].id, home.people["Kari Nord"].id
    doctor = await home.staff()
    with pytest.raises(NotFound):  # a unit that does not treat
        await look(home, "Liv Nord", things["Observation"], STRANGER)
    with pytest.raises(NotFound):  # another's thing under this patient's address, and a patient not treated here
        await withholding.about(home.platform, doctor, kari, things["Observation"])
    with pytest.raises(NotFound):
        await withholding.about(home.platform, doctor, liv, f"Patient/{liv}")
    for guessed in ("Observation/none", "Nothing/at-all", "Observation/", f"ServiceRequest/{things['referral']}"):
        with pytest.raises(NotFound):
            await withholding.about(home.platform, doctor, liv, guessed)
    one = await look(home, "Liv Nord", things["Observation"])
    for scope in (await home.staff(SECRETARY), await home.scope("Liv Nord")):
        with pytest.raises(FhirError):
            await withholding.decide(home.platform, scope, BY, one, choice(Way.ALL), (), shown(one))
    with pytest.raises(NotAllowed, match="other-unit"):  # a thing that does not hang together
        await withholding.decide(home.platform, doctor, BY, one, choice(Way.ALL), [things["CarePlan"]], shown(one))
    with pytest.raises(PreconditionFailed):
        await withholding.decide(home.platform, doctor, BY, one, choice(Way.ALL), (), {})
    # Two wards treat the same patient: each decides of its own alone.
    await home.put(
        {"resourceType": "EpisodeOfCare", "id": "elsewhere", "status": "active", "patient": {
            "reference": f"Patient/{liv}"}, "managingOrganization": {"reference": f"Organization/{ELSEWHERE}"},
         "period": {"start": "2026-01-01"}},
    )  # fmt: skip
    theirs = await look(home, "Liv Nord", things["DiagnosticReport"], STRANGER)
    assert not theirs.item.own
    with pytest.raises(NotAllowed, match="other-unit"):
        await withholding.decide(
            home.platform, await home.staff(STRANGER), "Practitioner/p", theirs, choice(Way.ALL), (), shown(theirs)
        )
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])


WRONG = [
    (choice(Way.YOUTH), "way"), (choice(Way.UNTIL), "when"), (choice(Way.EVENT), "event"),
    (replace(choice(Way.ALL), event=Event.VISIT), "event"), (choice(Way.ALL, cause=Cause.TALK_FIRST), "cause"),
    (choice(Way.ALL, cause=None), "cause"), (choice(Way.ALL, reason="  x "), "reason"), (choice(Way.OPEN), "same"),
]  # fmt: skip


@pytest.mark.parametrize(("chosen", "fault"), WRONG)
async def test_what_the_law_does_not_know_is_not_done(home: Household, chosen: Choice, fault: str) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    with pytest.raises(NotAllowed, match=fault):
        await do(home, "Liv Nord", things["Observation"], chosen)
    for days in (-1, 400):
        with pytest.raises(NotAllowed, match="when"):
            until = home.clock.now() + timedelta(days=days)
            await do(home, "Liv Nord", things["Observation"], choice(Way.UNTIL, until=until))
    assert await sees(home, "Liv Nord", "Liv Nord", things["Observation"])


async def test_fam_36_what_the_patient_blocked_and_other_labels_are_left_as_they_are(home: Household) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    kept = [{"system": "urn:x", "code": "kept"}, {"system": RESTRICTION, "code": "NORX"}]
    resource = (await look(home, "Liv Nord", things["Observation"])).item.resource
    await home.put({**resource, "meta": {"security": [*kept, {"system": RESTRICTION, "code": "NORN_FORANS"}]}})
    one = await do(home, "Liv Nord", things["Observation"], choice(Way.ALL))
    assert one.item.resource["meta"]["security"] == [*kept, {"system": RESTRICTION, "code": "N"}]
    one = await do(home, "Liv Nord", things["Observation"], choice(Way.OPEN))
    assert one.item.resource["meta"]["security"] == kept


async def test_the_list_shows_what_stands_and_asks_for_a_look_at_what_is_old(home: Household) -> None:
    await family(home, 40)
    things = await treated(home, "Liv Nord")
    await do(home, "Liv Nord", things["CarePlan"], choice(Way.PARENTS))
    home.clock.set(home.clock.now() + timedelta(days=1))
    await do(home, "Liv Nord", things["Observation"], choice(Way.EVENT, event=Event.TALKED))
    listed = (await withholding.standing(home.platform, await home.staff())).held
    assert [(one.decision.thing, one.due, one.patient) for one in listed] == [
        (things["CarePlan"], False, "Liv Nord"), (things["Observation"], False, "Liv Nord"),
    ]  # fmt: skip
    home.clock.set(home.clock.now() + timedelta(days=14))
    listed = (await withholding.standing(home.platform, await home.staff())).held
    assert [(one.decision.thing, one.due) for one in listed] == [
        (things["Observation"], True), (things["CarePlan"], False)
    ]  # fmt: skip
    await do(home, "Liv Nord", things["Observation"], choice(Way.EVENT, event=Event.TALKED))  # looked at, and stays
    listed = (await withholding.standing(home.platform, await home.staff())).held
    assert not any(one.due for one in listed)
    assert (await withholding.standing(home.platform, await home.staff(STRANGER))).held == []


async def test_fam_24_no_trace_for_whom_it_is_withheld_from(home: Household) -> None:
    """Every list, count and log of the patient and the parent is as if the thing and the decision were not there."""
    await family(home, 8)
    things = await treated(home, "Liv Nord")
    target = things["DiagnosticReport"]
    await do(home, "Liv Nord", target, choice(Way.ALL), [things["Observation"]])
    scope = await home.scope("Kari Nord", "Liv Nord")
    for kind in ("DiagnosticReport", "Observation", "Consent"):
        for query in ("_total=accurate", "_summary=count", "_sort=-_lastUpdated", f"_id={target.partition('/')[2]}"):
            page = await home.platform.store.search(scope, kind, query)
            assert not page.total and not page.matches, (kind, query)
    everything = await home.platform.store.search(scope, None, "_count=200&_type=Consent,Observation,DiagnosticReport")
    assert everything.matches == []


async def test_staff_find_their_own_patients_and_nobody_elses(home: Household) -> None:
    await family(home, 40)
    await treated(home, "Liv Nord")
    doctor = await home.staff()
    for search in ("Liv", "nord liv", home.people["Liv Nord"].number):
        assert [one.name for one in await withholding.patients(home.platform, doctor, search)] == ["Liv Nord"]
    for search in ("Kari", "", home.people["Kari Nord"].number, "Liv Sør"):
        assert await withholding.patients(home.platform, doctor, search) == []


@pytest.mark.parametrize(
    ("way", "left"),
    [
        (Way.OPEN, {TO_PARENTS, TO_YOUTH}),
        (Way.UNTIL, {TO_PARENTS, TO_YOUTH}),
        (Way.PARENTS, {TO_YOUTH}),
        (Way.YOUTH, {TO_PARENTS}),
        (Way.ALL, set()),
    ],
)
def test_what_is_withheld_from_somebody_is_not_released_to_them(way: Way, left: set[str]) -> None:
    assert released(way, frozenset({TO_PARENTS, TO_YOUTH})) == left
