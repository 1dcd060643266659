"""Set-up: R4's types, bindings and constraints for validation (structure.json), and every StructureDefinition, value
set and code system in a compact form, one by one to be had (definitions.zip).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from varde.fhir import valuesets

Json = dict[str, Any]
_KEPT = frozenset({
    "id", "path", "sliceName", "min", "max", "type", "binding", "constraint", "slicing", "contentReference",
    "maxLength", "isModifier",
})  # fmt: skip
_KEPT_PREFIXES = ("fixed", "pattern", "minValue", "maxValue", "_fixed", "_pattern")
_DEFINITION = ("url", "name", "type", "kind", "abstract", "derivation", "baseDefinition", "version", "context")


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write structure.json and definitions.zip."""
    at_hand = {
        (kind, resource["url"]): resource
        for kind in ("ValueSet", "CodeSystem")
        for resource in package[kind]
        if "url" in resource
    }

    def fetch(kind: str, url: str) -> Json | None:
        return at_hand.get((kind, url))

    structures = [s for s in package["StructureDefinition"] if s.get("snapshot")]
    _write_structure(structures, fetch, target / "structure.json")
    with zipfile.ZipFile(target / "definitions.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for structure in structures:
            if structure.get("kind") != "logical":
                file.writestr(f"StructureDefinition/{structure['url']}", _dump(_definition(structure)))
        for (kind, url), resource in at_hand.items():
            if kind == "ValueSet":
                expansion = valuesets.expand(url, fetch)
                if expansion is not None:
                    file.writestr(f"Expansion/{url}", _dump(_sorted(expansion)))
            elif (compact := valuesets.compact_system(resource)) is not None:
                file.writestr(f"CodeSystem/{url}", _dump(compact))


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _sorted(expansion: valuesets.Expansion) -> Json:
    return {system: None if codes is None else sorted(codes) for system, codes in expansion.items()}


def _definition(structure: Json) -> Json:
    elements = [compact_element(e) for e in structure["snapshot"]["element"]]
    return {**{k: structure[k] for k in _DEFINITION if k in structure}, "snapshot": {"element": elements}}


def compact_element(element: Json) -> Json:
    """What validation asks of an ElementDefinition."""
    return {k: v for k, v in element.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}


def _write_structure(structures: list[Json], fetch: valuesets.Fetch, file: Path) -> None:
    types: dict[str, Json] = {}
    bindings: dict[str, Any] = {}
    own = {
        s["type"]: {_constraint_key(c) for c in s["snapshot"]["element"][0].get("constraint", ())}
        for s in structures
        if s.get("derivation") != "constraint"
    }
    for structure in structures:
        if structure.get("derivation") == "constraint" or structure.get("kind") == "logical":
            continue
        name, base = structure["type"], structure.get("baseDefinition")
        elements = structure["snapshot"]["element"]
        made = types.setdefault(name, {})
        made |= {"base": base.rsplit("/", 1)[1] if base else None, "kind": structure["kind"]}
        made["abstract"] = structure.get("abstract", False)
        made["constraints"] = [_constraint(c) for c in elements[0].get("constraint", ())]
        if structure["kind"] == "primitive-type":
            made["regex"] = _regex(structure)
            continue
        made["members"] = {}
        for element in elements[1:]:
            holder, _, child = element["path"].rpartition(".")
            resource = structure["kind"] == "resource"
            inherited = {k for t in element.get("type", ()) for k in own.get(t["code"], ())}
            inherited |= own["Element"]
            described = _element(element, element["path"], resource, fetch, bindings)
            constraints = [_constraint(c) for c in element.get("constraint", ()) if _constraint_key(c) not in inherited]
            if element["path"] in described["types"]:
                types[element["path"]] = {
                    "base": element["type"][0]["code"], "kind": "nested", "abstract": False, "members": {},
                    "constraints": constraints,
                }  # fmt: skip
            elif constraints:
                described["constraints"] = constraints
            types[holder]["members"][child] = described
    file.write_text(_dump({"types": types, "bindings": bindings}), encoding="utf-8")


def _constraint_key(constraint: Json) -> tuple[str, str | None]:
    return constraint["key"], constraint.get("expression")


def _constraint(constraint: Json) -> Json:
    return {k: constraint[k] for k in ("key", "severity", "human", "expression") if k in constraint}


def _regex(structure: Json) -> str | None:
    for element in structure["snapshot"]["element"]:
        for datatype in element.get("type", ()):
            for extension in datatype.get("extension", ()):
                if extension["url"].endswith("/regex"):
                    return str(extension["valueString"])
    return None


def _element(element: Json, path: str, resource: bool, fetch: valuesets.Fetch, bindings: dict[str, Any]) -> Json:
    described: Json = {"min": element.get("min", 0), "max": element.get("max", "1")}
    if element.get("contentReference"):
        described["types"] = [element["contentReference"].removeprefix("#")]
        return described
    codes = []
    targets: list[str] = []
    for datatype in element.get("type", ()):
        code = datatype["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            code = "id" if resource and path.endswith(".id") and path.count(".") == 1 else "string"
            if path.endswith(".url"):
                code = "uri"
        if code in {"BackboneElement", "Element"}:
            code = path
        codes.append(code)
        if datatype["code"] == "Reference":
            targets += [t.rsplit("/", 1)[1] for t in datatype.get("targetProfile", ())]
    described["types"] = codes
    if targets and "Resource" not in targets:
        described["targets"] = sorted(set(targets))
    binding = element.get("binding", {})
    url = binding.get("valueSet", "").partition("|")[0]
    if url and binding.get("strength") == "required":
        if url not in bindings:
            expansion = valuesets.expand(url, fetch)
            bindings[url] = None if expansion is None else _sorted(expansion)
        described["binding"] = url
    elif url and binding.get("strength") in {"extensible", "preferred"}:
        described["advice"] = [url, binding["strength"]]
    return described
