"""Fixed values and patterns (elementdefinition.html): the same to the letter, or at least what the pattern has."""

from __future__ import annotations

from typing import Any


def is_fixed(value: Any, fixed: Any) -> bool:
    """Whether the value is the same, in all its members."""
    if isinstance(fixed, bool) or isinstance(value, bool):
        return value is fixed
    return bool(value == fixed)


def has_pattern(value: Any, pattern: Any) -> bool:
    """Whether the value has at least what the pattern has; of a list, each item of the pattern somewhere in it."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(n in value and has_pattern(value[n], p) for n, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(has_pattern(v, p) for v in value) for p in pattern)
    return is_fixed(value, pattern)


def at(value: Any, steps: list[str]) -> list[Any]:
    """What stands in a pattern at the end of the steps."""
    found = [value]
    for step in steps:
        inner = [v[step] for v in found if isinstance(v, dict) and step in v]
        found = [one for v in inner for one in (v if isinstance(v, list) else [v])]
    return found
