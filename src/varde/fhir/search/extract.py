"""The search values of a resource: straight Python generated once a type from the resolved definitions.

Compartment and main date come from the same values. What a value becomes is in `values.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from varde.fhir.definitions import (
    canonical_system,
    compartment_parameters,
    indexed_parameters,
    is_type,
    kept,
    main_date,
    search_parameters,
)
from varde.fhir.keys import resource_key, text_key
from varde.fhir.rows import IndexRows
from varde.fhir.search import references, values
from varde.fhir.search.composite import extract_composites
from varde.fhir.search.dates import OPEN_HIGH, OPEN_LOW

_Extractor = Callable[[Mapping[str, Any], IndexRows], None]
_DEMOGRAPHIC = {"Patient"}


@kept
def _extractor(resource_type: str) -> _Extractor:
    lines = ["def extractor(resource, rows):"]
    names: dict[str, Any] = {"is_reference_to": values.is_reference_to, "has_extension": values.has_extension}
    for parameter in indexed_parameters(resource_type).values():
        if parameter.code in {"_id", "_lastUpdated"}:
            continue  # columns of the resource itself
        for path in parameter.paths:
            handler = values.handler(parameter.kind, path["type"])
            if handler is None:
                continue
            names[f"h{id(handler)}"] = handler
            _emit(lines, path["steps"], f"h{id(handler)}(rows, {parameter.key}, %s)", path["type"])
    if len(lines) == 1:
        lines.append("    pass")
    exec("\n".join(lines), names)  # noqa: S102 source made here from the specification's definitions
    made: _Extractor = names["extractor"]
    return made


def _emit(lines: list[str], steps: list[Any], call: str, datatype: str) -> None:
    """Nested loops and guards along one path. Wrong shapes (left to validation) are stepped over."""
    depth, holder, number = 1, "resource", 0
    for place, step in enumerate(steps):
        pad = "    " * depth
        if len(step) == 2:
            name, repeats = step
            number += 1
            lines.append(f"{pad}v{number} = {holder}.get({name!r})")
            lines.append(f"{pad}if v{number}:" if repeats else f"{pad}if v{number} is not None:")
            depth += 1
            if repeats:
                part = ""
                if place + 1 < len(steps) and steps[place + 1][0] == "index":
                    first = int(steps[place + 1][1])
                    part = f"[{first}:{first + 1}]"
                lines.append("    " * depth + f"for w{number} in v{number}{part} if type(v{number}) is list else ():")
                depth += 1
                holder = f"w{number}"
            else:
                holder = f"v{number}"
            if place + 1 < len(steps):
                lines.append("    " * depth + f"if type({holder}) is dict:")
                depth += 1
        else:
            kind, argument, value = step
            condition = {
                "equals": f"{holder}.get({argument!r}) == {value!r}",
                "is": f"is_reference_to({holder}, {argument!r})",
                "has": f"has_extension({holder}, {argument!r})",
                "index": "True",
            }[kind]
            lines.append(f"{pad}if {condition}:")
            depth += 1
    lines.append("    " * depth + call % holder)


def extract(resource_type: str, resource: Mapping[str, Any]) -> IndexRows:
    """All rows of the index tables for `resource`, its main date, patient and security labels.

    Never raises on a resource that validation would refuse; what cannot be read is not indexed.
    """
    rows = _values_of(resource_type, resource)
    if "contained" in resource or resource_type == "Bundle":
        _extract_inside(resource_type, resource, rows)
    url = resource.get("url")
    if isinstance(url, str) and url and "url" in search_parameters(resource_type):
        version = resource.get("version")
        named = [url, f"{url}|{version}"] if isinstance(version, str) and version else [url]
        rows.references += [(values.CANONICAL, text_key(one), None, "s") for one in named]
    _set_date(resource_type, rows)
    _set_patient(resource_type, resource, rows)
    meta = resource.get("meta")
    if isinstance(meta, dict):
        for coding in meta.get("security") or ():
            if isinstance(coding, dict) and coding.get("code"):
                rows.security.append(f"{canonical_system(coding.get('system') or '')}|{coding['code']}")
    return rows


def _values_of(resource_type: str, resource: Mapping[str, Any]) -> IndexRows:
    rows = IndexRows()
    _extractor(resource_type)(resource, rows)
    extract_composites(resource_type, resource, rows)
    for name in ("tokens", "references", "strings", "dates", "quantities", "uris"):
        found = getattr(rows, name)
        if len(found) > 1:
            setattr(rows, name, list(dict.fromkeys(found)))
    return rows


def _extract_inside(resource_type: str, resource: Mapping[str, Any], rows: IndexRows) -> None:
    """The values of the resources inside: the contained ones, and the first of a Bundle."""
    listed = resource.get("contained")
    found: list[tuple[Any, Any]] = [
        (one.get("id"), one) for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)
    ]
    entries = resource.get("entry")
    if resource_type == "Bundle" and isinstance(entries, list) and entries and isinstance(entries[0], dict):
        first = entries[0].get("resource")
        if isinstance(first, dict) and first.get("resourceType") in {"Composition", "MessageHeader"}:
            found.append((values.FIRST, first))
    for name, one in found:
        kind = one.get("resourceType") if isinstance(one, dict) else None
        if isinstance(name, str) and is_type(kind):
            rows.contained.append((str(kind), name, _values_of(str(kind), one)))


def _set_date(resource_type: str, rows: IndexRows) -> None:
    code = main_date(resource_type)
    if code is None or not rows.dates:
        return
    key = search_parameters(resource_type)[code].key
    for param, low, high in rows.dates:
        if param == key:
            # An open period sorts by the end that is known.
            rows.date = low if low > OPEN_LOW else (high if high < OPEN_HIGH else None)
            return


def _set_patient(resource_type: str, resource: Mapping[str, Any], rows: IndexRows) -> None:
    if resource_type in _DEMOGRAPHIC:
        identifier = resource.get("id")
        rows.patient = identifier if isinstance(identifier, str) else None
        return
    wanted = compartment_parameters(resource_type)
    # "subject" and "patient" say whom a resource is about; the others only who took part.
    for code in sorted(wanted, key=lambda c: (c not in {"patient", "subject"}, wanted.index(c))):
        parameter = search_parameters(resource_type).get(code)
        for path in parameter.paths if parameter else ():
            for reference in values.walk(resource, path["steps"]):
                if not isinstance(reference, dict):
                    continue
                literal = reference.get("reference")
                named = references.local_id(literal, "Patient") if isinstance(literal, str) else None
                if named is not None:
                    rows.patient = named
                    return
                identifier = reference.get("identifier")
                if (
                    reference.get("type") == "Patient"
                    and isinstance(identifier, dict)
                    and isinstance(identifier.get("value"), str)
                    and rows.patient_identifier is None
                ):
                    system = canonical_system(identifier.get("system") or "")
                    rows.patient_identifier = (system, identifier["value"])


def patient_key(patient_id: str) -> int:
    """The value of column `patient` for the compartment of Patient `patient_id`."""
    return resource_key("Patient", patient_id)
