"""Proofs that a token is used by the one it was given to (DPoP, RFC 9449 4.3), as others send them: every check.

Making our own: `identity/dpop.py`. What a token is bound to is said by the token (`tokens.py`, `smart/endpoints.py`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from varde.clock import Clock
from varde.trust.identity.dpop import NONCE_HEADER, TYPE, WANTS_NONCE
from varde.trust.nonces import Nonces
from varde.trust.replay import AHEAD, Replays

ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Those that HelseID's clients use. `none` and shared secrets are on no list of ours."""


class _Registry(jws.JWSRegistry):
    """Of these algorithms, with room for a header that shows an RSA key; parameters that are not known are passed over
    (RFC 7515 4)."""

    max_header_length = 8192
    max_payload_length = 32768


REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)
WRONG = "invalid_dpop_proof"
AGE = timedelta(seconds=60)
"""How old a proof may be."""
_LEAST_RSA_BITS = 2048
_LONGEST_JTI = 256
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})
_PORTS = {"http": 80, "https": 443}


class WrongProof(Exception):
    """A proof that proves nothing. The text is for the client's developer; `nonce` is for its next try."""

    def __init__(self, why: str, error: str = WRONG, nonce: str | None = None) -> None:
        super().__init__(why)
        self.error = error
        self.nonce = nonce

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside the error."""
        return {} if self.nonce is None else {NONCE_HEADER.lower(): self.nonce}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says, by the key that its thumbprint names: its signature holds, and nothing more is known."""

    thumbprint: str
    jti: str
    method: str
    address: str
    issued: datetime
    token_hash: str | None
    nonce: str | None


def read(text: str) -> Proof:
    """A proof as sent. Raises WrongProof unless it is one, signed by the key that it shows."""
    try:
        header = jws.extract_compact(text.encode(), registry=REGISTRY).headers()
    except (JoseError, ValueError, TypeError):
        raise WrongProof("it is no JWT") from None
    algorithm, shown = header.get("alg"), header.get("jwk")
    if header.get("typ") != TYPE:
        raise WrongProof(f"typ is {TYPE}")
    if algorithm not in ALGORITHMS:
        raise WrongProof(f"alg is one of {', '.join(ALGORITHMS)}")
    if "crit" in header or not isinstance(shown, dict):
        raise WrongProof("jwk is the public key, and no extension is critical")
    key, thumbprint = _key(tuple(sorted((str(name), str(part)) for name, part in shown.items())))
    try:
        claims = jwt.decode(text, key, registry=REGISTRY).claims
    except (JoseError, ValueError, TypeError, KeyError):
        raise WrongProof("the signature does not hold") from None
    return _proof(thumbprint, claims)


@lru_cache(maxsize=4096)
def _key(parts: tuple[tuple[str, str], ...]) -> tuple[ECKey | RSAKey, str]:
    """A public key as shown, and its thumbprint: a client shows the same with each proof."""
    shown: dict[str, Any] = dict(parts)
    if shown.keys() & _PRIVATE:
        raise WrongProof("jwk holds a private key")
    try:
        if shown.get("kty") == "EC":
            return (ec := ECKey.import_key({name: shown[name] for name in ("kty", "crv", "x", "y")})), ec.thumbprint()
        if shown.get("kty") == "RSA":
            rsa = RSAKey.import_key({name: shown[name] for name in ("kty", "n", "e")})
            if rsa.public_key.key_size >= _LEAST_RSA_BITS:
                return rsa, rsa.thumbprint()
    except (JoseError, ValueError, TypeError, KeyError):
        raise WrongProof("jwk is no key") from None
    raise WrongProof("jwk is an EC key, or an RSA key of 2048 bits and more")


def _proof(thumbprint: str, claims: dict[str, Any]) -> Proof:
    jti, method, address, issued = (claims.get(name) for name in ("jti", "htm", "htu", "iat"))
    if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
        raise WrongProof("jti is a text of its own in each proof")
    if not isinstance(method, str) or not isinstance(address, str):
        raise WrongProof("htm and htu say what is asked for")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        raise WrongProof("iat is a number of seconds")
    try:
        at = datetime.fromtimestamp(issued, UTC)
    except (OverflowError, OSError, ValueError):
        raise WrongProof("iat is no time") from None
    token_hash, nonce = claims.get("ath"), claims.get("nonce")
    return Proof(
        thumbprint, jti, method, address, at, token_hash if isinstance(token_hash, str) else None,
        nonce if isinstance(nonce, str) else None,
    )  # fmt: skip


def check(proof: Proof, method: str, address: str, now: datetime, token_hash: str | None) -> None:
    """Raise WrongProof unless it is of this request, now, and of the token with this hash (`ath`). `address` is by our
    own public base, never by the Host header."""
    if proof.method != method:
        raise WrongProof("htm is not this request's method")
    if normal(proof.address) != normal(address):
        raise WrongProof("htu is not this request's address")
    if not now - AGE <= proof.issued <= now + AHEAD:
        raise WrongProof("iat is not now")
    if token_hash is not None and not hmac.compare_digest((proof.token_hash or "").encode(), token_hash.encode()):
        raise WrongProof("ath is not the token's")


@lru_cache(maxsize=4096)
def normal(address: str) -> tuple[str, str, int | None, str] | None:
    """An address as two are compared (RFC 3986 6.2.2 and 6.2.3), without query and fragment; None for what is none."""
    try:
        parts = urlsplit(address)
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc:
        return None
    return scheme, parts.hostname.lower(), port or _PORTS.get(scheme), unquote(parts.path) or "/"


class Proofs:
    """Takes proofs, each once. `nonces`: only such as carry one of ours."""

    def __init__(self, clock: Clock, replays: Replays, nonces: Nonces | None = None) -> None:
        self._clock = clock
        self._replays = replays
        self._nonces = nonces

    async def take(
        self, text: str | None, method: str, address: str, token_hash: str | None = None, bound_to: str | None = None
    ) -> str:
        """The thumbprint of the key that a good proof is by. `text`: the header, as many as were sent with commas
        between. `token_hash` and `bound_to`: of the token that goes along, and of the key it is bound to.

        Raises WrongProof.
        """
        if not text or "," in text:
            raise WrongProof("exactly one DPoP header is needed")
        proof = read(text.strip())
        check(proof, method, address, self._clock.now(), token_hash)
        if bound_to is not None and not hmac.compare_digest(proof.thumbprint.encode(), bound_to.encode()):
            raise WrongProof("the token is bound to another key than the proof's", "invalid_token")
        if self._nonces is not None and not await self._nonces.knows(proof.nonce):
            raise WrongProof("a proof with our nonce is needed", WANTS_NONCE, await self._nonces.fresh())
        until = proof.issued + AGE + AHEAD
        if not await self._replays.proof(proof.thumbprint, proof.jti, proof.issued, until):
            raise WrongProof("it was used before, or is older than what is remembered")
        return proof.thumbprint
