"""What FHIRPath's operators do with collections (FHIRPath 2.0, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from varde.fhir.fhirpath.navigate import decimal_of, system_value
from varde.fhir.fhirpath.syntax import FhirPathError
from varde.fhir.fhirpath.values import Node, Quantity, Temporal

Items = list[Any]


def one(items: Items) -> Any:
    """The system value of the one item; None of none. Raises FhirPathError for more."""
    if len(items) > 1:
        raise FhirPathError("one item is expected where there are more")
    return system_value(items[0]) if items else None


def truth(items: Items) -> bool | None:
    """What a collection is as a boolean: one item that is none counts as true (FHIRPath 4.5); empty is None."""
    if not items:
        return None
    value = one(items)
    return value if isinstance(value, bool) else True


def same(a: Any, b: Any) -> bool | None:
    """Whether two items are equal; None when that is not known."""
    a, b = system_value(a), system_value(b)
    if type(a) is str and type(b) is str:
        return a == b
    if isinstance(a, Node) or isinstance(b, Node):
        return isinstance(a, Node) and isinstance(b, Node) and a.value == b.value and a.extra == b.extra
    if isinstance(a, Temporal) or isinstance(b, Temporal):
        return _same_time(a, b)
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        pair = a.comparable(b)
        return None if pair is None else pair[0] == pair[1]
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, float) or isinstance(b, float):
        return _is_number(a) and _is_number(b) and decimal_of(a) == decimal_of(b)
    return bool(a == b)


def _same_time(a: Any, b: Any) -> bool | None:
    a, b = _temporal(a, b), _temporal(b, a)
    if not (isinstance(a, Temporal) and isinstance(b, Temporal)):
        return False
    order = a.compare(b)
    return None if order is None else order == 0


def _temporal(value: Any, other: Any) -> Any:
    """A text beside a date is read as one."""
    if isinstance(value, str) and isinstance(other, Temporal):
        return Temporal.read("time" if other.kind == "time" else "dateTime", value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def equal(left: Items, right: Items) -> Items:
    """`=`."""
    if not left or not right:
        return []
    if len(left) != len(right):
        return [False]
    known = True
    for a, b in zip(left, right, strict=True):
        found = same(a, b)
        if found is False:
            return [False]
        known = known and found is True
    return [True] if known else []


def unequal(left: Items, right: Items) -> Items:
    """`!=`."""
    return [not value for value in equal(left, right)]


def alike(a: Any, b: Any) -> bool:
    """Whether two items are equivalent: texts without regard to case and white space, unknown is no."""
    a, b = system_value(a), system_value(b)
    if isinstance(a, str) and isinstance(b, str):
        return " ".join(a.lower().split()) == " ".join(b.lower().split())
    if _is_number(a) and _is_number(b):
        digits = min(_digits(a), _digits(b))
        return round(decimal_of(a), digits) == round(decimal_of(b), digits)
    return same(a, b) is True


def _digits(number: Any) -> int:
    exponent = decimal_of(number).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def equivalent(left: Items, right: Items) -> Items:
    """`~`: the same items in any order."""
    if len(left) != len(right):
        return [False]
    rest = list(right)
    for a in left:
        place = next((n for n, b in enumerate(rest) if alike(a, b)), None)
        if place is None:
            return [False]
        del rest[place]
    return [True]


def order(left: Items, right: Items) -> int | None:
    """-1, 0, 1, or None when it is not known. Raises FhirPathError for what has no order."""
    if not left or not right:
        return None
    a, b = one(left), one(right)
    if a is None or b is None:
        return None
    a, b = _temporal(a, b), _temporal(b, a)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        return a.compare(b)
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        pair = a.comparable(b)
        return None if pair is None else (pair[0] > pair[1]) - (pair[0] < pair[1])
    if _is_number(a) and _is_number(b):
        a, b = decimal_of(a), decimal_of(b)
    elif not (isinstance(a, str) and isinstance(b, str)):
        if a is None or b is None:
            return None
        raise FhirPathError("what is compared has no common order")
    return int(a > b) - int(a < b)


def _ordered(test: Callable[[int], bool]) -> Callable[[Items, Items], Items]:
    def compare(left: Items, right: Items) -> Items:
        found = order(left, right)
        return [] if found is None else [test(found)]

    return compare


def contains(items: Items, wanted: Any) -> bool:
    """Whether an item equal to `wanted` is among the items."""
    value = system_value(wanted)
    return any(same(item, value) is True for item in items)


def within(left: Items, right: Items) -> Items:
    """`in`."""
    if not left:
        return []
    if len(left) > 1:
        raise FhirPathError("one item is expected before 'in'")
    return [contains(right, left[0])]


def distinct(items: Items) -> Items:
    """The items, each once."""
    found: Items = []
    for item in items:
        if not contains(found, item):
            found.append(item)
    return found


def is_distinct(items: Items) -> bool:
    """Whether no two items are equal. Linear for texts and numbers: a code system may have thousands."""
    values = [system_value(item) for item in items]
    if all(type(v) is str for v in values) or all(type(v) is int for v in values):
        return len(set(values)) == len(values)
    return len(distinct(items)) == len(items)


def exclusive(left: Items, right: Items) -> Items:
    """`xor`."""
    a, b = truth(left), truth(right)
    return [] if a is None or b is None else [a is not b]


def concatenated(left: Items, right: Items) -> Items:
    """`&`."""
    return [text(left) + text(right)]


def text(items: Items) -> str:
    """The one item as text, '' of none."""
    value = one(items)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FhirPathError("only texts are put together")
    return value


def negative(items: Items) -> Items:
    """`-x`."""
    value = one(items)
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(-value.value, value.unit)]
    if not _is_number(value):
        raise FhirPathError("only numbers have a sign")
    return [-value]


def _arithmetic(operator: str) -> Callable[[Items, Items], Items]:
    def compute(left: Items, right: Items) -> Items:
        a, b = one(left), one(right)
        if a is None or b is None:
            return []
        if operator == "+" and isinstance(a, str) and isinstance(b, str):
            return [a + b]
        if isinstance(a, Temporal) and isinstance(b, Quantity):
            from varde.fhir.fhirpath.calendar import moved

            return moved(a, b, 1 if operator == "+" else -1) if operator in "+-" else []
        if isinstance(a, Quantity) and isinstance(b, Quantity) and operator in "+-":
            if a.unit != b.unit:
                return []
            return [Quantity(a.value + b.value if operator == "+" else a.value - b.value, a.unit)]
        if not (_is_number(a) and _is_number(b)):
            raise FhirPathError(f"'{operator}' takes numbers")
        return _number(operator, a, b)

    return compute


def _number(operator: str, a: Any, b: Any) -> Items:
    if operator in {"/", "div", "mod"} and not b:
        return []
    if operator == "/":
        return [decimal_of(a) / decimal_of(b)]
    if operator in {"div", "mod"}:
        x, y = decimal_of(a), decimal_of(b)
        whole = int(x / y)
        rest = x - y * whole
        return [whole] if operator == "div" else [int(rest) if isinstance(a, int) and isinstance(b, int) else rest]
    if not (isinstance(a, int) and isinstance(b, int)):
        a, b = decimal_of(a), decimal_of(b)
    return [a + b if operator == "+" else a - b if operator == "-" else a * b]


def _perhaps(test: Callable[[int], bool]) -> Callable[[Items, Items], Items]:
    """`<=` and `>=` of constraints: dates whose precisions leave the order open do not break one (per-1)."""

    def compare(left: Items, right: Items) -> Items:
        found = order(left, right)
        if found is None:
            both = [system_value(i) for i in (*left, *right)]
            return [True] if len(both) == 2 and all(isinstance(v, Temporal) for v in both) else []
        return [test(found)]

    return compare


BINARY: dict[str, Callable[[Items, Items], Items]] = {
    "=": equal, "!=": unequal, "~": equivalent, "!~": lambda a, b: [not v for v in equivalent(a, b)],
    "<": _ordered(lambda o: o < 0), "<=": _ordered(lambda o: o <= 0),
    ">": _ordered(lambda o: o > 0), ">=": _ordered(lambda o: o >= 0),
    "in": within, "contains": lambda a, b: within(b, a), "|": lambda a, b: distinct(a + b),
    "xor": exclusive, "&": concatenated,
    **{o: _arithmetic(o) for o in ("+", "-", "*", "/", "div", "mod")},
}  # fmt: skip
"""What needs both sides; `and`, `or` and `implies` are the compiler's, since they may leave one out."""
OF_CONSTRAINTS = {**BINARY, "<=": _perhaps(lambda o: o <= 0), ">=": _perhaps(lambda o: o >= 0)}
