"""Every search parameter of R4 finds its example: all values that HL7's examples have for it, asked for one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.databases import fresh_database
from tests.fhir import examples
from tests.fhir.gates import OpenGate
from varde.clock import SystemClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.load import load
from varde.fhir.model import Stored
from varde.fhir.store import Store

TYPES = sorted({file.name.split("-")[0] for file in examples.EXAMPLES.glob("*.json")} & set(resource_types()))
MOST = 12
"""Resources asked about by each parameter."""
SILENT = {
    # What R4 declares, and what cannot be searched by, with the reason.
    "part-agree": "its expression is of another type than its base",
    "_lastUpdated": "the store's own: asked for below by its own time",
    "_query": "names queries, of which there are none",
    "_text": "words, not values: tests of its own",
    "_content": "words, not values: tests of its own",
    "_filter": "a language: tests of its own",
}


@pytest.fixture(scope="module")
async def filled(postgres: EmbeddedPostgres) -> AsyncIterator[Store]:
    """A store with all of HL7's examples."""
    async with fresh_database(postgres) as url:
        database = Database(url, connections=4)
        store = Store(database, SystemClock())
        await load(store, OpenGate(), [examples.EXAMPLES])
        async with database.connection() as connection:
            await connection.execute("analyze")
        yield store
        await database.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
async def test_every_parameter_finds_its_examples(filled: Store, kind: str) -> None:
    gate = OpenGate()
    every = await _all(filled, gate, kind)
    stored = {one.id for one in every}
    lost = []
    for code, definition in examples.parameters(kind).items():
        if code in SILENT:
            continue
        assert code in search_parameters(kind), f"{kind}.{code} is not declared"
        asked = 0
        for resource in examples.resources(kind):
            if resource["id"] not in stored or asked >= MOST:
                continue
            questions = dict.fromkeys(examples.questions(kind, definition, resource))
            asked += bool(questions)
            for name, value in list(questions)[:4]:
                page = await filled.search(gate, kind, [(name, value), ("_id", resource["id"])])
                if [m.id for m in page.matches] != [resource["id"]]:
                    lost.append((resource["id"], name, value))
    for one in every[:MOST]:
        page = await filled.search(gate, kind, [("_lastUpdated", one.last_updated), ("_id", one.id)])
        lost += [(one.id, "_lastUpdated", one.last_updated)] if page.total != 1 else []
    assert not lost


async def _all(store: Store, gate: OpenGate, kind: str) -> list[Stored]:
    found: list[Stored] = []
    page: str | None = ""
    while page is not None:
        one = await store.search(gate, kind, "_count=1000" + (f"&_page={page}" if page else ""))
        found += one.matches
        page = one.next
    return found


async def test_the_examples_have_values_for_most_parameters() -> None:
    """So that the test above has teeth: how many of the parameters it asks by."""
    with_values = every = 0
    for kind in TYPES:
        for code, definition in examples.parameters(kind).items():
            if code not in SILENT and not code.startswith("_"):
                every += 1
                found = (q for r in examples.resources(kind) for q in examples.questions(kind, definition, r))
                with_values += next(found, None) is not None
    print(f"{with_values} of {every} parameters have a value in the examples")
    assert with_values > 700
