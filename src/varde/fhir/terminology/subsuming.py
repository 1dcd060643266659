"""`CodeSystem/$subsumes`: how two codes of one code system lie to each other in its hierarchy."""

from __future__ import annotations

from typing import Any

import orjson

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import BadRequest, NotFound
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation, parameters
from varde.fhir.terminology.arguments import Arguments, Kind
from varde.fhir.terminology.asking import asking
from varde.fhir.terminology.lookup import no_code
from varde.fhir.terminology.selection import CodeSystem

_TAKES = {
    "codeA": Kind.TEXT, "codeB": Kind.TEXT, "system": Kind.TEXT, "version": Kind.TEXT, "codingA": Kind.CODING,
    "codingB": Kind.CODING, "tx-resource": Kind.RESOURCE,
}  # fmt: skip


async def outcome(codes: CodeSystem, one: str, other: str) -> str:
    """A code of concept-subsumption-outcome. Raises NotFound for a code that is none."""
    found = await codes.find([one, other])
    for code in (one, other):
        if code not in found:
            raise no_code(code, codes)
    a, b = found[one].code, found[other].code
    if a == b:
        return "equivalent"
    above = await codes.relatives([a, b], up=True, direct=False)
    if a in above[b]:
        return "subsumes"
    return "subsumed-by" if b in above[a] else "not-subsumed"


async def _subsumes(call: Call) -> Answer:
    arguments = Arguments(call, _TAKES)
    async with asking(call, arguments, "CodeSystem") as ask:
        given = await ask.instance()
        system = str(given.get("url", "")) if given is not None else arguments.text("system")
        version = arguments.text("version") or (given.get("version") if given is not None else None)
        named = []
        for letter in ("A", "B"):
            coding: Any = arguments.one(f"coding{letter}")
            code = coding.get("code") if coding is not None else arguments.text(f"code{letter}")
            if coding is not None and isinstance(coding.get("system"), str):
                if system and canonical_system(system) != canonical_system(coding["system"]):
                    raise BadRequest.of("both codes are of one code system")
                system, version = coding["system"], coding.get("version") or version
            if not isinstance(code, str) or not code:
                raise BadRequest.of(f"'code{letter}' or 'coding{letter}' names a code", code="required")
            named.append(code)
        if not system:
            raise BadRequest.of("the code system is named by 'system' or in the codings", code="required")
        codes = await ask.resolver.stored_code_system(call.id) if call.id is not None else None
        codes = codes or await ask.resolver.code_system(system, version)
        if codes is None or codes.header.content == "not-present":
            raise NotFound.of(f"the code system {system} is not known here")
        said = await outcome(codes, *named)
        return Answer(200, orjson.dumps(parameters(("outcome", "valueCode", said))))


SUBSUMES = Operation(
    "subsumes", "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes", _subsumes,
    Level.TYPE | Level.INSTANCE, frozenset({"CodeSystem"}),
)  # fmt: skip
