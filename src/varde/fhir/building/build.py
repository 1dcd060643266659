"""Set-up step: makes compact files in `definitions/` of HL7's R4 package. Run: python -m varde.fhir.building.build

The package `hl7.fhir.r4.examples` of the npm registry holds every SearchParameter, StructureDefinition (with
snapshots), ValueSet and CompartmentDefinition of R4 4.0.1; units come from `@lhncbc/ucum-lhc`. Nothing here runs in
production.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from varde.fhir import valuesets
from varde.fhir.building import (
    build_compartments,
    build_search,
    build_structure,
    build_summary,
    build_terminology,
    build_units,
)
from varde.fhir.search import paths

_MODULES = (build_search, build_structure, build_compartments, build_summary, build_terminology)
TARGET = Path(__file__).parents[1] / "definitions"


def read_package(source: Path, *prefixes: str) -> dict[str, list[dict[str, Any]]]:
    """All resources of the package whose file names begin with one of `prefixes`, by prefix."""
    found: dict[str, list[dict[str, Any]]] = {prefix: [] for prefix in prefixes}
    for prefix in prefixes:
        for file in sorted(source.glob(f"{prefix}-*.json")):
            found[prefix].append(json.loads(file.read_text(encoding="utf-8")))
    return found


def main(source: Path = Path("node_modules/hl7.fhir.r4.examples"), target: Path = TARGET) -> None:
    """Make every definition file anew unless they are newer than the package and these build steps.

    Raises FileNotFoundError when the package is not installed.
    """
    manifest = source / "package.json"
    if not manifest.exists():
        raise FileNotFoundError(f"{source} is missing: run 'npm ci' first")
    stamp = target / "stamp"
    modules = (*_MODULES, build_units, paths, valuesets)
    inputs = [manifest, Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    if stamp.exists() and all(stamp.stat().st_mtime >= file.stat().st_mtime for file in inputs):
        return
    target.mkdir(parents=True, exist_ok=True)
    package = read_package(source, "SearchParameter", "StructureDefinition", "CompartmentDefinition")
    package |= read_package(source, "ValueSet", "CodeSystem", "ConceptMap")
    for module in _MODULES:
        module.build(package, target)
    build_units.build(source.parent, target)
    stamp.touch()


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
