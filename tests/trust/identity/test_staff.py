"""Staff by HelseID's profile (FAPI 2.0) with a real provider: what is sent, who gets in, for which organisation, and
the tokens that are kept at the server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from tests.trust.identity.providers import Providers
from tests.trust.identity.test_patients import refused
from tests.trust.login_site import OTHER_TRUST, TRUST, Browser, Site, site
from tests.trust.region import DOCTOR, TWO_WARDS, WARD, World
from tests.trust.test_login import why
from varde.trust.identity import codeflow, helseid
from varde.trust.identity.dpop import Prover
from varde.trust.identity.helseid import Attestation, Coded, Organisation, Place, Terms
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import Level, LoginRefused
from varde.trust.identity.tokens import NoToken, StaffTokens
from varde.trust.sessions import Session

READ = "nhn:journal/read"
WHOLE = f"openid {READ}"


def header(token: str) -> dict[str, Any]:
    return dict(jws.extract_compact(token.encode()).headers())


def claims(served: Site, token: str) -> dict[str, Any]:
    """Of a token that Varde signed."""
    keys = served.providers["staff"].registration.keys.public()["keys"]
    return dict(jwt.decode(token, ECKey.import_key(keys[0]), algorithms=["ES256"]).claims)


async def test_a_doctor_logs_in_by_everything_that_helseid_asks(served: Site, providers: Providers) -> None:
    """IDENTITY.md 1.2: a signed request object by PAR, the client assertion of today's profile, DPoP with the server's
    nonce, the code bound to our key; claims that the id_token lacks come by UserInfo with a bound token."""
    providers.worker(DOCTOR)
    browser = Browser(served.base)
    assert (await browser.come_in("staff", "/arbeid/brev")).headers["location"] == "/arbeid/brev"
    me = await browser.me()
    assert (me["person"], me["unit"], me["level"], me["organisation"]) == (DOCTOR, WARD, 4, TRUST)
    (pushed,) = providers.seen("/request")
    assert set(pushed["form"]) == {"client_id", "request", "client_assertion_type", "client_assertion"}
    request = claims(served, pushed["form"]["request"])
    assert header(pushed["form"]["request"])["typ"] == "oauth-authz-req+jwt"
    assert request["aud"] == providers.issuers["staff"] and request["iss"] == request["client_id"] == "varde-staff"
    assert request["code_challenge_method"] == "S256" and request["exp"] - request["iat"] <= 60
    tried = providers.seen("/token")
    first, second = (claims_of_proof(one["dpop"]) for one in tried)
    assert "nonce" not in first and second["nonce"]  # the challenge, and its answer
    assert first["jti"] != second["jti"] and second["htm"] == "POST"
    assert second["htu"] == f"{providers.issuers['staff']}/token"
    assert request["dpop_jkt"] == ECKey.import_key(header(tried[0]["dpop"])["jwk"]).thumbprint()
    assertions = [one["form"]["client_assertion"] for one in (pushed, *tried)]
    assert {header(one)["typ"] for one in assertions} == {"client-authentication+jwt"}
    assert len({claims(served, one)["jti"] for one in assertions}) == 3
    (asked,) = providers.seen("/me")
    assert claims_of_proof(asked["dpop"])["ath"]
    second_login = Browser(served.base)
    await second_login.come_in("staff")
    assert len(providers.seen("/token")) == 3  # the nonce is remembered


def claims_of_proof(proof: str) -> dict[str, Any]:
    """Of a DPoP proof, checked by the key that it carries."""
    return dict(jwt.decode(proof, ECKey.import_key(header(proof)["jwk"]), algorithms=["ES256"]).claims)


WHO: dict[str, tuple[dict[str, Any], str]] = {
    "substantial": ({helseid.ASSURANCE: "substantial"}, "refused"),
    "low by the older claim": ({helseid.SECURITY: "3"}, "refused"),
    "no level at all": ({helseid.ASSURANCE: None, helseid.SECURITY: None}, "refused"),
    "a level nobody knows": ({helseid.ASSURANCE: "highest", helseid.SECURITY: None}, "refused"),
    "no organisation": ({helseid.PARENT: None}, "refused"),
    "an organisation of letters": ({helseid.PARENT: "unn"}, "refused"),
    "works elsewhere": ({helseid.PARENT: OTHER_TRUST}, "unknown"),
    "a business known here, not theirs": ({helseid.CHILD: OTHER_TRUST}, "unknown"),
}


async def test_who_of_staff_does_not_get_in(served: Site, providers: Providers) -> None:
    for what, (more, said) in WHO.items():
        providers.worker(DOCTOR, **more)
        assert (what, await refused(served, "staff")) == (what, said)
    for number in (None, "", "81x", "8100001; drop"):
        providers.worker(number)
        assert (number, await refused(served, "staff")) == (number, "refused")
    providers.worker("8199998")
    assert await refused(served, "staff") == "unknown"
    providers.worker(DOCTOR, **{helseid.ASSURANCE: "high", helseid.SECURITY: None, helseid.CHILD: "999999999"})
    assert (await Browser(served.base).come_in("staff")).headers["location"] == "/arbeid"


FORGED: list[dict[str, Any]] = [
    {"claims": {"iss": "http://evil.example"}}, {"claims": {"aud": "varde-patient"}}, {"claims": {"nonce": "x"}},
    {"claims": {"exp": 1}}, {"claims": {"at_hash": "x"}}, {"claims": {"sub": "another"}}, {"key": "foreign"},
    {"key": "none"}, {"key": "secret"}, {"body": {"id_token": None}}, {"body": {"token_type": "Bearer"}},
    {"path": "/me", "body": {"sub": "another"}}, {"path": "/request", "body": {"request_uri": None}},
]  # fmt: skip


async def test_answers_that_are_not_the_providers(served: Site, providers: Providers) -> None:
    """A token bound to nobody, UserInfo about another person, and the forgeries of a patient's login."""
    providers.worker(DOCTOR)
    for how in FORGED[:-1]:
        providers.tamper("staff", **how)
        assert (how, await refused(served, "staff")) == (how, "refused")
    providers.tamper("staff", **FORGED[-1])
    assert why(await Browser(served.base).get("/arbeid/login")) == "provider"


async def test_a_stolen_code_is_bound_to_our_key(served: Site, providers: Providers) -> None:
    """RFC 9449 10: even with our client key and the verifier, another DPoP key gets nothing."""
    providers.worker(DOCTOR)
    provider = served.providers["staff"]
    async with httpx.AsyncClient(trust_env=False) as http:
        other = Prover(ECKey.generate_key("P-256"), served.world.clock)
        thief = Provider(provider.registration, served.issuer.clock, http, other)
        asked = helseid.asking(Terms(), None)
        started = await codeflow.start(provider, asked)
        callback = await Browser(served.base).until(started.url, "/login/callback?")
        code = parse_qs(urlsplit(callback).query)["code"][0]
        with pytest.raises(LoginRefused):
            await codeflow.finish(thief, code, nonce=started.nonce, verifier=started.verifier, asked=asked)


async def test_the_level_that_is_needed_is_a_setting(world: World, providers: Providers) -> None:
    providers.worker(DOCTOR, **{helseid.ASSURANCE: "substantial", helseid.SECURITY: "3"})
    async with site(world, providers, issuers=providers.issuers, terms=Terms(Level.SUBSTANTIAL)) as served:
        browser = Browser(served.base)
        await browser.come_in("staff")
        assert (await browser.me())["level"] == 3


async def test_the_organisation_is_told_at_the_login_and_there_alone(world: World, providers: Providers) -> None:
    """HID-DOUBLE-STRUCTURE. The one organisation is asked for, and what comes back must be it."""
    terms = Terms(organisations=[Organisation(TRUST)])
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR, **{helseid.PARENT: None})
        browser = Browser(served.base)
        await browser.come_in("staff")
        assert (await browser.me())["organisation"] == TRUST
        request = claims(served, providers.seen("/request")[0]["form"]["request"])
        (told,) = request["authorization_details"]
        assert told["type"] == "helseid_authorization"
        identifier = told["practitioner_role"]["organization"]["identifier"]
        assert identifier == {"system": "urn:oid:1.0.6523", "type": "ENH", "value": f"NO:ORGNR:{TRUST}:"}
        for one in providers.seen("/token"):
            assert "authorization_details" not in claims(served, one["form"]["client_assertion"])
        providers.worker(DOCTOR, **{helseid.PARENT: OTHER_TRUST})
        assert await refused(served, "staff") == "refused"


async def test_staff_of_several_organisations_choose_theirs_first(world: World, providers: Providers) -> None:
    terms = Terms(organisations=[Organisation(TRUST), Organisation(OTHER_TRUST)])
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR, **{helseid.PARENT: None})
        browser = Browser(served.base)
        for query in ("", "?virksomhet=x", "?virksomhet=999999999"):
            answer = await browser.get(f"/arbeid/login{query}")
            assert answer.headers["location"].startswith("/arbeid/virksomhet")
        await browser.come_in("staff", virksomhet=TRUST)
        assert (await browser.me())["organisation"] == TRUST
        browser = Browser(served.base)
        assert why(await browser.come_in("staff", virksomhet=OTHER_TRUST)) == "unknown"


NEED = Attestation(
    Coded(TRUST, "UNN"), Coded("974795787", "UNN Tromsø"), Coded("4000", "Øyeavdelingen"), "TREAT",
    Coded("15", "Helsetjeneste"), Coded("S01", "Somatikk"), "decision-1", Coded("LE", "Lege"),
)  # fmt: skip


async def logged_in(served: Site) -> tuple[Session, StaffTokens]:
    browser = Browser(served.base)
    await browser.come_in("staff")
    session = await served.sessions.find(browser.http.cookies["varde_session"])
    assert session is not None
    return session, StaffTokens(served.providers["staff"], served.sessions, served.terms)


async def test_tokens_are_used_until_they_end_and_then_renewed(world: World, providers: Providers, clock: Any) -> None:
    """FK3, for calls on behalf of staff: one token an interface, bound to our key, by one process at a time."""
    terms = Terms(api_scopes=(READ,))
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR)
        session, tokens = await logged_in(served)
        first = await tokens.access(session, WHOLE)
        asked = len(providers.seen("/token"))
        assert [await tokens.access(session, WHOLE) for _ in range(3)] == [first] * 3
        assert len(providers.seen("/token")) == asked
        await accepted(providers, tokens, first)
        clock.advance(timedelta(minutes=9, seconds=45))
        several = await asyncio.gather(*(tokens.access(session, WHOLE) for _ in range(5)))
        assert len(set(several)) == 1 and several[0] != first
        assert len(providers.seen("/token")) <= asked + 2  # one renewal; its nonce may have grown old
        await accepted(providers, tokens, several[0])
        form = providers.seen("/token")[-1]["form"]
        assert (form["grant_type"], form["scope"]) == ("refresh_token", WHOLE)
        # Another unit, another secret in the cookie: the tokens go along.
        moved = await served.sessions.find(await served.sessions.replace(session, unit_name="x"))
        assert moved is not None and await tokens.access(moved, WHOLE) == several[0]
        with pytest.raises(NoToken):
            await tokens.access(session, WHOLE)
        with pytest.raises(ValueError, match="login carries"):
            await tokens.access(moved, WHOLE, NEED)


async def accepted(providers: Providers, tokens: StaffTokens, token: str) -> None:
    """The provider's own interface, UserInfo, takes the token with its proof, and without it does not."""
    address = f"{providers.issuers['staff']}/me"
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(address, headers=tokens.headers(token, "GET", address))).status_code == 200
        for headers in (
            {"authorization": f"Bearer {token}"},
            {"authorization": f"DPoP {token}"},
            tokens.headers(token, "POST", address),
            tokens.headers(token, "GET", f"{address}/x"),
            {**tokens.headers("another", "GET", address), "authorization": f"DPoP {token}"},
        ):
            assert (await http.get(address, headers=headers)).status_code in {400, 401}


async def test_one_need_is_attested_with_the_token_and_never_at_the_login(world: World, providers: Providers) -> None:
    """IDENTITY.md 1.3: the organisation and the attestation in the client assertion of each token request; a token
    attested for one patient is used for no other."""
    terms = Terms(organisations=[Organisation(TRUST)], place=Place.ASSERTION, api_scopes=(READ,))
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR)
        session, tokens = await logged_in(served)
        request = claims(served, providers.seen("/request")[0]["form"]["request"])
        assert "authorization_details" not in request
        (told,) = claims(served, providers.seen("/token")[-1]["form"]["client_assertion"])["authorization_details"]
        assert told["type"] == "helseid_authorization"
        plain, attested = await tokens.access(session, READ), await tokens.access(session, READ, NEED)
        assert plain != attested
        details = claims(served, providers.seen("/token")[-1]["form"]["client_assertion"])["authorization_details"]
        assert [one["type"] for one in details] == ["helseid_authorization", "nhn:tillitsrammeverk:parameters"]
        assert details[1]["care_relationship"]["decision_ref"] == {"id": "decision-1", "user_selected": False}
        assert "care_relation" not in details[1]
        assert await tokens.access(session, READ, NEED) == attested
        other = Attestation(**{name: getattr(NEED, name) for name in NEED.__slots__} | {"decision": "decision-2"})
        assert await tokens.access(session, READ, other) not in {plain, attested}


async def test_helseid_refuses_both_places(world: World, providers: Providers) -> None:
    """The rule itself, as the provider holds us to it: what the types here make impossible is done by hand."""
    terms = Terms(organisations=[Organisation(TRUST)])
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR)
        provider = served.providers["staff"]
        asked = helseid.asking(terms, terms.organisations[0])
        started = await codeflow.start(provider, asked)
        callback = await Browser(served.base).until(started.url, "/login/callback?")
        code = parse_qs(urlsplit(callback).query)["code"][0]
        with pytest.raises(LoginRefused, match="access_denied"):
            await codeflow.finish(
                provider, code, nonce=started.nonce, verifier=started.verifier, asked=asked, details=asked.details
            )


async def test_tokens_are_sealed_and_end_with_the_grant(world: World, providers: Providers, clock: Any) -> None:
    """The database alone opens none. A code replayed at the provider kills the grant: then a new login is needed."""
    terms = Terms(api_scopes=(READ,))
    async with site(world, providers, issuers=providers.issuers, terms=terms) as served:
        providers.worker(DOCTOR)
        session, tokens = await logged_in(served)
        token = await tokens.access(session, READ)
        async with world.database.connection() as connection:
            row = await connection.fetchrow("select * from trust_session")
        assert row["tokens"] and token.encode() not in row["tokens"] and b"eyJ" not in row["tokens"][20:]
        used = [one["form"] for one in providers.seen("/token") if "code" in one["form"]][-1]
        form = {name: used[name] for name in ("grant_type", "code", "redirect_uri", "code_verifier")}
        with pytest.raises(LoginRefused):
            await served.providers["staff"].post("token_endpoint", form, bound=True)
        clock.advance(timedelta(minutes=11))
        with pytest.raises(NoToken):
            await tokens.access(session, READ)
        assert await served.sessions.find("x") is None


async def test_without_interfaces_to_call_no_token_is_kept_that_could_be_renewed(
    served: Site, providers: Providers
) -> None:
    providers.worker(TWO_WARDS)
    session, tokens = await logged_in(served)
    assert "offline_access" not in served.providers["staff"].registration.scope
    assert session.organisation == TRUST and session.unit == WARD
    assert tokens is not None
