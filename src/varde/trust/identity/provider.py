"""One identity provider as Varde speaks with it: its metadata and keys, kept; requests with our proof of who we are.

Nothing here waits longer than the patience it is given, and nothing of the database is held meanwhile.
Sources: OpenID Connect Discovery 1.0; RFC 7523 (private_key_jwt); RFC 9449 (DPoP); HelseID's FK2 (metadata kept a day).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from varde.clock import Clock
from varde.trust.identity.dpop import HEADER, NONCE_HEADER, WANTS_NONCE, Prover
from varde.trust.identity.registration import LoginRefused, ProviderUnavailable, Registration

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NEEDED = ("authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri")
_METADATA_SECONDS = 24 * 3600
_KEYS_SECONDS = 3600
_REFETCH_SECONDS = 60
ASSERTION_SECONDS = 55
"""How long a client assertion holds: HelseID takes at most 60."""


@dataclass(slots=True)
class _Kept:
    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_at: float = 0.0
    keys: dict[str | None, RSAKey | ECKey] = field(default_factory=dict)
    keys_at: float = 0.0


class Provider:
    """One provider, as one client sees it. One a process and side."""

    def __init__(
        self, registration: Registration, clock: Clock, http: httpx.AsyncClient, prover: Prover, patience: float = 10
    ) -> None:
        """`patience`: seconds that one answer may take, from beginning to end."""
        self.registration = registration
        self.prover = prover
        self._clock = clock
        self._http = http
        self._patience = patience
        self._kept = _Kept()
        self._fetching = asyncio.Lock()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    async def metadata(self) -> dict[str, Any]:
        """The provider's metadata, a day old at most; older while the provider does not answer.

        Raises ProviderUnavailable when it never did.
        """
        kept = self._kept
        if not kept.metadata or self.now() - kept.metadata_at > _METADATA_SECONDS:
            async with self._fetching:
                if not kept.metadata or self.now() - kept.metadata_at > _METADATA_SECONDS:
                    await self._learn()
        return kept.metadata

    async def _learn(self) -> None:
        kept = self._kept
        try:
            kept.metadata, kept.metadata_at = await self._fetched(), self.now()
        except ProviderUnavailable:
            if not kept.metadata:
                raise
            kept.metadata_at = self.now() - _METADATA_SECONDS + _REFETCH_SECONDS

    async def _fetched(self) -> dict[str, Any]:
        issuer = self.registration.issuer
        answer = await self._send("GET", f"{issuer}/.well-known/openid-configuration")
        body = _object(answer)
        if answer.status_code != httpx.codes.OK or body.get("issuer") != issuer:
            raise ProviderUnavailable("the provider's metadata is not its own")
        missing = [name for name in _NEEDED if not isinstance(body.get(name), str)]
        if missing:
            raise ProviderUnavailable(f"the provider's metadata lacks {', '.join(missing)}")
        return body

    async def endpoint(self, name: str) -> str | None:
        """An address of the metadata. Raises ProviderUnavailable."""
        found = (await self.metadata()).get(name)
        return found if isinstance(found, str) else None

    def known_endpoint(self, name: str) -> str | None:
        """The same, as far as it is known already: nobody waits for it."""
        found = self._kept.metadata.get(name)
        return found if isinstance(found, str) else None

    async def verified(self, token: str, algorithms: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(header, claims) of a token that the provider signed. A key is taken from the provider's own published
        ones alone, whatever the token's header points at.

        Raises LoginRefused, ProviderUnavailable.
        """
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            key = await self._key(kid if isinstance(kid, str) else None)
            if key is None:
                raise LoginRefused("the token's key is not the provider's")
            read = jwt.decode(token, key, algorithms=list(algorithms))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise LoginRefused(f"the token's signature does not hold: {type(error).__name__}") from None
        return dict(read.header), dict(read.claims)

    async def _key(self, kid: str | None) -> RSAKey | ECKey | None:
        """The published key with this kid; the only one, for a token that names none. Keys are an hour old at most,
        so that one taken back is soon not believed; fetched again at most once a minute for a kid not known."""
        for oldest in (_KEYS_SECONDS, _REFETCH_SECONDS):
            keys = await self._published(oldest)
            if kid is None:
                return next(iter(keys.values())) if len(keys) == 1 else None
            if kid in keys:
                return keys[kid]
        return None

    async def _published(self, oldest: float) -> dict[str | None, RSAKey | ECKey]:
        kept = self._kept
        if kept.keys and self.now() - kept.keys_at <= oldest:
            return kept.keys
        address = str((await self.metadata())["jwks_uri"])
        async with self._fetching:
            if kept.keys and self.now() - kept.keys_at <= oldest:
                return kept.keys
            try:
                answer = await self._send("GET", address)
                if answer.status_code != httpx.codes.OK:
                    raise ProviderUnavailable(f"status {answer.status_code}")
                kept.keys = _key_set(_object(answer))
            except ProviderUnavailable:
                if not kept.keys:
                    raise
            kept.keys_at = self.now()
        return kept.keys

    async def post(
        self, name: str, form: Mapping[str, str], *, details: Sequence[Mapping[str, Any]] = (), bound: bool = False
    ) -> dict[str, Any]:
        """The answer of the endpoint that the metadata calls `name`. `details`: authorization_details in the client
        assertion; `bound`: ask for tokens bound to our key.

        Raises ProviderUnavailable, LoginRefused when the provider refuses.
        """
        address = str((await self.metadata())[name])
        answer, body = await self._asked(address, form, details, bound)
        if bound and answer.status_code == httpx.codes.BAD_REQUEST and body.get("error") == WANTS_NONCE:
            answer, body = await self._asked(address, form, details, bound)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise LoginRefused(f"the provider refused: {error_code(body.get('error'))}")
        return body

    async def _asked(
        self, address: str, form: Mapping[str, str], details: Sequence[Mapping[str, Any]], bound: bool
    ) -> tuple[httpx.Response, dict[str, Any]]:
        """One try, with an assertion and a proof of its own: each holds once."""
        signed = {
            **form,
            "client_id": self.registration.client_id,
            "client_assertion_type": ASSERTION,
            "client_assertion": self.assertion(details),
        }
        headers = {HEADER: self.prover.prove("POST", address)} if bound else {}
        answer = await self._send("POST", address, data=signed, headers=headers)
        self.prover.heard(address, answer.headers.get(NONCE_HEADER))
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(f"status {answer.status_code}")
        return answer, _object(answer)

    async def get(self, address: str, token: str, *, bound: bool) -> dict[str, Any]:
        """What the provider itself shows with an access token (UserInfo). Raises ProviderUnavailable, LoginRefused."""
        for _ in range(2):
            kind = "DPoP" if bound else "Bearer"
            headers = {"authorization": f"{kind} {token}"}
            if bound:
                headers[HEADER] = self.prover.prove("GET", address, token)
            answer = await self._send("GET", address, headers=headers)
            fresh = self.prover.heard(address, answer.headers.get(NONCE_HEADER))
            if not (bound and fresh and answer.status_code == httpx.codes.UNAUTHORIZED):
                break
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(f"status {answer.status_code}")
        if answer.status_code != httpx.codes.OK:
            raise LoginRefused(f"the provider shows nothing: status {answer.status_code}")
        return _object(answer)

    def assertion(self, details: Sequence[Mapping[str, Any]] = ()) -> str:
        """A fresh proof of who we are, good once."""
        more = {"authorization_details": list(details)} if details else {}
        return self.signed(self.registration.assertion_type, {"sub": self.registration.client_id, **more})

    def signed(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A JWT from us to the provider, for less than a minute."""
        now = int(self.now())
        own = {
            "iss": self.registration.client_id,
            "aud": self.registration.issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_SECONDS,
        }
        return self.registration.keys.sign(typ, {**own, **claims})

    async def _send(self, method: str, address: str, **more: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(self._patience):
                return await self._http.request(method, address, follow_redirects=False, **more)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise ProviderUnavailable(type(error).__name__) from None


def error_code(value: Any) -> str:
    """An OAuth error code as it may stand in a log: a word, never free text of others."""
    return value if isinstance(value, str) and len(value) <= 60 and value.replace("_", "").isalnum() else "unnamed"


def _key_set(jwks: Mapping[str, Any]) -> dict[str | None, RSAKey | ECKey]:
    """The keys of a JWKS that can sign, by kid; those of kinds that Varde does not take are passed over.

    Raises ProviderUnavailable when none is left.
    """
    found: dict[str | None, RSAKey | ECKey] = {}
    listed = jwks.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("kty") in {"RSA", "EC"} and one.get("use", "sig") == "sig":
            try:
                key: RSAKey | ECKey = RSAKey.import_key(one) if one["kty"] == "RSA" else ECKey.import_key(one)
            except (JoseError, ValueError, KeyError, TypeError):
                continue
            found[key.kid] = key
    if not found:
        raise ProviderUnavailable("no keys")
    return found


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        raise ProviderUnavailable("not JSON") from None
    if not isinstance(body, dict):
        raise ProviderUnavailable("not an object")
    return body
