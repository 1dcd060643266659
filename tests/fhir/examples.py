"""An independent reading of HL7's examples: what each search parameter's own XPath finds in them, as a question.

Shares nothing with the store: the store reads the FHIRPath expressions of the definitions, this file their XPaths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

EXAMPLES = Path("node_modules/hl7.fhir.r4.examples")
_STEP = re.compile(r"/?f:(\w+)(?:\[(?:f:)?([^\]]+)\])?")
_CORRECTED = {
    # Says every type of value, where its description and its expression say texts.
    "Observation-value-string": "f:Observation/f:valueString | f:Observation/f:valueCodeableConcept/f:text",
}
_UNIVERSAL = {"Resource", "DomainResource"}


@cache
def definitions() -> list[dict[str, Any]]:
    """Every SearchParameter of R4."""
    return [json.loads(file.read_bytes()) for file in sorted(EXAMPLES.glob("SearchParameter-*.json"))]


@cache
def resources(kind: str) -> list[dict[str, Any]]:
    """The examples of one type, one a file."""
    found = [json.loads(file.read_bytes()) for file in sorted(EXAMPLES.glob(f"{kind}-*.json"))]
    return [one for one in found if one.get("resourceType") == kind]


def parameters(kind: str) -> dict[str, dict[str, Any]]:
    """The definitions that apply to a type, by code; the core's before those of extension packs."""
    found: dict[str, dict[str, Any]] = {}
    for one in definitions():
        bases = set(one.get("base", ()))
        fits = kind in bases or bool(bases & _UNIVERSAL)
        if fits and (one["code"] not in found or "extensions" not in one["id"]):
            found[one["code"]] = one
    return found


def questions(kind: str, definition: dict[str, Any], resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, value) that must find the resource, for each value that the parameter has in it."""
    code = definition["code"]
    if definition["type"] == "composite":
        yield from ((code, value) for value in _composites(kind, definition, resource))
        return
    if code == "age" and (resource.get("deceasedBoolean") or resource.get("deceasedDateTime")):
        return  # only the living have one
    for value in values(kind, definition, resource):
        for modifier, text in _asked(definition, value):
            yield code + modifier, text


def values(kind: str, definition: dict[str, Any], resource: dict[str, Any]) -> list[Any]:
    """What stands at the parameter's XPath."""
    found: list[Any] = []
    extension = re.search(r"\.extension\('([^']+)'\)", definition.get("expression") or "")
    if not definition.get("xpath"):
        for one in resource.get("extension", ()) if extension else ():
            if one["url"] == extension[1]:
                found += [value for name, value in one.items() if name.startswith("value")]
        return found
    for part in _CORRECTED.get(definition["id"], definition["xpath"]).split("|"):
        steps = _STEP.findall(part.strip())
        if not steps or steps[0][0] not in {kind, *_UNIVERSAL}:
            continue
        at: list[Any] = [resource]
        for name, predicate in steps[1:]:
            at = _filtered(
                [inner for one in at if isinstance(one, dict) for inner in _listed(one.get(name))], predicate
            )
        found += at
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _filtered(found: list[Any], predicate: str) -> list[Any]:
    if not predicate:
        return found
    if predicate.isdigit():
        return found[int(predicate) : int(predicate) + 1]  # R4 counts from 0 here
    name, _, wanted = predicate.replace("/@value", "").lstrip("@").partition("=")
    return [one for one in found if isinstance(one, dict) and one.get(name) == wanted.strip("'")]


def _escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def _asked(definition: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    kind = definition["type"]
    if definition["code"] in {"deceased", "birthOrderBoolean"}:
        return [("", "false" if value is False else "true")]
    if definition["code"] == "age":
        return [("", "ge0")]
    if kind == "reference":
        return _references(value, definition)
    if kind == "special":
        return [("", f"{value['latitude']}|{value['longitude']}|1|km")]
    return {
        "token": _tokens, "string": _strings, "date": _dates, "number": _numbers, "quantity": _quantities, "uri": _uris,
    }[kind](value)  # fmt: skip


def _tokens(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, bool):
        return [("", "true" if value else "false")]
    if isinstance(value, str):
        return [("", _escaped(value))]
    if not isinstance(value, dict):
        return []
    codings = value.get("coding", [value])
    found = [("", f"{_escaped(c.get('system', ''))}|{_escaped(c[m])}") for c in codings for m in ("code", "value")
             if isinstance(c.get(m), str)]  # fmt: skip
    texts = [c["display"] for c in codings if "display" in c] + ([value["text"]] if "text" in value else [])
    return found + [(":text", _escaped(text)) for text in texts if text.strip()]


def _strings(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [("", _escaped(value)), (":exact", _escaped(value))] if value.strip() and len(value) < 400 else []
    found: list[tuple[str, str]] = []
    if isinstance(value, dict):
        for name in ("family", "given", "text", "line", "city", "postalCode", "display"):
            for text in _listed(value.get(name)):
                found += [(":contains", _escaped(text))] if isinstance(text, str) and text.strip() else []
    return found


def _references(value: Any, definition: dict[str, Any]) -> list[tuple[str, str]]:
    """Only those to the types that the parameter is for: its XPath does not say which they are."""
    if isinstance(value, str):
        return [] if value.startswith("#") else [("", value)]
    found: list[tuple[str, str]] = []
    if isinstance(value, dict):
        literal, identifier = value.get("reference"), value.get("identifier")
        narrow = "resolve()" in (definition.get("expression") or "")
        kind = re.search(r"([A-Za-z]+)/[^/]+(?:/_history/[^/]+)?$", literal or "")
        fits = kind is not None and kind[1] in definition.get("target", ())
        if literal and literal[0] != "#" and (fits or not narrow):
            found.append(("", _escaped(literal)))
        if isinstance(identifier, dict) and "value" in identifier and not narrow:
            found.append((":identifier", f"{_escaped(identifier.get('system', ''))}|{_escaped(identifier['value'])}"))
        if value.get("resourceType") in definition.get("target", ()) and "id" in value:
            found.append(("", f"{value['resourceType']}/{value['id']}"))
    return found


def _dates(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [("", value), ("", f"ge{value}"), ("", f"le{value}")] if re.match(r"\d{4}", value) else []
    found: list[tuple[str, str]] = []
    if isinstance(value, dict):
        repeat = value.get("repeat", {}).get("boundsPeriod", {})
        for period in (value, repeat):
            found += [("", f"ge{period['start']}")] if "start" in period else []
            found += [("", f"le{period['end']}")] if "end" in period else []
        found += [("", f"ge{event}") for event in value.get("event", ())[:1]]
    return found


def _numbers(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, int | float):
        return [("", str(value))]
    return [("", f"ge{value['low']['value']}")] if isinstance(value, dict) and "low" in value else []


def _quantities(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return []
    if "low" in value:
        return [("", f"ge{value['low']['value']}")]
    if "value" not in value:
        return []
    prefix = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}.get(value.get("comparator", ""), "")
    number = f"{prefix}{value['value']}"
    if prefix:
        return [("", number)]
    unit = value.get("code") or value.get("unit") or value.get("currency")
    found = [("", number), ("", f"ap{value['value']}")]
    if "system" in value and "code" in value:
        found.append(("", f"{number}|{_escaped(value['system'])}|{_escaped(value['code'])}"))
    return found + ([("", f"{number}||{_escaped(unit)}")] if unit else [])


def _uris(value: Any) -> list[tuple[str, str]]:
    return [("", _escaped(value))] if isinstance(value, str) else []


def _composites(kind: str, definition: dict[str, Any], resource: dict[str, Any]) -> Iterator[str]:
    by_url = {one["url"]: one for one in definitions()}
    for root in definition["expression"].split("|"):
        steps = root.strip(" ()").split(".")
        if steps[0] != kind:
            continue
        holders: list[Any] = [resource]
        for name in steps[1:]:
            holders = [inner for one in holders for inner in _listed(one.get(name))]
        for holder in holders:
            parts: list[list[str]] = []
            for component in definition["component"]:
                own = by_url[component["definition"]]
                expression = component["expression"]
                if definition["id"] == "DocumentReference-relationship":  # R4 has its two expressions exchanged
                    expression = next(c["expression"] for c in definition["component"] if c is not component)
                found = [v for one in expression.split("|") for v in _plain(holder, one.strip(" ()"))]
                parts.append([t for v in found for modifier, t in _asked(own, v) if not modifier][:2])
            if all(parts):
                yield "$".join(part[0] for part in parts)


def _plain(holder: Any, expression: str) -> list[Any]:
    """The values of a path of names, with casts: `value.as(Quantity)`, `(value as Quantity)`, `code`."""
    expression = re.sub(r"^%resource\.", "", expression)
    expression = re.sub(r"(\w+)(?:\.as\((\w+)\)| as (\w+))",
                        lambda m: m[1] + (m[2] or m[3])[0].upper() + (m[2] or m[3])[1:], expression)  # fmt: skip
    at = [holder]
    for name in expression.split("."):
        choices = [m for one in at if isinstance(one, dict) for m in one if m == name or
                   (m.startswith(name) and m[len(name):][:1].isupper() and name == "value")]  # fmt: skip
        at = [
            inner
            for one in at
            if isinstance(one, dict)
            for m in dict.fromkeys(choices)
            for inner in _listed(one.get(m))
        ]
    return at
