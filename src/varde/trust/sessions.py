"""Server-side sessions of people who logged in. The cookie holds a random secret; the database its hash.

A session ends when idle too long, at its absolute age, at logout here or at the identity provider, and when the
person may no longer log in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from starlette.responses import Response

from varde.clock import Clock
from varde.db import Database
from varde.trust.identity.sealing import seal, unseal, vault_of

_SEEN_EVERY = timedelta(seconds=60)
_LOGIN = timedelta(hours=1)
"""How long a login may take."""
_RENEWAL = timedelta(seconds=30)
"""After so long a process that began to renew a session's tokens has died."""


@dataclass(frozen=True, slots=True)
class Session:
    """One person's session, as pages need it. `person` is a Patient's id or an HPR number."""

    digest: bytes
    kind: str
    person: str
    display_name: str
    csrf: str
    """What a form of this session carries: secret, and with a mark after the last dot of whose things the session
    shows, so that a form opened for one person is never sent for another (FAM-18)."""
    patient: str | None = None
    acting_for_name: str | None = None
    unit: str | None = None
    unit_name: str | None = None
    role: str | None = None
    provider_session: str | None = None
    """The identity provider's own name of its session (sid)."""
    organisation: str | None = None
    """Whose staff logged in: an organisation number, or two with a colon between."""
    level: int = 4
    """How sure the provider was of who logged in (trust/identity/registration.py, Level)."""
    authenticated: datetime | None = None
    """When the person last proved who they are; None is long ago."""
    created: datetime | None = None
    seen: datetime | None = None
    device: str | None = None
    vault: bytes = field(default=b"", repr=False)
    """What opens the tokens that are kept for the session; only there while its own cookie is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lasts."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=8)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def focus_mark(person: str, patient: str | None, unit: str | None) -> str:
    """A mark of whose things a session shows; tells nobody who it is."""
    return sha256("\x1f".join((person, patient or "", unit or "")).encode()).hexdigest()[:16]


class Sessions:
    """The sessions in the database."""

    def __init__(self, database: Database, clock: Clock, limits: Limits, *, secure: bool = False) -> None:
        """`secure`: pages are reached over https, so cookies go nowhere else."""
        self._database = database
        self._clock = clock
        self._limits = limits
        self._secure = secure

    @property
    def cookie(self) -> str:
        """Name of the session's cookie."""
        return self._named("varde_session")

    @property
    def login_cookie(self) -> str:
        """Name of the cookie that ties a login under way to its browser."""
        return self._named("varde_login")

    def _named(self, name: str) -> str:
        # A browser takes __Host- from the very host over https only: no neighbouring site can plant one.
        return f"__Host-{name}" if self._secure else name

    def put(self, response: Response, secret: str) -> None:
        """Give the browser a session's secret: until it is closed, to our pages only, out of reach of scripts."""
        response.set_cookie(self.cookie, secret, httponly=True, samesite="lax", secure=self._secure, path="/")

    def put_login(self, response: Response, state: str) -> None:
        """Tie a login under way to the browser: a stolen code and state are of no use in another."""
        response.set_cookie(
            self.login_cookie, state, max_age=int(_LOGIN.total_seconds()), httponly=True, samesite="lax",
            secure=self._secure, path="/",
        )  # fmt: skip

    def forget(self, response: Response, name: str) -> None:
        """Take a cookie out of the browser."""
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")

    async def start(self, connection: Any, *, tokens: bytes | None = None, **values: Any) -> str:
        """A new session with the fields of Session but digest and csrf; the secret for the cookie. `tokens` are the
        provider's, kept sealed by that secret."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        made = {"created": now, "authenticated": now} | values
        made |= {"digest": _digest(secret), "csrf": secrets.token_urlsafe(24), "seen": now}
        made["tokens"] = None if tokens is None else seal(vault_of(secret), tokens)
        places = ", ".join(f"${n + 1}" for n in range(len(made)))
        await connection.execute(
            f"insert into trust_session ({', '.join(made)}) values ({places})",
            *made.values(),
        )
        return secret

    async def replace(self, session: Session, **values: Any) -> str:
        """End `session` and start one with `values` in place of its own: another patient in focus, another unit, a
        fresh login of the same person. A new secret, so that a page still open cannot act in the new role; but no
        longer life.

        Raises LookupError when it ended meanwhile.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("delete from trust_session where digest = $1 returning *", session.digest)
            if row is None:
                raise LookupError("the session has ended")
            kept = {name: value for name, value in row.items() if name != "renewing"} | values
            if "tokens" not in values and row["tokens"] is not None:
                kept["tokens"] = unseal(session.vault, row["tokens"])
            return await self.start(connection, **kept)

    async def back(self, session: Session) -> Session:
        """The session, from now on about the person's own things: what they did for another has ended (FAM-07,
        FAM-10). Pages still open cannot act in the old role. Raises LookupError when the session ended meanwhile."""
        csrf = secrets.token_urlsafe(24)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "update trust_session set kind = 'patient', patient = person, acting_for_name = null, csrf = $2"
                " where digest = $1 returning true",
                session.digest, csrf,
            )  # fmt: skip
        if row is None:
            raise LookupError("the session has ended")
        csrf = f"{csrf}.{focus_mark(session.person, session.person, session.unit)}"
        return replace(session, kind="patient", patient=session.person, acting_for_name=None, csrf=csrf)

    async def find(self, secret: str) -> Session | None:
        """The live session that a cookie's secret opens."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select * from trust_session where digest = $1 and seen > $2 and created > $3",
                _digest(secret), now - self._limits.idle, now - self._limits.absolute,
            )  # fmt: skip
            if row is None:
                return None
            if now - row["seen"] > _SEEN_EVERY:
                await connection.execute("update trust_session set seen = $2 where digest = $1", row["digest"], now)
        return _session(row, vault_of(secret))

    async def alive(self, digest: bytes) -> bool:
        """Whether a session goes on: an app may be let in for as long (SMART's online_access)."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            found = await connection.fetchval(
                "select true from trust_session where digest = $1 and seen > $2 and created > $3",
                digest, now - self._limits.idle, now - self._limits.absolute,
            )  # fmt: skip
        return bool(found)

    @property
    def longest(self) -> timedelta:
        """How long a session lasts at most."""
        return self._limits.absolute

    async def end(self, digest: bytes) -> None:
        """Log out."""
        async with self._database.connection() as connection:
            await connection.execute("delete from trust_session where digest = $1", digest)

    async def of_person(self, session: Session) -> list[Session]:
        """The live sessions of the one whose session this is, on their side of the house, the last used first."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select * from trust_session where person = $1 and (kind = 'staff') = $2 and seen > $3 and created > $4"
                " order by seen desc",
                session.person, session.kind == "staff", now - self._limits.idle, now - self._limits.absolute,
            )  # fmt: skip
        return [_session(row, b"") for row in rows]

    async def end_of_person(self, session: Session, *, but: bytes | None = None) -> int:
        """End all sessions of the one whose session this is, on their side of the house; `but` one, by its digest. How
        many there were."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "delete from trust_session where person = $1 and (kind = 'staff') = $2"
                " and digest is distinct from $3 returning true",
                session.person, session.kind == "staff", but,
            )  # fmt: skip
        return len(rows)

    async def end_of_provider(self, *, staff: bool, session: str | None, subject: str | None) -> int:
        """End what the provider of one side says has ended: its session `session`, or all of `subject` when it names
        no session. How many there were."""
        column, value = ("provider_session", session) if session is not None else ("provider_subject", subject)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"delete from trust_session where {column} = $1 and (kind = 'staff') = $2"
                " and ($3::text is null or provider_subject is null or provider_subject = $3) returning true",
                value, staff, subject,
            )  # fmt: skip
        return len(rows)

    async def take_logout(self, issuer: str, token: str, expires: datetime) -> bool:
        """Whether a logout token, by its jti, is used for the first time; from now on it is used."""
        async with self._database.connection() as connection:
            fresh = await connection.fetchval(
                "insert into trust_logout (digest, expires) values ($1, $2) on conflict do nothing returning true",
                _digest(f"{issuer}\x1f{token}"), expires,
            )  # fmt: skip
        return bool(fresh)

    async def tokens(self, session: Session) -> bytes | None:
        """The provider's tokens that are kept for a session whose cookie came with the request."""
        async with self._database.connection() as connection:
            sealed = await connection.fetchval("select tokens from trust_session where digest = $1", session.digest)
        return None if sealed is None else unseal(session.vault, sealed)

    async def begin_renewal(self, session: Session) -> bool:
        """Whether the caller is the one to renew the tokens now; until it puts them, or ends the renewal."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            mine = await connection.fetchval(
                "update trust_session set renewing = $2 where digest = $1 and (renewing is null or renewing < $3)"
                " returning true",
                session.digest, now, now - _RENEWAL,
            )  # fmt: skip
        return bool(mine)

    async def end_renewal(self, session: Session, tokens: bytes | None) -> None:
        """Keep `tokens`, if there are new ones, and let others renew."""
        sealed = None if tokens is None else seal(session.vault, tokens)
        async with self._database.connection() as connection:
            await connection.execute(
                "update trust_session set renewing = null, tokens = coalesce($2, tokens) where digest = $1",
                session.digest, sealed,
            )  # fmt: skip

    async def sweep(self, connection: Any, payloads: Sequence[Mapping[str, Any]] = ()) -> None:
        """Forget what has ended, and logins that were never finished. The `run` of a recurring job."""
        now = self._clock.now()
        await connection.execute(
            "delete from trust_session where seen <= $1 or created <= $2",
            now - self._limits.idle, now - self._limits.absolute,
        )  # fmt: skip
        await connection.execute("delete from trust_login where created <= $1", now - _LOGIN)
        await connection.execute("delete from trust_logout where expires <= $1", now - _LOGIN)

    async def begin_login(
        self,
        kind: str,
        state: str,
        nonce: str,
        verifier: str,
        return_to: str,
        *,
        max_age: int | None = None,
        organisation: str | None = None,
    ) -> None:
        """Remember a login under way."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into trust_login (state_digest, kind, nonce, verifier, return_to, max_age, organisation,"
                " created) values ($1, $2, $3, $4, $5, $6, $7, $8)",
                _digest(state), kind, nonce, verifier, return_to, max_age, organisation, self._clock.now(),
            )  # fmt: skip

    async def take_login(self, kind: str, state: str) -> Any | None:
        """The login under way with this state, which is then used up; None for one unknown or too old."""
        async with self._database.connection() as connection:
            return await connection.fetchrow(
                "with taken as (delete from trust_login where state_digest = $1 and kind = $2 returning *)"
                " select * from taken where created > $3",
                _digest(state), kind, self._clock.now() - _LOGIN,
            )  # fmt: skip


def _session(row: Any, vault: bytes) -> Session:
    csrf = f"{row['csrf']}.{focus_mark(row['person'], row['patient'], row['unit'])}"
    return Session(
        row["digest"], row["kind"], row["person"], row["display_name"], csrf, row["patient"],
        row["acting_for_name"], row["unit"], row["unit_name"], row["role"], row["provider_session"],
        row["organisation"], row["level"], row["authenticated"], row["created"], row["seen"], row["device"], vault,
    )  # fmt: skip
