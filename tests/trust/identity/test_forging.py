"""What Varde believes of an identity provider: a forging one, over real HTTP, that lies in every way it can."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from tests.trust.region import KARI
from varde.clock import SetClock
from varde.trust.identity import codeflow, idporten
from varde.trust.identity.dpop import Prover
from varde.trust.identity.keys import ClientKeys
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import LoginRefused, ProviderUnavailable

LEVEL = "idporten-loa-high"


class Forger:
    """A provider that answers as told. `token` makes the id_token, `answers` replaces whole answers."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
        self.keys: list[dict[str, Any]] = [self.key.as_dict(private=False)]
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.metadata: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.token: Callable[[], str | None] = lambda: None
        forger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forger.answer(self, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                forger.answer(self, {name: values[0] for name, values in parse_qs(body).items()})

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        path = urlsplit(handler.path).path
        self.asked.append((path, form))
        own = {
            "/.well-known/openid-configuration": {
                "issuer": self.base, "jwks_uri": f"{self.base}/jwks", "token_endpoint": f"{self.base}/token",
                "authorization_endpoint": f"{self.base}/auth",
                "pushed_authorization_request_endpoint": f"{self.base}/par", **self.metadata,
            },
            "/jwks": {"keys": self.keys},
            "/par": {"request_uri": "urn:x", "expires_in": 60},
            "/token": {"access_token": "x", "token_type": "Bearer", "id_token": self.token()},
        }  # fmt: skip
        status, body = self.answers.get(path) or (200, json.dumps(own[path]).encode())
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def forger() -> Iterator[Forger]:
    made = Forger()
    yield made
    made.server.shutdown()


@pytest.fixture
async def provider(forger: Forger, clock: SetClock, tmp_path: Path) -> AsyncIterator[Provider]:
    keys = ClientKeys(tmp_path / "key", clock)
    registration = idporten.registration(forger.base, "varde", "http://us/login/callback", keys)
    async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
        yield Provider(registration, clock, http, Prover(ECKey.generate_key("P-256"), clock))


def claims(forger: Forger, clock: SetClock, **changed: Any) -> dict[str, Any]:
    """Right ones, but for what is changed; None leaves one out."""
    now = int(clock.now().timestamp())
    right = {
        "iss": forger.base, "aud": "varde", "sub": "s", "pid": KARI, "nonce": "the-nonce", "acr": LEVEL,
        "iat": now, "exp": now + 60,
    }  # fmt: skip
    return {name: value for name, value in {**right, **changed}.items() if value is not None}


def signed(forger: Forger, content: dict[str, Any], key: Any = None, **header: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one", **header}, content, key or forger.key)


def by_hand(
    header: dict[str, Any], content: dict[str, Any], signature: bytes = b"", secret: bytes | None = None
) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in (header, content)]
    if secret is not None:
        signature = hmac.digest(secret, ".".join(parts).encode(), "sha256")
    return ".".join([*parts, base64.urlsafe_b64encode(signature).decode().rstrip("=")])


async def finish(provider: Provider) -> idporten.Citizen:
    asked = idporten.asking()
    answer = await codeflow.finish(provider, "code", nonce="the-nonce", verifier="verifier", asked=asked)
    return idporten.citizen(answer.claims, asked)


async def start(provider: Provider) -> codeflow.Started:
    return await codeflow.start(provider, idporten.asking())


async def test_a_right_answer_is_believed_and_what_is_sent_is_signed(
    forger: Forger, provider: Provider, clock: SetClock
) -> None:
    started = await start(provider)
    assert parse_qs(urlsplit(started.url).query) == {"client_id": ["varde"], "request_uri": ["urn:x"]}
    forger.token = lambda: signed(forger, claims(forger, clock))
    await codeflow.check_sender(provider, forger.base)
    assert (await finish(provider)).number == KARI
    forms = [form for path, form in forger.asked if path in {"/par", "/token"}]
    assert [form.get("code_verifier", "") for form in forms] == ["", "verifier"]
    assert forms[0]["acr_values"] == LEVEL and forms[0]["code_challenge_method"] == "S256"
    assert len(started.verifier) >= 43 and len(started.state) >= 43 and len(started.nonce) >= 43
    seen = set()
    for form in forms:
        keys = KeySet.import_key_set(provider.registration.keys.public())
        read = jwt.decode(form["client_assertion"], keys, algorithms=["ES256", "ES384"])
        now = clock.now().timestamp()
        assert read.claims["iss"] == read.claims["sub"] == "varde" and read.claims["aud"] == forger.base
        assert now < read.claims["exp"] <= now + 60
        seen.add(read.claims["jti"])
    assert len(seen) == 2


WRONG: dict[str, dict[str, Any]] = {
    "iss": {"iss": "http://evil.example"}, "iss with a slash": {"iss": "SLASH"}, "aud": {"aud": "another"},
    "no aud": {"aud": None}, "aud among others without azp": {"aud": ["varde", "another"]},
    "azp": {"aud": ["varde", "another"], "azp": "another"}, "nonce": {"nonce": "x"}, "no nonce": {"nonce": None},
    "nonce of another kind": {"nonce": ["the-nonce"]}, "acr lower": {"acr": "idporten-loa-substantial"},
    "acr none": {"acr": None}, "acr in a list": {"acr": [LEVEL]}, "exp": {"exp": -11}, "no exp": {"exp": None},
    "exp as text": {"exp": "9999999999"}, "iat": {"iat": 11}, "no iat": {"iat": None},
    "no sub": {"sub": None},
    "pid of another kind": {"pid": 7}, "no pid": {"pid": None}, "pid that none has": {"pid": "p"},
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_claim_is_refused(what: str, forger: Forger, provider: Provider, clock: SetClock) -> None:
    changed = dict(WRONG[what])
    if changed.get("iss") == "SLASH":
        changed["iss"] = f"{forger.base}/"

    def token() -> str:
        # Counted from the moment it is made, to the fraction: a second that passes before must not make it right.
        now = clock.now().timestamp()
        moments = {one: now + by for one, by in changed.items() if one in {"exp", "iat"} and isinstance(by, int)}
        return signed(forger, claims(forger, clock, **{**changed, **moments}))

    forger.token = token
    with pytest.raises(LoginRefused):
        await finish(provider)


FORGED = ("none", "none signed", "unsigned", "other key", "other key of that name", "HS256 with the public key",
          "jwk in the header", "jku in the header", "key of another use", "changed", "not a token", "text", "missing",
          "encrypted alg", "HS256")  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
async def test_a_forged_signature_is_refused(what: str, forger: Forger, provider: Provider, clock: SetClock) -> None:
    right = claims(forger, clock)
    other = RSAKey.generate_key(2048, {"kid": "other"})
    good = signed(forger, right)
    head, _, signature = good.split(".")
    pem = forger.key.as_pem(private=False)
    made: dict[str, Callable[[], Any]] = {
        "none": lambda: by_hand({"alg": "none"}, right),
        "none signed": lambda: by_hand({"alg": "none", "kid": "one"}, right, b"x"),
        "unsigned": lambda: by_hand({"alg": "RS256", "kid": "one"}, right),
        "other key": lambda: signed(forger, right, other, kid="other"),
        "other key of that name": lambda: signed(forger, right, other),
        "HS256 with the public key": lambda: by_hand({"alg": "HS256", "kid": "one"}, right, secret=pem),
        "jwk in the header": lambda: signed(forger, right, other, jwk=other.as_dict(private=False)),
        "jku in the header": lambda: signed(forger, right, other, jku=f"{forger.base}/jwks"),
        "key of another use": lambda: signed(forger, right, other, kid="enc"),
        "changed": lambda: f"{head}.{by_hand({}, right | {'pid': 'q'}).split('.')[1]}.{signature}",
        "not a token": lambda: "x.y.z",
        "text": lambda: "x",
        "missing": lambda: None,
        "encrypted alg": lambda: by_hand({"alg": "RSA-OAEP", "enc": "A256GCM"}, right),
        "HS256": lambda: by_hand({"alg": "HS256", "kid": "one"}, right, secret=b"secret"),
    }
    forger.keys.append(other.as_dict(private=False) | {"kid": "enc", "use": "enc"})
    forger.token = made[what]
    for _ in range(2):
        with pytest.raises(LoginRefused):
            await finish(provider)
        clock.advance(timedelta(seconds=61))
        right = claims(forger, clock)


async def test_new_keys_are_learnt_within_a_minute_and_old_ones_forgotten(
    forger: Forger, provider: Provider, clock: SetClock
) -> None:
    forger.token = lambda: signed(forger, claims(forger, clock))
    await finish(provider)
    old = forger.key
    forger.key = RSAKey.generate_key(2048, {"kid": "two", "alg": "RS256", "use": "sig"})
    forger.keys[:] = [forger.key.as_dict(private=False)]
    forger.token = lambda: signed(forger, claims(forger, clock), kid="two")
    with pytest.raises(LoginRefused):  # not asked for again at once, whatever the tokens say
        await finish(provider)
    clock.advance(timedelta(seconds=61))
    await finish(provider)
    forger.token = lambda: signed(forger, claims(forger, clock), old)
    with pytest.raises(LoginRefused):
        await finish(provider)
    fetched = [path for path, _ in forger.asked if path == "/jwks"]
    for _ in range(20):
        with pytest.raises(LoginRefused):
            await finish(provider)
    assert len([path for path, _ in forger.asked if path == "/jwks"]) == len(fetched)


async def test_a_key_taken_back_is_not_believed_an_hour_later(
    forger: Forger, provider: Provider, clock: SetClock
) -> None:
    forger.token = lambda: signed(forger, claims(forger, clock))
    await finish(provider)
    forger.keys[:] = [RSAKey.generate_key(2048, {"kid": "two"}).as_dict(private=False)]
    clock.advance(timedelta(seconds=3601))
    with pytest.raises(LoginRefused):
        await finish(provider)


async def test_keys_of_kinds_that_are_not_taken_do_no_harm(forger: Forger, provider: Provider, clock: SetClock) -> None:
    ec = ECKey.generate_key("P-256", {"kid": "ec"})
    forger.keys += [
        OKPKey.generate_key("Ed25519").as_dict(private=False), {"kty": "future", "kid": "f"}, {"kty": "RSA"},
        ec.as_dict(private=False), "x",  # type: ignore[list-item]
    ]  # fmt: skip
    forger.token = lambda: signed(forger, claims(forger, clock))
    assert await finish(provider)
    forger.token = lambda: signed(forger, claims(forger, clock), ec, alg="ES256", kid="ec")
    with pytest.raises(LoginRefused):  # ID-porten signs with RSA
        await finish(provider)


@pytest.mark.parametrize(
    ("path", "status", "body", "expected"),
    [
        ("/.well-known/openid-configuration", 500, b"{}", ProviderUnavailable),
        ("/.well-known/openid-configuration", 200, b"<html>", ProviderUnavailable),
        ("/.well-known/openid-configuration", 200, b'{"issuer":"http://evil.example"}', ProviderUnavailable),
        ("/.well-known/openid-configuration", 200, b"[]", ProviderUnavailable),
        ("/jwks", 500, b"{}", ProviderUnavailable),
        ("/jwks", 200, b"not json", ProviderUnavailable),
        ("/jwks", 200, b'{"keys":[]}', ProviderUnavailable),
        ("/token", 503, b"", ProviderUnavailable),
        ("/token", 200, b"not json", ProviderUnavailable),
        ("/token", 400, b'{"error":"invalid_grant"}', LoginRefused),
        ("/token", 401, b'{"error":["x"]}', LoginRefused),
        ("/token", 200, b"{}", LoginRefused),
    ],
)  # fmt: skip
async def test_a_provider_that_is_ill(
    path: str, status: int, body: bytes, expected: type[Exception], forger: Forger, provider: Provider, clock: SetClock
) -> None:
    forger.answers[path] = (status, body)
    forger.token = lambda: signed(forger, claims(forger, clock))
    with pytest.raises(expected):
        await finish(provider)
    forger.answers.clear()
    assert await finish(provider)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(400, b'{"error":"invalid_request"}', LoginRefused), (500, b"", ProviderUnavailable),
     (201, b"{}", ProviderUnavailable), (201, b'{"request_uri":7}', ProviderUnavailable)],
)  # fmt: skip
async def test_a_pushed_request_that_is_not_taken(
    status: int, body: bytes, expected: type[Exception], forger: Forger, provider: Provider
) -> None:
    forger.answers["/par"] = (status, body)
    with pytest.raises(expected):
        await start(provider)


async def test_metadata_without_what_is_needed_is_a_provider_that_does_not_answer(
    forger: Forger, provider: Provider
) -> None:
    forger.metadata = {"pushed_authorization_request_endpoint": None}
    with pytest.raises(ProviderUnavailable):
        await start(provider)


async def test_running_logins_use_known_metadata_while_the_provider_is_away(
    forger: Forger, provider: Provider, clock: SetClock
) -> None:
    forger.token = lambda: signed(forger, claims(forger, clock))
    await finish(provider)
    clock.advance(timedelta(days=2))
    forger.answers["/.well-known/openid-configuration"] = (500, b"")
    assert await finish(provider)
