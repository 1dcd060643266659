"""One resource of a load as text, checked and made ready to be written, before any database is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varde.fhir import splice
from varde.fhir.definitions import index_digest
from varde.fhir.errors import FhirError, Issue
from varde.fhir.keys import resource_key
from varde.fhir.rows import IndexRows
from varde.fhir.search.extract import extract
from varde.fhir.sources import id_of
from varde.fhir.storing.writing import check_id, type_of
from varde.fhir.validate import judge


@dataclass(frozen=True, slots=True)
class Ready:
    """A resource that may be written."""

    place: int
    """Where it stood in what was given."""
    type: str
    id: str
    rid: int
    text: bytes
    parsed: dict[str, Any]
    rows: IndexRows
    """What it is found by."""
    indexed: int
    """By which definitions."""
    wanted: frozenset[str]
    """Urls of profiles and extensions that only the store may know."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A resource that is not written, and why. The reason tells of no value."""

    place: int
    reference: str
    """Type/id as far as it is known."""
    reason: str


def check(place: int, text: bytes, expected: str = "") -> Ready | Refused:
    """The resource in `text`, which is of type `expected` when one is given. One without an id gets one made of its
    content, so that it is not written twice."""
    reference = ""
    try:
        parsed = splice.parse(text)
        kind = type_of(parsed)
        given = parsed.get("id")
        identifier = id_of(text) if given is None else str(given)
        reference = kind
        check_id(identifier)  # which may be a person's number: it is told of only once it is none
        reference = f"{kind}/{identifier}"
        if expected and kind != expected:
            return Refused(place, reference, f"the input was said to hold {expected}")
        if given is None:
            parsed["id"] = identifier
        found = judge(parsed)
        if found.issues:
            return Refused(place, reference, said(found.issues))
        rows = extract(kind, parsed)
    except FhirError as error:
        return Refused(place, reference, str(error))
    if given is None:
        del parsed["id"]
    return Ready(
        place,
        kind,
        identifier,
        resource_key(kind, identifier),
        text,
        parsed,
        rows,
        index_digest(kind),
        frozenset(found.wanted),
    )


def said(faults: Sequence[Issue]) -> str:
    """All faults in one line."""
    return "; ".join(f"{i.expression}: {i.diagnostics}" if i.expression else i.diagnostics for i in faults)


def outcome(refused: Refused, source: str, line: int) -> Mapping[str, Any]:
    """Why a line was refused, as OperationOutcome."""
    said = f"line {line} of {source}" + (f" ({refused.reference})" if refused.reference else "")
    issue = {"severity": "error", "code": "invalid", "diagnostics": f"{said}: {refused.reason}"}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
