"""A login that is fresh enough, or anew: max_age asked for and auth_time checked, the same person, a new secret."""

from __future__ import annotations

from datetime import timedelta

from tests.trust.identity.providers import Providers
from tests.trust.identity.test_patients import refused
from tests.trust.login_site import Browser, Site
from tests.trust.region import DOCTOR, KARI, OLA
from tests.trust.test_login import why
from varde.clock import MovableClock


async def test_stepping_up_is_a_fresh_login_of_the_same_session(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    before, secret = await browser.me(), browser.http.cookies["varde_session"]
    clock.advance(timedelta(minutes=25))
    await browser.come_in()  # the provider's session goes on: who they are was proved 25 minutes ago
    assert abs((await browser.me())["authenticated"] - before["authenticated"]) < 3
    secret = browser.http.cookies["varde_session"]
    created = await _created(served)
    answer = await browser.come_in(til="/me?x=1", fersk="300")
    assert answer.headers["location"] == "/me?x=1"
    asked = providers.seen("/request", "patient")[-1]["form"]
    assert (asked["max_age"], asked["prompt"]) == ("300", "login")
    after = await browser.me()
    assert after["authenticated"] - before["authenticated"] > 1400
    assert browser.http.cookies["varde_session"] != secret and after["csrf"] != before["csrf"]
    assert await _created(served) == created  # no longer life
    thief = Browser(served.base)
    thief.http.cookies.set("varde_session", secret)
    assert await thief.me() is None


async def _created(served: Site) -> object:
    async with served.world.database.connection() as connection:
        (row,) = await connection.fetch("select created from trust_session")
    return row["created"]


async def test_a_login_that_is_not_fresh_is_not_taken_for_one(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    """A provider that answers from its own session, or does not say when: refused, and the old session stays."""
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    now = int(clock.now().timestamp())
    for told in (now - 3600, now - 320, None, "now", now + 3600):
        providers.tamper("patient", claims={"auth_time": told})
        assert (told, why(await browser.come_in(fersk="300"))) == (told, "refused")
    assert (await browser.me())["person"] == "kari"
    providers.tamper("patient", claims={"auth_time": now - 290})
    assert (await browser.come_in(fersk="300")).headers["location"] == "/me"


async def test_another_person_who_logs_in_instead_begins_anew(served: Site, providers: Providers) -> None:
    """What one was about to do is not opened for another."""
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    secret = browser.http.cookies["varde_session"]
    providers.citizen(OLA)
    answer = await browser.come_in(til="/familie/fullmakt", fersk="0")
    assert answer.headers["location"] == "/"
    assert (await browser.me())["person"] == "ola"
    thief = Browser(served.base)
    thief.http.cookies.set("varde_session", secret)
    assert await thief.me() is None


async def test_staff_step_up_where_they_are(served: Site, providers: Providers) -> None:
    providers.worker(DOCTOR)
    browser = Browser(served.base)
    await browser.come_in("staff")
    former = await served.sessions.find(browser.http.cookies["varde_session"])
    assert former is not None
    browser.http.cookies.delete("varde_session")
    browser.http.cookies.set("varde_session", await served.sessions.replace(former, unit_name="valgt"))
    answer = await browser.come_in("staff", til="/arbeid/x", fersk="60")
    assert answer.headers["location"] == "/arbeid/x"
    async with served.world.database.connection() as connection:
        (row,) = await connection.fetch("select * from trust_session")
    assert row["unit_name"] == "valgt"


async def test_a_level_asked_for_is_asked_for_each_time(served: Site, providers: Providers) -> None:
    providers.citizen(KARI, acr="idporten-loa-substantial")
    assert await refused(served) == "refused"
    for query in ("x", "-1", "9999999", "١"):  # nonsense asks for nothing
        address = await Browser(served.base).until(f"/login?til=/me&fersk={query}", "/auth?")
        assert "/auth?" in address
    assert all("max_age" not in one["form"] for one in providers.seen("/request", "patient"))
