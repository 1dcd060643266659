"""Sealing what is kept for a session by the secret in the person's own cookie: the database alone opens none of it."""

from __future__ import annotations

import hmac

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_PURPOSE = b"varde: tokens of a session"


def vault_of(secret: str) -> bytes:
    """The key that a session's secret (256 random bits) stands for."""
    return hmac.digest(secret.encode(), _PURPOSE, "sha256")


def seal(vault: bytes, content: bytes) -> bytes:
    """`content` as only `vault` opens it (JWE, A256GCM)."""
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, content, OctKey.import_key(vault)).encode()


def unseal(vault: bytes, sealed: bytes) -> bytes | None:
    """What was sealed by `vault`; None for what was sealed by another."""
    try:
        return jwe.decrypt_compact(sealed, OctKey.import_key(vault), algorithms=["dir", "A256GCM"]).plaintext
    except (JoseError, ValueError):
        return None
