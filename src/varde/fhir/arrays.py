"""Columns of many rows as array literals of PostgreSQL: sent as one text each, they cost a fifth of what the driver
takes to encode an array element by element. For statements that write many rows. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_AS_LITERAL = {"int", "bigint", "smallint", "float8", "boolean", "text", "uuid"}


def placed(placeholder: str, datatype: str) -> str:
    """`placeholder` as an array of `datatype`: SQL for what `column` makes of the values."""
    return f"{placeholder}::text::{datatype}[]" if datatype in _AS_LITERAL else f"{placeholder}::{datatype}[]"


def column(values: Sequence[Any], datatype: str) -> Any:
    """The values of a column, None for null, as they are sent for `placed`."""
    if datatype in {"text", "uuid"}:
        return texts(values)
    if datatype in _AS_LITERAL:
        return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"
    return values


def texts(values: Sequence[str | None]) -> str:
    """The literal of an array of texts, None for null."""
    if not values:
        return "{}"
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "{" + ",".join(["NULL" if value is None else texts([value])[1:-1] for value in values]) + "}"
    joined = '","'.join(known)
    if "\\" in joined or joined.count('"') != 2 * len(known) - 2:
        joined = '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in known])
    return '{"' + joined + '"}'
