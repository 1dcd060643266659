"""Logging in and out in a browser, and the middleware that puts session and scope on every page's request.

The two sides are alike but for the provider: patients by ID-porten, staff by HelseID.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.db import Database
from varde.fhir.keys import resource_key
from varde.trust.access import Access, Refused, note_portal_use
from varde.trust.oidc import LoginRefused, Provider, ProviderUnavailable
from varde.trust.persons import is_national_number
from varde.trust.sessions import Session, Sessions

PID = "pid"
STAFF_HPR = "helseid://claims/hpr/hpr_number"
PROBLEM = "/login/problem"
CHOOSE_UNIT = "/arbeid/enhet"
_log = structlog.get_logger("varde.login")


def _local(path: str | None) -> str:
    ok = bool(path) and path[0] == "/" and path[1:2] not in {"/", "\\"} and path.isprintable()  # type: ignore[index, union-attr]
    return path if ok and path is not None else "/"


class Login:
    """The routes of logging in and out."""

    def __init__(
        self,
        database: Database,
        access: Access,
        sessions: Sessions,
        patients: Provider,
        staff: Provider,
    ) -> None:
        self._database = database
        self._access = access
        self._sessions = sessions
        self._providers = {"patient": patients, "staff": staff}

    def routes(self) -> list[BaseRoute]:
        """/login, /arbeid/login, their callbacks and logouts. Choices after login are pages: web/signing.py."""
        return [
            Route("/login", self._start("patient")),
            Route("/login/callback", self._callback("patient")),
            Route("/arbeid/login", self._start("staff")),
            Route("/arbeid/login/callback", self._callback("staff")),
            Route("/logout", self._logout, methods=["GET", "POST"]),
            Route("/arbeid/logout", self._logout, methods=["GET", "POST"]),
        ]

    def _start(self, kind: str) -> Any:
        async def start(request: Request) -> Response:
            try:
                started = await self._providers[kind].start()
            except (ProviderUnavailable, LoginRefused) as error:
                _log.warning("login.provider", side=kind, reason=str(error))
                return _problem("provider", kind)
            target = _local(request.query_params.get("til"))
            await self._sessions.begin_login(kind, started.state, started.nonce, started.verifier, target)
            response = RedirectResponse(started.url, 303)
            self._sessions.put_login(response, started.state)
            return response

        return start

    def _callback(self, kind: str) -> Any:
        async def callback(request: Request) -> Response:
            query = request.query_params
            state = query.get("state", "")
            login = await self._sessions.take_login(kind, state)
            if login is None or request.cookies.get(self._sessions.login_cookie) != state:
                return _problem("old", kind)
            if "code" not in query:
                return RedirectResponse("/" if kind == "patient" else "/arbeid/login", 303)
            try:
                claims = await self._providers[kind].finish(
                    query["code"], query.get("iss"), login["nonce"], login["verifier"]
                )
                secret, choose = await (self._patient if kind == "patient" else self._staff)(claims)
            except ProviderUnavailable as error:
                _log.warning("login.provider", side=kind, reason=str(error))
                return _problem("provider", kind)
            except LoginRefused as error:
                _log.warning("login.refused", side=kind, reason=str(error))
                return _problem("refused", kind)
            except Refused as refused:
                return _problem(refused.decision.why, kind)
            except LookupError:
                return _problem("unknown", kind)
            target = login["return_to"]
            if kind == "staff" and not target.startswith(("/arbeid", "/drift")):
                target = "/arbeid"
            if choose:
                target = f"{CHOOSE_UNIT}?til={quote(target)}"
            response = RedirectResponse(target, 303)
            former: Session | None = getattr(request.state, "session", None)
            if former is not None:  # somebody else's, at a shared machine, or one's own from before
                await self._sessions.end(former.digest)
            self._sessions.forget(response, self._sessions.login_cookie)
            self._sessions.put(response, secret)
            return response

        return callback

    async def _patient(self, claims: Mapping[str, Any]) -> tuple[str, bool]:
        number = str(claims.get(PID, ""))
        if not is_national_number(number):
            raise LoginRefused("no pid")
        scope, person, _ = await self._access.for_patient(number)
        async with self._database.transaction() as connection:
            await note_portal_use(connection, resource_key("Patient", person.id), self._access.clock.now())
            secret = await self._sessions.start(
                connection, kind=scope.actor.kind.value, person=person.id, patient=person.id,
                display_name=person.name, provider_session=claims.get("sid"),
            )  # fmt: skip
        return secret, False

    async def _staff(self, claims: Mapping[str, Any]) -> tuple[str, bool]:
        """(secret, whether there are several units to choose from): begins at the first."""
        positions = await self._access.positions(str(claims.get(STAFF_HPR, "")))
        if not positions:
            raise LookupError("works nowhere")
        position = positions[0]
        async with self._database.transaction() as connection:
            secret = await self._sessions.start(
                connection, kind="staff", person=position.hpr, display_name=position.name, unit=position.unit,
                unit_name=position.unit_name, role=position.role.value, provider_session=claims.get("sid"),
            )  # fmt: skip
        return secret, len(positions) > 1

    async def _logout(self, request: Request) -> Response:
        """Ends the session when the form is the session's own; a link or another site's form ends nothing."""
        session: Session | None = getattr(request.state, "session", None)
        target = None
        if session is not None:
            form = await request.form(max_files=0, max_fields=10) if request.method == "POST" else {}
            if not hmac.compare_digest(str(form.get("csrf", "")).encode(), session.csrf.encode()):
                return RedirectResponse("/arbeid" if session.kind == "staff" else "/", 303)
            await self._sessions.end(session.digest)
            side = "staff" if session.kind == "staff" else "patient"
            base = self._providers[side].client.redirect_uri.split("/login")[0].removesuffix("/arbeid")
            target = self._providers[side].logout_url(session.provider_session, f"{base}/")
        response = RedirectResponse(target or "/", 303)
        self._sessions.forget(response, self._sessions.cookie)
        return response


def _problem(why: str, kind: str) -> Response:
    return RedirectResponse(f"{PROBLEM}?hvorfor={quote(why)}&side={kind}", 303)


@dataclass(frozen=True, slots=True)
class Ended:
    """A person acted for another until this request, and may no longer."""

    name: str
    """Of the other."""
    why: str
    """Key of a decision's reason."""


def _why(refusal: Exception) -> str:
    return refusal.decision.why if isinstance(refusal, Refused) else ""


class SessionMiddleware:
    """Puts `session` and `scope` on `request.state` of every page; None when nobody is logged in."""

    def __init__(self, app: Any, sessions: Sessions, access: Access) -> None:
        self._app = app
        self._sessions = sessions
        self._access = access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] == "http":
            state = scope.setdefault("state", {})
            state["session"] = state["scope"] = None
            secret = Request(scope).cookies.get(self._sessions.cookie)
            if secret:
                await self._fill(state, secret)
        await self._app(scope, receive, send)

    async def _fill(self, state: dict[str, Any], secret: str) -> None:
        session = await self._sessions.find(secret)
        if session is None:
            return
        try:
            try:
                state["scope"] = await self._scope(session)
            except (Refused, LookupError) as refusal:
                if session.patient in {None, session.person}:
                    raise
                # They may act for the other no longer: the other came of age, a mandate was withdrawn (FAM-07, FAM-10).
                state["ended"] = Ended(session.acting_for_name or "", _why(refusal))
                session = await self._sessions.back(session)
                state["scope"] = await self._scope(session)
        except (Refused, LookupError):
            # Something changed since the login: the person died, left the unit (FAM-15).
            await self._sessions.end(session.digest)
            state.pop("ended", None)
            return
        state["session"] = session

    async def _scope(self, session: Session) -> Any:
        if session.kind == "staff":
            scope, position = await self._access.for_staff(session.person, session.unit)
            if position.role.value != session.role:
                raise LookupError("works as something else now")
            return scope
        return await self._access.for_session(session.person, session.patient or session.person)
