"""A search as asked (names and values of a query string) as typed conditions. No SQL, no database.

Raises `BadRequest` for what cannot be understood; never anything else, whatever the input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from varde.fhir.definitions import SearchParameter, common_parameter, is_type, main_date, search_parameters
from varde.fhir.errors import BadRequest

MAXIMUM_COUNT = 1000
DEFAULT_COUNT = 20

_MODIFIERS = {
    "string": {"exact", "contains", "missing", "text"},
    "token": {"not", "text", "missing", "of-type", "identifier"},
    "reference": {"missing", "identifier"},
    "date": {"missing"},
    "number": {"missing"},
    "quantity": {"missing"},
    "uri": {"missing", "above", "below", "contains"},
}
_OF_COLUMNS = {"_id": {"not", "missing"}, "_lastUpdated": {"missing"}}
_RESULT = {
    "_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_format", "_pretty",
    "_page", "_contained", "_containedType", "_type", "_totalMethod",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """`parameter:modifier=values` on one type. Values are alternatives."""

    parameter: SearchParameter
    modifier: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """The resources of `target` types that `parameter` refers to must meet `inner`."""

    parameter: SearchParameter
    inner: tuple[tuple[str, Condition | Chain | Has], ...]
    """(target type, what it must meet): alternatives, one a possible target type."""


@dataclass(frozen=True, slots=True)
class Has:
    """Some resource of `source` type refers to this one by `parameter` and meets `inner`."""

    source: str
    parameter: SearchParameter
    inner: Condition | Chain | Has


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key."""

    parameter: SearchParameter | None
    """None for `_id` and `_lastUpdated`, told apart by `code`."""
    code: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` (or `_revinclude`, when `reverse`)."""

    source: str
    code: str
    """"*" for every reference."""
    target: str | None
    iterate: bool
    reverse: bool


@dataclass(slots=True)
class Search:
    """A whole search."""

    resource_type: str | None
    conditions: list[Condition | Chain | Has] = field(default_factory=list)
    ids: list[tuple[str, ...]] = field(default_factory=list)
    """Each `_id` given: alternatives."""
    updated: list[tuple[str, ...]] = field(default_factory=list)
    """Each `_lastUpdated` given: alternatives with prefixes."""
    lists: list[str] = field(default_factory=list)
    types: tuple[str, ...] = ()
    """`_type` of a search over all types."""
    sort: list[Sort] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    total: Literal["none", "estimate", "accurate"] | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    page: str | None = None
    shaped: bool = False
    """Whether parameters that shape the result were given."""
    warnings: list[str] = field(default_factory=list)


def split_values(text: str, separator: str = ",") -> tuple[str, ...]:
    """`text` at unescaped separators; escapes of the others are kept for later splitting."""
    parts, current, escaped = [], "", False
    for character in text:
        if escaped:
            current += character if character == separator else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == separator:
            parts.append(current)
            current = ""
        else:
            current += character
    return (*parts, current + ("\\" if escaped else ""))


def unescape(text: str) -> str:
    """`text` with FHIR's escapes (\\, \\| \\$ \\\\) taken away."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def parse(resource_type: str | None, query: str | Sequence[tuple[str, str]], *, lenient: bool = False) -> Search:
    """The search that `query` asks of `resource_type` (None: of all types).

    Raises BadRequest for unknown parameters (unless `lenient`: then a warning), modifiers and forms.
    """
    pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query
    search = Search(resource_type)
    for name, text in pairs:
        try:
            text.encode()
            if "\x00" in text or "\x00" in name:
                raise BadRequest.of("a parameter contains the character U+0000")
        except UnicodeEncodeError:
            raise BadRequest.of("a parameter is not valid UTF-8") from None
        base, _, modifier = name.partition(":")
        if base in _RESULT:
            search.shaped = search.shaped or base not in {"_format", "_pretty"}
            _result(search, base, modifier, text)
        elif base == "_list":
            search.lists.append(text)
        elif not text:
            continue  # an empty value is as if it were not asked (R4 3.1.1.4)
        else:
            try:
                condition = _condition(resource_type, name, text)
            except BadRequest as error:
                if not lenient:
                    raise
                search.warnings.append(str(error))
                continue
            _place(search, condition)
    return search


def _place(search: Search, condition: Condition | Chain | Has) -> None:
    if isinstance(condition, Condition) and condition.modifier is None:
        if condition.parameter.code == "_id":
            search.ids.append(condition.values)
            return
        if condition.parameter.code == "_lastUpdated":
            search.updated.append(condition.values)
            return
    search.conditions.append(condition)


def _parameter(resource_type: str | None, code: str) -> SearchParameter:
    found = common_parameter(code) if resource_type is None else search_parameters(resource_type).get(code)
    if found is None:
        raise BadRequest.of(f"unknown search parameter '{_shown(code)}' for {resource_type or 'all types'}",
                            code="not-supported")  # fmt: skip
    return found


def _shown(text: str) -> str:
    """A parameter's name as it may stand in an error text: never a value."""
    return re.sub(r"[^\w\-.:]", "?", text)[:60]


def _condition(resource_type: str | None, name: str, text: str, depth: int = 0) -> Condition | Chain | Has:
    if depth > 8:
        raise BadRequest.of("chains are at most 8 links long", code="too-costly")
    if name.startswith("_has:"):
        return _has(name, text, depth)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = _parameter(resource_type, code)
    if dot:
        return _chain(parameter, modifier, rest, text, depth)
    if modifier and parameter.kind == "reference" and is_type(modifier):
        values = tuple(v if "/" in v else f"{modifier}/{v}" for v in split_values(text))
        return Condition(parameter, None, values)
    if modifier and modifier not in _OF_COLUMNS.get(code, _MODIFIERS.get(parameter.kind, set())):
        raise BadRequest.of(f"modifier ':{_shown(modifier)}' is not for '{code}'", code="not-supported")
    if modifier == "missing" and text not in {"true", "false"}:
        raise BadRequest.of(f"'{code}:missing' is true or false")
    return Condition(parameter, modifier or None, split_values(text))


def _chain(parameter: SearchParameter, modifier: str, rest: str, text: str, depth: int) -> Chain:
    if parameter.kind != "reference":
        raise BadRequest.of(f"'{parameter.code}' is not a reference and cannot be chained")
    if modifier and not is_type(modifier):
        raise BadRequest.of(f"'{_shown(modifier)}' is not a resource type")
    targets = (modifier,) if modifier else parameter.targets
    inner: list[tuple[str, Condition | Chain | Has]] = []
    for target in targets:
        if not is_type(target):
            continue
        try:
            inner.append((target, _condition(target, rest, text, depth + 1)))
        except BadRequest:
            if len(targets) == 1:
                raise
    if not inner:
        raise BadRequest.of(f"no target of '{parameter.code}' has the chained parameter '{_shown(rest)}'")
    return Chain(parameter, tuple(inner))


def _has(name: str, text: str, depth: int) -> Has:
    parts = name.split(":", 3)
    if len(parts) < 4 or not is_type(parts[1]):
        raise BadRequest.of("_has is written _has:Type:reference:parameter=value")
    parameter = _parameter(parts[1], parts[2])
    if parameter.kind != "reference":
        raise BadRequest.of(f"'{parameter.code}' of {parts[1]} is not a reference")
    return Has(parts[1], parameter, _condition(parts[1], parts[3], text, depth + 1))


def _result(search: Search, name: str, modifier: str, text: str) -> None:
    if name == "_count":
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise BadRequest.of("_count is a whole number, 0 or more")
        search.count = min(int(text), MAXIMUM_COUNT)
    elif name == "_sort":
        search.sort.extend(_sort(search.resource_type, key) for key in text.split(",") if key)
    elif name in {"_include", "_revinclude"}:
        search.includes.append(_include(text, modifier, reverse=name == "_revinclude"))
    elif name == "_total":
        if text not in {"none", "estimate", "accurate"}:
            raise BadRequest.of("_total is none, estimate or accurate")
        search.total = text  # type: ignore[assignment]
    elif name == "_totalMethod":  # Aidbox's word for _total, which fhirpy sends with every count
        if text not in {"count", "estimate", "countEstimate"}:
            raise BadRequest.of("_totalMethod is count, estimate or countEstimate")
        search.total = "accurate" if text == "count" else "estimate"
    elif name == "_summary":
        if text not in {"true", "false", "text", "data", "count"}:
            raise BadRequest.of("_summary is true, false, text, data or count")
        search.summary = text
    elif name == "_elements":
        search.elements = tuple(e for e in text.split(",") if e)
    elif name == "_page":
        search.page = text
    elif name == "_type":
        names = tuple(t for t in text.split(",") if t)
        if search.resource_type is not None or not all(is_type(t) for t in names):
            raise BadRequest.of("_type names resource types, in a search over all types")
        search.types = names
    elif name == "_contained" and text != "false":
        raise BadRequest.of("contained resources are not searched", code="not-supported")


def _sort(resource_type: str | None, text: str) -> Sort:
    descending = text.startswith("-")
    code = text.removeprefix("-")
    if code in {"_id", "_lastUpdated"}:
        return Sort(None, code, descending)
    if resource_type is None:
        raise BadRequest.of("a search over all types is sorted by _id or _lastUpdated", code="not-supported")
    parameter = _parameter(resource_type, code)
    if parameter.kind == "composite":
        raise BadRequest.of(f"'{code}' is a composite, by which nothing can be sorted", code="not-supported")
    return Sort(parameter, code, descending)


def is_main_date(resource_type: str | None, sort: Sort) -> bool:
    """Whether a sort key is the type's main date, which every index row carries."""
    return resource_type is not None and sort.code == main_date(resource_type)


def _include(text: str, modifier: str, *, reverse: bool) -> Include:
    if modifier not in {"", "iterate", "recurse"}:
        raise BadRequest.of("an _include may be marked :iterate only")
    if text == "*":
        return Include("", "*", None, bool(modifier), reverse)
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not is_type(parts[0]):
        raise BadRequest.of("an _include is written Type:reference or Type:reference:TargetType")
    if parts[1] != "*" and _parameter(parts[0], parts[1]).kind != "reference":
        raise BadRequest.of(f"'{_shown(parts[1])}' of {parts[0]} is not a reference")
    target = parts[2] if len(parts) == 3 else None
    if target is not None and not is_type(target):
        raise BadRequest.of("the third part of an _include is a resource type")
    return Include(parts[0], parts[1], target, bool(modifier), reverse)
