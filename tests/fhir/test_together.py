"""What is answered together is answered as if each had come alone: its own answer, its own fault, its own log row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import orjson
import pytest

from varde.clock import SetClock
from varde.db import Database
from varde.fhir.arrays import column, placed
from varde.fhir.errors import NotFound, PreconditionFailed, Unprocessable
from varde.fhir.store import Store
from varde.fhir.storing.gathering import Gathering
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.scope import Scope

PATIENT = {"resourceType": "Patient", "active": True}


@pytest.fixture
def scope(database: Database, store: Store, clock: SetClock) -> Scope:
    return Access(store, clock, AuditLog(database, clock)).for_system("together")


async def _rows(database: Database, interaction: str) -> list[tuple[str, list[str], bool]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select resource_type, resource_ids, allowed, patient from trust_audit where interaction = $1 order by id",
            interaction,
        )
    return [(row["resource_type"], row["resource_ids"], row["allowed"]) for row in rows]


async def test_the_first_goes_at_once_and_the_rest_together() -> None:
    batches: list[list[int]] = []

    async def answer(asked: Sequence[int]) -> list[int | Exception]:
        batches.append(list(asked))
        await asyncio.sleep(0.01)
        return [ValueError() if one == 5 else one * 2 for one in asked]

    gathering: Gathering[int, int] = Gathering(answer, most=4, lanes=1)
    first = asyncio.create_task(gathering.ask("key", 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(gathering.ask("key", n) for n in range(1, 7)), return_exceptions=True)
    assert await first == 0 and batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert answers[:4] == [2, 4, 6, 8] and isinstance(answers[4], ValueError) and answers[5] == 12
    assert not gathering._waiting


async def test_what_fails_together_is_tried_alone_unless_the_connection_broke() -> None:
    asked: list[list[str]] = []

    async def answer(batch: Sequence[str]) -> list[str | Exception]:
        asked.append(list(batch))
        if "broken" in batch:
            raise asyncpg.ConnectionDoesNotExistError
        if "bad" in batch:
            raise asyncpg.DataError
        return list(batch)

    gathering: Gathering[str, str] = Gathering(answer, lanes=1)
    answers = await asyncio.gather(
        *(gathering.ask("k", one) for one in ("good", "bad", "fine")), return_exceptions=True
    )
    assert answers[0] == "good" and isinstance(answers[1], asyncpg.DataError) and answers[2] == "fine"
    asked.clear()
    # It may have been done: nobody may do it twice.
    answers = await asyncio.gather(*(gathering.ask("k", one) for one in ("good", "broken")), return_exceptions=True)
    assert all(isinstance(one, asyncpg.ConnectionDoesNotExistError) for one in answers) and len(asked) == 1


async def test_one_who_goes_away_leaves_the_others(store: Store, scope: Scope) -> None:
    tasks = [asyncio.create_task(store.create(scope, {**PATIENT, "multipleBirthInteger": n})) for n in range(12)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 1
    assert len({one.stored.id for one in done if not isinstance(one, BaseException)}) == 11


async def test_creates_updates_and_reads_at_once_are_as_if_alone(
    store: Store, scope: Scope, database: Database
) -> None:
    made = await asyncio.gather(*(store.create(scope, {**PATIENT, "multipleBirthInteger": n}) for n in range(20)))
    assert [orjson.loads(one.stored.body)["multipleBirthInteger"] for one in made] == list(range(20))
    assert all(one.created and one.stored.version == 1 for one in made)
    ids = [one.stored.id for one in made]
    assert sorted(await _rows(database, "create")) == sorted(("Patient", [one], True) for one in ids)

    async def update(place: int) -> int:
        resource = {**PATIENT, "id": ids[place], "active": False}
        wanted = 7 if place == 4 else 1
        return (await store.update(scope, "Patient", ids[place], resource, if_match=wanted)).stored.version

    updated = await asyncio.gather(*(update(place) for place in range(20)), return_exceptions=True)
    assert isinstance(updated[4], PreconditionFailed)
    assert [one for place, one in enumerate(updated) if place != 4] == [2] * 19
    # The same one many times at once: every update is a version of its own.
    same = await asyncio.gather(
        *(
            store.update(scope, "Patient", ids[0], {**PATIENT, "id": ids[0], "multipleBirthInteger": n})
            for n in range(9)
        )
    )
    assert sorted(one.stored.version for one in same) == list(range(3, 12))
    read = await asyncio.gather(
        *(store.read(scope, "Patient", one) for one in [*ids, "absent"]), return_exceptions=True
    )
    assert [one.version for one in read if not isinstance(one, BaseException)] == [11, 2, 2, 2, 1, *[2] * 15]
    assert isinstance(read[-1], NotFound)
    assert sorted(await _rows(database, "read")) == sorted(
        [*(("Patient", [one], True) for one in ids), ("Patient", [], False)]
    )


async def test_an_invalid_one_spoils_no_other(store: Store, scope: Scope) -> None:
    outcomes = await asyncio.gather(
        *(store.create(scope, {**PATIENT, "active": "yes" if n == 2 else True}) for n in range(6)),
        return_exceptions=True,
    )
    assert [isinstance(one, Unprocessable) for one in outcomes] == [False, False, True, False, False, False]


async def test_searches_at_once_find_their_own(store: Store, scope: Scope, database: Database) -> None:
    patients = [(await store.create(scope, PATIENT)).stored for _ in range(6)]
    for number, one in enumerate(patients):
        for _ in range(number):
            code = {"coding": [{"system": "urn:c", "code": "x"}]}
            subject = {"reference": one.reference}
            await store.create(
                scope, {"resourceType": "Observation", "status": "final", "code": code, "subject": subject}
            )
    pages = await asyncio.gather(
        *(store.search(scope, "Observation", f"patient={one.id}&code=urn:c|x&_count=3") for one in patients)
    )
    assert [len(page.entries) for page in pages] == [0, 1, 2, 3, 3, 3]
    assert [page.next is not None for page in pages] == [False] * 4 + [True] * 2
    assert all(match.patient == one.rid for page, one in zip(pages, patients, strict=True) for match in page.matches)
    logged = sorted(len(ids) for _, ids, _ in await _rows(database, "search"))
    assert logged == [0, 1, 2, 3, 3, 3]  # what was shown, not the row that tells whether more follow


async def test_a_row_that_somebody_holds_keeps_no_other_waiting(store: Store, scope: Scope, database: Database) -> None:
    held, free = [(await store.create(scope, PATIENT)).stored for _ in range(2)]
    async with store.transaction() as connection:
        await store.hold(connection, [held.reference])
        slow = asyncio.create_task(store.update(scope, "Patient", held.id, {**PATIENT, "id": held.id, "active": False}))
        async with asyncio.timeout(10):
            quick = await store.update(scope, "Patient", free.id, {**PATIENT, "id": free.id, "active": False})
        assert quick.stored.version == 2 and not slow.done()
    assert (await slow).stored.version == 2


async def test_array_literals_are_the_values(database: Database) -> None:
    cases = {
        "text": ['a "b"', "\\", "", "æ,{}", "NULL", "null", None, "a\nb", "'"], "bigint": [2**63 - 1, None, -1],
        "float8": [1.5, float("inf"), None, 1e300, 0.1], "boolean": [True, False, None], "smallint": [], "text ": [],
    }  # fmt: skip
    async with database.connection() as connection:
        for name, values in cases.items():
            datatype = name.strip()
            assert await connection.fetchval(f"select {placed('$1', datatype)}", column(values, datatype)) == values
