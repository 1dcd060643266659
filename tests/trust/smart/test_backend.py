"""SMART Backend Services and keyed apps, with real keys; and every assertion that must not be believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.browsing import serving
from tests.trust.smart.place import BACK, BASE, Place, flow, ids, post, read
from varde.fhir.gate import Interaction, Parameters
from varde.trust.keeping import kept
from varde.trust.scope import Scope
from varde.trust.smart.clients import Authentication, Side
from varde.trust.smart.proving import ASSERTION
from varde.trust.subscribers import Subscribers, owner_of


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_a_service_gets_a_short_token_with_its_key(place: Place, algorithm: str) -> None:
    await place.keyed(algorithm=algorithm)
    answer = await place.system("service", "system/Observation.rs system/Patient.read")
    token = answer.json()
    assert answer.status_code == 200 and token["token_type"] == "Bearer" and token["expires_in"] == 300
    assert token["scope"] == "system/Observation.rs system/Patient.read"
    assert not {"refresh_token", "patient", "id_token"} & set(token)
    access = token["access_token"]
    assert len(await ids(place, access, "/Observation?_count=50")) == 5
    assert (await read(place, access, "/Communication")).status_code == 403
    row = (await place.rows("resource_type = 'Observation'"))[-1]
    assert (row["actor_kind"], row["actor"], row["ground"]) == ("system", "service", "record-system")
    assert row["through"] == "App Service (service)"
    place.clock.advance(timedelta(seconds=300))
    assert (await read(place, access, "/Observation")).status_code == 401


async def test_what_is_asked_for_is_within_the_registration(place: Place) -> None:
    await place.keyed(scopes="system/Observation.rs")
    for scope, error in [
        ("system/Observation.cruds", "invalid_scope"), ("system/*.rs", "invalid_scope"),
        ("patient/Observation.rs", "invalid_scope"), ("user/*.rs", "invalid_scope"), ("openid", "invalid_scope"),
        ("system/Observation.rs offline_access", "invalid_scope"), ("system/Foo.rs", "invalid_scope"),
        ("phone", "invalid_scope"), ("", "invalid_request"),
        ("system/Observation.rs?value-quantity=5", "invalid_scope"),
    ]:  # fmt: skip
        answer = await place.system("service", scope)
        assert answer.status_code == 400 and answer.json()["error"] == error, scope
    narrowed = await place.system("service", "system/Observation.rs?status=final")
    assert narrowed.status_code == 200


async def test_forged_and_stale_assertions_are_refused(place: Place) -> None:
    await place.keyed()
    await place.keyed("other")
    key = place.keys["service"][0]
    now = int(place.clock.now().timestamp())
    public = orjson.dumps(key.as_dict(private=False))
    attacker = ECKey.generate_key("P-384")
    make = place.assertion
    claims = {"iss": "service", "sub": "service", "aud": f"{BASE}/auth/token", "exp": now + 60, "jti": "j"}
    good = make("service")
    head, body, signature = good.split(".")
    wrong: dict[str, str] = {
        "another's key": make("service", key=place.keys["other"][0]),
        "an unknown key": make("service", key=attacker),
        "another's kid": make("service", header={"kid": "other-key"}),
        "no kid": make("service", header={"kid": None}),
        "its own jwk": make("service", key=attacker, header={"jwk": attacker.as_dict(private=False), "kid": "k"}),
        "its own jku": make("service", header={"jku": "https://evil.test/jwks"}),
        "alg none": f"{_b64({'alg': 'none', 'kid': 'service-key'})}.{_b64(claims)}.",
        "alg none with its signature": f"{_b64({'alg': 'none', 'kid': 'service-key'})}.{body}.{signature}",
        "the public key as a secret": jwt.encode(
            {"alg": "HS256", "kid": "service-key"}, claims, OctKey.import_key(public)),
        "another algorithm": jwt.encode(
            {"alg": "RS256", "kid": "service-key"}, claims, RSAKey.generate_key(2048)),
        "another kind": make("service", header={"typ": "at+jwt"}),
        "expired": make("service", exp=now - 11),
        "too long": make("service", exp=now + 400),
        "no exp": make("service", exp=None),
        "exp as text": make("service", exp=str(now + 60)),
        "exp beyond all": make("service", exp=10**30),
        "nbf ahead": make("service", nbf=now + 60),
        "iat ahead": make("service", iat=now + 60),
        "no jti": make("service", jti=None),
        "empty jti": make("service", jti=""),
        "jti no text": make("service", jti=5),
        "other audience": make("service", aud="https://evil.test/auth/token"),
        "the API as audience": make("service", aud=f"{BASE}/fhir"),
        "no audience": make("service", aud=None),
        "several audiences": make("service", aud=[f"{BASE}/auth/token", "https://evil.test/"]),
        "other issuer": make("service", iss="other"),
        "other subject": make("service", sub="other"),
        "no subject": make("service", sub=None),
        "tampered": f"{head}.{_b64(claims | {'sub': 'service', 'scope': 'x'})}.{signature}",
        "no signature": f"{head}.{body}.",
        "no token": "x", "empty parts": "..", "not json": f"{head}.e30.x",
    }  # fmt: skip
    for why, assertion in wrong.items():
        answer = await place.system("service", "system/*.rs", assertion)
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_client", why
        async with place.house.platform.database.connection() as connection:
            await connection.execute("delete from smart_failure")
    assert (await place.system("service", "system/*.rs", good)).status_code == 200
    replayed = await place.system("service", "system/*.rs", good)
    assert replayed.json()["error"] == "invalid_client", "one use"
    assert (await place.system("service", "system/*.rs", make("service", aud=f"{BASE}/auth"))).status_code == 200


async def test_the_form_of_the_request_must_fit(place: Place) -> None:
    await place.keyed()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion_type": ASSERTION}
    for change in (
        {"client_assertion_type": "not_an_assertion_type"}, {"client_assertion_type": None},
        {"client_assertion": None, "client_id": "service"}, {"client_assertion": "not-a-jwt"},
        {"client_id": "other"}, {"client_secret": "x"}, {"grant_type": "not_a_grant_type"},
    ):  # fmt: skip
        answer = await post(place, "/auth/token", **(form | {"client_assertion": place.assertion("service")} | change))
        assert answer.status_code == 400, change
    async with place.browser() as browser:
        as_json = await browser.post("/auth/token", json=form)
        assert as_json.status_code == 400 and as_json.json()["error"] == "invalid_request"
        twice = "grant_type=client_credentials&grant_type=authorization_code"
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert (await browser.post("/auth/token", content=twice, headers=kind)).json()["error"] == "invalid_request"
        assert (await browser.get("/auth/token")).status_code in {404, 405}


async def test_an_app_with_a_key_uses_it_for_codes_and_refresh(place: Place) -> None:
    await place.keyed("web", sides=frozenset({Side.PATIENT}), scopes="patient/*.rs offline_access")
    kari = await place.patient("kari")
    asked = flow("web", scope="patient/Observation.rs offline_access")
    code = (await kari.authorize(asked))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
    proof = {"client_assertion_type": ASSERTION}
    assert (await post(place, "/auth/token", client_id="web", **form)).json()["error"] == "invalid_client"
    token = await post(place, "/auth/token", client_assertion=place.assertion("web"), **form, **proof)
    assert token.status_code == 200
    form = {"grant_type": "refresh_token", "refresh_token": token.json()["refresh_token"]}
    assert (await post(place, "/auth/token", client_id="web", **form)).json()["error"] == "invalid_client"
    assert (await post(place, "/auth/token", **form)).json()["error"] == "invalid_client"
    again = await post(place, "/auth/token", client_assertion=place.assertion("web"), **form, **proof)
    assert again.status_code == 200
    alone = await place.system("web", "patient/*.rs")
    assert alone.json()["error"] == "unauthorized_client"
    by_par = await post(place, "/auth/par", **flow("web").parameters, **proof,
                        client_assertion=place.assertion("web", aud=f"{BASE}/auth/par"))  # fmt: skip
    assert by_par.status_code == 201


@pytest.fixture
async def published() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A service's own address of keys, over a real network."""
    state: dict[str, Any] = {"asked": 0, "body": {"keys": []}, "status": 200}

    async def jwks(request: Request) -> Response:
        state["asked"] += 1
        return JSONResponse(state["body"], state["status"])

    async with serving(Starlette(routes=[Route("/jwks", jwks)])) as base:
        yield f"{base}/jwks", state


async def test_published_keys_are_fetched_kept_and_looked_for_anew(
    place: Place, published: tuple[str, dict[str, Any]]
) -> None:
    address, state = published
    key, fresh = ECKey.generate_key("P-384"), ECKey.generate_key("P-384")
    public = [one.as_dict(private=False) | {"kid": kid} for one, kid in ((key, "service-key"), (fresh, "fresh"))]
    place.keys["service"] = (key, "ES384")
    await place.app("service", authentication=Authentication.KEY, jwks_uri=address, sides=frozenset({Side.SYSTEM}),
                    scopes="system/*.rs")  # fmt: skip
    state["status"] = 500
    assert (await place.system("service", "system/*.rs")).json()["error"] == "invalid_client"
    state |= {"status": 200, "body": {"keys": public[:1]}}
    for _ in range(3):
        assert (await place.system("service", "system/*.rs")).status_code == 200
    assert state["asked"] == 2
    state["body"] = {"keys": public[1:]}
    rotated = {"key": fresh, "header": {"kid": "fresh", "jku": address}}
    assert (await place.system("service", "system/*.rs", place.assertion("service", **rotated))).status_code == 400
    assert state["asked"] == 2, "not more often than each half minute"
    place.proving()._fetched[address].at -= 31  # as half a minute later
    assert (await place.system("service", "system/*.rs", place.assertion("service", **rotated))).status_code == 200
    assert state["asked"] == 3
    assert (await place.system("service", "system/*.rs")).status_code == 400, "the former key is gone"


async def test_scripts_of_other_sites_may_ask(place: Place) -> None:
    """CORS: for apps in a browser; never for pages, never with cookies."""
    await place.app()
    token = await (await place.patient("kari")).tokens(flow())
    origin = {"origin": "https://app.test"}
    async with place.browser() as browser:
        for path in ("/auth/token", "/auth/revoke", "/auth/jwks", "/auth/.well-known/openid-configuration",
                     "/fhir/Observation", "/fhir/.well-known/smart-configuration", "/fhir/metadata"):  # fmt: skip
            asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
            asked = await browser.options(path, headers=origin | asking)
            assert asked.status_code == 204 and asked.headers["access-control-allow-origin"] == "*", path
            assert "authorization" in asked.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in asked.headers
        bearer = {"authorization": f"Bearer {token['access_token']}"}
        shown = await browser.get("/fhir/Observation", headers=origin | bearer)
        assert shown.status_code == 200 and shown.headers["access-control-allow-origin"] == "*"
        assert "ETag" in shown.headers["access-control-expose-headers"]
        denied = await browser.get("/fhir/Observation", headers=origin)
        assert denied.status_code == 401 and denied.headers["access-control-allow-origin"] == "*"
        answer: httpx.Response = await browser.post("/auth/token", data={"grant_type": "x"}, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
        for path in ("/", "/apper", "/auth/authorize"):
            assert "access-control-allow-origin" not in (await browser.get(path, headers=origin)).headers
        assert "access-control-allow-origin" not in (await browser.get("/fhir/metadata")).headers


async def test_discovery_names_what_works_and_nothing_else(place: Place) -> None:
    async with place.browser() as browser:
        smart = (await browser.get("/fhir/.well-known/smart-configuration")).json()
        openid = (await browser.get("/auth/.well-known/openid-configuration")).json()
        assert smart["issuer"] == openid["issuer"] == f"{BASE}/auth"
        for name, address in smart.items():
            if isinstance(address, str) and name != "issuer":
                path = address.removeprefix(BASE)
                assert (await browser.get(path)).status_code != 404 or (await browser.post(path)).status_code not in {
                    404,
                    405,
                }, name
        statement = (await browser.get("/fhir/metadata")).json()["rest"][0]["security"]
    for needed in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert smart[needed] == openid[needed]
    assert smart["code_challenge_methods_supported"] == ["S256"]
    assert set(smart["grant_types_supported"]) == {"authorization_code", "refresh_token", "client_credentials"}
    assert "RS256" in openid["id_token_signing_alg_values_supported"] and openid["subject_types_supported"]
    assert {"launch-ehr", "launch-standalone", "authorize-post", "permission-v2"} <= set(smart["capabilities"])
    uris = {e["url"]: e["valueUri"] for e in statement["extension"][0]["extension"]}
    assert uris["token"] == smart["token_endpoint"] and uris["authorize"] == smart["authorization_endpoint"]
    assert statement["cors"] is True


def _b64(value: dict[str, Any]) -> str:
    import base64

    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


async def test_what_a_service_leaves_for_later_keeps_its_narrowing(place: Place) -> None:
    """Subscriptions and kept work see what the token opened, as long as the app is registered."""
    await place.keyed(scopes="system/*.cruds")
    answer = await place.system("service", "system/Observation.cruds?category=laboratory")
    scope = (await place.varde.smart.tokens.open(answer.json()["access_token"])).scope
    subscribers = Subscribers(place.house.keeper)
    owner = owner_of(scope)
    assert owner is not None
    gate = await subscribers.gate_of(owner)
    later = await place.house.keeper.again(orjson.loads(orjson.dumps(kept(scope))))
    for one in (gate, later):
        assert isinstance(one, Scope) and one.through == "App Service (service)"
        assert "index_token" in one.predicate("r", "Observation", Parameters())
        assert one.predicate("r", "Communication", Parameters()) == "false"
    assert gate is not None and not gate.allows(Interaction.CREATE, "Observation")
    await place.clients.close("service")
    assert await subscribers.gate_of(owner) is None
    with pytest.raises(LookupError):
        await place.house.keeper.again(kept(scope))
