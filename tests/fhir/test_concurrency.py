"""Many writers at once on the same resources: everybody gets an answer, and none is a 500, a deadlock or a double."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx

from tests.fhir.gates import OpenGate
from varde.fhir.store import Store

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
WRITERS = 12


def _entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **more}, **({"resource": resource} if resource else {})}


def _bundle(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


async def test_of_those_with_the_same_version_one_wins(client: httpx.AsyncClient) -> None:
    created = (await client.post("/Patient", json=PATIENT)).json()
    for version in range(1, 6):
        answers = await asyncio.gather(
            *(
                client.put(f"/Patient/{created['id']}", json={**created, "multipleBirthInteger": n},
                           headers={"if-match": f'W/"{version}"'})
                for n in range(WRITERS)
            )
        )  # fmt: skip
        assert sorted(a.status_code for a in answers) == [200] + [412] * (WRITERS - 1)
    history = (await client.get(f"/Patient/{created['id']}/_history?_count=100")).json()
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["6", "5", "4", "3", "2", "1"]


async def test_without_a_version_every_update_is_kept(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.put("/Patient/same", json={**PATIENT, "id": "same", "multipleBirthInteger": n}) for n in range(30))
    )
    assert sorted(a.status_code for a in answers) == [200] * 29 + [201]
    history = (await client.get("/Patient/same/_history?_count=100")).json()
    assert len({e["resource"]["multipleBirthInteger"] for e in history["entry"]}) == 30


async def test_conditional_creates_make_one(client: httpx.AsyncClient) -> None:
    bundle = _bundle(_entry("POST", "Patient", PATIENT, ifNoneExist="identifier=urn:x|1"))
    calls = [
        client.post("/Patient", json=PATIENT, headers={"if-none-exist": "identifier=urn:x|1"}) for _ in range(WRITERS)
    ] + [client.post("/", json=bundle) for _ in range(WRITERS)]
    answers = await asyncio.gather(*calls)
    assert {a.status_code for a in answers} <= {200, 201}
    updates = await asyncio.gather(
        *(client.put("/Patient?identifier=urn:x|2", json={**PATIENT, "identifier": [{"system": "urn:x", "value": "2"}]})
          for _ in range(WRITERS))
    )  # fmt: skip
    assert sorted(a.status_code for a in updates) == [200] * (WRITERS - 1) + [201]
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 2


async def test_transactions_in_every_order_never_deadlock(client: httpx.AsyncClient) -> None:
    drawn = random.Random(7)
    names = [f"p{n}" for n in range(8)]

    async def one() -> httpx.Response:
        chosen = drawn.sample(names, 4)
        entries = [_entry("PUT", f"Patient/{n}", {**PATIENT, "id": n}) for n in chosen[:3]]
        entries.append(_entry("DELETE", f"Patient/{chosen[3]}"))
        entries.append(_entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": chosen[0]}},
                              ifNoneExist=f"identifier=urn:b|{chosen[1]}"))  # fmt: skip
        entries.append(_entry("PUT", f"Basic?identifier=urn:b|{chosen[2]}", {
            "resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"system": "urn:b", "value": chosen[2]}]
        }))  # fmt: skip
        drawn.shuffle(entries)
        return await client.post("/", json=_bundle(*entries))

    async def single() -> httpx.Response:
        name = drawn.choice(names)
        if drawn.random() < 0.5:
            return await client.delete(f"/Patient/{name}")
        return await client.put(f"/Patient/{name}", json={**PATIENT, "id": name})

    answers = await asyncio.gather(*(one() if n % 3 else single() for n in range(90)))
    statuses = {a.status_code for a in answers}
    assert statuses <= {200, 201, 204, 409}, [json.dumps(a.json()) for a in answers if a.status_code >= 400][:3]
    assert sum(a.status_code == 409 for a in answers) <= 9
    for name in names:
        versions = [
            e["response"]["etag"] for e in (await client.get(f"/Patient/{name}/_history?_count=1000")).json()["entry"]
        ]
        assert versions == [f'W/"{n}"' for n in range(len(versions), 0, -1)]


async def test_pages_stay_whole_while_others_write(store: Store, gate: OpenGate) -> None:
    """Whoever turns pages sees every resource that was there all the time, each once (key paging)."""
    drawn = random.Random(3)

    def observation(number: int) -> dict[str, Any]:
        return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "x"},
                "effectiveDateTime": f"2026-{1 + number % 12:02}-{1 + number % 28:02}",
                "valueQuantity": {"value": number % 7}}  # fmt: skip

    await store.write_many(gate, [observation(n) for n in range(120)])

    async def disturb() -> None:
        for number in range(60):
            await store.write_many(gate, [{**observation(1000 + number), "effectiveDateTime": "2026-06-15"}])
            await store.delete(gate, "Observation", f"o{1000 + drawn.randrange(number + 1)}")

    for sort in ("", "&_sort=date", "&_sort=-date", "&_sort=-value-quantity,date", "&_sort=_id", "&_sort=status,-_id"):
        disturbing = asyncio.create_task(disturb())
        seen: list[str] = []
        page: str | None = ""
        while page is not None:
            found = await store.search(gate, "Observation", f"_count=7{sort}" + (f"&_page={page}" if page else ""))
            seen += [m.id for m in found.matches if int(m.id[1:]) < 1000]
            page = found.next
        await disturbing
        assert sorted(seen) == sorted(f"o{n}" for n in range(120)), sort
