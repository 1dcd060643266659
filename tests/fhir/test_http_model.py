"""The API against a dictionary: after any sequence of requests both hold the same resources and the same history, and
every request was answered with the status that the dictionary foretells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.databases import make_database
from tests.fhir.gates import OpenGate
from tests.fhir.test_model import TABLES
from varde.clock import SetClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.gate import Gate
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store

BASE = "http://test/fhir"
IDS = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["Patient", "Basic"])
TAGS = st.sampled_from(["x", "y"])
CONDITIONS = st.sampled_from([None, None, None, "1", "2", "3", "*", "none"])
"""Versions that a write expects: none said, one of them, any, or that there is none."""
Key = tuple[str, str]


def _resource(kind: str, identifier: str | None, tag: str) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": kind, "identifier": [{"system": "urn:tag", "value": tag}]}
    if identifier is not None:
        made["id"] = identifier
    if kind == "Basic":
        made["code"] = {"text": "å"}
    return made


def _headers(expected: str | None) -> dict[str, str]:
    if expected is None:
        return {}
    if expected == "none":
        return {"if-none-match": "*"}
    return {"if-match": "*" if expected == "*" else f'W/"{expected}"'}


def _meets(expected: str | None, version: int) -> bool:
    """Whether a write that expects this goes through when `version` is current, 0 for none."""
    if expected is None:
        return True
    if expected == "none":
        return version == 0
    return version > 0 if expected == "*" else version == int(expected)


class ApiModel(RuleBasedStateMachine):
    """`versions` holds every version of every resource: its tag, or None where it was deleted."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
        self.database = Database(self.url, connections=2)
        self.versions: dict[Key, list[str | None]] = {}

        async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
            return OpenGate()

        application = FhirApplication(Store(self.database, self.clock), authenticate, BASE, dict, dict)
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self.loop.run_until_complete(self._clear())

    async def _clear(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute(f"truncate {', '.join(TABLES)}")

    def teardown(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.run_until_complete(self.database.close())
        self.loop.close()

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/fhir+json",
            **headers: str) -> httpx.Response:  # fmt: skip
        content = None if body is None else json.dumps(body)
        named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        path = path.removeprefix(BASE)
        answer = self.loop.run_until_complete(self.client.request(method, path, content=content, headers=named))
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["resourceType"] == "OperationOutcome"
        return answer

    def _now(self, key: Key) -> str | None:
        return self.versions.get(key, [None])[-1]

    def _version(self, key: Key) -> int:
        return len(self.versions[key]) if self._now(key) is not None else 0

    def _matches(self, kind: str, tag: str) -> list[Key]:
        return [key for key, known in self.versions.items() if key[0] == kind and known[-1] == tag]

    def _wrote(self, answer: httpx.Response, key: Key, tag: str) -> None:
        """The answer to a write that went through."""
        created = self._now(key) is None
        self.versions.setdefault(key, []).append(tag)
        number = len(self.versions[key])
        assert answer.status_code == (201 if created else 200), answer.text
        assert answer.headers["etag"] == f'W/"{number}"'
        assert answer.headers["location"] == f"{BASE}/{key[0]}/{key[1]}/_history/{number}"
        assert answer.json()["meta"]["versionId"] == str(number)

    @rule(seconds=st.integers(0, 2))
    def time_goes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(kind=TYPES, tag=TAGS)
    def create(self, kind: str, tag: str) -> None:
        answer = self.ask("POST", f"/{kind}", _resource(kind, "ignored", tag))
        self._wrote(answer, (kind, answer.json()["id"]), tag)

    @rule(kind=TYPES, identifier=IDS, tag=TAGS, expected=CONDITIONS)
    def update(self, kind: str, identifier: str, tag: str, expected: str | None) -> None:
        key = (kind, identifier)
        answer = self.ask("PUT", f"/{kind}/{identifier}", _resource(kind, identifier, tag), **_headers(expected))
        if _meets(expected, self._version(key)):
            self._wrote(answer, key, tag)
        else:
            assert answer.status_code == 412

    @rule(kind=TYPES, identifier=IDS, expected=CONDITIONS)
    def delete(self, kind: str, identifier: str, expected: str | None) -> None:
        key = (kind, identifier)
        answer = self.ask("DELETE", f"/{kind}/{identifier}", **_headers(expected))
        if not _meets(expected, self._version(key)):
            assert answer.status_code == 412
            return
        assert answer.status_code == 204
        if self._version(key):
            self.versions[key].append(None)
            assert answer.headers["etag"] == f'W/"{len(self.versions[key])}"'

    @rule(kind=TYPES, identifier=IDS, tag=TAGS, form=st.sampled_from(["json", "merge", "path"]),
          expected=st.sampled_from([None, None, "1", "2", "*"]))  # fmt: skip
    def patch(self, kind: str, identifier: str, tag: str, form: str, expected: str | None) -> None:
        key = (kind, identifier)
        answer = self._patched(f"/{kind}/{identifier}", kind, tag, form, expected)
        if self._now(key) is None:
            assert answer.status_code == (410 if key in self.versions else 404)
        elif not _meets(expected, self._version(key)):
            assert answer.status_code == 412
        else:
            self._wrote(answer, key, tag)

    def _patched(self, path: str, kind: str, tag: str, form: str, expected: str | None) -> httpx.Response:
        if form == "json":
            operations = [{"op": "replace", "path": "/identifier/0/value", "value": tag}]
            return self.ask("PATCH", path, operations, "application/json-patch+json", **_headers(expected))
        if form == "merge":
            merged = {"identifier": [{"system": "urn:tag", "value": tag}]}
            return self.ask("PATCH", path, merged, "application/merge-patch+json", **_headers(expected))
        part = [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": f"{kind}.identifier.where(system = 'urn:tag').value"},
            {"name": "value", "valueString": tag},
        ]
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
        return self.ask("PATCH", path, parameters, **_headers(expected))

    @rule(kind=TYPES, tag=TAGS)
    def conditional_create(self, kind: str, tag: str) -> None:
        matches = self._matches(kind, tag)
        answer = self.ask("POST", f"/{kind}", _resource(kind, None, tag), if_none_exist=f"identifier=urn:tag|{tag}")
        if len(matches) > 1:
            assert answer.status_code == 412
        elif matches:
            assert answer.status_code == 200 and answer.json()["id"] == matches[0][1]
        else:
            self._wrote(answer, (kind, answer.json()["id"]), tag)

    @rule(kind=TYPES, old=TAGS, tag=TAGS, identifier=st.none() | IDS)
    def conditional_update(self, kind: str, old: str, tag: str, identifier: str | None) -> None:
        matches = self._matches(kind, old)
        answer = self.ask("PUT", f"/{kind}?identifier=urn:tag|{old}", _resource(kind, identifier, tag))
        if len(matches) > 1:
            assert answer.status_code == 412
        elif matches and identifier not in {None, matches[0][1]}:
            assert answer.status_code == 400
        elif not matches and identifier is not None and self._version((kind, identifier)):
            assert answer.status_code == 409
        else:
            self._wrote(answer, (kind, answer.json()["id"]), tag)
            assert answer.json()["id"] == (matches[0][1] if matches else identifier or answer.json()["id"])

    @rule(kind=TYPES, old=TAGS, tag=TAGS, form=st.sampled_from(["json", "merge", "path"]))
    def conditional_patch(self, kind: str, old: str, tag: str, form: str) -> None:
        matches = self._matches(kind, old)
        answer = self._patched(f"/{kind}?identifier=urn:tag|{old}", kind, tag, form, None)
        if len(matches) == 1:
            self._wrote(answer, matches[0], tag)
        else:
            assert answer.status_code == (412 if matches else 404)

    @rule(kind=TYPES, tag=TAGS)
    def conditional_delete(self, kind: str, tag: str) -> None:
        assert self.ask("DELETE", f"/{kind}?identifier=urn:tag|{tag}").status_code == 204
        for key in self._matches(kind, tag):
            self.versions[key].append(None)

    ENTRIES = st.lists(
        st.tuples(st.just("PUT"), TYPES, IDS, TAGS, st.sampled_from([None, None, "1", "2", "*", "none"]))
        | st.tuples(st.just("DELETE"), TYPES, IDS, st.none(), st.none())
        | st.tuples(st.just("POST"), TYPES, st.none(), TAGS, st.sampled_from([None, "condition"]))
        | st.tuples(st.just("GET"), TYPES, IDS, st.none(), st.none()),
        min_size=1, max_size=5,
    )  # fmt: skip

    @rule(entries=ENTRIES, kind=st.sampled_from(["transaction", "transaction", "batch"]))
    def bundle(self, entries: list[tuple[Any, ...]], kind: str) -> None:
        asked = [_entry(*entry) for entry in entries]
        answer = self.ask("POST", "/", {"resourceType": "Bundle", "type": kind, "entry": asked})
        if kind == "batch":
            assert answer.status_code == 200
            for entry, told in zip(entries, answer.json()["entry"], strict=True):
                self._told(entry, told, self._foretell(entry, set()))
            return
        before = {key: list(known) for key, known in self.versions.items()}
        rank = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3}
        touched = [(e[1], e[2]) for e in entries if e[0] in {"PUT", "DELETE"}]
        conditions = [(e[1], e[3]) for e in entries if e[4] == "condition"]
        fails = len(set(touched)) < len(touched) or len(set(conditions)) < len(conditions)
        if answer.status_code != 200:
            for entry in sorted(entries, key=lambda one: rank[one[0]]):
                status = self._foretell(entry, set())
                fails = fails or status >= 400
                self._apply(entry, status, None)
            self.versions = before
            assert fails, answer.text
            return
        assert not fails
        told = answer.json()["entry"]
        gone = {key for key in touched if any(e[0] == "DELETE" and (e[1], e[2]) == key for e in entries)}
        matches = {(e[1], e[3]): [k for k in self._matches(e[1], e[3]) if k not in gone]
                   for e in entries if e[4] == "condition"}  # fmt: skip
        for place in sorted(range(len(entries)), key=lambda n: rank[entries[n][0]]):
            entry = entries[place]
            if entry[4] == "condition":
                found = matches[entry[1], entry[3]]
                assert len(found) <= 1
                self._told(entry, told[place], 200 if found else 201)
            else:
                self._told(entry, told[place], self._foretell(entry, gone))

    def _foretell(self, entry: tuple[Any, ...], gone: set[Key]) -> int:
        method, kind, identifier, tag, expected = entry
        key = (kind, identifier)
        if method == "GET":
            return 200 if self._version(key) else 410 if key in self.versions else 404
        if method == "DELETE":
            return 204
        if method == "POST":
            found = [k for k in self._matches(kind, tag) if k not in gone] if expected else []
            return 201 if not found else 200 if len(found) == 1 else 412
        if not _meets(expected, self._version(key)):
            return 412
        return 200 if self._version(key) else 201

    def _apply(self, entry: tuple[Any, ...], status: int, location: str | None) -> None:
        method, kind, identifier, tag, _ = entry
        if status >= 400 or method == "GET" or (method == "POST" and status == 200):
            return
        if method == "DELETE":
            if self._version((kind, identifier)):
                self.versions[kind, identifier].append(None)
            return
        key = (kind, identifier or (location or "//new").split("/")[1])
        self.versions.setdefault(key, []).append(tag)

    def _told(self, entry: tuple[Any, ...], told: dict[str, Any], status: int) -> None:
        response = told["response"]
        assert response["status"][:3] == str(status), (entry, told)
        assert ("outcome" in response) == (status >= 400)
        location = response.get("location")
        self._apply(entry, status, location)
        if status in {200, 201} and entry[0] in {"PUT", "POST"}:
            kind, identifier, _, number = location.split("/")
            assert response["etag"] == f'W/"{number}"' and len(self.versions[kind, identifier]) == int(number)

    @rule(kind=TYPES, tag=TAGS, size=st.integers(1, 3))
    def search_agrees(self, kind: str, tag: str, size: int) -> None:
        seen: list[str] = []
        path = f"/{kind}?identifier=urn:tag|{tag}&_count={size}"
        while path:
            bundle = self.ask("GET", path).json()
            for entry in bundle.get("entry", []):
                seen.append(entry["resource"]["id"])
                assert entry["resource"]["identifier"][0]["value"] == tag
            path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        assert len(seen) == len(set(seen)) and sorted(seen) == sorted(i for _, i in self._matches(kind, tag))
        ids = {i for (k, i), known in self.versions.items() if k == kind and known[-1] is not None}
        asked = self.ask("GET", f"/{kind}?_id=a,b,c").json()
        assert {e["resource"]["id"] for e in asked.get("entry", [])} == ids & {"a", "b", "c"}
        assert self.ask("GET", f"/{kind}?_summary=count").json()["total"] == len(ids)

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), size=st.integers(1, 3))
    def history_agrees(self, data: st.DataObject, size: int) -> None:
        kind, identifier = data.draw(st.sampled_from(sorted(self.versions)))
        known = self.versions[kind, identifier]
        told: list[str | None] = []
        path = f"/{kind}/{identifier}/_history?_count={size}"
        while path:
            bundle = self.ask("GET", path).json()
            for entry in bundle["entry"]:
                gone = entry["request"]["method"] == "DELETE"
                told.append(None if gone else entry["resource"]["identifier"][0]["value"])
            path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        assert told == known[::-1]
        number = data.draw(st.integers(1, len(known) + 1))
        answer = self.ask("GET", f"/{kind}/{identifier}/_history/{number}")
        if number > len(known):
            assert answer.status_code == 404
        elif known[number - 1] is None:
            assert answer.status_code == 410
        else:
            assert answer.json()["identifier"][0]["value"] == known[number - 1]
            assert answer.headers["etag"] == f'W/"{number}"'

    @rule(kind=st.none() | TYPES)
    def whole_history_agrees(self, kind: str | None) -> None:
        bundle = self.ask("GET", f"{f'/{kind}' if kind else ''}/_history?_count=1000").json()
        told = {(*e["fullUrl"].split("/")[-2:], e["response"]["etag"]) for e in bundle.get("entry", [])}
        assert told == {
            (k, i, f'W/"{n}"') for (k, i), known in self.versions.items() if kind in {None, k}
            for n in range(1, len(known) + 1)
        }  # fmt: skip

    @invariant()
    def reads_agree(self) -> None:
        for (kind, identifier), known in self.versions.items():
            answer = self.ask("GET", f"/{kind}/{identifier}")
            assert answer.headers["etag"] == f'W/"{len(known)}"'
            if known[-1] is None:
                assert answer.status_code == 410
                continue
            assert answer.status_code == 200
            assert answer.json()["identifier"][0]["value"] == known[-1]
            assert answer.json()["meta"]["versionId"] == str(len(known))
            again = self.ask("GET", f"/{kind}/{identifier}", if_none_match=answer.headers["etag"])
            assert again.status_code == 304


def _entry(method: str, kind: str, identifier: str | None, tag: str | None, expected: str | None) -> dict[str, Any]:
    request: dict[str, Any] = {"method": method, "url": f"{kind}/{identifier}" if identifier else kind}
    if expected == "condition":
        request["ifNoneExist"] = f"identifier=urn:tag|{tag}"
    elif expected == "none":
        request["ifNoneMatch"] = "*"
    elif expected is not None:
        request["ifMatch"] = "*" if expected == "*" else f'W/"{expected}"'
    entry: dict[str, Any] = {"request": request}
    if tag is not None:
        entry["resource"] = _resource(kind, identifier, tag)
    return entry


@pytest.mark.slow
def test_the_api_is_a_dictionary_with_history(postgres: EmbeddedPostgres) -> None:
    ApiModel.url = asyncio.run(make_database(postgres))
    run_state_machine_as_test(
        ApiModel,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
