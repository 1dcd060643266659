"""An issuer's keys: kept, fetched again for a key not known at most once a minute, believed for a day while the issuer
is away; and nonces, which every process knows again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import RSAKey

from tests.trust.helseid.conftest import BASE, SCOPES, Issuer, issuing, places
from tests.trust.helseid.forge import AUDIENCE, TRUST
from tests.trust.region import everybody
from varde.app import House, build
from varde.asgi import Varde
from varde.clock import SetClock
from varde.settings import Settings

PATH = "/fhir/Observation/result-kari"


@pytest.fixture
def issuer(clock: SetClock) -> Iterator[Issuer]:
    """One whose clock is the tests'."""
    with issuing() as made:
        made.forge.ahead = clock.now().timestamp() - made.forge.now()
        yield made


def _settings(database_url: str, folder: Path, issuer: Issuer, **more: object) -> Settings:
    values = {
        "mode": "production", "data": folder, "database_url": database_url, "public_base": BASE,
        "patient_issuer": issuer.address, "staff_issuer": issuer.address, "helseid_issuers": (issuer.address,),
        "helseid_audience": AUDIENCE, "helseid_scopes": SCOPES, "helseid_organisations": (TRUST,),
    } | more  # fmt: skip
    return Settings.model_validate(values)


class Api:
    """One process's API in this one."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        self.house: House = build(settings, process="test", clock=clock)
        self.varde = Varde(self.house)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.varde), base_url=BASE)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self.client.aclose()
        await self.varde._http.aclose()
        await self.house.close()


@pytest.fixture
async def api(
    database_url: str, clock: SetClock, tmp_path: Path, issuer: Issuer, one_registry: None
) -> AsyncIterator[Api]:
    made = Api(_settings(database_url, tmp_path, issuer), clock)
    gate = made.house.platform.access.for_system("test")
    for some in (everybody(), places()):
        await made.house.platform.store.write_many(gate, some)
    yield made
    await made.close()


async def status(api: Api, issuer: Issuer, clock: SetClock, kid: str = "rsa") -> int:
    forge = issuer.forge
    forge.ahead += clock.now().timestamp() - forge.now()
    token = forge.sign(forge.claims(), kid=kid)
    return (await api.client.get(PATH, headers=forge.headers(token, PATH))).status_code


async def test_a_key_not_known_is_asked_for_at_most_once_a_minute(api: Api, issuer: Issuer, clock: SetClock) -> None:
    assert issuer.fetched == 0
    assert await status(api, issuer, clock) == 200 and issuer.fetched == 1
    issuer.forge.keys["next"] = RSAKey.generate_key(2048)
    assert await status(api, issuer, clock, "next") == 401 and issuer.fetched == 1, "asked a moment ago"
    clock.advance(timedelta(seconds=61))
    assert await status(api, issuer, clock, "next") == 200 and issuer.fetched == 2
    forged = RSAKey.generate_key(2048)
    for n in range(5):
        issuer.forge.keys[f"forged-{n}"] = forged
        assert await status(api, issuer, clock, f"forged-{n}") == 401
    assert issuer.fetched == 2, "whatever tokens name"


async def test_a_key_taken_back_is_not_believed_after_an_hour(api: Api, issuer: Issuer, clock: SetClock) -> None:
    assert await status(api, issuer, clock) == 200
    lost = issuer.forge.keys["rsa"]
    token = issuer.forge.token()
    issuer.forge.keys = {"new": RSAKey.generate_key(2048)}
    clock.advance(timedelta(minutes=61))
    issuer.forge.keys["rsa"], issuer.forge.ahead = lost, issuer.forge.ahead + 3660
    token = issuer.forge.token()
    del issuer.forge.keys["rsa"]
    assert (await api.client.get(PATH, headers=issuer.forge.headers(token, PATH))).status_code == 401


async def test_an_issuer_that_is_away_is_waited_for_and_its_keys_believed_a_day(
    api: Api, issuer: Issuer, clock: SetClock
) -> None:
    issuer.answers = False
    assert await status(api, issuer, clock) == 503, "never heard: nobody is let in, and nobody is called a forger"
    issuer.answers = True
    assert await status(api, issuer, clock) == 503, "asked a moment ago"
    clock.advance(timedelta(seconds=61))
    assert await status(api, issuer, clock) == 200
    issuer.answers = False
    clock.advance(timedelta(hours=20))
    assert await status(api, issuer, clock) == 200
    clock.advance(timedelta(hours=5))
    assert await status(api, issuer, clock) == 503


async def test_metadata_of_another_issuer_is_not_taken(api: Api, issuer: Issuer, clock: SetClock) -> None:
    document = issuer.document
    issuer.document = lambda path: {**(document(path) or {}), "issuer": "https://evil.test"}  # type: ignore[method-assign]
    assert await status(api, issuer, clock) == 503


async def test_a_nonce_is_asked_for_where_the_house_wants_one(
    database_url: str, clock: SetClock, tmp_path: Path, issuer: Issuer, api: Api
) -> None:
    asking = Api(_settings(database_url, tmp_path, issuer, proof_nonces=True), clock)
    also = Api(_settings(database_url, tmp_path, issuer, proof_nonces=True), clock)
    try:
        token = issuer.forge.token()

        async def ask(one: Api, nonce: str | None) -> httpx.Response:
            return await one.client.get(PATH, headers=issuer.forge.headers(token, PATH, nonce=nonce))

        first = await ask(asking, None)
        assert first.status_code == 401 and 'error="use_dpop_nonce"' in first.headers["www-authenticate"]
        nonce = first.headers["dpop-nonce"]
        assert (await ask(asking, nonce)).status_code == 200
        assert (await ask(also, nonce)).status_code == 200, "another process knows it again"
        for wrong in ("x", nonce[:-1], nonce + "x", "å", ""):
            assert (await ask(asking, wrong)).status_code == 401, wrong
        clock.advance(timedelta(minutes=6))
        issuer.forge.ahead += 360
        late = await ask(asking, nonce)
        assert late.status_code == 401 and late.headers["dpop-nonce"] != nonce
        assert (await ask(asking, late.headers["dpop-nonce"])).status_code == 200
    finally:
        await asking.close()
        await also.close()


async def test_without_an_agreement_no_token_of_helseids_is_taken(
    database_url: str, clock: SetClock, tmp_path: Path, issuer: Issuer, api: Api
) -> None:
    closed = Api(_settings(database_url, tmp_path, issuer, helseid_issuers=()), clock)
    try:
        assert await status(closed, issuer, clock) == 401
        assert await status(api, issuer, clock) == 200
    finally:
        await closed.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"helseid_audience": None}, "VARDE_HELSEID_AUDIENCE"),
        ({"helseid_organisations": ()}, "VARDE_HELSEID_ORGANISATIONS"),
        ({"helseid_scopes": {}}, "VARDE_HELSEID_SCOPES"),
        ({"helseid_scopes": {"nhn:varde/x": "patient/*.rs"}}, "nhn:varde/x"),
        ({"helseid_scopes": {"nhn:varde/x": "user/Foo.rs"}}, "nhn:varde/x"),
        ({"helseid_organisations": ("12",)}, "no organisation"),
    ],
)
def test_an_agreement_that_cannot_be_held_to_stops_the_start(
    wrong: dict[str, object], why: str, tmp_path: Path, clock: SetClock
) -> None:
    from varde.app import contract_of

    issuer = Issuer("http://issuer.test", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=why):
        contract_of(_settings("postgresql://x", tmp_path, issuer, **wrong))
