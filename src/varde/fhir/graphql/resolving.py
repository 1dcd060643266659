"""What the fields of the schema give: elements from the resource at hand, resources through the request's loader.

A missing resource and one that may not be seen are alike: null, with the same error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from varde.fhir.graphql import paths
from varde.fhir.graphql.loading import Loader
from varde.fhir.graphql.shapes import Member
from varde.fhir.store import ABSENT

Info = GraphQLResolveInfo[Any]
Resolver = Callable[..., Any]
_OWN = frozenset({"_offset", "_count", "fhirpath"})


def list_of(kind: str, member: Member) -> Resolver:
    """An element that repeats, narrowed by its arguments."""

    def resolve(source: Mapping[str, Any], info: Info, **arguments: Any) -> Any:
        found = source.get(member.name)
        if not isinstance(found, list) or not arguments:
            return found
        path = arguments.get("fhirpath")
        kept = list(found) if path is None else paths.filtered(source, kind, member.name, str(path))
        for name, wanted in arguments.items():
            if name not in _OWN:
                kept = [one for one in kept if isinstance(one, Mapping) and _has(one.get(name), wanted)]
        offset, count = arguments.get("_offset") or 0, arguments.get("_count")
        if offset < 0 or (count is not None and count < 0):
            raise GraphQLError("_offset and _count are 0 or more")
        return kept[offset:] if count is None else kept[offset : offset + count]

    return resolve


def _has(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_has(one, wanted) for one in value)
    return value is not None and ("true" if value is True else "false" if value is False else str(value)) == wanted


def slice_of(kind: str) -> Resolver:
    """What the path of @slice gives for an element."""

    def resolve(source: Mapping[str, Any], info: Info, *, fhirpath: str) -> str | None:
        return None if fhirpath.strip() == "$index" else paths.text(source, kind, fhirpath)

    return resolve


def _loader(info: Info) -> Loader:
    loader: Loader = info.context
    return loader


def read(resource_type: str) -> Resolver:
    """`Patient(id:)`."""

    async def resolve(source: Any, info: Info, *, id: str) -> Any:  # noqa: A002 the argument's name
        found = await _loader(info).resource(resource_type, id)
        if found is None:
            raise GraphQLError(ABSENT)
        return found

    return resolve


async def resource_of_reference(
    source: Mapping[str, Any],
    info: Info,
    *,
    optional: bool = False,
    type: str | None = None,  # noqa: A002
) -> Any:
    """`resource` of a Reference."""
    literal = source.get("reference")
    loader = _loader(info)
    found = None
    if isinstance(literal, str) and literal.startswith("#"):
        found = loader.contained(literal[1:], source)
    elif isinstance(literal, str):
        named = loader.local(literal)
        if named is not None:
            if type is not None and named[0] != type:
                return None
            found = await loader.resource(*named)
    if found is not None and type is not None and found.get("resourceType") != type:
        return None
    if found is None and not optional:
        raise GraphQLError(ABSENT)
    return found


def search_list(resource_type: str) -> Resolver:
    """`PatientList(…)`."""

    async def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        return (await _loader(info).search(resource_type, _query(arguments))).resources

    return resolve


def search_connection(resource_type: str) -> Resolver:
    """`PatientConnection(…)`."""

    async def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        return (await _loader(info).search(resource_type, _query(arguments))).connection()

    return resolve


def reverse_list(resource_type: str) -> Resolver:
    """`ObservationList(_reference:, …)` on a resource that it refers to."""

    async def resolve(source: Mapping[str, Any], info: Info, **arguments: Any) -> Any:
        code = str(arguments.pop("_reference"))
        return await _loader(info).referring(resource_type, code, source, _query(arguments))

    return resolve


def reverse_connection(resource_type: str) -> Resolver:
    """`ObservationConnection(_reference:, …)` on a resource that it refers to."""

    async def resolve(source: Mapping[str, Any], info: Info, **arguments: Any) -> Any:
        code = str(arguments.pop("_reference"))
        query = [(code, f"{source['resourceType']}/{source['id']}"), *_query(arguments)]
        return (await _loader(info).search(resource_type, query, reference=code)).connection()

    return resolve


def _query(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The search that arguments ask; names are put right by the loader, which knows the parameters."""
    query = []
    for name, values in arguments.items():
        if values is None:
            continue
        query += [(name, value) for value in values if value is not None]
    return query
