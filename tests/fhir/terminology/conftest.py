"""The terminology operations over HTTP on a store of the test's own, and short ways to ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest

from tests.fhir.gates import OpenGate
from varde.fhir.gate import Gate
from varde.fhir.http.capability import capability_statement
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store
from varde.fhir.terminology.operations import TERMINOLOGY

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def client(store: Store, gate: OpenGate) -> AsyncIterator[httpx.AsyncClient]:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    def metadata() -> dict[str, Any]:
        return capability_statement("http://test/fhir", "2026-11-24", TERMINOLOGY)

    application = FhirApplication(store, authenticate, "http://test/fhir", metadata, dict, TERMINOLOGY)
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        made.headers["content-type"] = "application/fhir+json"
        yield made


def parameters(**given: Any) -> dict[str, Any]:
    """A Parameters resource; a list is a parameter given several times, `_` in a name is `-`."""
    listed = []
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            listed.append({"name": name.replace("_", "-"), **_typed(name, one)})
    return {"resourceType": "Parameters", "parameter": listed}


def _typed(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if isinstance(value, dict):
        if "resourceType" in value:
            return {"resource": value}
        return {"valueCodeableConcept" if name == "codeableConcept" else "valueCoding": value}
    return {"valueString": value}


def said(response: httpx.Response) -> dict[str, Any]:
    """Values of a Parameters answer by name; the first where there are several."""
    assert response.status_code == 200, response.text
    found: dict[str, Any] = {}
    for one in response.json()["parameter"]:
        value = next((v for k, v in one.items() if k.startswith("value") or k in {"resource", "part"}), None)
        found.setdefault(one["name"], value)
    return found


def codes(response: httpx.Response) -> list[str]:
    """Codes of an expansion, in order, those nested below others after them."""
    assert response.status_code == 200, response.text
    found: list[str] = []
    stack = list(reversed(response.json()["expansion"].get("contains", [])))
    while stack:
        one = stack.pop()
        found.append(one["code"])
        stack += reversed(one.get("contains", []))
    return found


SIMPLE: dict[str, Any] = {
    "resourceType": "CodeSystem", "id": "simple", "url": "http://example.no/simple", "version": "1.0", "name": "Simple",
    "status": "active", "content": "complete", "caseSensitive": True, "language": "nb", "hierarchyMeaning": "is-a",
    "property": [
        {"code": "prop", "type": "string", "description": "A property"},
        {"code": "status", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#status"},
        {"code": "notSelectable", "type": "boolean", "uri": "http://hl7.org/fhir/concept-properties#notSelectable"},
    ],
    "concept": [
        {"code": "a", "display": "Astma", "definition": "Sykdom i luftveiene",
         "property": [{"code": "prop", "valueString": "old"}],
         "designation": [{"language": "en", "value": "Asthma"}, {"language": "se", "value": "Ástmá"}]},
        {"code": "b", "display": "Brudd", "property": [{"code": "notSelectable", "valueBoolean": True}], "concept": [
            {"code": "b1", "display": "Brudd i håndleddet", "property": [{"code": "prop", "valueString": "new"}],
             "concept": [{"code": "b11", "display": "Åpent brudd i håndleddet"}]},
            {"code": "b2", "display": "Brudd i ankelen", "property": [
                {"code": "prop", "valueString": "new"}, {"code": "status", "valueCode": "retired"}]},
        ]},
        {"code": "c", "display": "Cøliaki"},
    ],
}  # fmt: skip


def value_set(*includes: dict[str, Any], exclude: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A ValueSet of these includes."""
    compose: dict[str, Any] = {"include": list(includes)}
    if exclude:
        compose["exclude"] = exclude
    return {"resourceType": "ValueSet", "status": "active", "compose": compose, **more}


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    """Write a resource."""
    response = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert response.status_code in {200, 201}, response.text
