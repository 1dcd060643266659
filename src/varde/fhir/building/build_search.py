"""Set-up: search parameters of R4 as typed paths. Resolves each FHIRPath expression against the structure
definitions once, so that extraction at run time is straight Python without an interpreter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from varde.fhir.search.paths import Element, Elements, paths_of, resolve, split_union

Json = dict[str, Any]

_UNINDEXED = {"_query", "_filter", "_content", "_text"}
_PREFIX = "patient-extensions-Patient-"
_READ: dict[str, list[Json]] = {
    # What R4 defines in words, or with functions of FHIRPath, as values that `values.py` makes of the whole resource.
    "Patient-deceased": [{"steps": [], "type": "deceased"}],
    f"{_PREFIX}birthOrderBoolean": [{"steps": [], "type": "multiple birth"}],
    f"{_PREFIX}age": [{"steps": [], "type": "age"}],
    "Bundle-composition": [{"steps": [], "type": "first Composition"}],
    "Bundle-message": [{"steps": [], "type": "first MessageHeader"}],
    "Location-near": [{"steps": [["position", False]], "type": "position"}],
}


def _elements(structures: list[Json]) -> Elements:
    found: dict[tuple[str, str], Element] = {}
    resources: list[str] = []
    for structure in structures:
        if structure.get("derivation") == "constraint" or structure.get("kind") == "logical":
            continue
        if structure["kind"] == "resource" and not structure.get("abstract"):
            resources.append(structure["type"])
        for element in structure["snapshot"]["element"]:
            holder, _, name = element["path"].rpartition(".")
            if holder:
                found[holder, name.removesuffix("[x]")] = _element(element, choice=name.endswith("[x]"))
    return Elements(found, sorted(resources))


def _element(element: Json, *, choice: bool) -> Element:
    repeats = element.get("max") not in {"0", "1"}
    if element.get("contentReference"):
        return Element(repeats, (element["contentReference"].removeprefix("#"),), choice=False)
    codes = tuple(_code(t) for t in element.get("type", ()))
    if codes in {("BackboneElement",), ("Element",)}:
        return Element(repeats, (element["path"],), choice=False)
    binding = element.get("binding", {})
    required = binding.get("valueSet", "").split("|")[0] if binding.get("strength") == "required" else ""
    return Element(repeats, codes, choice, required or None)


def _code(datatype: Json) -> str:
    code = str(datatype["code"])
    # Snapshots give ids and urls as FHIRPath system types.
    return "string" if code.startswith("http://hl7.org/fhirpath/") else code


def _bases(elements: Elements, definition: Json, by_url: dict[str, Json], base: str) -> list[Json]:
    """The elements of a composite whose components belong together, each component with its paths from there."""
    found: list[Json] = []
    components: list[tuple[Json, str]] = [(by_url[c["definition"]], c["expression"]) for c in definition["component"]]
    if definition["id"] == "DocumentReference-relationship":  # R4 has its two expressions exchanged
        (one, first), (other, second) = components
        components = [(one, second), (other, first)]
    for part in split_union(definition["expression"]):
        path = part.strip("()")
        if path.split(".")[0] != base:
            continue
        inner = path.partition(".")[2]
        ends = resolve(elements, base, inner) if inner else [{"steps": [], "type": base}]
        for end in ends:
            own: Json = {"name": path, "steps": end["steps"], "components": []}
            for component, expression in components:
                paths: list[Json] = []
                for alternative in split_union(expression):
                    whole = alternative.startswith("%resource.")
                    root = base if whole else end["type"]
                    for resolved in resolve(elements, str(root), alternative.removeprefix("%resource.")):
                        paths.append({**resolved, "whole": whole})
                own["components"].append(
                    {"code": component["code"], "kind": component["type"], "expression": expression, "paths": paths}
                )
            found.append(own)
    return found


def _systems(paths: list[Json], sets: dict[str, Json]) -> list[str]:
    """The code systems of the value sets that plain codes at `paths` are bound to; takes the bindings away."""
    found: set[str] = set()
    for path in paths:
        bound = sets.get(path.pop("binding", ""), {})
        found |= {include["system"] for include in bound.get("compose", {}).get("include", ()) if "system" in include}
    return sorted(found)


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write search.json: types in their fixed order, parameters by type, patient compartment."""
    elements = _elements(package["StructureDefinition"])
    sets = {v["url"]: v for v in package["ValueSet"]}
    by_url = {p["url"]: p for p in package["SearchParameter"]}
    parameters: dict[str, dict[str, Json]] = {name: {} for name in elements.resources}
    for definition in package["SearchParameter"]:
        code, known = definition["code"], _READ.get(definition["id"])
        if code in _UNINDEXED or not (definition.get("expression") or known):
            continue
        bases = definition.get("base", [])
        if set(bases) & {"Resource", "DomainResource"}:
            bases = elements.resources
        for base in bases:
            composite = definition["type"] == "composite"
            paths = known or ([] if composite else paths_of(elements, definition["expression"], base))
            own: Json = {
                "code": code,
                "kind": definition["type"],
                "url": definition["url"],
                "targets": [t for t in definition.get("target", []) if t in parameters],
                "paths": paths,
            }
            systems = _systems(paths, sets)
            if systems:
                own["systems"] = systems
            if composite:
                own["bases"] = _bases(elements, definition, by_url, base)
                for component in (c for b in own["bases"] for c in b["components"]):
                    _systems(component["paths"], sets)
            # The core specification's parameter wins over one of the same code from an extension pack.
            if (paths or own.get("bases")) and (code not in parameters[base] or "extensions" not in definition["id"]):
                parameters[base][code] = own
    compartment = {
        r["code"]: r["param"]
        for c in package["CompartmentDefinition"]
        if c["code"] == "Patient"
        for r in c["resource"]
        if r.get("param")
    }
    result = {"types": elements.resources, "parameters": parameters, "compartment": compartment}
    (target / "search.json").write_text(json.dumps(result, separators=(",", ":")))
