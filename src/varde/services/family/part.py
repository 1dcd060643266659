"""What one part of the service brings to it: its pages, menu entries, jobs and proofs. The parts are put together in
`__init__.py`, one line each, so that each can be written without reading the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

if TYPE_CHECKING:
    from varde.fhir.model import Projection
    from varde.services import Platform
    from varde.work.jobs import Handler
    from varde.work.journey import Journey
    from varde.work.outbox import Receiver
    from varde.work.reconcile import Check

Routes = Callable[["Platform"], Sequence[BaseRoute]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of services/family: the fields mean what they do in `services.Service`."""

    patient_routes: Routes = lambda platform: ()
    staff_routes: Routes = lambda platform: ()
    operator_routes: Routes = lambda platform: ()
    patient_menu: Sequence[tuple[str, str]] = ()
    staff_menu: Sequence[tuple[str, str]] = ()
    handlers: Callable[[Platform], Sequence[Handler]] = lambda platform: ()
    receipts: Callable[[Platform], Mapping[str, Receiver]] = lambda platform: {}
    projections: Sequence[Projection] = ()
    checks: Callable[[Platform], Sequence[Check]] = lambda platform: ()
    journeys: Sequence[Journey] = ()
