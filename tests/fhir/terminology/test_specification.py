"""The value sets of R4 against HL7's own expansions of them (the package hl7.fhir.r4.expansions)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fhir.gates import OpenGate
from varde.fhir.errors import FhirError
from varde.fhir.store import Store
from varde.fhir.terminology.composing import Composer
from varde.fhir.terminology.expanding import Expander, Item
from varde.fhir.terminology.resolving import Resolver

FILES = sorted(Path("node_modules/hl7.fhir.r4.expansions").glob("ValueSet-*.json"))
APART = {
    "http://hl7.org/fhir/ValueSet/c80-doc-typecodes": "lists codes that LOINC, which is not here, has taken away",
    "http://hl7.org/fhir/ValueSet/detectedissue-category": "goes by nested concepts alone, not by the property child",
    "http://terminology.hl7.org/ValueSet/v3-ActPharmacySupplyType": "the same",
    "http://hl7.org/fhir/ValueSet/currencies": "lists island currencies that ISO 4217 does not have",
}
NOT_HERE = {
    "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/cvx", "urn:ietf:bcp:13",
    "http://unitsofmeasure.org", "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem",
}  # fmt: skip
"""Code systems whose content is others', or without end."""


def hl7s(expansion: dict[str, Any]) -> set[tuple[str, str]]:
    found, stack = set(), list(expansion.get("contains", []))
    while stack:
        one = stack.pop()
        stack += one.get("contains", [])
        if "code" in one:
            found.add((one["system"], one["code"]))
    return found


def left_out_by_hl7(item: Item) -> bool:
    """HL7's flat expansions leave out what is abstract, and what is no more to be used."""
    status = {one.get("valueCode") for one in item.concept.detail.get("property", ()) if one["code"] == "status"}
    return item.concept.abstract or item.concept.inactive or bool(status & {"deprecated", "D", "R", "B", "N"})


async def test_every_expansion_is_hl7s(store: Store, gate: OpenGate) -> None:
    seen: Counter[str] = Counter()
    wrong: list[tuple[str, Any]] = []
    async with store.reading(None) as connection:
        for file in FILES:
            theirs = json.loads(file.read_text(encoding="utf-8"))
            resolver = Resolver(connection, gate)
            value_set = await resolver.value_set(theirs["url"])
            if value_set is None:
                seen["not in the examples package"] += 1
                continue
            try:
                page = await Expander(resolver, maximum=100_000).page(await Composer(resolver).parts(value_set), None)
            except FhirError as error:
                assert any(system in str(error) for system in NOT_HERE), (theirs["url"], str(error))
                seen["content of others"] += 1
                continue
            if theirs["url"] in APART:
                continue
            ours = {(item.system, item.concept.code): item for item in page.items}
            expected = hl7s(theirs["expansion"])
            assert expected <= ours.keys(), (theirs["url"], sorted(expected - ours.keys())[:5])
            more = [key for key, item in ours.items() if key not in expected and not left_out_by_hl7(item)]
            wrong += [(theirs["url"], more[:5])] if more else []
            seen["the same"] += 1
    assert not wrong
    assert seen["the same"] > 480
    assert seen["content of others"] < 60
