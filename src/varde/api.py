"""The operations of Varde's FHIR API: one line each. What an operation does is its own room's."""

from __future__ import annotations

from varde.app import House
from varde.fhir.graphql.operation import GRAPHQL
from varde.fhir.operations import Operation


def operations(house: House) -> list[Operation]:
    """Every operation beside those that the store has by itself (`fhir.interactions.OWN`)."""
    return [GRAPHQL, *house.subscriptions.operations()]
