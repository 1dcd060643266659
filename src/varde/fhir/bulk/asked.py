"""What a kick-off request asks for, understood or refused. Pure.

Sources: Bulk Data Access IG 2.0, "Bulk Data Kick-off Request"; the Parameters of `$import` as HAPI FHIR, Microsoft's
FHIR server and Aidbox take them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from varde.fhir.definitions import compartment_parameters, is_type, resource_types
from varde.fhir.errors import BadRequest
from varde.fhir.search.dates import date_range
from varde.fhir.search.parse import parse

NDJSON = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
_OTHERS = ("includeAssociatedData", "organizeOutputBy", "allowPartialManifests", "_until")
_ELEMENT = re.compile(r"(?:([A-Z][A-Za-z]+)\.)?([a-z][A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class Export:
    """An export as asked for."""

    level: str
    """system, patient or group."""
    types: tuple[str, ...] = ()
    """Empty: all that may be had."""
    since: str | None = None
    """FHIR instant: only what changed after it."""
    elements: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    """(type, query): alternatives for each type."""
    patients: tuple[str, ...] = ()
    """Ids of the Patients that it is held to; empty for all."""
    group: str | None = None
    ignored: tuple[str, ...] = field(default=())
    """What a lenient client asked for in vain, told in the error file."""

    def as_json(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Export:
        """From what `as_json` gave."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()
        }
        return cls(**{**given, "filters": tuple((kind, query) for kind, query in kept["filters"])})

    @property
    def since_moment(self) -> datetime | None:
        """`since` as a moment."""
        return date_range(self.since)[0] if self.since else None


@dataclass(frozen=True, slots=True)
class Input:
    """One file of an import: what type it holds ("" for any) and where it is fetched from."""

    type: str
    url: str


def patient_types() -> frozenset[str]:
    """The types of the Patient compartment, which exports of patients and groups hold; without Group, which names
    others too."""
    return frozenset({"Patient", *(name for name in resource_types() if compartment_parameters(name))} - {"Group"})


def asks_async(headers: Mapping[str, str]) -> bool:
    """Whether the client bears to be answered later, as the IG has it ask."""
    return any(part.strip() == "respond-async" for part in headers.get("prefer", "").split(","))


def is_lenient(headers: Mapping[str, str]) -> bool:
    """Whether what cannot be done is to be passed over."""
    return "handling=lenient" in headers.get("prefer", "")


def read_export(named: Sequence[tuple[str, Any]], level: str, *, lenient: bool, group: str | None = None) -> Export:
    """The export that parameters ask for. Raises BadRequest for what is not understood or not done here."""
    types: list[str] = []
    elements: list[str] = []
    filters: list[tuple[str, str]] = []
    patients: list[str] = []
    ignored: list[str] = []
    since: str | None = None

    def passed_over(why: str, code: str = "not-supported") -> None:
        if not lenient:
            raise BadRequest.of(why, code=code)
        ignored.append(why)

    for name, value in named:
        if name == "_outputFormat":
            if _text(name, value).replace(" ", "+") not in NDJSON:
                raise BadRequest.of("_outputFormat is application/fhir+ndjson", code="not-supported")
        elif name == "_since":
            since = _instant(_text(name, value))
        elif name == "_type":
            for kind in _listed(name, value):
                if not is_type(kind):
                    passed_over("_type names a type that R4 has not")
                elif level != "system" and kind not in patient_types():
                    passed_over(f"{kind} is not of the Patient compartment; the export of the system has it")
                elif kind not in types:
                    types.append(kind)
        elif name == "_elements":
            for element in _listed(name, value):
                match = _ELEMENT.fullmatch(element)
                if match is None or (match[1] and not is_type(match[1])):
                    passed_over("_elements names elements at the root, as Patient.name or name")
                else:
                    elements.append(element)
        elif name == "_typeFilter":
            try:
                filters += _filters(_text(name, value))
            except BadRequest as error:
                passed_over(f"_typeFilter: {error}")
        elif name == "patient" and level != "system":
            patients.append(_patient(value))
        elif name in _OTHERS:
            passed_over(f"{name} is not done here")
        else:
            passed_over("a parameter that an export does not take")
    if types:
        unasked = {kind for kind, _ in filters} - set(types)
        if unasked:
            passed_over("_typeFilter narrows a type that _type does not name")
            filters = [one for one in filters if one[0] not in unasked]
    return Export(level, tuple(types), since, tuple(elements), tuple(filters), tuple(dict.fromkeys(patients)), group,
                  tuple(ignored))  # fmt: skip


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest.of(f"{name} is text")
    return value


def _listed(name: str, value: Any) -> list[str]:
    return [part.strip() for part in _text(name, value).split(",") if part.strip()]


def _instant(text: str) -> str:
    text = text.replace(" ", "+")
    try:
        date_range(text)
    except (ValueError, OverflowError):
        raise BadRequest.of("_since is a FHIR instant") from None
    return text


def _filters(text: str) -> list[tuple[str, str]]:
    """Filters parted by commas; a comma within a query stands as %2C or \\, (IG 2.0, Query Parameters)."""
    found = []
    for one in re.split(r",(?=[A-Z][A-Za-z]+\?)", text):
        kind, mark, query = one.partition("?")
        if not mark or not is_type(kind):
            raise BadRequest.of("a filter is written Type?query")
        search = parse(kind, query)
        if search.shaped or search.includes:
            raise BadRequest.of("a filter only says which resources")
        found.append((kind, query))
    return found


def _patient(value: Any) -> str:
    reference = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(reference, str) or not reference.startswith("Patient/"):
        raise BadRequest.of("patient is a reference: Patient/id")
    return reference.removeprefix("Patient/")


def read_import(named: Sequence[tuple[str, Any]], document: Mapping[str, Any] | None) -> list[Input]:
    """The files that an import's Parameters, or its plain JSON manifest, name. Raises BadRequest."""
    if document is not None:
        inputs = document.get("input", document.get("inputs"))
        if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
            raise BadRequest.of("an import names its files: input is a list of {type, url}")
        _check_format(document.get("inputFormat", document.get("contentEncoding", "")))
        return [_input(one.get("type", one.get("resourceType")), one.get("url")) for one in inputs]
    found = []
    for name, value in named:
        if name == "inputFormat":
            _check_format(value)
        elif name == "input":
            if not isinstance(value, list):
                raise BadRequest.of("input has the parts type and url", "Parameters.parameter.part")
            parts = {p.get("name"): next((v for k, v in p.items() if k.startswith("value")), None)
                     for p in value if isinstance(p, dict)}  # fmt: skip
            found.append(_input(parts.get("type"), parts.get("url")))
        elif name not in {"inputSource", "storageDetail", "mode"}:
            raise BadRequest.of("a parameter that an import does not take", code="not-supported")
        elif name == "mode" and value not in {"InitialLoad", "IncrementalLoad"}:
            raise BadRequest.of("mode is InitialLoad or IncrementalLoad")
    if not found:
        raise BadRequest.of("an import names its files: input, with the parts type and url")
    return found


def _check_format(value: Any) -> None:
    if value not in {*NDJSON, "", "gzip", "plain"}:
        raise BadRequest.of("inputFormat is application/fhir+ndjson", code="not-supported")


def _input(kind: Any, url: Any) -> Input:
    if not isinstance(url, str):
        raise BadRequest.of("an input has a url")
    if kind is not None and not is_type(kind):
        raise BadRequest.of("an input's type is a resource type of R4")
    return Input(kind or "", url)
