"""Tokens at the FHIR API, and what they grant. Apps' tokens (smart/), HelseID's (helseid/) and the demo's own map to
the same Scope and Grant, so that there is one authoriser.

A token is judged once a minute and its signature with it. Where others can shut the door meanwhile (who acts for
another, the young) what binds the persons is asked at every request. Every request is held to revocation, to the
token's end, and to its own proof of possession. The demo's tokens are signed with a key in the demo's folder and
accepted in demo mode only.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from varde.clock import OSLO, Clock, today
from varde.fhir.errors import FhirError, Forbidden
from varde.fhir.gate import Gate
from varde.fhir.http.rest import Unauthorized
from varde.settings import Settings
from varde.trust import grounds
from varde.trust.access import Access, Person, Refused
from varde.trust.helseid.bearer import INSUFFICIENT, LEEWAY, Tokens, WrongToken, issuer_of
from varde.trust.helseid.granting import Granting
from varde.trust.identity.keys import load_key
from varde.trust.proofs import ALGORITHMS, Proofs, WrongProof
from varde.trust.scope import Scope
from varde.trust.smart.authorizations import ACCESS
from varde.trust.smart.grant import parse_scopes
from varde.trust.smart.opening import AppTokens, Opened

AUDIENCE = "varde-fhir"
ISSUER = "urn:varde:demo"
BEARER = "bearer"
DPOP = "dpop"
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
        """The claims of a good token. Raises WrongToken."""
        try:
            read = jwt.decode(token, self._key, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError):
            raise WrongToken("the token's signature does not hold") from None
        claims = dict(read.claims)
        now = self._clock.now().timestamp()
        if read.header.get("typ") != "at+jwt" or claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
            raise WrongToken("the token is not for this API")
        if not isinstance(claims.get("exp"), int) or claims["exp"] <= now:
            raise WrongToken("the token has expired")
        return claims


@dataclass(frozen=True, slots=True)
class HelseId:
    """The parts that read HelseID's tokens."""

    tokens: Tokens
    granting: Granting


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is known of a token, for a minute at most."""

    until: float
    """Seconds since 1970."""
    scope: Scope
    hash: str
    """As `ath` has it."""
    thumbprint: str | None = None
    """Of the key that it is bound to; None: whoever holds it uses it."""
    opened: Opened | None = None
    """What an app's token is revoked by."""
    persons: tuple[Person, Person] | None = None
    """Who acts, and whose things: where what binds them is asked again at every request."""


class Authenticator:
    """From the headers of an API request to the gate of its answer."""

    def __init__(
        self,
        access: Access,
        tokens: DemoTokens | None,
        apps: AppTokens | None = None,
        helseid: HelseId | None = None,
        *,
        proofs: Proofs | None = None,
        base: str = "",
    ) -> None:
        """`proofs` and `base`, our public address: what tokens that are bound to a key need."""
        self._access = access
        self._tokens = tokens
        self._apps = apps
        self._helseid = helseid
        self._proofs = proofs
        self._base = base
        self._known: OrderedDict[bytes, _Judged] = OrderedDict()

    async def __call__(self, headers: Mapping[str, str], method: str, path: str) -> Gate:
        """The gate for a request. Headers that were sent several times stand with commas between. Raises Unauthorized,
        Forbidden."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        kind = kind.lower()
        if kind not in {BEARER, DPOP} or not token:
            raise self._refused("", "a token is needed", "")
        try:
            if not token.isascii() or not token.isprintable() or " " in token or "," in token:
                raise WrongToken("exactly one Authorization header with one token is needed")
            judged = await self._judged(token)
            if kind == BEARER and judged.thumbprint is not None:
                raise WrongToken("the token is bound to a key: it is sent as DPoP, with a proof")
            if kind == DPOP:
                await self._prove(judged, headers.get("dpop"), method, path)
        except WrongToken as failure:
            raise self._refused(kind, str(failure), failure.error) from None
        except WrongProof as failure:
            refused = self._refused(DPOP, str(failure), failure.error)
            refused.headers.update(failure.headers)
            raise refused from None
        return judged.scope

    async def _judged(self, token: str) -> _Judged:
        digest = sha256(token.encode()).digest()
        now = self._access.clock.now().timestamp()
        known = self._known.get(digest)
        if known is None or known.until <= now:
            known = await self._judge(token, digest, now)
            self._known[digest] = known
            if len(self._known) > _CACHE:
                self._known.popitem(last=False)
            return known
        if known.opened is not None and self._apps is not None and await self._apps.is_revoked(known.opened):
            self._known.pop(digest, None)
            raise WrongToken("the access was withdrawn")
        if _lasts(known.scope):
            return known
        known = self._known[digest] = await self._anew(known)
        return known

    async def _anew(self, known: _Judged) -> _Judged:
        """The same by what binds the two persons now. Raises WrongToken."""
        scope, persons = known.scope, known.persons
        try:
            if persons is None:
                persons = await self._access.known(scope.actor.key), await self._access.known(scope.patient or "")
            now = await self._access.between_known(*persons)
        except (Refused, LookupError):
            raise WrongToken("the token's holder is not let in any more") from None
        return replace(
            known, persons=persons, scope=replace(scope, actor=now.actor, ground=now.ground, mandate=now.mandate)
        )

    async def _judge(self, token: str, digest: bytes, now: float) -> _Judged:
        try:
            scope, expires, thumbprint, opened = await self._read(token)
        except (Refused, LookupError):
            raise WrongToken("the token's holder is not let in") from None
        # What a person may see is decided anew after a minute, and at midnight, when ages change.
        midnight = datetime.combine(today(self._access.clock) + timedelta(days=1), time(), OSLO).timestamp()
        token_hash = urlsafe_b64encode(digest).decode().rstrip("=")
        return _Judged(min(expires, now + _REUSED, midnight), scope, token_hash, thumbprint, opened)

    async def _read(self, token: str) -> tuple[Scope, float, str | None, Opened | None]:
        """(scope, when the token expires, the key it is bound to, what an app's token is revoked by)."""
        if self._apps is not None and token.startswith(ACCESS):
            opened = await self._apps.open(token)
            return opened.scope, opened.expires, opened.thumbprint, opened
        if self._helseid is not None and issuer_of(token) in self._helseid.tokens.contract.issuers:
            caller = await self._helseid.tokens.read(token)
            scope = await self._helseid.granting.scope(caller)
            return scope, caller.expires + LEEWAY, caller.thumbprint, None
        if self._tokens is None:
            raise WrongToken("no issuer of such tokens is set up")
        claims = self._tokens.read(token)
        return await self._scope(claims), float(claims["exp"]), None, None

    async def _prove(self, judged: _Judged, proof: str | None, method: str, path: str) -> None:
        """Raises WrongToken, WrongProof."""
        if judged.thumbprint is None or self._proofs is None:
            raise WrongToken("the token is not bound to a key: it is sent as Bearer")
        await self._proofs.take(proof, method, self._base + path, judged.hash, judged.thumbprint)

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

    def _refused(self, kind: str, why: str, error: str) -> FhirError:
        """The refusal, with the challenge of the way it was tried; of both ways when it was neither (RFC 9110 11.6.1,
        RFC 6750 3, RFC 9449 7.1)."""
        said = f', error="{error}"' if error else ""
        bearer, dpop = f'Bearer realm="fhir"{said}', f'DPoP realm="fhir"{said}, algs="{" ".join(ALGORITHMS)}"'
        both = {BEARER: bearer, DPOP: dpop}
        challenge = bearer if self._proofs is None else both.get(kind, f"{bearer}, {dpop}")
        if error == INSUFFICIENT:
            forbidden = Forbidden.of(why)
            forbidden.headers["www-authenticate"] = challenge
            return forbidden
        refused = Unauthorized.of(why)
        assert isinstance(refused, Unauthorized)
        refused.challenge = challenge
        return refused


def _lasts(scope: Scope) -> bool:
    """Whether what was decided may be used again. What stands on a power, a consent or a register's word about others
    is withdrawn at once (FAM-07, FAM-12, FAM-15)."""
    return scope.mandate is None or (scope.mandate.whole and scope.acting_for is None)


def demo_tokens(chosen: Settings, clock: Clock) -> DemoTokens | None:
    """The demo's tokens in demo mode; None, which lets no bearer token in, in production."""
    return DemoTokens(chosen.data, clock) if chosen.demo else None
