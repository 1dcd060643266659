"""The index tables of migrations 0010 and 0013, as the statements that fill them need them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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
          "index_quantity": ("param", "low", "rid", "high", "system", "code", "token_system"),
          "index_uri": ("param", "value", "rid")}  # fmt: skip
"""The columns by which an old row is found again, those of an index first: there is no index by rid alone."""


def old_rows(table: Table, placeholders: Sequence[str]) -> tuple[str, str]:
    """(relation `x` of old rows, condition that a row `t` is one of them). The placeholders: rid, date, columns."""
    types = ["bigint", "timestamptz", *(datatype for _, datatype in table.columns)]
    arrays = ", ".join(placed(place, datatype) for place, datatype in zip(placeholders, types, strict=True))
    names = ", ".join(("rid", "date", *(name for name, _ in table.columns)))
    same = " and ".join(f"t.{name} = x.{name}" for name in _FOUND[table.name])
    return f"unnest({arrays}) as x({names})", same


def sent(rows: Sequence[tuple[Any, ...]], types: Sequence[str]) -> list[Any]:
    """The columns of rows, as they are sent."""
    return [column(values, datatype) for values, datatype in zip(zip(*rows, strict=True), types, strict=True)]
