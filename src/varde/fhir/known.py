"""The definitions that validation knows: R4's own, and beside them those of a store. Pure; who fetches them from the
store is `knowing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varde.fhir import structure, valuesets
from varde.fhir.validation.profiles.tree import Profile, profile_of

_KINDS = frozenset({"StructureDefinition", "ValueSet", "CodeSystem"})
_MISSING = object()


class Known:
    """StructureDefinitions, ValueSets and CodeSystems by url, and what is made of them, made once. Never changed
    after it was made: when the store's definitions change there is a new one."""

    def __init__(self, beside: Mapping[tuple[str, str], Mapping[str, Any]] | None = None) -> None:
        self._beside = dict(beside or {})
        self._profiles: dict[str, Profile | None] = {}
        self._expansions: dict[str, valuesets.Expansion | None] = {}

    def beside(self, more: Mapping[tuple[str, str], Mapping[str, Any]]) -> Known:
        """The same with more definitions."""
        return Known({**self._beside, **more})

    def definition(self, canonical: str) -> Mapping[str, Any] | None:
        """The StructureDefinition at hand; None where there is none, or only of another version."""
        url, _, version = canonical.partition("|")
        found: Mapping[str, Any] | None = self._beside.get(("StructureDefinition", url))
        if found is None:
            found = structure.archived("StructureDefinition", url)
        if found is None or (version and found.get("version") != version):
            return None
        return found

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
        found = self._beside.get((kind, url))
        if found is not None:
            return found
        if kind == "CodeSystem":
            archived: Mapping[str, Any] | None = structure.archived(kind, url)
            return archived
        expansion = _archived_expansion(url)
        if expansion is None:
            return None
        includes = [
            {"system": system, **({} if codes is None else {"concept": [{"code": code} for code in codes]})}
            for system, codes in expansion.items()
        ]
        return {"compose": {"include": includes}}


def _archived_expansion(url: str) -> valuesets.Expansion | None:
    found = structure.archived("Expansion", url)
    return None if found is None else {s: None if c is None else frozenset(c) for s, c in found.items()}


def definition_urls(resource: Mapping[str, Any]) -> set[tuple[str, str]]:
    """("StructureDefinition" | "ValueSet" | "CodeSystem", url) of what a definition builds on."""
    found: set[tuple[str, str]] = set()

    def add(kind: str, url: object) -> None:
        if isinstance(url, str):
            found.add((kind, url.partition("|")[0]))

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


def is_definition(resource_type: str) -> bool:
    """Whether resources of the type are definitions that validation uses."""
    return resource_type in _KINDS


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


CORE = Known()
"""R4's own definitions alone."""
