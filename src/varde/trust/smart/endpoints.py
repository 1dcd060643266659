"""The endpoints that apps call by themselves: token, introspection (RFC 7662), revocation (RFC 7009), PAR (RFC 9126),
keys and metadata. Where a person's browser comes is `web/apps`'.

Open to browsers' scripts from anywhere (CORS) where apps without a server of their own need it: no cookie counts
here, so that a foreign page can do no more than any other program.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import Clock
from varde.trust.access import Access
from varde.trust.access import Refused as PersonRefused
from varde.trust.proofs import Proofs, WrongProof
from varde.trust.smart.authorizations import PUSHED_SECONDS, Authorization, Authorizations, GrantRefused, Issued
from varde.trust.smart.clients import Authentication, Client, Clients, Side
from varde.trust.smart.discovery import INTROSPECT, JWKS, PAR, PREFIX, REVOKE, STYLE, TOKEN, Addresses
from varde.trust.smart.keys import SigningKeys
from varde.trust.smart.opening import AppTokens
from varde.trust.smart.proving import NotProven, Proving, TooManyFailures
from varde.trust.smart.requests import PUSHED, Refused, Requests, redirect_of, single
from varde.trust.smart.scopes import InvalidScope, covered, read_words

_ID_TOKEN_SECONDS = 300
_MOST_FIELDS = 50
_NEVER_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}
_STYLED = {"cache-control": "public, max-age=3600"}
_OPEN = {"access-control-allow-origin": "*", "access-control-expose-headers": "DPoP-Nonce, Retry-After"}
_PREFLIGHT = {
    **_OPEN, "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, accept, dpop", "access-control-max-age": "600",
}  # fmt: skip
_log = structlog.get_logger("varde.smart")

Handler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """All the parts of the authorization server, made once a process by the composition."""

    addresses: Addresses
    clock: Clock
    access: Access
    clients: Clients
    requests: Requests
    authorizations: Authorizations
    tokens: AppTokens
    keys: SigningKeys
    proving: Proving
    proofs: Proofs


def routes(server: AuthorizationServer) -> list[BaseRoute]:
    """The endpoints, all under /auth."""
    endpoints = Endpoints(server)
    return [
        Route(TOKEN, endpoints.posted(endpoints.token), methods=["POST", "OPTIONS"]),
        Route(REVOKE, endpoints.posted(endpoints.revoke), methods=["POST", "OPTIONS"]),
        Route(PAR, endpoints.posted(endpoints.push), methods=["POST", "OPTIONS"]),
        Route(INTROSPECT, endpoints.posted(endpoints.introspect), methods=["POST", "OPTIONS"]),
        Route(JWKS, endpoints.told(server.keys.public), methods=["GET", "OPTIONS"]),
        Route(STYLE, endpoints.told(_style), methods=["GET", "OPTIONS"]),
        Route(
            f"{PREFIX}/.well-known/openid-configuration",
            endpoints.told(server.addresses.openid), methods=["GET", "OPTIONS"],
        ),
    ]  # fmt: skip


class Endpoints:
    """What each endpoint does."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def told(self, document: Callable[[], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """A public document."""

        async def answer(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_PREFLIGHT)
            return JSONResponse(document(), headers=_OPEN | _STYLED)

        return answer

    def posted(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A form, answered as OAuth answers: errors too."""

        async def answer(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_PREFLIGHT)
            try:
                return await handler(request, await _form(request))
            except NotProven as failure:
                _log.warning("smart.not_proven", reason=str(failure), path=request.url.path)
                status = 401 if failure.basic else 400
                challenge = {"www-authenticate": 'Basic realm="apps"'} if failure.basic else {}
                return _error(failure.error, str(failure), status, challenge)
            except TooManyFailures as failure:
                retry = {"retry-after": str(failure.seconds)}
                return _error("slow_down", "too many failed tries; wait", 429, retry)
            except WrongProof as failure:
                return _error(failure.error, str(failure), headers=failure.headers)
            except GrantRefused as failure:
                _log.warning("smart.grant_refused", reason=str(failure))
                return _error("invalid_grant", str(failure))
            except Refused as failure:
                return _error(failure.error, str(failure))

        return answer

    async def _client(self, request: Request, form: Mapping[str, str]) -> Client:
        return await self._server.proving.client(form, request.headers.get("authorization"), _place(request))

    async def token(self, request: Request, form: Mapping[str, str]) -> Response:
        """POST /auth/token."""
        kinds = {
            "authorization_code": self._code, "refresh_token": self._refresh, "client_credentials": self._system,
        }  # fmt: skip
        kind = kinds.get(form.get("grant_type", ""))
        if kind is None:
            raise Refused("unsupported_grant_type", f"grant_type is one of {', '.join(kinds)}")
        client = await self._client(request, await self._named(request, form))
        thumbprint = await self._possessed(request)
        if client.bound and thumbprint is None:
            raise Refused("invalid_dpop_proof", "this app gets only tokens that are bound to its key")
        try:
            issued = await kind(client, form, thumbprint)
        except GrantRefused:
            await self._server.proving.failed(client.id, _place(request))
            raise
        return JSONResponse(await self._answer(client, issued), headers=_OPEN | _NEVER_KEPT)

    async def _possessed(self, request: Request) -> str | None:
        """The thumbprint of the key that the app proves to have, where it shows a proof (RFC 9449 5).

        Raises WrongProof.
        """
        shown = request.headers.getlist("dpop")
        if not shown:
            return None
        return await self._server.proofs.take(
            ",".join(shown), request.method, self._server.addresses.base + request.url.path
        )

    async def _named(self, request: Request, form: Mapping[str, str]) -> Mapping[str, str]:
        """The form; with the app that a refresh token was given to, where a public app does not say who it is, as it
        need not (RFC 6749 6). One with a proof must show it all the same."""
        said = "client_id" in form or "client_assertion" in form or "authorization" in request.headers
        if said or "refresh_token" not in form:
            return form
        owner = await self._server.authorizations.owner(form["refresh_token"])
        return form if owner is None else {**form, "client_id": owner}

    async def _code(self, client: Client, form: Mapping[str, str], thumbprint: str | None) -> Issued:
        code, redirect, verifier = (_needed(form, name) for name in ("code", "redirect_uri", "code_verifier"))
        return await self._server.authorizations.redeem(client, code, redirect, verifier, thumbprint)

    async def _refresh(self, client: Client, form: Mapping[str, str], thumbprint: str | None) -> Issued:
        refresh = _needed(form, "refresh_token")
        authorization = await self._server.authorizations.look(client, refresh, thumbprint)
        scopes = form.get("scope", authorization.scopes)
        try:
            if not _narrower(scopes, authorization.scopes):
                raise Refused("invalid_scope", "more is asked for than was given")
            await self._server.tokens.scope(client, authorization, scopes)
        except InvalidScope as error:
            raise Refused("invalid_scope", str(error)) from None
        except (PersonRefused, LookupError):
            raise GrantRefused("the person may not be let in any more") from None
        return await self._server.authorizations.refresh(client, refresh, scopes, thumbprint)

    async def _system(self, client: Client, form: Mapping[str, str], thumbprint: str | None) -> Issued:
        if Side.SYSTEM not in client.sides or client.authentication is not Authentication.KEY:
            raise Refused("unauthorized_client", "the app is not registered to act by itself")
        scopes = _needed(form, "scope")
        try:
            words, others = read_words(scopes)
            if others or not words or any(word.level != "system" for word in words):
                raise Refused("invalid_scope", "client_credentials is for system scopes")
            if not covered(scopes, client.scopes):
                raise Refused("invalid_scope", "more is asked for than the app is registered with")
        except InvalidScope as error:
            raise Refused("invalid_scope", str(error)) from None
        return await self._server.authorizations.for_system(client, " ".join(str(word) for word in words), thumbprint)

    async def _answer(self, client: Client, issued: Issued) -> dict[str, Any]:
        """The token response (SMART App Launch 2.2, 3.0.6)."""
        one = issued.authorization
        answer: dict[str, Any] = {
            "access_token": issued.access,
            "token_type": "Bearer" if issued.thumbprint is None else "DPoP",
            "expires_in": issued.seconds,
            "scope": issued.scopes,
        }
        if issued.refresh is not None:
            answer["refresh_token"] = issued.refresh
        if one.kind == "system":
            return answer
        answer |= _context(one, self._server.addresses)
        others = set(read_words(issued.scopes)[1])
        if "openid" in others:
            now = int(self._server.clock.now().timestamp())
            claims = {
                "iss": self._server.addresses.issuer,
                "sub": subject(client, one),
                "aud": client.id,
                "iat": now,
                "exp": now + _ID_TOKEN_SECONDS,
                **await self._about(one, others),
            }
            if issued.nonce is not None:
                claims["nonce"] = issued.nonce
            answer["id_token"] = self._server.keys.sign(claims)
        return answer

    async def _about(self, one: Authorization, others: set[str]) -> dict[str, str]:
        """What the id_token tells of who is logged in, by the scopes fhirUser and profile."""
        claims: dict[str, str] = {}
        access = self._server.access
        if not others & {"fhirUser", "profile"}:
            return claims
        if one.kind == "patient":
            _, person, _ = await access.act_for(one.person, one.person)
            user, name = f"Patient/{one.person}", person.name
        else:
            _, position = await access.for_staff(one.person, one.unit)
            user, name = f"Practitioner/{position.practitioner}", position.name
        if "fhirUser" in others:
            claims["fhirUser"] = f"{self._server.addresses.fhir}/{user}"
        if "profile" in others:
            claims |= {"name": name, "profile": f"{self._server.addresses.fhir}/{user}"}
        return claims

    async def introspect(self, request: Request, form: Mapping[str, str]) -> Response:
        """POST /auth/introspect: for the app whose token it is, and for registered resource servers."""
        client = await self._client(request, form)
        if client.authentication is Authentication.NONE:
            raise NotProven("a public app may not ask about tokens")
        found = await self._server.authorizations.find(_needed(form, "token"))
        inactive = JSONResponse({"active": False}, headers=_OPEN | _NEVER_KEPT)
        if found is None or (found.authorization.client != client.id and not client.introspects):
            return inactive
        one = found.authorization
        owner = await self._server.clients.find(one.client)
        try:
            if owner is None:
                raise LookupError("the app is closed")
            await self._server.tokens.scope(owner, one, found.scopes)
            others = set(read_words(found.scopes)[1])
            about = await self._about(one, others) if one.kind != "system" and "openid" in others else {}
        except (PersonRefused, LookupError):
            return inactive
        answer: dict[str, Any] = {
            "active": True,
            "scope": found.scopes,
            "client_id": one.client,
            "token_type": "Bearer" if found.thumbprint is None else "DPoP",
            "iat": int(found.created.timestamp()),
            "exp": int(found.expires.timestamp()),
            "iss": self._server.addresses.issuer,
            "sub": subject(owner, one),
            "aud": self._server.addresses.fhir,
        }
        if found.thumbprint is not None:
            answer["cnf"] = {"jkt": found.thumbprint}
        if one.kind != "system":
            answer |= _context(one, self._server.addresses) | about
        return JSONResponse(answer, headers=_OPEN | _NEVER_KEPT)

    async def revoke(self, request: Request, form: Mapping[str, str]) -> Response:
        """POST /auth/revoke: an app gives its own token back. 200 also for one that is not there."""
        client = await self._client(request, form)
        await self._server.authorizations.take_back(client, _needed(form, "token"))
        return Response(status_code=200, headers=_OPEN | _NEVER_KEPT)

    async def push(self, request: Request, form: Mapping[str, str]) -> Response:
        """POST /auth/par."""
        form = dict(form)
        client = await self._client(request, form)
        if "request_uri" in form:
            raise Refused("invalid_request", "request_uri is not pushed")
        thumbprint = await self._possessed(request)
        if thumbprint is not None and form.setdefault("dpop_jkt", thumbprint) != thumbprint:
            raise Refused("invalid_dpop_proof", "dpop_jkt is another key's than the proof's")
        try:
            redirect_of(client, form)
        except LookupError as error:
            raise Refused("invalid_request", str(error)) from None
        handle = await self._server.requests.keep(await self._server.requests.check(client, form), pushed=True)
        answer = {"request_uri": f"{PUSHED}{handle}", "expires_in": PUSHED_SECONDS}
        return JSONResponse(answer, 201, _OPEN | _NEVER_KEPT)


def subject(client: Client, one: Authorization) -> str:
    """Who is logged in, by a name that no two apps share, and that is nobody's number."""
    return sha256(f"varde-subject\n{client.id}\n{one.kind}\n{one.person}".encode()).hexdigest()[:40]


def _context(one: Authorization, addresses: Addresses) -> dict[str, Any]:
    """The launch context of a token response."""
    found: dict[str, Any] = {}
    if one.patient is not None:
        found["patient"] = one.patient
        # Nothing of ours is shown around an app: it must itself show whose record it is.
        found["need_patient_banner"] = True
    if one.encounter is not None:
        found["encounter"] = one.encounter
    if one.launched and one.unit is not None:
        found["fhirContext"] = [{"reference": f"Organization/{one.unit}"}]
    return found | {"smart_style_url": addresses.base + STYLE}


def _narrower(scopes: str, given: str) -> bool:
    _, others = read_words(scopes)
    _, had = read_words(given)
    return set(others) <= set(had) and covered(scopes, given)


def _style() -> dict[str, Any]:
    """Colours and shapes of the pages, for apps that follow them (SMART App Launch 2.2, smart_style_url)."""
    return {
        "color_background": "#ffffff",
        "color_error": "#c01b1b",
        "color_highlight": "#155765",
        "color_modal_backdrop": "#00000066",
        "color_success": "#068718",
        "color_text": "#1c2a2d",
        "dim_border_radius": "4px",
        "dim_font_size": "18px",
        "dim_spacing_size": "16px",
        "font_family_body": "Inter, sans-serif",
        "font_family_heading": "Inter, sans-serif",
    }


async def _form(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused("invalid_request", "the body is application/x-www-form-urlencoded")
    try:
        posted = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    except HTTPException:
        raise Refused("invalid_request", "the form cannot be read") from None
    return single([(name, text) for name, text in posted.multi_items() if isinstance(text, str)])


def _needed(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise Refused("invalid_request", f"{name} is needed")
    return form[name]


def _place(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _error(error: str, why: str, status: int = 400, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        {"error": error, "error_description": why}, status, {**_OPEN, **_NEVER_KEPT, **(headers or {})}
    )  # fmt: skip


__all__ = ["AuthorizationServer", "Endpoints", "routes", "subject"]
