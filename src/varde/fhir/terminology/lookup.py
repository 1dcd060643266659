"""`CodeSystem/$lookup`: what a code means, with its other texts and its properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from varde.fhir.errors import BadRequest, FhirError, NotFound
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.terminology.arguments import Arguments, Kind
from varde.fhir.terminology.asking import Asking, asking
from varde.fhir.terminology.concepts import Concept
from varde.fhir.terminology.selection import CodeSystem
from varde.fhir.terminology.texts import display_of, merged, speaks, wanted

_TAKES = {
    "code": Kind.TEXT, "system": Kind.TEXT, "version": Kind.TEXT, "coding": Kind.CODING, "date": Kind.MOMENT,
    "displayLanguage": Kind.TEXT, "property": Kind.TEXT, "tx-resource": Kind.RESOURCE,
}  # fmt: skip
_HIERARCHY = ("parent", "child")


async def _lookup(call: Call) -> Answer:
    arguments = Arguments(call, _TAKES)
    async with asking(call, arguments, "CodeSystem") as ask:
        system, version, code = _named(arguments)
        codes, concept = await found(ask, system, version, code)
        return Answer(200, orjson.dumps(await _told(ask, arguments, system, codes, concept)))


def _named(arguments: Arguments) -> tuple[str, str | None, str]:
    coding = arguments.one("coding")
    if coding is not None and "code" in arguments:
        raise BadRequest.of("a code is named by 'code' and 'system', or by 'coding', not both")
    source = coding or {name: arguments.text(name) for name in ("system", "version", "code")}
    system, code, version = source.get("system"), source.get("code"), source.get("version")
    if not (isinstance(system, str) and isinstance(code, str) and system and code):
        raise BadRequest.of("a code is named by 'code' and 'system', or by 'coding'", code="required")
    if version is not None and not isinstance(version, str):
        raise BadRequest.of("a version is a text")
    return system, version, code


async def found(ask: Asking, system: str, version: str | None, code: str) -> tuple[CodeSystem, Concept]:
    """The code system and the concept, with what supplements add. Raises NotFound."""
    codes = await ask.resolver.code_system(system, version)
    if codes is None or codes.header.content == "not-present":
        raise NotFound.of(f"the code system {system}{f'|{version}' if version else ''} is not known here")
    concept = (await codes.find([code])).get(code)
    if concept is None:
        raise no_code(code, codes)
    added = [(await one.find([concept.code])).get(concept.code) for one in await ask.resolver.supplements(system)]
    return codes, merged(concept, [one for one in added if one is not None])


def no_code(code: str, codes: CodeSystem) -> FhirError:
    """The error for a code that the code system lacks."""
    return NotFound.of(f"the code system {codes.header.canonical} has no code '{code[:100]}'")


async def _told(ask: Asking, arguments: Arguments, system: str, codes: CodeSystem, concept: Concept) -> dict[str, Any]:
    asked = arguments.all("property")
    every = not asked or "*" in asked
    languages = wanted(arguments.text("displayLanguage") or ask.accept_language)
    header = codes.header
    said: list[dict[str, Any]] = [{"name": "name", "valueString": header.name}]
    if header.version:
        said.append({"name": "version", "valueString": header.version})
    said.append({"name": "display", "valueString": display_of(concept, languages, header.language) or concept.code})
    said += [{"name": "system", "valueUri": system}, {"name": "code", "valueCode": concept.code}]
    if concept.abstract:
        said.append({"name": "abstract", "valueBoolean": True})
    if concept.detail.get("definition") and (every or "definition" in asked):
        said.append({"name": "definition", "valueString": concept.detail["definition"]})
    if every or "designation" in asked or any(one.startswith("lang.") for one in asked):
        said += _designations(concept, header.language, asked)
    if every or "inactive" in asked:
        said.append(_property("inactive", {"valueBoolean": concept.inactive}))
    for one in concept.detail.get("property", ()):
        name = one.get("code")
        if isinstance(name, str) and (every or name in asked) and name not in {"inactive", *_HIERARCHY}:
            value = {member: value for member, value in one.items() if member.startswith("value")}
            said.append(_property(name, value, header.properties.get(name)))
    for name in _HIERARCHY:
        if every or name in asked:
            near = await codes.relatives([concept.code], up=name == "parent", direct=True)
            texts = await codes.find(near[concept.code])
            said += [
                _property(name, {"valueCode": other}, display_of(texts[other], languages, header.language))
                for other in near[concept.code]
            ]
    return {"resourceType": "Parameters", "parameter": said}


def _designations(concept: Concept, language: str | None, asked: Sequence[str]) -> list[dict[str, Any]]:
    langs = [one.removeprefix("lang.") for one in asked if one.startswith("lang.")]
    every = not asked or "*" in asked or "designation" in asked
    said = []
    for one in concept.designations:
        if one.get("value") and (every or any(speaks(one.get("language"), lang) for lang in langs)):
            parts = [{"name": "language", "valueCode": one["language"]}] if one.get("language") else []
            if isinstance(one.get("use"), dict):
                parts.append({"name": "use", "valueCoding": one["use"]})
            parts.append({"name": "value", "valueString": one["value"]})
            said.append({"name": "designation", "part": parts})
    return said


def _property(code: str, value: dict[str, Any], description: str | None = None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "code", "valueCode": code}, {"name": "value", **value}]
    if description:
        parts.append({"name": "description", "valueString": description})
    return {"name": "property", "part": parts}


LOOKUP = Operation(
    "lookup", "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup", _lookup, Level.TYPE,
    frozenset({"CodeSystem"}),
)  # fmt: skip
