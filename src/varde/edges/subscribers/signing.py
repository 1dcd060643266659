"""The signature on what is sent to a subscriber: a detached JWS (RFC 7515, appendix F) over the body, ES256.

The protected header says what else must hold: `iat` (seconds), `jti` (the same when a notification is sent again),
`aud` (the address), `sub` (the Subscription). The public key is in the JWKS at `/fhir/.well-known/jwks.json`. With a
key pair no secret is shared, kept in a Subscription or shown by a read of it. docs/fhir/subscriptions.md shows how a
receiver verifies.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey
from joserfc.registry import HeaderParameter

HEADER = "x-jws-signature"
_REGISTRY = jws.JWSRegistry(
    {name: HeaderParameter(text, "int" if name == "iat" else "str") for name, text in (
        ("iat", "when"), ("jti", "which"), ("aud", "to whom"), ("sub", "of which subscription"),
    )},
    algorithms=["ES256"],
)  # fmt: skip


class Signer:
    """Signs with one key."""

    def __init__(self, key: ECKey) -> None:
        self._key = key

    def signature(self, body: bytes, *, at: datetime, name: str, to: str, subscription: str) -> str:
        """`header..signature`, to be put around the body in base64url."""
        protected = {
            "alg": "ES256", "typ": "JOSE", "kid": self._key.kid, "iat": int(at.timestamp()), "jti": name, "aud": to,
            "sub": subscription,
        }  # fmt: skip
        whole = jws.serialize_compact(protected, body, self._key, registry=_REGISTRY)
        header, _, signature = whole.split(".")
        return f"{header}..{signature}"

    def jwks(self) -> dict[str, Any]:
        """The public key as a JWK Set."""
        public: dict[str, Any] = {**self._key.as_dict(private=False), "use": "sig", "alg": "ES256"}
        return {"keys": [public]}
