"""`ConceptMap/$translate`: what a code of one code system is in another, by the concept maps that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import BadRequest, NotFound, Unprocessable
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.search.values import clipped
from varde.fhir.terminology.arguments import Arguments, Kind
from varde.fhir.terminology.asking import Asking, asking
from varde.fhir.terminology.composing import Composer, contained_in, split
from varde.fhir.terminology.mapping import NO_MATCH, REVERSED, Mapped, mappings_of
from varde.fhir.terminology.texts import display_of, wanted

_TAKES = {
    "url": Kind.TEXT, "conceptMap": Kind.RESOURCE, "conceptMapVersion": Kind.TEXT, "code": Kind.TEXT,
    "system": Kind.TEXT, "version": Kind.TEXT, "source": Kind.TEXT, "coding": Kind.CODING,
    "codeableConcept": Kind.CONCEPT, "target": Kind.TEXT, "targetsystem": Kind.TEXT, "dependency": Kind.PARTS,
    "reverse": Kind.BOOLEAN, "displayLanguage": Kind.TEXT, "tx-resource": Kind.RESOURCE,
}  # fmt: skip
_CHAIN = 10
"""Concept maps that may send on to each other (unmapped, other-map)."""


@dataclass(frozen=True, slots=True)
class _Map:
    """A concept map as one request uses it; `rid` when its elements stand in the tables."""

    head: Mapping[str, Any]
    rid: int | None

    @property
    def url(self) -> str:
        """Its url, or how else it is named."""
        return str(self.head.get("url") or self.head.get("id") or "")

    def scope(self, side: str) -> str | None:
        """The value set (or code system) that it maps from or to."""
        value = self.head.get(f"{side}Uri") or self.head.get(f"{side}Canonical")
        return split(value)[0] if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class _Match:
    equivalence: str
    system: str
    version: str | None
    code: str | None
    display: str | None
    products: Sequence[Mapping[str, Any]]
    source: str
    comment: str | None = None


@dataclass(slots=True)
class _Translator:
    ask: Asking
    reverse: bool
    target_system: str | None
    dependencies: Mapping[str, frozenset[tuple[str, str]]]

    async def of(self, one: _Map, coding: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[_Match]:
        """Every match of the coding in the map; `unmapped` where it has none (R4 ConceptMap.group.unmapped)."""
        code, system = str(coding.get("code") or ""), canonical_system(str(coding.get("system") or ""))
        found = [m for m in await self._mapped(one, code) if self._is_of(m, system)]
        matches = [self._match(m, one) for m in found if self._depends(m)]
        if found or self.reverse:
            return matches
        return matches + await self._unmapped(one, coding, system, path)

    async def _mapped(self, one: _Map, code: str) -> list[Mapped]:
        if one.rid is None:
            return [m for m in mappings_of(one.head) if (m.target if self.reverse else m.source) == code]
        column = "target" if self.reverse else "source"
        rows = await self.ask.resolver.connection.fetch(
            f"select * from terminology_mapping where {column} = $1 and rid = $2 order by number",
            clipped(code), one.rid,
        )  # fmt: skip
        return [_row(row) for row in rows]

    def _is_of(self, one: Mapped, system: str) -> bool:
        own, other = (
            (one.target_system, one.source_system) if self.reverse else (one.source_system, one.target_system)
        )  # fmt: skip
        wanted_target = self.target_system
        return (not system or not own or own == system) and (wanted_target is None or other == wanted_target)

    def _depends(self, one: Mapped) -> bool:
        """Whether every dependency of the mapping is met by one that was given."""
        for need in one.detail.get("dependsOn") or ():
            wanted_code = (canonical_system(str(need.get("system") or "")), str(need.get("value")))
            have = self.dependencies.get(str(need.get("property")), frozenset())
            if wanted_code not in have and ("", wanted_code[1]) not in have:
                return False
        return True

    def _match(self, one: Mapped, source: _Map) -> _Match:
        detail, equivalence = one.detail, one.equivalence
        if self.reverse:
            equivalence = REVERSED.get(equivalence, equivalence)
            return _Match(
                equivalence, str(detail.get("sourceUri", "")), detail.get("sourceVersion"), one.source,
                detail.get("sourceDisplay"), (), source.url, detail.get("comment"),
            )  # fmt: skip
        return _Match(
            equivalence, str(detail.get("targetUri", "")), detail.get("targetVersion"), one.target,
            detail.get("display"), detail.get("product") or (), source.url, detail.get("comment"),
        )  # fmt: skip

    async def _unmapped(self, one: _Map, coding: Mapping[str, Any], system: str, path: tuple[str, ...]) -> list[_Match]:
        matches: list[_Match] = []
        for group in await self._groups(one):
            own = canonical_system(str(group.get("source") or ""))
            target = str(group.get("target") or "")
            if own and system and own != system:
                continue
            unmapped = group.get("unmapped") or {}
            mode = unmapped.get("mode")
            if mode == "other-map":
                url = str(unmapped.get("url") or "")
                if url in path or len(path) >= _CHAIN:
                    raise Unprocessable.of("concept maps send on to each other in a circle", code="processing")
                other = await self.ask.resolver.concept_map(*split(url))
                if other is None:
                    raise NotFound.of(f"the concept map {url} that is sent on to is not known")
                matches += await self.of(_Map(*other), coding, (*path, one.url, url))
                continue
            if self.target_system is not None and canonical_system(target) != self.target_system:
                continue
            if mode == "provided":
                version = group.get("targetVersion")
                display = coding.get("display")
                matches.append(_Match("equal", target, version, coding.get("code"), display, (), one.url))
            elif mode == "fixed":
                version, display = group.get("targetVersion"), unmapped.get("display")
                matches.append(_Match("inexact", target, version, unmapped.get("code"), display, (), one.url))
        return matches

    async def _groups(self, one: _Map) -> Sequence[Mapping[str, Any]]:
        head: Mapping[str, Any] = one.head
        if one.rid is not None:
            body = await self.ask.resolver.connection.fetchval("select body from resource where rid = $1", one.rid)
            head = orjson.loads(body)
        return [group for group in head.get("group") or () if isinstance(group, dict)]


def _row(row: Any) -> Mapped:
    return Mapped(
        row["number"], row["source_system"], row["target_system"], row["source"], row["target"],
        orjson.loads(row["detail"]),
    )  # fmt: skip


async def _translate(call: Call) -> Answer:
    arguments = Arguments(call, _TAKES)
    async with asking(call, arguments, "ConceptMap") as ask:
        codings = _codings(arguments)
        translator = _Translator(
            ask, arguments.true("reverse"),
            canonical_system(arguments.one("targetsystem")) if arguments.text("targetsystem") else None,
            _dependencies(arguments),
        )  # fmt: skip
        maps = await _maps(ask, arguments)
        matches: list[_Match] = []
        for one in maps:
            for coding in codings:
                found = await translator.of(one, coding)
                if found and one.rid is not None:
                    ask.resolver.use("ConceptMap", str(one.head.get("id", "")))
                matches += found
        matches = await _in_target(ask, arguments, matches)
        return Answer(200, orjson.dumps(await _said(ask, arguments, matches)))


def _codings(arguments: Arguments) -> list[Mapping[str, Any]]:
    ways = [name for name in ("code", "coding", "codeableConcept") if name in arguments]
    if len(ways) != 1:
        raise BadRequest.of("give one of 'code', 'coding' and 'codeableConcept'", code="required")
    if ways[0] == "code":
        if not arguments.text("system"):
            raise BadRequest.of("a code is given with its system", code="required")
        return [{"code": arguments.one("code"), "system": arguments.one("system")}]
    if ways[0] == "coding":
        return [arguments.one("coding")]
    return [one for one in arguments.one("codeableConcept").get("coding") or () if isinstance(one, dict)]


def _dependencies(arguments: Arguments) -> dict[str, frozenset[tuple[str, str]]]:
    """(system, code) by element, of what the translation depends on."""
    found: dict[str, frozenset[tuple[str, str]]] = {}
    for parts in arguments.all("dependency"):
        values = {str(part.get("name")): part for part in parts}
        element = values.get("element", {}).get("valueUri")
        concept = values.get("concept", {}).get("valueCodeableConcept") or {}
        codings = {
            (canonical_system(str(c.get("system") or "")), str(c.get("code"))) for c in concept.get("coding") or ()
        }
        if isinstance(concept.get("text"), str):
            codings.add(("", concept["text"]))
        if isinstance(element, str):
            found[element] = frozenset(codings)
    return found


async def _maps(ask: Asking, arguments: Arguments) -> list[_Map]:
    """The map that is named, or every one from and to the value sets that are."""
    given = arguments.one("conceptMap")
    if ask.call.id is not None:
        await ask.instance()
        stored = await ask.resolver.stored_concept_map(ask.call.id)
        return [_Map(*stored)] if stored is not None else []
    if given is not None:
        if given.get("resourceType") != "ConceptMap":
            raise BadRequest.of("'conceptMap' is a ConceptMap")
        return [_Map(given, None)]
    url = arguments.text("url")
    if url is not None:
        address, version = split(url)
        found = await ask.resolver.concept_map(address, arguments.text("conceptMapVersion") or version)
        if found is None:
            raise NotFound.of(f"the concept map {url} is not known")
        return [_Map(*found)]
    if not any(name in arguments for name in ("source", "target", "targetsystem")):
        raise BadRequest.of("name the concept map by 'url', or a 'target' or 'targetsystem'", code="required")
    maps = [_Map(*one) for one in await ask.resolver.concept_maps()]
    first, last = ("target", "source") if arguments.true("reverse") else ("source", "target")
    source, target = arguments.text("source"), arguments.text("target")
    return [
        one for one in maps
        if (source is None or one.scope(first) == split(source)[0])
        and (target is None or one.scope(last) == split(target)[0])
    ]  # fmt: skip


async def _in_target(ask: Asking, arguments: Arguments, matches: Sequence[_Match]) -> list[_Match]:
    """Without those outside the value set that is translated to, where it is known."""
    target = arguments.text("target")
    value_set = await ask.resolver.value_set(*split(target)) if target else None
    unique = list({(m.equivalence, m.system, m.code, m.source): m for m in matches}.values())
    if value_set is None:
        return unique
    parts = await Composer(ask.resolver).parts(value_set)
    kept = []
    for one in unique:
        if one.code is None or await contained_in(parts, one.system, [one.code]):
            kept.append(one)
    return kept


async def _said(ask: Asking, arguments: Arguments, matches: Sequence[_Match]) -> dict[str, Any]:
    good = [one for one in matches if one.equivalence not in NO_MATCH and one.code]
    said: list[dict[str, Any]] = [{"name": "result", "valueBoolean": bool(good)}]
    if not good:
        said.append({"name": "message", "valueString": "no translation is known"})
    languages = wanted(arguments.text("displayLanguage") or ask.accept_language)
    for one in matches:
        parts: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": one.equivalence}]
        if one.code:
            display = one.display or await _display(ask, one, languages)
            concept = {"system": one.system, "version": one.version, "code": one.code, "display": display}
            parts.append({"name": "concept", "valueCoding": {name: value for name, value in concept.items() if value}})
        for product in one.products:
            coding = {"system": product.get("system"), "code": product.get("value"), "display": product.get("display")}
            parts.append({"name": "product", "part": [
                {"name": "element", "valueUri": product.get("property")},
                {"name": "concept", "valueCoding": {name: value for name, value in coding.items() if value}},
            ]})  # fmt: skip
        if one.comment:
            parts.append({"name": "comment", "valueString": one.comment})
        parts.append({"name": "source", "valueUri": one.source})
        said.append({"name": "match", "part": parts})
    return {"resourceType": "Parameters", "parameter": said}


async def _display(ask: Asking, one: _Match, languages: Sequence[str]) -> str | None:
    codes = await ask.resolver.code_system(one.system, one.version) if one.system else None
    concept = (await codes.find([str(one.code)])).get(str(one.code)) if codes is not None else None
    return display_of(concept, languages, codes.header.language) if codes is not None and concept is not None else None


TRANSLATE = Operation(
    "translate", "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate", _translate,
    Level.TYPE | Level.INSTANCE, frozenset({"ConceptMap"}),
)  # fmt: skip
