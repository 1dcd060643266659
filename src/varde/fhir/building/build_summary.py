"""Set-up: which elements of R4's types are marked as summary, and which of a resource must not be left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write summary.json: {"summary": {type or path: [elements]}, "needed": {resource type: [elements]}, "choices":
    {type or path: [elements]}}.

    Needed are a resource's mandatory elements and those that change its meaning. Choices are named by their stem.
    """
    summary: dict[str, list[str]] = {}
    needed: dict[str, list[str]] = {}
    choices: dict[str, list[str]] = {}
    for structure in package["StructureDefinition"]:
        if structure.get("derivation") == "constraint" or structure.get("kind") in {"logical", "primitive-type"}:
            continue
        for element in structure["snapshot"]["element"]:
            holder, _, child = element["path"].rpartition(".")
            if not holder:
                continue
            stem = child.removesuffix("[x]")
            if stem != child:
                choices.setdefault(holder, []).append(stem)
            if element.get("isSummary"):
                summary.setdefault(holder, []).append(stem)
            if "." not in holder and structure["kind"] == "resource":
                must = element.get("min", 0) > 0 or element.get("isModifier")
                needed.setdefault(holder, []).extend([stem] if must else [])
    result = {"summary": summary, "needed": needed, "choices": choices}
    (target / "summary.json").write_text(json.dumps(result, separators=(",", ":")))
