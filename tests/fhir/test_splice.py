"""Stamping a text: the quick way gives what the thorough one gives, and neither loses a byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varde.fhir import splice
from varde.fhir.errors import BadRequest, Unprocessable

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
MARKS = {"versionId": "3", "lastUpdated": "2026-03-01T12:30:00.000Z"}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3),
    max_leaves=12,
)
RESOURCES = st.dictionaries(st.sampled_from(["active", "name", "meta", "text", 'x"y', "ø"]), VALUES, max_size=5)


@given(RESOURCES, st.booleans(), st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_stamping_keeps_all_else(
    members: dict[str, Any], named: bool, first: bool, indent: int | None, ascii_only: bool
) -> None:
    if "meta" in members:
        members["meta"] = {"tag": members["meta"]}
    kind = {"resourceType": "Patient"}
    own = {"id": "abc"} if named else {}
    resource = {**kind, **own, **members} if first else {**members, **own, **kind}
    body = json.dumps(resource, indent=indent, ensure_ascii=ascii_only).encode()
    parsed = splice.loads(body)
    quick = orjson.loads(splice.stamp(body, "abc", 3, NOW, parsed))
    assert quick == orjson.loads(splice.stamp(body, "abc", 3, NOW))
    assert quick == {**resource, "id": "abc", "meta": {**resource.get("meta", {}), **MARKS}}


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient","active":true,"active":true}',
        b'{"resourceType":"Patient","active":true,"\\u0061ctive":false}',
        b'{"resourceType":"Patient","id":"abc","id":"abc"}',
        b'{"resourceType":"Patient","meta":{},"meta":{}}',
    ],
)
def test_a_member_that_stands_twice_is_refused(body: bytes) -> None:
    with pytest.raises(Unprocessable):
        splice.stamp(body, "abc", 1, NOW, splice.loads(body))


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@given(st.lists(NUMBERS, max_size=4), st.text(max_size=8), st.sampled_from(["", " ", "\n"]))
def test_numbers_are_written_as_they_came(numbers: list[str], text: str, space: str) -> None:
    said = json.dumps(text)
    listed = f",{space}".join([said, "true", *numbers, "false", said])
    body = f'{{"a":{space}[{listed}]}}'.encode()
    written = splice.dump(splice.parse_exact(body))
    assert written == b'{"a":[' + ",".join([orjson.dumps(text).decode(), "true", *numbers, "false",
                                            orjson.dumps(text).decode()]).encode() + b"]}"  # fmt: skip


@pytest.mark.parametrize("text", ["{", "}", "[]", '\\"', "\\\\", '\\"]{'])
def test_depth_is_counted_outside_texts(text: str) -> None:
    for depth in (splice.MAXIMUM_DEPTH, splice.MAXIMUM_DEPTH + 1):
        body = ('{"a":[1,"' + text + '"],"b":') * depth + "{}" + "}" * depth
        deep = f'{{"x":{body}}}'.encode()
        if depth + 2 > splice.MAXIMUM_DEPTH:
            with pytest.raises(BadRequest):
                splice.loads(deep)
    fine = ('{"a":[1,"' + text + '"],"b":') * 60 + "{}" + "}" * 60
    assert splice.loads(fine.encode())


def test_decimals_and_spaces_stay() -> None:
    body = b'{ "resourceType" : "Observation", "valueQuantity": {"value": 1.00 } }'
    stamped = splice.stamp(body, "o", 1, NOW, splice.loads(body))
    assert stamped.endswith(b', "valueQuantity": {"value": 1.00 } }')
