"""The operations of data in bulk over HTTP: kick-off, polling, files, calling off. What is done is done in a worker.

Whoever did not start it is told that it does not exist, and each file is looked at again with the rights of the
request that asks for it.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import orjson

from varde.fhir.bulk import files, inputs, records
from varde.fhir.bulk.asked import Export, asks_async, is_lenient, read_export, read_import
from varde.fhir.bulk.fetching import Sources
from varde.fhir.bulk.files import File
from varde.fhir.bulk.records import Bulk
from varde.fhir.bulk.runner import Runner
from varde.fhir.errors import BadRequest, NotFound
from varde.fhir.gate import Interaction
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation, outcome
from varde.fhir.keys import resource_key
from varde.fhir.search.references import local_id
from varde.fhir.splice import instant
from varde.fhir.store import ABSENT

_IG = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_AGAIN = "2"
"""Seconds after which a client is asked to look again."""
_BUSY = "60"
_JSON = "application/json"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_POLL = {"export": "$export-poll-status", "import": "$import-poll-status"}
_FILE = "$bulk-file"


def operations(runner: Runner, sources: Sources) -> list[Operation]:
    """Every operation of data in bulk. `sources` says where an import may fetch from."""
    desk = _Desk(runner, sources)
    return [
        Operation("export", f"{_IG}/export", desk.export_system, Level.SYSTEM),
        Operation("export", f"{_IG}/patient-export", desk.export_patients, Level.TYPE, frozenset({"Patient"})),
        Operation("export", f"{_IG}/group-export", desk.export_group, Level.INSTANCE, frozenset({"Group"})),
        Operation(_POLL["export"][1:], "", desk.poll_export, Level.SYSTEM, removes=True),
        Operation("import", "https://varde.no/fhir/OperationDefinition/import", desk.import_, Level.SYSTEM,
                  changes=True),
        Operation(_POLL["import"][1:], "", desk.poll_import, Level.SYSTEM, removes=True),
        Operation(_FILE[1:], "", desk.file, Level.SYSTEM),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where clients come."""

    runner: Runner
    sources: Sources

    async def export_system(self, call: Call) -> Answer:
        return await self._export(call, "system")

    async def export_patients(self, call: Call) -> Answer:
        return await self._export(call, "patient")

    async def export_group(self, call: Call) -> Answer:
        return await self._export(call, "group")

    async def _export(self, call: Call, level: str) -> Answer:
        headers = call.request.headers
        if not asks_async(headers):
            raise BadRequest.of("an export is asked for with the header Prefer: respond-async")
        export = read_export(call.parameters(), level, lenient=is_lenient(headers), group=call.id)
        for kind in export.types:
            await call.store.allow(call.gate, Interaction.EXPORT, kind)
        await call.store.allow(call.gate, Interaction.EXPORT, None)
        patients = await _held_to(call, export)
        return await self._begin(call, "export", export.as_json(), patients=patients)

    async def import_(self, call: Call) -> Answer:
        headers = call.request.headers
        if not asks_async(headers):
            raise BadRequest.of("an import is asked for with the header Prefer: respond-async")
        await call.store.allow(call.gate, Interaction.CREATE, None)
        await call.store.allow(call.gate, Interaction.UPDATE, None)
        if "ndjson" in headers.get("content-type", ""):
            return await self._begin(call, "import", {"inputs": []}, body=call.request.body)
        named = read_import(call.parameters(), call.resource)
        for one in named:
            self.sources.check(one.url)
        listed = [{"type": one.type, "url": one.url} for one in named]
        return await self._begin(call, "import", {"inputs": listed})

    async def _begin(
        self, call: Call, kind: str, asked: Mapping[str, Any], *, patients: Sequence[int] | None = None,
        body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        bulk, now = uuid4(), call.store.clock.now()
        where = "/".join([call.base, *call.request.segments])
        query = [(name, value) for name, value in call.request.query if kind == "export"]
        request = where + ("?" + urlencode(query, safe="/:,", quote_via=quote) if query else "")
        owner, scope = self.runner.owner(call.gate), self.runner.kept(call.gate)
        async with call.store.transaction() as connection:
            begun = await records.begin(connection, bulk, kind, owner, scope, request, asked, now, patients=patients)
            if begun:
                await inputs.expect(connection, bulk, asked.get("inputs", ()), body)
                await self.runner.begin(connection, kind, bulk)
        if not begun:
            said = f"you have {records.AT_ONCE} exports or imports under way; wait until one has ended"
            answer = outcome(429, {"severity": "error", "code": "throttled", "diagnostics": said})
            answer.headers["retry-after"] = _BUSY
            return answer
        answer = outcome(202, {"severity": "information", "code": "informational", "diagnostics": "begun"})
        answer.headers["content-location"] = f"{call.base}/{_POLL[kind]}?_jobId={bulk}"
        return answer

    async def poll_export(self, call: Call) -> Answer:
        return await self._poll(call, "export")

    async def poll_import(self, call: Call) -> Answer:
        return await self._poll(call, "import")

    async def _poll(self, call: Call, kind: str) -> Answer:
        bulk = await self._mine(call, kind)
        if call.request.method == "DELETE":
            async with call.store.transaction() as connection:
                await records.call_off(connection, bulk.id)
            return outcome(202, {"severity": "information", "code": "informational", "diagnostics": "called off"})
        if bulk.state == "running":
            headers = {"x-progress": bulk.progress or "waits for its turn", "retry-after": _AGAIN}
            return Answer(202, None, headers)
        if bulk.state == "failed":
            return outcome(500, *bulk.issues)
        async with call.store.database.connection() as connection:
            found = await records.files(connection, bulk.id)
            taken = await inputs.told(connection, bulk.id) if kind == "import" else []
        manifest = _exported(call, bulk, found) if kind == "export" else _imported(call, bulk, found, taken)
        expires = email.utils.format_datetime(bulk.expires.astimezone(UTC), usegmt=True)
        return Answer(200, _whole(orjson.dumps(manifest)), {"content-type": _JSON, "expires": expires})

    async def file(self, call: Call) -> Answer:
        asked = dict(call.request.query)
        number = asked.get("_file", "")
        if not (number.isascii() and number.isdigit() and len(number) < 9):
            raise NotFound.of(ABSENT)
        bulk = await self._mine(call, None)
        async with call.store.database.connection() as connection:
            every = await records.files(connection, bulk.id)
        file = next((one for one in every if one.number == int(number)), None)
        if bulk.state != "done" or file is None:
            raise NotFound.of(ABSENT)
        if file.role == "output":
            await call.store.allow(call.gate, Interaction.EXPORT, file.type)
        return _content(call, file)

    async def _mine(self, call: Call, kind: str | None) -> Bulk:
        """What the request names, if the caller started it. Raises NotFound."""
        try:
            bulk = UUID(dict(call.request.query).get("_jobId", ""))
        except ValueError:
            raise NotFound.of(ABSENT) from None
        async with call.store.database.connection() as connection:
            for one in ("export", "import") if kind is None else (kind,):
                found = await records.find(connection, bulk, one, call.store.clock.now())
                if found is not None and found.owner == self.runner.owner(call.gate):
                    return found
        raise NotFound.of(ABSENT)


async def _held_to(call: Call, export: Export) -> list[int] | None:
    """rids of the patients that an export is held to; None when it is held to none in particular. Whom the gate
    hides is left to the gate. Raises NotFound for a Group that is not there or may not be seen, BadRequest."""
    named = {resource_key("Patient", one) for one in export.patients}
    if export.group is None:
        return sorted(named) if export.patients else None
    group = (await call.store.read(call.gate, "Group", export.group)).resource
    if group.get("actual") is not True or group.get("type") != "person":
        raise BadRequest.of("the Group is not one of actual persons, each named as a member", code="not-supported")
    members = {
        resource_key("Patient", patient)
        for member in group.get("member", ())
        if member.get("inactive") is not True
        and (patient := local_id(member.get("entity", {}).get("reference", ""), "Patient")) is not None
    }
    return sorted(members & named if export.patients else members)


def _link(call: Call, file: File) -> str:
    return f"{call.base}/{_FILE}?_jobId={file.bulk}&_file={file.number}"


def _exported(call: Call, bulk: Bulk, found: Sequence[File]) -> dict[str, Any]:
    def listed(role: str) -> list[dict[str, Any]]:
        return [
            {"type": file.type, "url": _link(call, file), "count": file.resources}
            for file in found
            if file.role == role
        ]

    return {
        "transactionTime": instant(bulk.moment),
        "request": bulk.request,
        "requiresAccessToken": True,
        "output": listed("output"),
        "deleted": listed("deleted"),
        "error": listed("error"),
    }


def _imported(call: Call, bulk: Bulk, found: Sequence[File], taken: Sequence[inputs.Told]) -> dict[str, Any]:
    return {
        "transactionTime": instant(bulk.created),
        "request": bulk.request,
        "requiresAccessToken": True,
        "output": [
            {"type": one.type or "Resource", "inputUrl": one.source, "count": one.written + one.unchanged,
             "written": one.written, "unchanged": one.unchanged}
            for one in taken
        ],
        "error": [
            {"type": file.type, "url": _link(call, file), "count": file.resources} for file in found
        ],
    }  # fmt: skip


def _content(call: Call, file: File) -> Answer:
    database, headers = call.store.database, call.request.headers
    given = {"content-type": "application/fhir+ndjson", "vary": "accept-encoding", "accept-ranges": "bytes"}
    part = _RANGE.fullmatch(headers.get("range", ""))
    if part is not None and file.size:
        start, end = int(part[1]), min(int(part[2] or file.size), file.size - 1)
        if start >= file.size or start > end:
            return Answer(416, None, {"content-range": f"bytes */{file.size}"})
        given |= {"content-range": f"bytes {start}-{end}/{file.size}", "content-length": str(end + 1 - start)}
        return Answer(206, files.unpacked(database, file, start, end + 1), given)
    if "gzip" in headers.get("accept-encoding", ""):
        given |= {"content-encoding": "gzip", "content-length": str(file.packed)}
        return Answer(200, files.packed(database, file), given)
    return Answer(200, files.unpacked(database, file, 0, file.size), given | {"content-length": str(file.size)})


async def _once(body: bytes) -> Any:
    yield body


def _whole(body: bytes) -> Any:
    """A body that says its own type: what is no resource is not application/fhir+json."""
    return _once(body)
