"""Codes, access tokens and refresh tokens: bound, used once, ended at once, told apart from everything forged."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.trust.region import DOCTOR, WARD
from tests.trust.smart.place import BACK, BASE, FHIR, Place, flow, ids, post, read, redeem
from varde.trust.smart.clients import Authentication, Side
from varde.trust.smart.keys import KEPT, PUBLISHED_FIRST, SigningKeys

OFFLINE = "patient/Observation.rs patient/Patient.r openid offline_access"


async def refresh(place: Place, token: str, client: str = "app", **more: str) -> httpx.Response:
    return await post(
        place, "/auth/token", grant_type="refresh_token", refresh_token=token, client_id=client, **more
    )  # fmt: skip


async def works(place: Place, token: str) -> bool:
    status = (await read(place, token, "/Observation")).status_code
    assert status in {200, 401}
    return status == 200


async def test_a_code_is_bound_to_all_that_it_was_given_for(place: Place) -> None:
    await place.app()
    await place.app("other")
    kari = await place.patient("kari")
    asked = flow()
    code = (await kari.authorize(asked))["code"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"code_verifier": "x" * 43}, "invalid_grant"), ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": f"{BACK}?x"}, "invalid_grant"), ({"redirect_uri": None}, "invalid_request"),
        ({"client_id": "other"}, "invalid_grant"), ({"client_id": "unknown"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"), ({"code": "x"}, "invalid_grant"), ({"code": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"), ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_secret": "x"}, "invalid_client"),
    ]  # fmt: skip
    for change, error in wrong:
        answer = await redeem(place, asked, **({"code": code} | change))
        assert answer.status_code == 400 and answer.json()["error"] == error, change
        assert answer.headers["cache-control"] == "no-store"
    assert (await redeem(place, asked, code)).status_code == 200


async def test_a_code_is_old_after_a_minute_and_used_once(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    asked = flow(scope=OFFLINE)
    code = (await kari.authorize(asked))["code"]
    place.clock.advance(timedelta(seconds=60))
    assert (await redeem(place, asked, code)).json()["error"] == "invalid_grant"
    code = (await kari.authorize(asked))["code"]
    token = (await redeem(place, asked, code)).json()
    assert await works(place, token["access_token"])
    place.varde.smart.tokens._looked = float("-inf")  # as a second later
    assert (await redeem(place, asked, code)).json()["error"] == "invalid_grant"
    assert not await works(place, token["access_token"]), "a stolen code ends all that came of it"
    assert (await refresh(place, token["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_code_is_redeemed_by_one_of_many_at_once(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    asked = flow()
    code = (await kari.authorize(asked))["code"]
    answers = await asyncio.gather(*(redeem(place, asked, code) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_refresh_tokens_rotate_and_a_second_use_ends_all(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    first = await kari.tokens(flow(scope=OFFLINE))
    second = (await refresh(place, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"] and second["patient"] == "kari" and "id_token" in second
    unsaid = await post(place, "/auth/token", grant_type="refresh_token", refresh_token=second["refresh_token"])
    second = unsaid.json()  # a public app need not say who it is (RFC 6749 6)
    narrow = (await refresh(place, second["refresh_token"], scope="patient/Patient.r")).json()
    assert narrow["scope"] == "patient/Patient.r"
    assert (await read(place, narrow["access_token"], "/Observation")).status_code == 403
    wide = (await refresh(place, narrow["refresh_token"])).json()
    assert set(wide["scope"].split()) == set(OFFLINE.split())
    for scope in ("patient/*.rs", "user/Patient.r", "patient/Patient.rs", "online_access", "fhirUser", "patient/Foo.r"):
        answer = await refresh(place, wide["refresh_token"], scope=scope)
        assert answer.json()["error"] == "invalid_scope", scope
    assert await works(place, wide["access_token"])
    place.varde.smart.tokens._looked = float("-inf")
    assert (await refresh(place, first["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await works(place, wide["access_token"])
    assert (await refresh(place, wide["refresh_token"])).json()["error"] == "invalid_grant"


async def test_one_of_many_refreshes_at_once_wins_and_the_rest_end_it(place: Place) -> None:
    await place.app()
    token = await (await place.patient("kari")).tokens(flow(scope=OFFLINE))
    answers = await asyncio.gather(*(refresh(place, token["refresh_token"]) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers)[1:] == [400, 400, 400]


async def test_access_ends_when_it_was_said_to(place: Place) -> None:
    await place.app()
    token = await (await place.patient("kari")).tokens(flow(scope=OFFLINE), varighet="30")
    place.clock.advance(timedelta(seconds=3599))
    assert await works(place, token["access_token"])
    place.clock.advance(timedelta(seconds=1))
    assert not await works(place, token["access_token"])
    place.clock.advance(timedelta(days=29))
    token = (await refresh(place, token["refresh_token"])).json()
    assert await works(place, token["access_token"])
    place.clock.advance(timedelta(days=1))
    assert (await refresh(place, token["refresh_token"])).json()["error"] == "invalid_grant"


async def test_online_access_lasts_as_long_as_the_session(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope="patient/Observation.rs online_access"))
    token = (await refresh(place, token["refresh_token"])).json()
    assert await works(place, token["access_token"])
    session = await place.house.sessions.find(kari.browser.cookies[place.house.sessions.cookie])
    assert session is not None
    await place.house.sessions.end(session.digest)
    assert (await refresh(place, token["refresh_token"])).json()["error"] == "invalid_grant"
    place.clock.advance(timedelta(seconds=61))
    assert not await works(place, token["access_token"])


async def test_a_person_withdraws_at_once_and_sees_what_is_let_in(place: Place) -> None:
    await place.app()
    await place.app("other")
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope=OFFLINE))
    child = await kari.tokens(flow(scope="patient/Observation.rs"), hvem="child")
    other = await kari.tokens(flow("other", scope="patient/Observation.rs?category=laboratory"))
    page = await kari.browser.get("/apper")
    assert page.text.count("Ta tilgangen tilbake") == 3 and "Gjelder Lille Nordmann" in page.text
    assert "Bare laboratorieprøver" in page.text and "også når du ikke bruker appen" in page.text
    ola = await place.patient("ola")
    empty = await ola.browser.get("/apper")
    assert "Ingen apper har tilgang" in empty.text
    assert await works(place, token["access_token"])
    foreign = await ola.browser.get("/familie/velg")
    await ola.post(httpx.Response(200, text=foreign.text, request=httpx.Request("GET", f"{BASE}/apper/trekk")),
                   app="app", pasient="kari")  # fmt: skip
    place.varde.smart.tokens._looked = float("-inf")
    assert await works(place, token["access_token"]), "nobody withdraws for another"
    here = httpx.Response(200, text=page.text, request=httpx.Request("GET", f"{BASE}/apper/trekk"))
    after = await kari.post(here, app="app", pasient="kari")
    assert "Appen har ikke tilgang lenger" in after.text and after.text.count("Ta tilgangen tilbake") == 2
    place.varde.smart.tokens._looked = float("-inf")
    assert not await works(place, token["access_token"])
    assert await works(place, child["access_token"]) and await works(place, other["access_token"])
    assert [row["interaction"] for row in await place.rows("resource_type = 'Consent' and patient is not null")] == [
        "create", "create", "create", "delete"]  # fmt: skip


async def test_a_closed_app_does_nothing_more(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope=OFFLINE))
    assert await works(place, token["access_token"])
    await place.clients.close("app")
    place.varde.smart.tokens._looked = float("-inf")
    assert not await works(place, token["access_token"])
    assert (await refresh(place, token["refresh_token"])).json()["error"] == "invalid_client"
    assert (await kari.ask(flow())).status_code == 400
    operator = await place.staff("8100004", role="operator")
    listed = await operator.browser.get("/drift/apper")
    assert listed.status_code == 200 and "Stengt" in listed.text and "Test AS" in listed.text
    assert (await (await place.staff()).browser.get("/drift/apper")).status_code == 403


async def test_what_another_process_was_told_is_known_within_a_second(place: Place) -> None:
    await place.app()
    token = await (await place.patient("kari")).tokens(flow(scope=OFFLINE))
    assert await works(place, token["access_token"])
    async with place.house.platform.database.connection() as connection:
        one = await connection.fetchval("update smart_authorization set revoked = $1 returning id", place.clock.now())
        await connection.execute(
            "insert into smart_revocation (authorization_id, at) values ($1, $2)", one, place.clock.now()
        )
    await asyncio.sleep(1.1)
    assert not await works(place, token["access_token"])


async def test_an_app_gives_its_tokens_back(place: Place) -> None:
    """RFC 7009."""
    await place.app()
    await place.app("other")
    token = await (await place.patient("kari")).tokens(flow(scope=OFFLINE))
    access, refreshing = token["access_token"], token["refresh_token"]
    assert (await post(place, "/auth/revoke", client_id="other", token=access)).status_code == 200
    assert await works(place, access), "not another's"
    assert (await post(place, "/auth/revoke", client_id="app", token="unknown")).status_code == 200
    assert (await post(place, "/auth/revoke", client_id="app")).status_code == 400
    assert (await post(place, "/auth/revoke", token=access)).status_code == 400
    place.varde.smart.tokens._looked = float("-inf")
    assert (await post(place, "/auth/revoke", client_id="app", token=access)).status_code == 200
    assert not await works(place, access)
    token = (await refresh(place, refreshing)).json()
    place.varde.smart.tokens._looked = float("-inf")
    await post(place, "/auth/revoke", client_id="app", token=token["refresh_token"], token_type_hint="refresh_token")
    assert not await works(place, token["access_token"])


async def test_introspection_tells_the_right_ones(place: Place) -> None:
    """RFC 7662; SMART App Launch 2.2, token introspection."""
    for name in ("secret", "stranger"):
        await place.app(name, authentication=Authentication.SECRET)
    await place.app("server", authentication=Authentication.SECRET, sides=frozenset(), scopes="", introspects=True)
    await place.app()
    auth = {name: (name, secret) for name, secret in place.secrets.items()}
    kari = await place.patient("kari")
    asked = flow("secret", scope="openid fhirUser launch/patient patient/Observation.rs offline_access")
    code = (await kari.authorize(asked))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
    token = (await post(place, "/auth/token", auth=auth["secret"], **form)).json()
    claims = jwt.decode(token["id_token"], _keys(place), algorithms=["RS256"]).claims
    for name in ("secret", "server"):
        told = (await post(place, "/auth/introspect", auth=auth[name], token=token["access_token"])).json()
        assert told["active"] is True and told["client_id"] == "secret" and told["scope"] == token["scope"]
        assert told["patient"] == "kari" and told["iss"] == claims["iss"] and told["sub"] == claims["sub"]
        assert told["fhirUser"] == claims["fhirUser"] and told["exp"] > told["iat"] and told["aud"] == FHIR
    for name, asked_about in (("stranger", token["access_token"]), ("secret", "vat-x"), ("secret", "x")):
        told = (await post(place, "/auth/introspect", auth=auth[name], token=asked_about)).json()
        assert told == {"active": False}
    assert (await post(place, "/auth/introspect", client_id="app", token=token["access_token"])).status_code == 400
    assert (await post(place, "/auth/introspect", token=token["access_token"])).status_code == 400
    wrong = await post(place, "/auth/introspect", auth=("secret", "wrong"), token="x")
    assert wrong.status_code == 401 and wrong.headers["www-authenticate"].startswith("Basic")
    await post(place, "/auth/revoke", auth=auth["secret"], token=token["access_token"])
    told = await post(place, "/auth/introspect", auth=auth["server"], token=token["access_token"])
    assert told.json() == {"active": False}


def _keys(place: Place) -> Any:
    from joserfc.jwk import KeySet

    settings = place.house.platform.settings
    return KeySet.import_key_set(SigningKeys(settings.data / "signing-keys.json", place.clock).public())


async def test_secrets_are_taken_in_two_ways_and_guessed_in_none(place: Place) -> None:
    await place.app("secret", authentication=Authentication.SECRET)
    secret = place.secrets["secret"]
    kari = await place.patient("kari")

    async def trial(auth: tuple[str, str] | None = None, **more: str) -> httpx.Response:
        asked = flow("secret")
        form = {"grant_type": "authorization_code", "code": (await kari.authorize(asked))["code"],
                "redirect_uri": BACK, "code_verifier": asked.verifier}  # fmt: skip
        return await post(place, "/auth/token", auth=auth, **form, **more)

    assert (await trial(auth=("secret", secret))).status_code == 200
    assert (await trial(client_id="secret", client_secret=secret)).status_code == 200
    wrong = await trial(auth=("secret", "wrong"))
    assert wrong.status_code == 401 and wrong.headers["www-authenticate"].startswith("Basic")
    for more in ({"client_id": "secret"}, {"client_id": "secret", "client_secret": "wrong"}, {"client_secret": secret}):
        answer = await trial(**more)  # type: ignore[arg-type]
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_client"
    both = await trial(auth=("secret", secret), client_secret=secret, client_id="secret")
    assert both.json()["error"] == "invalid_request"
    fresh = await place.clients.new_secret("secret")
    assert (await trial(auth=("secret", secret))).status_code == 401
    assert (await trial(auth=("secret", fresh))).status_code == 200


async def test_who_fails_too_often_waits(place: Place) -> None:
    await place.app()
    await place.app("other")
    kari = await place.patient("kari")
    for _ in range(20):
        assert (await redeem(place, flow(), "guess")).status_code == 400
    answer = await redeem(place, flow(), "guess")
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 600
    assert (await redeem(place, flow("other"), (await kari.authorize(flow("other")))["code"])).status_code == 400
    place.clock.advance(timedelta(minutes=10))
    asked = flow()
    assert (await redeem(place, asked, (await (await place.patient("kari")).authorize(asked))["code"])).is_success


async def test_forged_access_tokens_open_nothing(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope=OFFLINE))
    access = token["access_token"]
    hs = OctKey.import_key("secret-secret-secret-secret-secret")
    forged = [
        access[:-1] + ("A" if access[-1] != "A" else "B"), access[4:], access.upper(), "vat-", token["refresh_token"],
        token["id_token"], jwt.encode({"alg": "HS256"}, {"iss": f"{BASE}/auth", "sub": "kari"}, hs),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJrYXJpIn0.", "vat-' or 1=1 --",
    ]  # fmt: skip
    for one in forged:
        answer = await read(place, one, "/Observation")
        assert answer.status_code == 401, one
        assert answer.headers["www-authenticate"].startswith('Bearer realm="fhir", error="invalid_token"')
    async with place.browser() as browser:
        assert (
            (await browser.get("/fhir/Observation"))
            .headers["www-authenticate"]
            .startswith('Bearer realm="fhir", DPoP ')
        )
        assert (await browser.get(f"/fhir/Observation?access_token={access}")).status_code == 401
        browser.cookies = kari.browser.cookies
        assert (await browser.get("/fhir/Observation")).status_code == 401


async def test_the_database_holds_no_secret(place: Place) -> None:
    await place.app("secret", authentication=Authentication.SECRET)
    await place.app()
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope=OFFLINE))
    async with place.house.platform.database.connection() as connection:
        for table in ("smart_client", "smart_token", "smart_code", "smart_authorization", "smart_request"):
            for row in await connection.fetch(f"select t::text from {table} t"):
                for secret in (token["access_token"], token["refresh_token"], place.secrets["secret"]):
                    assert secret not in row[0]


async def test_what_is_over_is_swept(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    await kari.tokens(flow())
    await kari.ask(flow())
    server = place.varde.smart.authorizations
    place.clock.advance(timedelta(days=4))
    async with place.house.platform.database.transaction() as connection:
        await server.sweep(connection)
        for table in ("request", "code", "token", "authorization", "failure", "assertion", "revocation", "launch"):
            assert await connection.fetchval(f"select count(*) from smart_{table}") == 0, table


async def test_staff_who_left_the_unit_take_their_apps_with_them(place: Place) -> None:
    await place.app()
    doctor = await place.staff()
    token = await doctor.tokens(flow(scope="user/Observation.rs offline_access"))
    assert await ids(place, token["access_token"], "/Observation") == {"Observation/result-kari"}
    gate = place.house.platform.access.for_system("test")
    await place.house.platform.store.delete(gate, "PractitionerRole", f"r{DOCTOR}-{WARD}")
    assert (await refresh(place, token["refresh_token"])).json()["error"] == "invalid_grant"
    place.clock.advance(timedelta(seconds=61))
    assert not await works(place, token["access_token"])


async def test_the_same_app_for_patients_may_not_act_alone(place: Place) -> None:
    await place.app(sides=frozenset({Side.PATIENT}))
    answer = await post(place, "/auth/token", grant_type="client_credentials", client_id="app", scope="patient/*.rs")
    assert answer.json()["error"] == "unauthorized_client"


def test_keys_rotate_without_a_gap(place: Place) -> None:
    file = place.house.platform.settings.data / "rotating.json"
    keys = SigningKeys(file, place.clock)

    def signer() -> str:
        return str(jwt.decode(keys.sign({"a": 1}), _set(keys), algorithms=["RS256"]).header["kid"])

    first = signer()
    assert file.stat().st_mode & 0o777 == 0o600 and all("d" not in key for key in keys.public()["keys"])
    second = SigningKeys(file, place.clock).rotate()
    place.clock.advance(timedelta(seconds=31))
    assert {key["kid"] for key in keys.public()["keys"]} == {first, second} and signer() == first
    place.clock.advance(PUBLISHED_FIRST)
    assert signer() == second and len(keys.public()["keys"]) == 2
    place.clock.advance(KEPT)
    third = keys.rotate()
    assert {key["kid"] for key in keys.public()["keys"]} == {second, third}


def _set(keys: SigningKeys) -> Any:
    from joserfc.jwk import KeySet

    return KeySet.import_key_set(keys.public())
