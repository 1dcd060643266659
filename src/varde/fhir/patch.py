"""PATCH: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396) and FHIRPath Patch for simple paths. Pure.

Raises Unprocessable when a patch does not fit the resource, BadRequest when it is no patch.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import orjson

from varde.fhir.errors import BadRequest, Conflict, Unprocessable

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


def apply_patch(resource: dict[str, Any], body: bytes, content_type: str) -> dict[str, Any]:
    """`resource` as it is after the patch; the given one is left alone."""
    try:
        patch = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest.of("the patch is not valid JSON", code="structure") from None
    changed = copy.deepcopy(resource)
    if content_type == MERGE_PATCH:
        if not isinstance(patch, dict):
            raise BadRequest.of("a merge patch is a JSON object")
        merged = _merge(changed, patch)
        return merged if isinstance(merged, dict) else {}
    if isinstance(patch, list):
        for operation in patch:
            changed = _json_operation(changed, operation)
        return changed
    if isinstance(patch, dict) and patch.get("resourceType") == "Parameters":
        for parameter in patch.get("parameter") or ():
            _fhirpath_operation(changed, parameter)
        return changed
    raise BadRequest.of("a JSON Patch is an array of operations")


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _merge(target.get(name), value)
    return target


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequest.of("a path of a JSON Patch is a JSON Pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(holder: list[Any], part: str, *, adding: bool) -> int:
    if adding and part == "-":
        return len(holder)
    if not re.fullmatch(r"0|[1-9]\d{0,8}", part) or int(part) > len(holder) - (not adding):
        raise Unprocessable.of("a path of the patch names a place that is not there")
    return int(part)


def _resolve(root: Any, parts: list[str]) -> Any:
    found = root
    for part in parts:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list):
            found = found[_index(found, part, adding=False)]
        else:
            raise Unprocessable.of("a path of the patch names a place that is not there")
    return found


def _json_operation(root: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        raise BadRequest.of("an operation of a JSON Patch is an object")
    kind, parts = operation.get("op"), _pointer(operation.get("path"))
    if kind in {"add", "replace", "test"} and "value" not in operation:
        raise BadRequest.of(f"'{kind}' needs a value")
    if kind == "test":
        if _resolve(root, parts) != operation["value"]:
            raise Conflict.of("a test of the patch does not hold")
        return root
    if kind in {"move", "copy"}:
        source = _pointer(operation.get("from"))
        if kind == "move" and parts[: len(source)] == source and parts != source:
            raise Unprocessable.of("a value cannot be moved into itself")
        value = copy.deepcopy(_resolve(root, source))
        if kind == "move":
            root = _remove(root, source)
        return _add(root, parts, value)
    if kind == "add":
        return _add(root, parts, operation["value"])
    if kind == "remove":
        return _remove(root, parts)
    if kind == "replace":
        _resolve(root, parts)
        if not parts:
            return operation["value"]
        holder = _resolve(root, parts[:-1])
        key: Any = parts[-1] if isinstance(holder, dict) else _index(holder, parts[-1], adding=False)
        holder[key] = operation["value"]
        return root
    raise BadRequest.of("an operation of a JSON Patch is add, remove, replace, move, copy or test")


def _add(root: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return value
    holder = _resolve(root, parts[:-1])
    if isinstance(holder, list):
        holder.insert(_index(holder, parts[-1], adding=True), value)
    elif isinstance(holder, dict):
        holder[parts[-1]] = value
    else:
        raise Unprocessable.of("a path of the patch names a place that is not there")
    return root


def _remove(root: Any, parts: list[str]) -> Any:
    if not parts:
        raise Unprocessable.of("the whole resource cannot be removed by a patch")
    holder = _resolve(root, parts[:-1])
    _resolve(holder, parts[-1:])
    if isinstance(holder, list):
        holder.pop(_index(holder, parts[-1], adding=False))
    else:
        del holder[parts[-1]]
    return root


_STEP = re.compile(r"\.?([A-Za-z]\w*)(?:\[(\d+)\]|\.where\((\w+)\s*=\s*'([^']*)'\))?")


def _fhirpath(root: dict[str, Any], path: str) -> list[tuple[Any, Any]]:
    """(holder, key) of each place that a simple FHIRPath (members, [n], where(x='y')) names."""
    if not isinstance(path, str) or not path:
        raise BadRequest.of("a FHIRPath Patch operation has a path")
    at, places = 0, [({"": root}, "")]
    first = True
    while at < len(path):
        match = _STEP.match(path, at)
        if not match:
            raise BadRequest.of("only FHIRPath of members, [n] and where(x='y') is understood", code="not-supported")
        at = match.end()
        name, index, field, value = match.groups()
        if first and name == root.get("resourceType"):
            first = False
            continue
        first = False
        following: list[tuple[Any, Any]] = []
        for holder, key in places:
            inner = holder[key]
            if not isinstance(inner, dict) or name not in inner:
                continue
            found = inner[name]
            if index is not None:
                if isinstance(found, list) and int(index) < len(found):
                    following.append((found, int(index)))
            elif isinstance(found, list) and (field is not None or at < len(path)):
                following.extend(
                    (found, n) for n, item in enumerate(found)
                    if field is None or (isinstance(item, dict) and str(item.get(field)) == value)
                )  # fmt: skip
            else:
                following.append((inner, name))
        places = following
    return places


def _fhirpath_operation(root: dict[str, Any], parameter: Any) -> None:
    parts = {p.get("name"): p for p in (parameter or {}).get("part") or () if isinstance(p, dict)}

    def text(name: str) -> str:
        part = parts.get(name) or {}
        return next((str(v) for k, v in part.items() if k.startswith("value")), "")

    def value() -> Any:
        part = parts.get("value") or {}
        found = next((v for k, v in part.items() if k.startswith("value")), None)
        if found is None:
            raise BadRequest.of("the operation needs a value")
        return found

    kind = text("type")
    places = _fhirpath(root, text("path"))
    if len(places) != 1 and not (kind == "delete" and not places):
        raise Unprocessable.of("the path of a patch operation must name exactly one element")
    if kind == "delete":
        for holder, key in places:
            del holder[key]
        return
    holder, key = places[0]
    if kind == "replace":
        holder[key] = value()
    elif kind == "add":
        name, target = text("name"), holder[key]
        if isinstance(target.get(name), list):
            target[name].append(value())
        elif name in target:
            target[name] = [target[name], value()]
        else:
            target[name] = value()
    elif kind == "insert":
        holder[key].insert(int(text("index") or 0), value())
    elif kind == "move":
        items = holder[key]
        items.insert(int(text("destination") or 0), items.pop(int(text("source") or 0)))
    else:
        raise BadRequest.of("a patch operation is add, insert, delete, replace or move")
