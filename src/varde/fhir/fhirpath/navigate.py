"""From a node to its children and descendants, and from nodes to the system values that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from varde.fhir.fhirpath.model import Way, json_ways, kinds_of, system_type, ways
from varde.fhir.fhirpath.values import DATES, Node, Quantity, Temporal

_MAXIMUM_DEPTH = 80


def child(node: Node, name: str) -> list[Node]:
    """The children of a node by the name of an element (`value` for every `value[x]`). Nothing for what is no such
    element, or is not written as FHIR JSON is."""
    if node.primitive:
        extra = node.extra
        if not isinstance(extra, dict) or name not in {"id", "extension"}:
            return []
        return _made(extra, Way(name, "string" if name == "id" else "Extension", name != "id", name == "id"))
    value = node.value
    if not isinstance(value, dict):
        return []
    found = ways(node.type).get(name)
    if found is None:
        return []
    if len(found) == 1:
        return _made(value, found[0])
    for way in found:
        if way.json in value or (way.primitive and f"_{way.json}" in value):
            return _made(value, way)
    return []


def _made(holder: dict[str, Any], way: Way) -> list[Node]:
    value = holder.get(way.json)
    if not way.primitive:
        if value is None:
            return []
        if isinstance(value, list):
            return [Node(v, _type(way.type, v), False, None, value, n) for n, v in enumerate(value) if v is not None]
        return [Node(value, _type(way.type, value), False, None, holder, way.json)]
    extra = holder.get(f"_{way.json}")
    if isinstance(value, list) or isinstance(extra, list):
        values, extras = value if isinstance(value, list) else [], extra if isinstance(extra, list) else []
        return [
            Node(v, way.type, True, e, values, n)
            for n, (v, e) in enumerate(zip_longest(values, extras))
            if v is not None or e is not None
        ]
    if value is None and extra is None:
        return []
    return [Node(value, way.type, True, extra, holder, way.json)]


def _type(kind: str, value: Any) -> str:
    """The type of a resource in a place for any resource is what it says itself."""
    if kind == "Resource" and isinstance(value, dict):
        named = value.get("resourceType")
        return named if isinstance(named, str) else kind
    return kind


def collected(items: Iterable[Any], name: str) -> list[Any]:
    """The children by that name of all items."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, Node):
            found += child(item, name)
    return found


def children(node: Node) -> list[Node]:
    """All children of a node."""
    if node.primitive:
        return [*child(node, "id"), *child(node, "extension")]
    if not isinstance(node.value, dict):
        return []
    known = json_ways(node.type)
    names = dict.fromkeys(name.removeprefix("_") for name in node.value)
    return [n for name in names if (way := known.get(name)) is not None for n in _made(node.value, way)]


def descendants(node: Node, depth: int = 0) -> Iterator[Node]:
    """All that is below a node, however deep."""
    if depth > _MAXIMUM_DEPTH:
        return
    for one in children(node):
        yield one
        yield from descendants(one, depth + 1)


def system_value(item: Any) -> Any:
    """The system value that an item stands for; the node itself where it stands for none; None without a value."""
    if not isinstance(item, Node):
        return item
    value = item.value
    if not item.primitive:
        if isinstance(value, dict) and "Quantity" in kinds_of(item.type):
            number = value.get("value")
            if isinstance(number, int | float | Decimal) and not isinstance(number, bool):
                return Quantity(decimal_of(number), str(value.get("code") or value.get("unit") or "1"))
        return item
    if isinstance(value, str):
        kind = item.type
        if kind in DATES or kind == "time":
            return Temporal.read(kind, value) or value
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return decimal_of(value) if item.type == "decimal" else value
    return None


def decimal_of(number: Any) -> Decimal:
    """The exact decimal of a JSON number."""
    return number if isinstance(number, Decimal) else Decimal(repr(number))


def type_of(item: Any) -> tuple[str, str]:
    """(namespace, name) of an item's type."""
    if isinstance(item, Node):
        return "FHIR", item.type
    if isinstance(item, bool):
        return "System", "Boolean"
    if isinstance(item, int):
        return "System", "Integer"
    if isinstance(item, Decimal):
        return "System", "Decimal"
    if isinstance(item, Quantity):
        return "System", "Quantity"
    if isinstance(item, Temporal):
        return "System", {"date": "Date", "time": "Time"}.get(item.kind, "DateTime")
    return "System", "String"


def is_of(item: Any, wanted: str) -> bool:
    """Whether an item is of a type: named as in FHIR, or as a system type that stands for a primitive."""
    space, _, name = wanted.rpartition(".")
    own, kind = type_of(item)
    if own == "System":
        return name == kind and space in {"", "System"}
    if space != "System" and name in kinds_of(kind):
        return True
    return item.primitive and name == system_type(kind) and space in {"", "System"}
