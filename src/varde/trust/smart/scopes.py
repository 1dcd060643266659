"""SMART scopes of versions 1 and 2 as a grant: which interactions on which types. Pure.

Source: hl7.org/fhir/smart-app-launch 2.2, "Scopes and launch context".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from varde.fhir.definitions import is_type
from varde.fhir.gate import Interaction

_WORD = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_RIGHT = {
    Interaction.CREATE: "c", Interaction.READ: "r", Interaction.VREAD: "r", Interaction.HISTORY: "r",
    Interaction.UPDATE: "u", Interaction.PATCH: "u", Interaction.DELETE: "d", Interaction.SEARCH: "s",
    Interaction.EXPORT: "s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grant:
    """What scopes allow: for each right (c r u d s) the types it holds for; None for all."""

    rights: Mapping[str, frozenset[str] | None]

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        """Whether an interaction may be tried on a type; "*" is every type at once, where rows are judged one by
        one."""
        types = self.rights[_RIGHT[interaction]]
        return types is None or resource_type in types or (resource_type == "*" and bool(types))

    @property
    def read(self) -> frozenset[str] | None:
        """Types whose content may be shown at all."""
        return self._union("rs")

    @property
    def write(self) -> frozenset[str] | None:
        """Types that may be changed in some way."""
        return self._union("cud")

    def _union(self, rights: str) -> frozenset[str] | None:
        found: set[str] = set()
        for right in rights:
            types = self.rights[right]
            if types is None:
                return None
            found |= types
        return frozenset(found)


def parse_scopes(text: str, level: str = "system") -> Grant:
    """The grant of those scopes in `text` that are of one level (patient, user, system).

    A word that is no resource scope (openid, launch…), is of another level, or is narrowed by a query
    (`system/Observation.rs?category=…`, which this server does not enforce) grants nothing.
    """
    found: dict[str, set[str]] = {right: set() for right in "cruds"}
    for word in text.split():
        match = _WORD.fullmatch(word)
        if match and match[1] == level and (match[2] == "*" or is_type(match[2])):
            for right in _VERSION_1.get(match[3], match[3]):
                found[right].add(match[2])
    return Grant({right: None if "*" in types else frozenset(types) for right, types in found.items()})
