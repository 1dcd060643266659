"""How much a query may ask: depth, fields, searches, all counted before anything is carried out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAXIMUM_DEPTH = 20
MAXIMUM_FIELDS = 2000
MAXIMUM_TOKENS = 10_000
MAXIMUM_LISTS = 20
"""Searches that are written in the query."""
MAXIMUM_LEVELS = 5
"""Searches within searches."""


def check(document: DocumentNode, operation: OperationDefinitionNode) -> None:
    """Raise GraphQLError for a query that asks too much. Fragments are counted where they are spread; that they do not
    spread themselves has been checked."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    counter = _Counter(fragments)
    counter.count(operation.selection_set, 1, 0)


class _Counter:
    """Counts one operation, and stops as soon as it is too much."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._fields = 0
        self._lists = 0

    def count(self, selections: SelectionSetNode, depth: int, levels: int) -> None:
        """Everything below."""
        if depth > MAXIMUM_DEPTH:
            raise GraphQLError(f"a query is {MAXIMUM_DEPTH} levels deep at most")
        for one in selections.selections:
            if isinstance(one, FieldNode):
                self._field(one, depth, levels)
            elif isinstance(one, InlineFragmentNode):
                self.count(one.selection_set, depth, levels)
            else:
                self._fields += 1
                self._enough()
                self.count(self._fragments[one.name.value].selection_set, depth, levels)  # type: ignore[attr-defined]

    def _field(self, field: FieldNode, depth: int, levels: int) -> None:
        self._fields += 1
        name = field.name.value
        searches = name[:1].isupper() and name.endswith(("List", "Connection"))
        self._lists += searches
        levels += searches
        self._enough()
        if levels > MAXIMUM_LEVELS:
            raise GraphQLError(f"searches stand {MAXIMUM_LEVELS} within one another at most")
        if field.selection_set is not None:
            self.count(field.selection_set, depth + 1, levels)

    def _enough(self) -> None:
        if self._fields > MAXIMUM_FIELDS:
            raise GraphQLError(f"a query asks for {MAXIMUM_FIELDS} fields at most")
        if self._lists > MAXIMUM_LISTS:
            raise GraphQLError(f"a query has {MAXIMUM_LISTS} searches at most")
