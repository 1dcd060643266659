"""FHIR's own directives, which change the shape of the answer: @flatten, @first, @singleton, @slice. Pure.

The query is carried out by GraphQL's rules, and its answer is then reshaped along the query. For @slice a field is
added to what is asked of each element, and taken out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)

from varde.fhir.graphql.schema import SLICE

OURS = frozenset({"flatten", "first", "singleton", "slice"})
_HELD = "_sliced"
"""The alias under which the added field answers."""


def uses(document: DocumentNode) -> bool:
    """Whether a query has any of the directives."""
    found: list[str] = []

    class Looking(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            found.append(node.name.value)

    visit(document, Looking())
    return bool(OURS & set(found))


def prepared(document: DocumentNode) -> DocumentNode:
    """The query with what @slice needs to know."""

    class Adding(Visitor):
        def leave_field(self, node: FieldNode, *_: Any) -> Any:
            directive = _directive(node, "slice")
            if directive is None or node.selection_set is None:
                return None
            added = FieldNode(
                alias=NameNode(value=_HELD),
                name=NameNode(value=SLICE),
                arguments=directive.arguments,
                directives=(),
            )
            selections = (*node.selection_set.selections, added)
            return FieldNode(
                alias=node.alias, name=node.name, arguments=node.arguments, directives=node.directives,
                selection_set=SelectionSetNode(selections=selections),
            )  # fmt: skip

    made: DocumentNode = visit(document, Adding())
    return made


def _directive(node: FieldNode, name: str) -> DirectiveNode | None:
    return next((one for one in node.directives or () if one.name.value == name), None)


def shaped(
    document: DocumentNode, operation: OperationDefinitionNode, data: Mapping[str, Any], variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer in the shape that the directives ask for. Raises GraphQLError where @singleton does not hold."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    made: dict[str, Any] = {}
    _Shaper(fragments, variables).members(operation.selection_set, data, made, several=False)
    return made


class _Shaper:
    """Walks an answer along its query."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables

    def _fields(self, selections: SelectionSetNode) -> dict[str, list[FieldNode]]:
        found: dict[str, list[FieldNode]] = {}
        for one in selections.selections:
            if isinstance(one, FieldNode):
                found.setdefault((one.alias or one.name).value, []).append(one)
                continue
            inner = (
                one.selection_set
                if isinstance(one, InlineFragmentNode)
                else self._fragments[one.name.value].selection_set  # type: ignore[attr-defined]
            )
            for key, nodes in self._fields(inner).items():
                found.setdefault(key, []).extend(nodes)
        return found

    def members(
        self, selections: SelectionSetNode, data: Mapping[str, Any], made: dict[str, Any], *, several: bool
    ) -> None:
        """Put the fields of one object into `made`. `several`: it is one of several that are flattened."""
        for key, nodes in self._fields(selections).items():
            if key in data and key != _HELD:
                self._field(key, nodes, data[key], made, several=several)

    def _field(self, key: str, nodes: Sequence[FieldNode], value: Any, made: dict[str, Any], *, several: bool) -> None:
        names = {one.name.value for node in nodes for one in node.directives or ()}
        if "first" in names and isinstance(value, list):
            value = value[0] if value else None
        if "singleton" in names and isinstance(value, list):
            if len(value) > 1:
                raise GraphQLError(f"@singleton: '{key}' has {len(value)} values")
            value = value[0] if value else None
        alone = bool({"first", "singleton"} & names)
        if "flatten" in names:
            items = value if isinstance(value, list) else [value] if value is not None else []
            for one in items:
                for node in nodes:
                    if node.selection_set is not None and isinstance(one, Mapping):
                        self.members(
                            node.selection_set, one, made, several=several or (isinstance(value, list) and not alone)
                        )
            return
        sliced = next((d for node in nodes if (d := _directive(node, "slice")) is not None), None)
        if sliced is not None and isinstance(value, list):
            for place, one in enumerate(value):
                _put(made, f"{key}.{self._name(sliced, one, place)}", self._value(nodes, one), several=several)
            return
        _put(made, key, self._value(nodes, value), several=several and not alone, spread=several)

    def _name(self, directive: DirectiveNode, value: Any, place: int) -> str:
        node = (directive.arguments or ())[0].value
        path = (
            node.value
            if isinstance(node, StringValueNode)
            else self._variables.get(node.name.value)
            if isinstance(node, VariableNode)
            else None
        )
        if path is not None and path.strip() == "$index":
            return str(place)
        named = value.get(_HELD) if isinstance(value, Mapping) else None
        return str(place) if named is None else str(named)

    def _value(self, nodes: Sequence[FieldNode], value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(nodes, one) for one in value]
        if not isinstance(value, Mapping):
            return value
        made: dict[str, Any] = {}
        for node in nodes:
            if node.selection_set is not None:
                self.members(node.selection_set, value, made, several=False)
        return made


def _put(made: dict[str, Any], key: str, value: Any, *, several: bool, spread: bool = False) -> None:
    """A value under its name; of several flattened objects, as one of a list."""
    if not several:
        if spread and key in made:
            raise GraphQLError(f"@singleton: '{key}' has more than one value")
        made[key] = value
        return
    held = made.setdefault(key, [])
    if isinstance(value, list):
        held += value
    elif value is not None:
        held.append(value)
