"""The operations of Varde's FHIR API: one line each. What an operation does is its own room's."""

from __future__ import annotations

from varde import bulk
from varde.app import House
from varde.fhir.everything import EVERYTHING
from varde.fhir.graphql.operation import GRAPHQL
from varde.fhir.http.operations import Operation
from varde.fhir.ips.operation import SUMMARY
from varde.fhir.matching.operation import matching
from varde.fhir.terminology.operations import TERMINOLOGY
from varde.trust.explain_access import explain_access
from varde.trust.persons import DNR, FNR

INSTANTIATES = ("http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data",)
"""Canonical urls of the statements of others that the API lives up to."""


def operations(house: House) -> list[Operation]:
    """Every operation beside those that the store has by itself (`fhir.interactions.OWN`)."""
    return [
        EVERYTHING,
        SUMMARY,
        GRAPHQL,
        *TERMINOLOGY,
        matching(frozenset({FNR, DNR})),
        explain_access(house.platform.access),
        *bulk.operations(house),
        *house.subscriptions.operations(),
    ]
