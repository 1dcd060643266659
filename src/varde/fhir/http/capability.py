"""The CapabilityStatement: what this server does, generated from the definitions that it works by.

`tests/fhir/test_capability.py` proves it both ways: all that is declared is tried, and what is not is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde import __version__
from varde.fhir.compartments import compartments
from varde.fhir.definitions import SearchParameter, kept, resource_types, search_parameters
from varde.fhir.http.elsewhere import Elsewhere
from varde.fhir.http.interactions import OWN
from varde.fhir.http.negotiation import FHIR_JSON, PATCH_TYPES
from varde.fhir.http.operations import Operation, Operations
from varde.fhir.storing.conditional import MAXIMUM_DELETED
from varde.fhir.subscriptions.topics import declared_topics

_INTERACTIONS = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
                 "search-type")  # fmt: skip
_DOCUMENTATION = (
    "JSON only. Unknown search parameters are errors, unless the client prefers handling=lenient. Conditional deletes"
    f" take up to {MAXIMUM_DELETED} matches, all or none. Whatever may not be seen is answered as what does not exist."
)
_SECURITY = {
    "cors": True,
    "service": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }
            ]
        }
    ],
    "description": "Bearer tokens only; see .well-known/smart-configuration. Cookies open nothing here.",
}


_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


class Statement:
    """The CapabilityStatement of a running server: made once, and anew when custom search parameters come or go."""

    def __init__(
        self,
        base: str,
        date: str,
        operations: Sequence[Operation] = (),
        instantiates: Sequence[str] = (),
        oauth_uris: Mapping[str, str] | None = None,
        others: Sequence[Elsewhere] = (),
    ) -> None:
        self._made = kept(lambda: capability_statement(base, date, operations, instantiates, oauth_uris, others))

    def __call__(self) -> dict[str, Any]:
        """The document."""
        return self._made()


def capability_statement(
    base: str,
    date: str,
    operations: Sequence[Operation] = (),
    instantiates: Sequence[str] = (),
    oauth_uris: Mapping[str, str] | None = None,
    others: Sequence[Elsewhere] = (),
) -> dict[str, Any]:
    """The document that /fhir/metadata answers with. `date` is when this version was put to use; `operations` are
    those that `FhirApplication` was given; `instantiates` the canonical urls of statements that it lives up to;
    `oauth_uris` the authorization server's addresses by SMART's names, for clients older than
    .well-known/smart-configuration; `others` the types that are not rows of the store."""
    every = Operations([*OWN, *operations])
    return {
        "resourceType": "CapabilityStatement",
        "id": "varde",
        "url": f"{base}/metadata",
        "version": __version__,
        "name": "Varde",
        "title": "Varde",
        "status": "active",
        "experimental": False,
        "date": date,
        "publisher": "Varde",
        "kind": "instance",
        **({"instantiates": list(instantiates)} if instantiates else {}),
        "software": {"name": "Varde", "version": __version__},
        "implementation": {"description": "Varde", "url": base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json"],
        "patchFormat": [*sorted(PATCH_TYPES), FHIR_JSON],
        "rest": [
            {
                "mode": "server",
                "documentation": _DOCUMENTATION,
                "security": _SECURITY | _oauth(oauth_uris),
                "resource": [_of_others(others, name, every) or _resource(name, every) for name in resource_types()],
                "interaction": [{"code": c} for c in ("transaction", "batch", "history-system", "search-system")],
                "searchParam": [_parameter(p) for p in _everywhere()],
                "operation": every.declared(None),
                "compartment": list(compartments().values()),
            }
        ],
    }


def _oauth(uris: Mapping[str, str] | None) -> dict[str, Any]:
    if not uris:
        return {}
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": [{"url": name, "valueUri": uri} for name, uri in uris.items()]}]
    }


def _of_others(others: Sequence[Elsewhere], name: str, operations: Operations) -> dict[str, Any] | None:
    """A type that is only read (elsewhere.py)."""
    kept_elsewhere = next((one for one in others if one.type == name), None)
    if kept_elsewhere is None:
        return None
    known = search_parameters(name)
    return {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "searchParam": [_parameter(known[code]) for code in kept_elsewhere.parameters],
        "operation": operations.declared(name),
    }


def _resource(name: str, operations: Operations) -> dict[str, Any]:
    declared: dict[str, Any] = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple",
        "referencePolicy": ["literal", "logical"],
        "searchInclude": ["*", *_includes(name)],
        "searchRevInclude": list(_reverse_includes().get(name, ())),
        "searchParam": [_parameter(p) for p in search_parameters(name).values() if p.ready],
        "operation": operations.declared(name),
    }
    if name == "Subscription" and any(one["name"] == "topics" for one in declared["operation"]):
        declared |= declared_topics()
    return {member: value for member, value in declared.items() if value != []}


def _parameter(parameter: SearchParameter) -> dict[str, str]:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.declared}


def _everywhere() -> list[SearchParameter]:
    """Parameters that every type has: those that a search over all types takes."""
    first, *others = (search_parameters(name) for name in resource_types())
    return [p for code, p in first.items() if code[:1] == "_" and p.ready and all(code in other for other in others)]


def _includes(name: str) -> list[str]:
    return [f"{name}:{code}" for code, p in search_parameters(name).items() if p.kind == "reference" and p.ready]


@kept
def _reverse_includes() -> dict[str, tuple[str, ...]]:
    """What may be included with a type because it refers to it."""
    found: dict[str, list[str]] = {}
    for name in resource_types():
        for code, parameter in search_parameters(name).items():
            if parameter.kind == "reference" and parameter.ready:
                for target in parameter.targets or resource_types():
                    found.setdefault(target, []).append(f"{name}:{code}")
    return {target: tuple(sorted(which)) for target, which in found.items()}
