"""A letter's life after it is sent: opening and taking out of the print batch, withdrawing, replacing, archiving, what
the printer cannot tell, and the checks (LET-06, LET-07, LET-50 to LET-58).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.services.letters.ward import SECRETARY, Ward
from varde.edges.registers.embedded import Register, set_reachable
from varde.fhir.errors import Conflict, NotFound, Unavailable
from varde.services.letters import flow, home_cards, keeping, opening
from varde.services.letters.reconciling import checks
from varde.services.letters.rules import NotAllowed, State
from varde.services.letters.showing import ShownToPatients, ShownToStaff
from varde.services.letters.views import Filters, Order
from varde.work import outbox
from varde.work.outbox import Dispatch, Message, Unknown
from varde.work.reconcile import run_checks

TO_PAPER = timedelta(days=6)
TO_POST = timedelta(days=8)


async def test_let_06_reading_again_notes_nothing(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    scope, letter = await ward.patient(one), await ward.letter(one)
    first = await flow.open_letter(ward.platform, scope, letter.id)
    ward.clock.advance(timedelta(hours=1))
    assert await flow.open_letter(ward.platform, scope, letter.id) == first
    stored = await ward.platform.store.read(keeping.own_scope(ward.platform), "Communication", letter.id)
    assert len(first.openings) == 1 and stored.version == 3  # sent, notified, opened


async def test_let_07_opened_after_it_was_printed_says_that_paper_is_on_its_way(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    await ward.later(TO_PAPER)
    scope, letter = await ward.patient(one), await ward.letter(one)
    assert letter.state in (State.PRINTING, State.PRINTED)
    opened = await flow.open_letter(ward.platform, scope, letter.id)
    assert opened.state is letter.state and flow.paper_on_its_way(opened)
    await ward.later(timedelta(days=2))
    assert (await ward.letter(one)).state is State.POSTED
    assert await flow.unread(ward.platform, scope) == 0


async def test_let_07_opened_before_the_printer_took_it_is_taken_out_of_the_batch(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    letter = await ward.letter(one)
    # As it stands between handing over and the printer's taking it.
    async with ward.platform.store.transaction() as connection:
        (locked,) = await keeping.locked(ward.platform, keeping.own_scope(ward.platform), connection, [letter.id])
        printing = replace(locked, state=State.PRINTING)
        await keeping.keep(ward.platform, keeping.own_scope(ward.platform), connection, [printing])
        await outbox.put(connection, Dispatch("post", keeping.print_key(letter.id), {}, ward.clock.now(), body=b"x"))
    opened = await flow.open_letter(ward.platform, await ward.patient(one), letter.id)
    assert opened.state is State.OPENED and not flow.paper_on_its_way(opened)
    await ward.later(TO_POST)
    assert await ward.printed() == [] and (await ward.letter(one)).state is State.OPENED


@pytest.mark.parametrize("round_number", range(5))
async def test_let_07_opening_and_printing_at_once_agree(ward: Ward, round_number: int) -> None:
    people = await ward.add(6)
    await ward.send(people)
    letters = await ward.letters()
    deadline = letters[0].deadline
    assert deadline is not None
    ward.clock.set(deadline)
    scopes = {one.id: await ward.patient(one) for one in people}
    pause = round_number * 0.02

    async def read(letter: Any) -> None:
        await asyncio.sleep(pause)
        await flow.open_letter(ward.platform, scopes[letter.patient], letter.id)

    await asyncio.gather(ward.worker.drain(ward.clock.now()), *(read(one) for one in letters))
    await ward.drain()
    printed = {one.key for one in await ward.printed()}
    for letter in await ward.letters():
        assert letter.opened
        if letter.state is State.OPENED:
            assert keeping.print_key(letter.id) not in printed
        else:
            assert keeping.print_key(letter.id) in printed and flow.paper_on_its_way(letter)


async def test_let_51_withdrawn_before_it_is_opened_and_never_printed(ward: Ward) -> None:
    one, opener = await ward.add(2)
    await ward.send([one, opener])
    letter, opened = await ward.letter(one), await ward.letter(opener)
    await flow.open_letter(ward.platform, await ward.patient(opener), opened.id)
    with pytest.raises(NotAllowed):
        await flow.withdraw(ward.platform, await ward.staff(), opened.id, "Feil")
    await flow.withdraw(ward.platform, await ward.staff(SECRETARY), letter.id, "Timen var til en annen.")
    page = await ShownToPatients(ward.platform).open(await ward.patient(one), letter.id, language="nb")
    assert page.withdrawn and page.withdrawn_reason == "Timen var til en annen." and page.html == ""
    await ward.later(TO_POST)
    after = await ward.letter(one)
    assert after.state is State.WITHDRAWN and not after.opened and await ward.printed() == []
    # Its appointment is to be called again.
    found, _ = await flow.to_call(ward.platform, await ward.staff(), "", most=10)
    assert [row.id for row in found] == [one.appointment]


async def test_let_51_a_withdrawn_letter_is_not_told_of(ward: Ward) -> None:
    ward.clock.set(ward.clock.now().replace(hour=22))  # told in the morning (LET-22)
    (one,) = await ward.add()
    await ward.send([one])
    letter = await ward.letter(one)
    await flow.withdraw(ward.platform, await ward.staff(), letter.id, "Feil")
    await ward.later(TO_POST)
    assert await ward.notify.arrived() == []


async def test_let_52_a_corrected_letter_replaces_and_both_stay_readable(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    old = await ward.letter(one)
    staff = await ward.staff()
    new = await flow.change(ward.platform, staff, old.id, {"message": "Ny inngang."}, "corrected")
    assert await flow.change(ward.platform, staff, old.id, {"message": "Ny inngang."}, "corrected") == new
    letters = {letter.id: letter for letter in await ward.letters()}
    assert len(letters) == 2 and letters[old.id].state is State.REPLACED
    assert (letters[old.id].replaced_by, letters[new.id].replaces) == (new.id, old.id)
    await ward.drain()
    scope = await ward.patient(one)
    pages = ShownToPatients(ward.platform)
    first, second = [await pages.open(scope, key, language="nb") for key in (old.id, new.id)]
    assert first.replaced_by == new.id and second.replaces == old.id
    assert "Ny inngang." in second.html and first.html
    await ward.later(TO_POST)
    assert await ward.printed() == []


async def test_let_57_put_away_and_taken_out(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    scope, letter = await ward.patient(one), await ward.letter(one)
    await flow.open_letter(ward.platform, scope, letter.id)
    await flow.archive(ward.platform, scope, letter.id, True)
    assert await flow.inbox(ward.platform, scope) == ([], None)
    assert [found.id for found in (await flow.inbox(ward.platform, scope, archived=True))[0]] == [letter.id]
    await flow.archive(ward.platform, scope, letter.id, False)
    assert len((await flow.inbox(ward.platform, scope))[0]) == 1


async def test_the_inbox_goes_page_by_page(ward: Ward) -> None:
    (one,) = await ward.add()
    for number in range(5):
        await ward.send([one], f"key{number}")
        ward.clock.advance(timedelta(minutes=1))
    scope = await ward.patient(one)
    first, following = await flow.inbox(ward.platform, scope, most=3)
    second, end = await flow.inbox(ward.platform, scope, most=3, page=following)
    assert (len(first), len(second), end) == (3, 2, None)
    sent = [letter.sent for letter in (*first, *second)]
    assert sent == sorted(sent, reverse=True)  # type: ignore[type-var]


async def test_let_56_what_nobody_knows_is_put_before_a_person(ward: Ward) -> None:
    (one,) = await ward.add(user=False)
    await ward.send([one])
    letter = await ward.letter(one)
    async with ward.platform.store.transaction() as connection:
        (locked,) = await keeping.locked(ward.platform, keeping.own_scope(ward.platform), connection, [letter.id])
        printing = replace(locked, state=State.PRINTING)
        await keeping.keep(ward.platform, keeping.own_scope(ward.platform), connection, [printing])
        from varde.services.letters.receipts import printed

        message = Message(1, "post", keeping.print_key(letter.id), {}, None, one.key, 1)
        await printed(ward.platform)(connection, [(message, Unknown("died"))])
    assert await ward.problems() == [(one.id, "unknown")]
    assert (await ward.letter(one)).state is State.PRINTING


async def test_a_letter_is_never_shown_before_it_is_sent(ward: Ward) -> None:
    (one,) = await ward.add(dead=False, user=False, address=False)
    await ward.send([one])
    letter = await ward.letter(one)
    assert letter.state is State.FAILED and letter.sent is None
    with pytest.raises(NotFound):
        await flow.open_letter(ward.platform, await ward.patient(one), letter.id)


async def test_staff_see_the_days_letters_counts_and_reasons(ward: Ward) -> None:
    digital, paper = (await ward.add())[0], (await ward.add(reserved=True))[0]
    await ward.add(2, user=False, address=False)
    await ward.send(ward.people)
    staff = ShownToStaff(ward.platform)
    scope = await ward.staff(SECRETARY)
    found = await staff.overview(scope, Filters(), language="nb")
    assert found.counts == {"notified": 1, "due-for-print": 1, "failed": 2} and found.total == 4
    assert found.attention == 2
    rows = {row.patient: row for row in found.letters}
    assert rows[digital.name].next_step and rows[digital.name].next_at
    assert rows[paper.name].channel == "paper" and "eservert" in rows[paper.name].why
    narrowed = await staff.overview(scope, Filters(state="due-for-print"), language="en")
    assert [row.patient for row in narrowed.letters] == [paper.name]
    today = await staff.overview(scope, Filters(day="2026-11-24", kind="summons"), language="nb")
    assert today.total == 2  # those never sent have no day
    other = await staff.overview(scope, Filters(day="2026-11-25"), language="nb")
    assert other.total == 0 and other.letters == []
    one = await staff.letter(scope, rows[paper.name].id, language="nb")
    assert one.html and one.may_withdraw and not one.may_return and one.changes[0].actor
    assert (await staff.pdf(scope, rows[paper.name].id)).startswith(b"%PDF")
    work = await staff.worklist(scope, page=None, language="nb")
    assert {item.problem for item in work.items} == {"no-address"}


async def test_an_order_is_looked_over_before_it_is_sent(ward: Ward) -> None:
    people = await ward.add(3)
    await ward.add(1, reserved=True)
    staff, scope = ShownToStaff(ward.platform), await ward.staff(SECRETARY)
    order = Order("summons", {"message": "Velkommen."}, [one.appointment for one in ward.people])
    draft = await staff.look_over(scope, order, language="nb")
    assert draft.total == 4 and not draft.faults and not draft.refused
    assert "3 " in draft.routes_summary and "1 " in draft.routes_summary
    assert "Velkommen." in draft.preview_html and draft.paper_image.startswith("data:image/png;base64,")
    shown = await staff.look_over(scope, replace(order, shown=people[1].appointment), language="nb")
    assert shown.shown_name == people[1].name
    assert (await staff.paper(scope, order)).startswith(b"%PDF")
    assert await ward.letters() == []


async def test_home_cards_say_what_is_unread_and_until_when(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    scope, letter = await ward.patient(one), await ward.letter(one)
    (card,) = await home_cards(ward.platform, scope)
    assert (card.kind, card.href, card.due) == ("letter", f"/brev/{letter.id}", letter.deadline)
    await flow.open_letter(ward.platform, scope, letter.id)
    (card,) = await home_cards(ward.platform, scope)
    assert (card.kind, card.due) == ("letter-read", None)


async def test_the_checks_find_what_was_forgotten(ward: Ward) -> None:
    one, other = await ward.add(2)
    await ward.send([one, other])
    own = [check for check in checks(ward.platform) if check.name.startswith("letters.")]
    async with ward.platform.store.transaction() as connection:
        assert [found.count for found in await run_checks(connection, own, ward.clock.now()) if found] == [0, 0, 0]
        await connection.execute("delete from work_job where kind = 'letters.deadline'")
        later = ward.clock.now() + timedelta(days=14)
        found = await run_checks(connection, own, later)
        assert found[0] is not None and found[0].count == 2
        key = keeping.print_key((await ward.letter(one)).id)
        await outbox.put(connection, Dispatch("post", key, {}, later, body=b"x"))
        await connection.execute("update work_outbox set state = 'sending' where edge = 'post'")
        found = await run_checks(connection, own, later)
        assert found[1] is not None and found[1].count == 1


def test_every_problem_of_a_letter_has_words_for_staff() -> None:
    from varde.services.letters.staff import PROBLEMS
    from varde.services.letters.worklist import PROBLEMS_OF_A_LETTER

    assert set(PROBLEMS_OF_A_LETTER) == set(PROBLEMS)
    assert opening.ON_A_PAGE > 0


async def test_what_is_too_late_or_away_is_told_as_such(ward: Ward) -> None:
    (one,) = await ward.add()
    await ward.send([one])
    letter = await ward.letter(one)
    await flow.open_letter(ward.platform, await ward.patient(one), letter.id)
    staff, scope = ShownToStaff(ward.platform), await ward.staff()
    with pytest.raises(Conflict):
        await staff.withdraw(scope, letter.id, "For sent")
    with pytest.raises(Conflict):
        await staff.mark_returned(scope, letter.id)
    with pytest.raises(NotFound):
        await staff.send(scope, Order("summons", {}, ["nobody"]), "empty")
    async with ward.platform.database.connection() as connection:
        await set_reachable(connection, Register.PERSON, False)
    with pytest.raises(Unavailable):
        await staff.look_over(scope, Order("summons", {}, [one.appointment]), language="nb")
