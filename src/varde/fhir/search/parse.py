"""A search as asked (names and values of a query string) as typed conditions. No SQL, no database.

Raises `BadRequest` for what cannot be understood; never anything else, whatever the input. What shapes the result
(`_sort`, `_include`…) is in `shaping.py`, the language of `_filter` in `filter.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest
from varde.fhir.search.filter import parse_filter
from varde.fhir.search.names import MAXIMUM_DEPTH, Types, chained, parameter_of, shown, split_values
from varde.fhir.search.query import Condition, Either, Has, Not, Question, Search
from varde.fhir.search.shaping import RESULT, shape

_MODIFIERS = {
    "string": {"exact", "contains", "missing"},
    "token": {"not", "text", "missing", "of-type", "in", "not-in", "above", "below"},
    "reference": {"missing", "identifier", "above", "below"},
    "date": {"missing"},
    "number": {"missing"},
    "quantity": {"missing"},
    "uri": {"missing", "above", "below"},
    "special": {"missing"},
}
_OF_CODE = {"_id": {"not", "missing"}, "_lastUpdated": {"missing"}, "_text": set(), "_content": set(), "_list": set(),
            "_filter": set(), "age": set()}  # fmt: skip
MAXIMUM_VALUES = 1000


def parse(resource_type: str | None, query: str | Sequence[tuple[str, str]], *, lenient: bool = False) -> Search:
    """The search that `query` asks of `resource_type` (None: of all types).

    Raises BadRequest for unknown parameters (unless `lenient`: then a warning), modifiers and forms.
    """
    pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query
    search = Search(resource_type)
    for name, text in pairs:
        _check_text(name, text)
        base, _, modifier = name.partition(":")
        if base == "_type":  # decides which parameters there are
            shape(search, base, modifier, text)
    for name, text in pairs:
        base, _, modifier = name.partition(":")
        if base == "_type":
            continue
        try:
            if base in RESULT:
                shape(search, base, modifier, text)
            elif text:  # an empty value is as if it were not asked (R4 3.1.1.4)
                _place(search, condition(tuple(search.type_names), name, text))
        except BadRequest as error:
            if not lenient or base in RESULT or not any(issue.code == "not-supported" for issue in error.issues):
                raise
            search.warnings.append(str(error))
            search.ignored.append((name, text))
    if search.summary == "text" and search.includes:
        raise BadRequest.of("_summary=text cannot be mixed with _include and _revinclude")
    return search


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
        name.encode()
    except UnicodeEncodeError:
        raise BadRequest.of("a parameter is not valid UTF-8") from None
    if "\x00" in text or "\x00" in name:
        raise BadRequest.of("a parameter contains the character U+0000")


def _place(search: Search, found: Question) -> None:
    if isinstance(found, Condition) and found.modifier is None:
        if found.parameter.code == "_id":
            search.ids.append(found.values)
            return
        if found.parameter.code == "_lastUpdated":
            search.updated.append(found.values)
            return
    search.conditions.append(found)


def condition(types: Types, name: str, text: str, depth: int = 0) -> Question:
    """What `name=text` asks of resources of `types`. Raises BadRequest."""
    if depth > MAXIMUM_DEPTH:
        raise BadRequest.of(f"chains are at most {MAXIMUM_DEPTH} links long", code="too-costly")
    if name.startswith("_has:"):
        return _has(name, text, depth)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = parameter_of(types, code)
    if dot:
        return chained(parameter, modifier, lambda target: condition((target,), rest, text, depth + 1), rest)
    if modifier and parameter.kind == "reference" and is_type(modifier):
        values = tuple(v if "/" in v else f"{modifier}/{v}" for v in _values(text))
        return Condition(parameter, None, values)
    if modifier and modifier not in _OF_CODE.get(code, _MODIFIERS.get(parameter.kind, set())):
        raise BadRequest.of(f"modifier ':{shown(modifier)}' is not for '{shown(code)}'", code="not-supported")
    if modifier == "missing" and text not in {"true", "false"}:
        raise BadRequest.of(f"'{shown(code)}:missing' is true or false")
    if code == "_filter":
        return parse_filter(types, text, depth)
    if parameter.kind == "token" and modifier in {"in", "not-in", "above", "below"}:
        # Each alternative comes to codes of its own.
        one = "in" if modifier == "not-in" else modifier
        either = Either(tuple(Condition(parameter, one, (value,)) for value in _values(text)))
        return Not(either) if modifier == "not-in" else either
    return Condition(parameter, modifier or None, _values(text))


def _values(text: str) -> tuple[str, ...]:
    found = split_values(text)
    if len(found) > MAXIMUM_VALUES:
        raise BadRequest.of(f"a parameter takes at most {MAXIMUM_VALUES} alternatives", code="too-costly")
    return found


def _has(name: str, text: str, depth: int) -> Has:
    parts = name.split(":", 3)
    if len(parts) < 4 or not is_type(parts[1]):
        raise BadRequest.of("_has is written _has:Type:reference:parameter=value")
    parameter = parameter_of((parts[1],), parts[2])
    if parameter.kind != "reference":
        raise BadRequest.of(f"'{shown(parameter.code)}' of {parts[1]} is not a reference")
    return Has(parts[1], parameter, condition((parts[1],), parts[3], text, depth + 1))
