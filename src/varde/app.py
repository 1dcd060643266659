"""The composition of Varde: settings, store, trust, edges and services made into one house. The only file that
knows them all. A new service is one line here.

What the house does over HTTP is `asgi.py`'s, what it runs as processes `serving.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from varde import edges, families, indexing, subscribing
from varde.clock import Clock, clock_of
from varde.db import Database
from varde.edges import subscribers
from varde.edges.subscribers.delivery import checks as subscription_checks
from varde.embedded import database_url
from varde.fhir.model import Projection
from varde.fhir.search.references import set_own_base
from varde.fhir.store import Store
from varde.fhir.terminology.projection import fill_missing
from varde.population.deaths import Deaths
from varde.population.following import Population
from varde.services import Platform, Service, appointments, family, improvement, letters
from varde.settings import Settings
from varde.trust import blocks, forgetting
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.blocks import Blocks, Hidden
from varde.trust.care import CareRelations
from varde.trust.forgetting import FORGET_EVERY, PROVE_EVERY
from varde.trust.granted import Granted
from varde.trust.helseid.contract import Contract, contract
from varde.trust.helseid.granting import Granting
from varde.trust.identity.registration import Level
from varde.trust.keeping import Keeper
from varde.trust.log.shielded import Shielded
from varde.trust.referrals import Assessments
from varde.trust.replay import Replays
from varde.trust.seal import SEAL_EVERY, sealing
from varde.trust.sessions import Limits, Sessions
from varde.trust.smart.authorizations import Authorizations
from varde.trust.smart.clients import Clients
from varde.trust.smart.opening import AppTokens
from varde.trust.units import Units
from varde.trust.withholding import Withheld
from varde.work import reconcile, sweep
from varde.work.jobs import Handler
from varde.work.outbox import Message, Receiver, Told
from varde.work.worker import Worker

SERVICES: Sequence[Service] = (
    letters.SERVICE,
    appointments.SERVICE,
    family.SERVICE,
    improvement.SERVICE,
)


@dataclass(frozen=True, slots=True)
class House:
    """All rooms of one process, made once."""

    platform: Platform
    sessions: Sessions
    log: AuditLog
    services: Sequence[Service]
    subscriptions: subscribing.Subscriptions
    keeper: Keeper
    contract: Contract | None
    """With HelseID and those who call by its tokens; None when none is taken."""

    async def close(self) -> None:
        """Write what waits for the access log, and let go of the registers and the database."""
        await self.log.stop()
        await self.platform.registers.close()
        await self.platform.database.close()

    def checks(self) -> list[reconcile.Check]:
        """Every check of reconciliation, the house's own and the services'."""
        found = reconcile.own_checks() + subscription_checks() + [reconcile.Check("audit.chain", _chain)]
        for service in self.services:
            found += service.checks(self.platform)
        return found

    def worker(self, *, recurring: bool = True) -> Worker:
        """A worker that does all that every service left for later, and speaks to every edge; without the jobs that
        come again and again when `recurring` is False."""
        from varde.bulk import Bulks  # which composes a house of its own in each of its processes

        delivery = self.subscriptions.delivery()
        handlers = [*self._upkeep(), *Bulks(self).handlers(), *delivery.handlers()]
        receivers: dict[str, list[Receiver]] = {subscribers.EDGE: [delivery.told]}
        for service in self.services:
            handlers += service.handlers(self.platform)
            for edge, receiver in service.receipts(self.platform).items():
                receivers.setdefault(edge, []).append(receiver)
        return Worker(
            self.platform.database,
            self.platform.clock,
            [one for one in handlers if recurring or one.every is None],
            [*edges.senders(self.platform.settings, self.platform.clock), self.subscriptions.sender()],
            {edge: _all_of(several) for edge, several in receivers.items()},
        )

    def _upkeep(self) -> list[Handler]:
        """The house's own recurring jobs."""
        clock = self.platform.clock

        async def forget_sessions(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
            await self.sessions.sweep(connection)

        async def take_apart(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
            await fill_missing(connection)

        authorizations = Authorizations(self.platform.database, clock)
        replays = Replays(self.platform.database, clock)

        async def forget_replays(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
            await replays.sweep(connection)

        async def mend_blocks(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
            await blocks.mend(connection, clock.now() - blocks.YOUNG)

        async def forget_apps(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
            await authorizations.sweep(connection)

        return [
            sweep.handler(clock, brief=[subscribers.EDGE, subscribers.NUMBER, subscribers.BEGIN]),
            reconcile.handler(self.checks(), clock),
            Handler("trust.seal", sealing(clock), timeout=timedelta(minutes=5), every=SEAL_EVERY),
            Handler("trust.prove", forgetting.proving(clock), timeout=timedelta(minutes=5), every=PROVE_EVERY),
            Handler(
                "trust.forget",
                forgetting.forgetting(clock, timedelta(days=366 * self.platform.settings.log_years)),
                timeout=timedelta(minutes=30),
                every=FORGET_EVERY,
            ),
            Handler("trust.sessions", forget_sessions, every=timedelta(hours=1)),
            Handler("terminology.missing", take_apart, timeout=timedelta(minutes=30), every=timedelta(hours=1)),
            Handler("trust.apps", forget_apps, every=timedelta(hours=1)),
            *Population(self.platform, self.services).handlers(),
            Handler("trust.blocks", mend_blocks, every=timedelta(minutes=1)),
            Handler("trust.replays", forget_replays, every=timedelta(minutes=1)),
            *indexing.handlers(self.platform.store),
        ]


async def _chain(connection: Any, now: datetime) -> reconcile.Finding:
    """What is wrong with the access log's chain."""
    found = await forgetting.alarms(connection, now)
    return reconcile.Finding(len(found), "; ".join(found))


def _all_of(several: Sequence[Receiver]) -> Receiver:
    """One edge's receipts told to each service that uses it; a service passes over keys that are not its own."""
    if len(several) == 1:
        return several[0]

    async def told(connection: Any, outcomes: Sequence[tuple[Message, Told]]) -> None:
        for receiver in several:
            await receiver(connection, outcomes)

    return told


def build(settings: Settings, *, process: str, clock: Clock | None = None, connections: int | None = None) -> House:
    """Compose the house. Nothing is connected to before it is used. `process` names it to the database."""
    clock = clock or clock_of(settings)
    database = Database(
        database_url(settings), connections or settings.database_connections, application=f"varde {process}"
    )
    projections: list[Projection] = [
        CareRelations(),
        Granted(),
        Deaths(clock),
        Units(),
        Blocks(),
        Hidden(),
        Shielded(),
        Assessments(),
        Withheld(),
        subscribing.projection(settings, clock),
        *(one for service in SERVICES for one in service.projections),
    ]
    store = Store(database, clock, projections)
    log = AuditLog(database, clock)
    registers = edges.registers(settings, database, clock)
    access = Access(store, clock, log, families.mandates(settings, database, clock, registers))
    limits = Limits(
        timedelta(minutes=settings.session_idle_minutes), timedelta(minutes=settings.session_absolute_minutes)
    )
    platform = Platform(settings, clock, database, store, access, registers, SERVICES)
    sessions = Sessions(database, clock, limits, secure=settings.base.startswith("https:"))
    clients = Clients(database, clock)
    apps = AppTokens(database, access, clients, Authorizations(database, clock), sessions)
    agreed = contract_of(settings)
    keeper = Keeper(access, clients, apps, Granting(access, agreed) if agreed else None, demo=settings.demo)
    subscriptions = subscribing.Subscriptions(settings, clock, database, access, keeper)
    # Own addresses written in full are references to what is here (docs/fhir/search.md).
    set_own_base(f"{settings.base}/fhir")
    return House(platform, sessions, log, SERVICES, subscriptions, keeper, agreed)


def contract_of(settings: Settings) -> Contract | None:
    """The agreement by which HelseID's tokens are taken. Raises ValueError for one that cannot be held to."""
    return contract(
        settings.helseid_issuers, settings.helseid_audience, settings.helseid_scopes, settings.helseid_organisations,
        Level[settings.helseid_level.upper()], attested=settings.helseid_attested,
    )  # fmt: skip
