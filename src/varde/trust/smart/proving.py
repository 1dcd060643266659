"""How an app proves who it is at the token endpoint and its neighbours: nothing (public), a secret, or a key.

Sources: RFC 6749 2.3; RFC 7523; SMART App Launch 2.2, "Client authentication: asymmetric".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from varde.clock import Clock
from varde.db import Database
from varde.trust.replay import Replays
from varde.trust.smart.clients import Authentication, Client, Clients, InvalidClient, public_keys

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["RS384", "ES384"]
"""Those that SMART names. `none` and shared secrets are refused."""
LONGEST = timedelta(minutes=5)
"""How far ahead an assertion's exp may be."""
_LEEWAY = timedelta(seconds=10)
_LARGEST_JWKS = 100_000
_KEYS_SECONDS = 3600
_REFETCH_SECONDS = 30
_FAILURES = 20
_WINDOW = timedelta(minutes=10)


class NotProven(Exception):
    """The app did not prove who it is. `error` is OAuth's; the text is for its developer and tells nothing secret."""

    def __init__(self, why: str, error: str = "invalid_client", *, basic: bool = False) -> None:
        super().__init__(why)
        self.error = error
        self.basic = basic
        """Whether it tried by the Authorization header, which then must be answered by 401 (RFC 6749 5.2)."""


class TooManyFailures(Exception):
    """Somebody failed too often from one place. `seconds`: when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many failed tries")
        self.seconds = seconds


@dataclass(slots=True)
class _Fetched:
    keys: KeySet
    at: float


class Proving:
    """Finds and checks the app behind a request."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        clients: Clients,
        replays: Replays,
        http: httpx.AsyncClient,
        audiences: frozenset[str],
    ) -> None:
        """`audiences`: what an assertion's aud may be: the issuer and the addresses of its endpoints."""
        self._database = database
        self._clock = clock
        self._clients = clients
        self._replays = replays
        self._http = http
        self._audiences = audiences
        self._fetched: dict[str, _Fetched] = {}

    async def client(self, form: Mapping[str, str], authorization: str | None, place: str) -> Client:
        """The app that a request is from. `place`: whence it came, for the count of failures.

        Raises NotProven, TooManyFailures.
        """
        basic = authorization is not None
        named = _named(form, authorization)
        await self._admit(named, place)
        try:
            client = await self._clients.find(named)
            if client is None:
                raise NotProven("no such app", basic=basic)
            await self._prove(client, form, authorization)
        except NotProven as failure:
            await self.failed(named, place)
            failure.basic = basic
            raise
        return client

    async def _prove(self, client: Client, form: Mapping[str, str], authorization: str | None) -> None:
        tried = [authorization is not None, "client_secret" in form, "client_assertion" in form]
        if tried.count(True) > 1:
            raise NotProven("one way of proving who you are is enough", "invalid_request")
        if client.authentication is Authentication.NONE:
            if any(tried):
                raise NotProven("a public app has nothing to prove itself by")
            return
        if client.authentication is Authentication.SECRET:
            secret = _basic(authorization)[1] if authorization is not None else form.get("client_secret", "")
            given = sha256(secret.encode()).digest()
            if client.secret_digest is None or not hmac.compare_digest(given, client.secret_digest):
                raise NotProven("the secret is not right")
            return
        if form.get("client_assertion_type") != ASSERTION or "client_assertion" not in form:
            raise NotProven("this app proves itself by a client_assertion of type jwt-bearer")
        await self._assertion(client, form["client_assertion"])

    async def _assertion(self, client: Client, token: str) -> None:
        header, claims = await self._signed(client, token)
        now = self._clock.now()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires = _moment(claims.get("exp"))
        if header.get("typ", "JWT") not in {"JWT", "client-authentication+jwt"}:
            raise NotProven("the assertion is another kind of token")
        if claims.get("iss") != client.id or claims.get("sub") != client.id:
            raise NotProven("iss and sub of the assertion are the client_id")
        if len(audiences) != 1 or audiences[0] not in self._audiences:
            raise NotProven("aud of the assertion is the token endpoint")
        if expires is None or expires <= now - _LEEWAY or expires > now + LONGEST + _LEEWAY:
            raise NotProven("exp of the assertion is at most five minutes ahead")
        for name in ("nbf", "iat"):
            if name in claims and ((moment := _moment(claims[name])) is None or moment > now + _LEEWAY):
                raise NotProven(f"{name} of the assertion is ahead of the clock")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= 256:
            raise NotProven("the assertion has no jti")
        if not await self._replays.assertion(client.id, jti, expires + _LEEWAY):
            raise NotProven("the assertion was used before")

    async def _signed(self, client: Client, token: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
        for again in (False, True):
            keys = await self._keys(client, again=again)
            if keys is None:
                break
            try:
                read = jwt.decode(token, keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # its keys may have been changed meanwhile
            if read.header.get("jku") not in {None, client.jwks_uri} or {"x5u", "jwk"} & set(read.header):
                raise NotProven("keys are taken from the registration alone")
            if not isinstance(read.header.get("kid"), str):
                raise NotProven("the assertion names its key by kid")
            return read.header, dict(read.claims)
        raise NotProven("the assertion's signature does not hold")

    async def _keys(self, client: Client, *, again: bool) -> KeySet | None:
        """The app's keys; None when asking again would give the same."""
        if client.jwks is not None:
            return None if again else public_keys(client.jwks)
        address, now = str(client.jwks_uri), time.monotonic()
        known = self._fetched.get(address)
        if known is not None and now - known.at < (_REFETCH_SECONDS if again else _KEYS_SECONDS):
            return None if again else known.keys
        try:
            answer = await self._http.get(address, headers={"accept": "application/json"}, follow_redirects=False)
            if answer.status_code != httpx.codes.OK or len(answer.content) > _LARGEST_JWKS:
                raise NotProven("the app's keys cannot be fetched")
            keys = public_keys(answer.content)
        except (httpx.HTTPError, InvalidClient):
            raise NotProven("the app's keys cannot be fetched") from None
        self._fetched[address] = _Fetched(keys, now)
        return keys

    async def _admit(self, named: str, place: str) -> None:
        now = self._clock.now()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select began, count from smart_failure where key = $1 and began > $2",
                _key(named, place), now - _WINDOW,
            )  # fmt: skip
        if row is not None and row["count"] >= _FAILURES:
            raise TooManyFailures(max(1, int((row["began"] + _WINDOW - now).total_seconds())))

    async def failed(self, named: str, place: str) -> None:
        """Count a failure: a wrong proof, code or refresh token."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into smart_failure (key, began, count) values ($1, $2, 1) on conflict (key) do update set"
                " count = case when smart_failure.began > $3 then smart_failure.count + 1 else 1 end,"
                " began = case when smart_failure.began > $3 then smart_failure.began else $2 end",
                _key(named, place), now, now - _WINDOW,
            )  # fmt: skip


def _key(named: str, place: str) -> bytes:
    return sha256(f"{named[:64]}\n{place}".encode()).digest()


def _named(form: Mapping[str, str], authorization: str | None) -> str:
    """The client_id that a request claims. Raises NotProven."""
    named = form.get("client_id")
    if authorization is not None:
        own = _basic(authorization)[0]
        if named not in {None, own}:
            raise NotProven("client_id is said in two ways", "invalid_request", basic=True)
        return own
    if named is None and "client_assertion" in form:
        named = _subject(form["client_assertion"])
    if not named:
        raise NotProven("no client_id")
    return named


def _subject(token: str) -> str:
    """What an assertion says of itself, before anything of it is proven."""
    try:
        part = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["sub"])
    except (IndexError, ValueError, TypeError, KeyError):
        raise NotProven("the assertion is no JWT") from None


def _basic(authorization: str | None) -> tuple[str, str]:
    kind, _, encoded = (authorization or "").partition(" ")
    try:
        if kind.lower() != "basic":
            raise ValueError
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise NotProven("the Authorization header is not readable", basic=True) from None
    return unquote_plus(name), unquote_plus(secret)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None
