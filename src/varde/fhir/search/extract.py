"""The search values of a resource: straight Python generated once a type from the resolved definitions.

Compartment and main date come from the same values. What a value becomes is in `values.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from varde.fhir.definitions import canonical_system, compartment_parameters, main_date, search_parameters
from varde.fhir.keys import resource_key
from varde.fhir.rows import IndexRows
from varde.fhir.search import values
from varde.fhir.search.composite import extract_composites
from varde.fhir.search.dates import OPEN_HIGH, OPEN_LOW

_Extractor = Callable[[Mapping[str, Any], IndexRows], None]
_DEMOGRAPHIC = {"Patient"}


@dataclass(slots=True)
class _Node:
    """Where the paths of parameters have come to: what is called with the value there, and how they go on."""

    calls: list[str] = field(default_factory=list)
    steps: dict[tuple[Any, ...], _Node] = field(default_factory=dict)


@cache
def _extractor(resource_type: str) -> _Extractor:
    # Parameters share most of their paths, and a resource has few of the members that they start from: paths that
    # begin alike are walked once.
    root = _Node()
    names: dict[str, Any] = {"is_reference_to": values.is_reference_to, "has_extension": values.has_extension}
    for parameter in search_parameters(resource_type).values():
        if parameter.code in {"_id", "_lastUpdated"}:
            continue  # columns of the resource itself
        for path in parameter.paths:
            handler = values.handler(parameter.kind, path["type"])
            if handler is None:
                continue
            names[f"h{id(handler)}"] = handler
            node = root
            for step in path["steps"]:
                node = node.steps.setdefault(tuple(step), _Node())
            node.calls.append(f"h{id(handler)}(rows, {parameter.key}, %s)")
    lines = ["def extractor(resource, rows):"]
    _emit(lines, root, "resource", 1)
    if len(lines) == 1:
        lines.append("    pass")
    exec("\n".join(lines), names)  # noqa: S102 source made here from the specification's definitions
    made: _Extractor = names["extractor"]
    return made


def _emit(lines: list[str], node: _Node, holder: str, depth: int) -> None:
    """Nested loops and guards along the paths from `node`. Wrong shapes (left to validation) are stepped over."""
    pad = "    " * depth
    for step, after in node.steps.items():
        if len(step) == 2:
            name, repeats = step
            value = f"v{depth}"
            lines.append(f"{pad}{value} = {holder}.get({name!r})")
            if repeats:
                lines.append(f"{pad}if {value}:")
                lines.append(f"{pad}    for w{depth} in {value} if type({value}) is list else ():")
                inner, value = depth + 2, f"w{depth}"
            else:
                lines.append(f"{pad}if {value} is not None:")
                inner = depth + 1
            lines += ["    " * inner + call % value for call in after.calls]
            if after.steps:
                lines.append("    " * inner + f"if type({value}) is dict:")
                _emit(lines, after, value, inner + 1)
        else:
            kind, argument, value = step
            condition = {
                "equals": f"{holder}.get({argument!r}) == {value!r}",
                "is": f"is_reference_to({holder}, {argument!r})",
                "has": f"has_extension({holder}, {argument!r})",
                "index": "True",
            }[kind]
            lines.append(f"{pad}if {condition}:")
            lines += ["    " * (depth + 1) + call % holder for call in after.calls]
            _emit(lines, after, holder, depth + 1)


def extract(resource_type: str, resource: Mapping[str, Any]) -> IndexRows:
    """All rows of the index tables for `resource`, its main date, patient and security labels.

    Never raises on a resource that validation would refuse; what cannot be read is not indexed.
    """
    rows = IndexRows()
    _extractor(resource_type)(resource, rows)
    extract_composites(resource_type, resource, rows)
    for name in ("tokens", "references", "strings", "dates", "quantities", "uris"):
        found = getattr(rows, name)
        if len(found) > 1:
            setattr(rows, name, list(dict.fromkeys(found)))
    _set_date(resource_type, rows)
    _set_patient(resource_type, resource, rows)
    meta = resource.get("meta")
    if isinstance(meta, dict):
        for coding in meta.get("security") or ():
            if isinstance(coding, dict) and coding.get("code"):
                rows.security.append(f"{canonical_system(coding.get('system') or '')}|{coding['code']}")
    return rows


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
                named = values.local_id(literal, "Patient") if isinstance(literal, str) else None
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
