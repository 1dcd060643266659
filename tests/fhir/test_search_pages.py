"""Pages while others write: whatever is created, changed and deleted meanwhile, a walk through the pages shows no
resource twice, and none is lost that was there all the time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.fhir.store import Store

NAMES = ["Ås", "Berg", "Čáhppe", "Dahl", "Øye", None]
SORTS = [
    "",
    "_id",
    "-_id",
    "birthdate",
    "-birthdate",
    "family,-birthdate",
    "-family",
    "gender,_id",
    "-gender",
    "organization",
    "-organization,family",
    "_profile",
    "-_profile",
    "deceased,-family",
]


def _patient(drawn: Random, identifier: str) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Patient", "id": identifier}
    name = drawn.choice(NAMES)
    if name:
        made["name"] = [{"family": name}]
    if drawn.random() < 0.7:
        made["birthDate"] = drawn.choice(["1980", "1980-05", "1990-01-01", "2001-12-24"])
    if drawn.random() < 0.7:
        made["gender"] = drawn.choice(["male", "female", "other"])
    if drawn.random() < 0.7:
        made["managingOrganization"] = {"reference": f"Organization/o{drawn.randrange(3)}"}
    if drawn.random() < 0.5:
        made["meta"] = {"profile": [f"http://p/{drawn.randrange(3)}"]}
    return made


async def _walk(store: Store, gate: OpenGate, query: str, count: int, back: bool) -> list[str]:
    """The ids on all pages, and then, when `back`, the same by the links to the page before."""
    told: list[str] = []
    page: str | None = None
    while True:
        found = await store.search(gate, "Patient", f"{query}&_count={count}" + (f"&_page={page}" if page else ""))
        told += [m.id for m in found.matches]
        assert all(e.mode == "include" or e.stored.type == "Patient" for e in found.entries)
        if found.next is None:
            break
        page = found.next
        await asyncio.sleep(0)
    if back:
        backwards: list[str] = []
        while found.previous is not None:
            found = await store.search(gate, "Patient", f"{query}&_count={count}&_page={found.previous}")
            backwards = [m.id for m in found.matches] + backwards
        assert not _twice(backwards)
    return told


def _twice(ids: list[str]) -> set[str]:
    """What stands twice, but for what is deleted and made anew elsewhere in the order: another resource."""
    return {one for one in ids if ids.count(one) > 1 and "-x" not in one}


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), sort=st.sampled_from(SORTS), count=st.integers(2, 9), include=st.booleans())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_twice_and_nothing_lost(
    store: Store, gate: OpenGate, clock: SetClock, seed: int, sort: str, count: int, include: bool
) -> None:
    drawn = Random(seed)
    prefix = f"s{seed}-{abs(hash((sort, count, include))) % 10**6}"
    steady = [_patient(drawn, f"{prefix}-k{n}") for n in range(20)]
    passing = [_patient(drawn, f"{prefix}-x{n}") for n in range(10)]
    await store.write_many(gate, [*steady, *passing])
    await store.write_many(gate, [{"resourceType": "Organization", "id": f"o{n}", "name": "O"} for n in range(3)])
    done = asyncio.Event()

    async def disturb() -> None:
        number = 0
        while not done.is_set():
            clock.advance(timedelta(seconds=1))
            what = drawn.randrange(4)
            if what == 0:
                await store.write_many(gate, [_patient(drawn, f"{prefix}-n{number}")])
            elif what == 1:  # changed in what is not sorted by
                await store.write_many(gate, [{**drawn.choice(steady), "active": drawn.random() < 0.5}])
            elif what == 2:
                await store.delete(gate, "Patient", f"{prefix}-x{drawn.randrange(10)}")
            else:
                await store.write_many(gate, [_patient(drawn, f"{prefix}-x{drawn.randrange(10)}")])
            number += 1
            await asyncio.sleep(0.003)  # a writer without a pause would fill the store faster than it is walked

    writer = asyncio.create_task(disturb())
    try:
        query = f"_sort={sort}" if sort else "_id:not=nobody"
        query += "&_include=Patient:organization" if include else ""
        told = await _walk(store, gate, query, count, back=True)
    finally:
        done.set()
        await writer
    assert not _twice(told)
    assert {one["id"] for one in steady} <= set(told)


async def test_links_of_pages_are_those_of_the_search(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, [{"resourceType": "Patient", "id": f"p{n}", "active": n % 2 == 0} for n in range(9)])
    page = await store.search(gate, None, "_type=Patient&active=true&_count=2")
    told = [m.id for m in page.matches]
    while page.next:
        page = await store.search(gate, None, f"_type=Patient&active=true&_count=2&_page={page.next}")
        told += [m.id for m in page.matches]
    assert sorted(told) == ["p0", "p2", "p4", "p6", "p8"] and page.total is None
