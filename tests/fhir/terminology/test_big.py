"""A code system of 100,000 concepts: loaded once, found in by words, pages and codes within the times promised."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.fhir.gates import OpenGate
from tests.fhir.terminology.conftest import codes, parameters, said, value_set
from varde.fhir.store import Store

SIZE = 100_000
URL = "http://example.no/big"
_WORDS = ["akutt", "kronisk", "brudd", "betennelse", "hjerte", "lunge", "nyre", "øye", "øre", "hånd", "fot", "kne",
          "hofte", "rygg", "nakke", "skulder", "albue", "svulst", "godartet", "ondartet", "venstre", "høyre", "nedre",
          "øvre", "medfødt", "ervervet", "uspesifisert", "annen", "primær", "sekundær"]  # fmt: skip


def big() -> dict[str, Any]:
    """100 chapters of 10 groups of 100 codes, with displays of words drawn at random."""
    drawn = random.Random(7)

    def text() -> str:
        return " ".join(drawn.sample(_WORDS, 4)) + f" type {drawn.randrange(1000)}"

    def concept(code: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {"code": code, "display": text()}
        if depth < 3:
            made["concept"] = [concept(f"{code}{n:02d}", depth + 1) for n in range(10 if depth < 2 else 98)]
        return made

    return {
        "resourceType": "CodeSystem", "id": "big", "url": URL, "version": "1", "status": "active",
        "content": "complete", "concept": [concept(f"K{n}", 1) for n in range(SIZE // (10 * 99 + 10))],
    }  # fmt: skip


async def best(ask: Callable[[], Awaitable[Any]], times: int = 12) -> float:
    """Milliseconds of the quickest: what the work takes, whatever else the machine does meanwhile."""
    await ask()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - start) * 1000)
    return min(taken)


async def test_a_hundred_thousand_concepts(
    client: httpx.AsyncClient, store: Store, gate: OpenGate, record_property: Callable[[str, object], None]
) -> None:
    start = time.perf_counter()
    await store.write_many(gate, [big()], checked=True)
    figures = {"load s": time.perf_counter() - start}
    async with store.database.connection() as connection:
        await connection.execute("vacuum analyze terminology_concept, terminology_word, terminology_ancestor")
        size = await connection.fetchval("select count(*) from terminology_concept")
    assert size > 0.98 * SIZE

    def expand(**given: Any) -> Callable[[], Awaitable[httpx.Response]]:
        body = parameters(valueSet=value_set({"system": URL}), **given)
        return lambda: client.post("/ValueSet/$expand", json=body)

    response = await expand(filter="hjert akut", count=20)()
    assert len(codes(response)) == 20
    assert response.json()["expansion"]["total"] > 500
    first, second = codes(await expand(count=10, offset=90_000)()), codes(await expand(count=10, offset=90_005)())
    assert first[5:] == second[:5]
    assert (await expand()()).json()["issue"][0]["code"] == "too-costly"
    below = value_set({"system": URL, "filter": [{"property": "concept", "op": "is-a", "value": "K5"}]})
    body = parameters(valueSet=below, filter="lunge", count=20)
    figures |= {
        "two words": await best(expand(filter="hjert akut", count=20)),
        "one word": await best(expand(filter="hjerte", count=20)),
        "one letter": await best(expand(filter="h", count=20)),
        "rare": await best(expand(filter="type 777 nyre", count=20)),
        "code": await best(expand(filter="k17", count=20)),
        "page 1": await best(expand(count=20)),
        "page 4,500": await best(expand(count=20, offset=90_000)),
        "below, words": await best(lambda: client.post("/ValueSet/$expand", json=body)),
        "lookup": await best(lambda: client.get("/CodeSystem/$lookup", params={"system": URL, "code": "K50312"})),
        "validate": await best(lambda: client.post(
            "/ValueSet/$validate-code", json=parameters(valueSet=below, system=URL, code="K50312"))),
        "subsumes": await best(lambda: client.get(
            "/CodeSystem/$subsumes", params={"system": URL, "codeA": "K5", "codeB": "K50312"})),
    }  # fmt: skip
    print({name: round(value, 1) for name, value in figures.items()})
    for name, value in figures.items():
        record_property(name, value)
    assert said(
        await client.post("/ValueSet/$validate-code", json=parameters(valueSet=below, system=URL, code="K50312"))
    )["result"]
    # Five times what is promised (50 ms, a few ms): much else may be at work beside this test.
    slow = {name: value for name, value in figures.items() if name != "load s" and value > 250}
    assert not slow
    assert max(figures["lookup"], figures["validate"], figures["subsumes"]) < 25
