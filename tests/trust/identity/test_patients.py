"""Patients by ID-porten: the whole way with a real provider, and every answer of it that must not be believed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from tests.trust.identity.providers import Providers
from tests.trust.login_site import Browser, Site
from tests.trust.region import KARI, OLA
from tests.trust.test_login import why
from varde.trust.identity.registration import LoginRefused


async def refused(served: Site, side: str = "patient") -> str:
    """Log in as whoever the provider says, and be told why not."""
    browser = Browser(served.base)
    answer = await browser.come_in(side)
    assert await browser.me() is None
    assert not [c for c in answer.headers.get_list("set-cookie") if "varde_session=" in c]
    return why(answer)


async def test_a_patient_logs_in_by_everything_that_id_porten_asks(served: Site, providers: Providers) -> None:
    """IDENTITY.md 1.1: code flow, PAR, PKCE, private_key_jwt, acr_values; the browser carries a name alone."""
    providers.citizen(KARI)
    browser = Browser(served.base)
    assert (await browser.come_in()).headers["location"] == "/me"
    me = await browser.me()
    assert (me["person"], me["level"], me["ground"]) == ("kari", 4, "own-record")
    (pushed,) = providers.seen("/request", "patient")
    (redeemed,) = providers.seen("/token", "patient")
    form = pushed["form"]
    assert form["acr_values"] == "idporten-loa-high" and form["response_type"] == "code"
    assert form["code_challenge_method"] == "S256" and len(redeemed["form"]["code_verifier"]) >= 43
    assert form["redirect_uri"] == redeemed["form"]["redirect_uri"] == f"{served.base}/login/callback"
    assert pushed["dpop"] is None and redeemed["dpop"] is None
    assertions = [one["form"]["client_assertion"] for one in (pushed, redeemed)]
    read = [jws.extract_compact(one.encode()) for one in assertions]
    claims = [jwt.decode(one, ECKey.import_key(_public(served)), algorithms=["ES256"]).claims for one in assertions]
    assert all(one["iss"] == one["sub"] == "varde-patient" for one in claims)
    assert all(one["aud"] == providers.issuers["patient"] and one["exp"] - one["iat"] <= 60 for one in claims)
    assert claims[0]["jti"] != claims[1]["jti"] and all(one.headers()["kid"] for one in read)
    addresses = " ".join(browser.addresses)
    assert KARI not in addresses and set(parse_qs(urlsplit(_sent(browser)).query)) == {"client_id", "request_uri"}


def _public(served: Site) -> dict[str, Any]:
    return dict(served.providers["patient"].registration.keys.public()["keys"][0])


def _sent(browser: Browser) -> str:
    return next(one for one in browser.addresses if "/auth?" in one)


CLAIMS: dict[str, dict[str, Any]] = {
    "iss": {"iss": "http://evil.example"}, "aud": {"aud": "another"}, "aud of several": {"aud": ["varde-patient", "x"]},
    "no aud": {"aud": None}, "azp": {"azp": "another"}, "nonce": {"nonce": "x"}, "no nonce": {"nonce": None},
    "acr": {"acr": "idporten-loa-substantial"}, "no acr": {"acr": None},
    "acr of a list": {"acr": ["idporten-loa-high"]},
    "old acr": {"acr": "Level4"}, "expired": {"exp": 1}, "no exp": {"exp": None}, "issued later": {"iat": 9999999999},
    "not yet": {"nbf": 9999999999}, "at_hash": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "no sub": {"sub": None},
    "no pid": {"pid": None}, "pid of letters": {"pid": "x"}, "pid wrong": {"pid": "12345678901"},
    "logged in later": {"auth_time": 9999999999},
}  # fmt: skip


async def test_claims_that_are_wrong(served: Site, providers: Providers) -> None:
    providers.citizen(KARI)
    for what, claims in CLAIMS.items():
        providers.tamper("patient", claims=claims)
        assert (what, await refused(served)) == (what, "refused")
    providers.tamper("patient", claims={"auth_time": None})  # a provider need not say it unless asked
    assert (await Browser(served.base).come_in()).headers["location"] == "/me"


FORGED: list[dict[str, Any]] = [
        {"key": "foreign"},
        {"key": "foreign", "header": {"kid": "unknown"}},
        {"key": "foreign", "header": {"jku": "http://evil.example/jwks"}},
        {"key": "foreign", "header": {"kid": None}},
        {"key": "none"},
        {"key": "secret"},
        {"header": {"typ": "logout+jwt"}},
        {"header": {"typ": "at+jwt"}},
        {"body": {"id_token": None}},
        {"body": {"id_token": "x.y.z"}},
        {"body": {"id_token": 7}},
        {"body": {"access_token": None}},
        {"body": {"token_type": "DPoP"}},
]  # fmt: skip


async def test_tokens_that_are_not_the_providers(served: Site, providers: Providers) -> None:
    """A foreign key under every name, no signature, a shared secret, another kind of token, none at all."""
    providers.citizen(KARI)
    for how in FORGED:
        providers.tamper("patient", **how)
        assert (how, await refused(served)) == (how, "refused")


async def test_a_level_that_is_too_low_though_high_was_asked_for(served: Site, providers: Providers) -> None:
    """Asking is not enough: the id_token itself says the level."""
    providers.citizen(KARI, acr="idporten-loa-substantial")
    assert await refused(served) == "refused"


async def test_an_answer_is_used_once(served: Site, providers: Providers) -> None:
    """A state replayed, a code replayed under a fresh state, an answer in another browser."""
    providers.citizen(KARI)
    browser, thief = Browser(served.base), Browser(served.base)
    callback = await browser.sent_back()
    assert why(await thief.get(callback)) == "old"
    callback = await browser.sent_back()
    assert (await browser.get(callback)).headers["location"] == "/me"
    assert why(await browser.get(callback)) == "old"
    other = Browser(served.base)
    fresh = await other.sent_back()
    code = parse_qs(urlsplit(callback).query)["code"][0]
    assert why(await other.get(re.sub(r"code=[^&]+", f"code={code}", fresh))) == "refused"
    assert await thief.me() is None and await other.me() is None


async def test_an_answer_of_one_provider_is_not_taken_to_the_other(served: Site, providers: Providers) -> None:
    """The mix-up attack: by the address of our callback, by `iss` (RFC 9207), and with `iss` left out."""
    providers.citizen(KARI)
    for change in (
        lambda address: address.replace("/login/callback", "/arbeid/login/callback"),
        lambda address: re.sub(r"&iss=[^&]*", f"&iss={providers.issuers['staff']}", address),
        lambda address: re.sub(r"&iss=[^&]*", "", address),
    ):
        browser = Browser(served.base)
        assert why(await browser.get(change(await browser.sent_back()))) in {"old", "refused"}
        assert await browser.me() is None
    assert not providers.seen("/token", "patient") and not providers.seen("/token", "staff")


async def test_a_code_is_of_no_use_without_its_verifier(served: Site, providers: Providers) -> None:
    """PKCE: whoever stole a code, and could even sign as we do, has not what belongs to it."""
    providers.citizen(KARI)
    provider = served.providers["patient"]
    browser = Browser(served.base)
    code = parse_qs(urlsplit(await browser.sent_back()).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": f"{served.base}/login/callback"}
    for verifier in ({}, {"code_verifier": "x" * 43}):
        with pytest.raises(LoginRefused):
            await provider.post("token_endpoint", form | verifier)


async def test_the_provider_takes_no_request_without_pkce_nor_past_par(served: Site, providers: Providers) -> None:
    """The real provider holds us to it too."""
    provider = served.providers["patient"]
    request = {"response_type": "code", "redirect_uri": f"{served.base}/login/callback", "scope": "openid"}
    with pytest.raises(LoginRefused):
        await provider.post("pushed_authorization_request_endpoint", request)
    browser = Browser(served.base)
    address = f"{providers.issuers['patient']}/auth?client_id=varde-patient&response_type=code&scope=openid"
    answer = await browser.get(f"{address}&redirect_uri={served.base}/login/callback")
    assert "code=" not in answer.headers.get("location", "")
    with pytest.raises(LoginRefused):  # an address of ours that is not registered to the letter
        await provider.post(
            "pushed_authorization_request_endpoint",
            request | {"redirect_uri": f"{served.base}/login/callback/", "code_challenge": "x" * 43,
                       "code_challenge_method": "S256"},
        )  # fmt: skip


async def test_who_breaks_off_and_a_provider_that_says_it_fails(served: Site, providers: Providers) -> None:
    providers.nobody("patient")
    browser = Browser(served.base)
    assert (await browser.come_in()).headers["location"] == "/"
    for error, said in (("temporarily_unavailable", "provider"), ("server_error", "provider"), ("x y", "refused")):
        callback = await browser.sent_back()
        assert why(await browser.get(re.sub(r"error=[^&]+", f"error={error}", callback))) == said
    callback = await browser.sent_back()
    forged = re.sub(r"&iss=[^&]*", "&iss=http://evil.example", callback)
    assert why(await browser.get(forged)) == "refused"


async def test_new_keys_of_the_provider_are_learnt_and_old_ones_forgotten(
    served: Site, providers: Providers, clock: Any
) -> None:
    """A key rotated between leaving and coming back; at most one question a minute, whatever tokens say."""
    providers.citizen(KARI)
    await Browser(served.base).come_in()
    clock.advance(timedelta(seconds=61))
    browser = Browser(served.base)
    callback = await browser.sent_back()
    providers.tell("rotate", side="patient")
    assert (await browser.get(callback)).headers["location"] == "/me"
    asked = len(providers.seen("/jwks", "patient"))
    providers.tamper("patient", key="foreign", header={"kid": "unknown"})
    for _ in range(5):
        assert await refused(served) == "refused"
    assert len(providers.seen("/jwks", "patient")) == asked
    clock.advance(timedelta(seconds=61))
    for _ in range(3):
        assert await refused(served) == "refused"
    assert len(providers.seen("/jwks", "patient")) == asked + 1


async def test_metadata_is_kept_for_a_day(served: Site, providers: Providers, clock: Any) -> None:
    """HelseID's FK2; the same for ID-porten."""
    providers.citizen(KARI)
    path = "/.well-known/openid-configuration"
    for hours, asked in ((0, 1), (23, 1), (2, 2)):
        clock.advance(timedelta(hours=hours))
        await Browser(served.base).come_in()
        assert len(providers.seen(path, "patient")) == asked


async def test_our_own_key_is_rotated_while_people_log_in(served: Site, providers: Providers, clock: Any) -> None:
    """Two keys are published; the provider fetches them at /login/keys and takes both, then the new one alone."""
    providers.citizen(KARI)
    keys = served.providers["patient"].registration.keys
    before = keys.public()["keys"][0]["kid"]
    made = keys.rotate(timedelta(hours=24))
    published = (await Browser(served.base).get("/login/keys")).json()["keys"]
    assert {one["kid"] for one in published} == {before, made} and not any("d" in one for one in published)
    for hours, kid, number in ((0, before, 2), (25, made, 2), (25, made, 1)):
        clock.advance(timedelta(hours=hours))
        browser = Browser(served.base)
        await browser.come_in()
        assert await browser.me() is not None
        used = providers.seen("/token", "patient")[-1]["form"]["client_assertion"]
        assert jws.extract_compact(used.encode()).headers()["kid"] == kid
        assert len((await browser.get("/login/keys")).json()["keys"]) == number


async def test_a_new_login_ends_the_session_before(served: Site, providers: Providers) -> None:
    """The session's name is new at each login: none can be planted, and a shared machine keeps none."""
    browser, same = Browser(served.base), Browser(served.base)
    providers.citizen(KARI)
    await browser.come_in()
    same.http.cookies.set("varde_session", browser.http.cookies["varde_session"])
    assert (await same.me())["person"] == "kari"
    providers.citizen(OLA)
    browser.http.cookies.delete("patient_session")
    await browser.come_in()
    assert (await browser.me())["person"] == "ola" and await same.me() is None
