"""Stored bytes go out as they came in: `id` and `meta` are set in the text itself, nothing else is touched.

A decimal 1.00 stays 1.00 and members keep their order. Pure; the text was parsed once before, so it is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from varde.fhir.errors import BadRequest, Unprocessable

MAXIMUM_DEPTH = 64

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\]\s]+")
_NESTED = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises BadRequest when it is none, or nests deeper than MAXIMUM_DEPTH."""
    if body.count(b"[") + body.count(b"{") > MAXIMUM_DEPTH and _depth(body) > MAXIMUM_DEPTH:
        raise BadRequest.of(f"the JSON nests deeper than {MAXIMUM_DEPTH} levels", code="too-long")
    try:
        resource = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest.of(f"not valid JSON: line {error.lineno}, column {error.colno}", code="structure") from None
    if not isinstance(resource, dict):
        raise BadRequest.of("a resource is a JSON object", code="structure")
    return resource


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for match in _NESTED.finditer(body):
        first = match[0][:1]
        if first in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"}]":
            depth -= 1
    return deepest


def dump(resource: Mapping[str, Any]) -> bytes:
    """`resource` as JSON text."""
    return (
        orjson.dumps(resource, option=orjson.OPT_NON_STR_KEYS)
        if isinstance(resource, dict)
        else json.dumps(resource).encode()
    )


def members(body: bytes) -> list[tuple[str, int, int]]:
    """(name, start of value, end of value) of the outermost object's members, in order.

    Raises Unprocessable when a name stands twice: two readers could then read two different resources.
    """
    at = _SPACE.match(body).end() + 1  # type: ignore[union-attr]
    found: list[tuple[str, int, int]] = []
    seen: set[str] = set()
    while True:
        at = _SPACE.match(body, at).end()  # type: ignore[union-attr]
        if body[at : at + 1] == b"}":
            return found
        if body[at : at + 1] == b",":
            at += 1
            continue
        name = _STRING.match(body, at)
        assert name is not None
        at = body.index(b":", name.end()) + 1
        at = _SPACE.match(body, at).end()  # type: ignore[union-attr]
        end = _value_end(body, at)
        text = orjson.loads(name[0])
        if text in seen:
            raise Unprocessable.of(f"the member '{text[:40]}' stands twice", code="structure")
        seen.add(text)
        found.append((text, at, end))
        at = end


def _value_end(body: bytes, at: int) -> int:
    first = body[at : at + 1]
    if first == b'"':
        return _STRING.match(body, at).end()  # type: ignore[union-attr]
    if first not in b"{[":
        return _SCALAR.match(body, at).end()  # type: ignore[union-attr]
    depth = 0
    for match in _NESTED.finditer(body, at):
        character = match[0][:1]
        if character in b"{[":
            depth += 1
        elif character in b"}]":
            depth -= 1
            if not depth:
                return match.end()
    raise BadRequest.of("not valid JSON", code="structure")


def instant(moment: datetime) -> str:
    """`moment` as a FHIR instant in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp(body: bytes, resource: Mapping[str, Any], identifier: str, version: int, updated: datetime) -> bytes:
    """`body` with `id`, `meta.versionId` and `meta.lastUpdated` set, every other byte as it was."""
    meta = dict(resource.get("meta") or {})
    meta["versionId"] = str(version)
    meta["lastUpdated"] = instant(updated)
    new = {"id": orjson.dumps(identifier), "meta": orjson.dumps(meta)}
    out, last, missing, after_type = [], 0, dict(new), None
    for name, start, end in members(body):
        if name in new:
            out += [body[last:start], new[name]]
            last = end
            missing.pop(name)
        if name == "resourceType":
            after_type = (len(out), end)
    text = b"".join(out) + body[last:]
    if missing:
        extra = b"".join(b',"' + name.encode() + b'":' + value for name, value in missing.items())
        # Right after resourceType when nothing was replaced before it; else at the end of the object.
        if after_type is not None and after_type[0] == 0:
            at = after_type[1]
            text = text[:at] + extra + text[at:]
        else:
            close = text.rindex(b"}")
            text = text[:close] + extra + text[close:]
    return text
