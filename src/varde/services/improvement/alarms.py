"""What operators are told of journeys: one that failed or has not been run is found by reconciliation, and each is a
gauge, so that people are alarmed at the first failure (IMP-05)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from varde.services.improvement import runs
from varde.services.improvement.rules import pause
from varde.work.journey import Journey
from varde.work.reconcile import Check, Finding

if TYPE_CHECKING:
    from varde.services import Platform


def checks(platform: Platform) -> Sequence[Check]:
    """The check of all journeys of the house. One that never ran is not found by it: the status page says so."""
    journeys = _journeys(platform)

    async def run(connection: Any, now: datetime) -> Finding:
        last = await runs.last_of(connection, [one.name for one in journeys])
        wrong = []
        for one in journeys:
            ran = last.get(one.name)
            if ran is not None and not ran.passed:
                wrong.append(f"{one.name}: failed {ran.at:%Y-%m-%d %H:%M} UTC")
            elif ran is not None and now - ran.at > pause(one.every):
                wrong.append(f"{one.name}: not run since {ran.at:%Y-%m-%d %H:%M} UTC")
        return Finding(len(wrong), "; ".join(wrong))

    return [Check("improvement.journeys", run)]


async def gauges(platform: Platform, connection: Any) -> tuple[Mapping[str, bool], Mapping[str, float]]:
    """(whether the last run passed, seconds since it) of each journey that ever ran."""
    now = platform.clock.now()
    last = await runs.last_of(connection, [one.name for one in _journeys(platform)])
    passed = {name: one.passed for name, one in last.items()}
    return passed, {name: (now - one.at).total_seconds() for name, one in last.items()}


def _journeys(platform: Platform) -> Sequence[Journey]:
    return [one for service in platform.services for one in service.journeys]
