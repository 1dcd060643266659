"""The index tables of migrations 0010 and 0013, as the statements that fill them need them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from varde.fhir.arrays import column, placed


@dataclass(frozen=True, slots=True)
class Table:
    """An index table: what it takes of the resource's own columns, and the columns of a row with their types."""

    name: str
    rows: str
    own: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Datatypes of a row's columns."""
        return tuple(datatype for _, datatype in self.columns)


TABLES = (
    Table("index_token", "tokens", ("rid", "patient", "date", "bucket"),
           (("param", "int"), ("system", "bigint"), ("code", "text"))),
    Table("index_reference", "references", ("rid", "patient", "date", "bucket"),
           (("param", "int"), ("target", "bigint"), ("target_type", "smallint"), ("form", "text"))),
    Table("index_string", "strings", ("rid", "patient", "bucket"),
           (("param", "int"), ("value", "text"), ("exact", "text"))),
    Table("index_date", "dates", ("rid", "patient", "bucket"),
           (("param", "int"), ("low", "timestamptz"), ("high", "timestamptz"))),
    Table("index_quantity", "quantities", ("rid", "patient", "bucket"),
           (("param", "int"), ("low", "float8"), ("high", "float8"), ("system", "bigint"), ("code", "text"),
           ("unit", "text"), ("base", "int"), ("base_low", "float8"), ("base_high", "float8"),
           ("token_system", "bigint"))),
    Table("index_uri", "uris", ("rid", "patient", "bucket"), (("param", "int"), ("value", "text"))),
)  # fmt: skip


_FOUND = {"index_token": ("param", "code", "date", "rid", "system"),
          "index_reference": ("param", "target", "date", "rid"),
          "index_string": ("param", "value", "rid", "exact"), "index_date": ("param", "low", "rid", "high"),
          "index_quantity": ("param", "low", "rid", "high", "system", "code"),
          "index_uri": ("param", "value", "rid")}  # fmt: skip
"""The columns by which an old row is found again, those of an index first: there is no index by rid alone."""


def old_rows(table: Table, placeholders: Sequence[str]) -> tuple[str, str]:
    """(relation `x` of old rows, condition that a row `t` is one of them). The placeholders: rid, date, columns."""
    types = ["bigint", "timestamptz", *(datatype for _, datatype in table.columns)]
    arrays = ", ".join(placed(place, datatype) for place, datatype in zip(placeholders, types, strict=True))
    names = ", ".join(("rid", "date", *(name for name, _ in table.columns)))
    same = " and ".join(f"t.{name} = x.{name}" for name in _FOUND[table.name])
    if table.name == "index_quantity":
        same += " and t.token_system is not distinct from x.token_system"
    return f"unnest({arrays}) as x({names})", same


class Columns:
    """Rows on their way to a statement, which takes them as columns."""

    __slots__ = ("_first", "_rows")

    def __init__(self) -> None:
        self._first: list[list[Any]] = []
        self._rows: list[tuple[Any, ...]] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def append(self, rows: Collection[tuple[Any, ...]], *first: Any) -> None:
        """Take rows, each led by `first`."""
        if not rows:
            return
        self._rows += rows
        self._first = self._first or [[] for _ in first]
        for values, value in zip(self._first, first, strict=True):
            values += [value] * len(rows)

    def sent(self, types: Sequence[str]) -> list[Any]:
        """The columns as they are sent."""
        columns = (*self._first, *zip(*self._rows, strict=True))
        return [column(values, datatype) for values, datatype in zip(columns, types, strict=True)]
