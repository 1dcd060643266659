"""The whole of Varde on one database, called without a network: ten thousand questions take a minute, and what is
asked goes through everything that a request from outside goes through, from the headers on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from tests import markers
from varde import asgi
from varde.app import House, build
from varde.asgi import Varde
from varde.clock import MovableClock
from varde.observe import Requests
from varde.settings import Settings
from varde.trust.scope import Scope
from varde.trust.sessions import focus_mark
from varde.trust.tokens import DemoTokens

BASE = "http://127.0.0.1:8000"
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"


class TestClock(MovableClock):
    """The demo's clock, standing still until it is moved."""

    __test__ = False

    def __init__(self, at: datetime = START) -> None:
        self._at = at

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._at

    def advance(self, by: timedelta) -> datetime:
        """Move by `by`."""
        self._at += by
        return self._at

    def set(self, at: datetime) -> None:
        """Move to `at`, forward or back."""
        self._at = at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The header's value; "" when there is none."""
        return next((value for one, value in self.headers if one == name), "")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks: what they send along. `token`: claims of a demo token; `session`: values of a session."""

    name: str
    token: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None

    @property
    def secret(self) -> str:
        """What the session's cookie holds."""
        return f"secret-of-{self.name}"

    @property
    def csrf(self) -> str:
        """The token of the session's forms: it tells in whose name the form was opened, too."""
        if self.session is None:
            return "none"
        whose = self.session["person"], self.session.get("patient"), self.session.get("unit")
        return f"{self.kept_csrf}.{focus_mark(*whose)}"

    @property
    def kept_csrf(self) -> str:
        """What the session keeps of it."""
        return f"csrf-of-{self.name}"


NOBODY = Caller("nobody")


@dataclass
class InProcess:
    """A running Varde."""

    house: House
    varde: Varde
    clock: TestClock
    tokens: DemoTokens
    folder: Path
    _headers: dict[str, tuple[datetime, dict[str, str]]] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Said:
        """One request: `target` is a path with its query."""
        parts = urlsplit(target)
        sent = {"host": "127.0.0.1:8000", **(headers or {})}
        if body:
            sent.setdefault("content-length", str(len(body)))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(parts.path), "raw_path": parts.path.encode(), "query_string": parts.query.encode(),
            "root_path": "", "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in sent.items()],
            "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        start: dict[str, Any] = {}
        pieces: list[bytes] = []
        given = False

        async def receive() -> dict[str, Any]:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                pieces.append(message.get("body", b""))

        await self.varde(scope, receive, send)
        told = tuple((k.decode().lower(), v.decode("latin-1")) for k, v in start.get("headers", ()))
        return Said(start.get("status", 0), told, b"".join(pieces))

    async def headers_of(self, caller: Caller) -> dict[str, str]:
        """What a caller sends along: a bearer token, a session's cookie, or both. Made anew before they are too old."""
        kept = self._headers.get(caller.name)
        if kept is not None and kept[0] > self.clock.now():
            return dict(kept[1])
        made: dict[str, str] = {}
        if caller.token is not None:
            made["authorization"] = f"Bearer {self.tokens.make(caller.token)}"
        if caller.session is not None:
            await self.log_in(caller)
            made["cookie"] = f"{self.house.sessions.cookie}={caller.secret}"
        self._headers[caller.name] = (self.clock.now() + timedelta(minutes=20), made)
        return dict(made)

    async def log_in(self, caller: Caller) -> None:
        """A session with a secret that tests know, as after a login."""
        assert caller.session is not None
        known = sha256(caller.secret.encode()).digest()
        async with self.house.platform.database.transaction() as connection:
            await connection.execute("delete from trust_session where digest = $1", known)
            secret = await self.house.sessions.start(connection, **{"display_name": "Den som spør", **caller.session})
            await connection.execute(
                "update trust_session set digest = $2, csrf = $3 where digest = $1",
                sha256(secret.encode()).digest(), known, caller.kept_csrf,
            )  # fmt: skip

    async def ask(
        self,
        caller: Caller,
        method: str,
        target: str,
        *,
        body: Any = None,
        kind: str = FHIR_JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """A request of `caller`; `body` is bytes, or something to be sent as JSON."""
        sent = await self.headers_of(caller)
        raw = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        if body is not None:
            sent["content-type"] = kind
        answer = await self.call(method, target, headers={**sent, **(headers or {})}, body=raw)
        if caller.token is None or caller.token.get("kind") != "system":
            markers.look(answer.text, f"{method} {target} as {caller.name}")
        return answer

    def system(self) -> Scope:
        """The house's own scope: all may be read and written."""
        return self.house.platform.access.for_system("test", write_types=None)

    async def write(self, *resources: Mapping[str, Any]) -> None:
        """As the house."""
        await self.house.platform.store.write_many(self.system(), list(resources))

    async def drain(self) -> None:
        """All that is due, and what that causes."""
        await self.house.worker(recurring=False).drain(self.clock.now())


class _Unmeasured(Requests):
    """The metrics of a process can be registered once; here are several houses in one."""

    def __init__(self) -> None:
        pass

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Nothing."""


def composed(house: House) -> Varde:
    """Varde over a house, as a web process has it."""
    measured, asgi.Requests = asgi.Requests, _Unmeasured  # type: ignore[misc]
    try:
        return Varde(house)
    finally:
        asgi.Requests = measured  # type: ignore[misc]


def _house(url: str, folder: Path, clock: TestClock) -> House:
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(mode="demo", data=folder, database_url=url)
    return build(settings, process="test", clock=clock, connections=4)


@asynccontextmanager
async def in_process(url: str, folder: Path, clock: TestClock | None = None) -> AsyncIterator[InProcess]:
    """Varde in demo mode on the database at `url`, with its keys in `folder`."""
    standing = clock or TestClock()
    house = _house(url, folder, standing)
    varde = composed(house)
    try:
        yield InProcess(house, varde, standing, DemoTokens(folder, standing), folder)
    finally:
        await house.close()
