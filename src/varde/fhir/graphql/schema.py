"""The schema: every resource type, datatype and nested element of R4, made of the built definitions, once a process.

What fields give is `resolving.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    ValueNode,
    specified_directives,
)
from graphql.language import BooleanValueNode, EnumValueNode, FloatValueNode, IntValueNode, StringValueNode

from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.graphql import resolving
from varde.fhir.graphql.shapes import Member, members, reverse, type_of_name

_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_]*", re.ASCII)
SLICE = "_slice"
"""A field that `shaping.py` adds where @slice is asked for."""
_RESULT = ("_count", "_sort", "_total", "_cursor")
_CONNECTION = {
    "count": GraphQLInt, "offset": GraphQLInt, "pagesize": GraphQLInt, "first": GraphQLID, "previous": GraphQLID,
    "next": GraphQLID, "last": GraphQLID,
}  # fmt: skip
_SCALARS: dict[str, GraphQLScalarType] = {
    "boolean": GraphQLBoolean, "string": GraphQLString, "integer": GraphQLInt, "positiveInt": GraphQLInt,
    "unsignedInt": GraphQLInt,
}  # fmt: skip


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise GraphQLError("a search value is a text, a number, true, false or a code")


def _literal_as_text(node: ValueNode, variables: Mapping[str, Any] | None = None) -> str:
    if isinstance(node, BooleanValueNode):
        return "true" if node.value else "false"
    if isinstance(node, EnumValueNode | StringValueNode | IntValueNode | FloatValueNode):
        return node.value
    raise GraphQLError("a search value is a text, a number, true, false or a code")


SEARCH_VALUE = GraphQLScalarType(
    "SearchValue", parse_value=_as_text, parse_literal=_literal_as_text,
    description="A value of a search parameter: a text, a number, true, false or a code without quotes.",
)  # fmt: skip


@cache
def _scalar(name: str) -> GraphQLScalarType:
    return _SCALARS.get(name) or GraphQLScalarType(name, description=f"FHIR's primitive type {name}")


def _argument(description: str, kind: Any = GraphQLString) -> GraphQLArgument:
    return GraphQLArgument(kind, description=description)


@cache
def _search_arguments(resource_type: str) -> dict[str, GraphQLArgument]:
    """Arguments of a search: parameters with "_" for "-", each once or, for several that must all hold, as a list."""
    names = [*(code.replace("-", "_") for code in search_parameters(resource_type)), *_RESULT]
    return {name: GraphQLArgument(GraphQLList(SEARCH_VALUE)) for name in names if _NAME.fullmatch(name)}


@cache
def _object(kind: str) -> GraphQLObjectType:
    resource = kind in set(resource_types())
    return GraphQLObjectType(
        type_of_name(kind),
        lambda: _fields(kind, resource),
        interfaces=(lambda: [_resource()]) if resource else None,
    )


@lru_cache(maxsize=1)
def _resource() -> GraphQLInterfaceType:
    return GraphQLInterfaceType(
        "Resource",
        lambda: {
            "resourceType": GraphQLField(_scalar("code")), "id": GraphQLField(GraphQLID),
            "meta": GraphQLField(_object("Meta")), "implicitRules": GraphQLField(_scalar("uri")),
            "language": GraphQLField(_scalar("code")),
        },
        resolve_type=lambda value, *_: value.get("resourceType"),
    )  # fmt: skip


def _fields(kind: str, resource: bool) -> dict[str, GraphQLField]:
    found: dict[str, GraphQLField] = {}
    for member in members(kind):
        found[member.name] = _field(kind, member)
        if member.primitive and member.name != "id":
            extras: Any = _object("Element")
            found[f"_{member.name}"] = GraphQLField(GraphQLList(extras) if member.repeats else extras)
    if not resource:
        found[SLICE] = GraphQLField(GraphQLString, {"fhirpath": _argument("what @slice names", GraphQLNonNull(
            GraphQLString))}, resolve=resolving.slice_of(kind))  # fmt: skip
    if kind == "Reference":
        found["resource"] = GraphQLField(
            _resource(),
            {
                "optional": _argument("no error when there is none", GraphQLBoolean),
                "type": _argument("only a resource of this type", SEARCH_VALUE),
            },
            resolve=resolving.resource_of_reference,
        )
    if resource:
        found["resourceType"] = GraphQLField(_scalar("code"))
        found["id"] = GraphQLField(GraphQLID)
        for other in reverse(kind):
            reference = {"_reference": _argument("the search parameter that refers here", GraphQLNonNull(SEARCH_VALUE))}
            for suffix, given, resolve in _searches(other, resolving.reverse_list, resolving.reverse_connection):
                found[f"{other}{suffix}"] = GraphQLField(given, _search_arguments(other) | reference, resolve=resolve)
    return found


def _field(kind: str, member: Member) -> GraphQLField:
    given: Any = _scalar(member.type) if member.primitive else _resource() if member.type == "Resource" else None
    if given is None:
        given = _object(member.type)
    if not member.repeats:
        return GraphQLField(given)
    arguments = {
        "_offset": _argument("how many are left out first", GraphQLInt),
        "_count": _argument("how many at most", GraphQLInt),
        "fhirpath": _argument("only those for which this holds"),
    }
    if not member.primitive and member.type != "Resource":
        arguments |= {
            one.name: _argument("only those with this value", SEARCH_VALUE)
            for one in members(member.type)
            if one.primitive and one.name not in arguments
        }
    return GraphQLField(GraphQLList(given), arguments, resolve=resolving.list_of(kind, member))


def _searches(
    resource_type: str, as_list: Callable[[str], Any], as_connection: Callable[[str], Any]
) -> list[tuple[str, Any, Any]]:
    """(suffix of the field, its type, its resolver) of the two forms of a search."""
    return [
        ("List", GraphQLList(_object(resource_type)), as_list(resource_type)),
        ("Connection", _connection(resource_type), as_connection(resource_type)),
    ]


@cache
def _connection(resource_type: str) -> GraphQLObjectType:
    edge = GraphQLObjectType(
        f"{resource_type}Edge",
        lambda: {
            "mode": GraphQLField(_scalar("code")), "score": GraphQLField(GraphQLFloat),
            "resource": GraphQLField(_object(resource_type)),
        },
    )  # fmt: skip
    return GraphQLObjectType(
        f"{resource_type}Connection",
        lambda: {
            **{name: GraphQLField(kind) for name, kind in _CONNECTION.items()},
            "edges": GraphQLField(GraphQLList(edge)),
        },
    )


@lru_cache(maxsize=1)
def _root() -> GraphQLObjectType:
    fields: dict[str, GraphQLField] = {}
    for name in resource_types():
        fields[name] = GraphQLField(
            _object(name), {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))}, resolve=resolving.read(name)
        )
        for suffix, given, resolve in _searches(name, resolving.search_list, resolving.search_connection):
            fields[f"{name}{suffix}"] = GraphQLField(given, _search_arguments(name), resolve=resolve)
    return GraphQLObjectType("Query", fields)


def _directives() -> list[GraphQLDirective]:
    field = [DirectiveLocation.FIELD]
    path = {"fhirpath": _argument("what names each, or $index", GraphQLNonNull(GraphQLString))}
    return [
        *specified_directives,
        GraphQLDirective("flatten", field, description="Its members stand in its place; as lists, unless @singleton."),
        GraphQLDirective("first", field, description="The first of them alone."),
        GraphQLDirective("singleton", field, description="There is one at most, so that @flatten makes no list of it."),
        GraphQLDirective("slice", field, path, description="Each stands under the name and what the path gives."),
    ]


@cache
def schema(resource_type: str | None) -> GraphQLSchema:
    """The schema of queries at the system level (None), or on one resource of a type."""
    return GraphQLSchema(
        _root() if resource_type is None else _object(resource_type),
        types=[_object(name) for name in resource_types()],
        directives=_directives(),
        assume_valid=True,
    )
