"""Exports: what is in them, as it was at their moment; what a gate hides is in none; files, ranges, limits."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.fhir.bulk.desk import ASYNC, bare, desk
from tests.fhir.gates import HidingGate, OpenGate
from varde.clock import SetClock
from varde.fhir.bulk import records
from varde.fhir.keys import resource_key
from varde.fhir.store import Store


def patient(identifier: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": identifier, "name": [{"family": f"Å{identifier}"}]}


def observation(identifier: str, of: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identifier, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": more.pop("code", "718-7")}]},
        "subject": {"reference": f"Patient/{of}"}, "valueQuantity": {"value": 1.5}, **more,
    }  # fmt: skip


WORLD: list[dict[str, Any]] = [
    patient("a"), patient("b"), patient("secret"),
    *(observation(f"o{n}", "ab"[n % 2], code="718-7" if n % 3 else "8867-4") for n in range(12)),
    observation("hidden", "secret"),
    {"resourceType": "Organization", "id": "org", "name": "Sykehuset"},
    {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
     "member": [{"entity": {"reference": "Patient/a"}}, {"entity": {"reference": "Patient/secret"}},
                {"entity": {"reference": "Patient/b"}, "inactive": True}]},
]  # fmt: skip
SECRET = resource_key("Patient", "secret")


def names(resources: list[dict[str, Any]]) -> set[str]:
    return {f"{one['resourceType']}/{one['id']}" for one in resources}


@pytest.fixture
async def world(store: Store) -> Store:
    await store.write_many(OpenGate(), WORLD)
    return store


async def test_each_level_holds_what_it_should(world: Store) -> None:
    async with desk(world, OpenGate()) as open_desk:
        everything = await open_desk.export("$export")
        assert sorted(map(str, map(bare, everything))) == sorted(map(str, WORLD))
        assert names(await open_desk.export("Patient/$export")) == {
            f"{one['resourceType']}/{one['id']}" for one in WORLD if one["resourceType"] in {"Patient", "Observation"}
        }
        group = names(await open_desk.export("Group/g/$export"))
        assert group == {
            "Patient/a",
            "Patient/secret",
            "Observation/hidden",
            *(f"Observation/o{n}" for n in range(0, 12, 2)),
        }
        assert names(await open_desk.export("Patient/$export?patient=Patient/b&_type=Patient")) == {"Patient/b"}
        body = {"resourceType": "Parameters", "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/a"}},
            {"name": "patient", "valueReference": {"reference": "Patient/b"}},
            {"name": "_type", "valueString": "Patient,Observation"},
        ]}  # fmt: skip
        kick = {"method": "POST", "json": body, "headers": {"content-type": "application/fhir+json"}}
        assert names(await open_desk.export("Group/g/$export", **kick)) == group - {
            "Patient/secret",
            "Observation/hidden",
        }


async def test_what_is_hidden_is_in_no_file_and_no_count(world: Store) -> None:
    gate = HidingGate([SECRET])
    async with desk(world, gate) as hiding:
        for path in ("$export", "Patient/$export", "Group/g/$export", "Patient/$export?patient=Patient/secret",
                     "$export?_typeFilter=Observation?subject=Patient/secret&_type=Observation"):  # fmt: skip
            gate.log.clear()
            manifest = await hiding.manifest(await hiding.begin(path))
            assert not names(await hiding.lines(manifest)) & {"Patient/secret", "Observation/hidden"}, path
            assert SECRET not in {one for entry in gate.log for one in entry.patients}
        # A store where the hidden never was gives the same manifest.
        counts = {one["type"]: one["count"] for one in (await hiding.manifest(await hiding.begin("$export")))["output"]}
        assert counts == {"Patient": 2, "Observation": 12, "Organization": 1, "Group": 1}


async def test_it_shows_one_moment_whatever_is_written_meanwhile(
    world: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varde.fhir.bulk.exporting.SLICE", 0.0)
    monkeypatch.setattr("varde.fhir.bulk.exporting._ROWS", 3)
    gate = OpenGate()
    for path in ("$export?_type=Observation,Patient", "Patient/$export?patient=Patient/a&_type=Observation,Patient"):
        async with desk(world, gate) as one:
            before = sorted(str(e.resource) for e in (await world.search(gate, "Observation", "_count=99")).matches)
            where = await one.begin(path)
            number = 0
            while True:
                monkeypatch.setattr("varde.fhir.bulk.exporting.SLICE", 0.001)
                more = await one.step()
                clock.advance(timedelta(seconds=1))
                victim = f"o{(number * 5) % 12}"
                await world.write_many(
                    gate, [observation(victim, "b", code="changed"), observation(f"new{number}", "a")]
                )
                await world.delete(gate, "Observation", f"o{(number * 5 + 1) % 12}")
                await world.write_many(gate, [observation(victim, "a", code="again")])
                number += 1
                if not more:
                    break
            answer = await one.client.get(where)
            found = [r for r in await one.lines(answer.json()) if r["resourceType"] == "Observation"]
            assert len(found) == len(names(found))
            wanted = before if path.startswith("$") else [one for one in before if "Patient/a" in one]
            assert sorted(map(str, found)) == wanted
            for entry in (await world.search(gate, "Observation", "_count=99")).matches:
                await world.delete(gate, "Observation", entry.id)
            await world.write_many(gate, WORLD)
            clock.advance(timedelta(seconds=1))


async def test_what_changed_and_what_was_deleted_since(world: Store, clock: SetClock) -> None:
    gate = OpenGate()
    async with desk(world, gate) as one:
        first = await one.manifest(await one.begin("$export"))
        assert first["transactionTime"] == "2026-11-24T09:00:00.000Z" and first["requiresAccessToken"] is True
        clock.advance(timedelta(minutes=1))
        await world.write_many(gate, [observation("o1", "a", code="new")])
        await world.delete(gate, "Observation", "o2")
        where = await one.begin("$export", params={"_since": first["transactionTime"]})
        clock.advance(timedelta(minutes=1))
        await world.delete(gate, "Observation", "o3")
        manifest = await one.manifest(where)
        assert manifest["request"] == "http://test/fhir/$export?_since=2026-11-24T09:00:00.000Z"
        assert names(await one.lines(manifest)) == {"Observation/o1"}
        (bundle,) = await one.lines(manifest, "deleted")
        urls = {entry["request"]["url"] for entry in bundle["entry"]}
        assert bundle["type"] == "transaction" and urls == {"Observation/o2", "Observation/o3"}


async def test_filters_and_elements(world: Store) -> None:
    async with desk(world, OpenGate()) as one:
        found = await one.export(
            "$export", params=[("_type", "Observation,Patient"), ("_typeFilter", "Observation?code=8867-4"),
                               ("_typeFilter", "Observation?_id=o1,o2&status=final"), ("_elements", "id,Patient.name")]
        )  # fmt: skip
        assert names(found) == {"Patient/a", "Patient/b", "Patient/secret", "Observation/hidden"} - {
            "Observation/hidden"
        } | {"Observation/o0", "Observation/o3", "Observation/o6", "Observation/o9", "Observation/o1", "Observation/o2"}
        assert all("name" in r for r in found if r["resourceType"] == "Patient")
        assert all("SUBSETTED" in str(r["meta"]) and "valueQuantity" not in r for r in found if r["id"] == "o0")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_outputFormat=text/csv", 400), ("_type=Nothing", 400), ("_since=yesterday", 400), ("_typeFilter=x", 400),
        ("_typeFilter=Observation?nothing=1", 400), ("includeAssociatedData=LatestProvenanceResources", 400),
        ("_elements=a.b.c", 400), ("patient=Patient/a", 400), ("_outputFormat=ndjson", 202),
        ("_outputFormat=application/fhir%2Bndjson", 202), ("_outputFormat=application/ndjson", 202),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused(world: Store, query: str, status: int) -> None:
    async with desk(world, OpenGate()) as one:
        answer = await one.client.get(f"/fhir/$export?{query}", headers=ASYNC)
        assert answer.status_code == status, answer.text
        if status == 400:
            if "_outputFormat" in query or "_since" in query:
                return
            where = await one.begin(f"$export?{query}", headers={"prefer": "respond-async,handling=lenient"})
            manifest = await one.manifest(where)
            (outcome,) = await one.lines(manifest, "error")
            assert outcome["issue"][0]["severity"] == "warning"
        assert (await one.client.get("/fhir/$export")).status_code == 400


async def test_files_whole_packed_and_in_part(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varde.fhir.bulk.files.PIECE", 700)
    await world.write_many(
        OpenGate(), [b'{\r\n "resourceType": "Basic",\n "id": "lines",\n "code": {"text": "a\\nb"}}']
    )
    async with desk(world, OpenGate()) as one:
        manifest = await one.manifest(await one.begin("$export"))
        basic = next(file for file in manifest["output"] if file["type"] == "Basic")
        plain = await one.client.get(basic["url"], headers={"accept-encoding": "identity"})
        assert plain.content.count(b"\n") == 1 and orjson.loads(plain.content)["code"] == {"text": "a\nb"}
        url = next(file["url"] for file in manifest["output"] if file["type"] == "Observation")
        whole = (await one.client.get(url, headers={"accept-encoding": "identity"})).content
        assert whole.count(b"\n") == 13
        async with one.client.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip" and int(answer.headers["content-length"]) == len(raw)
        assert gzip.decompress(raw) == whole
        for start, end in [(0, 0), (0, 10), (600, 800), (701, 1500), (len(whole) - 5, len(whole) - 1), (3, None)]:
            asked = f"bytes={start}-{'' if end is None else end}"
            part = await one.client.get(url, headers={"range": asked})
            assert part.status_code == 206 and part.content == whole[start : None if end is None else end + 1], asked
        assert (await one.client.get(url, headers={"range": f"bytes={len(whole)}-"})).status_code == 416


async def test_nobody_else_is_told_of_it_and_it_ends(world: Store, clock: SetClock) -> None:
    async with desk(world, OpenGate()) as mine, desk(world, OpenGate()) as other:
        where = await mine.begin("$export")
        waiting = await mine.client.get(where)
        assert waiting.status_code == 202 and waiting.headers["x-progress"] and waiting.headers["retry-after"]
        assert (await other.client.get(where)).status_code == 404
        assert (await other.client.delete(where)).status_code == 404
        manifest = await mine.manifest(where)
        url = manifest["output"][0]["url"]
        assert (await other.client.get(url)).status_code == 404 and (await mine.client.get(url)).status_code == 200
        await mine.begin("$export")
        await mine.begin("$export")
        busy = await mine.client.get("/fhir/$export", headers=ASYNC)
        assert busy.status_code == 429 and busy.headers["retry-after"]
        assert busy.json()["issue"][0]["code"] == "throttled"
        assert (await other.client.get("/fhir/$export", headers=ASYNC)).status_code == 202
        assert (await mine.client.delete(where)).status_code == 202
        assert (await mine.client.get(where)).status_code == 404 and (await mine.client.get(url)).status_code == 404
        clock.advance(timedelta(days=30))
        async with world.transaction() as connection:
            assert await records.forget(connection, clock.now()) == 4
            assert await connection.fetchval("select count(*) from fhir_bulk_piece") == 0


async def test_disclosures_stand_in_the_log_before_anything_can_be_fetched(world: Store) -> None:
    gate = OpenGate()
    async with desk(world, gate) as one:
        where = await one.begin("Patient/$export")
        gate.log.clear()
        await one.manifest(where)
        logged = [entry for entry in gate.log if entry.interaction == "export"]
        assert {patient for entry in logged for patient in entry.patients} == {
            resource_key("Patient", name) for name in ("a", "b", "secret")
        }
        assert all("type=Observation&type=Patient" in entry.query for entry in logged)
