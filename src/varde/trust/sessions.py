"""Server-side sessions of people who logged in. The cookie holds a random secret; the database its hash.

A session ends when idle too long, at its absolute age, at logout, and when the person may no longer log in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from starlette.responses import Response

from varde.clock import Clock
from varde.db import Database

_SEEN_EVERY = timedelta(seconds=60)
_LOGIN = timedelta(hours=1)
"""How long a login may take."""
_KEPT = (
    "kind", "person", "display_name", "patient", "acting_for_name", "unit", "unit_name", "role", "provider_session",
)  # fmt: skip


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
    """The identity provider's own name of its session (sid). Its id_token, which holds the national identity
    number, is never kept."""


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

    async def start(self, connection: Any, **values: Any) -> str:
        """A new session with the fields of Session but digest and csrf; the secret for the cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        made = {"digest": _digest(secret), "csrf": secrets.token_urlsafe(24), "created": now, "seen": now}
        columns = made | values
        places = ", ".join(f"${n + 1}" for n in range(len(columns)))
        await connection.execute(
            f"insert into trust_session ({', '.join(columns)}) values ({places})",
            *columns.values(),
        )
        return secret

    async def replace(self, session: Session, **values: Any) -> str:
        """End `session` and start one with `values` in place of its own, for the same login: another patient in
        focus, another unit. A new secret, so that a page still open cannot act in the new role; but no longer life.

        Raises LookupError when it ended meanwhile.
        """
        kept = {name: getattr(session, name) for name in _KEPT} | values
        async with self._database.transaction() as connection:
            created = await connection.fetchval(
                "delete from trust_session where digest = $1 returning created", session.digest
            )
            if created is None:
                raise LookupError("the session has ended")
            return await self.start(connection, created=created, **kept)

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
        csrf = f"{row['csrf']}.{focus_mark(row['person'], row['patient'], row['unit'])}"
        return Session(
            row["digest"], row["kind"], row["person"], row["display_name"], csrf, row["patient"],
            row["acting_for_name"], row["unit"], row["unit_name"], row["role"], row["provider_session"],
        )  # fmt: skip

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

    async def sweep(self, connection: Any, payloads: Sequence[Mapping[str, Any]] = ()) -> None:
        """Forget what has ended, and logins that were never finished. The `run` of a recurring job."""
        now = self._clock.now()
        await connection.execute(
            "delete from trust_session where seen <= $1 or created <= $2",
            now - self._limits.idle, now - self._limits.absolute,
        )  # fmt: skip
        await connection.execute("delete from trust_login where created <= $1", now - _LOGIN)

    async def begin_login(self, kind: str, state: str, nonce: str, verifier: str, return_to: str) -> None:
        """Remember a login under way."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into trust_login (state_digest, kind, nonce, verifier, return_to, created)"
                " values ($1, $2, $3, $4, $5, $6)",
                _digest(state), kind, nonce, verifier, return_to, self._clock.now(),
            )  # fmt: skip

    async def take_login(self, kind: str, state: str) -> Any | None:
        """The login under way with this state, which is then used up; None for one unknown or too old."""
        async with self._database.connection() as connection:
            return await connection.fetchrow(
                "with taken as (delete from trust_login where state_digest = $1 and kind = $2 returning *)"
                " select * from taken where created > $3",
                _digest(state), kind, self._clock.now() - _LOGIN,
            )  # fmt: skip
