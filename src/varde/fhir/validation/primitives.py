"""Checks of primitive values: JSON type, the specification's pattern, the calendar. One check a type."""

from __future__ import annotations

import binascii
import re
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from varde.fhir import structure
from varde.fhir.validation.walk import Check, Fault, Faults, Walk

_INTEGERS = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
MAXIMUM_STRING = 1024 * 1024
"""Characters of a string (R4 datatypes.html#string: 1 MB). XHTML has no such limit."""


@cache
def check_of(kind: str) -> Check:
    """The check of a primitive type."""
    if kind == "boolean":
        return _boolean
    if kind in _INTEGERS:
        return _integer(*_INTEGERS[kind])
    if kind == "decimal":
        return _decimal
    if kind in {"date", "dateTime", "instant"}:
        return _date(kind)
    if kind == "base64Binary":
        return _base64
    if kind in {"string", "markdown"}:
        return _string
    if kind == "xhtml":
        return lambda value, holder, walk: _no_text(value, "xhtml")
    return _pattern(kind)


def _boolean(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    return None if type(value) is bool else [Fault("structure", "must be true or false")]


def _integer(low: int, high: int) -> Check:
    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is int and low <= value <= high:
            return None
        return [Fault("value", f"must be a whole number from {low} to {high}")]

    return check


def _decimal(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    if type(value) is float or (isinstance(value, float | int | Decimal) and value is not True and value is not False):
        return None
    return [Fault("structure", "must be a number")]


def _no_text(value: Any, kind: str) -> Faults:
    """The fault that any string may have; None for none."""
    if type(value) is not str:
        return [Fault("structure", f"must be a string ({kind})")]
    if not value or value.isspace():
        return [Fault("value", "a string may not be empty")]
    if _CONTROL.search(value):
        return [Fault("value", "a string may not have control characters other than tab and line ends")]
    if len(value) > MAXIMUM_STRING and kind != "xhtml":
        return [Fault("value", f"a string has at most {MAXIMUM_STRING} characters")]
    return None


def _string(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    if type(value) is str and value.isprintable() and value[:1] not in {" ", ""} and len(value) < MAXIMUM_STRING:
        return None
    return _no_text(value, "string")


def _pattern(kind: str) -> Check:
    # ASCII: to the specification only space, tab and line ends are white space
    regex = structure.regex_of(kind)
    matches = re.compile(regex, re.ASCII).fullmatch if regex else None

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is str and value and value.isprintable() and (matches is None or matches(value)):
            return None
        return _no_text(value, kind) or (
            [Fault("value", f"is not a valid {kind}")] if matches is not None and not matches(value) else None
        )

    return check


def _date(kind: str) -> Check:
    matches = re.compile(str(structure.regex_of(kind)), re.ASCII).fullmatch

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is not str or not matches(value):
            return _no_text(value, kind) or [Fault("value", f"is not a valid {kind}")]
        if len(value) >= 10:
            try:
                date.fromisoformat(value[:10])
            except ValueError:
                return [Fault("value", "is no day of the calendar")]
        return None

    return check


def _base64(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    if type(value) is not str or not value or value.isspace():
        return _no_text(value, "base64Binary")
    try:
        binascii.a2b_base64("".join(value.split()) if not value.isalnum() else value, strict_mode=True)
    except (binascii.Error, ValueError):
        return [Fault("value", "must be base64")]
    return None
