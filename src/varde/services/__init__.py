"""What a service is to the rest of the house. Each service's folder exports one `SERVICE`.

A newcomer adds a service by copying the shape of its neighbour and one line in `app.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from varde.clock import Clock
from varde.db import Database
from varde.settings import Settings

if TYPE_CHECKING:
    from varde.edges.registers import Registers
    from varde.fhir.model import Projection
    from varde.fhir.store import Store
    from varde.trust.access import Access
    from varde.trust.scope import Scope
    from varde.work.jobs import Handler
    from varde.work.journey import Journey
    from varde.work.outbox import Receiver
    from varde.work.reconcile import Check


@dataclass(frozen=True, slots=True)
class Platform:
    """What every use case needs, made once a process by `app.py` and handed down; no module has globals."""

    settings: Settings
    clock: Clock
    database: Database
    store: Store
    access: Access
    registers: Registers
    services: Sequence[Service] = ()
    """All services of the house: for those that tell of the others, such as the status page."""


@dataclass(frozen=True, slots=True)
class Card:
    """One thing for the patient to do or know, on the home page. Soonest `due` comes first, None last."""

    title: str
    text: str
    href: str
    due: datetime | None = None
    urgent: bool = False
    kind: str = ""
    """Which picture and tone the page gives it: letter, appointment, task."""


@dataclass(frozen=True, slots=True)
class Birthday:
    """A patient has turned `years`: 12, 13, 16 or 18, now, at midnight in Norway."""

    patient: str
    """Id of the Patient."""
    years: int


@dataclass(frozen=True, slots=True)
class Service:
    """One of the ten services, as `app.py` composes it."""

    name: str
    """Folder and key: letters, dialogue…"""
    title: Mapping[str, str]
    """What the patient calls it, by language: nb, nn, se, en."""
    deliverables: Sequence[int]
    """Numbers of the seed's deliverables that it fulfils."""
    patient_routes: Callable[[Platform], Sequence[BaseRoute]] = lambda platform: ()
    """Mounted under /."""
    staff_routes: Callable[[Platform], Sequence[BaseRoute]] = lambda platform: ()
    """Mounted under /arbeid."""
    patient_menu: Sequence[tuple[str, str]] = ()
    """(path, message id) of entries in the patient's menu."""
    staff_menu: Sequence[tuple[str, str]] = ()
    handlers: Callable[[Platform], Sequence[Handler]] = lambda platform: ()
    operator_routes: Callable[[Platform], Sequence[BaseRoute]] = lambda platform: ()
    """Mounted under /drift."""
    public_routes: Callable[[Platform], Sequence[BaseRoute]] = lambda platform: ()
    """Open to everybody: the status page."""
    receipts: Callable[[Platform], Mapping[str, Receiver]] = lambda platform: {}
    """Edge name -> what the service does when a receipt comes, in the transaction that stores it."""
    projections: Sequence[Projection] = ()
    """Derived tables of the service, kept in the store's own transaction."""
    checks: Callable[[Platform], Sequence[Check]] = lambda platform: ()
    """Reconciliation: what should have happened against what did."""
    died: Callable[[Platform, Any, str], Awaitable[None]] | None = None
    """What this service ends when a patient (by the Patient's id) has died, in the transaction (the second value is its
    connection) of the job that population/deaths.py runs at once (FAM-16)."""
    journeys: Sequence[Journey] = ()
    home_cards: Callable[[Platform, Scope], Awaitable[Sequence[Card]]] | None = None
    birthday: Callable[[Platform, Any, Birthday], Awaitable[None]] | None = None
    """What changes hands in this service when a patient comes of an age (FAM-10), in the transaction (the second
    value is its connection) of the job that services/family runs at midnight."""
    templates: Any = field(default=None)
    """Folder of Jinja2 templates: (package name, folder)."""
