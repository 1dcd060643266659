"""`Patient/$match`: the patients that a description may be of, the likeliest first, each with its grade.

Who may not be seen is not compared, so that the answer is the same as if they were not there. The access log gets a
search, with the patients that were shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from varde.fhir.errors import BadRequest
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.matching.candidates import candidates, successors
from varde.fhir.matching.demographics import Demographics, read
from varde.fhir.matching.scoring import Grade, Score, score
from varde.fhir.model import Stored

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MAXIMUM = 100


def matching(unique: frozenset[str]) -> Operation:
    """The operation. `unique`: identifier systems whose numbers belong to one person alone, in canonical spelling."""

    async def run(call: Call) -> Answer:
        return await _match(call, unique)

    return Operation(
        "match", "http://hl7.org/fhir/OperationDefinition/Patient-match", run, Level.TYPE, frozenset({"Patient"})
    )


async def _match(call: Call, unique: frozenset[str]) -> Answer:
    await call.store.allow(call.gate, Interaction.SEARCH, "Patient")
    patient, certain_only, count = _asked(call)
    asked = read(patient)
    if asked == Demographics(gender=asked.gender):
        raise BadRequest.of("the Patient says nothing by which a person is known", "Parameters.parameter", "required")
    async with call.store.reading(call.request.connection) as connection:
        found = await candidates(connection, call.gate, asked, patient)
        instead = await successors(connection, call.gate, found)
    judged: dict[str, tuple[Stored, Score]] = {}
    for one in found:
        shown = instead.get(one.id, one)
        made = score(asked, read(one.resource), unique)
        if shown.id not in judged or _rank(made) > _rank(judged[shown.id][1]):
            judged[shown.id] = shown, made
    ranked = sorted(
        ((shown, made) for shown, made in judged.values() if made.grade is not Grade.NOT),
        key=lambda pair: (_rank(pair[1]), pair[0].id), reverse=True,
    )  # fmt: skip
    if certain_only:
        ranked = [pair for pair in ranked if pair[1].grade is Grade.CERTAIN]
        # Several cannot all be the one who is meant (R4, Patient $match, onlyCertainMatches).
        ranked = ranked if len(ranked) == 1 else []
    ranked = ranked[:count]
    await call.gate.record(
        Disclosure(
            Interaction.SEARCH, "Patient", [shown.reference for shown, _ in ranked],
            sorted({shown.patient for shown, _ in ranked if shown.patient is not None}), query="$match",
        ),
        call.request.connection,
    )  # fmt: skip
    return Answer(200, _bundle(call.base, ranked))


def _rank(made: Score) -> tuple[bool, float]:
    return made.grade is Grade.CERTAIN, made.probability


def _asked(call: Call) -> tuple[Mapping[str, Any], bool, int]:
    """(the Patient, only certain matches, how many). Raises BadRequest."""
    patient: Any = call.resource
    certain_only: Any = False
    count: Any = MAXIMUM
    for name, value in call.parameters():
        if name == "resource":
            patient = value
        elif name == "onlyCertainMatches":
            certain_only = value == "true" if isinstance(value, str) else value
        elif name == "count":
            count = int(value) if isinstance(value, str) and value.isdigit() and len(value) < 7 else value
        else:
            raise BadRequest.of(f"'{name[:64]}' is no parameter of $match", code="not-supported")
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise BadRequest.of("'resource' is a Patient, whole or in part", "Parameters.parameter", "required")
    if not isinstance(certain_only, bool):
        raise BadRequest.of("'onlyCertainMatches' is true or false", "Parameters.parameter")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadRequest.of("'count' is a whole number, 1 or more", "Parameters.parameter")
    return patient, certain_only, min(count, MAXIMUM)


def _bundle(base: str, ranked: list[tuple[Stored, Score]]) -> bytes:
    entries = []
    for shown, made in ranked:
        search = {
            "extension": [{"url": GRADE, "valueCode": made.grade.value}], "mode": "match",
            "score": round(made.probability, 4),
        }  # fmt: skip
        head = f'{{"fullUrl":"{base}/{shown.reference}","resource":'.encode()
        entries.append(head + shown.body + b',"search":' + orjson.dumps(search) + b"}")
    listed = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"searchset","total":%d' % len(ranked) + listed + b"}"
