"""Parameters that are found by the rows of others, and pairs whose row carries its code's system beside the key."""

from __future__ import annotations

from typing import Any

from tests.fhir.gates import OpenGate
from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.search.extract import extract
from varde.fhir.store import Store

LOINC, LOCAL = "http://loinc.org", "urn:oid:2.16.578.1.12.4.1.1.7280"


def _quantity(value: float) -> dict[str, Any]:
    return {"value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}


def _observation(identifier: str, *systems: str, value: float, component: float | None = None) -> dict[str, Any]:
    code = {"coding": [{"system": system, "code": "8480-6"} for system in systems]}
    made: dict[str, Any] = {"resourceType": "Observation", "id": identifier, "status": "final", "code": code,
                            "valueQuantity": _quantity(value)}  # fmt: skip
    if component is not None:
        part = {"coding": [{"system": LOINC, "code": "8462-4"}], "text": "Diastolisk"}
        made["component"] = [{"code": part, "valueQuantity": _quantity(component)}]
    return made


async def _ids(store: Store, gate: OpenGate, kind: str, query: str) -> list[str]:
    return sorted(entry.stored.id for entry in (await store.search(gate, kind, query)).entries)


def test_which_parameters_unite_others() -> None:
    united = {f"{kind}.{code}": parameter for kind in resource_types()
              for code, parameter in search_parameters(kind).items() if parameter.united}  # fmt: skip
    assert {"Observation.combo-code", "Observation.combo-value-quantity", "Patient.phonetic"} <= set(united)
    for name, parameter in united.items():
        own = search_parameters(name.partition(".")[0])
        parts = [part for part in own.values() if part.key in parameter.united]
        assert len(parts) == len(parameter.united) and all(part.kind == parameter.kind for part in parts), name
        assert not any(part.united for part in parts), name


async def test_a_united_parameter_finds_what_its_parts_find(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, [
        _observation("whole", LOINC, value=120), _observation("both", LOINC, value=130, component=80),
        {"resourceType": "Patient", "id": "p", "name": [{"family": "Øvergård", "given": ["Máret"]}]},
    ])  # fmt: skip
    assert await _ids(store, gate, "Observation", f"combo-code={LOINC}|8462-4") == ["both"]
    assert await _ids(store, gate, "Observation", f"combo-code={LOINC}|8480-6&_sort=-date") == ["both", "whole"]
    assert await _ids(store, gate, "Observation", "combo-code:text=dias") == ["both"]
    assert await _ids(store, gate, "Observation", "combo-code:not=8462-4") == ["whole"]
    assert await _ids(store, gate, "Observation", "combo-code:missing=true") == []
    assert await _ids(store, gate, "Observation", "combo-value-quantity=lt100") == ["both"]
    assert await _ids(store, gate, "Observation", "combo-value-quantity=gt100&_sort=combo-value-quantity") == [
        "both", "whole",
    ]  # fmt: skip
    page = await store.search(gate, "Observation", "_sort=combo-value-quantity")
    assert [entry.stored.id for entry in page.entries] == ["both", "whole"]
    assert await _ids(store, gate, "Patient", "phonetic=overg") == await _ids(store, gate, "Patient", "name=overg")
    assert await _ids(store, gate, "Patient", "phonetic=Máret") == ["p"]


async def test_a_pair_is_found_by_its_code_with_and_without_a_system(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, [
        _observation("two", LOINC, LOCAL, value=140), _observation("loinc", LOINC, value=150),
        _observation("local", LOCAL, value=160),
    ])  # fmt: skip
    assert await _ids(store, gate, "Observation", "code-value-quantity=8480-6$gt100") == ["local", "loinc", "two"]
    assert await _ids(store, gate, "Observation", f"code-value-quantity={LOINC}|8480-6$gt100") == ["loinc", "two"]
    assert await _ids(store, gate, "Observation", f"combo-code-value-quantity={LOCAL}|8480-6$ge140") == ["local", "two"]
    assert await _ids(store, gate, "Observation", f"code-value-quantity={LOCAL}|8480-6$gt150") == ["local"]


async def test_one_system_of_a_pair_is_taken_away(store: Store, gate: OpenGate) -> None:
    await store.write_many(gate, [_observation("two", LOINC, LOCAL, value=140)])
    await store.update(gate, "Observation", "two", _observation("two", LOINC, value=140))
    assert await _ids(store, gate, "Observation", f"code-value-quantity={LOCAL}|8480-6$140") == []
    assert await _ids(store, gate, "Observation", f"code-value-quantity={LOINC}|8480-6$140") == ["two"]
    await store.update(gate, "Observation", "two", _observation("two", LOCAL, value=140))
    assert await _ids(store, gate, "Observation", f"code-value-quantity={LOINC}|8480-6$140") == []
    assert await _ids(store, gate, "Observation", "code-value-quantity=8480-6$140") == ["two"]


def test_a_quantity_in_a_pair_is_one_row_a_system() -> None:
    rows = extract("Observation", _observation("x", LOINC, value=1))
    assert len(rows.quantities) == 2
    assert len(rows.tokens) == 2  # code and status
