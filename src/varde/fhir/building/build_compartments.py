"""Set-up: R4's compartments, as the reference parameters that put a type's resources into each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_OWN = "{def}"
"""How the specification writes that the resource of the compartment's own type is in it."""


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write compartments.json: {compartment: {"url", "types": {type: [parameters]}}}."""
    found = {}
    for definition in package["CompartmentDefinition"]:
        if not definition["url"].startswith("http://hl7.org/fhir/CompartmentDefinition/"):
            continue
        if definition["id"] != definition["code"][0].lower() + definition["code"][1:]:
            continue  # the example of the specification's own page
        code = definition["code"]
        listed = {r["code"]: [p for p in r.get("param", ()) if p != _OWN] for r in definition["resource"]}
        found[code] = {
            "url": definition["url"],
            "types": {name: codes for name, codes in listed.items() if codes},
        }
    (target / "compartments.json").write_text(json.dumps(found, separators=(",", ":")))
