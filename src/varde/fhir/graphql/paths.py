"""FHIRPath in GraphQL: the argument `fhirpath` of lists, and what @slice names elements by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from varde.fhir.fhirpath import FhirPathError, Node, compile_path

_LONGEST = 500


def _checked(path: str) -> str:
    if len(path) > _LONGEST:
        raise GraphQLError(f"a path has {_LONGEST} characters at most")
    try:
        compile_path(path)
    except FhirPathError as error:
        raise GraphQLError(f"the path cannot be read: {error}") from None
    return path


def filtered(holder: Mapping[str, Any], kind: str, member: str, path: str) -> list[Any]:
    """The items of a member for which the path holds; `$index` is its place."""
    try:
        found = compile_path(f"{member}.where({_checked(path)})").evaluate(Node(holder, kind))
    except FhirPathError as error:
        raise GraphQLError(f"the path cannot be evaluated: {error}") from None
    return [one.value if isinstance(one, Node) else one for one in found]


def text(element: Mapping[str, Any], kind: str, path: str) -> str | None:
    """What the path gives for an element, as text; None for nothing or several."""
    try:
        found = compile_path(_checked(path)).evaluate(Node(element, kind))
    except FhirPathError as error:
        raise GraphQLError(f"the path cannot be evaluated: {error}") from None
    if len(found) != 1:
        return None
    value = found[0].value if isinstance(found[0], Node) else found[0]
    return None if isinstance(value, dict | list) or value is None else str(value)
