"""The platform's main story on the real database: sent to ten, one opens, the others get paper, none twice."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from tests.services.letters.ward import STRANGER, Ward
from varde.clock import OSLO
from varde.fhir.errors import NotFound
from varde.services.letters import flow, sending
from varde.services.letters.rules import Channel, State
from varde.services.letters.views import Order

TO_POST = timedelta(days=8)
"""From Tuesday: four days end on a Saturday, the next batch closes on Monday morning (LET-04), and is posted on
Tuesday."""


async def test_the_whole_story(ward: Ward) -> None:
    ten = await ward.add(10)
    batch = await ward.send(ten)
    page = await flow.batch(ward.platform, await ward.staff(), batch)
    assert (page.total, page.done, page.sent, page.digital, page.paper) == (10, 10, 10, 10, 0)
    letters = await ward.letters()
    assert len(letters) == 10 and {one.state for one in letters} == {State.NOTIFIED}
    assert all(one.channel is Channel.DIGITAL and one.deadline and one.reminder for one in letters)
    told = await ward.notify.arrived()
    assert len(told) == 10 and {one.notification.to for one in told} == {one.mobile for one in ten}
    # LET-20: the trust, and nothing of the ward.
    texts = [one.notification.text for one in told]
    assert all("Universitetssykehuset" in text and "Hud" not in text for text in texts)

    reader = await ward.patient(ten[0])
    found, _ = await flow.inbox(ward.platform, reader)
    assert [one.title for one in found] and await flow.unread(ward.platform, reader) == 1
    opened = await flow.open_letter(ward.platform, reader, found[0].id)
    assert opened.state is State.OPENED and await flow.unread(ward.platform, reader) == 0

    await ward.later(timedelta(days=5))
    assert await ward.printed() == []
    await ward.later(TO_POST - timedelta(days=5))
    by_patient = {one.patient: one for one in await ward.letters()}
    assert by_patient[ten[0].id].state is State.OPENED
    assert all(by_patient[one.id].state is State.POSTED for one in ten[1:])
    printed = await ward.printed()
    assert len(printed) == 9 and len({one.key for one in printed}) == 9
    # LET-21: each of the nine was reminded once.
    assert len(await ward.notify.arrived()) == 19

    await ward.later(timedelta(days=30))
    assert len(await ward.printed()) == 9
    assert await ward.problems() == []


async def test_let_22_one_opened_at_night_is_not_told_of_in_the_morning(ward: Ward) -> None:
    ward.clock.set(datetime(2026, 11, 24, 21, 30, tzinfo=UTC))
    opened, unopened = await ward.add(2)
    await ward.send([opened, unopened])
    assert await ward.notify.arrived() == []
    (letter,) = await ward.letters(of=opened)
    await flow.open_letter(ward.platform, await ward.patient(opened), letter.id)
    await ward.later(timedelta(hours=12))
    assert [one.notification.to for one in await ward.notify.arrived()] == [unopened.mobile]


async def test_let_50_each_change_has_time_cause_and_actor(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    await ward.later(TO_POST)
    changes = (await ward.letter(one)).changes
    assert [c.state for c in changes] == [
        State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT, State.PRINTING, State.PRINTED, State.POSTED,
    ]  # fmt: skip
    assert [c.cause for c in changes] == ["sent", "notified", "unopened", "handed-over", "printed", "posted"]
    assert all(c.actor for c in changes)
    assert [c.at for c in changes] == sorted(c.at for c in changes)
    # LET-04: the next working morning after four days, at 07:00 in Norway.
    assert changes[2].at.astimezone(OSLO) == datetime(2026, 11, 30, 7, tzinfo=OSLO)


async def test_let_54_the_exact_pdf_is_kept_when_it_is_handed_over(ward: Ward) -> None:
    (one,) = await ward.add(user=False)
    await ward.send([one])
    await ward.later(timedelta(days=1))
    (printed,) = await ward.printed()
    scope = ward.platform.access.for_system("test")
    found = await ward.platform.store.search(scope, "DocumentReference", f"patient={one.id}")
    (document,) = [match.resource for match in found.matches]
    assert base64.b64decode(document["content"][0]["attachment"]["data"]) == printed.document.read_bytes()


async def test_wrong_persons_see_nothing(ward: Ward) -> None:
    one, other = await ward.add(2)
    await ward.send([one])
    letter = await ward.letter(one)
    stranger = await ward.patient(other)
    assert await flow.inbox(ward.platform, stranger) == ([], None)
    with pytest.raises(NotFound):
        await flow.open_letter(ward.platform, stranger, letter.id)
    with pytest.raises(NotFound):
        await flow.archive(ward.platform, stranger, letter.id, True)
    elsewhere = await ward.staff(STRANGER)
    for act in (
        flow.letter(ward.platform, elsewhere, letter.id),
        flow.withdraw(ward.platform, elsewhere, letter.id, "x"),
        flow.mark_returned(ward.platform, elsewhere, letter.id),
    ):
        with pytest.raises(NotFound):
            await act
    assert (await ward.letter(one)) == letter


async def test_another_unit_cannot_send_to_patients_it_does_not_treat(ward: Ward) -> None:
    people = await ward.add(2)
    with pytest.raises(flow.EmptyOrder):
        await ward.send(people, hpr=STRANGER)
    assert await ward.letters() == []


async def test_let_53_the_same_key_sends_nothing_twice(ward: Ward) -> None:
    people = await ward.add(3)
    first = await ward.send(people, "same")
    assert await ward.send(people, "same") == first
    assert len(await ward.letters()) == 3 and len(await ward.notify.arrived()) == 3


async def test_let_53_a_chunk_that_is_run_again_leaves_what_stands(ward: Ward) -> None:
    people = await ward.add(2)
    batch = await ward.send(people)
    before = await ward.letters()
    payload = {"batch": batch, "appointments": [one.appointment for one in people]}
    async with ward.platform.store.transaction() as connection:
        await sending.send_chunk(ward.platform, connection, payload)
    await ward.drain()
    assert await ward.letters() == before and len(await ward.notify.arrived()) == 2


async def test_everyone_to_call_is_called_once(ward: Ward) -> None:
    people = await ward.add(5)
    await ward.add(1, days=-3)
    scope = await ward.staff()
    found, total = await flow.to_call(ward.platform, scope, "", most=3)
    assert (len(found), total) == (3, 5)
    await ward.send(people[:2])
    found, total = await flow.to_call(ward.platform, scope, "", most=50)
    assert {one.id for one in found} == {one.appointment for one in people[2:]} and total == 3
    named, _ = await flow.to_call(ward.platform, scope, people[3].name, most=50)
    assert [one.id for one in named] == [people[3].appointment]
    await flow.send(ward.platform, scope, Order("summons", {}, [], everyone=True), "all")
    await ward.drain()
    assert await flow.to_call(ward.platform, scope, "", most=50) == ([], 0)
    assert len(await ward.letters()) == 5
