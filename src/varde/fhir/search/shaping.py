"""What shapes a search's result rather than choosing it: `_sort`, `_count`, `_include`, `_total`… No SQL."""

from __future__ import annotations

import re
from typing import Any

from varde.fhir.definitions import is_type, main_date, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.search.query import Include, Search, Sort

MAXIMUM_COUNT = 1000
RESULT = {
    "_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_format", "_pretty",
    "_page", "_contained", "_containedType", "_type", "_totalMethod",
}  # fmt: skip
_TOTAL_METHODS = {"count": "accurate", "estimate": "estimate", "countEstimate": "estimate"}
"""Aidbox's word for `_total`, which fhirpy sends with every count."""
_CHOICES = {
    "_total": ("total", ("none", "estimate", "accurate")),
    "_summary": ("summary", ("true", "false", "text", "data", "count")),
    "_contained": ("contained", ("false", "true", "both")),
    "_containedType": ("contained_type", ("container", "contained")),
}


def shape(search: Search, name: str, modifier: str, text: str) -> None:
    """Take one parameter of RESULT into `search`. Raises BadRequest."""
    search.shaped = search.shaped or name not in {"_format", "_pretty"}
    if modifier and name not in {"_include", "_revinclude"}:
        raise BadRequest.of(f"'{name}' takes no modifier", code="not-supported")
    if name in _CHOICES:
        field, allowed = _CHOICES[name]
        if text not in allowed:
            raise BadRequest.of(f"{name} is one of {', '.join(allowed)}")
        setattr(search, field, text)
    elif name == "_totalMethod":
        if text not in _TOTAL_METHODS:
            raise BadRequest.of(f"{name} is one of {', '.join(_TOTAL_METHODS)}")
        search.total = _TOTAL_METHODS[text]  # type: ignore[assignment]
    elif name == "_count":
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise BadRequest.of("_count is a whole number, 0 or more")
        search.count = min(int(text), MAXIMUM_COUNT)
    elif name == "_sort":
        search.sort.extend(_sort(search.resource_type, key) for key in text.split(",") if key)
        if len(search.sort) > 10:
            raise BadRequest.of("_sort takes at most 10 keys", code="too-costly")
    elif name in {"_include", "_revinclude"}:
        search.includes.append(_include(text, modifier, reverse=name == "_revinclude"))
    elif name == "_elements":
        search.elements = tuple(e for e in text.split(",") if e)
    elif name == "_page":
        search.page = text
    elif name == "_type":
        names = tuple(dict.fromkeys(t for t in text.split(",") if t))
        if search.resource_type is not None or not all(is_type(t) for t in names):
            raise BadRequest.of("_type names resource types, in a search over all types")
        search.types = names


def _shown(text: str) -> str:
    return re.sub(r"[^\w\-.:]", "?", text)[:60]


def _own(resource_type: str, code: str) -> Any:
    found = search_parameters(resource_type).get(code)
    if found is None or not found.ready:
        raise BadRequest.of(f"unknown search parameter '{_shown(code)}' for {resource_type}", code="not-supported")
    return found


def _sort(resource_type: str | None, text: str) -> Sort:
    descending = text.startswith("-")
    code = text.removeprefix("-")
    if code in {"_id", "_lastUpdated"}:
        return Sort(None, code, descending)
    if resource_type is None:
        raise BadRequest.of("a search over all types is sorted by _id or _lastUpdated", code="not-supported")
    parameter = _own(resource_type, code)
    if parameter.kind in {"composite", "special"} or code == "age":
        raise BadRequest.of(f"nothing can be sorted by '{_shown(code)}'", code="not-supported")
    return Sort(parameter, code, descending)


def is_main_date(resource_type: str | None, sort: Sort) -> bool:
    """Whether a sort key is the type's main date, which every index row carries."""
    return resource_type is not None and sort.code == main_date(resource_type)


def _include(text: str, modifier: str, *, reverse: bool) -> Include:
    if modifier not in {"", "iterate"}:
        raise BadRequest.of("an _include may be marked :iterate only", code="not-supported")
    if text == "*":
        return Include("", "*", None, bool(modifier), reverse)
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not is_type(parts[0]):
        raise BadRequest.of("an _include is written Type:reference or Type:reference:TargetType")
    if parts[1] != "*" and _own(parts[0], parts[1]).kind != "reference":
        raise BadRequest.of(f"'{_shown(parts[1])}' of {parts[0]} is not a reference")
    target = parts[2] if len(parts) == 3 else None
    if target is not None and not is_type(target):
        raise BadRequest.of("the third part of an _include is a resource type")
    return Include(parts[0], parts[1], target, bool(modifier), reverse)
