"""A forge of HelseID's access tokens and their proofs, right and deliberately wrong. Its parameters are modelled on
those of HelseID's own test token service (IDENTITY.md 1.2): the token's header, its expiry, the person, the client, the
trust framework, and the proof.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ["RS256", "RS384", "PS256", "ES256", "ES384"]
PUBLIC = ("kty", "crv", "x", "y", "n", "e")
CLAIMS = "helseid://claims"
HPR, PID = f"{CLAIMS}/hpr/hpr_number", f"{CLAIMS}/identity/pid"
ASSURANCE, SECURITY = f"{CLAIMS}/identity/assurance_level", f"{CLAIMS}/identity/security_level"
PARENT, CHILD = f"{CLAIMS}/client/claims/orgnr_parent", f"{CLAIMS}/client/claims/orgnr_child"
CLIENT_NAME = f"{CLAIMS}/client/client_name"
AUDIENCE = "nhn:varde"
JOURNAL, LABORATORY, DIRECTORY = "nhn:varde/journal", "nhn:varde/laboratory", "nhn:varde/directory"
TRUST, BUSINESS, OTHER_TRUST, STRANGERS = "983974929", "974795930", "974706490", "999999999"
WARD_RESH, OTHER_WARD_RESH = "111111", "222222"
ENH, RESH = "2.16.578.1.12.4.1.4.101", "2.16.578.1.12.4.1.4.102"
CLIENT = "7d1a3c60-58c7-4d4d-8d1c-0e0c8f1f7a01"

Claims = dict[str, Any]


def b64(content: bytes | Mapping[str, Any]) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def public(key: ECKey | RSAKey) -> dict[str, Any]:
    full = key.as_dict(private=False)
    return {name: full[name] for name in PUBLIC if name in full}


def attestation(**changes: Any) -> Claims:
    """The trust framework's parameters, in HelseID's profile; parts given as None are left out, parts with dots reach
    inside: `**{"care_relationship.purpose_of_use.code": "BTG"}`."""
    made: Claims = {
        "type": "nhn:tillitsrammeverk:parameters",
        "practitioner": {
            "authorization": {"code": "LE", "system": "urn:oid:2.16.578.1.12.4.1.1.9060"},
            "legal_entity": {"id": TRUST, "name": "Sykehuset", "system": f"urn:oid:{ENH}"},
            "department": {"id": WARD_RESH, "name": "Avdeling A", "system": f"urn:oid:{RESH}"},
        },
        "care_relationship": {
            "healthcare_service": {"code": "S03", "system": "urn:oid:2.16.578.1.12.4.1.1.8655"},
            "purpose_of_use": {"code": "TREAT", "system": "urn:oid:2.16.840.1.113883.1.11.20448"},
            "purpose_of_use_details": {"code": "BEHANDLER", "text": "Behandling", "system": "urn:oid:…9151"},
            "decision_ref": {"id": "beslutning-42", "user_selected": True},
        },
        "patients": [{"department": {"id": WARD_RESH, "system": f"urn:oid:{RESH}"}}],
    }
    for path, value in changes.items():
        *parents, name = path.split(".")
        at = made
        for parent in parents:
            at = at[parent]
        if value is None:
            at.pop(name, None)
        else:
            at[name] = value
    return made


@dataclass
class Forge:
    """Makes them for one issuer and one client's key."""

    issuer: str
    base: str
    """Our public base, as proofs must name it."""
    hpr: str = ""
    keys: dict[str, ECKey | RSAKey] = field(default_factory=dict)
    """The issuer's, by kid."""
    key: ECKey | RSAKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    """The client's, that tokens are bound to."""
    ahead: float = 0.0
    """Seconds that its clock is ahead of this machine's."""

    def __post_init__(self) -> None:
        if not self.keys:
            self.keys = {"rsa": RSAKey.generate_key(2048), "ec": ECKey.generate_key("P-256")}

    def now(self) -> int:
        return int(time.time() + self.ahead)

    def jwks(self) -> Claims:
        return {"keys": [{**public(key), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]}

    def claims(self, **changes: Any) -> Claims:
        """Of a health worker's good token; claims given as None are left out."""
        now = self.now()
        made = {
            "iss": self.issuer, "aud": AUDIENCE, "client_id": CLIENT, "sub": "a-health-worker",
            "jti": secrets.token_hex(8),
            "iat": now, "nbf": now, "exp": now + 600, "scope": [JOURNAL, "openid"],
            "cnf": {"jkt": self.key.thumbprint()},
            HPR: self.hpr, ASSURANCE: "high", SECURITY: "4", PARENT: TRUST, CLIENT_NAME: "Kurven",
            "authorization_details": [attestation()],
        }  # fmt: skip
        return {name: value for name, value in (made | changes).items() if value is not None}

    def system(self, **changes: Any) -> Claims:
        """Of a system's good token."""
        more: Claims = {
            "sub": None, HPR: None, ASSURANCE: None, SECURITY: None, "authorization_details": None,
            "scope": [LABORATORY], CLIENT_NAME: "Laboratoriet", PARENT: OTHER_TRUST, CHILD: BUSINESS,
        }  # fmt: skip
        return self.claims(**(more | changes))

    def sign(self, claims: Claims, *, kid: str | None = "rsa", key: Any = None, **header: Any) -> str:
        """A token of these claims; header parameters given as None are left out."""
        head = {"alg": "PS256" if kid != "ec" else "ES256", "typ": "at+jwt", "kid": kid} | header
        head = {name: value for name, value in head.items() if value is not None}
        return signed(head, claims, key or self.keys[kid or "rsa"])

    def token(self, **changes: Any) -> str:
        """A health worker's, but for what is given."""
        return self.sign(self.claims(**changes))

    def proof(self, token: str, path: str, method: str = "GET", *, key: Any = None, header: Claims | None = None,
              **changes: Any) -> str:  # fmt: skip
        """The proof of one request, but for what is given; parts given as None are left out."""
        used = key or self.key
        head = {"typ": "dpop+jwt", "alg": "ES256" if isinstance(used, ECKey) else "PS256", "jwk": public(used)}
        made = {
            "jti": secrets.token_hex(12), "htm": method, "htu": f"{self.base}{path}", "iat": self.now(),
            "ath": b64(sha256(token.encode()).digest()),
        } | changes  # fmt: skip
        head = {name: value for name, value in (head | (header or {})).items() if value is not None}
        return signed(head, {name: value for name, value in made.items() if value is not None}, used)

    def headers(self, token: str, path: str, method: str = "GET", **proof: Any) -> dict[str, str]:
        """Of a request with a token and its proof."""
        return {"authorization": f"DPoP {token}", "dpop": self.proof(token, path, method, **proof)}


def signed(header: Claims, claims: Claims, key: Any) -> str:
    """A JWS; also of kinds that no careful library makes: `none`, and a public key as a shared secret."""
    if header.get("alg") in {"none", "HS256"}:
        text = f"{b64(header)}.{b64(claims)}"
        if header["alg"] == "none":
            return f"{text}."
        return f"{text}.{b64(hmac.digest(key.as_pem(private=False), text.encode(), 'sha256'))}"
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, ALGORITHMS, registry)


def tampered(token: str, **changes: Any) -> str:
    """The token with other claims under the same signature."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return f"{head}.{b64(claims | changes)}.{signature}"
