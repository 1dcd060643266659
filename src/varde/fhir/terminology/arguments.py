"""The parameters of an operation, read and checked against what it takes: from the address or a Parameters body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import BadRequest, Unprocessable
from varde.fhir.http.operations import Call
from varde.fhir.search.dates import date_range
from varde.fhir.terminology.resolving import Versions
from varde.fhir.validate import faults_of

MAXIMUM_TEXT = 4_096


class Kind(Enum):
    """What a parameter's value is."""

    TEXT = "text"
    BOOLEAN = "true or false"
    INTEGER = "a whole number, 0 or more"
    MOMENT = "a FHIR date"
    CODING = "a Coding"
    CONCEPT = "a CodeableConcept"
    RESOURCE = "a resource"
    PARTS = "a list of parts"


class Arguments:
    """What one call gave. `takes` says which parameters the operation has; another is an error."""

    def __init__(self, call: Call, takes: Mapping[str, Kind], *, body: str | None = None) -> None:
        """`body`: the parameter that a resource standing alone in the body is. Raises BadRequest."""
        self._given: dict[str, list[Any]] = {}
        given = call.parameters()
        alone = call.resource
        if alone is not None:
            if body is None:
                raise BadRequest.of("this operation takes a Parameters resource")
            given.append((body, alone))
        for name, value in given:
            kind = takes.get(name)
            if kind is None:
                raise BadRequest.of(f"'{name[:64]}' is no parameter of this operation", code="not-supported")
            self._given.setdefault(name, []).append(_read(name, kind, value))

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def all(self, name: str) -> list[Any]:
        """Every value given."""
        return self._given.get(name, [])

    def one(self, name: str) -> Any:
        """The value, or None. Raises BadRequest for several."""
        found = self._given.get(name, [])
        if len(found) > 1:
            raise BadRequest.of(f"'{name}' is given once")
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """A text, or None."""
        value = self.one(name)
        return value if isinstance(value, str) else None

    def true(self, name: str) -> bool:
        """Whether it is given as true."""
        return self.one(name) is True

    def versions(self) -> Versions:
        """Of code systems: system-version, check-system-version, force-system-version. Raises BadRequest."""
        return Versions(*(self._canonicals(f"{kind}system-version") for kind in ("", "check-", "force-")))

    def _canonicals(self, name: str) -> dict[str, str]:
        found = {}
        for one in self.all(name):
            url, _, version = one.partition("|")
            if not version:
                raise BadRequest.of(f"'{name}' is written system|version")
            found[canonical_system(url)] = version
        return found


def _read(name: str, kind: Kind, value: Any) -> Any:
    if kind is Kind.TEXT and isinstance(value, str):
        if len(value) > MAXIMUM_TEXT or "\x00" in value:
            raise BadRequest.of(f"'{name}' is too long")
        return value
    if kind is Kind.BOOLEAN:
        if isinstance(value, bool):
            return value
        if value in {"true", "false"}:
            return value == "true"
    if kind is Kind.INTEGER:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
    if kind is Kind.MOMENT and isinstance(value, str):
        return _moment(name, value)
    if kind in {Kind.CODING, Kind.CONCEPT} and isinstance(value, dict):
        # Judged as what a resource has of the kind.
        holder = {"code": value} if kind is Kind.CONCEPT else {"meta": {"tag": [value]}}
        _well_formed({"resourceType": "Basic", **holder})
        return value
    if kind is Kind.RESOURCE and isinstance(value, dict) and isinstance(value.get("resourceType"), str):
        _well_formed(value)
        return value
    if kind is Kind.PARTS and isinstance(value, list) and all(isinstance(one, dict) for one in value):
        _well_formed({"resourceType": "Parameters", "parameter": [{"name": name, "part": value}]})
        return value
    raise BadRequest.of(f"'{name}' is {kind.value}")


def _well_formed(resource: Mapping[str, Any]) -> None:
    """Raise Unprocessable for what is no FHIR; what is only incomplete is left to the operation."""
    faults = [issue for issue in faults_of(resource) if issue.code in {"structure", "value"}]
    if faults:
        raise Unprocessable(faults)


def _moment(name: str, value: str) -> datetime:
    try:
        return date_range(value.replace(" ", "+"))[1]
    except (ValueError, OverflowError):
        raise BadRequest.of(f"'{name}' is {Kind.MOMENT.value}") from None
