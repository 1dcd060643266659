"""PATCH: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396) and FHIRPath Patch for simple paths. Pure.

Raises Unprocessable when a patch does not fit the resource, BadRequest when it is no patch. Numbers that the
patch leaves alone stay as they were written.
"""

from __future__ import annotations

import copy
import re
from enum import StrEnum
from typing import Any

from varde.fhir.errors import BadRequest, Conflict, Unprocessable
from varde.fhir.patching.fhirpath_patch import apply_parameters
from varde.fhir.splice import dump, parse_exact

MAXIMUM_OPERATIONS = 1000
MAXIMUM_COPIED = 1024 * 1024
"""Bytes that the copy operations of one patch may add, lest a short patch make a huge resource."""
_NOWHERE = "a path of the patch names a place that is not there"


class PatchKind(StrEnum):
    """The kinds of patch, by media type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    FHIRPATH = "application/fhir+json"


def apply_patch(body: bytes, patch: bytes, kind: PatchKind) -> bytes:
    """The resource in `body` as it is after the patch."""
    wanted, changed = parse_exact(patch), parse_exact(body)
    if kind is PatchKind.MERGE:
        if not isinstance(wanted, dict):
            raise BadRequest.of("a merge patch is a JSON object")
        changed = _merge(changed, wanted)
    elif isinstance(wanted, list):
        if len(wanted) > MAXIMUM_OPERATIONS:
            raise BadRequest.of(f"a patch has at most {MAXIMUM_OPERATIONS} operations", code="too-costly")
        changed = _JsonPatch(changed).apply(wanted)
    elif isinstance(wanted, dict) and wanted.get("resourceType") == "Parameters":
        apply_parameters(changed, wanted.get("parameter"))
    else:
        raise BadRequest.of("a patch is a JSON Patch (an array of operations) or Parameters with operations")
    return dump(changed)


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
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", part) or int(part) > len(holder) - (not adding):
        raise Unprocessable.of(_NOWHERE)
    return int(part)


def _resolve(root: Any, parts: list[str]) -> Any:
    found = root
    for part in parts:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list):
            found = found[_index(found, part, adding=False)]
        else:
            raise Unprocessable.of(_NOWHERE)
    return found


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values, where true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


class _JsonPatch:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._copied = 0

    def apply(self, operations: list[Any]) -> Any:
        for operation in operations:
            self._one(operation)
        return self._root

    def _one(self, operation: Any) -> None:
        if not isinstance(operation, dict):
            raise BadRequest.of("an operation of a JSON Patch is an object")
        kind, parts = operation.get("op"), _pointer(operation.get("path"))
        if not isinstance(kind, str):
            raise BadRequest.of("an operation of a JSON Patch names what it does in 'op'")
        if kind in {"add", "replace", "test"} and "value" not in operation:
            raise BadRequest.of(f"'{kind}' needs a value")
        if kind == "test":
            if not _same(_resolve(self._root, parts), operation["value"]):
                raise Conflict.of("a test of the patch does not hold")
        elif kind in {"move", "copy"}:
            self._carry(kind, _pointer(operation.get("from")), parts)
        elif kind == "add":
            self._add(parts, operation["value"])
        elif kind == "remove":
            self._remove(parts)
        elif kind == "replace":
            self._replace(parts, operation["value"])
        else:
            raise BadRequest.of("an operation of a JSON Patch is add, remove, replace, move, copy or test")

    def _carry(self, kind: str, source: list[str], parts: list[str]) -> None:
        if kind == "move" and parts[: len(source)] == source and parts != source:
            raise Unprocessable.of("a value cannot be moved into itself")
        value = _resolve(self._root, source)
        if kind == "move":
            self._remove(source)
        else:
            self._copied += len(dump(value))
            if self._copied > MAXIMUM_COPIED:
                raise BadRequest.of("the patch copies too much", code="too-costly")
            value = copy.deepcopy(value)
        self._add(parts, value)

    def _add(self, parts: list[str], value: Any) -> None:
        if not parts:
            self._root = value
            return
        holder = _resolve(self._root, parts[:-1])
        if isinstance(holder, list):
            holder.insert(_index(holder, parts[-1], adding=True), value)
        elif isinstance(holder, dict):
            holder[parts[-1]] = value
        else:
            raise Unprocessable.of(_NOWHERE)

    def _replace(self, parts: list[str], value: Any) -> None:
        _resolve(self._root, parts)
        if not parts:
            self._root = value
            return
        holder = _resolve(self._root, parts[:-1])
        key: Any = parts[-1] if isinstance(holder, dict) else _index(holder, parts[-1], adding=False)
        holder[key] = value

    def _remove(self, parts: list[str]) -> None:
        if not parts:
            raise Unprocessable.of("the whole resource cannot be removed by a patch")
        holder = _resolve(self._root, parts[:-1])
        _resolve(holder, parts[-1:])
        if isinstance(holder, list):
            holder.pop(_index(holder, parts[-1], adding=False))
        else:
            del holder[parts[-1]]
