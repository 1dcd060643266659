"""Criteria in memory say the same as a search in the database does."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fhir.gates import OpenGate
from varde.fhir.definitions import search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.search.extract import extract
from varde.fhir.store import Store
from varde.fhir.subscriptions.criteria import Facts, compile_criteria

EXAMPLES = Path("node_modules/hl7.fhir.r4.examples")
TYPES = ("Observation", "Patient", "Encounter", "Appointment", "MedicationRequest", "DiagnosticReport", "Condition",
         "Immunization", "RiskAssessment", "ValueSet")  # fmt: skip


def examples(kind: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in sorted(EXAMPLES.glob(f"{kind}-*.json"))[:12]]
    return [{**one, "id": f"x{place}"} for place, one in enumerate(found)]


def questions(kind: str, resources: list[dict[str, Any]]) -> list[str]:
    """Searches that are answered by something, made of what stands in the resources, and some by nothing."""
    asked: dict[str, None] = {}
    for code, parameter in search_parameters(kind).items():
        if parameter.kind in {"special", "composite"} or code in {"_id", "_lastUpdated"}:
            continue
        asked[f"{code}:missing=true"] = asked[f"{code}:missing=false"] = None
        for resource in resources:
            rows = extract(kind, resource)
            for param, _, text in rows.tokens:
                if param in parameter.keys and "," not in text and "|" not in text and text:
                    for form in (
                        f"{code}={text}",
                        f"{code}:not={text}",
                        f"{code}=http://loinc.org|{text}",
                        f"{code}=|{text}",
                    ):
                        asked[form] = None
            for param, value, exact in rows.strings:
                if param in parameter.keys and value and parameter.kind == "string":
                    for form in (f"{code}={value[:3]}", f"{code}:exact={exact}", f"{code}:contains={value[1:4]}"):
                        asked[form.replace("&", "%26").replace("#", "%23").replace(";", "%3B").replace("+", "%2B")] = (
                            None
                        )
            for param, low, _ in rows.dates:
                if param in parameter.keys and low.year > 1000:
                    for prefix in ("", "ne", "gt", "ge", "lt", "le", "sa", "eb"):
                        asked[f"{code}={prefix}{low:%Y-%m-%d}"] = asked[f"{code}={prefix}{low:%Y-%m}"] = None
            for param, low, *_ in rows.quantities:
                if param in parameter.keys and abs(low) < 1e9:
                    for prefix in ("", "ne", "gt", "ge", "lt", "le", "sa", "eb"):
                        asked[f"{code}={prefix}{low:.2f}"] = None
            for param, value in rows.uris:
                if param in parameter.keys:
                    for form in (f"{code}={value}", f"{code}:below={value[:12]}", f"{code}:above={value}/x"):
                        asked[form] = None
        for element in json.dumps(resources).split('"reference": "')[1:]:
            if parameter.kind == "reference":
                asked[f"{code}={element.split(chr(34))[0]}"] = None
    return list(asked)


@pytest.mark.parametrize("kind", TYPES)
async def test_they_say_the_same_as_a_search(store: Store, gate: OpenGate, kind: str) -> None:
    resources = examples(kind)
    await store.write_many(gate, resources, checked=True)
    every = questions(kind, resources)
    step = max(1, len(every) // 150)
    answered = 0
    for query in every[::step]:
        try:
            criteria = compile_criteria(kind, query)
        except BadRequest:
            with pytest.raises(BadRequest):
                await store.search(gate, kind, query)
            continue
        page = await store.search(gate, kind, query + "&_count=100")
        expected = {one.id for one in page.matches}
        facts = [Facts(kind, one) for one in resources]
        met = {one.resource["id"] for one in facts if criteria.meets(one)}
        assert met == expected, query
        answered += bool(met)
        if criteria.handles is not None:
            for one in facts:
                assert not criteria.meets(one) or criteria.handles & set(one.handles()), query
    assert answered > 20


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_whatever_is_asked_it_is_taken_or_refused(text: str) -> None:
    for query in (text, f"code={text}", f"date={text}", f"value-quantity={text}", f"subject={text}"):
        with suppress(BadRequest):
            compile_criteria("Observation", query).meets(Facts("Observation", {"resourceType": "Observation"}))
