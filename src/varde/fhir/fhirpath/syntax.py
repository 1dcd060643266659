"""The tree of a FHIRPath expression. How text becomes one is in `parser.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class FhirPathError(ValueError):
    """The expression is no FHIRPath, or cannot be evaluated on what it was given. Tells no values."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: what it stands for, as a collection of system values."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index` or `$total`."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`source.name`; without a source a member of the focus."""

    source: Tree | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`source.name(arguments)`."""

    source: Tree | None
    name: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Indexer:
    """`source[index]`."""

    source: Tree
    index: Tree


@dataclass(frozen=True, slots=True)
class Unary:
    """`+x` or `-x`."""

    operator: str
    operand: Tree


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`."""

    operator: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`source is Type` or `source as Type`; `type` may be qualified (`FHIR.Patient`)."""

    operator: str
    source: Tree
    type: str


Tree = Literal | Variable | Special | Member | Call | Indexer | Unary | Binary | TypeTest
