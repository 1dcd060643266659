"""The operation `Patient/$everything`: a record whole, page by page, with what it refers to on the page that does.

For one Patient, or for every Patient that may be seen. What is in a record is `record.py`'s.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from varde.fhir.definitions import is_type, type_number
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Disclosure, Interaction, Parameters
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.keys import resource_key
from varde.fhir.model import Stored
from varde.fhir.record import Part, open_types, page, referred
from varde.fhir.search.dates import date_range
from varde.fhir.storing.reading import fetch

_PAGE = 1000
"""Resources of a page at most, and where none are asked for."""


@dataclass(frozen=True, slots=True)
class _Asked:
    part: Part
    count: int
    patient: int | None
    """rid of the Patient whose record the page begins in."""
    after: int | None
    """rid of the last resource of that record on the page before."""


def _asked(named: Sequence[tuple[str, Any]]) -> _Asked:
    types: set[str] = set()
    since = start = end = None
    count = _PAGE
    patient = after = None
    for name, value in named:
        text = str(value)
        if name == "_count":
            if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
                raise BadRequest.of("_count is a whole number over 0")
            count = min(int(text[:9]), _PAGE)
        elif name == "_type":
            types |= {one for one in text.split(",") if one}
        elif name == "_since":
            since = _range(name, text)[0]
        elif name == "start":
            start = _range(name, text)[0]
        elif name == "end":
            end = _range(name, text)[1]
        elif name == "_page":
            patient, after = _key(text)
        else:
            raise BadRequest.of("$everything takes start, end, _since, _type and _count", code="not-supported")
    if not all(map(is_type, types)):
        raise BadRequest.of("_type names resource types")
    return _Asked(Part(frozenset(types) if types else None, since, start, end), count, patient, after)


def _range(name: str, text: str) -> tuple[datetime, datetime]:
    try:
        return date_range(text.replace(" ", "+"))
    except (ValueError, OverflowError):
        raise BadRequest.of(f"{name} is a FHIR date") from None


def _key(text: str) -> tuple[int, int]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        first, last = found
        if not all(isinstance(one, int) and -(2**63) <= one < 2**63 for one in (first, last)):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise BadRequest.of("_page is not a page key of this operation") from None
    return first, last


async def _everything(call: Call) -> Answer:
    asked = _asked(call.parameters())
    await call.store.allow(call.gate, Interaction.SEARCH, "Patient")
    if call.id is not None:
        await call.store.read(call.gate, "Patient", call.id)  # which refuses, and logs, what may not be seen
    found: list[Stored] = []
    following: tuple[int, int] | None = None
    async with call.store.database.connection() as connection:
        patient = resource_key("Patient", call.id) if call.id is not None else asked.patient
        after = asked.after
        if patient is None:
            patient = await _next_patient(call, connection, None)
        while patient is not None:
            room = asked.count - len(found)
            some = await page(connection, call.gate, patient, asked.part, after=after, limit=room + 1)
            found += some[:room]
            if len(some) > room:
                following = (patient, found[-1].rid) if room else (patient, after or 0)
                break
            if call.id is not None:
                break
            last, after = patient, None
            patient = await _next_patient(call, connection, last)
            if patient is not None and len(found) >= asked.count:
                following = (last, 2**63 - 1)
                break
        types = open_types(call.gate, Part(asked.part.types))
        by_patient: dict[int, list[Stored]] = {}
        for one in found:
            by_patient.setdefault(one.patient or 0, []).append(one)
        included: dict[int, Stored] = {}
        for owner, theirs in by_patient.items():
            for one in await referred(connection, call.gate, owner, theirs, types, others=False):
                included[one.rid] = one
    others = [one for rid, one in included.items() if rid not in {match.rid for match in found}]
    every = [*found, *others]
    patients = sorted({one.patient for one in every if one.patient is not None})
    references = [one.reference for one in every]
    await call.gate.record(
        Disclosure(Interaction.SEARCH, "*", references, patients, query="operation=everything"), None
    )
    return Answer(200, _bundle(call, found, others, following))


async def _next_patient(call: Call, connection: Any, after: int | None) -> int | None:
    """rid of the first Patient beyond `after` that may be seen."""
    parameters = Parameters()
    add = parameters.add
    beyond = f" and r.rid > {add(after)}::bigint" if after is not None else ""
    sql = (
        f"select r.rid from resource r where r.type = {add(type_number('Patient'))}::smallint and not r.deleted{beyond}"
        f" and ({call.gate.predicate('r', 'Patient', parameters)}) order by r.rid limit 1"
    )
    rows = await fetch(connection, sql, parameters.values)
    return int(rows[0]["rid"]) if rows else None


def _bundle(call: Call, found: Sequence[Stored], others: Sequence[Stored], following: tuple[int, int] | None) -> bytes:
    """The Bundle as text, with each resource's bytes as stored."""
    here = "/".join([call.base, *call.request.segments])
    query = [(name, str(value)) for name, value in call.parameters() if name != "_page"]
    links = [{"relation": "self", "url": _link(here, [(name, str(value)) for name, value in call.parameters()])}]
    if following is not None:
        key = base64.urlsafe_b64encode(orjson.dumps(following)).decode().rstrip("=")
        links.append({"relation": "next", "url": _link(here, [*query, ("_page", key)])})
    entries = [
        b'{"fullUrl":"%s/%s","resource":%s,"search":{"mode":"%s"}}'
        % (call.base.encode(), one.reference.encode(), one.body, mode)
        for mode, several in ((b"match", found), (b"include", others))
        for one in several
    ]
    listed = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"searchset","link":' + orjson.dumps(links) + listed + b"}"


def _link(here: str, query: Sequence[tuple[str, str]]) -> str:
    return here + ("?" + urlencode(list(query), safe="/:,", quote_via=quote) if query else "")


EVERYTHING = Operation(
    "everything",
    "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    _everything,
    Level.TYPE | Level.INSTANCE,
    frozenset({"Patient"}),
)
