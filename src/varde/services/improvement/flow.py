"""Use cases of the proof: run a journey and keep its report, and read the evidence back. Reports tell of no patient.

Evidence is read with a scope of the house's own, so that the public page needs nobody to be logged in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING

from varde.fhir.model import Stored
from varde.services.improvement.model import JOURNEY, from_fhir, to_fhir
from varde.trust import grounds
from varde.trust.persons import is_synthetic
from varde.work.journey import Journey, Probe, Run, Steps, walk

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

LEAP = timedelta(seconds=30)
"""A clock that gained more than this during a run was moved."""
TRIES = 3


class NotSynthetic(ValueError):
    """A journey was given a person who could be real (IMP-02)."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Where journeys go and as whom."""

    base: str
    probe: Probe
    token: Callable[[str], str]


def _scope(platform: Platform) -> Scope:
    types = frozenset({"TestReport"})
    return platform.access.for_system("improvement", grounds.VERIFICATION, types=types, write_types=types)


async def run(platform: Platform, journey: Journey, visit: Visit) -> tuple[str, Run]:
    """Run a journey against the live system and keep its TestReport; (the report's id, the run).

    Journeys of one service wait for each other, whoever runs them: they have the same persons. A run in whose midst
    somebody moved the demo's clock proves nothing, and is made again. Raises NotSynthetic when a person of the probe
    could be real.
    """
    for number in visit.probe.patients:
        if not is_synthetic(number):
            raise NotSynthetic("journeys use synthetic persons only")
    async with _alone(platform, journey.service):
        for _ in range(TRIES):
            began, started = platform.clock.now(), monotonic()
            ended = await walk(journey, Steps(visit.base, visit.probe, platform.clock, visit.token), version("varde"))
            if platform.clock.now() - began < timedelta(seconds=monotonic() - started) + LEAP:
                break
    written = await platform.store.create(_scope(platform), to_fhir(ended))
    return written.stored.id, ended


@asynccontextmanager
async def _alone(platform: Platform, service: str) -> AsyncIterator[None]:
    """While no other process walks a journey of the service."""
    held = await platform.database.dedicated()
    try:
        await held.execute("select pg_advisory_lock(hashtext($1))", f"journeys of {service}")
        yield
    finally:
        held.terminate()


async def last_runs(platform: Platform, journey: str, most: int = 1) -> Sequence[tuple[str, Run]]:
    """(report's id, run) of a journey, newest first."""
    query = [("testscript:identifier", f"{JOURNEY}|{journey}"), ("_sort", "-issued"), ("_count", str(most))]
    page = await platform.store.search(_scope(platform), "TestReport", query)
    return [(found.id, _read(found)) for found in page.matches]


async def runs_of(platform: Platform, reports: Sequence[str]) -> Mapping[str, Run]:
    """Runs by their reports' ids."""
    found = await platform.store.read_many(_scope(platform), "TestReport", reports)
    return {report: _read(stored) for report, stored in found.items()}


async def one(platform: Platform, report: str) -> Run:
    """One run by its report's id. Raises NotFound."""
    return _read(await platform.store.read(_scope(platform), "TestReport", report))


def _read(found: Stored) -> Run:
    return from_fhir(found.resource)
