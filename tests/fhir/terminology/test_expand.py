"""`$expand`: composes of every kind, words, pages, languages, versions, and what is too costly."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fhir.terminology.conftest import SIMPLE, codes, parameters, put, value_set

S = SIMPLE["url"]


async def expand(client: httpx.AsyncClient, resource: dict[str, Any], **given: Any) -> httpx.Response:
    return await client.post("/ValueSet/$expand", json=parameters(valueSet=resource, **given))


def filtered(name: str, op: str, value: str, **more: Any) -> dict[str, Any]:
    return {"system": S, "filter": [{"property": name, "op": op, "value": value}], **more}


async def test_a_value_set_of_the_specification_by_get_and_by_post(client: httpx.AsyncClient) -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    by_get = await client.get("/ValueSet/$expand", params={"url": url})
    assert codes(by_get) == ["male", "female", "other", "unknown"]
    assert codes(await client.post("/ValueSet/$expand", json=parameters(url=f"{url}|4.0.1"))) == codes(by_get)
    expansion = by_get.json()["expansion"]
    assert expansion["total"] == 4
    assert expansion["identifier"].startswith("urn:uuid:")
    assert expansion["timestamp"] == "2026-11-24T09:00:00.000Z"
    assert {"name": "used-codesystem", "valueUri": "http://hl7.org/fhir/administrative-gender|4.0.1"} in (
        expansion["parameter"]
    )


FILTERS: list[tuple[dict[str, Any], str]] = [
        ({"system": S}, "a b b1 b11 b2 c"),
        ({"system": S, "concept": [{"code": "c"}, {"code": "a"}, {"code": "none"}]}, "c a"),
        (filtered("concept", "is-a", "b"), "b b1 b11 b2"),
        (filtered("concept", "descendent-of", "b"), "b1 b11 b2"),
        (filtered("concept", "is-not-a", "b1"), "a b b2 c"),
        (filtered("concept", "generalizes", "b11"), "b b1 b11"),
        (filtered("concept", "child-of", "b"), "b1 b2"),
        (filtered("concept", "descendent-leaf", "b"), "b11 b2"),
        (filtered("concept", "is-a", "nothing"), ""),
        (filtered("concept", "in", "a, c"), "a c"),
        (filtered("concept", "not-in", "a,c"), "b b1 b11 b2"),
        (filtered("code", "regex", "b[0-9]"), "b1 b2"),
        (filtered("code", "=", "b1"), "b1"),
        (filtered("prop", "=", "new"), "b1 b2"),
        (filtered("prop", "in", "new,old"), "a b1 b2"),
        (filtered("prop", "not-in", "new"), "a b b11 c"),
        (filtered("prop", "exists", "true"), "a b1 b2"),
        (filtered("prop", "exists", "false"), "b b11 c"),
        (filtered("prop", "regex", "n.*"), "b1 b2"),
        (filtered("display", "regex", "Brudd.*"), "b b1 b2"),
        (filtered("status", "=", "retired"), "b2"),
        (filtered("inactive", "=", "true"), "b2"),
        (filtered("notSelectable", "=", "true"), "b"),
        (filtered("parent", "=", "b"), "b1 b2"),
        (filtered("parent", "exists", "false"), "a b c"),
        (filtered("child", "=", "b11"), "b1"),
        (filtered("child", "exists", "true"), "b b1"),
        ({"system": S, "filter": [{"property": "concept", "op": "is-a", "value": "b"},
                                  {"property": "prop", "op": "=", "value": "new"}]}, "b1 b2"),
]  # fmt: skip


@pytest.mark.parametrize("stored", [True, False])
async def test_every_filter(client: httpx.AsyncClient, stored: bool) -> None:
    if stored:
        await put(client, SIMPLE)
    for include, expected in FILTERS:
        response = await expand(client, value_set(include), **({} if stored else {"tx_resource": SIMPLE}))
        assert codes(response) == expected.split(), include
        assert response.json()["expansion"]["total"] == len(expected.split())


FAULTS: list[tuple[dict[str, Any], int, str]] = [
    (filtered("unheard-of", "=", "x"), 422, "not-supported"),
    (filtered("concept", "like", "x"), 422, "invalid"),
    (filtered("code", "regex", "b["), 422, "invalid"),
    (filtered("prop", "exists", "maybe"), 422, "invalid"),
    (filtered("concept", "is-a", ""), 422, "value"),
    ({"system": "http://example.no/nowhere"}, 422, "not-found"),
    ({"valueSet": ["http://example.no/nowhere"]}, 404, "not-found"),
    ({}, 422, "structure"),
    ({"system": "urn:ietf:bcp:47"}, 422, "too-costly"),
    ({"system": "http://snomed.info/sct"}, 422, "not-found"),
]


@pytest.mark.parametrize("stored", [True, False])
async def test_what_cannot_be_told_is_an_error(client: httpx.AsyncClient, stored: bool) -> None:
    if stored:
        await put(client, SIMPLE)
    for include, status, code in FAULTS:
        response = await expand(client, value_set(include), **({} if stored else {"tx_resource": SIMPLE}))
        assert response.status_code == status, response.text
        assert response.json()["issue"][0]["code"] == code, include


async def test_value_sets_are_made_of_others(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    breaks = value_set(filtered("concept", "is-a", "b"), url="http://example.no/breaks", id="breaks")
    await put(client, breaks)
    few = value_set({"system": S, "concept": [{"code": "a"}, {"code": "b1"}]}, url="http://example.no/few", id="few")
    await put(client, few)
    both = {"valueSet": [breaks["url"], few["url"]]}
    assert codes(await expand(client, value_set(both))) == ["b1"]
    assert codes(await expand(client, value_set({"system": S, "valueSet": [few["url"]]}))) == ["a", "b1"]
    either = value_set({"valueSet": [few["url"]]}, {"valueSet": [breaks["url"]]})
    assert codes(await expand(client, either)) == ["a", "b1", "b", "b11", "b2"]
    left = value_set({"system": S}, exclude=[{"valueSet": [breaks["url"]]}])
    assert codes(await expand(client, left)) == ["a", "c"]
    left = value_set({"system": S}, exclude=[{"system": S, "valueSet": [few["url"], breaks["url"]]}])
    assert codes(await expand(client, left)) == ["a", "b", "b11", "b2", "c"]
    left = value_set({"system": S}, exclude=[{"system": S, "concept": [{"code": "a"}]}, filtered("prop", "=", "new")])
    assert codes(await expand(client, left)) == ["b", "b11", "c"]
    again = value_set(filtered("prop", "=", "new"), {"system": S}, filtered("concept", "is-a", "b"))
    assert codes(await expand(client, again)) == ["b1", "b2", "a", "b", "b11", "c"]
    assert codes(await client.get("/ValueSet/few/$expand")) == ["a", "b1"]
    used = (await expand(client, either)).json()["expansion"]["parameter"]
    assert {"name": "used-valueset", "valueUri": few["url"]} in used


async def test_one_that_imports_itself_is_an_error(client: httpx.AsyncClient) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        await put(
            client, value_set({"valueSet": [f"http://example.no/{other}"]}, url=f"http://example.no/{name}", id=name)
        )
    response = await client.get("/ValueSet/$expand", params={"url": "http://example.no/one"})
    assert response.status_code == 422
    assert response.json()["issue"][0]["code"] == "processing"


async def test_contained_value_sets_are_imported(client: httpx.AsyncClient) -> None:
    inner = value_set({"system": S, "concept": [{"code": "a"}]}, id="inner")
    outer = value_set({"valueSet": ["#inner"]}, contained=[inner])
    assert codes(await expand(client, outer, tx_resource=SIMPLE)) == ["a"]


async def test_an_expansion_without_compose_says_what_is_in_it(client: httpx.AsyncClient) -> None:
    contains = [
        {"system": "http://x.no", "code": "1", "display": "One", "contains": [{"system": "http://x.no", "code": "2"}]}
    ]
    given = {
        "resourceType": "ValueSet",
        "status": "active",
        "expansion": {"timestamp": "2026-01-01", "contains": contains},
    }
    response = await expand(client, given)
    assert codes(response) == ["1", "2"]
    assert response.json()["expansion"]["contains"][0]["display"] == "One"


@pytest.mark.parametrize("stored", [True, False])
async def test_words_find_in_any_order_with_norwegian_letters(client: httpx.AsyncClient, stored: bool) -> None:
    if stored:
        await put(client, SIMPLE)
    more = {} if stored else {"tx_resource": SIMPLE}

    async def found(text: str) -> list[str]:
        return codes(await expand(client, value_set({"system": S}), filter=text, **more))

    assert await found("brudd") == ["b", "b1", "b11", "b2"]
    assert await found("hånd BRUDD") == ["b1", "b11"]
    assert await found("ÅPENT") == ["b11"]
    assert await found("cöli") == ["c"]
    assert await found("astm") == ["a"]
    assert await found("b11") == ["b11"]
    assert await found("udd") == []
    assert await found("%") == []
    assert await found("  ") == ["a", "b", "b1", "b11", "b2", "c"]


@pytest.mark.parametrize("stored", [True, False])
async def test_pages(client: httpx.AsyncClient, stored: bool) -> None:
    if stored:
        await put(client, SIMPLE)
    more = {} if stored else {"tx_resource": SIMPLE}
    two = value_set({"system": "http://hl7.org/fhir/administrative-gender"}, {"system": S})
    whole = codes(await expand(client, two, **more))
    assert len(whole) == 10
    paged = []
    for offset in range(0, 12, 3):
        response = await expand(client, two, count=3, offset=offset, **more)
        assert response.json()["expansion"]["total"] == 10
        assert response.json()["expansion"]["offset"] == offset
        paged += codes(response)
    assert paged == whole
    assert codes(await expand(client, two, count=0, **more)) == []
    assert (await expand(client, two, count=0, **more)).json()["expansion"]["total"] == 10


async def test_what_is_shown_of_each_concept(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    every = value_set({"system": S})

    def by_code(response: httpx.Response) -> dict[str, Any]:
        return {one["code"]: one for one in response.json()["expansion"]["contains"]}

    shown = by_code(await expand(client, every, includeDesignations=True))
    assert shown["b2"]["inactive"] is True
    assert shown["b"]["abstract"] is True
    assert shown["a"]["version"] == "1.0"
    assert {"language": "en", "value": "Asthma"} in shown["a"]["designation"]
    assert codes(await expand(client, every, activeOnly=True)) == ["a", "b", "b1", "b11", "c"]
    assert codes(await expand(client, every, excludeNotForUI=True)) == ["a", "b1", "b11", "b2", "c"]
    inactive_left_out = {**every, "compose": {**every["compose"], "inactive": False}}
    assert "b2" not in codes(await expand(client, inactive_left_out))
    assert by_code(await expand(client, every, displayLanguage="en"))["a"]["display"] == "Asthma"
    assert by_code(await expand(client, every, displayLanguage="se"))["a"]["display"] == "Ástmá"
    assert by_code(await expand(client, every, displayLanguage="nn"))["a"]["display"] == "Astma"
    assert by_code(await expand(client, every, displayLanguage="en"))["c"]["display"] == "Cøliaki"
    only = by_code(await expand(client, every, designation="urn:ietf:bcp:47|se"))["a"]["designation"]
    assert only == [{"language": "se", "value": "Ástmá"}]
    own = value_set({"system": S, "concept": [{"code": "a", "display": "Astma bronkiale"}]})
    assert by_code(await expand(client, own))["a"]["display"] == "Astma bronkiale"
    nested = (await expand(client, every, excludeNested=False)).json()["expansion"]["contains"]
    assert [one["code"] for one in nested] == ["a", "b", "c"]
    assert [one["code"] for one in nested[1]["contains"]] == ["b1", "b2"]
    assert (await expand(client, every, includeDefinition=True)).json()["compose"] == every["compose"]
    assert "compose" not in (await expand(client, every)).json()


async def test_versions_of_code_systems(client: httpx.AsyncClient) -> None:
    newer = {**SIMPLE, "id": "newer", "version": "1.10", "concept": [{"code": "new"}], "date": "2026-06-01"}
    await put(client, {**SIMPLE, "version": "1.9", "date": "2025-06-01"})
    await put(client, newer)
    every = value_set({"system": S})
    assert codes(await expand(client, every)) == ["new"]
    assert "a" in codes(await expand(client, value_set({"system": S, "version": "1.9"})))
    assert "a" in codes(await expand(client, every, system_version=f"{S}|1.9"))
    fixed = value_set({"system": S, "version": "1.10"})
    assert codes(await expand(client, fixed, system_version=f"{S}|1.9")) == ["new"]
    assert "a" in codes(await expand(client, fixed, force_system_version=f"{S}|1.9"))
    assert (await expand(client, fixed, check_system_version=f"{S}|1.9")).status_code == 422
    assert "a" in codes(await expand(client, every, date="2025-12-31"))
    assert codes(await expand(client, every, exclude_system=S)) == []


async def test_the_norwegian_spellings_name_the_same_code_system(client: httpx.AsyncClient) -> None:
    own = {**SIMPLE, "url": "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8116"}
    await put(client, own)
    for spelling in (
        "urn:oid:2.16.578.1.12.4.1.1.8116",
        "http://ehelse.no/fhir/CodeSystem/no-kodeverk-8116",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8116",
    ):
        response = await expand(client, value_set({"system": spelling, "concept": [{"code": "a"}]}))
        assert codes(response) == ["a"]
        assert response.json()["expansion"]["contains"][0]["system"] == spelling
        assert response.json()["expansion"]["contains"][0]["display"] == "Astma"
    named = {**own, "url": "http://helsenorge.no/x", "identifier": [{"value": "urn:oid:2.16.578.1.12.4.1.1.7000"}]}
    await put(client, named)
    assert len(codes(await expand(client, value_set({"system": "urn:oid:2.16.578.1.12.4.1.1.7000"})))) == 6


async def test_supplements_add_texts(client: httpx.AsyncClient) -> None:
    supplement = {
        "resourceType": "CodeSystem", "id": "gender-no", "url": "http://example.no/gender-no", "status": "active",
        "content": "supplement", "supplements": "http://hl7.org/fhir/administrative-gender",
        "concept": [{"code": "female", "designation": [{"language": "nb", "value": "Kvinne"}]},
                    {"code": "male", "designation": [{"language": "nb", "value": "Mann"}]}],
    }  # fmt: skip
    await put(client, supplement)
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    response = await client.get("/ValueSet/$expand", params={"url": gender, "displayLanguage": "nb"})
    assert [one["display"] for one in response.json()["expansion"]["contains"]] == [
        "Mann",
        "Kvinne",
        "Other",
        "Unknown",
    ]
    response = await client.get("/ValueSet/$expand", params={"url": gender, "filter": "kvin"})
    assert codes(response) == ["female"]


async def test_implied_value_sets(client: httpx.AsyncClient) -> None:
    await put(client, {**SIMPLE, "valueSet": "http://example.no/simple-vs"})
    response = await client.get("/ValueSet/$expand", params={"url": "http://example.no/simple-vs"})
    assert len(codes(response)) == 6
    sct = {**SIMPLE, "id": "sct", "url": "http://snomed.info/sct"}
    await put(client, sct)
    isa = await client.get("/ValueSet/$expand", params={"url": "http://snomed.info/sct?fhir_vs=isa/b1"})
    assert codes(isa) == ["b1", "b11"]
    assert len(codes(await client.get("/ValueSet/$expand", params={"url": "http://snomed.info/sct?fhir_vs"}))) == 6


async def test_lists_that_others_keep(client: httpx.AsyncClient) -> None:
    countries = value_set({"system": "urn:iso:std:iso:3166"})
    response = await expand(client, countries, filter="norg", displayLanguage="se")
    assert {one["code"]: one["display"] for one in response.json()["expansion"]["contains"]}["NO"] == "Norga"
    crowns = value_set({"system": "urn:iso:std:iso:4217"})
    assert codes(await expand(client, crowns, filter="norske kroner")) == ["NOK"]
    units = value_set({"system": "http://unitsofmeasure.org", "concept": [{"code": "mg"}, {"code": "no-unit"}]})
    assert codes(await expand(client, units)) == ["mg"]


WRONG: list[tuple[dict[str, str], int]] = [
        ({}, 400), ({"url": "http://nowhere"}, 404), ({"url": "a", "count": "-1"}, 400), ({"context": "x"}, 400),
        ({"url": "http://hl7.org/fhir/ValueSet/administrative-gender|9.9"}, 404),
        ({"url": "a", "activeOnly": "yes"}, 400),
        ({"url": "x\x00y"}, 400), ({"url": "a", "date": "yesterday"}, 400), ({"url": "a", "system-version": "x"}, 400),
]  # fmt: skip


async def test_wrong_questions(client: httpx.AsyncClient) -> None:
    for given, status in WRONG:
        response = await client.get("/ValueSet/$expand", params=given)
        assert response.status_code == status, (given, response.text)


async def test_a_code_system_that_changes_or_goes_is_forgotten(client: httpx.AsyncClient) -> None:
    await put(client, SIMPLE)
    await put(client, {**SIMPLE, "concept": [{"code": "z", "display": "Zoster"}]})
    assert codes(await expand(client, value_set({"system": S}))) == ["z"]
    assert codes(await expand(client, value_set({"system": S}), filter="brudd")) == []
    assert (await client.delete("/CodeSystem/simple")).status_code == 204
    assert (await expand(client, value_set({"system": S}))).status_code == 422
    await put(client, SIMPLE)
    assert len(codes(await expand(client, value_set({"system": S})))) == 6
