"""Logging out: here, at the identity provider, and what the provider says of its own sessions' ends.

Sources: OpenID Connect RP-Initiated Logout 1.0, Front-Channel Logout 1.0, Back-Channel Logout 1.0; ID-porten sends
its word through the browser, HelseID from server to server.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.trust.identity.checking import check_logout_token
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import LoginRefused, ProviderUnavailable, Side
from varde.trust.identity.tokens import Kept
from varde.trust.sessions import Session, Sessions

FRONT, BACK = "frontchannel", "backchannel"
_LARGEST = 16_384
"""Bytes of a logout token with its form."""
_log = structlog.get_logger("varde.login")


@dataclass(frozen=True, slots=True)
class Farewell:
    """What ends the provider's own session too: a form for the browser to send. Never an address: the id_token that
    proves who asks holds the national identity number."""

    address: str
    fields: Mapping[str, str]
    side: Side


FarewellPage = Callable[[Request, Farewell], Response]


class Logout:
    """The routes of logging out."""

    def __init__(self, sessions: Sessions, providers: Mapping[Side, Provider], base: str, page: FarewellPage) -> None:
        """`base`: our public address, where the provider sends the browser back to."""
        self._sessions = sessions
        self._providers = providers
        self._home = f"{base}/"
        self._page = page

    def routes(self) -> list[BaseRoute]:
        """/logout, /login/frontchannel, /login/backchannel and the same of /arbeid."""
        found: list[BaseRoute] = [
            Route("/logout", self._logout, methods=["GET", "POST"]),
            Route("/arbeid/logout", self._logout, methods=["GET", "POST"]),
        ]
        for side, path in (("patient", "/login"), ("staff", "/arbeid/login")):
            found += [
                Route(f"{path}/{FRONT}", self._front(side)),  # type: ignore[arg-type]
                Route(f"{path}/{BACK}", self._back(side), methods=["POST"]),  # type: ignore[arg-type]
            ]
        return found

    async def _logout(self, request: Request) -> Response:
        """Ends the session when the form is the session's own; a link or another site's form ends nothing."""
        session: Session | None = getattr(request.state, "session", None)
        response: Response = RedirectResponse("/", 303)
        if session is not None:
            form = await request.form(max_files=0, max_fields=10) if request.method == "POST" else {}
            if not hmac.compare_digest(str(form.get("csrf", "")).encode(), session.csrf.encode()):
                return RedirectResponse("/arbeid" if session.kind == "staff" else "/", 303)
            farewell = await self.end(session)
            request.state.session = request.state.scope = None
            if farewell is not None:
                response = self._page(request, farewell)
        self._sessions.forget(response, self._sessions.cookie)
        return response

    async def end(self, session: Session) -> Farewell | None:
        """End a session; what then ends the provider's, if it can be reached and says how."""
        tokens = await self._sessions.tokens(session)
        await self._sessions.end(session.digest)
        side: Side = "staff" if session.kind == "staff" else "patient"
        provider = self._providers[side]
        try:
            address = await provider.endpoint("end_session_endpoint")
        except ProviderUnavailable:
            return None
        if address is None:
            return None
        fields = {"post_logout_redirect_uri": self._home, "client_id": provider.registration.client_id}
        if tokens is not None:
            fields["id_token_hint"] = Kept.from_bytes(tokens).id_token
        if session.provider_session:
            fields["logout_hint"] = session.provider_session
        return Farewell(address, fields, side)

    def _front(self, side: Side) -> Any:
        async def front(request: Request) -> Response:
            """In a frame of the provider's page, where our cookies do not come: its session is known by its name,
            which nobody can guess."""
            provider = self._providers[side]
            session = request.query_params.get("sid", "")
            if request.query_params.get("iss") != provider.registration.issuer or not session:
                return _blank(provider, 400)
            ended = await self._sessions.end_of_provider(staff=side == "staff", session=session, subject=None)
            _log.info("logout.provider", side=side, channel=FRONT, sessions=ended)
            return _blank(provider, 200)

        return front

    def _back(self, side: Side) -> Any:
        async def back(request: Request) -> Response:
            try:
                ended = await self._told(side, await _logout_token(request))
            except LoginRefused as refused:
                _log.warning("logout.refused", side=side, reason=str(refused))
                return _answer(400, {"error": "invalid_request"})
            except ProviderUnavailable as error:  # its keys are not to be had: it may say so again
                _log.warning("login.provider", side=side, reason=str(error))
                return _answer(503, {"error": "temporarily_unavailable"})
            _log.info("logout.provider", side=side, channel=BACK, sessions=ended)
            return _answer(200, None)

        return back

    async def _told(self, side: Side, token: str) -> int:
        """How many sessions a logout token ended. Raises LoginRefused, ProviderUnavailable."""
        provider = self._providers[side]
        registration = provider.registration
        header, claims = await provider.verified(token, registration.id_token_algorithms)
        ended = check_logout_token(registration, header, claims, provider.now())
        expires = datetime.fromtimestamp(ended.expires, UTC)
        if not await self._sessions.take_logout(registration.issuer, ended.token, expires):
            raise LoginRefused("the logout token was used before")
        return await self._sessions.end_of_provider(staff=side == "staff", session=ended.session, subject=ended.subject)


async def _logout_token(request: Request) -> str:
    """The one field of the form. Raises LoginRefused."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise LoginRefused("the form is too large")
    found = parse_qs(body.decode("latin-1")).get("logout_token", [])
    if len(found) != 1:
        raise LoginRefused("no logout token")
    return found[0]


def _answer(status: int, body: Mapping[str, str] | None) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(status_code=status, headers=headers) if body is None else JSONResponse(body, status, headers)


def _blank(provider: Provider, status: int) -> Response:
    """An empty page that the provider's pages, and nobody else's, may frame."""
    names = ("end_session_endpoint", "authorization_endpoint")
    addresses = [provider.registration.issuer, *(provider.known_endpoint(name) for name in names)]
    hosts = {"://".join(urlsplit(address)[:2]) for address in addresses if address}
    policy = f"default-src 'none'; frame-ancestors {' '.join(sorted(hosts))}"
    return HTMLResponse("", status, {"cache-control": "no-store", "content-security-policy": policy})
