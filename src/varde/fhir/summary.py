"""`_summary` and `_elements`: a resource cut down, and marked as such. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALWAYS = ("resourceType", "id", "meta")
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def reduced(resource: Mapping[str, Any], summary: str | None, elements: str | None) -> dict[str, Any]:
    """`resource` with only what was asked for, tagged SUBSETTED unless it is whole.

    `summary` is true, text, data, count or false; `elements` a comma-separated list of element names.
    """
    if elements:
        wanted = {name.split(".")[-1] if "." in name else name for name in elements.split(",")}
        kept = {k: v for k, v in resource.items() if k in _ALWAYS or k.lstrip("_") in wanted}
    elif summary == "data":
        kept = {k: v for k, v in resource.items() if k != "text"}
    elif summary == "text":
        kept = {k: v for k, v in resource.items() if k in {*_ALWAYS, "text", "status"}}
    elif summary == "true":
        kept = {k: v for k, v in resource.items() if k not in {"text", "contained", "extension", "note", "content"}}
    else:
        return dict(resource)
    meta = dict(kept.get("meta") or {})
    meta["tag"] = [*(meta.get("tag") or []), _SUBSETTED]
    kept["meta"] = meta
    return kept
