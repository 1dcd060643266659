"""Is it a valid R4 resource? The face of validation: what is judged, and how, stands in `validation/`.

Issues name the element and the fault, never the value that was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir import structure
from varde.fhir.definitions import is_type
from varde.fhir.errors import Issue, Unprocessable
from varde.fhir.known import CORE, Known
from varde.fhir.validation.advice import advice
from varde.fhir.validation.shapes import check_of
from varde.fhir.validation.walk import Fault, Walk

MAXIMUM_ISSUES = 50
_TOO_DEEP = "elements are nested too deeply to be judged"
_NO_TYPE = "resourceType names no resource type of R4"


class Judgement:
    """What was found on a resource, and which definitions were wanted for it."""

    __slots__ = ("issues", "wanted")

    def __init__(self, issues: list[Issue], walk: Walk | None = None) -> None:
        self.issues = issues
        self.wanted = walk.unknown | walk.named if walk is not None else set[str]()
        """Urls of definitions that are not R4's own: those that were not at hand, and those it was judged by."""


def judge(resource: Mapping[str, Any], known: Known = CORE) -> Judgement:
    """The faults of a resource (at most MAXIMUM_ISSUES): what a write is refused for."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not is_type(kind):
        return Judgement([Issue("structure", _NO_TYPE, "Resource.resourceType")])
    walk = Walk(resource if type(resource) is dict else dict(resource), known)
    try:
        faults = check_of(kind)(walk.resource, {}, walk)
    except RecursionError:
        return Judgement([Issue("too-long", _TOO_DEEP, kind)])
    return Judgement(_issues(faults, kind)[:MAXIMUM_ISSUES] if faults is not None else [], walk)


def findings(resource: Mapping[str, Any], known: Known = CORE, profiles: Sequence[str] = ()) -> Judgement:
    """All there is to say about a resource: every fault, warnings and information; judged by `profiles` beside those
    that it names."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not is_type(kind):
        return Judgement([Issue("structure", _NO_TYPE, "Resource.resourceType")])
    walk = Walk(dict(resource), known, advice=True)
    try:
        faults = list(check_of(kind)(walk.resource, {}, walk) or ())
        faults += walk.judge.named(walk.resource, kind, list(profiles))
        faults += advice(walk.resource, walk, profiles)
    except RecursionError:
        return Judgement([Issue("too-long", _TOO_DEEP, kind)])
    return Judgement(_issues(faults, kind, everything=True), walk)


def _issues(faults: Sequence[Fault], kind: str, *, everything: bool = False) -> list[Issue]:
    """The faults as issues, each once, errors first."""
    found: dict[tuple[str | None, str], Issue] = {}
    for fault in faults:
        if everything or fault.severity == "error":
            issue = fault.issue(kind)
            found.setdefault((issue.expression, issue.diagnostics), issue)
    return sorted(found.values(), key=lambda issue: ("error", "warning", "information").index(issue.severity))


def validate(resource: Mapping[str, Any], known: Known = CORE) -> None:
    """Raise Unprocessable with one issue a fault (at most MAXIMUM_ISSUES) unless `resource` is valid R4, and valid by
    the profiles and extensions it names, as far as they are known."""
    faults = faults_of(resource, known)
    if faults:
        raise Unprocessable(faults)


def faults_of(resource: Mapping[str, Any], known: Known = CORE) -> list[Issue]:
    """The faults of `resource` (at most MAXIMUM_ISSUES), empty when it is valid."""
    return judge(resource, known).issues


def member(datatype: str, name: str) -> tuple[str, bool] | None:
    """(datatype, whether it repeats) of JSON member `name` of a type; None when the type has no such member."""
    found = structure.members(datatype).get(name)
    return None if found is None else (found.type, found.repeats)
