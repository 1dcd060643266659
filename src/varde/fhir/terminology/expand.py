"""`ValueSet/$expand`: which concepts a value set has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson

from varde.fhir.definitions import canonical_system
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.splice import instant
from varde.fhir.terminology.arguments import Arguments, Kind
from varde.fhir.terminology.asking import Asking, asking
from varde.fhir.terminology.composing import Composer, split
from varde.fhir.terminology.expanding import MAXIMUM, Expander, Item
from varde.fhir.terminology.texts import DISPLAY, display_of, wanted

TAKES = {
    "url": Kind.TEXT, "valueSet": Kind.RESOURCE, "valueSetVersion": Kind.TEXT, "filter": Kind.TEXT, "date": Kind.MOMENT,
    "offset": Kind.INTEGER, "count": Kind.INTEGER, "includeDesignations": Kind.BOOLEAN, "designation": Kind.TEXT,
    "includeDefinition": Kind.BOOLEAN, "activeOnly": Kind.BOOLEAN, "excludeNested": Kind.BOOLEAN,
    "excludeNotForUI": Kind.BOOLEAN, "excludePostCoordinated": Kind.BOOLEAN, "displayLanguage": Kind.TEXT,
    "exclude-system": Kind.TEXT, "system-version": Kind.TEXT, "check-system-version": Kind.TEXT,
    "force-system-version": Kind.TEXT, "tx-resource": Kind.RESOURCE,
}  # fmt: skip
"""The parameters. `context` and `contextDirection` are not taken: a value set is named by its url."""
_VALUES = {Kind.BOOLEAN: "valueBoolean", Kind.INTEGER: "valueInteger", Kind.TEXT: "valueString"}
_URIS = {"exclude-system", "system-version", "check-system-version", "force-system-version"}


async def _expand(call: Call) -> Answer:
    arguments = Arguments(call, TAKES, body="valueSet")
    async with asking(call, arguments, "ValueSet", "CodeSystem") as ask:
        value_set = await ask.value_set()
        return Answer(200, orjson.dumps(await expansion(ask, arguments, value_set)))


async def expansion(ask: Asking, arguments: Arguments, value_set: Mapping[str, Any]) -> dict[str, Any]:
    """The value set with its expansion. Raises NotFound, Unprocessable."""
    composer = Composer(
        ask.resolver, frozenset(canonical_system(split(one)[0]) for one in arguments.all("exclude-system"))
    )
    parts = await composer.parts(value_set)
    expander = Expander(
        ask.resolver, arguments.text("filter") or "", arguments.true("activeOnly"), arguments.true("excludeNotForUI")
    )
    count, offset = arguments.one("count"), arguments.one("offset") or 0
    if count is not None and count > MAXIMUM:
        count = MAXIMUM
    page = await expander.page(parts, count, offset)
    languages = wanted(arguments.text("displayLanguage") or ask.accept_language)
    shown = [_contains(item, languages, arguments) for item in page.items]
    whole = count is None and not offset and not arguments.text("filter")
    if arguments.one("excludeNested") is False and whole:
        shown = await _nested(ask, page.items, shown)
    made: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid4()}",
        "timestamp": instant(ask.now),
        "total": page.total,
        "parameter": [*_echoed(arguments), *_used(composer)],
    }
    if "offset" in arguments or "count" in arguments:
        made["offset"] = offset
    if shown:
        made["contains"] = shown
    kept = {
        name: value_set[name]
        for name in ("id", "meta", "language", "url", "identifier", "version", "name", "title", "experimental", "date",
                     "publisher", "description", "immutable")
        if name in value_set
    }  # fmt: skip
    if arguments.true("includeDefinition") and "compose" in value_set:
        kept["compose"] = value_set["compose"]
    return {"resourceType": "ValueSet", "status": value_set.get("status", "active"), **kept, "expansion": made}


def _contains(item: Item, languages: Sequence[str], arguments: Arguments) -> dict[str, Any]:
    concept = item.concept
    shown: dict[str, Any] = {"system": item.system}
    if concept.abstract:
        shown["abstract"] = True
    if concept.inactive:
        shown["inactive"] = True
    if item.version:
        shown["version"] = item.version
    shown["code"] = concept.code
    display = display_of(concept, languages, item.language)
    if display:
        shown["display"] = display
    if arguments.true("includeDesignations") or arguments.all("designation"):
        listed = [one for one in concept.designations if one.get("value")]
        if concept.display and concept.display != display:
            own = {"language": item.language} if item.language else {}
            listed = [{**own, "use": DISPLAY, "value": concept.display}, *listed]
        listed = [one for one in listed if _asked_for(one, arguments.all("designation"))]
        if listed:
            shown["designation"] = [
                {name: one[name] for name in ("language", "use", "value") if name in one} for one in listed
            ]
    return shown


def _asked_for(designation: Mapping[str, Any], asked: Sequence[str]) -> bool:
    """Whether a designation is one of those asked for, by use or language (`urn:ietf:bcp:47|nb`)."""
    if not asked:
        return True
    use = designation.get("use") or {}
    return any(
        (system in {"urn:ietf:bcp:47", ""} and designation.get("language") == code)
        or (system in {use.get("system"), ""} and use.get("code") == code)
        for system, _, code in (one.rpartition("|") for one in asked)
    )


async def _nested(ask: Asking, items: Sequence[Item], shown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each concept below the nearest of its parents that is there too."""
    places = {(item.system, item.concept.code): one for item, one in zip(items, shown, strict=True)}
    top: list[dict[str, Any]] = []
    above: dict[tuple[str, str], list[str]] = {}
    for system in dict.fromkeys(item.system for item in items):
        codes = await ask.resolver.code_system(system)
        if codes is not None:
            named = [item.concept.code for item in items if item.system == system]
            parents = await codes.relatives(named, up=True, direct=True)
            above |= {(system, code): found for code, found in parents.items()}
    placed: set[tuple[str, str]] = set()
    for item, one in zip(items, shown, strict=True):
        key = (item.system, item.concept.code)
        parent = next((p for p in above.get(key, ()) if (item.system, p) in places), None)
        placed.add(key)
        if parent is None or not _hangs(key, parent, above, places):
            top.append(one)
        else:
            places[item.system, parent].setdefault("contains", []).append(one)
    return top


def _hangs(
    key: tuple[str, str], parent: str, above: Mapping[tuple[str, str], list[str]], places: Mapping[Any, Any]
) -> bool:
    """Whether going up from `parent` ends somewhere: in a circle, nothing would be shown."""
    system, seen = key[0], {key[1]}
    one: str | None = parent
    while one is not None:
        if one in seen:
            return False
        seen.add(one)
        one = next((p for p in above.get((system, one), ()) if (system, p) in places), None)
    return True


def _echoed(arguments: Arguments) -> list[dict[str, Any]]:
    """The parameters that shaped the expansion."""
    said: list[dict[str, Any]] = []
    for name, kind in TAKES.items():
        if kind in _VALUES and name not in {"url", "valueSetVersion"}:
            member = "valueUri" if name in _URIS else "valueCode" if name == "displayLanguage" else _VALUES[kind]
            said += [{"name": name, member: value} for value in arguments.all(name)]
    return said


def _used(composer: Composer) -> list[dict[str, Any]]:
    return [
        *({"name": "used-codesystem", "valueUri": one} for one in composer.used),
        *({"name": "version", "valueUri": one} for one in composer.used if "|" in one),
        *({"name": "used-valueset", "valueUri": one} for one in composer.sets),
    ]


EXPAND = Operation(
    "expand", "http://hl7.org/fhir/OperationDefinition/ValueSet-expand", _expand, Level.TYPE | Level.INSTANCE,
    frozenset({"ValueSet"}),
)  # fmt: skip
