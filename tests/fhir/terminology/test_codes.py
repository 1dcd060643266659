"""`$lookup`, `$validate-code`, `$subsumes`: of one code."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fhir.gates import VeiledGate
from tests.fhir.terminology.conftest import SIMPLE, parameters, put, said, value_set
from varde.fhir.keys import resource_key

S = SIMPLE["url"]
GENDER = "http://hl7.org/fhir/administrative-gender"


async def lookup(client: httpx.AsyncClient, **given: Any) -> httpx.Response:
    return await client.post("/CodeSystem/$lookup", json=parameters(**given))


def properties(response: httpx.Response) -> list[tuple[str, Any]]:
    """(code, value) of each property of a lookup."""
    found = []
    for one in response.json()["parameter"]:
        if one["name"] == "property":
            parts = {part["name"]: part for part in one["part"]}
            value = next(v for k, v in parts["value"].items() if k.startswith("value"))
            found.append((parts["code"]["valueCode"], value))
    return found


async def test_lookup(client: httpx.AsyncClient) -> None:
    response = await client.get("/CodeSystem/$lookup", params={"system": GENDER, "code": "male"})
    assert said(response)["display"] == "Male"
    assert said(response)["name"] == "AdministrativeGender"
    assert said(response)["version"] == "4.0.1"
    assert said(response)["definition"]
    await put(client, SIMPLE)
    response = await lookup(client, system=S, code="b1")
    assert said(response)["display"] == "Brudd i håndleddet"
    assert properties(response) == [("inactive", False), ("prop", "new"), ("parent", "b"), ("child", "b11")]
    assert properties(await lookup(client, system=S, code="b1", property=["parent"])) == [("parent", "b")]
    assert ("inactive", True) in properties(await lookup(client, system=S, code="b2"))
    response = await lookup(client, coding={"system": S, "code": "a"}, displayLanguage="en")
    assert said(response)["display"] == "Asthma"
    designation = [one["part"] for one in response.json()["parameter"] if one["name"] == "designation"]
    assert [{part["name"]: part for part in one}["value"]["valueString"] for one in designation] == ["Asthma", "Ástmá"]
    assert said(await lookup(client, system=S, code="b"))["abstract"] is True
    response = await client.get(
        "/CodeSystem/$lookup", params={"system": S, "code": "a"}, headers={"accept-language": "se, nb;q=0.5"}
    )
    assert said(response)["display"] == "Ástmá"


async def test_lookup_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    for given, status in (
        ({"system": GENDER, "code": "none"}, 404), ({"system": "http://nowhere", "code": "x"}, 404),
        ({"code": "male"}, 400), ({"system": GENDER}, 400), ({"system": GENDER, "code": "male", "version": "9"}, 404),
        ({"system": GENDER, "code": "male", "coding": {"code": "male"}}, 400),
        ({"coding": {"code": 7}}, 422),
    ):  # fmt: skip
        response = await lookup(client, **given)
        assert response.status_code == status, (given, response.text)
        assert response.json()["resourceType"] == "OperationOutcome"


async def test_lookup_of_grammars(client: httpx.AsyncClient) -> None:
    good = {
        "http://unitsofmeasure.org": ["mg", "mmol/L", "10*9/L", "{tbl}", "mm[Hg]", "kg.m/s2"],
        "urn:ietf:bcp:47": ["nb", "nb-NO", "se", "zh-Hant-TW", "en-US-x-hospital"],
        "urn:ietf:bcp:13": ["text/plain", "application/pdf", "text/html; charset=utf-8"],
        "urn:ietf:rfc:3986": ["urn:oid:1.2.3", "https://example.no/x"],
        "urn:iso:std:iso:3166": ["NO", "NOR", "578"],
        "urn:iso:std:iso:4217": ["NOK", "EUR"],
        "https://www.iana.org/time-zones": ["Europe/Oslo"],
    }
    bad = {
        "http://unitsofmeasure.org": ["milligram", "mg/", "(m"],
        "urn:ietf:bcp:47": ["norsk språk", "qq", "nb_NO", "nb-XX1"],
        "urn:ietf:bcp:13": ["text", "text/", "a b/c"],
        "urn:ietf:rfc:3986": ["not a uri", "plain"],
        "urn:iso:std:iso:3166": ["XX", "no", "ZZ"],
        "urn:iso:std:iso:4217": ["XXQ"],
        "https://www.iana.org/time-zones": ["Europe/Tromsø"],
    }
    for several, status in ((good, 200), (bad, 404)):
        for system, listed in several.items():
            for code in listed:
                response = await lookup(client, system=system, code=code)
                assert response.status_code == status, (system, code, response.text)
    assert (
        said(await lookup(client, system="urn:ietf:bcp:47", code="nb", displayLanguage="nb"))["display"]
        == "norsk bokmål"
    )


async def of_set(client: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    return said(await client.post("/ValueSet/$validate-code", json=parameters(**given)))


async def of_system(client: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    return said(await client.post("/CodeSystem/$validate-code", json=parameters(**given)))


async def test_codes_of_a_code_system(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    good = await of_system(client, url=S, code="a")
    assert (good["result"], good["display"], good["system"], good["version"]) == (True, "Astma", S, "1.0")
    assert (await of_system(client, url=S, code="a", display="ASTMA "))["result"]
    assert (await of_system(client, url=S, code="a", display="Ástmá"))["result"]
    wrong = await of_system(client, url=S, code="a", display="Brudd")
    assert not wrong["result"]
    assert "Astma" in wrong["message"]
    assert wrong["issues"]["issue"][0]["expression"] == ["display"]
    assert (await of_system(client, url=S, code="a", display="Brudd", lenient_display_validation=True))["result"]
    assert not (await of_system(client, url=S, code="A"))["result"]
    assert not (await of_system(client, url=S, coding={"system": "http://other", "code": "a"}))["result"]
    assert (await of_system(client, coding={"system": S, "code": "a"}))["result"]
    either = {"coding": [{"system": S, "code": "none"}, {"system": S, "code": "c"}]}
    assert (await of_system(client, url=S, codeableConcept=either))["result"]
    assert (await of_system(client, url=S, code="b"))["result"]
    assert not (await of_system(client, url=S, code="b", abstract=False))["result"]
    assert "inactive" in (await of_system(client, url=S, code="b2"))["message"]
    assert not (await of_system(client, url=S, code="b2", activeOnly=True))["result"]
    assert (await of_system(client, codeSystem=SIMPLE, code="a"))["result"]
    assert not (await of_system(client, url="http://nowhere", code="a"))["result"]
    assert not (await of_system(client, url=f"{S}|7", code="a"))["result"]
    assert said(await client.get("/CodeSystem/simple/$validate-code", params={"code": "b11"}))["result"]
    assert (await client.get("/CodeSystem/other/$validate-code", params={"code": "b11"})).status_code == 404
    assert (await client.get("/CodeSystem/$validate-code", params={"url": S})).status_code == 400


async def test_case_fragments_and_what_is_not_present(client: httpx.AsyncClient) -> None:
    await put(client, {**SIMPLE, "caseSensitive": False})
    assert (await of_system(client, url=S, code="B11"))["result"]
    assert (await of_set(client, valueSet=value_set({"system": S, "concept": [{"code": "A"}]}), system=S, code="a"))[
        "result"
    ]
    await put(client, {**SIMPLE, "content": "fragment"})
    unknown = await of_system(client, url=S, code="unheard")
    assert unknown["result"]
    assert "part" in unknown["message"]
    await put(client, {k: v for k, v in SIMPLE.items() if k != "concept"} | {"content": "not-present"})
    assert not (await of_system(client, url=S, code="a"))["result"]
    listed = value_set({"system": S, "concept": [{"code": "a", "display": "Astma"}]})
    assert (await of_set(client, valueSet=listed, system=S, code="a"))["result"]
    assert not (await of_set(client, valueSet=listed, system=S, code="b"))["result"]


async def test_codes_of_a_value_set(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    breaks = value_set({"system": S, "filter": [{"property": "concept", "op": "is-a", "value": "b"}]},
                       {"system": GENDER}, exclude=[{"system": S, "concept": [{"code": "b11"}]}],
                       url="http://example.no/breaks", version="2", id="breaks")  # fmt: skip
    await put(client, breaks)
    named = {"url": breaks["url"]}
    assert (await of_set(client, **named, system=S, code="b1"))["result"]
    assert (await of_set(client, **named, system=GENDER, code="male", display="Male"))["display"] == "Male"
    out = await of_set(client, **named, system=S, code="b11")
    assert not out["result"]
    assert "http://example.no/breaks|2" in out["message"]
    assert not (await of_set(client, **named, system=S, code="a"))["result"]
    assert not (await of_set(client, **named, system="http://nowhere", code="a"))["result"]
    assert not (await of_set(client, **named, coding={"system": S, "code": "b1", "version": "9"}))["result"]
    assert not (await of_set(client, **named, coding={"code": "b1"}))["result"]
    assert (await of_set(client, **named, code="b1", inferSystem=True))["system"] == S
    assert not (await of_set(client, **named, code="zzz", inferSystem=True))["result"]
    several = {
        "coding": [
            {"system": "http://nowhere", "code": "1"},
            {"system": S, "code": "b1", "display": "Brudd i håndleddet"},
        ]
    }
    assert (await of_set(client, **named, codeableConcept=several))["result"]
    several["coding"][1]["display"] = "Astma"
    assert not (await of_set(client, **named, codeableConcept=several))["result"]
    assert not (await of_set(client, **named, codeableConcept={"text": "brudd"}))["result"]
    response = await client.get("/ValueSet/breaks/$validate-code", params={"system": S, "code": "b2"})
    assert said(response)["result"]
    for given in ({"code": "b1"}, {"system": S}, {"url": "http://nowhere", "system": S, "code": "b"}):
        response = await client.post("/ValueSet/$validate-code", json=parameters(**{**named, **given}))
        assert response.status_code in {400, 404}


async def test_bound_value_sets_of_the_specification(client: httpx.AsyncClient) -> None:
    base = "http://hl7.org/fhir/ValueSet/"
    for name, system, good, bad in (
        ("languages", "urn:ietf:bcp:47", "nb", "klingon"), ("mimetypes", "urn:ietf:bcp:13", "image/png", "png"),
        ("currencies", "urn:iso:std:iso:4217", "NOK", "KRONER"),
        ("ucum-units", "http://unitsofmeasure.org", "mmol/L", "millimol"),
        ("v3-ActEncounterCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB", "_ActEncounterCode"),
    ):  # fmt: skip
        url = base + name if not name.startswith("v3") else f"http://terminology.hl7.org/ValueSet/{name}"
        if name == "languages":
            url = base + "all-languages"
        assert (await of_set(client, url=url, system=system, code=good))["result"], name
        assert not (await of_set(client, url=url, system=system, code=bad))["result"], name


async def subsumes(client: httpx.AsyncClient, **given: Any) -> httpx.Response:
    return await client.post("/CodeSystem/$subsumes", json=parameters(**given))


async def test_subsumes(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    for a, b, outcome in (
        ("b", "b11", "subsumes"), ("b11", "b", "subsumed-by"), ("b1", "b1", "equivalent"), ("b1", "b2", "not-subsumed"),
    ):  # fmt: skip
        assert said(await subsumes(client, system=S, codeA=a, codeB=b))["outcome"] == outcome
        codings = {"codingA": {"system": S, "code": a}, "codingB": {"system": S, "code": b}}
        assert said(await subsumes(client, **codings))["outcome"] == outcome
        response = await client.get("/CodeSystem/simple/$subsumes", params={"codeA": a, "codeB": b})
        assert said(response)["outcome"] == outcome
    v3 = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    assert said(await subsumes(client, system=v3, codeA="PurposeOfUse", codeB="TREAT"))["outcome"] == "subsumes"
    assert (await subsumes(client, system=S, codeA="b", codeB="none")).status_code == 404
    assert (await subsumes(client, system=S, codeA="b")).status_code == 400
    assert (await subsumes(client, codeA="b", codeB="b1")).status_code == 400
    assert (await subsumes(client, system=S, codeA="b", codingB={"system": GENDER, "code": "male"})).status_code == 400


async def test_a_hierarchy_by_properties_with_two_parents_and_a_circle(client: httpx.AsyncClient) -> None:
    def concept(code: str, *parents: str) -> dict[str, Any]:
        above = [{"code": "isA", "valueCode": parent} for parent in parents]
        return {"code": code, "property": above} if above else {"code": code}

    await put(client, {
        **SIMPLE, "property": [
            {"code": "isA", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#parent"}],
        "concept": [concept("1"), concept("2"), concept("3", "1", "2"), concept("4", "3"), concept("5", "6"),
                    concept("6", "5")],
    })  # fmt: skip
    for a, b in (("1", "4"), ("2", "4"), ("2", "3")):
        assert said(await subsumes(client, system=S, codeA=a, codeB=b))["outcome"] == "subsumes"
    assert said(await subsumes(client, system=S, codeA="1", codeB="2"))["outcome"] == "not-subsumed"
    assert (await subsumes(client, system=S, codeA="5", codeB="6")).status_code == 200


async def test_what_is_hidden_is_not_there(client: httpx.AsyncClient, gate: Any, store: Any) -> None:
    await put(client, SIMPLE)
    hiding = VeiledGate([resource_key("CodeSystem", "simple")])
    gate.predicate = hiding.predicate
    hidden = [await lookup(client, system=S, code="a"), await subsumes(client, system=S, codeA="b", codeB="b1"),
              await client.get("/CodeSystem/simple/$validate-code", params={"code": "a"})]  # fmt: skip
    assert [one.status_code for one in hidden] == [404, 404, 404]
    there_not = await lookup(client, system="http://example.no/nothing", code="a")
    assert hidden[0].text.replace(S, "http://example.no/nothing") == there_not.text
    assert not (await of_system(client, url=S, code="a"))["result"]


async def test_what_was_used_is_logged_and_who_may_not_read_is_refused(client: httpx.AsyncClient, gate: Any) -> None:
    await put(client, SIMPLE)
    gate.log.clear()
    await lookup(client, system=S, code="a")
    assert [(one.resource_type, list(one.resource_ids), one.allowed) for one in gate.log] == [
        ("CodeSystem", ["simple"], True)
    ]
    gate.log.clear()
    gate.allows = lambda interaction, kind: False
    for path in ("CodeSystem/$lookup", "ValueSet/$expand", "CodeSystem/$subsumes", "ConceptMap/$translate"):
        assert (await client.get(f"/{path}", params={"system": S, "code": "a"})).status_code in {400, 403}
    assert (await lookup(client, system=S, code="a")).status_code == 403
    assert not any(one.allowed for one in gate.log)


@pytest.mark.parametrize("path", ["CodeSystem/$validate-code", "ValueSet/$validate-code", "CodeSystem/$lookup"])
async def test_nonsense_is_a_bad_request(client: httpx.AsyncClient, path: str) -> None:
    for body in (
        b"", b"{", b"[]", b'{"resourceType":"Parameters","parameter":[{"name":"coding","valueString":"x"}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"codeableConcept","valueCodeableConcept":{"coding":7}}]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":7}]}', b'{"resourceType":"Patient"}',
    ):  # fmt: skip
        response = await client.post(f"/{path}", content=body)
        assert response.status_code in {200, 400, 422}, (body, response.text)
