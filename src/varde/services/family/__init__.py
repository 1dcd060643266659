"""Family and power of attorney (Familie og fullmakt): who acts for whom, who may see what, and who has looked.

The rules are `trust`'s; here are the pages and use cases. Each part has files of its own, and one line below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from varde.services import Platform, Service
from varde.services.family import (
    assessment_pages,
    blocks_pages,
    emergency_pages,
    journeys,
    log_pages,
    pages,
    withholding_pages,
)
from varde.services.family.part import Part

if TYPE_CHECKING:
    from varde.work.jobs import Handler
    from varde.work.outbox import Receiver
    from varde.work.reconcile import Check

PARTS: Sequence[Part] = (
    pages.PART,
    assessment_pages.PART,
    blocks_pages.PART,
    emergency_pages.PART,
    log_pages.PART,
    withholding_pages.PART,
    journeys.PART,
)


def _patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    return [route for part in PARTS for route in part.patient_routes(platform)]


def _staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    return [route for part in PARTS for route in part.staff_routes(platform)]


def _operator_routes(platform: Platform) -> Sequence[BaseRoute]:
    return [route for part in PARTS for route in part.operator_routes(platform)]


def _handlers(platform: Platform) -> Sequence[Handler]:
    return [handler for part in PARTS for handler in part.handlers(platform)]


def _receipts(platform: Platform) -> Mapping[str, Receiver]:
    return {edge: receiver for part in PARTS for edge, receiver in part.receipts(platform).items()}


def _checks(platform: Platform) -> Sequence[Check]:
    return [check for part in PARTS for check in part.checks(platform)]


SERVICE = Service(
    name="family",
    title={
        "nb": "Familie og fullmakt",
        "nn": "Familie og fullmakt",
        "se": "Bearaš ja fápmudus",
        "en": "Family and power of attorney",
    },
    deliverables=(8,),
    patient_routes=_patient_routes,
    staff_routes=_staff_routes,
    operator_routes=_operator_routes,
    patient_menu=[entry for part in PARTS for entry in part.patient_menu],
    staff_menu=[entry for part in PARTS for entry in part.staff_menu],
    handlers=_handlers,
    receipts=_receipts,
    projections=[projection for part in PARTS for projection in part.projections],
    checks=_checks,
    journeys=[journey for part in PARTS for journey in part.journeys],
    templates=("varde.services.family", "templates"),
)
