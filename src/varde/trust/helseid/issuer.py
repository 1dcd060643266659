"""The keys of one issuer of access tokens, taken from its own published ones alone, and kept.

Sources: RFC 8414 and OpenID Connect Discovery 1.0; HelseID's FK2 (metadata kept a day); IDENTITY.md 1.4, point 2.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from varde.clock import Clock
from varde.fhir.errors import Unavailable

Key = ECKey | RSAKey
_METADATA_SECONDS = 24 * 3600
_KEYS_SECONDS = 3600
"""After so long keys are fetched again, so that one taken back is soon not believed."""
_STALE_SECONDS = 24 * 3600
"""So long they are believed while the issuer does not answer."""
_REFETCH_SECONDS = 60
"""Between two fetches at least, whatever tokens name."""
_PATIENCE = 5.0
_LARGEST = 200_000
_LEAST_RSA_BITS = 2048
_log = structlog.get_logger("varde.helseid")


class IssuerKeys:
    """One issuer's keys. One a process and issuer."""

    def __init__(self, issuer: str, clock: Clock, http: httpx.AsyncClient) -> None:
        self.issuer = issuer
        self._clock = clock
        self._http = http
        self._address: str | None = None
        self._address_at = float("-inf")
        self._keys: dict[str, Key] = {}
        self._keys_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, kid: str) -> Key | None:
        """The published key with this kid. An unknown one has the keys fetched again, at most once a minute.

        Raises Unavailable when the issuer's keys cannot be had.
        """
        for oldest in (_KEYS_SECONDS, _REFETCH_SECONDS):
            await self._renew(oldest)
            if kid in self._keys:
                return self._keys[kid]
        return None

    async def _renew(self, oldest: float) -> None:
        if self._now() - self._keys_at < oldest:
            return
        async with self._fetching:
            now = self._now()
            if now - self._keys_at >= oldest and now - self._tried_at >= _REFETCH_SECONDS:
                self._tried_at = now
                try:
                    self._keys, self._keys_at = _key_set(await self._get(await self._jwks_uri(now))), now
                except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
                    _log.error("helseid.keys", issuer=self.issuer, reason=type(error).__name__)
            if now - self._keys_at >= _STALE_SECONDS:
                raise Unavailable.of("the issuer's keys cannot be had; try again shortly")

    async def _jwks_uri(self, now: float) -> str:
        if self._address is None or now - self._address_at >= _METADATA_SECONDS:
            told = await self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if told.get("issuer") != self.issuer or not isinstance(told.get("jwks_uri"), str):
                raise ValueError("the metadata is not the issuer's own")
            self._address, self._address_at = str(told["jwks_uri"]), now
        return self._address

    async def _get(self, address: str) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE):
            answer = await self._http.get(address, headers={"accept": "application/json"}, follow_redirects=False)
        if answer.status_code != httpx.codes.OK or len(answer.content) > _LARGEST:
            raise ValueError("no document")
        body = orjson.loads(answer.content)
        if not isinstance(body, dict):
            raise ValueError("no object")
        return body

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _key_set(jwks: dict[str, Any]) -> dict[str, Key]:
    """The keys of a JWKS that can sign, by kid; those of kinds that are not taken here are passed over.

    Raises ValueError when none is left.
    """
    found: dict[str, Key] = {}
    listed = jwks.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("kid"), str) or one.get("use", "sig") != "sig":
            continue
        try:
            if one.get("kty") == "EC":
                found[one["kid"]] = ECKey.import_key(one)
            elif one.get("kty") == "RSA" and (rsa := RSAKey.import_key(one)).public_key.key_size >= _LEAST_RSA_BITS:
                found[one["kid"]] = rsa
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not found:
        raise ValueError("no keys")
    return found
