"""Logging in and out in a browser, and the middleware that puts session and scope on every page's request.

The two sides are alike but for the provider: patients by ID-porten, staff by HelseID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.db import Database
from varde.fhir.keys import resource_key
from varde.trust.access import Access, Refused, note_portal_use
from varde.trust.identity import codeflow, helseid, idporten, tokens, workplaces
from varde.trust.identity.devices import device_of
from varde.trust.identity.helseid import Organisation, Terms
from varde.trust.identity.provider import Provider, error_code
from varde.trust.identity.registration import Asked, Level, LoginRefused, ProviderUnavailable, Side
from varde.trust.sessions import Session, Sessions

PROBLEM = "/login/problem"
CHOOSE_UNIT = "/arbeid/enhet"
CHOOSE_ORGANISATION = "/arbeid/virksomhet"
KEYS = "/login/keys"
"""Our public keys, for the providers to fetch."""
STEP_UP = "fersk"
"""Query parameter of /login: seconds since the person last proved who they are, at most."""
_BROKEN_OFF = frozenset({"access_denied", "interaction_required", "login_required", "consent_required"})
_AWAY = frozenset({"temporarily_unavailable", "server_error"})
_log = structlog.get_logger("varde.login")


def _local(path: str | None) -> str:
    ok = bool(path) and path[0] == "/" and path[1:2] not in {"/", "\\"} and path.isprintable()  # type: ignore[index, union-attr]
    return path if ok and path is not None else "/"


@dataclass(frozen=True, slots=True)
class _Came:
    """Somebody who may come in."""

    secret: str
    choose: bool = False
    """Whether there are several units to choose from."""
    stranger: bool = False
    """Whether another logged in than whose session was to be stepped up."""


class Login:
    """The routes of logging in. Choices after login are pages: web/signing.py; logging out is logout.py."""

    def __init__(
        self,
        database: Database,
        access: Access,
        sessions: Sessions,
        providers: Mapping[Side, Provider],
        terms: Terms,
    ) -> None:
        self._database = database
        self._access = access
        self._sessions = sessions
        self._providers = providers
        self._terms = terms

    def routes(self) -> list[BaseRoute]:
        """/login, /arbeid/login and their callbacks, /login/keys."""
        return [
            Route("/login", self._start("patient")),
            Route("/login/callback", self._callback("patient")),
            Route("/arbeid/login", self._start("staff")),
            Route("/arbeid/login/callback", self._callback("staff")),
            Route(KEYS, self._keys),
        ]

    async def _keys(self, request: Request) -> Response:
        keys = self._providers["staff"].registration.keys.public()
        return JSONResponse(keys, headers={"cache-control": "public, max-age=3600"})

    def _start(self, side: Side) -> Any:
        async def start(request: Request) -> Response:
            target = _local(request.query_params.get("til"))
            max_age = _seconds(request.query_params.get(STEP_UP))
            organisation: Organisation | None = None
            if side == "staff" and self._terms.organisations:
                organisation = self._organisation(request)
                if organisation is None:
                    return RedirectResponse(f"{CHOOSE_ORGANISATION}?{urlencode(dict(request.query_params))}", 303)
            try:
                started = await codeflow.start(self._providers[side], self._asked(side, max_age, organisation))
            except (ProviderUnavailable, LoginRefused) as error:
                _log.warning("login.provider", side=side, reason=str(error))
                return _problem("provider", side)
            await self._sessions.begin_login(
                side, started.state, started.nonce, started.verifier, target,
                max_age=max_age, organisation=str(organisation) if organisation else None,
            )  # fmt: skip
            response = RedirectResponse(started.url, 303)
            self._sessions.put_login(response, started.state)
            return response

        return start

    def _organisation(self, request: Request) -> Organisation | None:
        """The one whose staff logs in: the only one, the one that was chosen, or that of the session stepped up."""
        known = self._terms.organisations
        session: Session | None = getattr(request.state, "session", None)
        chosen = request.query_params.get("virksomhet") or (session.organisation if session is not None else None)
        if len(known) == 1:
            return known[0]
        return next((one for one in known if str(one) == chosen or one.parent == chosen), None)

    def _asked(self, side: Side, max_age: int | None, organisation: Organisation | None) -> Asked:
        return idporten.asking(max_age) if side == "patient" else helseid.asking(self._terms, organisation, max_age)

    def _callback(self, side: Side) -> Any:
        async def callback(request: Request) -> Response:
            query = request.query_params
            state = query.get("state", "")
            login = await self._sessions.take_login(side, state)
            if login is None or request.cookies.get(self._sessions.login_cookie) != state:
                return _problem("old", side)
            try:
                await codeflow.check_sender(self._providers[side], query.get("iss"))
                if "code" not in query:
                    return self._without_code(side, query.get("error"))
                came = await (self._patient if side == "patient" else self._staff)(request, login, query["code"])
            except ProviderUnavailable as error:
                _log.warning("login.provider", side=side, reason=str(error))
                return _problem("provider", side)
            except LoginRefused as error:
                _log.warning("login.refused", side=side, reason=str(error))
                return _problem("refused", side)
            except Refused as refused:
                return _problem(refused.decision.why, side)
            except LookupError:
                return _problem("unknown", side)
            response = RedirectResponse(_target(side, login["return_to"], came), 303)
            former: Session | None = getattr(request.state, "session", None)
            if former is not None:  # somebody else's, at a shared machine, or one's own from before
                await self._sessions.end(former.digest)
            self._sessions.forget(response, self._sessions.login_cookie)
            self._sessions.put(response, came.secret)
            return response

        return callback

    def _without_code(self, side: Side, error: str | None) -> Response:
        """The provider says that nobody logged in."""
        if error in _BROKEN_OFF:
            return RedirectResponse("/", 303)
        _log.warning("login.provider", side=side, reason=error_code(error))
        return _problem("provider" if error in _AWAY else "refused", side)

    async def _patient(self, request: Request, login: Any, code: str) -> _Came:
        """Raises LoginRefused, ProviderUnavailable, Refused, LookupError."""
        provider = self._providers["patient"]
        asked = self._asked("patient", login["max_age"], None)
        answer = await codeflow.finish(
            provider, code, nonce=login["nonce"], verifier=login["verifier"], asked=asked
        )  # fmt: skip
        who = idporten.citizen(answer.claims, asked)
        scope, person, _ = await self._access.for_patient(who.number)
        facts = self._facts(request, answer, who.level) | {"tokens": tokens.of_login(provider, answer)}
        async with self._database.transaction() as connection:
            await note_portal_use(connection, resource_key("Patient", person.id), self._access.clock.now())
        own = {
            "kind": scope.actor.kind.value, "person": person.id, "patient": person.id, "display_name": person.name,
        }  # fmt: skip
        return await self._begin(request, login, own, facts)

    async def _staff(self, request: Request, login: Any, code: str) -> _Came:
        """Begins at the first unit. Raises LoginRefused, ProviderUnavailable, LookupError."""
        provider = self._providers["staff"]
        organisation = Organisation.parse(login["organisation"]) if login["organisation"] else None
        asked = self._asked("staff", login["max_age"], organisation)
        details = helseid.token_details(self._terms, organisation)
        answer = await codeflow.finish(
            provider, code, nonce=login["nonce"], verifier=login["verifier"], asked=asked, wanted=helseid.WANTED,
            details=details,
        )  # fmt: skip
        who = helseid.worker(answer.claims, asked, self._terms, organisation, answer.details)
        positions = await self._access.positions(who.hpr)
        positions = await workplaces.within(self._access, positions, who.organisation)
        if not positions:
            raise LookupError("works nowhere in that organisation")
        position = positions[0]
        facts = self._facts(request, answer, who.level) | {
            "tokens": tokens.of_login(provider, answer, details), "organisation": str(who.organisation),
        }  # fmt: skip
        own = {
            "kind": "staff", "person": position.hpr, "display_name": position.name, "unit": position.unit,
            "unit_name": position.unit_name, "role": position.role.value,
        }  # fmt: skip
        came = await self._begin(request, login, own, facts)
        return _Came(came.secret, len(positions) > 1 and login["max_age"] is None, came.stranger)

    def _facts(self, request: Request, answer: codeflow.Answer, level: Level) -> dict[str, Any]:
        """What a session keeps of a login, whoever it is."""
        now, claimed = self._access.clock.now(), answer.claims.get("auth_time")
        known = isinstance(claimed, int | float) and not isinstance(claimed, bool)
        session, subject = answer.claims.get("sid"), answer.claims.get("sub")
        return {
            "provider_session": session if isinstance(session, str) else None,
            "provider_subject": subject if isinstance(subject, str) else None,
            "level": int(level),
            "authenticated": min(now, datetime.fromtimestamp(float(claimed or 0), UTC)) if known else now,
            "device": device_of(request.headers.get("user-agent")),
        }

    async def _begin(self, request: Request, login: Any, own: dict[str, Any], facts: dict[str, Any]) -> _Came:
        """A session; when its own person steps up, the one that they have goes on where they are, with a new secret.
        Where that has ended meanwhile, as it does when another logs in at the provider, nobody knows whose it was."""
        former: Session | None = getattr(request.state, "session", None)
        stepping_up = login["max_age"] is not None
        if stepping_up and former is not None and _same(former, own):
            try:
                return _Came(await self._sessions.replace(former, **facts))
            except LookupError:
                pass  # it ended meanwhile
        async with self._database.transaction() as connection:
            return _Came(await self._sessions.start(connection, **own, **facts), stranger=stepping_up)


def _same(session: Session, own: Mapping[str, Any]) -> bool:
    return bool(session.person == own["person"]) and (session.kind == "staff") == (own["kind"] == "staff")


def _target(side: Side, target: str, came: _Came) -> str:
    """Where to go. What one person was about to do is not opened for another."""
    if came.stranger:
        target = "/"
    if side == "staff" and not target.startswith(("/arbeid", "/drift")):
        target = "/arbeid"
    return f"{CHOOSE_UNIT}?til={quote(target)}" if came.choose else target


def _seconds(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 6 and text.isascii() and text.isdigit() else None


def _problem(why: str, side: str) -> Response:
    return RedirectResponse(f"{PROBLEM}?hvorfor={quote(why)}&side={side}", 303)


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
