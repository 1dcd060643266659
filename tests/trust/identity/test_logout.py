"""Single logout both ways, with a real provider: what ends, what proves it, and words that end nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jws

from tests.trust.identity.providers import Providers
from tests.trust.identity.test_patients import why
from tests.trust.login_site import Browser, Site
from tests.trust.region import DOCTOR, KARI, OLA
from varde.clock import MovableClock
from varde.trust.identity.checking import LOGOUT_EVENT
from varde.trust.identity.registration import Side


async def session_of(served: Site, browser: Browser) -> Any:
    async with served.world.database.connection() as connection:
        me = await browser.me()
        return await connection.fetchrow(
            "select * from trust_session where person = $1 order by created desc", me["person"]
        )


async def end_by(browser: Browser, farewell: httpx.Response) -> None:
    """Send the form of the farewell and the provider's own question."""
    told = farewell.json()
    assert "id_token" not in told["address"]
    page = await browser.http.post(told["address"], data=told["fields"])
    assert page.status_code == 200, page.text
    form = re.search(r'action="([^"]+)".*name="xsrf" value="([^"]+)"', page.text)
    assert form
    done = await browser.http.post(form[1], data={"xsrf": form[2], "logout": "yes"})
    assert done.headers["location"] == f"{browser.base}/"


@pytest.mark.parametrize(("side", "kind"), [("patient", "patient"), ("staff", "staff")])
async def test_logging_out_here_ends_the_providers_session_and_all_that_it_opened(
    side: Side, kind: str, served: Site, providers: Providers
) -> None:
    """RP-initiated, proved by the id_token in a form; the provider then tells us by the back channel, and a second
    session of the same provider session ends too."""
    providers.citizen(KARI)
    providers.worker(DOCTOR)
    first, second, other = (Browser(served.base) for _ in range(3))
    await first.come_in(side)
    second.http.cookies.update(first.http.cookies)
    second.http.cookies.delete("varde_session")
    await second.come_in(side)  # the provider knows the browser: the same session there
    await other.come_in(side)
    assert (await second.me())["kind"] == kind
    path = "/arbeid/logout" if side == "staff" else "/logout"
    farewell = await first.http.post(path, data={"csrf": (await first.me())["csrf"]})
    assert await first.me() is None and await second.me() is not None
    hint = farewell.json()["fields"]["id_token_hint"]
    assert jws.extract_compact(hint.encode()).headers()["kid"]
    await end_by(first, farewell)
    assert await second.me() is None and await other.me() is not None


async def test_a_logout_while_the_provider_is_away_is_a_logout_here(served: Site, providers: Providers) -> None:
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    csrf = (await browser.me())["csrf"]
    served.providers["patient"]._kept.metadata = {}
    providers.tell("set", down={"patient": True})
    answer = await browser.http.post("/logout", data={"csrf": csrf})
    assert answer.headers["location"] == "/" and await browser.me() is None


async def test_the_front_channel_ends_what_it_names_and_nothing_else(served: Site, providers: Providers) -> None:
    """In a frame of the provider's page no cookie of ours comes along: its session is known by its name."""
    providers.citizen(KARI)
    kari, ola = Browser(served.base), Browser(served.base)
    await kari.come_in()
    providers.citizen(OLA)
    await ola.come_in()
    sid = (await session_of(served, kari))["provider_session"]
    issuer = providers.issuers["patient"]
    frame = Browser(served.base)
    for query in ("", f"?iss={issuer}", f"?sid={sid}", f"?iss=http://evil.example&sid={sid}", f"?iss={issuer}&sid="):
        assert (await frame.get(f"/login/frontchannel{query}")).status_code == 400
    await frame.get(f"/arbeid/login/frontchannel?iss={providers.issuers['staff']}&sid={sid}")
    await frame.get(f"/login/frontchannel?iss={issuer}&sid=unknown")
    assert await kari.me() is not None
    answer = await frame.get(f"/login/frontchannel?iss={issuer}&sid={sid}")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert f"frame-ancestors {issuer}" in answer.headers["content-security-policy"]
    assert await kari.me() is None and await ola.me() is not None


def logout_claims(providers: Providers, clock: MovableClock, side: Side, **changed: Any) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    right = {
        "iss": providers.issuers[side], "aud": f"varde-{side}", "iat": now, "exp": now + 120,
        "jti": f"j{now}{len(changed)}", "events": {LOGOUT_EVENT: {}}, **changed,
    }  # fmt: skip
    return {name: value for name, value in right.items() if value is not None}


async def tell(served: Site, token: str | None, side: Side = "patient") -> int:
    path = "/arbeid/login/backchannel" if side == "staff" else "/login/backchannel"
    async with httpx.AsyncClient(trust_env=False, base_url=served.base) as http:
        answer = await http.post(path, data={} if token is None else {"logout_token": token})
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code


async def test_forged_logout_tokens_end_nothing(served: Site, providers: Providers, clock: MovableClock) -> None:
    """Back-Channel Logout 2.6: every rule broken alone; the right one is taken, once."""
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    row = await session_of(served, browser)
    sid, sub = row["provider_session"], row["provider_subject"]
    now = int(clock.now().timestamp())
    wrong: dict[str, dict[str, Any]] = {
        "iss": {"iss": providers.issuers["staff"]}, "aud": {"aud": "varde-staff"}, "no aud": {"aud": None},
        "old": {"iat": now - 140}, "expired": {"exp": now - 11}, "no exp": {"exp": None}, "no iat": {"iat": None},
        "later": {"iat": now + 60}, "no jti": {"jti": None}, "no events": {"events": None}, "events": {"events": {}},
        "events of a list": {"events": [LOGOUT_EVENT]}, "event of text": {"events": {LOGOUT_EVENT: "x"}},
        "nonce": {"nonce": "n"}, "nobody": {"sid": None}, "number": {"sid": 7},
    }  # fmt: skip
    for what, change in wrong.items():
        token = providers.sign("patient", logout_claims(providers, clock, "patient", **{"sid": sid, **change}))
        assert (what, await tell(served, token)) == (what, 400)
    right = logout_claims(providers, clock, "patient", sid=sid, sub=sub)
    for how in ({"key": "foreign"}, {"key": "foreign", "header": {"kid": "x"}}, {"key": "none"}, {"key": "secret"},
                {"header": {"typ": "at+jwt"}}):  # fmt: skip
        assert (how, await tell(served, providers.sign("patient", dict(right), **how))) == (how, 400)
    for nonsense in (None, "", "x", "x.y.z", "x" * 20_000):
        assert await tell(served, nonsense) == 400
    assert await tell(served, providers.sign("patient", dict(right)), "staff") == 400
    assert await browser.me() is not None
    id_token = await _id_token(served, browser)
    assert await tell(served, id_token) == 400  # one token is never taken for the other
    token = providers.sign("patient", dict(right), header={"typ": "logout+jwt"})
    assert await tell(served, token) == 200 and await browser.me() is None
    await browser.come_in()
    assert await tell(served, token) == 400  # replayed
    assert await browser.me() is not None
    clock.advance(timedelta(minutes=3))
    assert await tell(served, token) == 400


async def _id_token(served: Site, browser: Browser) -> str:
    from varde.trust.identity.tokens import Kept

    session = await served.sessions.find(browser.http.cookies["varde_session"])
    assert session is not None
    kept = await served.sessions.tokens(session)
    assert kept is not None
    return Kept.from_bytes(kept).id_token


async def test_a_logout_token_of_a_subject_ends_all_of_theirs(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    providers.worker(DOCTOR)
    one, two = Browser(served.base), Browser(served.base)
    await one.come_in("staff")
    await two.come_in("staff")
    providers.citizen(KARI)
    patient = Browser(served.base)
    await patient.come_in()
    subject = (await session_of(served, one))["provider_subject"]
    # A session and a subject that do not belong together end nothing.
    sid = (await session_of(served, one))["provider_session"]
    token = providers.sign("staff", logout_claims(providers, clock, "staff", sid=sid, sub="another"))
    assert await tell(served, token, "staff") == 200 and await one.me() is not None
    token = providers.sign("staff", logout_claims(providers, clock, "staff", sub=subject))
    assert await tell(served, token, "staff") == 200
    assert await one.me() is None and await two.me() is None and await patient.me() is not None


async def test_a_logout_token_while_the_providers_keys_are_away_may_come_again(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    token = providers.sign("patient", logout_claims(providers, clock, "patient", sid="x"))
    providers.tell("set", down={"patient": True})
    assert await tell(served, token) == 503
    providers.tell("set", down={"patient": False})
    assert await tell(served, token) == 200


async def test_used_logout_tokens_are_forgotten_when_they_are_too_old_to_be_taken(
    served: Site, providers: Providers, clock: MovableClock
) -> None:
    assert await tell(served, providers.sign("patient", logout_claims(providers, clock, "patient", sid="x"))) == 200
    clock.advance(timedelta(hours=2))
    async with served.world.database.connection() as connection:
        assert await connection.fetchval("select count(*) from trust_logout") == 1
        await served.sessions.sweep(connection)
        assert await connection.fetchval("select count(*) from trust_logout") == 0


async def test_the_way_out_names_no_person(served: Site, providers: Providers) -> None:
    """`pid` stands in no address, nor in what is logged (the log's texts name what is wrong, never whose)."""
    providers.citizen(KARI)
    browser = Browser(served.base)
    await browser.come_in()
    farewell = await browser.http.post("/logout", data={"csrf": (await browser.me())["csrf"]})
    assert urlsplit(farewell.json()["address"]).query == ""
    assert KARI not in " ".join(browser.addresses) and KARI not in farewell.text
    assert why is not None
