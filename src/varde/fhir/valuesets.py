"""The codes of a value set, for bindings: computed from `compose` and the code systems that are at hand. No store.

An expansion is {system: codes}; `None` for codes is every code of a system whose content is not at hand. A value set
that cannot be computed (a filter that needs such a system) has no expansion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from varde.fhir.definitions import canonical_system

Expansion = Mapping[str, frozenset[str] | None]
Fetch = Callable[[str, str], Mapping[str, Any] | None]
"""("ValueSet" | "CodeSystem", url) -> the resource; of a code system the compact form of `compact_system` will do."""
_MAXIMUM_DEPTH = 8
_MAXIMUM_CODES = 20_000


def compact_system(system: Mapping[str, Any]) -> dict[str, Any] | None:
    """{"codes": {code: [codes above it]}} of a code system with all its content; None of others."""
    if "codes" in system:
        return dict(system)
    if system.get("content") != "complete":
        return None
    codes: dict[str, list[str]] = {}

    def walk(concepts: Any, above: list[str]) -> None:
        for concept in concepts if isinstance(concepts, list) else ():
            if not isinstance(concept, dict) or not isinstance(concept.get("code"), str):
                continue
            known = codes.setdefault(concept["code"], [])
            known += [parent for parent in above if parent not in known]
            for named in concept.get("property", ()):
                if isinstance(named, dict) and named.get("code") in {"parent", "subsumedBy"}:
                    known.append(str(named.get("valueCode")))
            walk(concept.get("concept"), [*above, concept["code"]] if len(above) < 50 else above)

    walk(system.get("concept"), [])
    return {"codes": codes}


def expand(url: str, fetch: Fetch) -> Expansion | None:
    """The codes of the value set, None where it is not at hand or cannot be computed. Never raises for its content."""
    try:
        return _expand(url, fetch, 0)
    except (KeyError, TypeError, AttributeError):
        return None


def _expand(url: str, fetch: Fetch, depth: int) -> dict[str, frozenset[str] | None] | None:
    value_set = fetch("ValueSet", url.partition("|")[0])
    if value_set is None or depth > _MAXIMUM_DEPTH:
        return None
    compose = value_set.get("compose")
    if not compose:
        return _contained(value_set)
    found: dict[str, set[str] | None] = {}
    for include in compose.get("include", ()):
        part = _included(include, fetch, depth)
        if part is None:
            return None
        for system, codes in part.items():
            known = found.setdefault(system, set())
            found[system] = None if codes is None or known is None else known | codes
    for exclude in compose.get("exclude", ()):
        part = _included(exclude, fetch, depth)
        if part is None:
            return None
        for system, codes in part.items():
            known = found.get(system)
            if codes is None:
                found.pop(system, None)
            elif known is not None:
                found[system] = known - codes
    if sum(len(codes) for codes in found.values() if codes is not None) > _MAXIMUM_CODES:
        return None
    return {system: None if codes is None else frozenset(codes) for system, codes in found.items()}


def _contained(value_set: Mapping[str, Any]) -> dict[str, frozenset[str] | None] | None:
    """Of a value set that has only an expansion."""
    found: dict[str, set[str]] = {}
    waiting = list(value_set.get("expansion", {}).get("contains", ()))
    if not waiting:
        return None
    while waiting:
        one = waiting.pop()
        waiting += one.get("contains", ())
        if not one.get("abstract") and "code" in one:
            found.setdefault(canonical_system(one["system"]), set()).add(one["code"])
    return {system: frozenset(codes) for system, codes in found.items()}


def _included(include: Mapping[str, Any], fetch: Fetch, depth: int) -> dict[str, frozenset[str] | None] | None:
    parts: list[dict[str, frozenset[str] | None] | None] = []
    if include.get("system"):
        parts.append(_of_system(include, fetch))
    parts += [_expand(other, fetch, depth + 1) for other in include.get("valueSet", ())]
    found: dict[str, frozenset[str] | None] | None = None
    for part in parts:
        if part is None:
            return None
        found = part if found is None else {
            s: part[s] if (codes := found[s]) is None else codes if (other := part[s]) is None else codes & other
            for s in found.keys() & part.keys()
        }  # fmt: skip
    return found


def _of_system(include: Mapping[str, Any], fetch: Fetch) -> dict[str, frozenset[str] | None] | None:
    url = include["system"]
    system = canonical_system(url)
    if include.get("concept"):
        return {system: frozenset(concept["code"] for concept in include["concept"])}
    resource = fetch("CodeSystem", url.partition("|")[0])
    compact = compact_system(resource) if resource is not None else None
    if compact is None:
        return None if include.get("filter") else {system: None}
    codes = compact["codes"]
    chosen = set(codes)
    for wanted in include.get("filter", ()):
        operator, value = wanted.get("op"), wanted.get("value")
        if wanted.get("property") != "concept" or operator not in {"is-a", "descendent-of", "is-not-a"}:
            return None
        below = {code for code in codes if value in _above(code, codes)}
        own = {value} & set(codes)
        if operator == "is-not-a":
            chosen -= below | own
        else:
            chosen &= below | (own if operator == "is-a" else set())
    return {system: frozenset(chosen)}


def _above(code: str, codes: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(codes.get(code, ()))
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += codes.get(one, ())
    return found
