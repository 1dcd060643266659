"""Search criteria held against one resource in memory, by the same parser and the same search values as a search.

What needs other resources (chains, _has, _list) or is not indexed is refused when the subscription is made, never
passed over. How one value is compared is `comparing.py`'s. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest
from varde.fhir.rows import IndexRows, inside_key
from varde.fhir.search.ages import is_age
from varde.fhir.search.composite import keys_of, parts_of, token_of
from varde.fhir.search.extract import extract
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.parse import parse
from varde.fhir.search.query import Condition
from varde.fhir.search.values import clipped, identifier_parameter, text_parameter, type_parameter
from varde.fhir.subscriptions import comparing
from varde.fhir.subscriptions.comparing import Compare, Row

Test = Callable[["Facts"], bool]
Handle = tuple[str, int, Any]
"""Something that must stand among a resource's search values: ("token", parameter, code), ("reference", parameter,
target), ("id", 0, id)."""
_MEMBERS = {"token": "tokens", "reference": "references", "string": "strings", "date": "dates",
            "number": "quantities", "quantity": "quantities", "uri": "uris"}  # fmt: skip
_MODIFIERS: dict[str, set[str | None]] = {
    "string": {None, "exact", "contains", "missing"}, "token": {None, "not", "text", "of-type", "missing"},
    "reference": {None, "identifier", "missing"}, "date": {None, "missing"}, "number": {None, "missing"},
    "quantity": {None, "missing"}, "uri": {None, "above", "below", "missing"}, "composite": {None},
}  # fmt: skip


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
        for param, name in self.rows.inside:
            key = inside_key(self.type, str(self.resource.get("id")), name)
            found.setdefault(("references", param), []).append((param, key, None, "k"))
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
    if search.shaped or search.updated:
        raise BadRequest.of("criteria ask for what a resource holds: no _lastUpdated, no sorting or including")
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
    unfit = parameter.code in {"_id", "_lastUpdated"} or is_age(parameter) or condition.codes is not None
    if unfit or modifier not in _MODIFIERS[parameter.kind]:
        raise BadRequest.of(f"criteria cannot ask by '{parameter.code}' in this way", code="not-supported")
    if modifier == "missing":
        return _missing(condition), None
    if parameter.kind == "composite":
        return _any([_composite(condition, value) for value in condition.values]), None
    member, keys = _MEMBERS[parameter.kind], parameter.keys
    if modifier == "text":
        return _over("strings", tuple(map(text_parameter, keys)), list(map(comparing.text, condition.values))), None
    if modifier == "of-type":
        return _over(member, tuple(map(type_parameter, keys)), list(map(comparing.of_type, condition.values))), None
    if modifier == "identifier":
        tests = [comparing.token(value, None, parameter) for value in condition.values]
        return _over("tokens", tuple(map(identifier_parameter, keys)), tests), None
    make = comparing.MAKERS[parameter.kind]
    test = _over(member, keys, [make(value, modifier, parameter) for value in condition.values])
    if modifier == "not":
        return (lambda facts: not test(facts)), None
    return test, _handles(condition) if modifier is None else None


def _any(tests: list[Test]) -> Test:
    return lambda facts: any(test(facts) for test in tests)


def _over(member: str, keys: tuple[int, ...], compares: list[Compare]) -> Test:
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
            targets = comparing.targets(value, parameter)
            found |= {("reference", key, target) for key in parameter.keys for target in targets}
        else:
            return None
    return frozenset(found)


def _missing(condition: Condition) -> Test:
    parameter, missing = condition.parameter, condition.values[0] == "true"
    member, keys = _MEMBERS[parameter.kind], parameter.keys
    texts = tuple(map(text_parameter, keys))
    token = parameter.kind == "token"
    return lambda facts: missing is not bool(facts.of(member, keys) or (token and facts.of("strings", texts)))


def _composite(condition: Condition, text: str) -> Test:
    parameter = condition.parameter
    parts, place = parts_of(parameter, text)
    token = token_of(parameter, [unescape(part) for part in split_values(parts[place], "|")])
    tests = []
    for number, component in enumerate(parameter.bases[0]["components"]):
        if number != place:
            compare = comparing.MAKERS[component["kind"]](parts[number], None, comparing.part_of(parameter, number))
            keys, system = keys_of(parameter, number, token)
            if system is not None:
                compare = _beside(compare, system)
            tests.append(_over(_MEMBERS[component["kind"]], tuple(keys), [compare]))
    return lambda facts: all(test(facts) for test in tests)


def _beside(compare: Compare, system: int) -> Compare:
    """And the row of a pair is of a code of this system."""
    return lambda row: row[-1] == system and compare(row)
