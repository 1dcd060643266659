"""The CapabilityStatement: what this server does, generated from the definitions that it works by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from varde import __version__
from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.interactions import OWN
from varde.fhir.operations import Operation, Operations
from varde.fhir.subscriptions.topics import declared_topics

_INTERACTIONS = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
                 "search-type")  # fmt: skip


def capability_statement(base: str, date: str, operations: Sequence[Operation] = ()) -> dict[str, Any]:
    """The document that /fhir/metadata answers with. `date` is when this version was put to use; `operations` are
    those that `FhirApplication` was given."""
    every = Operations([*OWN, *operations])
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Varde", "version": __version__},
        "implementation": {"description": "Varde", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/fhir+json",
        ],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": False,
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
                },
                "resource": [_resource(name, every) for name in resource_types()],
                "interaction": [{"code": c} for c in ("transaction", "batch", "history-system", "search-system")],
                "operation": every.declared(None),
            }
        ],
    }


def _resource(name: str, operations: Operations) -> dict[str, Any]:
    return {
        **(declared_topics() if name == "Subscription" and operations.declared(name) else {}),
        "type": name,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchInclude": ["*"],
        "searchParam": [
            {"name": p.code, "definition": p.url, "type": p.kind} for p in search_parameters(name).values()
        ],
        "operation": operations.declared(name),
    }
