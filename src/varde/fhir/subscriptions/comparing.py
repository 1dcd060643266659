"""One value that was asked for against one row of a resource's search values: what `fhir/search/comparing.py` says in
SQL, said in Python. Pure. `tests/fhir/subscriptions/test_criteria.py` holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varde.fhir.definitions import SearchParameter, resource_types
from varde.fhir.errors import BadRequest
from varde.fhir.search.comparing import dates, split_prefix, urls_above
from varde.fhir.search.fold import fold
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.references import reference_keys
from varde.fhir.search.values import base_key, clipped, number_range, system_key
from varde.fhir.ucum import SYSTEM as UCUM
from varde.fhir.ucum import Unit, unit

Row = tuple[Any, ...]
Compare = Callable[[Row], bool]


def token(text: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    """`code`, `system|code`, `|code` or `system|`."""
    parts = split_values(text, "|")
    if len(parts) > 2 or (len(parts) == 2 and not any(parts)):
        raise BadRequest.of("a token is written code, system|code, |code or system|")
    if len(parts) == 1:
        code = clipped(unescape(parts[0]))
        return lambda row: row[2] == code
    named = unescape(parts[0])
    systems = {system_key(named), *([0] if named in parameter.systems else [])}
    if not parts[1]:
        return lambda row: row[1] in systems
    wanted = clipped(unescape(parts[1]))
    return lambda row: row[2] == wanted and row[1] in systems


def text(wanted: str) -> Compare:
    """The display text of a token."""
    return _prefix_of(fold(unescape(wanted)))


def of_type(wanted: str) -> Compare:
    """`system|code|value` of an identifier."""
    parts = split_values(wanted, "|")
    if len(parts) != 3 or not all(parts):
        raise BadRequest.of(":of-type is written system|code|value")
    both = (system_key(unescape(parts[0])), clipped(f"{unescape(parts[1])}|{unescape(parts[2])}"))
    return lambda row: (row[1], row[2]) == both


def targets(wanted: str, parameter: SearchParameter) -> list[int]:
    """The keys of what a reference may mean."""
    return reference_keys(unescape(wanted), parameter.targets)


def _reference(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    keys = frozenset(targets(wanted, parameter))
    return lambda row: row[1] in keys


def _prefix_of(start: str) -> Compare:
    return lambda row: row[1].startswith(start)


def _string(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    plain = unescape(wanted)
    folded = fold(plain)
    if modifier == "exact":
        return lambda row: (row[1], row[2]) == (folded, plain[:500])
    if modifier == "contains":
        return lambda row: folded in row[1]
    return _prefix_of(folded)


def _uri(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    plain = clipped(unescape(wanted))
    if modifier and not plain.lower().startswith(("http:", "https:")):
        modifier = None
    if modifier == "below":
        return _prefix_of(plain)
    if modifier == "above":
        above = frozenset(urls_above(plain))
        return lambda row: row[1] in above
    return lambda row: row[1] == plain


def _prefix(wanted: str) -> tuple[str, str]:
    prefix, rest = split_prefix(wanted)
    if prefix == "ap":
        raise BadRequest.of("criteria do not ask for what is near", code="not-supported")
    return prefix, rest


def _date(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    prefix, rest = _prefix(wanted)
    x, y = dates(rest)
    tests: dict[str, Compare] = {
        "eq": lambda row: row[1] >= x and row[2] <= y,
        "ne": lambda row: row[1] < x or row[2] > y,
        "gt": lambda row: row[2] > y,
        "lt": lambda row: row[1] < x,
        "ge": lambda row: row[2] > x and (row[2] > y or row[1] >= x),
        "le": lambda row: row[1] < y and (row[1] < x or row[2] <= y),
        "sa": lambda row: row[1] >= y,
        "eb": lambda row: row[2] <= x,
    }
    return tests[prefix]


def _figures(prefix: str, wanted: str, converted: Unit | None = None) -> Callable[[float, float], bool]:
    try:
        low, high = number_range(wanted)
        at = float(wanted)
    except (ValueError, OverflowError):
        raise BadRequest.of("not a number") from None
    if converted is not None:
        low, high, at = converted.base(low), converted.base(high), converted.base(at)
    tests: dict[str, Callable[[float, float], bool]] = {
        "eq": lambda a, b: a >= low and b < high,
        "ne": lambda a, b: not (a >= low and b < high),
        "gt": lambda a, b: b > at,
        "ge": lambda a, b: b >= at,
        "lt": lambda a, b: a < at,
        "le": lambda a, b: a <= at,
        "sa": lambda a, b: a > at,
        "eb": lambda a, b: b < at,
    }
    return tests[prefix]


def _number(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    figures = _figures(*_prefix(wanted))
    return lambda row: figures(row[1], row[2])


def _quantity(wanted: str, modifier: str | None, parameter: SearchParameter) -> Compare:
    parts = split_values(wanted, "|")
    if len(parts) not in {1, 3}:
        raise BadRequest.of("a quantity is written number or number|system|code")
    prefix, rest = _prefix(parts[0])
    own = _figures(prefix, rest)
    if len(parts) == 1 or not any(parts[1:]):
        return lambda row: own(row[1], row[2])
    system, code = unescape(parts[1]), unescape(parts[2])[:200]
    key = system_key(system)
    if not code:
        return lambda row: own(row[1], row[2]) and row[3] == key
    converted = unit(unescape(parts[2])) if system == UCUM else None
    if converted is not None:
        base, figures = base_key(converted), _figures(prefix, rest, converted)
        return lambda row: row[6] == base and figures(row[7], row[8])
    if not system:
        return lambda row: own(row[1], row[2]) and code in (row[4], row[5])
    return lambda row: own(row[1], row[2]) and row[4] == code and row[3] == key


MAKERS: dict[str, Callable[[str, str | None, SearchParameter], Compare]] = {
    "token": token, "reference": _reference, "string": _string, "uri": _uri, "date": _date, "number": _number,
    "quantity": _quantity,
}  # fmt: skip


def part_of(parameter: SearchParameter, number: int) -> SearchParameter:
    """A component of a composite as a parameter of its own: a reference's possible targets are every type."""
    component = parameter.bases[0]["components"][number]
    return SearchParameter(parameter.code, component["kind"], "", resource_types(), 0, ())
