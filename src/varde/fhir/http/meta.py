"""The operations `$meta`, `$meta-add` and `$meta-delete` (R4 resource-operations.html): profiles, tags and labels.

A change makes a new version, as every other change does, so that the history tells who labelled what and when; what
changes nothing makes none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from varde.fhir import splice
from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation, parameters
from varde.fhir.storing.reading import fetch
from varde.fhir.validate import faults_of

_CODINGS = ("tag", "security")
_MAXIMUM = 1000
"""Labels told of at the levels of type and system."""
Meta = dict[str, Any]


async def _meta(call: Call) -> Answer:
    if call.type is not None and call.id is not None:
        connection = call.request.connection
        stored = await call.store.read(call.gate, call.type, call.id, connection=connection)
        return _answer(stored.resource.get("meta") or {})
    await call.store.allow(call.gate, Interaction.SEARCH, call.type)
    return _answer(await _in_use(call))


async def _in_use(call: Call) -> Meta:
    """Every profile, tag and label of what the caller may see, of one type or of all."""
    kinds = [call.type] if call.type is not None else list(resource_types())
    found: Meta = {}
    async with call.store.reading(call.request.connection) as own:
        for code, table, columns in (
            ("_profile", "index_uri", "t.value"),
            ("_security", "index_token", "t.system, t.code"),
            ("_tag", "index_token", "t.system, t.code"),
        ):
            values = Parameters()
            keys = values.add([search_parameters(kind)[code].key for kind in kinds])
            sql = (
                "select body from resource where rid in ("
                f"select distinct on ({columns}) t.rid from {table} t join resource r on r.rid = t.rid"
                f" where t.param = any({keys}::int[]) and not r.deleted"
                f" and ({call.gate.predicate('r', call.type, values)}) order by {columns} limit {_MAXIMUM})"
            )
            for row in await fetch(own, sql, values.values):
                meta = orjson.loads(row["body"])["meta"]
                found, _ = _added(found, {code[1:]: meta.get(code[1:]) or []})
    await call.gate.record(Disclosure(Interaction.SEARCH, call.type or "*", [], []), call.request.connection)
    return found


def _answer(meta: Mapping[str, Any]) -> Answer:
    return Answer(200, parameters(("return", "valueMeta", dict(meta))))


def _changing(change: Callable[[Meta, Meta], tuple[Meta, bool]]) -> Callable[[Call], Any]:
    async def run(call: Call) -> Answer:
        given = next((value for name, value in call.parameters() if name == "meta"), None)
        if not isinstance(given, dict):
            raise BadRequest.of("this operation takes the parameter `meta`, a Meta", "Parameters.parameter")
        faults = faults_of({"resourceType": "Basic", "code": {"text": "-"}, "meta": given})
        if faults:
            raise BadRequest(faults)
        assert call.type is not None and call.id is not None
        kind, identifier = call.type, call.id

        async def work(own: Any) -> Meta:
            stored = await call.store.read(call.gate, kind, identifier, connection=own, for_update=True)
            resource = splice.parse_exact(stored.body)
            meta, changed = change(resource.get("meta") or {}, given)
            if not changed:
                return meta
            body = splice.dump({**resource, "meta": meta})
            written = await call.store.update(call.gate, kind, identifier, body, upsert=False, connection=own)
            after: Meta = written.stored.resource["meta"]
            return after

        return _answer(await call.store.retried(call.request.connection, work))

    return run


def _identity(item: Any) -> str:
    """What makes two profiles or codings the same: the canonical address; system and code."""
    return json.dumps([item.get("system"), item.get("code")] if isinstance(item, dict) else item)


def _added(meta: Meta, given: Mapping[str, Any]) -> tuple[Meta, bool]:
    result, changed = dict(meta), False
    for member in ("profile", *_CODINGS):
        there = list(result.get(member) or [])
        known = {_identity(item) for item in there}
        for item in given.get(member) or []:
            if _identity(item) not in known:
                known.add(_identity(item))
                there.append(item)
                changed = True
        if there:
            result[member] = there
    return result, changed


def _removed(meta: Meta, given: Mapping[str, Any]) -> tuple[Meta, bool]:
    result, changed = dict(meta), False
    for member in ("profile", *_CODINGS):
        gone = {_identity(item) for item in given.get(member) or []}
        there = list(result.get(member) or [])
        kept = [item for item in there if _identity(item) not in gone]
        if len(kept) < len(there):
            changed = True
            result[member] = kept
            if not kept:
                del result[member]
    return result, changed


_BASE = "http://hl7.org/fhir/OperationDefinition/Resource-meta"
META = Operation("meta", _BASE, _meta, Level.SYSTEM | Level.TYPE | Level.INSTANCE)
META_ADD = Operation(
    "meta-add", f"{_BASE}-add", _changing(_added), Level.INSTANCE, changes=True, transactional=True
)  # fmt: skip
META_DELETE = Operation(
    "meta-delete", f"{_BASE}-delete", _changing(_removed), Level.INSTANCE, changes=True, transactional=True
)  # fmt: skip
