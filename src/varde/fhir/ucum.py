"""Units of UCUM: what a unit is in base units, so that 5.4 mg and 0.0054 g are the same. Pure.

Reads UCUM's case-sensitive expressions: terms joined by `.` and `/`, parentheses, exponents, prefixes on metric units,
numbers and annotations in braces. An arbitrary unit ([IU]) converts to itself only; logarithmic ones to nothing.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SYSTEM = "http://unitsofmeasure.org"
_FILE = Path(__file__).parent / "definitions" / "units.json"
_PLAIN = re.compile(r"(?P<number>[0-9]+)|(?P<symbol>(?:[^\[\].()/{}0-9+\-]|\[[^\]]*\]|10[*^])+)")
_EXPONENT = re.compile(r"[+-]?[0-9]+")
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_DEPTH = 20
_DIGITS = 12
"""Significant figures kept: the same amount written in two units is the same number."""


@dataclass(frozen=True, slots=True)
class Unit:
    """base = (value + offset) * factor."""

    factor: float
    dimension: str
    """Which units it can be compared with."""
    offset: float = 0.0

    def base(self, value: float) -> float:
        """`value` of this unit, in base units."""
        made = (value + self.offset) * self.factor
        return float(f"{made:.{_DIGITS}g}") if math.isfinite(made) else made


@dataclass(slots=True)
class _Term:
    factor: float
    dimension: dict[Any, int]
    offset: float = 0.0

    def times(self, other: _Term, sign: int) -> _Term:
        dimension = dict(self.dimension)
        for name, power in other.dimension.items():
            dimension[name] = dimension.get(name, 0) + sign * power
        return _Term(self.factor * other.factor**sign, dimension)

    def raised(self, exponent: int) -> _Term:
        return _Term(self.factor**exponent, {n: p * exponent for n, p in self.dimension.items()})


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    if not _FILE.exists():
        raise RuntimeError("the units are not built: run 'python -m varde.fhir.building.build'")
    loaded: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return loaded


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit | None:
    """What `code` is; None when it is no unit of UCUM, or none that a factor converts."""
    if not code or len(code) > 100:
        return None
    try:
        term, end = _expression(code, 0, 0)
        if end != len(code) or not math.isfinite(term.factor) or term.factor <= 0:
            return None
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    named = sorted((str(name), power) for name, power in term.dimension.items() if power)
    return Unit(term.factor, " ".join(f"{name}^{power}" for name, power in named), term.offset)


def _expression(text: str, at: int, depth: int) -> tuple[_Term, int]:
    """The product that begins at `at`, and where it ends: at the text's end or a closing parenthesis."""
    if depth > _DEPTH:
        raise ValueError
    sign = 1
    if text[at : at + 1] == "/":
        sign, at = -1, at + 1
    term, at = _component(text, at, depth)
    alone = sign == 1
    product = term if alone else _Term(1.0, {}).times(term, sign)
    while at < len(text) and text[at] in "./":
        sign = 1 if text[at] == "." else -1
        term, at = _component(text, at + 1, depth)
        product = product.times(term, sign)
    return product, at


def _component(text: str, at: int, depth: int) -> tuple[_Term, int]:
    annotated = _ANNOTATION.match(text, at)
    if annotated:
        return _Term(1.0, {}), annotated.end()
    if text[at : at + 1] == "(":
        term, at = _expression(text, at + 1, depth + 1)
        if text[at : at + 1] != ")":
            raise ValueError
        at += 1
    else:
        found = _PLAIN.match(text, at)
        if not found:
            raise ValueError
        if text.startswith(("10*", "10^"), at):
            term, at = _Term(10.0, {}), at + 3
        elif found["number"]:
            term, at = _Term(float(found["number"]), {}), found.end()
            return term, _after(text, at)
        else:
            term, at = _atom(found["symbol"]), found.end()
    power = _EXPONENT.match(text, at)
    if power:
        exponent = int(power[0])
        if not -30 <= exponent <= 30:
            raise ValueError
        term, at = term.raised(exponent), power.end()
    return term, _after(text, at)


def _after(text: str, at: int) -> int:
    annotated = _ANNOTATION.match(text, at)
    return annotated.end() if annotated else at


def _atom(symbol: str) -> _Term:
    units = _table()["units"]
    row = units.get(symbol)
    if row is not None:
        return _term(row, 1.0)
    for prefix, factor in _table()["prefixes"].items():
        if symbol.startswith(prefix):
            row = units.get(symbol[len(prefix) :])
            if row is not None and row[2]:
                return _term(row, factor)
    raise ValueError


def _term(row: Any, prefix: float) -> _Term:
    magnitude, vector, _, offset = row
    if magnitude is None or (offset and prefix != 1.0):
        raise ValueError
    dimension: dict[Any, int] = {n: p for n, p in enumerate(vector[:9]) if p}
    if len(vector) > 9:
        dimension = {vector[9]: 1}
    return _Term(magnitude * prefix, dimension, offset)
