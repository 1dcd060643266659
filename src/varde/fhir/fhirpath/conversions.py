"""FHIRPath's functions on one text or number, and the conversions (FHIRPath 5.5 to 5.7)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from varde.fhir.fhirpath import operators
from varde.fhir.fhirpath.navigate import decimal_of
from varde.fhir.fhirpath.syntax import FhirPathError, Tree
from varde.fhir.fhirpath.values import Node, Quantity, Temporal

if TYPE_CHECKING:
    from varde.fhir.fhirpath.compiler import Compiler, Frame, Items, Step

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*(?:'([^']+)'|([a-z]+))?", re.ASCII)
_OF_NOTHING = frozenset({"startsWith", "endsWith", "contains", "matches"})
_MAXIMUM_TEXT = 1_000_000

Work = Callable[..., Any]
"""Of the input's value and the arguments' values; None for empty."""


def maker(work: Work) -> Callable[[Compiler, tuple[Tree, ...]], Step]:
    """A function of one value: empty for nothing, or where an argument is nothing."""

    def make(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
        steps = [compiler.step(argument) for argument in arguments]
        name = next(n for n, (w, _) in FUNCTIONS.items() if w is work)
        nothing = [False] if compiler.of_constraints and name in _OF_NOTHING else []
        judge = FUNCTIONS["matchesFull"][0] if compiler.of_constraints and name == "matches" else work

        def step(focus: Items, frame: Frame) -> Items:
            value = operators.one(focus)
            if value is None:
                return list(nothing)
            given = [operators.one(s(frame.this, frame)) for s in steps]
            if None in given:
                return []
            found = judge(value, *given)
            return found if isinstance(found, list) else [] if found is None else [found]

        return step

    return make


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FhirPathError("a text is expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FhirPathError("a whole number is expected")
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise FhirPathError("a number is expected")
    return decimal_of(value)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        raise FhirPathError("not a regular expression") from None


def _substring(value: Any, start: Any, length: Any = None) -> str | None:
    text, begin = _text(value), _whole(start)
    if not 0 <= begin < len(text):
        return None
    return text[begin:] if length is None else text[begin : begin + max(0, _whole(length))]


def _replaced(value: Any, pattern: Any, by: Any) -> str:
    substitution = re.sub(r"\$(\d+|\{\w+\})", lambda m: rf"\g<{m[1].strip('{}')}>", _text(by).replace("\\", "\\\\"))
    found = _pattern(_text(pattern)).sub(substitution, _text(value))
    if len(found) > _MAXIMUM_TEXT:
        raise FhirPathError("the text grows too long")
    return found


def as_text(value: Any) -> str | None:
    """`toString()`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Temporal):
        return value.text
    if isinstance(value, Quantity):
        return f"{value.value} '{value.unit}'"
    if isinstance(value, str | int):
        return str(value)
    return format(decimal_of(value), "f") if isinstance(value, float | Decimal) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, Node):
        return None
    text = str(as_text(value)).lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool | int):
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII) else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, int | float | Decimal):
        return decimal_of(value)
    matched = isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,60}(\.[0-9]{1,60})?", value, re.ASCII)
    return Decimal(value) if matched else None


def _temporal(kind: str) -> Work:
    def convert(value: Any) -> Temporal | None:
        if isinstance(value, Temporal):
            if (value.kind == "time") != (kind == "time"):
                return None
            return Temporal.read(kind, value.text.partition("T")[0] if kind == "date" else value.text)
        text = value.partition("T")[0] if isinstance(value, str) and kind == "date" else value
        return Temporal.read(kind, text.removeprefix("T")) if isinstance(text, str) else None

    return convert


def _quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        return Quantity(Decimal(match[1]), match[2] or match[3] or "1") if match else None
    number = _decimal(value)
    return None if number is None else Quantity(number, "1")


def _round(value: Any, digits: Any = 0) -> Decimal:
    return _number(value).quantize(Decimal(1).scaleb(-_whole(digits)), ROUND_HALF_UP)


def _power(value: Any, exponent: Any) -> Any:
    base, power = _number(value), _number(exponent)
    if abs(power) > 1000 or (base < 0 and power != int(power)):
        return None
    found = base**power
    return int(found) if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0 else found


def _root(value: Any) -> Decimal | None:
    return _number(value).sqrt() if _number(value) >= 0 else None


def _absolute(value: Any) -> Any:
    return Quantity(abs(value.value), value.unit) if isinstance(value, Quantity) else abs(value)


_CONVERSIONS: dict[str, Work] = {
    "Boolean": _boolean, "Integer": _integer, "Decimal": _decimal, "String": as_text, "Date": _temporal("date"),
    "DateTime": _temporal("dateTime"), "Time": _temporal("time"), "Quantity": _quantity,
}  # fmt: skip


def _convertible(convert: Work) -> Work:
    return lambda value: convert(value) is not None


FUNCTIONS: dict[str, tuple[Work, tuple[int, int]]] = {
    "startsWith": (lambda v, p: _text(v).startswith(_text(p)), (1, 1)),
    "endsWith": (lambda v, p: _text(v).endswith(_text(p)), (1, 1)),
    "contains": (lambda v, p: _text(p) in _text(v), (1, 1)),
    "matches": (lambda v, p: _pattern(_text(p)).search(_text(v)) is not None, (1, 1)),
    "matchesFull": (lambda v, p: _pattern(_text(p)).fullmatch(_text(v)) is not None, (1, 1)),
    "replaceMatches": (_replaced, (2, 2)),
    "replace": (lambda v, p, by: _text(v).replace(_text(p), _text(by)), (2, 2)),
    "substring": (_substring, (1, 2)),
    "indexOf": (lambda v, p: _text(v).find(_text(p)), (1, 1)),
    "length": (lambda v: len(_text(v)), (0, 0)),
    "upper": (lambda v: _text(v).upper(), (0, 0)),
    "lower": (lambda v: _text(v).lower(), (0, 0)),
    "trim": (lambda v: _text(v).strip(), (0, 0)),
    "toChars": (lambda v: list(_text(v)), (0, 0)),
    "split": (lambda v, p: _text(v).split(_text(p)) if p else list(_text(v)), (1, 1)),
    "abs": (_absolute, (0, 0)),
    "ceiling": (lambda v: math.ceil(_number(v)), (0, 0)),
    "floor": (lambda v: math.floor(_number(v)), (0, 0)),
    "truncate": (lambda v: math.trunc(_number(v)), (0, 0)),
    "round": (_round, (0, 1)),
    "sqrt": (_root, (0, 0)),
    "power": (_power, (1, 1)),
    "exp": (lambda v: _number(v).exp(), (0, 0)),
    "ln": (lambda v: _number(v).ln() if _number(v) > 0 else None, (0, 0)),
    "log": (lambda v, b: _number(v).ln() / _number(b).ln() if _number(v) > 0 and _number(b) > 1 else None, (1, 1)),
    **{f"to{name}": (convert, (0, 0)) for name, convert in _CONVERSIONS.items()},
    **{f"convertsTo{name}": (_convertible(convert), (0, 0)) for name, convert in _CONVERSIONS.items()},
}
