"""OpenID Connect as a relying party: code flow with PKCE, PAR and private_key_jwt. No sessions, no pages.

Sources: OpenID Connect Core 1.0; RFC 7636 (PKCE), RFC 9126 (PAR), RFC 7523 (private_key_jwt); IDENTITY.md
1.1 and 1.2. Signing and verifying are joserfc's.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from varde.clock import Clock

ALGORITHMS = ["RS256", "PS256", "ES256"]
"""Of id_tokens. `none` and shared secrets are refused."""
_NEEDED = ("authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri")
_LEEWAY = 10
_METADATA_SECONDS = 24 * 3600
_KEYS_SECONDS = 3600
_REFETCH_SECONDS = 60


class ProviderUnavailable(Exception):
    """The identity provider does not answer. Running sessions go on."""


class LoginRefused(Exception):
    """The provider's answer is not to be trusted, or the person broke off. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Client:
    """How Varde is registered with one provider."""

    issuer: str
    client_id: str
    redirect_uri: str
    key: ECKey
    scope: str
    acr_values: str | None = None
    """Required level; checked in the id_token, since asking is not enough (IDENTITY.md 1.1)."""
    required: Mapping[str, str] = field(default_factory=dict)
    """Other claims that the id_token must have, with these values: HelseID's level is in one of its own."""


@dataclass(slots=True)
class Started:
    """A login under way: where to send the browser, and what must be remembered."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(slots=True)
class _Cached:
    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_at: float = 0.0
    keys: KeySet | None = None
    keys_at: float = 0.0


def load_key(file: Path) -> ECKey:
    """The client's private key (JWK) in `file`; made there, readable by the owner only, when it is missing."""
    if not file.exists():
        made = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})
        made.ensure_kid()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(orjson.dumps(made.as_dict(private=True)))
    return ECKey.import_key(orjson.loads(file.read_bytes()))


class Provider:
    """One identity provider, as one client sees it."""

    def __init__(self, client: Client, clock: Clock, http: httpx.AsyncClient) -> None:
        self.client = client
        self._clock = clock
        self._http = http
        self._cached = _Cached()

    async def start(self) -> Started:
        """Push the authorization request and give the address to send the browser to.

        Raises ProviderUnavailable, LoginRefused when the provider does not take the request.
        """
        metadata = await self._metadata()
        started = Started("", secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        challenge = base64.urlsafe_b64encode(sha256(started.verifier.encode()).digest()).decode().rstrip("=")
        request = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scope,
            "state": started.state,
            "nonce": started.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self.client.acr_values:
            request["acr_values"] = self.client.acr_values
        answer = await self._post(metadata["pushed_authorization_request_endpoint"], request)
        if not isinstance(answer.get("request_uri"), str):
            raise ProviderUnavailable("the pushed request got no name")
        query = urlencode({"client_id": self.client.client_id, "request_uri": answer["request_uri"]})
        started.url = f"{metadata['authorization_endpoint']}?{query}"
        return started

    async def finish(self, code: str, issuer: str | None, nonce: str, verifier: str) -> dict[str, Any]:
        """The claims of the checked id_token for the code that came back.

        Raises ProviderUnavailable, LoginRefused.
        """
        metadata = await self._metadata()
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if issuer != self.client.issuer and (promised or issuer is not None):
            raise LoginRefused("the answer is from another issuer (RFC 9207)")
        answer = await self._post(
            metadata["token_endpoint"],
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.client.redirect_uri,
                "code_verifier": verifier,
            },
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginRefused("no id_token")
        return await self.check(token, nonce)

    async def check(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an id_token that is wholly right. Raises LoginRefused."""
        claims = await self._signed(token)
        now = self._clock.now().timestamp()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        problems = {
            "iss": claims.get("iss") != self.client.issuer,
            "aud": self.client.client_id not in audiences,
            "azp": len(audiences) > 1 and claims.get("azp") != self.client.client_id,
            "nonce": not secrets.compare_digest(str(claims.get("nonce", "")), nonce),
            "acr": bool(self.client.acr_values) and claims.get("acr") != self.client.acr_values,
            "required claims": any(claims.get(name) != value for name, value in self.client.required.items()),
            "exp": not isinstance(claims.get("exp"), int | float) or claims["exp"] + _LEEWAY < now,
            "iat": not isinstance(claims.get("iat"), int | float) or claims["iat"] - _LEEWAY > now,
        }
        wrong = [name for name, bad in problems.items() if bad]
        if wrong:
            raise LoginRefused(f"the id_token's {', '.join(wrong)} is wrong")
        return claims

    async def _signed(self, token: str) -> dict[str, Any]:
        for fresh in (False, True):
            keys = await self._keys(fresh=fresh)
            try:
                return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError) as error:
                failure = error
        raise LoginRefused(f"the id_token's signature does not hold: {type(failure).__name__}")

    def logout_url(self, session: str | None, back_to: str) -> str | None:
        """Where to end the provider's own session (its sid), when it says so. The session is hinted at by its name,
        not by the id_token: that holds the national identity number, which stands in no address."""
        endpoint = self._cached.metadata.get("end_session_endpoint")
        if not endpoint:
            return None
        query = {"post_logout_redirect_uri": back_to, "client_id": self.client.client_id}
        if session:
            query["logout_hint"] = session
        return f"{endpoint}?{urlencode(query)}"

    def _assertion(self) -> str:
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": self.client.client_id,
            "sub": self.client.client_id,
            "aud": self.client.issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "nbf": now,
            "exp": now + 55,
        }
        header = {"alg": "ES256", "kid": self.client.key.kid, "typ": "client-authentication+jwt"}
        return jwt.encode(header, claims, self.client.key)

    async def _post(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        signed = {
            **form,
            "client_id": self.client.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self._assertion(),
        }
        try:
            answer = await self._http.post(url, data=signed)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from error
        if answer.status_code >= 500:
            raise ProviderUnavailable(f"status {answer.status_code}")
        body = _object(answer)
        if answer.status_code >= 400:
            raise LoginRefused(f"the provider refused: {str(body.get('error'))[:60]}")
        return body

    async def _metadata(self) -> dict[str, Any]:
        """The provider's metadata, a day old at most; older while the provider does not answer.

        Raises ProviderUnavailable when it never did.
        """
        now = self._clock.now().timestamp()
        cached = self._cached
        if not cached.metadata or now - cached.metadata_at > _METADATA_SECONDS:
            try:
                cached.metadata, cached.metadata_at = await self._fetched(), now
            except ProviderUnavailable:
                if not cached.metadata:
                    raise
                cached.metadata_at = now - _METADATA_SECONDS + _REFETCH_SECONDS
        return cached.metadata

    async def _fetched(self) -> dict[str, Any]:
        try:
            answer = await self._http.get(f"{self.client.issuer}/.well-known/openid-configuration")
        except httpx.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from error
        body = _object(answer)
        if answer.status_code != 200 or body.get("issuer") != self.client.issuer:
            raise ProviderUnavailable("the provider's metadata is not its own")
        missing = [name for name in _NEEDED if not isinstance(body.get(name), str)]
        if missing:
            raise ProviderUnavailable(f"the provider's metadata lacks {', '.join(missing)}")
        return body

    async def _keys(self, *, fresh: bool) -> KeySet:
        """The provider's public keys, an hour old at most, so that one taken back is soon not believed; fetched
        again at most once a minute for a key not known."""
        now = self._clock.now().timestamp()
        cached = self._cached
        oldest = _REFETCH_SECONDS if fresh else _KEYS_SECONDS
        if cached.keys is None or now - cached.keys_at > oldest:
            metadata = await self._metadata()
            try:
                answer = await self._http.get(metadata["jwks_uri"])
                cached.keys = _key_set(_object(answer))
            except (httpx.HTTPError, ProviderUnavailable, KeyError) as error:
                if cached.keys is None:
                    raise ProviderUnavailable(type(error).__name__) from error
            cached.keys_at = now
        assert cached.keys is not None
        return cached.keys


def _key_set(jwks: Mapping[str, Any]) -> KeySet:
    """The keys of a JWKS that can sign; those of kinds that Varde does not take are passed over.

    Raises ProviderUnavailable when none is left.
    """
    found: list[RSAKey | ECKey] = []
    listed = jwks.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("kty") in {"RSA", "EC"} and one.get("use", "sig") == "sig":
            try:
                found.append(RSAKey.import_key(one) if one["kty"] == "RSA" else ECKey.import_key(one))
            except (JoseError, ValueError):
                continue
    if not found:
        raise ProviderUnavailable("no keys")
    return KeySet([*found])


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        raise ProviderUnavailable("not JSON") from None
    if not isinstance(body, dict):
        raise ProviderUnavailable("not an object")
    return body
