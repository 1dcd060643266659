"""Set-up: search parameters of R4 as typed paths. Resolves each FHIRPath expression against the structure
definitions once, so that extraction at run time is straight Python without an interpreter.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_UNINDEXED = {"_query", "_filter", "_content", "_text"}
_ANY_VALUE = (
    "CodeableConcept", "Coding", "Identifier", "Reference", "Quantity", "string", "code", "boolean", "date",
    "dateTime", "Period", "uri", "integer", "decimal", "Range",
)  # fmt: skip


class Elements:
    """Every element of every type: its datatypes, whether it repeats, and where its content is defined."""

    def __init__(self, structures: list[Json]) -> None:
        self._elements: dict[str, Json] = {}
        self.resources: list[str] = []
        for structure in structures:
            if structure.get("derivation") == "constraint" or structure.get("kind") == "logical":
                continue
            if structure["kind"] == "resource" and not structure.get("abstract"):
                self.resources.append(structure["type"])
            for element in structure["snapshot"]["element"]:
                self._elements[element["path"]] = element
        self.resources.sort()

    def step(self, types: tuple[str, ...], name: str) -> tuple[str, bool, tuple[str, ...], bool] | None:
        """(json name or stem, repeats, datatypes, is a choice) of child `name` of a path or datatype."""
        for holder in types:
            for path, choice in ((f"{holder}.{name}", False), (f"{holder}.{name}[x]", True)):
                element = self._elements.get(path)
                if element is None:
                    continue
                repeats = element.get("max") not in {"0", "1"}
                reference = element.get("contentReference")
                if reference:
                    return name, repeats, (reference.removeprefix("#"),), False
                codes = tuple(_code(t) for t in element.get("type", ()))
                if codes in {("BackboneElement",), ("Element",)}:
                    return name, repeats, (path,), False
                return name, repeats, codes, choice
        return None


def _code(datatype: Json) -> str:
    code = str(datatype["code"])
    # Snapshots give ids and urls as FHIRPath system types.
    return "string" if code.startswith("http://hl7.org/fhirpath/") else code


def _split(expression: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in expression:
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()]


_TOKEN = re.compile(
    r"""\.?(?:
      as\((?P<as>\w+)\) | ofType\((?P<of>\w+)\)
    | where\(resolve\(\)\ is\ (?P<is>\w+)\)
    | where\((?P<field>\w+)\s*=\s*'(?P<value>[^']*)'\)
    | where\(hasExtension\('(?P<has>[^']*)'\)\)
    | extension\('(?P<ext>[^']*)'\)
    | \[(?P<index>\d+)\]
    | (?P<name>\w+)
    )""",
    re.VERBOSE,
)


def _tokens(path: str) -> list[tuple[str, str, str]]:
    """The steps of one union member, innermost first; ("as", type, "") for both spellings of `as`."""
    wrapped = re.fullmatch(r"\((.+?) as (\w+)\)(.*)", path)
    if wrapped:
        return [*_tokens(wrapped[1]), ("as", wrapped[2], ""), *_tokens(wrapped[3])]
    spaced = re.fullmatch(r"([\w.]+) as (\w+)", path)
    if spaced:
        return [*_tokens(spaced[1]), ("as", spaced[2], "")]
    steps: list[tuple[str, str, str]] = []
    at = 0
    while at < len(path):
        match = _TOKEN.match(path, at)
        if not match or match.end() == at:
            raise ValueError(f"cannot read FHIRPath {path!r} at {at}")
        at = match.end()
        got = match.groupdict()
        if got["as"] or got["of"]:
            steps.append(("as", got["as"] or got["of"], ""))
        elif got["is"]:
            steps.append(("is", got["is"], ""))
        elif got["field"]:
            steps.append(("equals", got["field"], got["value"]))
        elif got["has"]:
            steps.append(("has", got["has"], ""))
        elif got["ext"]:
            steps.append(("extension", got["ext"], ""))
        elif got["index"]:
            steps.append(("index", got["index"], ""))
        else:
            steps.append(("field", got["name"], ""))
    return steps


def resolve(elements: Elements, root: str, path: str) -> list[Json]:
    """`path` (without its type's name) as typed paths: {"steps": [...], "type": datatype}.

    A step is [json name, repeats] or a filter [kind, argument, value]. One path for each datatype a choice
    element may have.
    """
    walks: list[tuple[list[list[Any]], tuple[str, ...], tuple[str, bool, tuple[str, ...]] | None]]
    walks = [([], (root,), None)]
    for kind, argument, value in _tokens(path):
        following: list[Any] = []
        for steps, types, choice in walks:
            if kind == "as":
                following.extend(_narrow(steps, types, choice, argument))
            elif choice is not None:
                for narrowed in _expand(steps, choice):
                    following.extend(_advance(elements, *narrowed, kind, argument, value))
            else:
                following.extend(_advance(elements, steps, types, kind, argument, value))
        walks = following
    out: list[Json] = []
    for steps, types, choice in walks:
        ends = _expand(steps, choice) if choice else [(steps, types)]
        out.extend({"steps": s, "type": t[0]} for s, t in ends)
    return out


def _json_name(stem: str, datatype: str) -> str:
    return stem + datatype[0].upper() + datatype[1:]


def _expand(steps: list[Any], choice: tuple[str, bool, tuple[str, ...]]) -> list[tuple[list[Any], tuple[str]]]:
    stem, repeats, types = choice
    return [([*steps, [_json_name(stem, t), repeats]], (t,)) for t in types]


def _narrow(steps: list[Any], types: tuple[str, ...], choice: Any, wanted: str) -> list[Any]:
    if choice is not None:
        stem, repeats, allowed = choice
        # R4 writes `as DateTime` in places for dateTime.
        exact = next((t for t in allowed if t.lower() == wanted.lower()), None)
        return [([*steps, [_json_name(stem, exact), repeats]], (exact,), None)] if exact else []
    return [(steps, types, None)]


def _advance(
    elements: Elements, steps: list[Any], types: tuple[str, ...], kind: str, argument: str, value: str
) -> list[Any]:
    if kind == "field":
        found = elements.step(types, argument)
        if found is None:
            return []
        name, repeats, inner, choice = found
        if choice:
            return [(steps, types, (name, repeats, inner))]
        return [([*steps, [name, repeats]], inner, None)]
    if kind == "extension":
        inside = [*steps, ["extension", True], ["equals", "url", argument]]
        return [(inside, ("Extension",), ("value", False, _ANY_VALUE))]
    if kind == "index":
        return [([*steps, ["index", argument, ""]], types, None)]
    return [([*steps, [kind, argument, value]], types, None)]


def _paths(elements: Elements, expression: str, base: str) -> list[Json]:
    if expression.startswith("Patient.deceased.exists()"):
        return [{"steps": [], "type": "deceased"}]
    out: list[Json] = []
    for part in _split(expression):
        root = re.match(r"\(*(\w+)\.", part)
        if not root or root[1] not in {base, "Resource", "DomainResource"}:
            continue
        path = part.replace(f"{root[1]}.", "", 1)
        for found in resolve(elements, base, path):
            if found not in out:
                out.append(found)
    return out


def _bases(elements: Elements, definition: Json, by_url: dict[str, Json], base: str) -> list[Json]:
    """The elements of a composite whose components belong together, each component with its paths from there."""
    found: list[Json] = []
    components: list[tuple[Json, str]] = [(by_url[c["definition"]], c["expression"]) for c in definition["component"]]
    if definition["id"] == "DocumentReference-relationship":  # R4 has its two expressions exchanged
        (one, first), (other, second) = components
        components = [(one, second), (other, first)]
    for part in _split(definition["expression"]):
        path = part.strip("()")
        if path.split(".")[0] != base:
            continue
        inner = path.partition(".")[2]
        ends = resolve(elements, base, inner) if inner else [{"steps": [], "type": base}]
        for end in ends:
            own: Json = {"name": path, "steps": end["steps"], "components": []}
            for component, expression in components:
                paths: list[Json] = []
                for alternative in _split(expression):
                    whole = alternative.startswith("%resource.")
                    root = base if whole else end["type"]
                    for resolved in resolve(elements, str(root), alternative.removeprefix("%resource.")):
                        paths.append({**resolved, "whole": whole})
                own["components"].append(
                    {"code": component["code"], "kind": component["type"], "expression": expression, "paths": paths}
                )
            found.append(own)
    return found


def build(package: dict[str, list[Json]], target: Path) -> None:
    """Write search.json: types in their fixed order, parameters by type, patient compartment."""
    elements = Elements(package["StructureDefinition"])
    by_url = {p["url"]: p for p in package["SearchParameter"]}
    parameters: dict[str, dict[str, Json]] = {name: {} for name in elements.resources}
    for definition in package["SearchParameter"]:
        code = definition["code"]
        if code in _UNINDEXED or not definition.get("expression"):
            continue
        bases = definition.get("base", [])
        if set(bases) & {"Resource", "DomainResource"}:
            bases = elements.resources
        for base in bases:
            composite = definition["type"] == "composite"
            paths = [] if composite else _paths(elements, definition["expression"], base)
            own: Json = {
                "code": code,
                "kind": definition["type"],
                "url": definition["url"],
                "targets": definition.get("target", []),
                "paths": paths,
            }
            if composite:
                own["bases"] = _bases(elements, definition, by_url, base)
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
