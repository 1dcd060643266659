"""A small site with Varde's login and nothing else, on a real port, with the demo's own identity provider."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urljoin

import httpx
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.browsing import free_port
from tests.trust.region import OTHER_WARD, WARD, World
from varde.clock import MovableClock
from varde.demo.issuer import MOUNT, Issuer, Proxy
from varde.trust.identity import helseid, idporten
from varde.trust.identity.dpop import Prover
from varde.trust.identity.helseid import Terms
from varde.trust.identity.keys import ClientKeys, load_key
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import Registration, Side
from varde.trust.login import Login, SessionMiddleware
from varde.trust.logout import Farewell, Logout
from varde.trust.persons import ENH
from varde.trust.sessions import Limits, Sessions

CLIENTS = {"patient": "varde-patient", "staff": "varde-staff"}
TRUST, OTHER_TRUST = "983974899", "983974910"
"""Organisation numbers: whose the wards of the region are, and another's."""


class Anywhere(Protocol):
    """Where a site is, and the folder of its keys."""

    @property
    def folder(self) -> Path: ...
    @property
    def port(self) -> int: ...
    @property
    def base(self) -> str: ...
    @property
    def clock(self) -> MovableClock: ...


@dataclass
class RunningIssuer:
    """The demo's provider as a process, for one port of ours."""

    issuer: Issuer
    folder: Path
    port: int
    clock: MovableClock
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def persons(self, **sides: list[dict[str, Any]]) -> None:
        self.issuer.persons.write_text(json.dumps(sides))

    def start(self) -> None:
        command, folder = self.issuer.prepare()
        log = (self.folder / "node.log").open("ab")
        self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self.issuer.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "node.log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(5)


@contextmanager
def running_issuer(folder: Path) -> Iterator[RunningIssuer]:
    port = free_port()
    clock = MovableClock(folder / "clock")
    keys = ClientKeys(folder / "client.json", clock).public()
    made = RunningIssuer(
        Issuer(folder, f"http://127.0.0.1:{port}", keys, CLIENTS, clock=folder / "clock"), folder, port, clock
    )
    made.persons(patient=[], staff=[])
    made.start()
    yield made
    made.stop()


def patient_choice(number: str, **more: Any) -> dict[str, Any]:
    """A person on the provider's list."""
    return {
        "key": f"k{number}",
        "name": "N",
        "detail": "d",
        "subject": f"s{number}",
        "claims": {idporten.PID: number},
        **more,
    }


def staff_choice(hpr: str, *, claims: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One of staff, of the trust that the region's wards belong to, as HelseID tells of them."""
    told = {helseid.HPR: hpr, helseid.ASSURANCE: "high", helseid.PARENT: TRUST, **(claims or {})}
    return {"key": f"k{hpr}", "name": "N", "detail": "d", "subject": f"s{hpr}", "claims": told, **more}


async def put_under_trusts(world: World) -> None:
    """The region's wards below a trust with an organisation number; another trust beside it."""
    wards = (WARD, OTHER_WARD)
    await world.write(
        *({"resourceType": "Organization", "id": f"t{number}", "active": True, "name": f"Foretak {number}",
           "identifier": [{"system": ENH, "value": number}]} for number in (TRUST, OTHER_TRUST)),
        *({"resourceType": "Organization", "id": ward, "active": True, "name": ward,
           "partOf": {"reference": f"Organization/t{TRUST}"}} for ward in wards),
    )  # fmt: skip


@dataclass
class Site:
    """The site, and what its tests look into."""

    base: str
    sessions: Sessions
    world: World
    issuer: Anywhere
    providers: dict[Side, Provider]
    terms: Terms


def registrations(base: str, issuers: dict[Side, str], keys: ClientKeys, terms: Terms) -> list[Registration]:
    """Varde's, at the providers of both sides."""
    return [
        idporten.registration(issuers["patient"], CLIENTS["patient"], f"{base}/login/callback", keys),
        helseid.registration(issuers["staff"], CLIENTS["staff"], f"{base}/arbeid/login/callback", keys, terms),
    ]


@asynccontextmanager
async def site(
    world: World,
    issuer: Anywhere,
    *,
    secure: bool = False,
    terms: Terms | None = None,
    issuers: dict[Side, str] | None = None,
    patience: float = 10,
) -> AsyncIterator[Site]:
    """Serve it until the end of the block. `issuers`: others than the demo's."""
    terms = terms or Terms()
    await put_under_trusts(world)
    sessions = Sessions(world.database, world.clock, Limits(), secure=secure)
    keys = ClientKeys(issuer.folder / "client.json", world.clock)
    prover = Prover(load_key(issuer.folder / "proof.json"), world.clock)
    own: dict[Side, str] = {
        "patient": f"{issuer.base}{MOUNT}/patient", "staff": f"{issuer.base}{MOUNT}/staff",
    }  # fmt: skip

    async def me(request: Request) -> Response:
        session, scope = request.state.session, request.state.scope
        if session is None:
            return JSONResponse(None, 401)
        known = {"kind": session.kind, "person": session.person, "patient": session.patient, "csrf": session.csrf}
        known |= {"level": session.level, "organisation": session.organisation}
        known |= {"authenticated": session.authenticated.timestamp(), "device": session.device}
        return JSONResponse(
            known | {"ground": scope.ground.key, "unit": scope.actor.unit, "name": session.display_name}
        )

    async def problem(request: Request) -> Response:
        return JSONResponse(dict(request.query_params), 403)

    def farewell(request: Request, leaving: Farewell) -> Response:
        return JSONResponse({"address": leaving.address, "fields": dict(leaving.fields)})

    async with httpx.AsyncClient(trust_env=False, timeout=patience) as http:
        providers: dict[Side, Provider] = {
            one.side: Provider(one, world.clock, http, prover, patience)
            for one in registrations(issuer.base, issuers or own, keys, terms)
        }
        login = Login(world.database, world.access, sessions, providers, terms)
        logout = Logout(sessions, providers, issuer.base, farewell)
        application = Starlette(
            routes=[
                Route("/me", me), Route("/login/problem", problem), *login.routes(), *logout.routes(),
                *_of_demo(issuer),
            ],
            middleware=[Middleware(SessionMiddleware, sessions=sessions, access=world.access)],
        )  # fmt: skip
        server = Server(
            application, address="127.0.0.1", port=issuer.port, interface=Interfaces.ASGI, log_enabled=False
        )
        task = asyncio.create_task(server.serve())
        await _listening(issuer.base)
        try:
            yield Site(issuer.base, sessions, world, issuer, providers, terms)
        finally:
            server.stop()
            await task


def _of_demo(issuer: Anywhere) -> list[Mount]:
    """The way to the demo's provider, which has no port of its own."""
    return [Mount(MOUNT, Proxy(issuer.issuer.socket, issuer.base))] if isinstance(issuer, RunningIssuer) else []


async def _listening(base: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(200):
            try:
                await client.get(f"{base}/me")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    raise RuntimeError("the site does not listen")


class Browser:
    """One visitor: keeps cookies, follows redirects one by one, and remembers every address and header."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = httpx.AsyncClient(trust_env=False, base_url=base, timeout=15)
        self.addresses: list[str] = []

    async def get(self, path: str, **more: Any) -> httpx.Response:
        self.addresses.append(urljoin(self.base, path))
        return await self.http.get(path, **more)

    async def until(self, path: str, *wanted: str) -> str:
        """Follow redirects from `path`; the first address in which one of `wanted` stands, not yet asked for."""
        for _ in range(12):
            answer = await self.get(path)
            if "<title>Submitting Callback</title>" in answer.text:  # another person at the provider than before
                action = re.search(r'action="([^"]+)"', answer.text)
                fields = re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text)
                assert action is not None
                answer = await self.http.post(action[1], data=dict(fields))
            assert answer.status_code in {302, 303}, (path, answer.status_code, answer.text[:300])
            path = urljoin(self.addresses[-1], answer.headers["location"])
            if any(part in path for part in wanted):
                self.addresses.append(path)
                return path
        raise AssertionError(f"never came to {wanted}")

    async def to_callback(self, key: str, side: str = "patient", til: str = "/me") -> str:
        """Begin to log in and choose a person; the address of our callback with code and state."""
        start = "/login" if side == "patient" else "/arbeid/login"
        path = await self.until(f"{start}?til={til}", "/interaction/", "/login/callback")
        if "/login/callback" in path:  # the provider knows the browser still
            return path
        page = await self.get(path)
        assert page.status_code == 200 and re.search(r"oppdiktet", page.text)
        answer = await self.http.post(path, data={"person": key})
        assert answer.status_code in {302, 303}, answer.text[:300]
        next_address = urljoin(path, answer.headers["location"])
        if "/login/callback" in next_address:
            return next_address
        return await self.until(next_address, "/login/callback")

    async def sent_back(self, side: str = "patient", til: str = "/me", **query: str) -> str:
        """Begin to log in where nobody is asked who they are; the address of our callback."""
        start = "/login" if side == "patient" else "/arbeid/login"
        return await self.until(f"{start}?{urlencode({'til': til, **query})}", "/login/callback?")

    async def come_in(self, side: str = "patient", til: str = "/me", **query: str) -> httpx.Response:
        """The whole way there; the answer of our callback."""
        return await self.get(await self.sent_back(side, til, **query))

    async def log_in(self, key: str, side: str = "patient", til: str = "/me") -> httpx.Response:
        """The whole way; the answer of our callback."""
        return await self.get(await self.to_callback(key, side, til))

    async def me(self) -> Any:
        """What the site knows of the visitor; None when nobody is logged in."""
        answer = await self.get("/me")
        return answer.json() if answer.status_code == 200 else None
