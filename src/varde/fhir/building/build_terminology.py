"""Set-up: the code systems, value sets and concept maps of R4's package, one a line, with an index of their places.

The examples among them, which define nothing, are left out. Read by `terminology/core.py`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

Json = dict[str, Any]
KINDS = ("CodeSystem", "ValueSet", "ConceptMap")
_DROPPED = ("text", "meta", "contact", "useContext", "jurisdiction", "purpose", "copyright", "contained", "extension")
_EXAMPLE = re.compile(r"example(-.*|[0-9]*)")
"""Ids of what only shows how such a resource looks."""


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write terminology.ndjson and terminology.json: {type: {url: [[version, offset, length, valueSet]…]}}."""
    index: dict[str, dict[str, list[list[Any]]]] = {kind: {} for kind in KINDS}
    _mend_versions(package)
    offset = 0
    with (target / "terminology.ndjson").open("wb") as file:
        for kind in KINDS:
            for resource in package[kind]:
                url = resource.get("url")
                if not isinstance(url, str) or _EXAMPLE.fullmatch(resource["id"]):
                    continue
                kept = {name: value for name, value in resource.items() if name not in _DROPPED}
                line = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                file.write(line)
                place = [resource.get("version"), offset, len(line), resource.get("valueSet")]
                for name in {url, *_aliases(resource)}:
                    index[kind].setdefault(name, []).append(place)
                offset += len(line)
    (target / "terminology.json").write_text(json.dumps(index, separators=(",", ":")))


def _mend_versions(package: dict[str, list[Json]]) -> None:
    """Value sets that name a version which a code system of the specification does not have mean the one it has."""
    versions = {system.get("url"): system.get("version") for system in package["CodeSystem"]}
    for value_set in package["ValueSet"]:
        compose = value_set.get("compose") or {}
        for include in [*compose.get("include", ()), *compose.get("exclude", ())]:
            if include.get("version") and include.get("system") in versions:
                include["version"] = versions[include["system"]]


def _aliases(resource: Json) -> list[str]:
    """Other uris that name a code system: its OID."""
    given = resource.get("identifier")
    identifiers = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
    if resource["resourceType"] != "CodeSystem":
        return []
    return [str(one["value"]) for one in identifiers if str(one.get("value", "")).startswith("urn:oid:")]
