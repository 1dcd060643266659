"""KRR and Maskinporten on a real HTTP server that speaks the documented shapes and checks the grants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.edges.servers import Answer, HttpServer, Request, http_server
from varde.clock import SetClock
from varde.edges.maskinporten import Client, Tokens, load_key
from varde.edges.registers import Contact, RegisterUnavailable
from varde.edges.registers.krr import SCOPES, Krr, contact_of

KEY = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig"})
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ACTIVE = {
    "personidentifikator": "20914695016",
    "reservasjon": "NEI",
    "status": "AKTIV",
    "varslingsstatus": "KAN_VARSLES",
    "kontaktinformasjon": {
        "epostadresse": "ande@example.no",
        "epostadresse_oppdatert": "2023-06-29T10:14:52+02",
        "epostadresse_sist_verifisert": "2026-08-05T10:45:15.768Z",
        "mobiltelefonnummer": "99999999",
        "mobiltelefonnummer_oppdatert": "2026-01-05T10:45:15.768Z",
    },
    "digital_post": {"postkasseadresse": "ande.sara#9YDT", "postkasseleverandoeradresse": "984661185"},
    "sertifikat": "MII…",
    "spraak": "se",
}


@dataclass
class Outside:
    """Maskinporten and KRR: who is in the register, which tokens hold, and what is broken."""

    clock: SetClock
    persons: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    grants: set[str] = field(default_factory=set)
    broken: Answer | None = None
    broken_issuer: Answer | None = None
    base: str = ""

    def answer(self, request: Request) -> Answer:
        if request.path == "/.well-known/oauth-authorization-server":
            return 200, orjson.dumps({"issuer": f"{self.base}/", "token_endpoint": f"{self.base}/token"})
        if request.path == "/token":
            return self.broken_issuer or self._token(request)
        assert (request.method, request.path) == ("POST", "/rest/v2/personer")
        if request.headers["authorization"] not in {f"Bearer {token}" for token in self.tokens}:
            return 401, b"{}"
        return self.broken or self._lookup(orjson.loads(request.body)["personidentifikatorer"])

    def _token(self, request: Request) -> Answer:
        form = parse_qs(request.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        token = jwt.decode(form["assertion"][0], KEY, algorithms=["RS256"])
        claims = token.claims
        assert (token.header["alg"], token.header["kid"]) == ("RS256", "key-1")
        assert claims.keys() == {"aud", "iss", "scope", "iat", "exp", "jti"}
        assert (claims["aud"], claims["iss"], claims["scope"]) == (f"{self.base}/", "client-1", SCOPES)
        assert claims["iat"] == int(self.clock.now().timestamp())
        assert claims["exp"] - claims["iat"] <= 120
        assert claims["jti"] not in self.grants
        self.grants.add(claims["jti"])
        self.tokens.append(f"token-{len(self.grants)}")
        return 200, orjson.dumps({"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 119})

    def _lookup(self, numbers: list[str]) -> Answer:
        if not 1 <= len(numbers) <= 1000:
            return 400, b"{}"
        unknown = {"reservasjon": "NEI", "status": "IKKE_REGISTRERT", "varslingsstatus": "KAN_IKKE_VARSLES"}
        found = [{"personidentifikator": number, **self.persons.get(number, unknown)} for number in numbers]
        return 200, orjson.dumps({"personer": found})


@pytest.fixture
def outside(clock: SetClock) -> Outside:
    return Outside(clock, {"20914695016": ACTIVE})


@pytest.fixture
def server(outside: Outside) -> Iterator[HttpServer]:
    with http_server(outside.answer) as made:
        outside.base = made.base
        yield made


@pytest.fixture
async def krr(server: HttpServer, clock: SetClock) -> AsyncIterator[Krr]:
    http = httpx.AsyncClient(timeout=5)
    made = Krr(server.base, Tokens(Client(f"{server.base}/", "client-1", KEY), SCOPES, clock, http), clock, http)
    yield made
    await made.close()


async def test_looks_up_with_a_token(krr: Krr, server: HttpServer) -> None:
    found = await krr.contacts(["20914695016", "00000000000", "20914695016"])
    assert found == {
        "20914695016": Contact(False, "+4799999999", "ande@example.no", True, "ande.sara#9YDT", "se"),
    }
    assert [request.path for request in server.requests] == [
        "/.well-known/oauth-authorization-server", "/token", "/rest/v2/personer",
    ]  # fmt: skip
    await krr.contacts(["20914695016"])
    assert len(server.requests) == 4
    assert await krr.contacts([]) == {}


async def test_a_token_is_renewed_when_it_ends_or_is_refused(krr: Krr, outside: Outside, clock: SetClock) -> None:
    await krr.contacts(["20914695016"])
    clock.advance(timedelta(seconds=100))
    await krr.contacts(["20914695016"])
    assert outside.tokens == ["token-1", "token-2"]
    outside.tokens.clear()
    assert await krr.contacts(["20914695016"])
    assert outside.tokens == ["token-3"]


async def test_thousands_are_looked_up_a_thousand_at_a_time(krr: Krr, outside: Outside, server: HttpServer) -> None:
    numbers = [f"{n:011d}" for n in range(2_500)]
    outside.persons = {number: ACTIVE | {"personidentifikator": number} for number in numbers}
    found = await krr.contacts(numbers)
    assert list(found) == numbers
    sizes = [
        len(orjson.loads(request.body)["personidentifikatorer"])
        for request in server.requests if request.path.startswith("/rest")
    ]  # fmt: skip
    assert sorted(sizes) == [500, 1_000, 1_000]
    assert outside.tokens == ["token-1"]


@pytest.mark.parametrize(
    "broken",
    [
        (500, b""), (503, b""), (400, b'{"personidentifikator": "20914695016"}'), (403, b""), (429, b""), (0, b""),
        (200, b"not json"), (200, b"[]"), (200, b'{"personer": [1]}'), (200, b'{"personer": []}'),
        (200, b'{"personer": [{"personidentifikator": "20914695016"}]}'),
        (200, b'{"personer": [{"personidentifikator": "1", "reservasjon": "NEI", "status": "AKTIV"}]}'),
    ],
)  # fmt: skip
async def test_what_is_not_a_whole_answer_is_never_guessed(krr: Krr, outside: Outside, broken: Answer) -> None:
    outside.broken = broken
    with pytest.raises(RegisterUnavailable) as raised:
        await krr.contacts(["20914695016"])
    assert "20914695016" not in str(raised.value)
    outside.broken = None
    assert await krr.contacts(["20914695016"])


@pytest.mark.parametrize("broken", [(500, b""), (400, b'{"error": "invalid_grant"}'), (200, b"[]"), (0, b"")])
async def test_no_token_no_answer(krr: Krr, outside: Outside, broken: Answer) -> None:
    outside.broken_issuer = broken
    with pytest.raises(RegisterUnavailable, match="Maskinporten"):
        await krr.contacts(["20914695016"])


async def test_nobody_there(clock: SetClock) -> None:
    http = httpx.AsyncClient()
    krr = Krr("http://127.0.0.1:9", Tokens(Client("http://127.0.0.1:9/", "c", KEY), SCOPES, clock, http), clock, http)
    with pytest.raises(RegisterUnavailable, match="ConnectError"):
        await krr.contacts(["1"])
    await krr.close()


def person(**changes: Any) -> dict[str, Any]:
    contact = ACTIVE["kontaktinformasjon"]
    assert isinstance(contact, dict)
    return {**ACTIVE, "kontaktinformasjon": {**contact, **changes.pop("contact", {})}, **changes}


def test_an_address_not_confirmed_in_18_months_is_not_used() -> None:
    old = {"epostadresse_sist_verifisert": "2025-05-24T08:59:59Z"}
    found = contact_of(person(contact=old), NOW)
    assert found == Contact(False, "+4799999999", None, True, "ande.sara#9YDT", "se")
    found = contact_of(person(contact={"epostadresse_sist_verifisert": "2025-05-24T09:00:00Z"}), NOW)
    assert found is not None
    assert found.email == "ande@example.no"
    found = contact_of(person(contact={**old, "mobiltelefonnummer_oppdatert": None}), NOW)
    assert found == Contact(False, None, None, False, "ande.sara#9YDT", "se")
    end_of_month = contact_of(
        person(contact={**old, "mobiltelefonnummer_oppdatert": "2027-02-28T09:00:00Z"}),
        datetime(2028, 8, 31, 9, tzinfo=UTC),
    )
    assert end_of_month is not None
    assert end_of_month.mobile


def test_reservation_status_and_varslingsstatus() -> None:
    reserved = contact_of(person(reservasjon="JA"), NOW)
    assert reserved is not None
    assert reserved.reserved
    quiet = contact_of(person(varslingsstatus="KAN_IKKE_VARSLES"), NOW)
    assert quiet is not None
    assert not quiet.notifiable
    assert contact_of({"reservasjon": "NEI", "status": "SLETTET"}, NOW) is None
    assert contact_of({"reservasjon": "JA", "status": "SLETTET"}, NOW) == Contact(reserved=True)
    assert contact_of({"reservasjon": "NEI", "status": "AKTIV"}, NOW) == Contact()
    for wrong in ({"reservasjon": "KANSKJE"}, {"status": None}, {"contact": {"epostadresse_oppdatert": "i går"}}):
        with pytest.raises(RegisterUnavailable):
            contact_of(person(**wrong), NOW)


@pytest.mark.parametrize(
    ("given", "read"),
    [("99999999", "+4799999999"), ("004799999999", "+4799999999"), ("+46 70-123 45 67", "+46701234567")],
)
def test_mobile_numbers_get_their_country_code(given: str, read: str) -> None:
    found = contact_of(person(contact={"mobiltelefonnummer": given}), NOW)
    assert found is not None
    assert found.mobile == read


def test_the_key_must_be_a_private_rsa_key_with_its_kid(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(orjson.dumps(KEY.as_dict(private=True)))
    assert load_key(file).kid == "key-1"
    for wrong in (
        KEY.as_dict(private=False),
        ECKey.generate_key("P-256", {"kid": "x"}).as_dict(private=True),
        {name: value for name, value in KEY.as_dict(private=True).items() if name != "kid"},
    ):
        file.write_bytes(orjson.dumps(wrong))
        with pytest.raises(ValueError, match="private"):
            load_key(file)
