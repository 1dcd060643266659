"""Whatever is asked, the answer is one of FHIR's: never a failure of the server's own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fhir.terminology.conftest import SIMPLE, parameters, put, value_set
from tests.fhir.terminology.test_translate import MAP

PATHS = ["ValueSet/$expand", "ValueSet/$validate-code", "CodeSystem/$validate-code", "CodeSystem/$lookup",
         "CodeSystem/$subsumes", "ConceptMap/$translate"]  # fmt: skip
NAMES = ["url", "system", "code", "filter", "count", "displayLanguage", "targetsystem", "reverse", "date"]
SCALARS = st.sampled_from(
    [None, True, 7, -1, 2.5, "", "a", "b1", "\u0000", "http://example.no/simple", "x" * 600, "%", "|"]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["code", "system", "coding", "value", "property", "op", "valueSet", "concept", "display"]),
        inner, max_size=3), max_leaves=5,
)  # fmt: skip
FILTERED = value_set(
    {"system": SIMPLE["url"], "filter": [{"property": "prop", "op": "in", "value": "new"}]},
    exclude=[{"system": SIMPLE["url"], "concept": [{"code": "a"}]}],
)
WHOLE: list[dict[str, Any]] = [
    parameters(valueSet=FILTERED, filter="brudd", count=3),
    parameters(url="http://example.no/simple", coding={"system": SIMPLE["url"], "code": "a", "display": "Astma"}),
    parameters(url="http://example.no/simple", codeableConcept={"coding": [{"system": SIMPLE["url"], "code": "a"}]}),
    parameters(system=SIMPLE["url"], code="b1", property=["parent"]),
    parameters(codingA={"system": SIMPLE["url"], "code": "a"}, codingB={"system": SIMPLE["url"], "code": "b"}),
    parameters(conceptMap=MAP, system="http://example.no/a", code="4"),
    parameters(codeSystem=SIMPLE, code="b1", display="x", tx_resource=[SIMPLE, MAP]),
]  # fmt: skip


@st.composite
def bodies(draw: Any) -> Any:
    """A good body with one or two places in it exchanged for anything."""
    body = json.loads(json.dumps(draw(st.sampled_from(WHOLE))))
    for _ in range(draw(st.integers(1, 2))):
        places: list[tuple[Any, Any]] = []
        _collect(body, places)
        holder, key = draw(st.sampled_from(places))
        if draw(st.booleans()) and isinstance(holder, dict):
            holder.pop(key, None)
        else:
            holder[key] = draw(JSON)
    return body


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        places.append((value, key))
        _collect(inner, places)


async def test_never_a_failure_of_the_servers_own(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    await put(client, MAP)
    loop = asyncio.get_running_loop()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PATHS), bodies())
    def run(path: str, body: Any) -> None:
        sent = client.post(f"/{path}", content=json.dumps(body).encode())
        response = asyncio.run_coroutine_threadsafe(sent, loop).result(60)
        assert response.status_code in {200, 400, 404, 422}, (path, body, response.text)
        assert response.json()["resourceType"] in {"Parameters", "ValueSet", "OperationOutcome"}

    await asyncio.to_thread(run)

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12), max_size=4))
    def run_get(path: str, asked: dict[str, str]) -> None:
        sent = client.get(f"/{path}", params={name: text for name, text in asked.items() if text.isprintable()})
        response = asyncio.run_coroutine_threadsafe(sent, loop).result(60)
        assert response.status_code in {200, 400, 404, 422}, (path, asked, response.text)

    await asyncio.to_thread(run_get)
