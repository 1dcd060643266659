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
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\]\s]+")
_NESTED = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_ALIKE = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def _nested(levels: int) -> bytes:
    """A pattern of an object or array that nests at most so many levels, which the regex engine takes in one go."""
    inner = b"" if levels == 1 else b"|" + _nested(levels - 1)
    return rb'[\[{](?:[^\[\]{}"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"' + inner + rb")*+[\]}]"


_VALUE = re.compile(_nested(14), re.DOTALL)
_MEMBER = re.compile(
    rb'[ \t\r\n]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r\n]*+:[ \t\r\n]*+'
    rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^,}\]\s"{\[]++|' + _nested(14) + rb")[ \t\r\n]*+(,|})",
    re.DOTALL,
)
"""A member of an object with what follows it, as far as it nests no deeper than most do."""
_OF_NUMBERS = bytes(byte if chr(byte) in "0123456789+-.eE" else 32 for byte in range(256))
_EXACT_DIGITS = 15
"""As many digits of a whole number as a float holds for certain."""


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises BadRequest when it is none, or nests deeper than MAXIMUM_DEPTH."""
    resource = loads(body)
    if not isinstance(resource, dict):
        raise BadRequest.of("a resource is a JSON object", code="structure")
    return resource


def _bare(body: bytes) -> bytes:
    """Valid JSON without what its texts say."""
    # Where no quotation mark is escaped, every second piece between them is a text.
    return _STRING.sub(b"", body) if b'\\"' in body else b"".join(body.split(b'"')[::2])


def _deeper(body: bytes, levels: int) -> bool:
    """Whether valid JSON nests deeper than `levels`: one innermost level is taken away at a time."""
    brackets = _bare(body).translate(_ALIKE, _OTHERS)
    for _ in range(levels):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return True


class Number(float):
    """A JSON number that remembers how it was written: 1.10 is not 1.1 to who measured it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        """The number that `text` writes."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def parse_exact(body: bytes) -> Any:
    """The JSON value in `body`, with each number that would be written otherwise by `dump` as a Number.

    Raises BadRequest when it is no JSON.
    """
    parsed = loads(body)
    if all(map(_is_exact, set(_bare(body).translate(_OF_NUMBERS).split()))):
        return parsed
    return json.loads(body, parse_float=Number, parse_int=_whole)


def _whole(text: str) -> int | Number:
    return int(text) if len(text) <= _EXACT_DIGITS and text != "-0" else Number(text)


def _is_exact(word: bytes) -> bool:
    """Whether a number that JSON writes is what `dump` would write of it. The e of true and false is no number."""
    if word.isdigit():
        return len(word) <= _EXACT_DIGITS
    if word[1:].isdigit():
        return len(word) <= _EXACT_DIGITS and word != b"-0"
    return word == b"e" or repr(float(word)) == word.decode()


def loads(body: bytes) -> Any:
    """The JSON value in `body`. Raises BadRequest when it is none, or nests deeper than MAXIMUM_DEPTH."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest.of(f"not valid JSON: line {error.lineno}, column {error.colno}", code="structure") from None
    if body.count(b"[") + body.count(b"{") > MAXIMUM_DEPTH and _deeper(body, MAXIMUM_DEPTH):
        raise BadRequest.of(f"the JSON nests deeper than {MAXIMUM_DEPTH} levels", code="too-long")
    return parsed


def dump(resource: Any, *, indent: bool = False) -> bytes:
    """`resource` as JSON text; Numbers as they were written."""
    return orjson.dumps(resource, default=_as_written, option=orjson.OPT_INDENT_2 if indent else 0)


def _as_written(value: Any) -> Any:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def members(body: bytes, start: int = 0) -> list[tuple[str, int, int]]:
    """(name, start of value, end of value) of the members of the object that begins at `start`, in order.

    Raises Unprocessable when a name stands twice: two readers could then read two different resources.
    """
    at = _SPACE.match(body, start).end() + 1  # type: ignore[union-attr]
    found: list[tuple[str, int, int]] = []
    seen: set[str] = set()
    while member := _MEMBER.match(body, at):
        written = member[1]
        text = orjson.loads(b'"' + written + b'"') if b"\\" in written else written.decode()
        if text in seen:
            raise Unprocessable.of(f"the member '{text[:40]}' stands twice", code="structure")
        seen.add(text)
        found.append((text, *member.span(2)))
        at = member.end()
        if member[3] == b"}":
            return found
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
    whole = _VALUE.match(body, at)
    if whole:
        return whole.end()
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


_BEGINNING = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"resourceType"[ \t\r\n]*+:[ \t\r\n]*+"[A-Za-z]++"')
"""How nearly every resource begins."""


def stamp(
    body: bytes, identifier: str, version: int, updated: datetime, resource: Mapping[str, Any] | None = None
) -> bytes:
    """`body` with `id`, `meta.versionId` and `meta.lastUpdated` set, every other byte as it was.

    With `resource`, what `body` was parsed to, nearly every text is stamped without looking at its members.
    Raises Unprocessable when a member stands twice.
    """
    quick = None if resource is None else _stamped_at_once(body, identifier, version, instant(updated), resource)
    if quick is not None:
        return quick
    at = {name: (start, end) for name, start, end in members(body)}
    quoted = b'"' + identifier.encode() + b'"'
    marks = {"versionId": b'"%d"' % version, "lastUpdated": b'"' + instant(updated).encode() + b'"'}
    edits: list[tuple[int, int, bytes]] = []
    missing = b""
    if "id" in at:
        edits.append((*at["id"], quoted))
    else:
        missing += b',"id":' + quoted
    if "meta" in at:
        edits += _edits_of_meta(body, at["meta"][0], marks)
    else:
        missing += b',"meta":{' + b",".join(b'"' + n.encode() + b'":' + v for n, v in marks.items()) + b"}"
    if missing:
        edits.append((at["resourceType"][1], at["resourceType"][1], missing))
    out, last = [], 0
    for start, end, text in sorted(edits):
        out += [body[last:start], text]
        last = end
    return b"".join(out) + body[last:]


def stamped(resource: Mapping[str, Any], identifier: str, version: int, updated: datetime) -> bytes:
    """As `stamp`, for a resource that was never bytes: there is no text to keep, so it is written once."""
    marks = {"versionId": str(version), "lastUpdated": instant(updated)}
    meta = {**(resource.get("meta") or {}), **marks}
    first = {"resourceType": resource["resourceType"], "id": identifier, "meta": meta}
    return dump(first | {name: value for name, value in resource.items() if name not in first})


def _edits_of_meta(body: bytes, start: int, marks: Mapping[str, bytes]) -> list[tuple[int, int, bytes]]:
    inside = members(body, start)
    at = {name: (first, end) for name, first, end in inside}
    edits = [(*at[name], text) for name, text in marks.items() if name in at]
    missing = b",".join(b'"' + name.encode() + b'":' + text for name, text in marks.items() if name not in at)
    if missing:
        edits.append((start + 1, start + 1, missing + (b"," if inside else b"")))
    return edits


def _stamped_at_once(
    body: bytes, identifier: str, version: int, updated: str, resource: Mapping[str, Any]
) -> bytes | None:
    """As `stamp`, where nothing stands in the way of it; None where the members must be looked at."""
    begins = _BEGINNING.match(body)
    if begins is None or resource.get("id", identifier) != identifier:
        return None
    named = "id" in resource
    if "meta" not in resource:
        # Had a member stood twice, one of them would be missing in what was parsed.
        if b"\\" in body or body.count(b'"') != dump(resource).count(b'"'):
            return None
        own = "" if named else f',"id":"{identifier}"'
        added = f'{own},"meta":{{"versionId":"{version}","lastUpdated":"{updated}"}}'
        return b"".join((body[: begins.end()], added.encode(), body[begins.end() :]))
    meta = resource["meta"]
    # A member that stands twice, a number written otherwise or a space makes the two differ.
    if not isinstance(meta, Mapping) or dump(resource) != body:
        return None
    marks = {"versionId": str(version), "lastUpdated": updated}
    out = {"resourceType": resource["resourceType"]} | ({} if named else {"id": identifier}) | dict(resource)
    out["meta"] = {name: text for name, text in marks.items() if name not in meta} | dict(meta) | marks
    return dump(out)
