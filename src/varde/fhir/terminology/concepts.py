"""What a CodeSystem resource says, taken apart: concepts in order, their hierarchy, flags and texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from varde.fhir.search.fold import fold

_INACTIVE = frozenset({"retired", "inactive"})
_PARENT = "http://hl7.org/fhir/concept-properties#parent"
_CHILD = "http://hl7.org/fhir/concept-properties#child"
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Header:
    """A code system without its concepts."""

    url: str
    """As the code system itself spells it."""
    version: str | None
    name: str
    content: str = "complete"
    """complete, fragment, example, supplement or not-present."""
    case_sensitive: bool = True
    language: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    """Description by code, of the properties that it declares."""
    declared: frozenset[str] = frozenset()
    status: str = "active"
    experimental: bool = False

    @property
    def canonical(self) -> str:
        """url|version, or the url alone."""
        return f"{self.url}|{self.version}" if self.version else self.url


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept of a code system."""

    code: str
    display: str | None = None
    inactive: bool = False
    abstract: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    """`definition`, `designation` and `property` as the resource has them."""

    @property
    def designations(self) -> Sequence[Mapping[str, Any]]:
        """Its texts beside the display."""
        found: Sequence[Mapping[str, Any]] = self.detail.get("designation", ())
        return found

    @property
    def texts(self) -> Iterator[str]:
        """Every text that names it, the display first."""
        if self.display:
            yield self.display
        for one in self.designations:
            if isinstance(one.get("value"), str):
                yield one["value"]


@dataclass(slots=True)
class Flat:
    """A code system's concepts as lists; a concept is its number, which is its place."""

    concepts: list[Concept]
    parents: list[tuple[int, ...]]
    number: dict[str, int]

    def ancestors(self) -> list[set[int]]:
        """Of each concept, without itself. A circle in the hierarchy, which says nothing, ends there."""
        found: list[set[int] | None] = [None] * len(self.concepts)
        for start in range(len(self.concepts)):
            stack = [start]
            while stack:
                one = stack[-1]
                if found[one] is not None:
                    stack.pop()
                    continue
                waiting = [p for p in self.parents[one] if found[p] is None and p not in stack]
                if waiting:
                    stack.append(waiting[0])
                    continue
                above: set[int] = set()
                for parent in self.parents[one]:
                    above.add(parent)
                    above |= found[parent] or set()
                above.discard(one)
                found[one] = above
                stack.pop()
        return [one or set() for one in found]


def header_of(resource: Mapping[str, Any]) -> Header:
    """What a CodeSystem says of itself."""
    listed = [p for p in resource.get("property") or () if isinstance(p, dict) and isinstance(p.get("code"), str)]
    sensitive = resource.get("caseSensitive")
    return Header(
        str(resource.get("url", "")), resource.get("version"),
        str(resource.get("name") or resource.get("title") or resource.get("url", "")),
        str(resource.get("content", "complete")), sensitive is not False, resource.get("language"),
        {p["code"]: str(p["description"]) for p in listed if p.get("description")},
        frozenset(p["code"] for p in listed), str(resource.get("status", "active")),
        resource.get("experimental") is True,
    )  # fmt: skip


def flatten(resource: Mapping[str, Any]) -> Flat:
    """Take a CodeSystem's concepts apart, in the order of the resource. Of a code that stands twice the first holds."""
    flat = Flat([], [], {})
    named = _hierarchy(resource)
    above: list[list[int]] = []
    later: list[tuple[int, str, bool]] = []
    stack: list[tuple[Mapping[str, Any], int | None]] = [(c, None) for c in reversed(_list(resource, "concept"))]
    while stack:
        raw, parent = stack.pop()
        code = raw.get("code")
        if not isinstance(code, str):
            continue
        place = flat.number.setdefault(code, len(flat.concepts))
        if place == len(flat.concepts):
            flat.concepts.append(_concept(raw, code))
            above.append([])
            for one in _list(raw, "property"):
                kind = named.get(str(one.get("code")))
                if kind is not None and isinstance(_value(one), str):
                    later.append((place, _value(one), kind))
        if parent is not None and parent != place:
            above[place].append(parent)
        stack.extend((child, place) for child in reversed(_list(raw, "concept")))
    for place, code, is_parent in later:
        other = flat.number.get(code)
        if other is not None and other != place:
            child, parent = (place, other) if is_parent else (other, place)
            above[child].append(parent)
    flat.parents = [tuple(dict.fromkeys(one)) for one in above]
    return flat


def _hierarchy(resource: Mapping[str, Any]) -> dict[str, bool]:
    """Codes of the properties that say parent (True) or child (False)."""
    named = {"parent": True, "child": False}
    for one in _list(resource, "property"):
        if one.get("uri") in {_PARENT, _CHILD} and isinstance(one.get("code"), str):
            named[one["code"]] = one["uri"] == _PARENT
    return named


def _concept(raw: Mapping[str, Any], code: str) -> Concept:
    values = {str(one.get("code")): _value(one) for one in _list(raw, "property")}
    detail = {name: raw[name] for name in ("definition", "designation", "property") if raw.get(name)}
    return Concept(
        code,
        raw.get("display"),
        inactive=values.get("inactive") is True or values.get("status") in _INACTIVE,
        abstract=values.get("notSelectable") is True or values.get("abstract") is True,
        detail=detail,
    )


def properties_of(concept: Concept) -> Iterator[tuple[str, str]]:
    """(code, value as text) of its properties; of a Coding its code."""
    for one in concept.detail.get("property", ()):
        value = _value(one)
        if value is not None and isinstance(one.get("code"), str):
            yield one["code"], as_text(value)


def as_text(value: Any) -> str:
    """A property's value as filters name it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _value(one: Mapping[str, Any]) -> Any:
    for name, value in one.items():
        if name.startswith("value"):
            return value.get("code") if isinstance(value, dict) else value
    return None


def _list(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def words(text: str) -> list[str]:
    """The words of a text, folded as string search folds them: what a filter's words are looked for in."""
    return _WORD.findall(fold(text))


def named_by(concept: Concept) -> set[str]:
    """Every word by which a concept is found: of its texts and of its code."""
    found = {fold(concept.code)}
    for text in (concept.code, *concept.texts):
        found.update(words(text))
    return found


def speaks_of(wanted: Sequence[str], found: Iterable[str]) -> bool:
    """Whether each of the words `wanted` begins one of those `found`, in any order."""
    have = tuple(found)
    return all(any(one.startswith(word) for one in have) for word in wanted)
