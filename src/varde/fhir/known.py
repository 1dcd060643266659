"""The definitions that validation knows: R4's own, and beside them those of a store. Pure; who fetches them from the
store is `knowing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varde.fhir import structure, valuesets
from varde.fhir.definitions import canonical_system
from varde.fhir.validation.profiles.tree import Profile, profile_of

_MISSING = object()


class Known:
    """StructureDefinitions, ValueSets and CodeSystems by url, and what is made of them, made once. Never changed
    after it was made: when the store's definitions change there is a new one."""

    def __init__(self, beside: Mapping[tuple[str, str], Mapping[str, Any]] | None = None) -> None:
        self._beside = {named(*name): resource for name, resource in (beside or {}).items()}
        self._profiles: dict[str, Profile | None] = {}
        self._types: dict[str, str | None] = {}
        self._expansions: dict[str, valuesets.Expansion | None] = {}

    def beside(self, more: Mapping[tuple[str, str], Mapping[str, Any]]) -> Known:
        """The same with more definitions."""
        return Known({**self._beside, **more})

    def definition(self, canonical: str) -> Mapping[str, Any] | None:
        """The StructureDefinition at hand; None where there is none, or only of another version."""
        url, _, version = canonical.partition("|")
        found = self._beside.get(("StructureDefinition", url))
        if found is None:
            found = _mapping(structure.archived("StructureDefinition", url))
        if found is None or (version and found.get("version") != version):
            return None
        return found

    def is_beside(self, canonical: str) -> bool:
        """Whether it is a definition that is beside R4's own."""
        return ("StructureDefinition", canonical.partition("|")[0]) in self._beside

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile, or a type's own definition, is of."""
        if canonical not in self._types:
            definition = self.definition(canonical)
            found = definition.get("type") if definition is not None else None
            self._types[canonical] = found if isinstance(found, str) else None
        return self._types[canonical]

    def profile(self, canonical: str) -> Profile | None:
        """The profile ready for use; None where it, or what it builds on, is not at hand."""
        found: Any = self._profiles.get(canonical, _MISSING)
        if found is _MISSING:
            found = self._profiles[canonical] = profile_of(canonical, self.definition)
        made: Profile | None = found
        return made

    def expansion(self, canonical: str) -> valuesets.Expansion | None:
        """The codes of a value set; None where they cannot be computed."""
        url = canonical.partition("|")[0]
        if url not in self._expansions:
            self._expansions[url] = self._expand(url)
        return self._expansions[url]

    def _expand(self, url: str) -> valuesets.Expansion | None:
        if ("ValueSet", url) in self._beside:
            return valuesets.expand(url, self._fetch)
        return _archived_expansion(url)

    def _fetch(self, kind: str, url: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._beside.get(named(kind, url))
        if found is not None:
            return found
        if kind == "CodeSystem":
            return _mapping(structure.archived(kind, url))
        expansion = _archived_expansion(url)
        if expansion is None:
            return None
        includes = [
            {"system": system, **({} if codes is None else {"concept": [{"code": code} for code in codes]})}
            for system, codes in expansion.items()
        ]
        return {"compose": {"include": includes}}


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _archived_expansion(url: str) -> valuesets.Expansion | None:
    found = structure.archived("Expansion", url)
    return None if found is None else {s: None if c is None else frozenset(c) for s, c in found.items()}


def named(kind: str, url: str) -> tuple[str, str]:
    """The name of a definition; a code system's url in its one spelling."""
    return kind, canonical_system(url) if kind == "CodeSystem" else url


def definition_urls(resource: Mapping[str, Any]) -> set[tuple[str, str]]:
    """("StructureDefinition" | "ValueSet" | "CodeSystem", url) of what a definition builds on."""
    found: set[tuple[str, str]] = set()

    def add(kind: str, url: object) -> None:
        if isinstance(url, str):
            found.add(named(kind, url.partition("|")[0]))

    kind = resource.get("resourceType")
    if kind == "StructureDefinition":
        add("StructureDefinition", resource.get("baseDefinition"))
        for view in ("differential", "snapshot"):
            listed = _dict(resource.get(view)).get("element")
            for element in listed if isinstance(listed, list) else ():
                for datatype in _list(_dict(element).get("type")):
                    for url in (*_list(_dict(datatype).get("profile")), *_list(_dict(datatype).get("targetProfile"))):
                        add("StructureDefinition", url)
                add("ValueSet", _dict(_dict(element).get("binding")).get("valueSet"))
    elif kind == "ValueSet":
        compose = _dict(resource.get("compose"))
        for include in (*_list(compose.get("include")), *_list(compose.get("exclude"))):
            add("CodeSystem", _dict(include).get("system"))
            for url in _list(_dict(include).get("valueSet")):
                add("ValueSet", url)
    return found


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


CORE = Known()
"""R4's own definitions alone."""
