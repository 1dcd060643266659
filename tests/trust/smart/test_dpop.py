"""Apps' tokens bound to a key (DPoP, RFC 9449): got with a proof, used with a proof, by nobody else; and what was kept
for later ends with the app."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from joserfc.jwk import RSAKey

from tests.trust.helseid.forge import Forge
from tests.trust.smart.place import BACK, BASE, Flow, Place, flow, redeem
from varde.fhir.gate import Interaction, Parameters
from varde.trust.keeping import kept, owner
from varde.trust.smart.clients import Side
from varde.trust.smart.grant import parse_scopes
from varde.trust.smart.proving import ASSERTION

TOKEN = "/auth/token"
PATH = "/fhir/Observation/result-kari"


@pytest.fixture
def forge(place: Place) -> Forge:
    """A client's key, at the tests' time."""
    made = Forge("", BASE)
    made.ahead = place.clock.now().timestamp() - made.now()
    return made


def at_the_token_endpoint(forge: Forge, path: str = TOKEN, **changes: Any) -> dict[str, str]:
    return {"dpop": forge.proof("", path, "POST", ath=None, **changes)}


async def posted(place: Place, headers: Any = None, path: str = TOKEN, **form: str) -> httpx.Response:
    async with place.browser() as browser:
        return await browser.post(path, data=form, headers=headers)


async def coded(place: Place, asked: Flow, headers: Any = None) -> httpx.Response:
    """Kari answers, and the app redeems the code."""
    code = (await (await place.patient("kari")).authorize(asked))["code"]
    return await posted(
        place, headers, grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=asked.verifier,
        client_id=asked.client,
    )  # fmt: skip


async def used(place: Place, headers: dict[str, str], path: str = PATH) -> httpx.Response:
    async with place.browser() as browser:
        return await browser.get(path, headers=headers)


async def test_a_token_is_bound_to_the_key_that_asked_for_it(place: Place, forge: Forge) -> None:
    await place.app()
    answer = await coded(place, flow(scope="patient/*.rs"), at_the_token_endpoint(forge))
    token = answer.json()
    assert answer.status_code == 200 and token["token_type"] == "DPoP"
    access = token["access_token"]
    assert (await used(place, forge.headers(access, PATH))).status_code == 200
    proof = forge.headers(access, PATH)
    assert (await used(place, proof)).status_code == 200
    again = await used(place, proof)
    assert again.status_code == 401 and 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]
    assert (await used(place, {"authorization": f"Bearer {access}"})).status_code == 401, "no way down"
    assert (await used(place, {"authorization": f"DPoP {access}"})).status_code == 401
    thief = Forge("", BASE, ahead=forge.ahead)
    stolen = await used(place, thief.headers(access, PATH))
    assert stolen.status_code == 401 and 'error="invalid_token"' in stolen.headers["www-authenticate"]


async def test_a_bearer_token_is_not_sent_as_one_that_is_bound(place: Place, forge: Forge) -> None:
    await place.app()
    token = (await coded(place, flow(scope="patient/*.rs"))).json()
    assert token["token_type"] == "Bearer"
    assert (await used(place, {"authorization": f"Bearer {token['access_token']}"})).status_code == 200
    assert (await used(place, forge.headers(token["access_token"], PATH))).status_code == 401


async def test_a_wrong_proof_gets_no_token_and_costs_no_code(place: Place, forge: Forge) -> None:
    await place.app()
    asked = flow(scope="patient/*.rs")
    code = (await (await place.patient("kari")).authorize(asked))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier,
            "client_id": "app"}  # fmt: skip
    good = at_the_token_endpoint(forge)
    wrong: dict[str, Any] = {
        "no JWT": {"dpop": "x"}, "empty": {"dpop": ""}, "two": [("dpop", good["dpop"]), ("dpop", good["dpop"])],
        "for the API": {"dpop": forge.proof("", PATH, "POST", ath=None)},
        "GET": {"dpop": forge.proof("", TOKEN, "GET", ath=None)},
        "old": at_the_token_endpoint(forge, iat=forge.now() - 100),
        "typ": at_the_token_endpoint(forge, header={"typ": "JWT"}),
        "alg none": at_the_token_endpoint(forge, header={"alg": "none"}),
        "private key": at_the_token_endpoint(forge, header={"jwk": forge.key.as_dict(private=True)}),
    }  # fmt: skip
    for why, headers in wrong.items():
        answer = await posted(place, headers, **form)
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_dpop_proof", why
    assert (await posted(place, good, **form)).status_code == 200
    again = await posted(place, good, **form)
    assert again.json()["error"] == "invalid_dpop_proof", "each proof once, here too"


async def test_a_public_apps_refresh_token_is_bound_and_a_confidential_ones_is_not(place: Place, forge: Forge) -> None:
    """RFC 9449 5: one who proves who they are at each use need not keep the key."""
    await place.app()
    await place.keyed("web", sides=frozenset({Side.PATIENT}), scopes="patient/*.rs offline_access")
    thief = Forge("", BASE, ahead=forge.ahead)
    scope = "patient/*.rs offline_access"
    token = (await coded(place, flow(scope=scope), at_the_token_endpoint(forge))).json()
    form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "client_id": "app"}
    for headers in (None, at_the_token_endpoint(thief)):
        assert (await posted(place, headers, **form)).json()["error"] == "invalid_grant"
    renewed = (await posted(place, at_the_token_endpoint(forge), **form)).json()
    assert renewed["token_type"] == "DPoP"
    assert (await used(place, forge.headers(renewed["access_token"], PATH))).status_code == 200

    asked = flow("web", scope=scope)
    code = (await (await place.patient("kari")).authorize(asked))["code"]
    proof = {"client_assertion_type": ASSERTION}
    token = (
        await posted(
            place, at_the_token_endpoint(forge), grant_type="authorization_code", code=code, redirect_uri=BACK,
            code_verifier=asked.verifier, client_assertion=place.assertion("web"), **proof,
        )
    ).json()  # fmt: skip
    new = Forge("", BASE, ahead=forge.ahead)
    renewed = (
        await posted(
            place, at_the_token_endpoint(new), grant_type="refresh_token", refresh_token=token["refresh_token"],
            client_assertion=place.assertion("web"), **proof,
        )
    ).json()  # fmt: skip
    assert (await used(place, new.headers(renewed["access_token"], PATH))).status_code == 200
    assert (await used(place, forge.headers(renewed["access_token"], PATH))).status_code == 401, "the new key's alone"


async def test_a_code_is_for_the_key_that_the_request_named(place: Place, forge: Forge) -> None:
    """dpop_jkt, said in the request or shown by a proof to PAR (RFC 9449 10)."""
    await place.app()
    thief = Forge("", BASE, ahead=forge.ahead)
    named = flow(scope="patient/*.rs", dpop_jkt=forge.key.thumbprint())
    for headers, status in ((None, 400), (at_the_token_endpoint(thief), 400), (at_the_token_endpoint(forge), 200)):
        assert (await coded(place, named, headers)).status_code == status
    asked = flow(scope="patient/*.rs")
    pushed = await posted(place, at_the_token_endpoint(forge, "/auth/par"), "/auth/par", **asked.parameters)
    by_name = Flow("app", asked.verifier, {"client_id": "app", "request_uri": pushed.json()["request_uri"]})
    assert (await coded(place, by_name, at_the_token_endpoint(thief))).status_code == 400
    other = asked.parameters | {"dpop_jkt": thief.key.thumbprint()}
    refused = await posted(place, at_the_token_endpoint(forge, "/auth/par"), "/auth/par", **other)
    assert refused.json()["error"] == "invalid_dpop_proof"
    bad = await posted(place, None, "/auth/par", **(asked.parameters | {"dpop_jkt": "x"}))
    assert bad.json()["error"] == "invalid_request"


async def test_an_app_may_be_registered_for_bound_tokens_alone(place: Place, forge: Forge) -> None:
    await place.app("bound", bound=True)
    assert (await place.clients.find("bound")).bound  # type: ignore[union-attr]
    asked = flow("bound", scope="patient/*.rs")
    code = (await (await place.patient("kari")).authorize(asked))["code"]
    assert (await redeem(place, asked, code)).json()["error"] == "invalid_dpop_proof"
    assert (await coded(place, asked, at_the_token_endpoint(forge))).status_code == 200


async def test_a_service_gets_bound_tokens_too_and_introspection_tells(place: Place, forge: Forge) -> None:
    await place.keyed()
    key = RSAKey.generate_key(2048)
    rsa = Forge("", BASE, key=key, ahead=forge.ahead)
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion_type": ASSERTION}
    answer = await posted(
        place, at_the_token_endpoint(rsa), **form, client_assertion=place.assertion("service")
    )  # fmt: skip
    access = answer.json()["access_token"]
    assert answer.json()["token_type"] == "DPoP"
    assert (await used(place, rsa.headers(access, PATH))).status_code == 200
    assert (await used(place, {"authorization": f"Bearer {access}"})).status_code == 401
    told = await posted(
        place, None, "/auth/introspect", token=access, client_assertion_type=ASSERTION,
        client_assertion=place.assertion("service"),
    )  # fmt: skip
    assert told.json()["cnf"] == {"jkt": key.thumbprint()} and told.json()["token_type"] == "DPoP"


async def test_it_is_declared(place: Place) -> None:
    async with place.browser() as browser:
        for path in ("/fhir/.well-known/smart-configuration", "/auth/.well-known/openid-configuration"):
            told = (await browser.get(path)).json()["dpop_signing_alg_values_supported"]
            assert {"ES256", "PS256", "RS256"} <= set(told) and not {"none", "HS256"} & set(told)
        asked = await browser.options(TOKEN, headers={"origin": "https://app.test"})
        assert "dpop" in asked.headers["access-control-allow-headers"]


async def test_a_withdrawn_bound_token_is_forgotten(place: Place, forge: Forge) -> None:
    await place.app()
    token = (await coded(place, flow(scope="patient/*.rs"), at_the_token_endpoint(forge))).json()["access_token"]
    assert (await used(place, forge.headers(token, PATH))).status_code == 200
    await posted(place, None, "/auth/revoke", token=token, client_id="app")
    place.varde.smart.tokens._looked = float("-inf")
    assert (await used(place, forge.headers(token, PATH))).status_code == 401


async def test_what_is_kept_of_a_persons_app_ends_when_the_person_withdraws_it(place: Place) -> None:
    """An export goes on under the rights of now: the person's, the app's, and what was agreed between them."""
    await place.app()
    await place.app("other")
    keeper = place.house.keeper
    kari = await place.patient("kari")
    scopes = {}
    for name in ("app", "other"):
        asked = flow(name, scope="patient/Observation.rs patient/Patient.r")
        token = (await kari.tokens(asked, omfang=["patient/Observation.rs"]))["access_token"]
        scopes[name] = (await place.varde.smart.tokens.open(token)).scope
    assert owner(scopes["app"]) != owner(scopes["other"]), "one app never fetches what another had made"
    found = orjson.loads(orjson.dumps(kept(scopes["app"])))
    again = await keeper.again(found)
    assert again.through == "App App (app)" and again.patient == "kari"
    assert again.allows(Interaction.EXPORT, "Observation") and not again.allows(Interaction.EXPORT, "Communication")
    nothing = Parameters()
    assert (again.predicate("r", "Communication", nothing), nothing.values) == ("false", [])
    async with place.house.platform.database.connection() as connection:
        await connection.execute("update smart_client set scopes = 'patient/Patient.r' where id = 'app'")
    assert (await keeper.again(found)).grant == again.grant, "what the person gave stands"
    ended = await place.varde.smart.authorizations.withdraw("patient", "kari", "app", "kari")
    assert ended
    with pytest.raises(LookupError):
        await keeper.again(found)
    assert (await keeper.again(kept(scopes["other"]))).patient == "kari"
    await place.clients.close("other")
    with pytest.raises(LookupError):
        await keeper.again(kept(scopes["other"]))


async def test_what_is_kept_of_a_systems_app_is_no_more_than_it_is_registered_with_now(place: Place) -> None:
    await place.keyed(scopes="system/*.cruds")
    token = (await place.system("service", "system/Observation.cruds system/Patient.rs")).json()["access_token"]
    scope = (await place.varde.smart.tokens.open(token)).scope
    async with place.house.platform.database.connection() as connection:
        await connection.execute("update smart_client set scopes = 'system/Observation.rs'")
    again = await place.house.keeper.again(kept(scope))
    assert again.allows(Interaction.READ, "Observation") and not again.allows(Interaction.UPDATE, "Observation")
    assert not again.allows(Interaction.READ, "Patient")
    async with place.house.platform.database.connection() as connection:
        await connection.execute("update smart_client set sides = '{patient}'")
    with pytest.raises(LookupError):
        await place.house.keeper.again(kept(scope))


async def test_what_is_kept_of_a_session_bound_app_ends_with_the_session(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    token = (await kari.tokens(flow(scope="patient/Observation.rs online_access")))["access_token"]
    found = kept((await place.varde.smart.tokens.open(token)).scope)
    assert (await place.house.keeper.again(found)).patient == "kari"
    place.clock.advance(timedelta(hours=9))
    with pytest.raises(LookupError):
        await place.house.keeper.again(found)


async def test_a_demo_token_is_good_for_nothing_later_outside_the_demo(place: Place) -> None:
    grant = parse_scopes("system/*.rs")
    scope = place.house.platform.access.for_system("x", types=grant.read, grant=grant)
    with pytest.raises(LookupError):
        await place.house.keeper.again(kept(scope))
