"""The provider's tokens of a session, kept at the server alone: used until they end, renewed, never shown to a browser.

With them Varde speaks to other systems on behalf of who is logged in. Sources: HelseID's FK3 (tokens are used again
until they end); RFC 6749 6; RFC 9449 5 (a confidential client's refresh token is bound to the client, not to the key).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import orjson

from varde.trust.identity import codeflow
from varde.trust.identity.dpop import HEADER
from varde.trust.identity.helseid import Attestation, Organisation, Terms, token_details
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import LoginRefused, ProviderUnavailable
from varde.trust.sessions import Session, Sessions

_SPARE_SECONDS = 20
"""A token is given up so long before it ends that no request meets its end on the way."""
_MOST = 32
"""Access tokens kept for one session: one for each interface, and for each patient that one is attested of."""
_TURNS = 50
_TURN_SECONDS = 0.1


class NoToken(Exception):
    """There is no token to be had without a new login. The text is for the log."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One access token."""

    token: str
    scope: str
    details: str
    """Digest of the authorization_details it was asked for with; empty for none of its own."""
    expires: float
    """Seconds since 1970."""
    key: str
    """Thumbprint of the key it is bound to."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for a session, the newest access token last."""

    id_token: str
    refresh_token: str | None = None
    access: Sequence[AccessToken] = ()

    def to_bytes(self) -> bytes:
        """For the session."""
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Kept:
        """From the session."""
        read = orjson.loads(content)
        return cls(read["id_token"], read["refresh_token"], [AccessToken(**one) for one in read["access"]])

    def with_access(self, made: AccessToken, refresh_token: str | None, now: float) -> Kept:
        """With one more access token, and the refresh token that came with it; without those that have ended."""
        others = [one for one in self.access if one.expires > now and (one.scope, one.details) != _place(made)]
        return replace(self, refresh_token=refresh_token or self.refresh_token, access=[*others, made][-_MOST:])

    def fitting(self, scope: str, details: str, key: str, now: float) -> AccessToken | None:
        """One that lets us do what `scope` says, attested so, that still holds."""
        wanted = set(scope.split())
        for one in reversed(self.access):
            bound_and_live = one.key == key and one.expires - _SPARE_SECONDS > now
            if bound_and_live and one.details == details and wanted <= set(one.scope.split()):
                return one
        return None


def _place(one: AccessToken) -> tuple[str, str]:
    return one.scope, one.details


def _digest(details: Sequence[Mapping[str, Any]]) -> str:
    if not details:
        return ""
    return sha256(orjson.dumps(list(details), option=orjson.OPT_SORT_KEYS)).hexdigest()


def of_login(provider: Provider, answer: codeflow.Answer, details: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """What to keep of a login: its id_token, which proves a logout, and its tokens when they can be renewed."""
    kept = Kept(answer.id_token)
    if answer.refresh_token is not None:
        made = AccessToken(
            answer.access_token, answer.scope, _digest(details), answer.expires, provider.prover.thumbprint
        )
        kept = kept.with_access(made, answer.refresh_token, provider.now())
    return kept.to_bytes()


class StaffTokens:
    """Access tokens of HelseID for calls on behalf of whoever of staff is logged in."""

    def __init__(self, provider: Provider, sessions: Sessions, terms: Terms) -> None:
        self._provider = provider
        self._sessions = sessions
        self._terms = terms

    async def access(self, session: Session, scope: str, attestation: Attestation | None = None) -> str:
        """A token for `scope`: the one in use while it holds, else a new one. One process renews at a time.

        Raises NoToken, ProviderUnavailable; ValueError for an attestation where the login has attested already.
        """
        organisation = Organisation.parse(session.organisation) if session.organisation else None
        details = token_details(self._terms, organisation, attestation)
        wanted, key = _digest(details), self._provider.prover.thumbprint
        for _ in range(_TURNS):
            found = (await self._kept(session)).fitting(scope, wanted, key, self._provider.now())
            if found is not None:
                return found.token
            if await self._sessions.begin_renewal(session):
                return await self._renew(session, scope, details)
            await asyncio.sleep(_TURN_SECONDS)
        raise ProviderUnavailable("the renewal of a token takes too long")

    def headers(self, token: str, method: str, address: str) -> dict[str, str]:
        """Headers of one request to another system with such a token."""
        return {"authorization": f"DPoP {token}", HEADER: self._provider.prover.prove(method, address, token)}

    async def _kept(self, session: Session) -> Kept:
        content = await self._sessions.tokens(session)
        if content is None:
            raise NoToken("no tokens are kept for the session")
        return Kept.from_bytes(content)

    async def _renew(self, session: Session, scope: str, details: Sequence[Mapping[str, Any]]) -> str:
        fresh: bytes | None = None
        try:
            kept = await self._kept(session)
            now, key = self._provider.now(), self._provider.prover.thumbprint
            found = kept.fitting(scope, _digest(details), key, now)
            if found is not None:  # renewed by another while this one waited for its turn
                return found.token
            if kept.refresh_token is None:
                raise NoToken("the session's tokens cannot be renewed")
            made, refresh_token = await self._asked(kept.refresh_token, scope, details)
            fresh = kept.with_access(made, refresh_token, now).to_bytes()
            return made.token
        finally:
            await self._sessions.end_renewal(session, fresh)

    async def _asked(
        self, refresh_token: str, scope: str, details: Sequence[Mapping[str, Any]]
    ) -> tuple[AccessToken, str | None]:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "scope": scope}
        provider = self._provider
        try:
            body = await provider.post("token_endpoint", form, details=details, bound=True)
            token = codeflow.access_token_of(provider, body)
        except LoginRefused as refused:
            raise NoToken(str(refused)) from None
        made = AccessToken(
            token, codeflow.scope_of(body, scope), _digest(details), codeflow.expires_of(provider, body),
            provider.prover.thumbprint,
        )  # fmt: skip
        return made, codeflow.refresh_token_of(body)
