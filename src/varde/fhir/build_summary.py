"""Set-up: what R4 marks as an element of the summary (Σ), and which top-level elements are mandatory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write summary.json: {"types": {type or path: {element: type or path of what it holds, or null}}, "mandatory":
    {resource type: [elements]}}. Only elements of the summary stand in the first."""
    types: dict[str, dict[str, Any]] = {}
    mandatory: dict[str, list[str]] = {}
    for structure in package["StructureDefinition"]:
        if structure.get("derivation") == "constraint" or structure["kind"] not in {"resource", "complex-type"}:
            continue
        resource = structure["kind"] == "resource"
        for element in structure["snapshot"]["element"]:
            holder, _, name = element["path"].rpartition(".")
            if not holder:
                types.setdefault(element["path"], {})
                continue
            if resource and holder == structure["type"] and element.get("min"):
                mandatory.setdefault(holder, []).append(name)
            own = types.setdefault(holder, {})
            if not element.get("isSummary"):
                continue
            codes = [t["code"] for t in element.get("type", ())]
            if element.get("contentReference"):
                own[name] = element["contentReference"].removeprefix("#")
            elif codes in (["BackboneElement"], ["Element"]):
                own[name] = element["path"]
            else:
                own[name] = codes[0] if len(codes) == 1 else None
                if name.endswith("[x]"):
                    del own[name]
                    stem = name.removesuffix("[x]")
                    own.update({stem + code[0].upper() + code[1:]: code for code in codes})
    result = {"types": types, "mandatory": mandatory}
    (target / "summary.json").write_text(json.dumps(result, separators=(",", ":")))
