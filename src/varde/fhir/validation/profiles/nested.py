"""A walk over a resource and all that is within it, with the places where extensions may stand. For advice only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from varde.fhir.definitions import is_type
from varde.fhir.fhirpath import Node
from varde.fhir.fhirpath.model import kinds_of
from varde.fhir.fhirpath.navigate import children
from varde.fhir.structure import members

_MAXIMUM_DEPTH = 60


class Found(NamedTuple):
    """A node and where it is."""

    node: Node
    parts: tuple[str, ...]
    """The steps to it, as FHIRPath."""
    holder: str
    """The type of what holds it."""
    name: str
    """Its JSON name there."""
    contexts: tuple[str, ...]
    """What a context of an extension may call the place that holds it."""


def below(node: Node) -> Iterator[Found]:
    """All below a resource, resources within it too."""
    yield from _below(node, (), (node.type, *kinds_of(node.type)), 0)


def _below(node: Node, parts: tuple[str, ...], contexts: tuple[str, ...], depth: int) -> Iterator[Found]:
    if depth > _MAXIMUM_DEPTH:
        return
    for one in children(node):
        listed = isinstance(one.holder, list)
        name = _list_name(node, one) if listed else str(one.key)
        element, part = _named(node, one, name)
        path = (*parts, part, f"[{one.key}]") if listed else (*parts, part)
        yield Found(one, path, node.type, name, contexts)
        if one.type == "Extension":
            inner: tuple[str, ...] = (str(_url(one)), "Extension", "Element")
        elif is_type(one.type):
            inner = (one.type, *kinds_of(one.type))
        else:
            inner = (*(f"{context}.{element}" for context in contexts if context[0].isupper()), *kinds_of(one.type))
        yield from _below(one, path, inner, depth + 1)


def _named(node: Node, one: Node, name: str) -> tuple[str, str]:
    """(name of the element as definitions write it, the step as FHIRPath)."""
    member = members(node.type).get(name)
    if member is None or member.element == name:
        return name, name
    return f"{member.element}[x]", f"{member.element}.ofType({one.type})"


def _list_name(node: Node, one: Node) -> str:
    """Under which name the list stands that holds a node."""
    if not isinstance(node.value, dict):
        return "extension"
    for name, value in node.value.items():
        if value is one.holder:
            return str(name)
    for name, value in node.value.items():
        if isinstance(value, list) and name[:1] == "_" and any(v is one.extra for v in value):
            return str(name[1:])
    return "extension"


def _url(extension: Node) -> Any:
    return extension.value.get("url") if isinstance(extension.value, dict) else None


def may_stand(contexts: list[tuple[str, str]], places: tuple[str, ...]) -> bool:
    """Whether one of an extension's contexts is the place. What is said by FHIRPath is not judged."""
    if not contexts or any(kind not in {"element", "extension"} for kind, _ in contexts):
        return True
    allowed = {expression.partition("#")[0] for _, expression in contexts}
    return not allowed.isdisjoint(places) or any(place.replace("[x]", "") in allowed for place in places)
