"""A provider that is away, slow or ill: who is logged in goes on, who is not is told calmly, and nothing hangs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from tests.trust.identity.providers import Providers
from tests.trust.login_site import Browser, Site, site
from tests.trust.region import DOCTOR, KARI, World
from tests.trust.test_login import why
from varde.clock import MovableClock


async def test_away_for_those_who_come_and_not_for_those_who_are_there(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    providers.citizen(KARI)
    providers.worker(DOCTOR)
    there, late, staff = Browser(served.base), Browser(served.base), Browser(served.base)
    await there.come_in()
    await staff.come_in("staff")
    callback = await late.sent_back()
    providers.stop()
    try:
        assert why(await Browser(served.base).get("/login")) == "provider"
        assert why(await Browser(served.base).get("/arbeid/login")) == "provider"
        assert why(await late.get(callback)) == "provider"
        clock.advance(timedelta(minutes=20))
        assert (await there.me())["person"] == "kari" and (await staff.me())["person"] == DOCTOR
    finally:
        providers.start()
    providers.citizen(KARI)
    clock.advance(timedelta(seconds=61))  # it came up with new keys
    again = Browser(served.base)
    await again.come_in()
    assert (await again.me())["person"] == "kari"


async def test_slow_is_as_good_as_away_and_holds_up_nobody(world: World, providers: Providers) -> None:
    """Twenty who wait for a provider that does not answer: each is told within its patience, while pages of those who
    are logged in are as fast as ever, though all together have but eight connections to the database."""
    providers.citizen(KARI)
    async with site(world, providers, issuers=providers.issuers, patience=0.8) as served:
        there = Browser(served.base)
        await there.come_in()
        providers.tell("set", slow={"patient": 5000})
        waiting = [asyncio.create_task(Browser(served.base).get("/login")) for _ in range(20)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await there.me() is not None
        assert time.monotonic() - began < 0.5
        answers = await asyncio.gather(*waiting)
        assert time.monotonic() - began < 4
        assert {why(answer) for answer in answers} == {"provider"}


async def test_a_provider_that_was_never_seen_is_asked_once_by_many(served: Site, providers: Providers) -> None:
    providers.citizen(KARI)
    answers = await asyncio.gather(*(Browser(served.base).get("/login") for _ in range(10)))
    assert all("/auth?" in answer.headers["location"] for answer in answers)
    assert len(providers.seen("/.well-known/openid-configuration", "patient")) == 1
