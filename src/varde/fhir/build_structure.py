"""Set-up: structure of R4's types for validation: elements, cardinality, datatypes, required codes, regexes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_MAXIMUM_CODES = 500


def _codes(value_set: Json, systems: dict[str, Json], sets: dict[str, Json], depth: int = 0) -> set[str] | None:
    """Every code of a value set that is fully enumerable from the package; None when it is not."""
    found: set[str] = set()
    compose = value_set.get("compose", {})
    if compose.get("exclude") or depth > 3:
        return None
    for include in compose.get("include", ()):
        if include.get("filter"):
            return None
        for other in include.get("valueSet", ()):
            inner = sets.get(other.split("|")[0])
            inside = _codes(inner, systems, sets, depth + 1) if inner else None
            if inside is None:
                return None
            found |= inside
        if include.get("concept"):
            found |= {c["code"] for c in include["concept"]}
        elif include.get("system"):
            system = systems.get(include["system"])
            if system is None or system.get("content") != "complete":
                return None
            stack = list(system.get("concept", ()))
            while stack:
                concept = stack.pop()
                found.add(concept["code"])
                stack.extend(concept.get("concept", ()))
    return found


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write structure.json: {"types": {path: {element: description}}, "primitives": {type: regex}}."""
    systems = {s["url"]: s for s in package["CodeSystem"]}
    sets = {v["url"]: v for v in package["ValueSet"]}
    types: dict[str, dict[str, Json]] = {}
    primitives: dict[str, str | None] = {}
    bindings: dict[str, list[str]] = {}
    for structure in package["StructureDefinition"]:
        if structure.get("derivation") == "constraint" or structure.get("kind") == "logical":
            continue
        name = structure["type"]
        if structure["kind"] == "primitive-type":
            primitives[name] = _regex(structure)
            continue
        types.setdefault(name, {})
        for element in structure["snapshot"]["element"]:
            path = element["path"]
            if "." not in path:
                continue
            holder, _, child = path.rpartition(".")
            resource = structure["kind"] == "resource"
            types.setdefault(holder, {})[child] = _element(element, path, resource, systems, sets, bindings)
    result = {"types": types, "primitives": primitives, "bindings": bindings}
    (target / "structure.json").write_text(json.dumps(result, separators=(",", ":")))


def _regex(structure: Json) -> str | None:
    for element in structure["snapshot"]["element"]:
        for datatype in element.get("type", ()):
            for extension in datatype.get("extension", ()):
                if extension["url"].endswith("/regex"):
                    return str(extension["valueString"])
    return None


def _element(
    element: Json, path: str, resource: bool, systems: Json, sets: Json, bindings: dict[str, list[str]]
) -> Json:
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
        targets += [t.rsplit("/", 1)[1] for t in datatype.get("targetProfile", ())]
    described["types"] = codes
    if targets and "Resource" not in targets:
        described["targets"] = sorted(set(targets))
    binding = element.get("binding", {})
    if binding.get("strength") == "required" and codes == ["code"]:
        url = binding.get("valueSet", "").split("|")[0]
        if url not in bindings and url in sets:
            enumerated = _codes(sets[url], systems, sets)
            if enumerated and len(enumerated) <= _MAXIMUM_CODES:
                bindings[url] = sorted(enumerated)
        if url in bindings:
            described["binding"] = url
    return described
