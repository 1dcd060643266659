"""Improvement (Tilbakemelding, driftsstatus): proof that the services work, and what operators see to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from varde.services import Service
from varde.services.improvement.alarms import checks
from varde.services.improvement.operations import Queues
from varde.services.improvement.operator import operator_routes
from varde.services.improvement.runs import Runs
from varde.services.improvement.status import public_routes

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from varde.services import Platform


def _operator_routes(platform: Platform) -> Sequence[BaseRoute]:
    return operator_routes(Queues(platform))


SERVICE = Service(
    name="improvement",
    title={
        "nb": "Tilbakemelding og driftsstatus",
        "nn": "Tilbakemelding og driftsstatus",
        "se": "Máhcahat ja doaibmadilli",
        "en": "Feedback and status",
    },
    deliverables=(8,),
    operator_routes=_operator_routes,
    public_routes=public_routes,
    projections=(Runs(),),
    checks=checks,
    templates=("varde.services.improvement", "templates"),
)
