"""The store against a dictionary: any sequence of interactions leaves both with the same resources and history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.databases import make_database
from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.db import Database
from varde.embedded import EmbeddedPostgres
from varde.fhir.errors import FhirError, Gone, NotFound, PreconditionFailed
from varde.fhir.http.interactions import Interactions
from varde.fhir.http.interactions import Request as Asked
from varde.fhir.patching.patch import PatchKind
from varde.fhir.store import Store

IDS = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["Patient", "Basic"])
TAGS = st.sampled_from(["x", "y"])
TABLES = ("resource", "resource_history", "index_token", "index_reference", "index_string", "index_date",
          "index_quantity", "index_uri")  # fmt: skip
Key = tuple[str, str]


def _resource(kind: str, identifier: str | None, tag: str) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": kind, "identifier": [{"system": "urn:tag", "value": tag}]}
    if identifier is not None:
        made["id"] = identifier
    if kind == "Basic":
        made["code"] = {"text": "å"}
    return made


class StoreModel(RuleBasedStateMachine):
    """`versions` holds every version of every resource: its tag, or None where it was deleted."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
        self.database = Database(self.url, connections=2)
        self.store = Store(self.database, self.clock)
        self.gate = OpenGate()
        self.versions: dict[Key, list[str | None]] = {}
        self.order: list[tuple[Key, int]] = []
        self.run(self._clear())

    async def _clear(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute(f"truncate {', '.join(TABLES)}")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.database.close())
        self.loop.close()

    def _now(self, key: Key) -> str | None:
        return self.versions.get(key, [None])[-1]

    def _matches(self, kind: str, tag: str) -> list[Key]:
        return [key for key, known in self.versions.items() if key[0] == kind and known[-1] == tag]

    def _noted(self, key: Key, tag: str | None) -> int:
        self.versions.setdefault(key, []).append(tag)
        self.order.append((key, len(self.versions[key])))
        return len(self.versions[key])

    @rule(kind=TYPES, tag=TAGS)
    def create(self, kind: str, tag: str) -> None:
        written = self.run(self.store.create(self.gate, _resource(kind, None, tag)))
        assert written.created and written.stored.version == 1
        self._noted((kind, written.stored.id), tag)

    @rule(kind=TYPES, identifier=IDS, tag=TAGS, seconds=st.integers(0, 2))
    def update(self, kind: str, identifier: str, tag: str, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        key = (kind, identifier)
        new = self._now(key) is None
        written = self.run(self.store.update(self.gate, kind, identifier, _resource(kind, identifier, tag)))
        assert written.created == new
        assert written.stored.version == self._noted(key, tag)

    @rule(kind=TYPES, identifier=IDS, tag=TAGS, version=st.integers(1, 4))
    def update_if_match(self, kind: str, identifier: str, tag: str, version: int) -> None:
        key = (kind, identifier)
        call = self.store.update(self.gate, kind, identifier, _resource(kind, identifier, tag), if_match=version)
        if self._now(key) is not None and len(self.versions[key]) == version:
            assert self.run(call).stored.version == self._noted(key, tag)
        else:
            with pytest.raises(PreconditionFailed):
                self.run(call)

    @rule(kind=TYPES, identifier=IDS, version=st.none() | st.integers(1, 4))
    def delete(self, kind: str, identifier: str, version: int | None) -> None:
        key = (kind, identifier)
        call = self.store.delete(self.gate, kind, identifier, if_match=version)
        there = self._now(key) is not None
        if version is not None and not (there and len(self.versions[key]) == version):
            with pytest.raises(PreconditionFailed):
                self.run(call)
            return
        self.run(call)
        if there:
            self._noted(key, None)

    @rule(kind=TYPES, identifier=IDS, tag=TAGS)
    def patch(self, kind: str, identifier: str, tag: str) -> None:
        operations = json.dumps([{"op": "replace", "path": "/identifier/0/value", "value": tag}]).encode()
        call = self.store.patch(self.gate, kind, identifier, operations, PatchKind.JSON)
        key = (kind, identifier)
        if self._now(key) is not None:
            assert self.run(call).stored.version == self._noted(key, tag)
        else:
            with pytest.raises(Gone if key in self.versions else NotFound):
                self.run(call)

    @rule(kind=TYPES, tag=TAGS)
    def conditional_create(self, kind: str, tag: str) -> None:
        call = self.store.create(self.gate, _resource(kind, None, tag), if_none_exist=f"identifier=urn:tag|{tag}")
        matches = self._matches(kind, tag)
        if len(matches) > 1:
            with pytest.raises(PreconditionFailed):
                self.run(call)
            return
        written = self.run(call)
        assert written.created == (not matches) == written.changed
        if matches:
            assert written.stored.id == matches[0][1]
        else:
            self._noted((kind, written.stored.id), tag)

    @rule(kind=TYPES, old=TAGS, tag=TAGS, identifier=st.none() | IDS)
    def conditional_update(self, kind: str, old: str, tag: str, identifier: str | None) -> None:
        call = self.store.conditional_update(
            self.gate, kind, f"identifier=urn:tag|{old}", _resource(kind, identifier, tag)
        )
        matches = self._matches(kind, old)
        taken = identifier is not None and self._now((kind, identifier)) is not None
        if len(matches) > 1 or (matches and identifier not in {None, matches[0][1]}) or (not matches and taken):
            with pytest.raises(FhirError) as caught:
                self.run(call)
            assert caught.value.status in {400, 409, 412}
            return
        written = self.run(call)
        assert written.stored.version == self._noted((kind, written.stored.id), tag)
        assert written.stored.id == (matches[0][1] if matches else identifier or written.stored.id)

    @rule(kind=TYPES, tag=TAGS, multiple=st.booleans())
    def conditional_delete(self, kind: str, tag: str, multiple: bool) -> None:
        call = self.store.conditional_delete(self.gate, kind, f"identifier=urn:tag|{tag}", multiple=multiple)
        matches = self._matches(kind, tag)
        if len(matches) > 1 and not multiple:
            with pytest.raises(PreconditionFailed):
                self.run(call)
            return
        assert self.run(call) == len(matches)
        # In the order of their keys in the store, which is not the model's: history tells them apart below.
        for key in matches:
            self._noted(key, None)
        if len(matches) > 1:
            self.order = [entry for entry in self.order if entry[0] not in matches]

    @rule(one=IDS, other=IDS, tags=st.tuples(TAGS, TAGS), bad=st.booleans(), new=st.booleans())
    def transaction(self, one: str, other: str, tags: tuple[str, str], bad: bool, new: bool) -> None:
        first, second = _resource("Patient", one, tags[0]), _resource("Basic", other, tags[1])
        if bad:
            second["code"] = "wrong"
        entries: list[dict[str, Any]] = [
            {"resource": first, "request": {"method": "PUT", "url": f"Patient/{one}"}},
            {"resource": second, "request": {"method": "PUT", "url": f"Basic/{other}"}},
            {"resource": _resource("Patient", None, tags[0]), "request": {"method": "POST", "url": "Patient"}},
        ][: 3 if new else 2]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        interactions = Interactions(self.store, "http://test/fhir")
        call = interactions.perform(self.gate, Asked("POST", [], [], {}, json.dumps(bundle).encode()))
        if bad:
            with pytest.raises(FhirError) as caught:
                self.run(call)
            assert caught.value.status == 422
            return
        answer = self.run(call).body
        assert isinstance(answer, dict)
        written = [tuple(e["response"]["location"].split("/_history/")[0].split("/")) for e in answer["entry"]]
        assert written[:2] == [("Patient", one), ("Basic", other)]
        for key, tag in zip(written, (*tags, tags[0]), strict=False):
            self._noted((key[0], key[1]), tag)
        self.order = [entry for entry in self.order if entry[0] not in written]

    @invariant()
    def reads_agree(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        for (kind, identifier), known in self.versions.items():
            if known[-1] is None:
                with pytest.raises(Gone):
                    await self.store.read(self.gate, kind, identifier)
            else:
                stored = await self.store.read(self.gate, kind, identifier)
                assert stored.version == len(known)
                assert stored.resource["identifier"][0]["value"] == known[-1]
                assert stored.resource["meta"]["versionId"] == str(len(known))

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def history_agrees(self, data: st.DataObject) -> None:
        kind, identifier = data.draw(st.sampled_from(sorted(self.versions)))
        known = self.versions[kind, identifier]
        page = self.run(self.store.history(self.gate, kind, identifier, count=100))
        told = [None if e.stored.deleted else e.stored.resource["identifier"][0]["value"] for e in page.entries]
        assert told == known[::-1]
        version = data.draw(st.integers(1, len(known) + 1))
        call = self.store.vread(self.gate, kind, identifier, version)
        if version > len(known):
            with pytest.raises(NotFound):
                self.run(call)
        elif known[version - 1] is None:
            with pytest.raises(Gone):
                self.run(call)
        else:
            assert self.run(call).resource["identifier"][0]["value"] == known[version - 1]

    @rule(kind=st.none() | TYPES, size=st.integers(1, 3))
    def whole_history_agrees(self, kind: str | None, size: int) -> None:
        told: list[tuple[Key, int]] = []
        page = None
        while True:
            found = self.run(self.store.history(self.gate, kind, count=size, page=page))
            told += [((e.stored.type, e.stored.id), e.stored.version) for e in found.entries]
            page = found.next
            if page is None:
                break
        every = {(k, n) for k, known in self.versions.items() for n in range(1, len(known) + 1) if kind in {None, k[0]}}
        assert len(told) == len(set(told)) and set(told) == every
        sure = {entry for entry in self.order if kind in {None, entry[0][0]}}
        assert [t for t in told if t in sure] == [o for o in self.order if o in sure][::-1]

    @rule(kind=TYPES, tag=TAGS)
    def search_agrees(self, kind: str, tag: str) -> None:
        page = self.run(self.store.search(self.gate, kind, f"identifier=urn:tag|{tag}&_count=1000"))
        assert sorted(m.id for m in page.matches) == sorted(i for _, i in self._matches(kind, tag))
        total = self.run(self.store.search(self.gate, kind, "_summary=count")).total
        assert total == sum(k[0] == kind and known[-1] is not None for k, known in self.versions.items())


@pytest.mark.slow
def test_the_store_is_a_dictionary_with_history(postgres: EmbeddedPostgres) -> None:
    StoreModel.url = asyncio.run(make_database(postgres))
    run_state_machine_as_test(
        StoreModel,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
