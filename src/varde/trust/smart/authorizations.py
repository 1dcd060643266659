"""What persons and operators let apps do, and the codes and tokens that prove it. Knows the tables smart_*.

Codes and tokens are random; the database holds their digests. A code or refresh token that is used a second time
ends the whole authorization, since somebody else may have it (RFC 6749 10.4, RFC 9700 2.2.2).
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from varde.clock import Clock
from varde.db import Database
from varde.trust.smart.clients import Authentication, Client

ACCESS = "vat-"
"""How an access token begins, so that it is told from other issuers' and found where it does not belong."""
REFRESH = "vrt-"
CODE_SECONDS = 60
ACCESS_SECONDS = 3600
SYSTEM_SECONDS = 300
"""SMART Backend Services: at most five minutes."""
REQUEST = timedelta(minutes=30)
"""How long a person may take from the app's request to the answer, logging in included."""
PUSHED_SECONDS = 90
LAUNCH = timedelta(minutes=5)
_KEEP = timedelta(days=2)
"""How long what has ended is kept, so that a second use shows."""
_COLUMNS = (
    "id", "client", "kind", "person", "patient", "unit", "encounter", "launched", "scopes", "session", "created",
    "ends",
)  # fmt: skip


class GrantRefused(Exception):
    """A code or refresh token that is not good. The text is for the app's developer."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What one person, or the operators, let one app do."""

    client: str
    kind: str
    """patient (and those who act for one), staff or system."""
    person: str
    """Patient's id or HPR number of who answered; the app's id for a system."""
    scopes: str
    ends: datetime
    patient: str | None = None
    unit: str | None = None
    encounter: str | None = None
    launched: bool = False
    session: bytes | None = None
    created: datetime | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Issued:
    """Tokens just made, and what they stand for."""

    authorization: Authorization
    access: str
    seconds: int
    scopes: str
    refresh: str | None = None
    nonce: str | None = None
    thumbprint: str | None = None
    """Of the key that the access token is bound to."""


@dataclass(frozen=True, slots=True)
class Token:
    """A good token, as found."""

    authorization: Authorization
    kind: str
    """access or refresh."""
    scopes: str
    created: datetime
    expires: datetime
    thumbprint: str | None = None
    """Of the key that it is bound to (DPoP); None for a bearer token."""


def digest(secret: str) -> bytes:
    """What the database knows a secret by."""
    return sha256(secret.encode()).digest()


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def lasts(scopes: str) -> bool:
    """Whether refresh tokens come with these scopes."""
    return bool({"offline_access", "online_access"} & set(scopes.split()))


class Authorizations:
    """Makes, finds and ends them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def keep(
        self, connection: Any, authorization: Authorization, *, redirect_uri: str, challenge: str, nonce: str | None,
        thumbprint: str | None = None,
    ) -> tuple[int, str]:  # fmt: skip
        """Store a person's answer; (its id, the code for the app). In the caller's transaction. `thumbprint`: of the
        only key that may redeem the code."""
        made = await self._insert(connection, authorization)
        code, now = secrets.token_urlsafe(32), self._clock.now()
        await connection.execute(
            "insert into smart_code (digest, authorization_id, redirect_uri, challenge, nonce, expires, thumbprint)"
            " values ($1, $2, $3, $4, $5, $6, $7)",
            digest(code), made.id, redirect_uri, challenge, nonce, now + timedelta(seconds=CODE_SECONDS), thumbprint,
        )  # fmt: skip
        return made.id, code

    async def redeem(
        self, client: Client, code: str, redirect_uri: str, verifier: str, thumbprint: str | None = None
    ) -> Issued:
        """Tokens for a code, bound to the key with this thumbprint. Raises GrantRefused; for one that was used before,
        after ending what came of it."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"select {_prefixed()}, c.redirect_uri, c.challenge, c.nonce, c.expires, c.used, a.revoked,"
                " c.thumbprint"
                " from smart_code c join smart_authorization a on a.id = c.authorization_id where c.digest = $1"
                " for update",
                digest(code),
            )
            if row is None or row["client"] != client.id:
                raise GrantRefused("no such code of this app")
            if row["used"] is None:
                authorization = _authorization(row)
                if row["expires"] <= now or row["revoked"] is not None or authorization.ends <= now:
                    raise GrantRefused("the code is too old")
                if row["redirect_uri"] != redirect_uri:
                    raise GrantRefused("redirect_uri is not that of the request")
                if not hmac.compare_digest(challenge_of(verifier), row["challenge"]):
                    raise GrantRefused("code_verifier does not fit the code_challenge")
                if row["thumbprint"] not in {None, thumbprint}:
                    raise GrantRefused("the code is for another key (dpop_jkt)")
                await connection.execute("update smart_code set used = $2 where digest = $1", digest(code), now)
                issued = await self._issue(
                    connection, client, authorization, authorization.scopes, ACCESS_SECONDS, thumbprint
                )
                return replace(issued, nonce=row["nonce"])
            await self._end(connection, [row["id"]])
        raise GrantRefused("the code was used before; all that came of it has ended")

    async def owner(self, refresh: str) -> str | None:
        """The app that a refresh token, good or not, was given to."""
        async with self._database.connection() as connection:
            found: str | None = await connection.fetchval(
                "select a.client from smart_token t join smart_authorization a on a.id = t.authorization_id"
                " where t.digest = $1 and t.kind = 'refresh'",
                digest(refresh),
            )
        return found

    async def look(self, client: Client, refresh: str, thumbprint: str | None = None) -> Authorization:
        """The authorization of a refresh token that is good now, to judge anew. `thumbprint`: of the key that the app
        proves to have. Raises GrantRefused."""
        row = await self._refresh_row(client, refresh)
        if row["thumbprint"] not in {None, thumbprint}:
            raise GrantRefused("the refresh token is bound to a key: it needs a proof by that one")
        if row["replaced"] is not None:
            async with self._database.transaction() as connection:
                await self._end(connection, [row["id"]])
            raise GrantRefused("the refresh token was used before; all that came of it has ended")
        return _authorization(row)

    async def refresh(self, client: Client, refresh: str, scopes: str, thumbprint: str | None = None) -> Issued:
        """New tokens for a refresh token that `look` found good, which is used up. Raises GrantRefused."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            taken = await connection.fetchval(
                "update smart_token set replaced = $2 where digest = $1 and kind = 'refresh' and replaced is null"
                " returning authorization_id",
                digest(refresh), now,
            )  # fmt: skip
            if taken is not None:
                row = await connection.fetchrow(f"select {_prefixed()} from smart_authorization a where id = $1", taken)
                return await self._issue(connection, client, _authorization(row), scopes, ACCESS_SECONDS, thumbprint)
        await self.look(client, refresh, thumbprint)  # another came first with the same token
        raise GrantRefused("the refresh token was used before")

    async def _refresh_row(self, client: Client, refresh: str) -> Any:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_prefixed()}, t.replaced, t.thumbprint from smart_token t join smart_authorization a"
                " on a.id = t.authorization_id where t.digest = $1 and t.kind = 'refresh' and t.expires > $2"
                " and a.client = $3 and a.revoked is null and a.ends > $2",
                digest(refresh), self._clock.now(), client.id,
            )  # fmt: skip
        if row is None:
            raise GrantRefused("no such refresh token of this app, or it has ended")
        return row

    async def for_system(self, client: Client, scopes: str, thumbprint: str | None = None) -> Issued:
        """A token for an app that acts by itself (SMART Backend Services)."""
        ends = self._clock.now() + timedelta(seconds=SYSTEM_SECONDS)
        async with self._database.transaction() as connection:
            made = await self._insert(connection, Authorization(client.id, "system", client.id, scopes, ends))
            return await self._issue(connection, client, made, scopes, SYSTEM_SECONDS, thumbprint)

    async def find(self, token: str) -> Token | None:
        """The access or refresh token, if it is good now."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_prefixed()}, t.kind as token_kind, t.scopes as token_scopes, t.created as token_created,"
                " t.expires, t.thumbprint from smart_token t join smart_authorization a on a.id = t.authorization_id"
                " join smart_client c on c.id = a.client where t.digest = $1 and t.expires > $2 and t.replaced is null"
                " and a.revoked is null and a.ends > $2 and c.closed is null",
                digest(token), now,
            )  # fmt: skip
        if row is None:
            return None
        return Token(
            _authorization(row), row["token_kind"], row["token_scopes"], row["token_created"], row["expires"],
            row["thumbprint"],
        )  # fmt: skip

    async def alive(self, number: int) -> Authorization | None:
        """The authorization with this id, if it holds now."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_prefixed()} from smart_authorization a join smart_client c on c.id = a.client"
                " where a.id = $1 and a.revoked is null and a.ends > $2 and c.closed is null",
                number, self._clock.now(),
            )  # fmt: skip
        return None if row is None else _authorization(row)

    async def take_back(self, client: Client, token: str) -> None:
        """Revoke a token of the app's own (RFC 7009): an access token alone, a refresh token with all that came of
        its authorization. Nothing for what is not there."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "select t.kind, t.authorization_id from smart_token t join smart_authorization a"
                " on a.id = t.authorization_id where t.digest = $1 and a.client = $2",
                digest(token), client.id,
            )  # fmt: skip
            if row is None:
                return
            if row["kind"] == "refresh":
                await self._end(connection, [row["authorization_id"]])
                return
            await connection.execute(
                "update smart_token set replaced = coalesce(replaced, $2) where digest = $1", digest(token), now
            )
            await connection.execute(
                "insert into smart_revocation (authorization_id, digest, at) values ($1, $2, $3)",
                row["authorization_id"], digest(token), now,
            )  # fmt: skip

    async def of_person(self, kind: str, person: str) -> list[Authorization]:
        """Those of one person that are good now, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {_prefixed()} from smart_authorization a join smart_client c on c.id = a.client"
                " where a.person = $1 and a.kind = $2 and a.revoked is null and a.ends > $3 and c.closed is null"
                " order by a.created desc, a.id desc",
                person, kind, self._clock.now(),
            )  # fmt: skip
        return [_authorization(row) for row in rows]

    async def withdraw(self, kind: str, person: str, client: str, patient: str | None) -> list[int]:
        """End all that a person let an app do for one patient; the ids of what ended."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                "select id from smart_authorization where person = $1 and kind = $2 and client = $3"
                " and patient is not distinct from $4 and revoked is null",
                person, kind, client, patient,
            )  # fmt: skip
            ids = [row["id"] for row in rows]
            await self._end(connection, ids)
        return ids

    async def counts(self) -> Mapping[str, int]:
        """How many persons' authorizations each app has now."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select client, count(*) from smart_authorization where revoked is null and ends > $1"
                " and kind <> 'system' group by client", self._clock.now(),
            )  # fmt: skip
        return {row["client"]: row["count"] for row in rows}

    async def sweep(self, connection: Any, payloads: Sequence[Mapping[str, Any]] = ()) -> None:
        """Forget what ended some days ago, and requests that were never answered. The `run` of a recurring job."""
        now = self._clock.now()
        await connection.execute("delete from smart_request where created <= $1", now - REQUEST)
        await connection.execute("delete from smart_launch where created <= $1", now - LAUNCH)
        await connection.execute("delete from smart_failure where began <= $1", now - timedelta(hours=1))
        await connection.execute("delete from smart_revocation where at <= $1", now - _KEEP)
        await connection.execute("delete from smart_token where expires <= $1", now - _KEEP)
        await connection.execute("delete from smart_authorization where ends <= $1", now - _KEEP)

    async def _insert(self, connection: Any, one: Authorization) -> Authorization:
        now = self._clock.now()
        names = _COLUMNS[1:]
        made = await connection.fetchval(
            f"insert into smart_authorization ({', '.join(names)})"
            f" values ({', '.join(f'${n + 1}' for n in range(len(names)))}) returning id",
            one.client, one.kind, one.person, one.patient, one.unit, one.encounter, one.launched, one.scopes,
            one.session, now, one.ends,
        )  # fmt: skip
        return replace(one, id=made, created=now)

    async def _issue(
        self, connection: Any, client: Client, one: Authorization, scopes: str, seconds: int, thumbprint: str | None
    ) -> Issued:
        now = self._clock.now()
        expires = min(now + timedelta(seconds=seconds), one.ends)
        access = ACCESS + secrets.token_urlsafe(32)
        rows = [(digest(access), one.id, "access", scopes, now, expires, thumbprint)]
        refresh = None
        if lasts(one.scopes):
            refresh = REFRESH + secrets.token_urlsafe(32)
            # One who proves who they are at each use need not keep the key (RFC 9449 5).
            held = thumbprint if client.authentication is Authentication.NONE else None
            rows.append((digest(refresh), one.id, "refresh", scopes, now, one.ends, held))
        await connection.executemany(
            "insert into smart_token (digest, authorization_id, kind, scopes, created, expires, thumbprint)"
            " values ($1, $2, $3, $4, $5, $6, $7)",
            rows,
        )
        return Issued(one, access, max(1, int((expires - now).total_seconds())), scopes, refresh, thumbprint=thumbprint)

    async def _end(self, connection: Any, ids: Sequence[int]) -> None:
        await connection.execute(
            "with ended as (update smart_authorization set revoked = $2 where id = any($1::bigint[])"
            " and revoked is null returning id)"
            " insert into smart_revocation (authorization_id, at) select id, $2 from ended",
            list(ids), self._clock.now(),
        )  # fmt: skip


def _prefixed() -> str:
    return ", ".join(f"a.{name}" for name in _COLUMNS)


def _authorization(row: Any) -> Authorization:
    return Authorization(
        row["client"], row["kind"], row["person"], row["scopes"], row["ends"], row["patient"], row["unit"],
        row["encounter"], row["launched"], row["session"], row["created"], row["id"],
    )  # fmt: skip
