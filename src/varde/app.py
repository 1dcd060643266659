"""The composition of Varde: settings, store, trust, edges and services made into one house. The only file that
knows them all. A new service is one line here.

What the house does over HTTP is `asgi.py`'s, what it runs as processes `serving.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from varde.clock import Clock, MovableClock, SystemClock
from varde.db import Database
from varde.edges.registers import Registers
from varde.edges.registers.embedded import EmbeddedRegisters
from varde.embedded import EmbeddedPostgres
from varde.families import RegisteredFamilies
from varde.fhir.store import Store
from varde.services import Platform, Service, appointments
from varde.settings import Settings
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations
from varde.trust.sessions import Limits, Sessions

SERVICES: Sequence[Service] = (appointments.SERVICE,)


@dataclass(frozen=True, slots=True)
class House:
    """All rooms of one process, made once."""

    platform: Platform
    sessions: Sessions
    log: AuditLog
    services: Sequence[Service]

    async def close(self) -> None:
        """Write what waits for the access log, and let go of the database."""
        await self.log.stop()
        await self.platform.database.close()


def clock_of(settings: Settings) -> Clock:
    """The system's time; in the demo, the one that all its processes share and `POST /demo/clock` moves."""
    return MovableClock(settings.data / "clock") if settings.demo else SystemClock()


def database_url(settings: Settings) -> str:
    """Address of the database that this installation uses, its own or the embedded one."""
    return settings.database_url or EmbeddedPostgres(settings.data).url()


def build(settings: Settings, *, process: str, clock: Clock | None = None, connections: int | None = None) -> House:
    """Compose the house. Nothing is connected to before it is used. `process` names it to the database."""
    clock = clock or clock_of(settings)
    database = Database(
        database_url(settings), connections or settings.database_connections, application=f"varde {process}"
    )
    projections = [CareRelations(), *(one for service in SERVICES for one in service.projections)]
    store = Store(database, clock, projections)
    log = AuditLog(database, clock)
    registers: Registers = EmbeddedRegisters(database)
    access = Access(store, clock, log, RegisteredFamilies(registers))
    limits = Limits(
        timedelta(minutes=settings.session_idle_minutes), timedelta(minutes=settings.session_absolute_minutes)
    )
    platform = Platform(settings, clock, database, store, access, registers)
    return House(platform, Sessions(database, clock, limits, secure=settings.base.startswith("https:")), log, SERVICES)
