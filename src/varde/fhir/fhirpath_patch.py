"""FHIRPath Patch (R4 http.html#patch, fhirpatch.html) for paths of members, [n] and where(x='y'). Pure.

Raises BadRequest for what is no such patch, Unprocessable when it does not fit the resource.
"""

from __future__ import annotations

import re
from typing import Any

from varde.fhir.errors import BadRequest, Unprocessable
from varde.fhir.validate import member

_STEP = re.compile(r"\.?([A-Za-z]\w*)(?:\[([0-9]{1,6})\]|\.where\((\w+)\s*=\s*'([^']*)'\))?", re.ASCII)
_MAXIMUM_OPERATIONS = 1000

_Place = tuple[Any, Any, str | None]
"""(holder, key, datatype of what is there when known)."""


def apply_parameters(root: dict[str, Any], operations: Any) -> None:
    """Carry out the operations of a Parameters resource on `root`, in place."""
    if not isinstance(operations, list) or len(operations) > _MAXIMUM_OPERATIONS:
        raise BadRequest.of(f"a FHIRPath Patch has one to {_MAXIMUM_OPERATIONS} parameters 'operation'")
    for operation in operations:
        parts = operation.get("part") if isinstance(operation, dict) else None
        if not isinstance(parts, list) or operation.get("name") != "operation":
            raise BadRequest.of("a FHIRPath Patch has parameters 'operation', each with parts")
        _operation(root, {str(p.get("name")): p for p in parts if isinstance(p, dict)})


def _value(part: dict[str, Any] | None) -> Any:
    """The value[x] of a part; where there is none, the element that its own parts make."""
    if part is None:
        raise BadRequest.of("the operation needs a value")
    found = next((v for k, v in part.items() if k.startswith("value")), None)
    if found is not None:
        return found
    inner = part.get("part")
    if not isinstance(inner, list) or not inner:
        raise BadRequest.of("the operation needs a value")
    made: dict[str, Any] = {}
    for one in inner:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise BadRequest.of("the parts of a value have names")
        made[one["name"]] = _value(one)
    return made


def _number(parts: dict[str, dict[str, Any]], name: str) -> int:
    found = _value(parts.get(name))
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise BadRequest.of(f"'{name}' is a whole number, 0 or more")
    return found


def _text(parts: dict[str, dict[str, Any]], name: str) -> str:
    found = _value(parts.get(name))
    if not isinstance(found, str):
        raise BadRequest.of(f"'{name}' is a text")
    return found


def _operation(root: dict[str, Any], parts: dict[str, dict[str, Any]]) -> None:
    kind = _text(parts, "type")
    if kind not in {"add", "insert", "delete", "replace", "move"}:
        raise BadRequest.of("a patch operation is add, insert, delete, replace or move")
    places = _places(root, _text(parts, "path"))
    if kind == "delete" and not places:
        return
    if len(places) != 1:
        raise Unprocessable.of("the path of a patch operation must name exactly one element")
    holder, key, datatype = places[0]
    if kind == "delete":
        if holder is None:
            raise Unprocessable.of("the whole resource cannot be removed by a patch")
        del holder[key]
    elif kind == "replace":
        if holder is None:
            raise Unprocessable.of("the whole resource cannot be replaced by a patch")
        holder[key] = _value(parts.get("value"))
    elif kind == "add":
        _add(root if holder is None else holder[key], datatype, _text(parts, "name"), _value(parts.get("value")))
    else:
        items = None if holder is None else holder[key]
        if not isinstance(items, list):
            raise Unprocessable.of(f"'{kind}' is for elements that repeat")
        if kind == "insert":
            at = _number(parts, "index")
            if at > len(items):
                raise Unprocessable.of("the index is beyond the end of the list")
            items.insert(at, _value(parts.get("value")))
        else:
            source, destination = _number(parts, "source"), _number(parts, "destination")
            if source >= len(items) or destination >= len(items):
                raise Unprocessable.of("the index is beyond the end of the list")
            items.insert(destination, items.pop(source))


def _add(target: Any, datatype: str | None, name: str, value: Any) -> None:
    if not isinstance(target, dict):
        raise Unprocessable.of("a member can only be added to an object")
    described = member(datatype, name) if datatype else None
    if isinstance(target.get(name), list):
        target[name].append(value)
    elif name in target:
        raise Unprocessable.of("the element is there already and does not repeat; replace it")
    else:
        target[name] = [value] if described is not None and described[1] else value


def _places(root: dict[str, Any], path: str) -> list[_Place]:
    """Every place that the path names. The resource itself has no holder."""
    resource_type = str(root.get("resourceType"))
    places: list[_Place] = [(None, None, resource_type)]
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if not match:
            raise BadRequest.of("only FHIRPath of members, [n] and where(x='y') is understood", code="not-supported")
        first, at = at == 0, match.end()
        name, index, field, value = match.groups()
        if first and name == resource_type and index is None and field is None:
            continue
        following: list[_Place] = []
        for holder, key, datatype in places:
            inner = root if holder is None else holder[key]
            if isinstance(inner, dict) and name in inner:
                described = member(datatype, name) if datatype else None
                following += _step(inner, name, described[0] if described else None, index, (field, value),
                                   last=at == len(path))  # fmt: skip
        places = following
    return places


def _step(
    inner: dict[str, Any],
    name: str,
    datatype: str | None,
    index: str | None,
    condition: tuple[str | None, str | None],
    *,
    last: bool,
) -> list[_Place]:
    found, (field, value) = inner[name], condition
    if index is not None:
        return [(found, int(index), datatype)] if isinstance(found, list) and int(index) < len(found) else []
    if isinstance(found, list) and (field is not None or not last):
        return [
            (found, place, datatype)
            for place, item in enumerate(found)
            if field is None or (isinstance(item, dict) and str(item.get(field)) == value)
        ]
    return [(inner, name, datatype)] if field is None else []
