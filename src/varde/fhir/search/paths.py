"""A search parameter's FHIRPath expression as typed paths that straight Python can walk, without an interpreter.

Used when the definitions are built (R4's own parameters) and when a SearchParameter is stored (custom ones). What of
FHIRPath is understood: elements, unions, `as`/`ofType`/`as(…)`, `where(x='y')`, `where(resolve() is T)`,
`where(hasExtension('u'))`, `extension('u')`, `[n]`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Path = dict[str, Any]
"""{"steps": […], "type": datatype} and, for a code, "binding": its required value set. A step is [json name, repeats]
or a filter [kind, argument, value]."""

ANY_VALUE = (
    "CodeableConcept", "Coding", "Identifier", "Reference", "Quantity", "string", "code", "boolean", "date",
    "dateTime", "Period", "uri", "integer", "decimal", "Range",
)  # fmt: skip
"""Types of an extension's value that a parameter may mean when it does not say which."""


class Unreadable(ValueError):
    """An expression that is not among those understood; its text says where."""


class Element(NamedTuple):
    """What a child element is."""

    repeats: bool
    types: tuple[str, ...]
    """Datatypes; a path ("Patient.contact") where the content is defined in place."""
    choice: bool
    binding: str | None = None
    """Canonical url of its required value set."""


class Elements:
    """Every element of every type, by the path of what holds it and its name."""

    def __init__(self, elements: Mapping[tuple[str, str], Element], resources: list[str]) -> None:
        self._elements = elements
        self.resources = resources

    def step(self, types: tuple[str, ...], name: str) -> tuple[str, Element] | None:
        """(json name or stem, element) of child `name` of a path or datatype."""
        for holder in types:
            found = self._elements.get((holder, name))
            if found is not None:
                return name, found
        return None


class _Walk(NamedTuple):
    steps: list[list[Any]]
    types: tuple[str, ...]
    choice: tuple[str, Element] | None = None
    binding: str | None = None


def split_union(expression: str) -> list[str]:
    """The members of a union, at the bars outside parentheses and quotes."""
    parts, depth, quoted, current = [], 0, False, ""
    for character in expression:
        quoted ^= character == "'"
        if not quoted:
            depth += (character == "(") - (character == ")")
        if character == "|" and not depth and not quoted:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()]


_TOKEN = re.compile(
    r"""\.?(?:
      as\(\s*(?P<as>\w+)\s*\) | ofType\(\s*(?P<of>\w+)\s*\)
    | where\(\s*resolve\(\)\s*is\s*(?P<is>\w+)\s*\)
    | where\(\s*(?P<field>\w+)\s*=\s*'(?P<value>[^']*)'\s*\)
    | where\(\s*hasExtension\('(?P<has>[^']*)'\)\s*\)
    | extension\(\s*'(?P<ext>[^']*)'\s*\)
    | \[(?P<index>\d+)\]
    | (?P<name>[A-Za-z]\w*)(?!\s*\()
    )""",
    re.VERBOSE,
)


def _tokens(path: str) -> list[tuple[str, str, str]]:
    """The steps of one union member, innermost first; ("as", type, "") for both spellings of `as`."""
    wrapped = re.fullmatch(r"\((.+?) as (\w+)\)(.*)", path)
    if wrapped:
        return [*_tokens(wrapped[1]), ("as", wrapped[2], ""), *_tokens(wrapped[3])]
    spaced = re.fullmatch(r"([\w.]+) as (\w+)", path)
    if spaced:
        return [*_tokens(spaced[1]), ("as", spaced[2], "")]
    steps: list[tuple[str, str, str]] = []
    at = 0
    while at < len(path):
        match = _TOKEN.match(path, at)
        if not match or match.end() == at:
            raise Unreadable(f"FHIRPath is not read beyond character {at + 1} of '{path[:120]}'")
        at = match.end()
        got = match.groupdict()
        if got["as"] or got["of"]:
            steps.append(("as", got["as"] or got["of"], ""))
        elif got["is"]:
            steps.append(("is", got["is"], ""))
        elif got["field"]:
            steps.append(("equals", got["field"], got["value"]))
        elif got["has"]:
            steps.append(("has", got["has"], ""))
        elif got["ext"]:
            steps.append(("extension", got["ext"], ""))
        elif got["index"]:
            steps.append(("index", got["index"], ""))
        else:
            steps.append(("field", got["name"], ""))
    return steps


def resolve(elements: Elements, root: str, path: str) -> list[Path]:
    """`path` (without its type's name) as typed paths, one for each datatype a choice element may have; none where
    an element does not exist. Raises Unreadable."""
    walks = [_Walk([], (root,))]
    for kind, argument, value in _tokens(path):
        walks = [
            following
            for walk in walks
            for narrowed in ([walk] if walk.choice is None or kind == "as" else _expand(walk))
            for following in _advance(elements, narrowed, kind, argument, value)
        ]
    out: list[Path] = []
    for walk in walks:
        for end in _expand(walk) if walk.choice else [walk]:
            made: Path = {"steps": end.steps, "type": end.types[0]}
            if end.binding and end.types[0] == "code":
                made["binding"] = end.binding
            out.append(made)
    return out


def _expand(walk: _Walk) -> Iterator[_Walk]:
    assert walk.choice is not None
    stem, element = walk.choice
    for datatype in element.types:
        yield _Walk([*walk.steps, [_json_name(stem, datatype), element.repeats]], (datatype,))


def _json_name(stem: str, datatype: str) -> str:
    return stem + datatype[0].upper() + datatype[1:]


def _advance(elements: Elements, walk: _Walk, kind: str, argument: str, value: str) -> list[_Walk]:
    steps = walk.steps
    if kind == "as":
        if walk.choice is None:
            return [walk]
        stem, element = walk.choice
        # R4 writes `as DateTime` in places for dateTime.
        exact = next((t for t in element.types if t.lower() == argument.lower()), None)
        return [_Walk([*steps, [_json_name(stem, exact), element.repeats]], (exact,))] if exact else []
    if kind == "field":
        found = elements.step(walk.types, argument)
        if found is None:
            return []
        name, element = found
        if element.choice:
            return [_Walk(steps, walk.types, found)]
        return [_Walk([*steps, [name, element.repeats]], element.types, None, element.binding)]
    if kind == "extension":
        inside = [*steps, ["extension", True], ["equals", "url", argument]]
        return [_Walk(inside, ("Extension",))]
    return [_Walk([*steps, [kind, argument, value]], walk.types)]


def paths_of(elements: Elements, expression: str, base: str) -> list[Path]:
    """The paths of a whole expression for resources of type `base`, each once. Raises Unreadable."""
    out: list[Path] = []
    for part in split_union(expression):
        while part.startswith("(") and part.endswith(")") and _closes(part):
            part = part[1:-1].strip()
        if "|" in part and split_union(part) != [part]:
            members = paths_of(elements, part, base)
        else:
            members = _one(elements, part, base)
        out += [path for path in members if path not in out]
    return out


def _closes(part: str) -> bool:
    """Whether the parenthesis that opens a text closes at its very end."""
    depth = 0
    for place, character in enumerate(part):
        depth += (character == "(") - (character == ")")
        if not depth:
            return place == len(part) - 1
    return False


def _one(elements: Elements, part: str, base: str) -> list[Path]:
    root = re.match(r"\(*(\w+)\.", part)
    if root and root[1] in {base, "Resource", "DomainResource"}:
        path = part.replace(f"{root[1]}.", "", 1)
    elif root and root[1][0].isupper():
        return []  # of another type
    else:
        path = part  # R4 leaves the type out in places
    found = resolve(elements, base, path)
    ends: list[Path] = []
    for one in found:
        if one["type"] == "Extension":
            # An extension stands for its value, whichever type that has.
            stem = [*one["steps"]]
            ends += [{"steps": [*stem, [_json_name("value", t), False]], "type": t} for t in ANY_VALUE]
        else:
            ends.append(one)
    return ends
