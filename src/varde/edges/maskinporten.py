"""Access tokens from Maskinporten for the state's own interfaces. What they are used for is each adapter's.

Source: Digdir's documentation of the JWT grant (RFC 7523 section 2.1): RS256 with the `kid` of a registered key, aud
the issuer's own identifier, at most 120 seconds from iat to exp, each grant used once.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from varde.clock import Clock

_GRANT_SECONDS = 100
_SPARE_SECONDS = 20
"""A token is given up so long before it ends that no request meets its end on the way."""


class NoToken(Exception):
    """Maskinporten does not answer or does not give a token. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Client:
    """How we are registered with Maskinporten."""

    issuer: str
    """Its identifier as its metadata gives it: https://maskinporten.no/ (with the slash)."""
    client_id: str
    key: RSAKey


def load_key(file: Path) -> RSAKey:
    """The registered private key: a JWK with `kid`, RSA. Raises ValueError when it is not, OSError."""
    try:
        key = RSAKey.import_key(orjson.loads(file.read_bytes()))
    except (JoseError, orjson.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a private RSA key (JWK)") from error
    if not key.is_private or not key.kid:
        raise ValueError(f"{file} must be private and name the kid it is registered under")
    return key


class Tokens:
    """One token for one set of scopes, renewed as it ends."""

    def __init__(self, client: Client, scopes: str, clock: Clock, http: httpx.AsyncClient) -> None:
        self._client = client
        self._scopes = scopes
        self._clock = clock
        self._http = http
        self._endpoint: str | None = None
        self._token = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def token(self, refused: str | None = None) -> str:
        """A token that still holds; another than `refused`, which its receiver did not take. Raises NoToken."""
        async with self._asking:
            if self._token == refused or self._clock.now().timestamp() >= self._until:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        now = self._clock.now().timestamp()
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._grant(int(now))}
        try:
            answer = await self._http.post(await self._token_endpoint(), data=form)
            body = orjson.loads(answer.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise NoToken(f"Maskinporten: {type(error).__name__}") from error
        if answer.status_code != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
            error_code = str(body.get("error", ""))[:40] if isinstance(body, dict) else ""
            raise NoToken(f"Maskinporten: status {answer.status_code} {error_code}".rstrip())
        lifetime = body.get("expires_in")
        self._token = body["access_token"]
        self._until = now + (lifetime if isinstance(lifetime, int | float) else 0) - _SPARE_SECONDS

    def _grant(self, now: int) -> str:
        claims = {
            "aud": self._client.issuer,
            "iss": self._client.client_id,
            "scope": self._scopes,
            "iat": now,
            "exp": now + _GRANT_SECONDS,
            "jti": secrets.token_urlsafe(24),
        }
        return jwt.encode({"alg": "RS256", "kid": self._client.key.kid}, claims, self._client.key)

    async def _token_endpoint(self) -> str:
        """From the issuer's metadata (RFC 8414), asked for once. Raises httpx.HTTPError, NoToken."""
        if self._endpoint is None:
            base = self._client.issuer.rstrip("/")
            answer = await self._http.get(f"{base}/.well-known/oauth-authorization-server")
            body = orjson.loads(answer.content)
            own = isinstance(body, dict) and body.get("issuer") == self._client.issuer
            if answer.status_code != 200 or not own or not isinstance(body.get("token_endpoint"), str):
                raise NoToken("Maskinporten: the metadata is not its own")
            self._endpoint = body["token_endpoint"]
        return self._endpoint
