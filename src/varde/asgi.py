"""The house over HTTP: one bare ASGI application that sends each request to its side by the path alone.

The API's requests pass no framework on their way (docs/decisions): `/fhir` first, then what watches the house
(health.py), the demo's own addresses, and the pages, which are Starlette's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import asyncpg
import httpx
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import BaseRoute

from varde.api import INSTANTIATES, operations
from varde.app import House, build
from varde.db import AWAY
from varde.demo.endpoints import Endpoints
from varde.demo.issuer import MOUNT, Proxy, socket_of
from varde.edges.subscribers.sockets import PATH as SOCKETS
from varde.fhir.definitions import is_type
from varde.fhir.errors import Unavailable
from varde.fhir.http.capability import Statement
from varde.fhir.http.proxy import Proxied
from varde.fhir.http.rest import FhirApplication
from varde.health import Health
from varde.observe import Requests, configure_logging
from varde.services import Card
from varde.settings import Settings, settings
from varde.smart import authorization_server
from varde.trust.helseid.bearer import Tokens
from varde.trust.helseid.granting import Granting
from varde.trust.identity import helseid, idporten
from varde.trust.identity.dpop import Prover
from varde.trust.identity.helseid import Organisation, Place, Terms
from varde.trust.identity.keys import ClientKeys, load_key
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import Level, Side
from varde.trust.log.auditing import AuditEvents
from varde.trust.login import Login, SessionMiddleware
from varde.trust.logout import Logout
from varde.trust.smart import endpoints
from varde.trust.smart.endpoints import AuthorizationServer
from varde.trust.tokens import Authenticator, DemoTokens, HelseId
from varde.web import apps, signing, switching
from varde.web.assets import Assets
from varde.web.errors import error_page
from varde.web.routes import install, routes
from varde.web.shell import MenuItem, Shell, TemplateFolder

_ = str  # marks messages for extraction

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

_AWAY = (*AWAY, asyncpg.TooManyConnectionsError, asyncpg.InterfaceError, Unavailable)
_log = structlog.get_logger("varde.asgi")


def application() -> Application:
    """The application of a web process, from the settings of the environment. Called once by Granian."""
    chosen = settings()
    configure_logging(chosen, "web")
    return Varde(build(chosen, process="web"))


class _Answer:
    """What is seen of one answer on its way out: its status and how long it took."""

    __slots__ = ("_secure", "_send", "_started", "status")

    def __init__(self, send: Any, *, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self._started = time.perf_counter()
        self.status = 0
        """0 until it has begun."""

    async def plain(self, message: MutableMapping[str, Any]) -> None:
        """Pass on a message of the API, which says its own headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def with_headers(self, message: MutableMapping[str, Any]) -> None:
        """Pass on a message with the headers that every answer of a site carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            _add_headers(message, secure=self._secure)
        await self._send(message)

    def seconds(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self._started


async def _fail(send: Any) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Noe gikk galt hos oss."})


class Varde:
    """The whole application."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._settings = house.platform.settings
        base = self._settings.base
        self._secure = base.startswith("https:")
        self._tokens = DemoTokens(self._settings.data, house.platform.clock) if self._settings.demo else None
        self._requests = Requests()
        self._http = _provider_client(self._settings)
        self.smart = smart = authorization_server(house, self._http)
        offered = operations(house)
        others = [AuditEvents(house.platform.database)]
        self._fhir = FhirApplication(
            house.platform.store,
            self._authenticator(smart),
            f"{base}/fhir",
            Statement(
                f"{base}/fhir",
                house.platform.clock.now().date().isoformat(),
                offered,
                INSTANTIATES,
                smart.addresses.oauth_uris(),
                others,
            ),
            smart.addresses.smart,
            offered,
            origins=[origin.strip() for origin in self._settings.fhir_origins.split(",")],
            proxied=Proxied(f"{base}/fhir") if self._settings.forwarded_trusted else None,
            documents=house.subscriptions.documents(),
            others=others,
        )
        self._sockets = house.subscriptions.sockets()
        self._health = Health(house)
        self._pages = pages(house, self._http, smart)
        self._demo: Endpoints | None = None
        self._issuer: Proxy | None = None
        if self._settings.demo:
            self._demo = Endpoints(house)
            self._issuer = Proxy(socket_of(self._settings.data / "issuer"), base)

    def _authenticator(self, smart: AuthorizationServer) -> Authenticator:
        """What finds out who a request of the API is from."""
        access, agreed = self._house.platform.access, self._house.contract
        helseid = None
        if agreed is not None:
            helseid = HelseId(Tokens(agreed, access.clock, self._http), Granting(access, agreed))
        return Authenticator(
            access, self._tokens, smart.tokens, helseid, proofs=smart.proofs, base=self._settings.base
        )  # fmt: skip

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request, or the process's beginning and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        answer = _Answer(send, secure=self._secure)
        path: str = scope["path"]
        try:
            if path.startswith("/fhir") and (len(path) == 5 or path[5] == "/"):
                scope["root_path"] = "/fhir"
                await self._fhir(scope, receive, answer.plain)
                route = fhir_template(path)
            else:
                route = await self._other(path, scope, receive, answer.with_headers)
        except Exception as error:
            # A page has been answered and logged by then; its text, which the server would print, may tell of a person.
            route = "failed"
            if answer.status == 0:
                _log.error("request.failure", exc_info=error)
                await _fail(answer.with_headers)
        self._requests.observe(route, scope["method"], answer.status, answer.seconds())

    async def _websocket(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Those of subscriptions, and no other."""
        if scope["path"] == SOCKETS:
            await self._sockets(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close"})

    async def _other(self, path: str, scope: MutableMapping[str, Any], receive: Any, send: Any) -> str:
        """Answer what is not the API's; the route's template."""
        if path in Health.PATHS:
            await self._health(scope, receive, send)
            return path
        if self._issuer is not None and path.startswith(f"{MOUNT}/"):
            await self._issuer(scope, receive, send)
            return f"{MOUNT}/…"
        if self._demo is not None and path in Endpoints.PATHS:
            await self._demo(scope, receive, send)
            return path
        await self._pages(scope, receive, send)
        return page_template(scope)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._http.aclose()
                await self._sockets.stop()
                await self._house.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def fhir_template(path: str) -> str:
    """The route of an API request without what it names: `/fhir/{type}/{id}/_history`."""
    parts = path[6:].split("/") if len(path) > 6 else []
    out = ["/fhir"]
    for place, part in enumerate(parts[:6]):
        if place == 0 and is_type(part):
            out.append("{type}")
        elif part.startswith(("_", "$", ".")) or part in {"metadata", "smart-configuration"}:
            out.append(part if part in _KNOWN else "other")
        else:
            out.append("{id}" if place else "other")
    return "/".join(out)


_KNOWN = frozenset({"_search", "_history", "metadata", ".well-known", "smart-configuration"})


def page_template(scope: Mapping[str, Any]) -> str:
    """The route of a page's request without what it names; "unmatched" when there is none."""
    if "endpoint" not in scope:
        return "unmatched"
    named: Mapping[str, Any] = scope.get("path_params") or {}
    by_value = {str(value): name for name, value in named.items()}
    path: str = scope["path"]
    return "/".join(f"{{{by_value[part]}}}" if part in by_value else part for part in path.split("/"))


def _add_headers(message: MutableMapping[str, Any], *, secure: bool) -> None:
    """What every answer of a site must say, where the answer does not say so itself."""
    headers = list(message.get("headers", ()))
    present = {bytes(name).lower() for name, _ in headers}
    headers += [(name, value) for name, value in _HEADERS if name not in present]
    if secure:
        headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
    message["headers"] = headers


_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


def _issuers(chosen: Settings) -> dict[str, str]:
    own = f"{chosen.base}{MOUNT}"
    given = {"patient": chosen.patient_issuer, "staff": chosen.staff_issuer}
    missing = [side for side, issuer in given.items() if issuer is None]
    if missing and not chosen.demo:
        raise ValueError(f"VARDE_{missing[0].upper()}_ISSUER is not set: nobody could log in")
    return {side: issuer or f"{own}/{side}" for side, issuer in given.items()}


def _provider_client(chosen: Settings) -> httpx.AsyncClient:
    """HTTP to the identity providers. The demo's own is spoken to by its socket, whatever our public address is."""
    mounts = {}
    if chosen.demo:
        socket = str(socket_of(chosen.data / "issuer"))
        mounts[f"all://{httpx.URL(chosen.base).netloc.decode()}"] = httpx.AsyncHTTPTransport(uds=socket)
    scheme = httpx.URL(chosen.base).scheme
    headers = {"x-forwarded-proto": scheme} if chosen.demo else None
    return httpx.AsyncClient(timeout=chosen.provider_seconds, mounts=mounts, headers=headers, trust_env=not chosen.demo)


def _terms(chosen: Settings) -> Terms:
    return Terms(
        Level[chosen.staff_level.upper()],
        [Organisation.parse(text) for text in chosen.staff_organisations],
        Place(chosen.staff_attests),
        chosen.staff_api_scopes,
    )


def _providers(house: House, http: httpx.AsyncClient, terms: Terms) -> dict[Side, Provider]:
    chosen, clock = house.platform.settings, house.platform.clock
    issuers = _issuers(chosen)
    keys = ClientKeys(chosen.client_key_file or chosen.data / "client-key.json", clock)
    prover = Prover(load_key(chosen.proof_key_file or chosen.data / "proof-key.json"), clock)
    patients = idporten.registration(
        issuers["patient"], chosen.patient_client_id, f"{chosen.base}/login/callback", keys
    )
    staff = helseid.registration(
        issuers["staff"], chosen.staff_client_id, f"{chosen.base}/arbeid/login/callback", keys, terms
    )
    return {one.side: Provider(one, clock, http, prover, chosen.provider_seconds) for one in (patients, staff)}


def pages(house: House, http: httpx.AsyncClient, smart: AuthorizationServer) -> Starlette:
    """The pages of the shell and of every service, and what apps call."""
    platform = house.platform
    shell = Shell(
        platform.clock,
        Assets(),
        patient_menu=[
            MenuItem("/", _("Forsiden")),
            *(MenuItem(path, text) for service in house.services for path, text in service.patient_menu),
            apps.PATIENT_MENU,
        ],
        staff_menu=[
            *(MenuItem(path, text) for service in house.services for path, text in service.staff_menu),
            apps.STAFF_MENU,
        ],
        folders=[TemplateFolder(service.name, *service.templates) for service in house.services if service.templates],
        demo=platform.settings.demo,
    )
    terms = _terms(platform.settings)
    providers = _providers(house, http, terms)
    login = Login(platform.database, platform.access, house.sessions, providers, terms)
    logout = Logout(house.sessions, providers, platform.settings.base, signing.farewell)

    async def cards(request: Request) -> Sequence[Card]:
        found: list[Card] = []
        for service in house.services:
            if service.home_cards is not None:
                found += await service.home_cards(platform, request.state.scope)
        return found

    all_routes: list[BaseRoute] = [
        *routes(shell, cards),
        *login.routes(),
        *logout.routes(),
        *signing.routes(platform.access, house.sessions, terms),
        *switching.routes(platform.access, house.sessions),
        *endpoints.routes(smart),
        *apps.routes(smart, house.sessions),
    ]
    for service in house.services:
        for some in (service.patient_routes, service.staff_routes, service.operator_routes, service.public_routes):
            all_routes += some(platform)
    made = Starlette(
        routes=all_routes,
        middleware=[
            Middleware(_Away),
            Middleware(SessionMiddleware, sessions=house.sessions, access=platform.access),
        ],
    )
    install(made, shell)
    return made


class _Away:
    """A page that says so when the database or a register is away, also where the session is looked up."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        begun = False

        async def watched(message: Mapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except _AWAY:
            if begun:
                raise
            scope.setdefault("state", {})["session"] = None
            await error_page(Request(scope, receive), 503)(scope, receive, send)
