"""Proofs that a token is used by the one it was given to (DPoP, RFC 9449): making them, and the words they are made
of. Checking others' proofs is the API's.
"""

from __future__ import annotations

import base64
import secrets
from hashlib import sha256
from urllib.parse import urlsplit, urlunsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from varde.clock import Clock
from varde.trust.identity.keys import algorithm

TYPE = "dpop+jwt"
HEADER = "DPoP"
NONCE_HEADER = "DPoP-Nonce"
WANTS_NONCE = "use_dpop_nonce"
"""The error by which a server asks for a proof with its nonce (RFC 9449 8)."""
_NONCES = 64


def thumbprint(key: ECKey | RSAKey) -> str:
    """The name of a public key (RFC 7638), as `cnf.jkt` and `dpop_jkt` give it."""
    return key.thumbprint()


def bare(address: str) -> str:
    """An address as `htu` has it: without query and fragment."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def token_hash(token: str) -> str:
    """The `ath` of an access token."""
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()).decode().rstrip("=")


def prove(
    key: ECKey | RSAKey, method: str, address: str, now: int, *, token: str | None = None, nonce: str | None = None
) -> str:
    """A proof for one request at `now` (seconds since 1970). `token` is the access token that goes along, to an API;
    `nonce` what the server last asked for."""
    claims: dict[str, str | int] = {
        "jti": secrets.token_urlsafe(24),
        "htm": method,
        "htu": bare(address),
        "iat": now,
    }
    if token is not None:
        claims["ath"] = token_hash(token)
    if nonce is not None:
        claims["nonce"] = nonce
    header = {"typ": TYPE, "alg": algorithm(key), "jwk": _public(key)}
    return jwt.encode(header, claims, key)


def _public(key: ECKey | RSAKey) -> dict[str, object]:
    names = ("kty", "n", "e") if isinstance(key, RSAKey) else ("kty", "crv", "x", "y")
    full = key.as_dict(private=False)
    return {name: full[name] for name in names}


class Prover:
    """Proves requests of one process with one key, and remembers the nonce that each server gave last."""

    def __init__(self, key: ECKey | RSAKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._nonces: dict[str, str] = {}

    @property
    def thumbprint(self) -> str:
        """What tokens for this key are bound to."""
        return thumbprint(self._key)

    def prove(self, method: str, address: str, token: str | None = None) -> str:
        """A proof for one request, with its server's nonce when it gave one."""
        now = int(self._clock.now().timestamp())
        return prove(self._key, method, address, now, token=token, nonce=self._nonces.get(_origin(address)))

    def heard(self, address: str, nonce: str | None) -> bool:
        """Remember the nonce that came with an answer; whether it is one not known before."""
        origin = _origin(address)
        if nonce is None or self._nonces.get(origin) == nonce:
            return False
        if len(self._nonces) >= _NONCES:
            self._nonces.clear()
        self._nonces[origin] = nonce
        return True


def _origin(address: str) -> str:
    return "://".join(urlsplit(address)[:2])
