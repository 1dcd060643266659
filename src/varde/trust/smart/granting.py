"""Which of the scopes that an app asks for a person can give: never more than they may do themselves. Pure.

What an authorization gives at any later moment is judged anew (`opening.py`); this spares a person from being
asked for what would open nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from varde.trust.scope import DIRECTORY, Scope
from varde.trust.smart.scopes import ScopeWord


def grantable(words: Sequence[ScopeWord], scope: Scope) -> tuple[ScopeWord, ...]:
    """The words, each with those of its rights that the scope's actor has, in order."""
    kept = (word.limited(_rights(word.type, scope)) for word in words if word.level in {"patient", "user"})
    return tuple(word for word in kept if word is not None)


def _rights(resource_type: str, scope: Scope) -> set[str]:
    every = resource_type == "*"
    found: set[str] = set()
    if every or scope.types is None or resource_type in scope.types or resource_type in DIRECTORY:
        found |= {"r", "s"}
    if scope.write_types is None or (scope.write_types if every else resource_type in scope.write_types):
        found |= {"c", "u", "d"}
    return found
