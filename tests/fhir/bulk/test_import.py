"""Imports: every rule of the store holds, one wrong line holds up no other, and sources are only those listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from tests.databases import fresh_database
from tests.fhir.bulk.desk import ASYNC, Desk, bare, desk, ndjson
from tests.fhir.bulk.test_export import WORLD, observation, patient
from tests.fhir.gates import HidingGate, OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.bulk import inputs
from varde.fhir.bulk.fetching import Sources
from varde.fhir.errors import BadRequest, Unprocessable
from varde.fhir.keys import resource_key
from varde.fhir.store import Store
from varde.trust.care import CareRelations

DIRECT = {"method": "POST", "headers": {"content-type": "application/fhir+ndjson"}}


class _Site(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/listed/moved":
            self.send_response(302)
            self.send_header("location", "/other")
            self.end_headers()
            return
        body = self.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
async def site() -> AsyncIterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


async def direct(one: Desk, *resources: Any) -> dict[str, Any]:
    return await one.manifest(await one.begin("$import", content=ndjson(*resources), **DIRECT))


async def test_what_comes_with_the_request(store: Store, clock: SetClock) -> None:
    gate = OpenGate()
    text = b'{"resourceType":"Observation","id":"exact", "status":"final","code":{"text":"\\u00e5"},"valueInteger":1}'
    async with desk(store, gate) as one:
        manifest = await direct(one, *WORLD, text, {"resourceType": "Basic", "code": {"text": "no id"}})
        (output,) = manifest["output"]
        assert (output["written"], output["unchanged"], manifest["error"]) == (len(WORLD) + 2, 0, [])
        assert b', "status":"final"' in (await store.read(gate, "Observation", "exact")).body
        read = await store.read(gate, "Observation", "o1")
        assert (read.version, read.resource["meta"]["versionId"], read.patient) == (
            1,
            "1",
            resource_key("Patient", "b"),
        )
        found = await store.search(gate, "Observation", "code=http://loinc.org|8867-4&patient=a&value-quantity=1.5")
        assert {m.id for m in found.matches} == {"o0", "o6"}
        assert resource_key("Patient", "secret") in {p for entry in gate.log for p in entry.patients}
        # Again: nothing is written twice; a change is a new version with its history.
        again = await direct(one, *WORLD[:-1], {**WORLD[-1], "name": "changed"}, text)
        assert (again["output"][0]["written"], again["output"][0]["unchanged"]) == (1, len(WORLD))
        assert [e.stored.version for e in (await store.history(gate, "Group", "g")).entries] == [2, 1]


async def test_a_wrong_line_holds_up_no_other_and_is_told_of(store: Store) -> None:
    gate = HidingGate([resource_key("Patient", "secret")])
    lines: list[Any] = [patient(f"p{n}") for n in range(20)]
    lines[3] = b"{"
    lines[4] = {**patient("p4"), "birthDate": "never"}
    lines[5] = observation("h", "secret")
    lines[6] = {**patient("12345678901")}
    lines[7] = b'{"resourceType":"Patient","id":"twice","active":true,"active":false}'
    lines[8] = patient("p0") | {"active": True}  # the same twice: the later one wins
    async with desk(store, gate) as one:
        manifest = await direct(one, *lines)
        outcomes = await one.lines(manifest, "error")
        said = [o["issue"][0]["diagnostics"] for o in outcomes]
        assert [text.split(" of ")[0] for text in said] == ["line 4", "line 5", "line 6", "line 7", "line 8"]
        assert "(Patient/p4): Patient.birthDate" in said[1] and "never" not in str(said)
        assert "may not write" in said[2] and "12345678901" not in said[3] and "twice" in said[4]
        assert manifest["output"][0]["count"] == 15
        first = await store.read(gate, "Patient", "p0")
        assert first.version == 2 and first.resource["active"] is True


async def test_from_listed_sources_only(store: Store, site: str) -> None:
    _Site.files = {
        "/listed/Patient.ndjson": ndjson(patient("a"), patient("b")),
        "/listed/Observation.ndjson.gz": ndjson(observation("o", "a"), patient("x"), packed=True),
        "/listed/gone/../Patient.ndjson": b"", "/other": b"secret",
    }  # fmt: skip
    gate = OpenGate()
    async with desk(store, gate, (f"{site}/listed/",)) as one:
        parameters = {"resourceType": "Parameters", "parameter": [
            {"name": "inputFormat", "valueCode": "application/fhir+ndjson"},
            {"name": "inputSource", "valueUri": site},
            *({"name": "input", "part": [{"name": "type", "valueCode": kind}, {"name": "url", "valueUri": url}]}
              for kind, url in (("Patient", f"{site}/listed/Patient.ndjson"),
                                ("Observation", f"{site}/listed/Observation.ndjson.gz"))),
        ]}  # fmt: skip
        manifest = await one.manifest(await one.begin("$import", method="POST", json=parameters,
                                                     headers={"content-type": "application/fhir+json"}))  # fmt: skip
        assert [(o["type"], o["count"]) for o in manifest["output"]] == [("Patient", 2), ("Observation", 1)]
        (error,) = await one.lines(manifest, "error")
        assert "said to hold Observation" in str(error)
        plain = {"inputFormat": "application/fhir+ndjson", "input": [{"type": "Patient", "url": f"{site}/listed/none"}]}
        where = await one.begin("$import", method="POST", json=plain, headers={"content-type": "application/json"})
        with pytest.raises(Unprocessable, match="404"):
            await one.step()
        _Site.asked.clear()
        plain["input"] = [{"type": "Patient", "url": f"{site}/listed/moved"}]
        await one.client.delete(where)
        where = await one.begin("$import", method="POST", json=plain, headers={"content-type": "application/json"})
        with pytest.raises(Unprocessable, match="302"):
            await one.step()
        assert _Site.asked == ["/listed/moved"]
        await one.client.delete(where)
        port = site.rpartition(":")[2]
        for url in (f"{site}/other", f"{site}/listed/../other", "file:///etc/passwd", f"{site}@evil.example/listed/",
                    f"http://localhost:{port}/listed/Patient.ndjson", "http://[::1]/listed/"):  # fmt: skip
            body = plain | {"input": [{"url": url}]}
            answer = await one.client.post("/fhir/$import", json=body, headers=ASYNC)
            assert answer.status_code == 400, url
        assert _Site.asked == ["/listed/moved"]


async def test_a_name_may_not_lead_into_a_private_network(site: str) -> None:
    port = site.rpartition(":")[2]
    sources = Sources([f"http://localhost:{port}/listed/"])
    with pytest.raises(Unprocessable, match="private"):
        async with sources.fetch(f"http://localhost:{port}/listed/Patient.ndjson"):
            pass
    with pytest.raises(BadRequest):
        sources.check("http://example.org/")
    for wrong in ("ftp://example.org/", "https://user@example.org/", "nothing"):
        with pytest.raises(ValueError, match="source"):
            Sources([wrong])


async def test_long_inputs_are_cut_between_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LINES", 7)
    async with desk(store, OpenGate()) as one:
        manifest = await direct(one, *(patient(f"p{n}") for n in range(50)), b"{")
        assert manifest["output"][0]["count"] == 50
        (error,) = await one.lines(manifest, "error")
        assert error["issue"][0]["diagnostics"].startswith("line 51 of")
        async with store.database.connection() as connection:
            assert await connection.fetchval("select count(*) from fhir_bulk_piece where file = 0") == 8


async def test_writers_in_the_way_and_projections(database: Database, clock: SetClock) -> None:
    store = Store(database, clock, [CareRelations()])
    gate = OpenGate()
    episode = {
        "resourceType": "EpisodeOfCare", "id": "e", "status": "active", "patient": {"reference": "Patient/a"},
        "managingOrganization": {"reference": "Organization/ward"}, "period": {"start": "2026-01-01"},
    }  # fmt: skip
    by_number = {
        "resourceType": "Condition", "id": "c", "code": {"text": "x"},
        "subject": {"type": "Patient", "identifier": {"system": "urn:p", "value": "1"}},
    }  # fmt: skip
    named = patient("a") | {"identifier": [{"system": "urn:p", "value": "1"}]}
    lines = [episode, by_number, *(observation(f"o{n}", "a") for n in range(200)), named]
    async with desk(store, gate) as one:
        where = await one.begin("$import", content=ndjson(*lines), **DIRECT)

        async def other() -> None:
            for n in range(0, 200, 7):
                await store.write_many(gate, [observation(f"o{n}", "a", code="other")])

        manifest, _ = await asyncio.gather(one.manifest(where), other())
        assert manifest["error"] == [] and manifest["output"][0]["count"] == 203
    async with database.connection() as connection:
        assert await connection.fetchval("select unit from trust_care_relation") == "ward"
        rows = await connection.fetch("select rid, count(*) from index_token where code = 'final' group by rid")
        assert all(row["count"] == 1 for row in rows) and len(rows) == 200
    assert (await store.read(gate, "Condition", "c")).patient == resource_key("Patient", "a")


async def test_there_and_back_again_gives_the_same(store: Store, postgres: EmbeddedPostgres, clock: SetClock) -> None:
    """What was exported, put into an empty store and exported again, is the same to the letter but for what each
    store says of its own."""
    gate = OpenGate()
    exact = (
        b'{"resourceType":"Observation","id":"exact","status":"final","code":{"text":"a"},'
        b'"valueQuantity":{"value":1.50}}'
    )
    await store.write_many(gate, [*WORLD, exact])
    async with fresh_database(postgres) as url:
        other = Store(Database(url, connections=4), clock)
        async with desk(store, gate) as here, desk(other, gate) as there:
            manifest = await here.manifest(await here.begin("$export"))
            files = [(await here.client.get(file["url"])).content for file in manifest["output"]]
            sent = await here.lines(manifest)
            result = await there.manifest(await there.begin("$import", content=b"".join(files), **DIRECT))
            assert result["error"] == []
            back = await there.manifest(await there.begin("$export"))
            found = [(await there.client.get(file["url"])).content for file in back["output"]]
            assert sorted(b"".join(found).splitlines()) == sorted(b"".join(files).splitlines())
            assert sorted(map(str, map(bare, await there.lines(back)))) == sorted(map(str, map(bare, sent)))
            assert b'"value":1.50' in b"".join(found)
        await other.database.close()
