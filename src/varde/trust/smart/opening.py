"""From an app's access token to the Scope of its requests: what the person or the system may do, and of that what the
token's scopes say. Judged anew every minute; what was withdrawn is forgotten within seconds.

Costs nothing of the database per request: a process remembers the scope of a token, and asks once a second what was
revoked anywhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta

from varde.db import Database
from varde.trust.access import Access
from varde.trust.scope import Scope
from varde.trust.sessions import Sessions
from varde.trust.smart.authorizations import Authorization, Authorizations, digest
from varde.trust.smart.clients import Client, Clients
from varde.trust.smart.grant import Grant, Origin, grant_of
from varde.trust.smart.scopes import read_words

LOOKED_EVERY = 1.0
"""Seconds between looks at what was revoked."""
_REMEMBERED = timedelta(minutes=2)
"""How far back one looks: longer than a process remembers a token."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A good access token: the scope it gives, and what its revocation would be known by."""

    scope: Scope
    expires: float
    """Seconds since 1970."""
    authorization: int
    digest: bytes
    thumbprint: str | None = None
    """Of the key that the token is bound to; None for a bearer token."""


def system_scope(access: Access, client: Client, grant: Grant) -> Scope:
    """The scope of an app that acts by itself."""
    made = access.for_system(client.name, client.ground, types=grant.read, write_types=grant.write, grant=grant)
    return replace(made, actor=replace(made.actor, key=client.id), through=client.through)


class AppTokens:
    """Reads access tokens. One a process."""

    def __init__(
        self, database: Database, access: Access, clients: Clients, authorizations: Authorizations, sessions: Sessions
    ) -> None:
        self._database = database
        self._access = access
        self._clients = clients
        self._authorizations = authorizations
        self._sessions = sessions
        self._revoked: frozenset[int | bytes] = frozenset()
        self._looked = float("-inf")

    async def open(self, token: str) -> Opened:
        """The scope that a token gives now. Raises LookupError for one that is not good, Refused when its person may
        not be let in any more."""
        found = await self._authorizations.find(token)
        if found is None or found.kind != "access":
            raise LookupError("no such access token")
        client = await self._clients.find(found.authorization.client)
        if client is None:
            raise LookupError("the app is closed")
        scope = await self.scope(client, found.authorization, found.scopes)
        return Opened(scope, found.expires.timestamp(), found.authorization.id, digest(token), found.thumbprint)

    async def authorization(self, number: int) -> Authorization | None:
        """What a person let an app do, by its id, if it holds now."""
        return await self._authorizations.alive(number)

    async def scope(self, client: Client, authorization: Authorization, scopes: str) -> Scope:
        """What an authorization gives now, of it `scopes`. Raises LookupError, Refused."""
        words, others = read_words(scopes)
        if authorization.session is not None and not await self._sessions.alive(authorization.session):
            raise LookupError("the session has ended")
        if authorization.kind == "system":
            words = tuple(word for word in words if word.level == "system")
            return system_scope(self._access, client, grant_of(words, origin=Origin(client.id)))
        origin = Origin(client.id, authorization.id)
        words = tuple(word for word in words if word.level != "system")
        shown = "fhirUser" in others
        if authorization.kind == "patient":
            made, person, _ = await self._access.act_for(
                authorization.person, authorization.patient or authorization.person
            )
            grant = grant_of(words, user=("Patient", person.id) if shown else None, origin=origin)
        else:
            made, position = await self._access.for_staff(authorization.person, authorization.unit)
            if authorization.patient is None:
                words = tuple(word for word in words if word.level != "patient")
            user = ("Practitioner", position.practitioner) if shown else None
            grant = grant_of(words, patient=authorization.patient, user=user, origin=origin)
        return replace(made, grant=grant, through=client.through)

    async def is_revoked(self, opened: Opened) -> bool:
        """Whether a remembered token was withdrawn since, in whichever process."""
        now = time.monotonic()  # the machine's own pace: how often to look, never what is true
        if now - self._looked >= LOOKED_EVERY:
            before, self._looked = self._looked, now  # others go on with what is known meanwhile
            try:
                await self._look()
            except BaseException:
                self._looked = before
                raise
        return opened.authorization in self._revoked or opened.digest in self._revoked

    async def _look(self) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select authorization_id, digest from smart_revocation where at > $1",
                self._access.clock.now() - _REMEMBERED,
            )
        self._revoked = frozenset(row["digest"] or row["authorization_id"] for row in rows)
