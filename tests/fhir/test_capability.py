"""The CapabilityStatement, both ways: all that it declares is tried and works, and what it does not is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.demo_server import DemoServer
from varde.fhir.definitions import resource_types
from varde.fhir.errors import BadRequest
from varde.fhir.http.capability import capability_statement
from varde.fhir.search.parse import parse
from varde.fhir.validate import faults_of

EXAMPLES = Path("node_modules/hl7.fhir.r4.examples")
BARE: dict[str, dict[str, Any]] = {
    "DeviceMetric": {"type": {"text": "x"}, "category": "measurement"},
    "DeviceUseStatement": {"status": "active", "subject": {"reference": "Patient/x"},
                           "device": {"reference": "Device/x"}},
    "Parameters": {}, "SubstanceNucleicAcid": {}, "SubstancePolymer": {}, "SubstanceProtein": {},
    "SubstanceReferenceInformation": {}, "SubstanceSourceMaterial": {},
}  # fmt: skip
"""Types of which the examples hold none that is valid."""
VALUES = {"number": "1", "date": "2026-01-01", "string": "x", "token": "x", "reference": "Patient/x",
          "quantity": "1", "uri": "urn:x", "composite": "x$x", "_filter": "_id eq x", "_list": "x", "_text": "x",
          "_content": "x", "near": "69.6|18.9|5|km"}  # fmt: skip


@cache
def _statement() -> dict[str, Any]:
    return capability_statement("http://test/fhir", "2026-11-24")


def _resources() -> dict[str, dict[str, Any]]:
    return {resource["type"]: resource for resource in _statement()["rest"][0]["resource"]}


def _example(kind: str) -> dict[str, Any]:
    if kind in BARE:
        return {"resourceType": kind, **BARE[kind]}
    for file in sorted(EXAMPLES.glob(f"{kind}-*.json")):
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        found.pop("text", None)  # what is there to be read by people is not always valid there
        if found.get("resourceType") == kind and not faults_of(found):
            return found
    raise AssertionError(kind)


def test_it_is_valid_and_whole() -> None:
    statement = _statement()
    assert not faults_of(statement)
    assert list(_resources()) == list(resource_types())
    rest = statement["rest"][0]
    assert rest["security"]["cors"] is True and statement["implementation"]["url"] == "http://test/fhir"
    assert {c.rpartition("/")[2] for c in rest["compartment"]} == {
        "patient", "encounter", "practitioner", "relatedPerson", "device"
    }  # fmt: skip
    for resource in rest["resource"]:
        assert len({p["name"] for p in resource["searchParam"]}) == len(resource["searchParam"])


@pytest.mark.slow
async def test_every_interaction_of_every_type(client: httpx.AsyncClient) -> None:
    """Whatever is declared of a type is done to a resource of it. A declaration without a test here is an error."""
    tried = {"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"}
    for kind, declared in _resources().items():
        assert {i["code"] for i in declared["interaction"]} == tried
        assert (declared["versioning"], declared["readHistory"], declared["updateCreate"]) == (
            "versioned-update", True, True
        )  # fmt: skip
        resource, own = {**_example(kind), "id": "cap"}, f"/{kind}/cap"

        async def status(method: str, path: str, body: Any = None, kind: str = kind, **headers: str) -> int:
            kinds = {"accept": "application/fhir+json"} | {k.replace("_", "-"): v for k, v in headers.items()}
            answer = await client.request(method, path, content=json.dumps(body) if body else None, headers=kinds)
            if answer.status_code >= 400:
                assert answer.json()["resourceType"] == "OperationOutcome"
            elif answer.content and method != "GET":
                assert answer.json()["resourceType"] == kind
            return answer.status_code

        assert await status("PUT", own, resource) == 201, kind  # updateCreate
        assert await status("GET", own) == 200
        assert await status("GET", f"{own}/_history/1") == 200
        assert declared["conditionalRead"] == "full-support"
        assert await status("GET", own, if_none_match='W/"1"') == 304
        assert await status("GET", own, if_modified_since="Tue, 24 Nov 2026 09:00:00 GMT") == 304
        assert await status("PUT", own, resource, if_match='W/"9"') == 412  # versioned-update
        assert await status("PUT", own, resource, if_match='W/"1"') == 200
        assert await status("PATCH", own, {"language": "nb"}, content_type="application/merge-patch+json") == 200
        assert await status("GET", f"{own}/_history") == 200
        assert await status("GET", f"/{kind}/_history") == 200
        assert await status("GET", f"/{kind}?_id=cap") == 200
        assert declared["conditionalCreate"] and declared["conditionalUpdate"]
        assert await status("POST", f"/{kind}", resource, if_none_exist="_id=cap") == 200
        assert await status("PUT", f"/{kind}?_id=cap", resource) == 200
        assert await status("POST", f"/{kind}", {**resource, "language": "nn"}) == 201
        assert declared["conditionalDelete"] == "multiple"
        assert await status("DELETE", f"/{kind}?_lastUpdated=gt2000") == 204
        assert await status("GET", own) == 410 and await status("DELETE", own) == 204
        total = (await client.get(f"/{kind}?_summary=count")).json()["total"]
        assert total == 0, kind


async def test_every_include_is_taken_and_no_other(client: httpx.AsyncClient) -> None:
    for kind, declared in _resources().items():
        for name, member in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            asked = "&".join(f"{name}={value}" for value in declared.get(member, ()))
            answer = await client.get(f"/{kind}?_id=none&{asked}")
            assert answer.status_code == 200, (kind, member, answer.text[:300])
            assert (await client.get(f"/{kind}?{name}={kind}:nonsense")).status_code == 400
        tokens = [p["name"] for p in declared["searchParam"] if p["type"] != "reference"]
        assert (await client.get(f"/{kind}?_include={kind}:{tokens[0]}")).status_code == 400


async def test_every_search_parameter_is_taken(client: httpx.AsyncClient) -> None:
    for kind, declared in _resources().items():
        for some in _chunks(declared["searchParam"], 12):
            asked = "&".join(f"{p['name']}={quote(_value(p), safe='')}" for p in some if p["type"] != "composite")
            answer = await client.get(f"/{kind}?{asked}")
            assert answer.status_code == 200, (kind, asked, answer.text[:300])
    asked = "&".join(f"{p['name']}={quote(_value(p))}" for p in _statement()["rest"][0]["searchParam"])
    assert (await client.get(f"/?{asked}")).status_code == 200


def _value(parameter: dict[str, str]) -> str:
    return VALUES.get(parameter["name"]) or VALUES.get(parameter["type"], "x")


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def test_no_other_search_parameter_is_taken() -> None:
    resources = _resources()
    every = {p["name"] for resource in resources.values() for p in resource["searchParam"]}
    result = {"_count", "_sort"}
    for kind, declared in resources.items():
        own = {p["name"] for p in declared["searchParam"]} | result
        for name in every - own:
            with pytest.raises(BadRequest):
                parse(kind, [(name, "x")])
    common = {p["name"] for p in _statement()["rest"][0]["searchParam"]}
    for name in every - common:
        with pytest.raises(BadRequest):
            parse(None, [(name, "x")])


async def test_operations_formats_and_compartments(client: httpx.AsyncClient) -> None:
    rest = _statement()["rest"][0]
    await client.put("/Patient/p", json={"resourceType": "Patient", "id": "p"})
    for operation in rest["operation"]:
        assert (await client.get(f"/${operation['name']}")).status_code == 200
    for kind, declared in _resources().items():
        names = {o["name"] for o in declared["operation"]}
        assert names == {"validate", "meta", "meta-add", "meta-delete"}
        assert (await client.get(f"/{kind}/$meta")).status_code == 200
        assert (await client.post(f"/{kind}/$nothing")).status_code == 404
    assert (await client.post("/Patient/$validate", json={"resourceType": "Patient"})).status_code == 200
    assert (await client.post("/$nothing")).status_code == 404
    for kind in _statement()["format"]:
        assert (await client.get(f"/Patient/p?_format={quote(kind)}")).status_code == 200
    for kind in ("xml", "ttl", "application/fhir+xml", "text/turtle", "html"):
        assert (await client.get(f"/Patient/p?_format={quote(kind)}")).status_code == 406
    bodies = {"application/json-patch+json": "[]", "application/merge-patch+json": "{}",
              "application/fhir+json": '{"resourceType":"Parameters"}'}  # fmt: skip
    assert set(bodies) == set(_statement()["patchFormat"])
    for kind, body in bodies.items():
        answer = await client.patch("/Patient/p", content=body, headers={"content-type": kind})
        assert answer.status_code == 200, answer.text
    for kind in ("application/xml-patch+xml", "text/plain"):
        answer = await client.patch("/Patient/p", content="x", headers={"content-type": kind})
        assert answer.status_code == 415
    compartments = {c.rpartition("/")[2] for c in rest["compartment"]}
    for kind in resource_types():
        answer = await client.get(f"/{kind}/x/Observation")
        assert answer.status_code == (200 if kind[:1].lower() + kind[1:] in compartments else 404), kind
    interactions = {i["code"] for i in rest["interaction"]}
    assert interactions == {"transaction", "batch", "history-system", "search-system"}
    for code in ("batch", "transaction"):
        assert (await client.post("/", json={"resourceType": "Bundle", "type": code})).status_code == 200
    assert (await client.get("/_history")).status_code == 200 and (await client.get("/")).status_code == 200
    for path in ("/Nothing", "/Nothing/x", "/Nothing/x/_history", "/patient"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.slow
async def test_the_whole_house_routes_what_it_declares(demo: DemoServer) -> None:
    """With every room's operations: each that is declared is found at its place, with others it is not."""
    headers = demo.headers("--system", "Integrator", "--scopes", "system/*.cruds")
    headers["content-type"] = "application/fhir+json"
    async with httpx.AsyncClient(base_url=demo.fhir, headers=headers, timeout=60) as client:
        statement = (await client.get("/metadata")).json()
        assert not faults_of(statement)
        rest = statement["rest"][0]
        places = [("", {o["name"] for o in rest["operation"]})]
        places += [(f"/{r['type']}", {o["name"] for o in r.get("operation", ())}) for r in rest["resource"]]
        every = {name for _, names in places for name in names}
        # One type of each kind: those that declare the same operations are routed by the same lines.
        for names, place in {frozenset(names): place for place, names in reversed(places)}.items():
            for name in sorted(every):
                # Asked with a method that none takes, so that nothing is done: what is routed says so by a 405.
                levels = (place, f"{place}/x") if place else (place,)
                found = {(await client.put(f"{level}/${name}", json={})).status_code for level in levels}
                assert (405 in found) == (name in names), (place, name, found)
                assert found <= {404, 405}
