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


async def test_patches_of_many_all_take_effect(client: httpx.AsyncClient) -> None:
    """No lost update: what each writer adds is there in the end, by every kind of patch, alone and in Bundles."""
    await client.put("/Patient/p", json={**PATIENT, "id": "p", "name": [{"text": "first"}]})
    kind = {"content-type": "application/json-patch+json"}

    def addition(name: str) -> list[dict[str, Any]]:
        return [{"op": "add", "path": "/name/-", "value": {"text": name}}]

    def parameters(name: str) -> dict[str, Any]:
        part = [
            {"name": "type", "valueCode": "add"},
            {"name": "path", "valueString": "Patient"},
            {"name": "name", "valueString": "name"},
            {"name": "value", "valueHumanName": {"text": name}},
        ]
        return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}

    def one(number: int) -> Any:
        name = f"n{number}"
        if number % 4 == 0:
            return client.patch("/Patient/p", content=json.dumps(addition(name)), headers=kind)
        if number % 4 == 1:
            return client.patch("/Patient?identifier=urn:x|1", content=json.dumps(addition(name)), headers=kind)
        if number % 4 == 2:
            return client.post("/", json=_bundle(_entry("PATCH", "Patient/p", parameters(name))))
        return client.post("/", json=_bundle(_entry("PATCH", "Patient?identifier=urn:x|1", parameters(name))))

    answers = await asyncio.gather(*(one(number) for number in range(48)))
    assert {a.status_code for a in answers} == {200}, [a.text for a in answers if a.status_code != 200][:2]
    names = [name["text"] for name in (await client.get("/Patient/p")).json()["name"]]
    assert sorted(names[1:]) == sorted(f"n{number}" for number in range(48))


async def test_counting_with_versions_loses_nothing(client: httpx.AsyncClient) -> None:
    """The way the standard tells: read, change, write with If-Match, and again when another came first."""
    await client.put("/Patient/c", json={**PATIENT, "id": "c", "multipleBirthInteger": 0})

    async def count() -> None:
        while True:
            read = await client.get("/Patient/c")
            current = read.json()
            current["multipleBirthInteger"] += 1
            put = await client.put("/Patient/c", json=current, headers={"if-match": read.headers["etag"]})
            if put.status_code == 200:
                return
            assert put.status_code == 412

    await asyncio.gather(*(count() for _ in range(WRITERS)))
    assert (await client.get("/Patient/c")).json()["multipleBirthInteger"] == WRITERS


async def test_everybody_at_once_gets_an_answer(client: httpx.AsyncClient) -> None:
    """Every way of writing, over the same few resources and conditions: an answer, or 404, 409, 410, 412."""
    drawn = random.Random(11)
    names = [f"q{n}" for n in range(5)]
    merge = {"resourceType": "Binary", "contentType": "application/merge-patch+json", "data": "eyJhY3RpdmUiOnRydWV9"}

    def resource(name: str, **more: Any) -> dict[str, Any]:
        return {"resourceType": "Patient", "identifier": [{"system": "urn:q", "value": name}], **more}

    def entry(name: str) -> dict[str, Any]:
        condition = f"Patient?identifier=urn:q|{name}"
        return drawn.choice([
            lambda: _entry("PUT", f"Patient/{name}", resource(name, id=name)),
            lambda: _entry("DELETE", f"Patient/{name}"),
            lambda: _entry("DELETE", condition),
            lambda: _entry("PUT", condition, resource(name)),
            lambda: _entry("POST", "Patient", resource(name), ifNoneExist=f"identifier=urn:q|{name}"),
            lambda: _entry("PATCH", f"Patient/{name}", merge),
            lambda: _entry("PATCH", condition, merge),
            lambda: _entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x"},
                                             "subject": {"reference": condition}}),
        ])()  # fmt: skip

    async def one() -> httpx.Response:
        name = drawn.choice(names)
        asked = [entry(other) for other in drawn.sample(names, drawn.randint(2, 4))]
        patch = {"content-type": "application/merge-patch+json"}
        return await drawn.choice([
            lambda: client.post("/", json=_bundle(*asked)),
            lambda: client.post("/", json={**_bundle(*asked), "type": "batch"}),
            lambda: client.put(f"/Patient/{name}", json=resource(name, id=name)),
            lambda: client.put(f"/Patient?identifier=urn:q|{name}", json=resource(name)),
            lambda: client.post("/Patient", json=resource(name), headers={"if-none-exist": f"identifier=urn:q|{name}"}),
            lambda: client.patch(f"/Patient/{name}", content=b'{"active":false}', headers=patch),
            lambda: client.patch(f"/Patient?identifier=urn:q|{name}", content=b'{"active":false}', headers=patch),
            lambda: client.delete(f"/Patient/{name}"),
            lambda: client.delete(f"/Patient?identifier=urn:q|{name}"),
        ])()  # fmt: skip

    for _ in range(4):
        answers = await asyncio.gather(*(one() for _ in range(60)))
        statuses = [a.status_code for a in answers]
        for answer in answers:
            if answer.status_code == 200 and answer.json().get("type") == "batch-response":
                statuses += [int(e["response"]["status"][:3]) for e in answer.json()["entry"]]
        assert set(statuses) <= {200, 201, 204, 404, 409, 410, 412}, set(statuses)
    for name in (await client.get("/Patient?_count=1000&_elements=id")).json().get("entry", []):
        address = f"/Patient/{name['resource']['id']}/_history?_count=1000"
        versions = [e["response"]["etag"] for e in (await client.get(address)).json()["entry"]]
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
