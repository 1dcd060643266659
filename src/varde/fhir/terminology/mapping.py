"""What a ConceptMap resource says, taken apart: one Mapped a target. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from varde.fhir.definitions import canonical_system

REVERSED = {
    "wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes",
}  # fmt: skip
"""How an equivalence reads from target to source; the others read the same."""

NO_MATCH = frozenset({"unmatched", "disjoint"})
"""Equivalences that say that there is none: no result of a translation."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One target of one element of a concept map."""

    number: int
    source_system: str
    """In canonical spelling, as the target's is."""
    target_system: str
    source: str
    target: str | None
    detail: Mapping[str, Any]
    """equivalence, display, comment, dependsOn, product, and the spellings sourceUri, targetUri, targetVersion."""

    @property
    def equivalence(self) -> str:
        """A code of concept-map-equivalence."""
        return str(self.detail.get("equivalence") or "relatedto")


def mappings_of(resource: Mapping[str, Any]) -> Iterator[Mapped]:
    """Every target in the map's order; an element without targets is one that is unmatched."""
    number = 0
    for group in _dicts(resource.get("group")):
        source, target = str(group.get("source") or ""), str(group.get("target") or "")
        spelled = {"sourceUri": source, "targetUri": target, "targetVersion": group.get("targetVersion"),
                   "sourceVersion": group.get("sourceVersion")}  # fmt: skip
        for element in _dicts(group.get("element")):
            code = element.get("code")
            if not isinstance(code, str):
                continue
            targets = _dicts(element.get("target")) or [{"equivalence": "unmatched"}]
            for one in targets:
                detail = {name: value for name, value in {**one, **spelled}.items() if value and name != "code"}
                detail["sourceDisplay"] = element.get("display")
                given = one.get("code")
                yield Mapped(
                    number, canonical_system(source), canonical_system(target), code,
                    given if isinstance(given, str) else None, detail,
                )  # fmt: skip
                number += 1


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
