"""Search criteria held against one resource in memory, by the same parser and the same search values as a search.

What needs other resources (chains, _has, _list) or is not indexed is refused when the subscription is made, never
passed over. Pure. `tests/fhir/subscriptions/test_criteria.py` holds it against the search's own SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest
from varde.fhir.keys import resource_key, text_key
from varde.fhir.rows import IndexRows
from varde.fhir.search.composite import keys_of, qualified, token_place
from varde.fhir.search.dates import date_range
from varde.fhir.search.extract import extract
from varde.fhir.search.fold import fold
from varde.fhir.search.parse import Condition, parse, split_values, unescape
from varde.fhir.search.values import (
    clipped,
    identifier_target,
    number_range,
    reference_target,
    system_key,
    text_parameter,
    type_parameter,
)

Row = tuple[Any, ...]
Test = Callable[["Facts"], bool]
Handle = tuple[str, int, Any]
"""Something that must stand among a resource's search values: ("token", parameter, code), ("reference", parameter,
target), ("id", 0, id)."""
_MEMBERS = {"token": "tokens", "reference": "references", "string": "strings", "date": "dates",
            "number": "quantities", "quantity": "quantities", "uri": "uris"}  # fmt: skip
_MODIFIERS: dict[str, set[str | None]] = {
    "string": {None, "exact", "contains", "text", "missing"}, "token": {None, "not", "text", "of-type", "missing"},
    "reference": {None, "identifier", "missing"}, "date": {None, "missing"}, "number": {None, "missing"},
    "quantity": {None, "missing"}, "uri": {None, "above", "below", "contains", "missing"}, "composite": {None},
}  # fmt: skip
_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")


class Facts:
    """The search values of one resource, by kind and parameter, taken out once."""

    def __init__(self, resource_type: str, resource: Mapping[str, Any]) -> None:
        self.type = resource_type
        self.resource = resource

    @cached_property
    def rows(self) -> IndexRows:
        """As the store indexes them."""
        return extract(self.type, self.resource)

    @cached_property
    def _by_parameter(self) -> dict[tuple[str, int], list[Row]]:
        found: dict[tuple[str, int], list[Row]] = {}
        for member in ("tokens", "references", "strings", "dates", "quantities", "uris"):
            for row in getattr(self.rows, member):
                found.setdefault((member, row[0]), []).append(row)
        return found

    def of(self, member: str, keys: tuple[int, ...]) -> list[Row]:
        """The rows of some parameters."""
        if len(keys) == 1:
            return self._by_parameter.get((member, keys[0]), [])
        return [row for key in keys for row in self._by_parameter.get((member, key), ())]

    def handles(self) -> list[Handle]:
        """All handles that stand among the values."""
        rows = self.rows
        return [
            ("id", 0, self.resource.get("id")),
            *(("token", param, code) for param, _, code in rows.tokens),
            *(("reference", param, target) for param, target, _, _ in rows.references),
        ]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Conditions on one type, all of which must hold."""

    type: str
    tests: tuple[Test, ...]
    handles: frozenset[Handle] | None
    """At least one of these stands in whatever meets the criteria; None when nothing can be said."""
    codes: frozenset[str]
    """The parameters that it asks by."""

    def meets(self, facts: Facts) -> bool:
        """Whether a resource of the type meets them."""
        return all(test(facts) for test in self.tests)


def split(criteria: str) -> tuple[str, str]:
    """(type, query) of `Type?query` or `Type`. Raises BadRequest."""
    kind, _, query = criteria.strip().removeprefix("/").partition("?")
    if not is_type(kind):
        raise BadRequest.of("criteria is written Type?parameter=value")
    return kind, query


def compile_criteria(resource_type: str, query: str) -> Criteria:
    """The query as tests. Raises BadRequest for what cannot be understood or not be held against one resource."""
    search = parse(resource_type, query)
    if search.lists or search.shaped or search.updated:
        raise BadRequest.of("criteria ask for what a resource holds: no _list, _lastUpdated, sorting or including")
    tests: list[Test] = []
    handles: list[frozenset[Handle]] = []
    codes: set[str] = set()
    for ids in search.ids:
        wanted = frozenset(unescape(one) for one in ids)
        tests.append(_named(wanted))
        handles.append(frozenset(("id", 0, one) for one in wanted))
        codes.add("_id")
    for condition in search.conditions:
        if not isinstance(condition, Condition) or condition.parameter.kind not in _MODIFIERS:
            raise BadRequest.of("criteria that need other resources (chains, _has) are not taken", code="not-supported")
        test, handle = _test(condition)
        tests.append(test)
        codes.add(condition.parameter.code)
        if handle is not None:
            handles.append(handle)
    fewest = min(handles, key=len) if handles else None
    return Criteria(resource_type, tuple(tests), fewest, frozenset(codes))


def _named(wanted: frozenset[str]) -> Test:
    return lambda facts: facts.resource.get("id") in wanted


def _test(condition: Condition) -> tuple[Test, frozenset[Handle] | None]:
    parameter, modifier = condition.parameter, condition.modifier
    if modifier not in _MODIFIERS[parameter.kind] or parameter.code in {"_id", "_lastUpdated"}:
        raise BadRequest.of(f"criteria cannot ask by '{parameter.code}' in this way", code="not-supported")
    if modifier == "missing":
        return _missing(condition), None
    if parameter.kind == "composite":
        return _any([_composite(condition, value) for value in condition.values]), None
    member, keys = _MEMBERS[parameter.kind], parameter.keys
    if modifier == "text":
        return _over("strings", tuple(map(text_parameter, keys)) if parameter.kind == "token" else keys, [
            _prefix_of(fold(unescape(v))) if parameter.kind == "token" else _holds(fold(unescape(v)))
            for v in condition.values
        ]), None  # fmt: skip
    if modifier == "of-type":
        keys = tuple(map(type_parameter, keys))
        return _over(member, keys, [_of_type(value) for value in condition.values]), None
    make = _MAKERS[parameter.kind]
    test = _over(member, keys, [make(value, modifier, condition) for value in condition.values])
    if modifier == "not":
        return (lambda facts: not test(facts)), None
    return test, _handles(condition) if modifier is None else None


def _any(tests: list[Test]) -> Test:
    return lambda facts: any(test(facts) for test in tests)


def _over(member: str, keys: tuple[int, ...], compares: list[Callable[[Row], bool]]) -> Test:
    """Some row of the parameter passes some comparison."""
    if len(compares) == 1:
        (one,) = compares
        return lambda facts: any(one(row) for row in facts.of(member, keys))
    return lambda facts: any(compare(row) for row in facts.of(member, keys) for compare in compares)


def _handles(condition: Condition) -> frozenset[Handle] | None:
    parameter = condition.parameter
    found: set[Handle] = set()
    for value in condition.values:
        if parameter.kind == "token":
            code = split_values(value, "|")[-1]
            if not code:
                return None
            found |= {("token", key, clipped(unescape(code))) for key in parameter.keys}
        elif parameter.kind == "reference":
            found |= {("reference", key, target) for key in parameter.keys for target in _targets(value, condition)}
        else:
            return None
    return frozenset(found)


def _missing(condition: Condition) -> Test:
    parameter, missing = condition.parameter, condition.values[0] == "true"
    member, keys = _MEMBERS[parameter.kind], parameter.keys
    texts = tuple(map(text_parameter, keys))
    token = parameter.kind == "token"
    return lambda facts: missing is not bool(facts.of(member, keys) or (token and facts.of("strings", texts)))


def _token(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    parts = split_values(text, "|")
    if len(parts) > 2:
        raise BadRequest.of("a token is written code, system|code, |code or system|")
    if len(parts) == 1:
        code = clipped(unescape(parts[0]))
        return lambda row: row[2] == code
    system = system_key(unescape(parts[0]))
    if not parts[1]:
        return lambda row: row[1] == system
    both = (system, clipped(unescape(parts[1])))
    return lambda row: (row[1], row[2]) == both


def _of_type(text: str) -> Callable[[Row], bool]:
    parts = split_values(text, "|")
    if len(parts) != 3 or not parts[2]:
        raise BadRequest.of(":of-type is written system|code|value")
    both = (system_key(unescape(parts[0])), clipped(f"{unescape(parts[1])}|{unescape(parts[2])}"))
    return lambda row: (row[1], row[2]) == both


def _targets(text: str, condition: Condition) -> list[int]:
    wanted = unescape(text)
    if "/" in wanted or ":" in wanted:
        return [reference_target(wanted)[0], text_key(wanted)]
    return [resource_key(t, wanted) for t in condition.parameter.targets if is_type(t)]


def _reference(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    if modifier == "identifier":
        system, _, value = unescape(text).rpartition("|")
        key = identifier_target(system, value)
        return lambda row: row[1] == key and row[3] == "i"
    keys = frozenset(_targets(text, condition))
    return lambda row: row[1] in keys


def _prefix_of(start: str) -> Callable[[Row], bool]:
    return lambda row: row[1].startswith(start)


def _holds(part: str) -> Callable[[Row], bool]:
    return lambda row: part in row[1]


def _string(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    wanted = unescape(text)
    if modifier == "exact":
        both = (fold(wanted), wanted[:500])
        return lambda row: (row[1], row[2]) == both
    return _holds(fold(wanted)) if modifier == "contains" else _prefix_of(fold(wanted))


def _uri(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    wanted = clipped(unescape(text))
    if modifier == "below":
        return _prefix_of(wanted)
    if modifier == "contains":
        return _holds(wanted)
    if modifier == "above":
        return lambda row: wanted.startswith(row[1])
    return lambda row: row[1] == wanted


def _prefix(text: str) -> tuple[str, str]:
    if text[:2] == "ap":
        raise BadRequest.of("criteria do not ask for what is near", code="not-supported")
    return (text[:2], text[2:]) if text[:2] in _PREFIXES else ("eq", text)


def _date(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    prefix, rest = _prefix(text)
    try:
        a, b = date_range(rest if " " not in rest[10:] else rest[:10] + rest[10:].replace(" ", "+"))
    except (ValueError, OverflowError):
        raise BadRequest.of("not a FHIR date") from None
    tests: dict[str, Callable[[Row], bool]] = {
        "eq": lambda row: row[1] >= a and row[2] <= b,
        "ne": lambda row: row[1] < a or row[2] > b,
        "le": lambda row: row[1] < b,
        "gt": lambda row: row[2] > b,
        "sa": lambda row: row[1] >= b,
        "ge": lambda row: row[2] > a,
        "lt": lambda row: row[1] < a,
        "eb": lambda row: row[2] <= a,
    }
    return tests[prefix]


def _figures(text: str) -> Callable[[Row], bool]:
    prefix, rest = _prefix(text)
    try:
        low, high = number_range(rest)
        at = float(rest)
    except (ValueError, OverflowError):
        raise BadRequest.of("not a number") from None
    tests: dict[str, Callable[[Row], bool]] = {
        "eq": lambda row: row[1] >= low and row[2] < high,
        "ne": lambda row: not (row[1] >= low and row[2] < high),
        "gt": lambda row: row[2] > at,
        "ge": lambda row: row[2] >= at,
        "lt": lambda row: row[1] < at,
        "le": lambda row: row[1] <= at,
        "sa": lambda row: row[1] > at,
        "eb": lambda row: row[2] < at,
    }
    return tests[prefix]


def _number(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    return _figures(text)


def _quantity(text: str, modifier: str | None, condition: Condition) -> Callable[[Row], bool]:
    parts = split_values(text, "|")
    if len(parts) not in {1, 3}:
        raise BadRequest.of("a quantity is written number or number|system|code")
    figures = _figures(parts[0])
    code = unescape(parts[2]) if len(parts) == 3 and parts[2] else None
    system = system_key(unescape(parts[1])) if code is not None and parts[1] else None
    return lambda row: figures(row) and (code is None or row[4] == code) and (system is None or row[3] == system)


_MAKERS: dict[str, Callable[[str, str | None, Condition], Callable[[Row], bool]]] = {
    "token": _token, "reference": _reference, "string": _string, "uri": _uri, "date": _date, "number": _number,
    "quantity": _quantity,
}  # fmt: skip


def _composite(condition: Condition, text: str) -> Test:
    parameter = condition.parameter
    components = parameter.bases[0]["components"]
    parts = split_values(text, "$")
    if len(parts) != len(components):
        raise BadRequest.of(f"'{parameter.code}' takes {len(components)} values parted by $")
    place = token_place(components)
    token = split_values(parts[place], "|")
    if len(token) > 2 or not token[-1]:
        raise BadRequest.of(f"the token of '{parameter.code}' is written code or system|code")
    code = clipped(unescape(token[-1]))
    if len(token) == 2:
        code = qualified(system_key(unescape(token[0])), code)
    tests = []
    for number, component in enumerate(components):
        if number != place:
            compare = _MAKERS[component["kind"]](parts[number], None, condition)
            tests.append(_over(_MEMBERS[component["kind"]], tuple(keys_of(parameter, number, code)), [compare]))
    return lambda facts: all(test(facts) for test in tests)
