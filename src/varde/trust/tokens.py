"""Bearer tokens for the FHIR API, and what they grant. Apps' tokens (smart/) and the demo's own map to the same
grant, so that there is one authoriser. HelseID's tokens come with issue 4's full resource server.

The demo's tokens are signed with a key in the demo's folder and accepted in demo mode only.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from varde.clock import OSLO, Clock, today
from varde.fhir.gate import Gate
from varde.fhir.http.rest import Unauthorized
from varde.settings import Settings
from varde.trust import grounds
from varde.trust.access import Access, Refused
from varde.trust.identity.keys import load_key
from varde.trust.scope import Scope
from varde.trust.smart.authorizations import ACCESS
from varde.trust.smart.grant import parse_scopes
from varde.trust.smart.opening import AppTokens, Opened

AUDIENCE = "varde-fhir"
ISSUER = "urn:varde:demo"
_LIFETIME = 3600
_CACHE = 2000
_REUSED = 60
"""Seconds that a decision about a token's holder is reused."""


class DemoTokens:
    """Makes tokens for the running demo (`varde token`) and reads them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._key: ECKey = load_key(folder / "demo-token-key.json")
        self._clock = clock

    def make(self, claims: Mapping[str, Any]) -> str:
        """A signed token with these claims, good for an hour of the demo's clock."""
        now = int(self._clock.now().timestamp())
        full = {
            **claims,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self._key.kid}, full, self._key)

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a good token. Raises Unauthorized."""
        try:
            read = jwt.decode(token, self._key, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError):
            raise _refused("the token's signature does not hold") from None
        claims = dict(read.claims)
        now = self._clock.now().timestamp()
        if read.header.get("typ") != "at+jwt" or claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
            raise _refused("the token is not for this API")
        if not isinstance(claims.get("exp"), int) or claims["exp"] <= now:
            raise _refused("the token has expired")
        return claims


def _refused(why: str) -> Unauthorized:
    error = Unauthorized.of(why)
    assert isinstance(error, Unauthorized)
    error.challenge = 'Bearer realm="fhir", error="invalid_token"'
    return error


class Authenticator:
    """From the headers of an API request to the gate of its answer."""

    def __init__(self, access: Access, tokens: DemoTokens | None, apps: AppTokens | None = None) -> None:
        self._access = access
        self._tokens = tokens
        self._apps = apps
        self._known: OrderedDict[str, tuple[float, Scope, Opened | None]] = OrderedDict()

    async def __call__(self, headers: Mapping[str, str], method: str, path: str) -> Gate:
        """The gate for a request. Raises Unauthorized."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthorized.of("a bearer token is needed")
        now = self._access.clock.now().timestamp()
        known = self._known.get(token)
        if known is not None and known[0] > now:
            if known[2] is not None and self._apps is not None and await self._apps.is_revoked(known[2]):
                self._known.pop(token, None)
                raise _refused("the access was withdrawn")
            return known[1]
        try:
            scope, expires, opened = await self._read(token)
        except (Refused, LookupError):
            raise _refused("the token's holder is not let in") from None
        # What a person may see is decided anew after a minute, and at midnight, when ages change.
        midnight = datetime.combine(today(self._access.clock) + timedelta(days=1), time(), OSLO).timestamp()
        self._known[token] = (min(expires, now + _REUSED, midnight), scope, opened)
        if len(self._known) > _CACHE:
            self._known.popitem(last=False)
        return scope

    async def _read(self, token: str) -> tuple[Scope, float, Opened | None]:
        """(scope, when the token expires, what an app's token is revoked by)."""
        if self._apps is not None and token.startswith(ACCESS):
            opened = await self._apps.open(token)
            return opened.scope, opened.expires, opened
        if self._tokens is None:
            raise _refused("no issuer of such tokens is set up")
        claims = self._tokens.read(token)
        return await self._scope(claims), float(claims["exp"]), None

    async def _scope(self, claims: Mapping[str, Any]) -> Scope:
        kind = claims.get("kind")
        if kind == "person":
            return (await self._access.for_patient(claims["pid"], acting_for=claims.get("for")))[0]
        if kind == "staff":
            purpose = claims.get("purpose") or "TREAT"
            return (await self._access.for_staff(claims["hpr"], claims.get("unit"), purpose))[0]
        if kind == "system":
            grant = parse_scopes(str(claims.get("scope", "")))
            return self._access.for_system(
                str(claims["name"]), grounds.RECORD_SYSTEM, types=grant.read, write_types=grant.write, grant=grant
            )
        raise LookupError("an unknown kind of token")


def demo_tokens(chosen: Settings, clock: Clock) -> DemoTokens | None:
    """The demo's tokens in demo mode; None, which lets no bearer token in, in production."""
    return DemoTokens(chosen.data, clock) if chosen.demo else None
