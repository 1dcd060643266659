"""Server-side sessions of people who logged in. The cookie holds a random secret; the database its hash.

A session ends when idle too long, at its absolute age, at logout, and when the person may no longer log in.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from varde.clock import Clock
from varde.db import Database

COOKIE = "varde_session"
_SEEN_EVERY = timedelta(seconds=60)
_KEPT = ("kind", "person", "display_name", "patient", "acting_for_name", "unit", "unit_name", "role", "id_token")


@dataclass(frozen=True, slots=True)
class Session:
    """One person's session, as pages need it. `person` is a Patient's id or an HPR number."""

    digest: bytes
    kind: str
    person: str
    display_name: str
    csrf: str
    patient: str | None = None
    acting_for_name: str | None = None
    unit: str | None = None
    unit_name: str | None = None
    role: str | None = None
    id_token: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lasts."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=8)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


class Sessions:
    """The sessions in the database."""

    def __init__(self, database: Database, clock: Clock, limits: Limits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def start(self, connection: Any, **values: Any) -> str:
        """A new session with the fields of Session but digest and csrf; the secret for the cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        columns = {**values, "digest": _digest(secret), "csrf": secrets.token_urlsafe(24), "created": now, "seen": now}
        places = ", ".join(f"${n + 1}" for n in range(len(columns)))
        await connection.execute(
            f"insert into trust_session ({', '.join(columns)}) values ({places})",
            *columns.values(),
        )
        return secret

    async def replace(self, session: Session, **values: Any) -> str:
        """End `session` and start one with `values` in place of its own, for the same login: another patient in
        focus, another unit. A new secret, so that a page still open cannot act in the new role."""
        kept = {name: getattr(session, name) for name in _KEPT} | values
        async with self._database.transaction() as connection:
            await connection.execute("delete from trust_session where digest = $1", session.digest)
            return await self.start(connection, **kept)

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
        return Session(
            row["digest"], row["kind"], row["person"], row["display_name"], row["csrf"], row["patient"],
            row["acting_for_name"], row["unit"], row["unit_name"], row["role"], row["id_token"],
        )  # fmt: skip

    async def end(self, digest: bytes) -> None:
        """Log out."""
        async with self._database.connection() as connection:
            await connection.execute("delete from trust_session where digest = $1", digest)

    async def sweep(self, connection: Any) -> None:
        """Forget what has ended, and logins that were never finished."""
        now = self._clock.now()
        await connection.execute(
            "delete from trust_session where seen <= $1 or created <= $2",
            now - self._limits.idle, now - self._limits.absolute,
        )  # fmt: skip
        await connection.execute("delete from trust_login where created <= $1", now - timedelta(hours=1))
