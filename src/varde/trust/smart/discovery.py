"""What the authorization server tells of itself: `.well-known/smart-configuration` and OpenID Connect's. Exactly what
works, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from varde.trust import proofs
from varde.trust.smart.keys import ALGORITHM
from varde.trust.smart.proving import ALGORITHMS
from varde.trust.smart.scopes import IDENTITY, LASTING, LAUNCH

PREFIX = "/auth"
AUTHORIZE = f"{PREFIX}/authorize"
PAR = f"{PREFIX}/par"
TOKEN = f"{PREFIX}/token"
INTROSPECT = f"{PREFIX}/introspect"
REVOKE = f"{PREFIX}/revoke"
JWKS = f"{PREFIX}/jwks"
STYLE = f"{PREFIX}/smart-style.json"
MANAGE = "/apper"

CAPABILITIES = (
    "launch-ehr", "launch-standalone", "authorize-post",
    "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
    "permission-offline", "permission-online", "permission-patient", "permission-user",
    "permission-v1", "permission-v2",
)  # fmt: skip
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where all of it is, as clients see it. `base` without a slash at its end."""

    base: str

    @property
    def issuer(self) -> str:
        """Of id_tokens and of answers (RFC 9207)."""
        return f"{self.base}{PREFIX}"

    @property
    def fhir(self) -> str:
        """The FHIR API, which tokens are for."""
        return f"{self.base}/fhir"

    @property
    def audiences(self) -> frozenset[str]:
        """What a client assertion may be meant for: the issuer, or an endpoint that takes assertions."""
        return frozenset({self.issuer, *(f"{self.base}{path}" for path in (TOKEN, PAR, INTROSPECT, REVOKE))})

    def _shared(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.base + AUTHORIZE,
            "token_endpoint": self.base + TOKEN,
            "introspection_endpoint": self.base + INTROSPECT,
            "revocation_endpoint": self.base + REVOKE,
            "pushed_authorization_request_endpoint": self.base + PAR,
            "jwks_uri": self.base + JWKS,
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [*METHODS, "none"],
            "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
            "introspection_endpoint_auth_methods_supported": list(METHODS),
            "revocation_endpoint_auth_methods_supported": [*METHODS, "none"],
            "scopes_supported": [
                *sorted(IDENTITY), *sorted(LAUNCH), *sorted(LASTING), "patient/*.rs", "user/*.rs", "system/*.cruds",
            ],
            "authorization_response_iss_parameter_supported": True,
            "dpop_signing_alg_values_supported": list(proofs.ALGORITHMS),
        }  # fmt: skip

    def smart(self) -> dict[str, Any]:
        """/fhir/.well-known/smart-configuration."""
        return {
            **self._shared(),
            "management_endpoint": self.base + MANAGE,
            "capabilities": list(CAPABILITIES),
        }

    def oauth_uris(self) -> dict[str, str]:
        """The same for clients that look into the CapabilityStatement, by the names of SMART App Launch 1."""
        return {
            "authorize": self.base + AUTHORIZE,
            "token": self.base + TOKEN,
            "introspect": self.base + INTROSPECT,
            "revoke": self.base + REVOKE,
            "manage": self.base + MANAGE,
        }

    def openid(self) -> dict[str, Any]:
        """/auth/.well-known/openid-configuration."""
        return {
            **self._shared(),
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "profile", "name"],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
