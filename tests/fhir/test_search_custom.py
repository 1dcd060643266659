"""Custom search parameters and making search values anew: in every process, by batches, with nothing lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.fhir import definitions
from varde.fhir.errors import BadRequest, Unprocessable
from varde.fhir.reindex import Progress, recheck, reindex, stale, sweep
from varde.fhir.search.composite import composite_key
from varde.fhir.store import Store


def _parameter(code: str, expression: str, kind: str = "token", base: str = "Patient", **more: Any) -> dict[str, Any]:
    return {"resourceType": "SearchParameter", "id": f"sp-{code}", "url": f"http://varde/sp/{code}", "name": code,
            "status": "active", "description": code, "code": code, "base": [base], "type": kind,
            "expression": expression, **more}  # fmt: skip


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "a", "maritalStatus": {"coding": [{"system": "urn:m", "code": "G"}]},
     "contact": [{"name": {"family": "Ås"}}], "communication": [{"language": {"text": "x"}, "preferred": True}],
     "extension": [{"url": "http://x/born", "valueCodeableConcept": {"coding": [{"code": "no"}]}}]},
    {"resourceType": "Patient", "id": "b", "maritalStatus": {"coding": [{"system": "urn:m", "code": "U"}]}},
]  # fmt: skip


@pytest.fixture(autouse=True)
def forget_custom() -> Any:
    yield
    definitions.set_custom({})


async def _found(store: Store, gate: OpenGate, query: str, kind: str = "Patient") -> set[str]:
    return {m.id for m in (await store.search(gate, kind, query)).matches}


async def _refresh(*stores: Store) -> None:
    for store in stores:
        async with store.database.connection() as connection:
            await store.custom.refresh(connection)


async def _reindexed(store: Store, **more: Any) -> list[Progress]:
    done = await reindex(store.database, store.clock, store.custom, **more)
    await _refresh(store)
    return done


async def test_a_stored_parameter_becomes_searchable(store: Store, gate: OpenGate, clock: SetClock) -> None:
    await store.write_many(gate, RESOURCES)
    await store.create(gate, _parameter("marital", "Patient.maritalStatus"))
    await _refresh(store)
    with pytest.raises(BadRequest, match="being indexed"):
        await _found(store, gate, "marital=G")
    async with store.database.connection() as connection:
        assert "Patient" in await stale(connection)
    await _reindexed(store)
    async with store.database.connection() as connection:
        assert await stale(connection) == []
    assert await _found(store, gate, "marital=G") == {"a"}
    assert await _found(store, gate, "marital=urn:m|U") == {"b"}
    assert await _found(store, gate, "marital:missing=true") == set()
    await store.write_many(gate, [{**RESOURCES[1], "maritalStatus": RESOURCES[0]["maritalStatus"]}])
    assert await _found(store, gate, "marital=G") == {"a", "b"}
    assert await _found(store, gate, "marital=U") == set()
    # Another process, or one that was just started, knows it too.
    definitions.set_custom({})
    other = Store(store.database, clock)
    await _refresh(other)
    assert await _found(other, gate, "marital=G&_sort=marital") == {"a", "b"}
    assert await _found(other, gate, "_filter=marital eq G") == {"a", "b"}
    # Retired, it is unknown, and its values are swept away later.
    (stored,) = (await store.search(gate, "SearchParameter", "code=marital")).matches
    retired = {**_parameter("marital", "Patient.maritalStatus"), "status": "retired", "id": stored.id}
    await store.update(gate, "SearchParameter", stored.id, retired)
    key = definitions.search_parameters("Patient")["marital"].key
    await _refresh(store)
    with pytest.raises(BadRequest, match="unknown"):
        await _found(store, gate, "marital=G")
    await _reindexed(store)
    async with store.database.connection() as connection:
        assert await connection.fetchval("select count(*) from index_token where param = $1", key) == 2
        assert await sweep(store.database, clock) == 0
        clock.advance(timedelta(hours=2))
        assert await sweep(store.database, clock) >= 2
        assert await connection.fetchval("select count(*) from index_token where param = $1", key) == 0
        assert await connection.fetchval("select count(*) from search_key where key = $1", key) == 0


CASES = [
    (_parameter("spouse", "Patient.contact.name", "string"), "spouse=ås", {"a"}),
    (
        _parameter("prefers", "Patient.communication.where(preferred='x').language", "token"),
        "prefers:missing=true",
        {"a", "b"},
    ),
    (_parameter("born-in", "Patient.extension('http://x/born').value", "token"), "born-in=no", {"a"}),
    (
        _parameter("born-at", "Patient.extension.where(url = 'http://x/born').value.as(CodeableConcept)"),
        "born-at=no",
        {"a"},
    ),
    (
        _parameter("either", "Patient.maritalStatus | Patient.extension('http://x/born').value"),
        "either=no,U",
        {"a", "b"},
    ),
    (_parameter("every", "Resource.language", "token", "Resource"), "every:missing=true", {"a", "b"}),
]


async def test_expressions_that_are_understood(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, RESOURCES)
    await store.write_many(gate, [parameter for parameter, _, _ in CASES])
    await _refresh(store)
    await _reindexed(store)
    for parameter, query, expected in CASES:
        assert await _found(store, gate, query) == expected, parameter["expression"]


REFUSED = [
    (_parameter("x", "Patient.name.family.substring(0,3)", "string"), "FHIRPath is not read beyond character"),
    (_parameter("x", "Patient.contact.count()", "number"), "FHIRPath is not read"),
    (_parameter("x", "Patient.nothing", "string"), "leads to nothing in Patient"),
    (_parameter("x", "Patient.photo", "token"), "leads to nothing in Patient"),
    (_parameter("gender", "Patient.gender"), "has a parameter 'gender' already"),
    (_parameter("x", "Patient.name", "composite"), "not indexed"),
    (_parameter("x", "Patient.name", "special"), "not indexed"),
    ({k: v for k, v in _parameter("x", "").items() if k != "expression"}, "has a FHIRPath expression"),
    (_parameter("a b", "Patient.gender"), ""),
    (_parameter("twice", "Patient.active", id="other", url="http://varde/sp/other"), "already"),
]


async def test_expressions_beyond_it_are_refused_with_the_reason(store: Store, gate: OpenGate) -> None:
    await store.create(gate, _parameter("twice", "Patient.gender"))
    for parameter, reason in REFUSED:
        with pytest.raises(Unprocessable) as caught:
            await store.write_many(gate, [parameter])
        assert reason in str(caught.value), parameter["expression"]
        # As a draft it may be kept: it claims nothing.
        if reason:
            await store.write_many(gate, [{**parameter, "status": "draft"}])
    async with store.database.connection() as connection:
        assert await connection.fetchval("select count(*) from search_parameter") == 1


async def test_the_whole_store_is_made_anew_and_answers_as_before(
    store: Store, gate: OpenGate, clock: SetClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    for number in range(60):
        drug = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": f"M{number % 3}"}]}}
        made += [
            {
                "resourceType": "Patient",
                "id": f"p{number}",
                "name": [{"family": f"Navn{number}"}],
                "identifier": [{"system": "urn:p", "value": str(number)}],
            },
            {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "subject": {"reference": f"Patient/p{number}"},
                "code": {"coding": [{"system": "urn:c", "code": "A"}]},
                "effectiveDateTime": f"2026-01-{number % 28 + 1:02}",
                "valueQuantity": {"value": number, "system": "http://unitsofmeasure.org", "code": "mg"},
            },
            {
                "resourceType": "MedicationRequest",
                "id": f"m{number}",
                "status": "active",
                "intent": "order",
                "subject": {"type": "Patient", "identifier": {"system": "urn:p", "value": str(number)}},
                "contained": [drug],
                "medicationReference": {"reference": "#m"},
            },
        ]
    await store.write_many(gate, made)
    questions = [
        ("Observation", "code=urn:c|A&_sort=-date&_count=1000"), ("Observation", "patient=p7"),
        ("Observation", "value-quantity=gt0.05|http://unitsofmeasure.org|g&_count=1000"),
        ("Observation", "code-value-quantity=A$lt5"), ("Patient", "name=navn1"), ("Patient", "identifier=urn:p|3"),
        ("MedicationRequest", "medication.code=M1&_count=1000"), ("MedicationRequest", "patient.name=navn4"),
        ("Patient", "_has:Observation:patient:value-quantity=7"), ("MedicationRequest", "subject:identifier=5"),
    ]  # fmt: skip

    async def answers() -> list[list[str]]:
        return [[m.id for m in (await store.search(gate, kind, query)).matches] for kind, query in questions]

    async def rows() -> dict[str, int]:
        async with database.connection() as connection:
            return {
                table: await connection.fetchval(f"select count(*) from {table}")
                for table in ("index_token", "index_reference", "index_string", "index_date", "index_quantity",
                              "resource_contained")
            }  # fmt: skip

    before, counted = await answers(), await rows()
    assert all(before[place] for place in range(len(before)) if place != 7)
    versions = await _versions(database)
    assert {one.rewritten for one in await _reindexed(store)} == {0}  # all are as they should be
    # Another reading of every kind: nothing is found by it until the values are made anew.
    for kind, number in definitions.EXTRACTION.items():
        monkeypatch.setitem(definitions.EXTRACTION, kind, number + 100)
    definitions.set_custom({})
    composite_key.cache_clear()
    between = await answers()
    assert not any(between[place] for place in (0, 4, 5))
    async with database.connection() as connection:
        assert set(await stale(connection)) >= {"Patient", "Observation", "MedicationRequest"}
    # Stopped in the middle, while others write, it goes on where it stopped.
    steps: list[Progress] = []
    stopped = await reindex(database, clock, store.custom, told=steps.append, goes_on=lambda: len(steps) < 3, batch=25)
    assert not all(one.finished for one in stopped)
    await store.write_many(gate, [made[0], made[1], made[2]])
    await store.delete(gate, "Observation", "o59")
    await store.write_many(gate, [made[-2]])
    done = await asyncio.gather(
        reindex(database, clock, store.custom, batch=25), reindex(database, clock, store.custom, batch=10)
    )
    assert all(one.finished for several in done for one in several)
    async with database.connection() as connection:
        assert await stale(connection) == []
    assert await answers() == before
    touched = {"Patient/p0", "Observation/o0", "MedicationRequest/m0", "Observation/o59"}
    now = await _versions(database)
    assert {k: v for k, v in now.items() if k not in touched} == {k: v for k, v in versions.items() if k not in touched}
    clock.advance(timedelta(hours=2))
    await sweep(database, clock)
    after = await rows()
    assert after["resource_contained"] == counted["resource_contained"]
    assert {k: after[k] for k in ("index_token", "index_string", "index_date")} == {
        k: counted[k] for k in ("index_token", "index_string", "index_date")
    }
    composite_key.cache_clear()


async def _versions(database: Database) -> dict[str, int]:
    async with database.connection() as connection:
        found = await connection.fetch("select type, id, version from resource")
    return {f"{definitions.type_name(row['type'])}/{row['id']}": row["version"] for row in found}


async def test_what_a_former_process_wrote_since_is_found_and_made_anew(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, RESOURCES)
    await _reindexed(store)
    assert await recheck(store.database, store.custom) == 0
    async with store.database.connection() as connection:
        await connection.execute("update resource set indexed = 17 where id = 'a'")
        await connection.execute("delete from index_token")
    assert await recheck(store.database, store.custom) == 1
    assert (await store.search(gate, "Patient", "identifier:missing=true")).total == 2
    assert await recheck(store.database, store.custom) == 0
