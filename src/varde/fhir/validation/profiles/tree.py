"""A StructureDefinition as a tree of elements and slices. A differential is laid over the tree of its base, so that
no snapshot need be written out; what R4's own types say is not repeated, since every resource is judged by them anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from varde.fhir import structure

Lookup = Callable[[str], Mapping[str, Any] | None]
_MAXIMUM_BASES = 20
_NOT_MERGED = frozenset({"id", "constraint"})
_SHAPES = {"min": int, "max": str, "type": list, "binding": dict, "constraint": list, "slicing": dict, "maxLength": int,
           "path": str}  # fmt: skip
"""What members of an ElementDefinition are in JSON; others are left out, since not all that is stored was judged."""


class Element:
    """One element or slice: what its definition says, its children by name (`value[x]`), its slices by name."""

    __slots__ = ("checks", "children", "definition", "name", "slices")

    def __init__(self, name: str) -> None:
        self.name = name
        self.definition: dict[str, Any] = {}
        self.children: dict[str, Element] = {}
        self.slices: dict[str, Element] = {}
        self.checks: dict[str, Any] = {}
        """What `check.py` makes of it, by the type of the value."""

    def copy(self) -> Element:
        """A tree of its own with the same content."""
        made = Element(self.name)
        made.definition = dict(self.definition)
        made.children = {name: child.copy() for name, child in self.children.items()}
        made.slices = {name: child.copy() for name, child in self.slices.items()}
        return made

    def types(self) -> list[dict[str, Any]]:
        """The definition's types."""
        found = self.definition.get("type")
        return [t for t in found if isinstance(t, dict) and isinstance(t.get("code"), str)] if found else []

    def every(self) -> Iterator[Element]:
        """It and all below it."""
        yield self
        for child in (*self.children.values(), *self.slices.values()):
            yield from child.every()


class Profile:
    """A profile or an extension's definition, ready for use."""

    __slots__ = ("contexts", "root", "type", "url")

    def __init__(self, url: str, kind: str, root: Element, contexts: list[tuple[str, str]]) -> None:
        self.url = url
        self.type = kind
        self.root = root
        self.contexts = contexts
        """(type, expression) of where an extension may stand."""


def profile_of(canonical: str, lookup: Lookup) -> Profile | None:
    """The profile of a canonical url; None where it, or what it builds on, is not at hand or makes no sense."""
    definition = lookup(canonical)
    if definition is None or not isinstance(definition.get("type"), str):
        return None
    try:
        root = _tree(definition, lookup, 0)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    if root is None:
        return None
    listed = definition.get("context")
    contexts = [
        (str(c.get("type")), str(c.get("expression")))
        for c in (listed if isinstance(listed, list) else ())
        if isinstance(c, dict)
    ]
    return Profile(str(definition["url"]), definition["type"], root, contexts)


def _tree(definition: Mapping[str, Any], lookup: Lookup, depth: int) -> Element | None:
    if depth > _MAXIMUM_BASES:
        return None
    if definition.get("derivation") != "constraint":
        # R4's own types are judged by the structure's checks: nothing is left for a tree to say
        return Element(str(definition["type"])) if structure.is_known(definition["type"]) else None
    snapshot = definition.get("snapshot")
    if snapshot:
        root: Element | None = Element(definition["type"])
        elements = snapshot["element"]
    else:
        base = lookup(definition["baseDefinition"])
        root = _tree(base, lookup, depth + 1) if base is not None else None
        elements = definition.get("differential", {}).get("element", [])
    if root is None:
        return None
    for element in elements:
        _lay(root, element)
    return root


def _lay(root: Element, element: Mapping[str, Any]) -> None:
    """Put an ElementDefinition in its place in the tree, over what is there."""
    place = root
    for step in _steps(element):
        place = _child(place, *step)
    merged = place.definition
    for name, value in element.items():
        if name in _NOT_MERGED or not isinstance(value, _SHAPES.get(name, object)):
            continue
        if name.startswith(("fixed", "pattern", "minValue", "maxValue")):
            stem = next(s for s in ("fixed", "pattern", "minValue", "maxValue") if name.startswith(s))
            merged[stem] = (name.removeprefix(stem), value)
        elif name == "slicing":
            # Snapshots of some tools leave out what a base has said of the slicing already
            merged[name] = merged.get(name, {}) | element["slicing"]
        else:
            merged[name] = value
    own = element.get("constraint", ())
    listed = (*merged.get("constraint", ()), *(own if isinstance(own, list) else ()))
    constraints = {c.get("key"): c for c in listed if isinstance(c, dict)}
    if constraints:
        merged["constraint"] = list(constraints.values())


def _steps(element: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, slice or "") of each step below the root."""
    identifier = element.get("id")
    if isinstance(identifier, str) and (":" in identifier or identifier.count(".") == element["path"].count(".")):
        parts = _split(identifier)
    else:
        parts = _split(element["path"])
        if element.get("sliceName"):
            parts[-1] = f"{parts[-1]}:{element['sliceName']}"
    steps = [part.partition(":")[::2] for part in parts[1:]]
    if steps and element.get("sliceName") and not steps[-1][1]:
        steps[-1] = (steps[-1][0], element["sliceName"])
    return steps


def _split(identifier: str) -> list[str]:
    """By points, but not those in the name of a slice: after a colon a name goes on until a step that is a member."""
    return identifier.split(".")


def _child(holder: Element, name: str, sliced: str) -> Element:
    child = holder.children.get(name)
    if child is None and not name.endswith("[x]"):
        choice = next((c for c in _choice_names(name)), None)
        if choice is not None and f"{choice}[x]" in holder.children:
            child, sliced = holder.children[f"{choice}[x]"], sliced or name
            _implied_type(child, sliced, name[len(choice) :])
    if child is None:
        child = holder.children[name] = Element(name)
    if not sliced:
        return child
    path = ""
    for part in sliced.split("/"):
        path = f"{path}/{part}" if path else part
        found = child.slices.get(path)
        if found is None:
            found = child.slices[path] = Element(name)
        child = found
    return child


def _choice_names(name: str) -> Iterator[str]:
    """`value` for `valueQuantity`: where a name may be one of a choice."""
    for place in range(len(name) - 1, 0, -1):
        if name[place].isupper():
            yield name[:place]


def _implied_type(choice: Element, sliced: str, written: str) -> None:
    """`valueQuantity` instead of `value[x]` is a slice by type."""
    choice.definition.setdefault("slicing", {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"})
    made = choice.slices.setdefault(sliced, Element(choice.name))
    code = written if structure.is_known(written) else written[0].lower() + written[1:]
    made.definition.setdefault("type", [{"code": code}])
