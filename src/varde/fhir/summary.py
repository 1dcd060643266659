"""`_summary` and `_elements`: a resource cut down, and marked as such. Pure.

Which elements are a summary is what R4's definitions mark (search.html#summary). A resource's mandatory elements
and those that change its meaning stay whatever is asked for (search.html#elements).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from varde.fhir.errors import BadRequest
from varde.fhir.validate import member

SUMMARIES = ("true", "text", "data", "count", "false")
_FILE = Path(__file__).parent / "definitions" / "summary.json"
_ALWAYS = frozenset({"resourceType", "id", "meta"})
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@lru_cache(maxsize=1)
def _marked() -> dict[str, dict[str, frozenset[str]]]:
    loaded = json.loads(_FILE.read_text(encoding="utf-8"))
    return {part: {holder: frozenset(names) for holder, names in of.items()} for part, of in loaded.items()}


def check_shape(summary: str | None, elements: str | None) -> None:
    """Raise BadRequest for a `_summary` that there is none of."""
    if summary is not None and summary not in SUMMARIES:
        raise BadRequest.of("_summary is " + ", ".join(SUMMARIES))


def reduced(resource: Mapping[str, Any], summary: str | None, elements: str | None) -> dict[str, Any]:
    """`resource` with only what was asked for, tagged SUBSETTED unless it is whole.

    `summary` is true, text, data, count or false; `elements` a comma-separated list of element names, each with or
    without its type before it ("Patient.name" is asked of Patients only).
    """
    kind = str(resource.get("resourceType"))
    needed = _marked()["needed"].get(kind, frozenset())
    if elements:
        wanted = set(_wanted(kind, elements))
        kept = _kept(resource, kind, lambda stem: stem in wanted or stem in needed)
    elif summary == "data":
        kept = {name: value for name, value in resource.items() if name != "text"}
    elif summary == "text":
        kept = _kept(resource, kind, lambda stem: stem == "text" or stem in needed)
    elif summary == "true":
        kept = _summarised(resource, kind)
    elif summary == "count":
        kept = _kept(resource, kind, lambda stem: False)
    else:
        return dict(resource)
    meta = dict(kept.get("meta") or {})
    meta["tag"] = [*(meta.get("tag") or []), _SUBSETTED]
    return {**kept, "meta": meta}


def _wanted(kind: str, elements: str) -> list[str]:
    """The stems of the elements asked for of a type."""
    found = []
    for name in elements.split(","):
        parts = name.strip().removesuffix("[x]").split(".")
        if len(parts) > 1 and parts[0][:1].isupper():
            if parts[0] != kind:
                continue
            parts = parts[1:]
        found.append(parts[0])
    return found


def _kept(resource: Mapping[str, Any], kind: str, wanted: Callable[[str], bool]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name in _ALWAYS or wanted(_stem(kind, name))}


def _stem(holder: str, name: str) -> str:
    """The element that a JSON member bears: `_birthDate` birthDate, `valueQuantity` value."""
    name = name.lstrip("_")
    for stem in _marked()["choices"].get(holder, ()):
        if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper():
            return stem
    return name


def _summarised(value: Mapping[str, Any], holder: str) -> dict[str, Any]:
    """What of an object is marked as summary, in depth. Types without marks of their own stay whole."""
    marked = _marked()["summary"].get(holder)
    if marked is None:
        return dict(value)
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if name in _ALWAYS or name == "url" or _stem(holder, name) in marked:
            described = member(holder, name)
            found[name] = _inside(inner, described[0]) if described is not None else inner
    return found


def _inside(value: Any, datatype: str) -> Any:
    if isinstance(value, list):
        return [_inside(one, datatype) for one in value]
    if isinstance(value, dict) and datatype not in {"Meta", "Extension", "Narrative"}:
        return _summarised(value, datatype)
    return value
