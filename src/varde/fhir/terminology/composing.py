"""What a value set is made of: its compose, with everything that it imports, as parts of one code system each.

A part is either a list of concepts or a selection that its code system carries out. Who lists a value set and who
looks one code up in it both ask the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import FhirError, NotFound, Unprocessable
from varde.fhir.terminology.concepts import Concept
from varde.fhir.terminology.resolving import Resolver
from varde.fhir.terminology.selection import CodeSystem, Filter, Group, Selection, check

MAXIMUM_PARTS = 2_000
_DEPTH = 30


class Circular(FhirError):
    """422: a value set that imports itself."""

    status = 422
    code = "processing"


@dataclass(frozen=True, slots=True)
class Part:
    """Concepts of one code system in a value set."""

    system: str
    """As the value set spells it."""
    version: str | None
    """As the value set says it."""
    codes: CodeSystem | None
    """None where the code system is not known: then only what is listed can be told of."""
    group: Group
    listed: Mapping[str, Mapping[str, Any]] | None = None
    """By code, what the value set itself says of each concept that it lists; None where it lists none."""
    left_out: tuple[Group, ...] = ()
    within: tuple[tuple[Part, ...], ...] = ()
    """It must be in one part of each of these."""
    without: tuple[Part, ...] = ()
    """It must be in none of these."""
    active_only: bool = False

    @property
    def plain(self) -> bool:
        """Whether its code system alone can carry it out."""
        return not (self.within or self.without)

    @property
    def simple(self) -> bool:
        """Whether it is its group and nothing else."""
        return self.plain and not self.left_out and not self.active_only


def same(one: str, other: str) -> bool:
    """Whether two uris name the same code system."""
    return canonical_system(one) == canonical_system(other)


@dataclass(slots=True)
class Composer:
    """Takes value sets apart for one request."""

    resolver: Resolver
    left_out: frozenset[str] = frozenset()
    """Code systems, in canonical spelling, of which nothing is wanted (exclude-system)."""
    used: dict[str, None] = field(default_factory=dict)
    """Canonicals of the code systems that were used, in order."""
    sets: dict[str, None] = field(default_factory=dict)
    """Canonicals of the value sets that were imported, in order."""
    _known: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    async def parts(self, value_set: Mapping[str, Any], path: tuple[str, ...] = ()) -> tuple[Part, ...]:
        """Raises Unprocessable for what cannot be understood, NotFound for an imported value set that is not there,
        Circular."""
        url = value_set.get("url")
        name = f"{url}|{value_set.get('version')}" if isinstance(url, str) else ""
        if name and name in path:
            raise Circular.of(f"the value set {url} imports itself", "ValueSet.compose")
        if len(path) > _DEPTH:
            raise Unprocessable.of("value sets import each other too deeply", code="too-costly")
        path = (*path, name)
        if name and name in self._known:
            return self._known[name]
        contained = {
            f"#{one.get('id')}": one for one in value_set.get("contained") or () if isinstance(one, dict)
        }  # fmt: skip
        compose = value_set.get("compose")
        if not isinstance(compose, dict):
            made = await self._expanded(value_set)
        else:
            made = await self._composed(compose, contained, path)
        if len(made) > MAXIMUM_PARTS:
            raise Unprocessable.of("the value set is made of too many parts", "ValueSet.compose", "too-costly")
        if name:
            self._known[name] = made
        return made

    async def _composed(
        self, compose: Mapping[str, Any], contained: Mapping[str, Mapping[str, Any]], path: tuple[str, ...]
    ) -> tuple[Part, ...]:
        active_only = compose.get("inactive") is False
        included: list[Part] = []
        for include in _dicts(compose.get("include")):
            included += await self._include(include, contained, path)
        excluded: list[Part] = []
        for exclude in _dicts(compose.get("exclude")):
            excluded += await self._include(exclude, contained, path)
        return tuple(
            _without(_changed(part, active_only=part.active_only or active_only), excluded) for part in included
        )

    async def _include(
        self, include: Mapping[str, Any], contained: Mapping[str, Mapping[str, Any]], path: tuple[str, ...]
    ) -> list[Part]:
        imported = [await self._imported(str(url), contained, path) for url in include.get("valueSet") or ()]
        system = include.get("system")
        if not isinstance(system, str):
            if not imported:
                raise Unprocessable.of("an include names a system or value sets", "ValueSet.compose.include")
            first, *others = imported
            return [_changed(part, within=(*part.within, *others)) for part in first]
        if canonical_system(system) in self.left_out:
            return []
        version = include.get("version")
        codes = await self.resolver.code_system(system, version)
        if codes is not None:
            self.used[codes.header.canonical] = None
            version = version or codes.header.version
        concepts = _dicts(include.get("concept"))
        listed = {str(one["code"]): one for one in concepts if isinstance(one.get("code"), str)} or None
        filters = tuple(_filter(one) for one in _dicts(include.get("filter")))
        check(filters)
        return [
            Part(
                system, version, codes, Group(filters, tuple(listed) if listed is not None else None), listed,
                within=tuple(imported),
            )
        ]  # fmt: skip

    async def _imported(
        self, url: str, contained: Mapping[str, Mapping[str, Any]], path: tuple[str, ...]
    ) -> tuple[Part, ...]:
        found = contained.get(url) if url.startswith("#") else await self.resolver.value_set(*split(url))
        if found is None:
            raise NotFound.of(f"the value set {url} that is imported is not known", "ValueSet.compose.include.valueSet")
        if isinstance(found.get("url"), str):
            version = found.get("version")
            self.sets[f"{found['url']}|{version}" if version else found["url"]] = None
        return await self.parts({**found, "contained": [*contained.values(), *(found.get("contained") or ())]}, path)

    async def _expanded(self, value_set: Mapping[str, Any]) -> tuple[Part, ...]:
        """A value set that says only what is in it."""
        expansion = value_set.get("expansion")
        by_system: dict[tuple[str, str | None], dict[str, Mapping[str, Any]]] = {}
        stack = list(reversed(_dicts(expansion.get("contains")))) if isinstance(expansion, dict) else []
        while stack:
            one = stack.pop()
            stack += reversed(_dicts(one.get("contains")))
            if isinstance(one.get("system"), str) and isinstance(one.get("code"), str):
                key = (one["system"], one.get("version"))
                by_system.setdefault(key, {})[one["code"]] = one
        parts = []
        for (system, version), listed in by_system.items():
            codes = await self.resolver.code_system(system, version)
            parts.append(Part(system, version, codes, Group(codes=tuple(listed)), listed))
        return tuple(parts)


def _without(part: Part, excluded: Sequence[Part]) -> Part:
    for one in excluded:
        if same(one.system, part.system):
            if one.simple:
                part = _changed(part, left_out=(*part.left_out, one.group))
            else:
                part = _changed(part, without=(*part.without, one))
    return part


def _changed(part: Part, **changes: Any) -> Part:
    values = {name: getattr(part, name) for name in Part.__slots__}
    return Part(**{**values, **changes})


def split(canonical: str) -> tuple[str, str | None]:
    """(url, version or None) of a canonical."""
    url, _, version = canonical.partition("|")
    return url, version or None


def _filter(one: Mapping[str, Any]) -> Filter:
    return Filter(str(one.get("property", "")), str(one.get("op", "")), str(one.get("value", "")))


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


async def contained_in(parts: Sequence[Part], system: str, codes: Sequence[str]) -> dict[str, Part]:
    """Those of `codes` that the parts contain, each with the first part that does."""
    found: dict[str, Part] = {}
    for part in parts:
        if same(part.system, system):
            left = [code for code in codes if code not in found]
            if not left:
                break
            for code in await among(part, left):
                found[code] = part
    return found


async def among(part: Part, codes: Sequence[str]) -> list[str]:
    """Those of `codes` that the part contains, in their order. Raises Unprocessable."""
    chosen = await _in_group(part.codes, part.system, part.group, codes, active_only=part.active_only)
    for group in part.left_out:
        gone = set(await _in_group(part.codes, part.system, group, chosen))
        chosen = [code for code in chosen if code not in gone]
    for alternatives in part.within:
        inside = await contained_in(alternatives, part.system, chosen)
        chosen = [code for code in chosen if code in inside]
    if part.without:
        outside = await contained_in(part.without, part.system, chosen)
        chosen = [code for code in chosen if code not in outside]
    return chosen


async def _in_group(
    codes: CodeSystem | None, system: str, group: Group, asked: Sequence[str], *, active_only: bool = False
) -> list[str]:
    if not asked:
        return []
    if codes is None or codes.header.content == "not-present":
        if group.filters or group.codes is None:
            raise unknown(system)
        return [code for code in asked if code in group.codes]
    there = await codes.find(asked)
    if group.codes is not None:
        # A listed code that a fragment lacks may be one of the code system all the same.
        lists = set(group.codes)
        complete = codes.header.content == "complete"
        named = [code for code in asked if code in lists and (code in there or not complete)]
        if not codes.header.case_sensitive:
            folded = {code.casefold() for code in lists}
            named = [code for code in asked if code.casefold() in folded and (code in there or not complete)]
        if not group.filters:
            return [code for code in named if not (active_only and code in there and there[code].inactive)]
        asked = named
    by_code: dict[str, list[str]] = {}
    for code in asked:
        if code in there:
            by_code.setdefault(there[code].code, []).append(code)
    if not by_code:
        return []
    selection = Selection(Group(group.filters, tuple(by_code)), active_only=active_only)
    kept = {concept.code for concept in await codes.select(selection, len(by_code))}
    return [code for code in asked if code in there and there[code].code in kept]


def unknown(system: str) -> FhirError:
    """The error where a code system would have to be known."""
    return Unprocessable.of(f"the code system {system} is not known here, or not its content", code="not-found")


def own_concept(part: Part, code: str, found: Mapping[str, Concept]) -> Concept:
    """The concept with what the value set itself says of it; a code that nobody knows is what the value set says."""
    said = (part.listed or {}).get(code, {})
    concept = found.get(code) or Concept(code, detail={})
    display = said.get("display") or concept.display
    detail = dict(concept.detail)
    if isinstance(said.get("designation"), list):
        detail["designation"] = [*said["designation"], *detail.get("designation", ())]
    if concept.display and said.get("display") and said["display"] != concept.display:
        detail["designation"] = [*detail.get("designation", ()), {"value": concept.display}]
    return Concept(concept.code, display, concept.inactive, concept.abstract, detail)
