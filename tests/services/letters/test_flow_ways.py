"""The letter's way on real registers, decided again at each step: paper, children, dead, protected, returned mail,
moved appointments, failed notifications (LET-01 to LET-13, LET-22, LET-23, LET-55).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.services.letters.ward import DOCTOR, Ward, appointment
from varde.edges.registers import Contact, PersonStatus, Protection
from varde.edges.registers.embedded import (
    Register,
    move,
    protect,
    put_contact,
    set_dead,
    set_reachable,
    set_reserved,
)
from varde.fhir.errors import NotFound
from varde.fhir.keys import bucket_of, new_id
from varde.services.letters import flow
from varde.services.letters.rules import Channel, NotAllowed, State
from varde.trust.access import Refused
from varde.trust.consents import Reservation, to_fhir

WEEK = timedelta(days=8)
DAY = timedelta(days=1)


async def test_let_02_straight_to_paper_the_next_working_morning(ward: Ward) -> None:
    not_user, reserved = (await ward.add(user=False))[0], (await ward.add(reserved=True))[0]
    batch = await ward.send([not_user, reserved])
    page = await flow.batch(ward.platform, await ward.staff(), batch)
    assert (page.sent, page.digital, page.paper) == (2, 0, 2)
    assert {(await ward.letter(one)).state for one in (not_user, reserved)} == {State.DUE_FOR_PRINT}
    assert await ward.notify.arrived() == []
    await ward.later(DAY)
    assert len(await ward.printed()) == 2
    # The patient may read it here all the same.
    (letter,), _ = await flow.inbox(ward.platform, await ward.patient(not_user))
    opened = await flow.open_letter(ward.platform, await ward.patient(not_user), letter.id)
    assert flow.paper_on_its_way(opened)


async def test_let_02_who_said_no_to_letters_here_gets_paper_and_is_told_why(ward: Ward) -> None:
    """Until they say otherwise: the next one comes digitally."""
    (one,) = await ward.add()
    system, now = ward.platform.access.for_system("test", write_types=None), ward.clock.now()
    no = Reservation(id=new_id(bucket_of(one.id)), patient=one.id, at=now, service="letters")
    await ward.platform.store.write_many(system, [to_fhir(no)])
    await ward.send([one], "first")
    first = await ward.letter(one)
    assert (first.state, first.channel, first.reason) == (State.DUE_FOR_PRINT, Channel.PAPER, "declined")
    await ward.later(DAY)
    assert len(await ward.printed()) == 1 and await ward.notify.arrived() == []
    ended = replace(no, at=ward.clock.now(), starts=now, withdrawn=True)
    await ward.platform.store.write_many(system, [to_fhir(ended)])
    await ward.send([one], "second")
    second = next(letter for letter in await ward.letters(of=one) if letter.key.startswith("second"))
    assert (second.state, second.channel) == (State.NOTIFIED, Channel.DIGITAL)


async def test_let_12_one_who_becomes_digital_before_print_is_reached_digitally_once(ward: Ward) -> None:
    (one,) = await ward.add(reserved=True)
    await ward.send([one])
    async with ward.platform.database.connection() as connection:
        await put_contact(connection, one.number, Contact(mobile=one.mobile, notifiable=True))
    await ward.later(DAY)
    letter = await ward.letter(one)
    assert (letter.state, letter.channel) == (State.NOTIFIED, Channel.DIGITAL)
    assert len(await ward.notify.arrived()) == 1 and await ward.printed() == []
    await ward.later(WEEK)
    assert len(await ward.printed()) == 1 and (await ward.letter(one)).state is State.POSTED


async def test_let_10_the_dead_get_no_letter_and_staff_are_told(ward: Ward) -> None:
    (one,) = await ward.add(dead=True)
    batch = await ward.send([one])
    assert (await ward.letter(one)).state is State.FAILED
    assert await ward.problems() == [(one.id, "dead")]
    page = await flow.batch(ward.platform, await ward.staff(), batch)
    assert page.sent == 0 and [refused["reason"] for refused in page.refused] == ["dead"]


async def test_let_10_one_who_dies_before_the_deadline_gets_no_paper(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    async with ward.platform.database.connection() as connection:
        await set_dead(connection, one.number, date(2026, 11, 25))
    await ward.later(WEEK)
    assert await ward.printed() == [] and await ward.problems() == [(one.id, "dead")]


@pytest.mark.parametrize(
    ("protection", "status", "address", "problem"),
    [
        (Protection.CONFIDENTIAL, PersonStatus.RESIDENT, False, "protected"),
        (Protection.STRICTLY_CONFIDENTIAL, PersonStatus.RESIDENT, False, "protected"),
        (Protection.NONE, PersonStatus.EMIGRATED, False, "emigrated"),
        (Protection.NONE, PersonStatus.RESIDENT, False, "no-address"),
    ],
)
async def test_let_08_let_10_no_paper_without_an_address_that_may_be_used(
    ward: Ward, protection: Protection, status: PersonStatus, address: bool, problem: str
) -> None:
    (one,) = await ward.add(user=False, protection=protection, status=status, address=address)
    await ward.send([one])
    await ward.later(DAY)
    assert await ward.printed() == [] and await ward.problems() == [(one.id, problem)]
    # Never sent: hidden from the patient.
    assert await flow.inbox(ward.platform, await ward.patient(one)) == ([], None)


async def test_let_08_an_address_protected_after_the_sending_is_not_printed(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    async with ward.platform.database.connection() as connection:
        await protect(connection, one.number, Protection.CONFIDENTIAL)
    await ward.later(WEEK)
    assert await ward.printed() == [] and await ward.problems() == [(one.id, "protected")]
    # It was sent, so the patient still has it.
    assert len((await flow.inbox(ward.platform, await ward.patient(one)))[0]) == 1


async def test_let_11_returned_mail_flags_that_address_and_the_next_letter_goes_digitally(ward: Ward) -> None:
    (one,) = await ward.add()
    ward.clock.set(datetime(2026, 11, 24, 9, tzinfo=UTC))
    await ward.send([one], "first")
    await ward.later(WEEK)
    (printed,) = await ward.printed()
    await ward.post.return_mail(printed.key)
    await ward.later(WEEK)
    assert (await ward.letter(one)).state is State.RETURNED
    assert await ward.problems() == [(one.id, "returned")]
    # Reserved since: would be on paper, were it not for the address.
    async with ward.platform.database.connection() as connection:
        await set_reserved(connection, one.number)
    await ward.send([one], "second")
    second = next(letter for letter in await ward.letters(of=one) if letter.key.startswith("second"))
    assert (second.state, second.reason) == (State.FAILED, "returned")
    # A new address is not the one that mail came back from.
    from varde.edges.registers import PostalAddress

    async with ward.platform.database.connection() as connection:
        await move(connection, one.number, PostalAddress(("Nyveien 1",), "9009", "TROMSØ"))
    await ward.send([one], "third")
    third = next(letter for letter in await ward.letters(of=one) if letter.key.startswith("third"))
    assert third.state is State.DUE_FOR_PRINT


async def test_let_11_staff_note_that_a_letter_came_back(ward: Ward) -> None:
    (one,) = await ward.add(user=False)
    await ward.send([one])
    letter = await ward.letter(one)
    with pytest.raises(NotAllowed):
        await flow.mark_returned(ward.platform, await ward.staff(), letter.id)
    await ward.later(timedelta(days=4))
    await flow.mark_returned(ward.platform, await ward.staff(), letter.id)
    assert (await ward.letter(one)).state is State.RETURNED
    assert await ward.problems() == [(one.id, "returned")]


@pytest.mark.parametrize("change", ["moved", "cancelled"])
async def test_let_55_a_letter_about_a_changed_appointment_is_not_printed(ward: Ward, change: str) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    gate = ward.platform.access.for_system("ehr", write_types=None)
    start = (await ward.letter(one)).appointment_start
    assert start is not None
    resource = appointment(one, start + (DAY if change == "moved" else timedelta()), "u")
    stored = (await ward.platform.store.read(gate, "Appointment", one.appointment)).resource
    resource["supportingInformation"] = stored["supportingInformation"]
    if change == "cancelled":
        resource["status"] = "cancelled"
    await ward.platform.store.update(gate, "Appointment", one.appointment, resource)
    await ward.later(WEEK)
    assert await ward.printed() == []
    assert await ward.problems() == [(one.id, "appointment-changed")]


async def test_let_03_a_childs_letter_goes_to_the_parent_who_may_see_it(ward: Ward) -> None:
    parent, stranger = await ward.add(2)
    (child,) = await ward.add(born=date(2020, 2, 3), user=False, mobile=False, parents=[parent])
    async with ward.platform.database.connection() as connection:
        home = (await ward.platform.registers.persons([parent.number]))[parent.number].address
        await move(connection, child.number, home)
    await ward.send([child])
    letter = await ward.letter(child)
    assert (letter.channel, letter.reason) == (Channel.DIGITAL, "child-digital")
    (told,) = await ward.notify.arrived()
    assert told.notification.to == parent.mobile
    scope = await ward.patient(parent, acting_for=child)
    opened = await flow.open_letter(ward.platform, scope, letter.id)
    assert opened.state is State.OPENED and opened.openings[0].for_another
    with pytest.raises(NotFound):
        await flow.open_letter(ward.platform, await ward.patient(stranger), letter.id)
    # From 12 years the parent sees nothing of what nobody has assessed (FAM-03, FAM-19), and from 16 nothing at all.
    ward.clock.set(datetime(2032, 2, 3, 9, tzinfo=UTC))
    with pytest.raises(NotFound):
        await flow.open_letter(ward.platform, await ward.patient(parent, acting_for=child), letter.id)
    ward.clock.set(datetime(2036, 2, 3, 9, tzinfo=UTC))
    with pytest.raises(Refused):
        await ward.patient(parent, acting_for=child)


async def test_let_02_a_youths_letter_goes_on_paper_to_the_parents_while_nobody_has_assessed_it(ward: Ward) -> None:
    (parent,) = await ward.add()
    (youth,) = await ward.add(born=date(2012, 2, 3), parents=[parent])
    await ward.send([youth])
    letter = await ward.letter(youth)
    assert (letter.channel, letter.reason) == (Channel.PAPER, "referral-not-assessed")
    with pytest.raises(Refused):
        await ward.patient(parent, acting_for=youth)
    await ward.later(DAY)
    assert len(await ward.printed()) == 1


async def test_fam_04_what_is_withheld_from_the_parents_reaches_none_of_them(ward: Ward) -> None:
    (parent,) = await ward.add()
    (child,) = await ward.add(born=date(2020, 2, 3), parents=[parent], labels=["NORN_FORANS"])
    async with ward.platform.database.connection() as connection:
        home = (await ward.platform.registers.persons([parent.number]))[parent.number].address
        await move(connection, child.number, home)
    await ward.send([child])
    await ward.later(WEEK)
    assert await ward.problems() == [(child.id, "withheld")]
    assert await ward.printed() == [] and await ward.notify.arrived() == []
    scope = await ward.patient(parent, acting_for=child)
    assert await flow.inbox(ward.platform, scope) == ([], None)


async def test_let_05_a_letter_about_an_appointment_soon_goes_both_ways_and_staff_telephone(ward: Ward) -> None:
    (one,) = await ward.add(days=2)
    await ward.send([one])
    letter = await ward.letter(one)
    assert letter.channel is Channel.BOTH
    assert await ward.problems() == [(one.id, "telephone")]
    await ward.later(DAY)
    assert len(await ward.printed()) == 1 and len(await ward.notify.arrived()) == 1


async def test_let_22_nobody_is_woken_by_an_sms(ward: Ward) -> None:
    ward.clock.set(datetime(2026, 11, 24, 22, 30, tzinfo=UTC))
    (one,) = await ward.add()
    await ward.send([one])
    assert await ward.notify.arrived() == [] and (await ward.letter(one)).state is State.SENT
    await ward.later(timedelta(hours=10))
    (told,) = await ward.notify.arrived()
    assert told.at == datetime(2026, 11, 25, 7, 0, tzinfo=UTC)


async def test_let_22_at_most_three_sms_a_day(ward: Ward) -> None:
    (one,) = await ward.add()
    for number in range(4):
        await ward.send([one], f"key{number}")
    assert len(await ward.notify.arrived()) == 3
    await ward.later(DAY)
    assert len(await ward.notify.arrived()) == 4


async def test_let_23_a_failed_sms_is_tried_by_email_and_then_on_paper_the_next_morning(ward: Ward) -> None:
    (with_mail,), (without,) = await ward.add(email=True), await ward.add()
    for one in (with_mail, without):
        await ward.notify.set_known(one.mobile, False)
    await ward.send([with_mail, without])
    (told,) = await ward.notify.arrived()
    assert "@" in told.notification.to
    assert (await ward.letter(with_mail)).state is State.NOTIFIED
    await ward.later(DAY)
    printed = await ward.printed()
    assert len(printed) == 1 and (await ward.letter(without)).state in (State.PRINTING, State.PRINTED)


async def test_a_register_that_is_down_is_waited_for_and_never_guessed(ward: Ward) -> None:
    (one,) = await ward.add()
    async with ward.platform.database.connection() as connection:
        await set_reachable(connection, Register.CONTACT, False)
    await ward.send([one], hpr=DOCTOR)
    assert await ward.letters() == []
    async with ward.platform.database.connection() as connection:
        await set_reachable(connection, Register.CONTACT, True)
    await ward.later(timedelta(hours=12))
    assert (await ward.letter(one)).channel is Channel.DIGITAL


async def test_let_31_a_letter_that_cannot_be_made_is_listed_and_the_others_go(ward: Ward) -> None:
    good, bad = await ward.add(2)
    gate = ward.platform.access.for_system("ehr", write_types=None)
    resource = dict((await ward.platform.store.read(gate, "Appointment", bad.appointment)).resource)
    resource["participant"] = resource["participant"][:1]
    await ward.platform.store.update(gate, "Appointment", bad.appointment, resource)
    batch = await ward.send([good, bad])
    page = await flow.batch(ward.platform, await ward.staff(), batch)
    assert (page.done, page.sent, len(page.refused)) == (2, 1, 1)
    assert await ward.problems() == [(bad.id, "refused")]
