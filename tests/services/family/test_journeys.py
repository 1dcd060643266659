"""The family's journeys over a whole Varde with a login of its own: green when all is well, red when what they prove is
broken, each in the step that proves it; nothing is left behind, and nobody follows up what they do (IMP-01 to IMP-04).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.access.varde_in_process import composed
from tests.browsing import free_port, serving
from tests.databases import fresh_database
from varde.app import House, build
from varde.clock import MovableClock
from varde.demo import places, probe, tokens
from varde.demo.issuer import Issuer
from varde.embedded import EmbeddedPostgres
from varde.services.family import (
    blocking,
    emergency_access,
    emergency_reviews,
    journeys,
    log_ties,
    telling,
)
from varde.services.family.log_ties import RegisteredTies
from varde.settings import Settings
from varde.trust import blocks, consents, emergency
from varde.trust.audit import AuditLog
from varde.trust.identity.keys import ClientKeys
from varde.trust.log.watching import Watch
from varde.trust.persons import ENH
from varde.trust.scope import Scope
from varde.work.journey import Journey, Run, Steps, walk

BY_NAME = {journey.name: journey for journey in journeys.JOURNEYS}


@dataclass
class Site:
    """A Varde that is walked through, and its house."""

    base: str
    house: House
    settings: Settings

    async def walk(self, journey: Journey) -> Run:
        """One run."""
        clock = self.house.platform.clock
        steps = Steps(
            self.base, probe.PROBE, clock, lambda scopes: tokens.for_system(self.settings, "journeys", scopes)
        )
        return await walk(journey, steps, "0")

    async def stored(self, kind: str, query: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """What the house itself finds."""
        page = await self.house.platform.store.search(self.house.platform.access.for_system("test"), kind, query)
        return [match.resource for match in page.matches]

    async def findings(self) -> int:
        """What looks like snooping, after all of the log was looked through anew."""
        async with self.house.platform.database.transaction() as connection:
            await connection.execute("delete from trust_finding")
            await connection.execute("delete from trust_log_progress")
            return await Watch(RegisteredTies(self.house.platform)).run(connection, self.house.platform.clock.now())


def _start(issuer: Issuer, log: Path) -> subprocess.Popen[bytes]:
    command, folder = issuer.prepare()
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    deadline = time.monotonic() + 20
    while not issuer.socket.exists():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
async def site(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder, port = tmp_path_factory.mktemp("journeys"), free_port()
    clock = MovableClock(folder / "clock")
    async with fresh_database(postgres) as url:
        settings = Settings(mode="demo", data=folder, database_url=url, port=port)
        keys = ClientKeys(settings.client_key_file or folder / "client-key.json", clock).public()
        clients = {"patient": settings.patient_client_id, "staff": settings.staff_client_id}
        issuer = Issuer(folder / "issuer", settings.base, keys, clients, clock=folder / "clock")
        house = build(settings, process="test", clock=clock, connections=4)
        platform = house.platform
        trust = places.TRUSTS[0]
        await platform.store.write_many(
            platform.access.for_system("test", write_types=None),
            [{"resourceType": "Organization", "id": trust.key, "name": trust.name, "active": True,
              "identifier": [{"system": ENH, "value": trust.number}]}],
        )  # fmt: skip
        await probe.place(platform.store, platform.access.for_system("test", write_types=None))
        process = _start(issuer, folder / "issuer.log")
        issuer.persons.write_bytes(orjson.dumps(probe.directory()))
        try:
            async with serving(composed(house), port) as base:
                yield Site(base, house, settings)
        finally:
            process.terminate()
            process.wait(5)
            await house.close()


def failed(run: Run) -> list[str]:
    """The steps that failed."""
    return [f"{step.text}: ventet {step.expected}; så {step.seen}" for step in run.steps if not step.passed]


@pytest.mark.parametrize("name", BY_NAME)
async def test_imp_01_green_when_all_is_well_and_nothing_is_left(site: Site, name: str) -> None:
    for _ in range(2):
        assert failed(await site.walk(BY_NAME[name])) == []
    for human in (probe.ADULT, probe.PARENT, probe.CHILD):
        assert await site.stored("Appointment", [("patient", human.id)]) == []
        assert await site.stored("Communication", [("subject", f"Patient/{human.id}")]) == []
        left = [consents.from_fhir(one) for one in await site.stored("Consent", [("patient", human.id)])]
        assert all(isinstance(one, consents.Block) and one.withdrawn for one in left)
        assert len(left) <= 1, "a block is one Consent, however often it is made"
    assert await site.stored("Task", [("status", "requested")]) == []


async def test_imp_03_nobody_follows_up_what_journeys_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of runs has more refusals than any slip of the hand explains."""
    for _ in range(3):
        assert failed(await site.walk(BY_NAME["blocks-and-log"])) == []
    assert await site.findings() == 0
    monkeypatch.setattr(log_ties, "is_probe", lambda patient: False)
    assert await site.findings() > 0, "else nothing was proved"


async def test_imp_03_the_privacy_officer_is_not_asked_about_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> int:
        return 1

    monkeypatch.setattr(journeys, "review_emergencies", nobody)
    assert failed(await site.walk(BY_NAME["emergency-access"])) == []
    platform = site.house.platform
    (task,) = await site.stored("Task", [("status", "requested")])
    leader, _ = await platform.access.for_staff(probe.PROBE.leader, probe.UNIT, "TREAT")
    officer = replace(leader, actor=replace(leader.actor, key="8100000"), audits=True)
    assert [one.id for one in await emergency_reviews.waiting(platform, leader)] == [task["id"]]
    assert await emergency_reviews.waiting(platform, officer) == []
    handler = emergency_reviews.handler(platform)
    async with platform.database.transaction() as connection:
        await handler.run(connection, [{"task": task["id"]}])
        assert await connection.fetchval("select count(*) from trust_finding where kind = 'emergency'") == 0
    monkeypatch.undo()
    assert failed(await site.walk(BY_NAME["emergency-access"])) == [], "the next run's leader goes through both"
    assert await site.stored("Task", [("status", "requested")]) == []


Breaks = Callable[[pytest.MonkeyPatch], None]


def _nothing_withheld(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "_open", lambda self, alias, parameters: "true")


def _everybodys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "_reach", lambda self, alias, parameters: "true")


def _powers_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(consents.Decided, "holds", lambda self, now: True)


def _no_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blocks, "condition", lambda scope, alias, parameters, writing=False: "true")


def _refusals_unlogged(patch: pytest.MonkeyPatch) -> None:
    found = AuditLog.found

    def only_what_was_shown(self: AuditLog, *arguments: Any) -> str:
        return f"{found(self, *arguments)} where allowed"

    patch.setattr(AuditLog, "found", only_what_was_shown)


def _never_lifted(patch: pytest.MonkeyPatch) -> None:
    async def unlifted(*_: Any) -> str:
        return "unit"

    patch.setattr(blocking, "lift", unlifted)


def _emergencies_shut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(emergency, "condition", lambda scope, alias, parameters: "false")


def _emergencies_for_ever(patch: pytest.MonkeyPatch) -> None:
    async def unended(*_: Any) -> None:
        return None

    patch.setattr(emergency_access, "end", unended)


def _nobody_told(patch: pytest.MonkeyPatch) -> None:
    async def untold(*_: Any) -> None:
        return None

    patch.setattr(telling, "tell", untold)


def _nobody_reviews(patch: pytest.MonkeyPatch) -> None:
    async def unbegun(*_: Any) -> None:
        return None

    patch.setattr(emergency_reviews, "begin", unbegun)


@pytest.mark.parametrize(
    ("name", "breaks", "step"),
    [
        ("family-access", _nothing_withheld, "Timen som er skjult, finnes ikke for forelderen"),
        ("family-access", _everybodys, "Forelderen logger inn og ser ikke barnets timer blant sine egne"),
        ("family-access", _powers_for_ever, "Døra er lukket, også for den som sto i den"),
        ("blocks-and-log", _no_blocks, "Behandleren ser ikke at pasienten finnes"),
        ("blocks-and-log", _refusals_unlogged, "Pasienten leser i loggen hvem som ble stoppet, og hvorfor"),
        ("blocks-and-log", _never_lifted, "Pasienten opphever sperringen"),
        ("emergency-access", _emergencies_shut, "Behandleren åpner journalen i en nødsituasjon, med en grunn"),
        ("emergency-access", _nobody_told, "Pasienten får vite det, og leser det i loggen"),
        ("emergency-access", _emergencies_for_ever, "Behandleren avslutter, og journalen er lukket igjen"),
        ("emergency-access", _nobody_reviews, "Avdelingens leder går gjennom den"),
    ],
)
async def test_imp_04_red_when_what_it_proves_is_broken(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, breaks: Breaks, step: str
) -> None:
    with monkeypatch.context() as patch:
        breaks(patch)
        run = await site.walk(BY_NAME[name])
    assert failed(run)[0].startswith(f"{step}: "), failed(run)
    assert failed(await site.walk(BY_NAME[name])) == [], "mended, it is green, whatever the broken run left"
