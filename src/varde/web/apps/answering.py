"""The page where a person answers an app: what it wants, of whom, for how long; all of it, some of it, or nothing.

Works without JavaScript. What is chosen is checked again when it is sent: a form proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import today
from varde.fhir.errors import Gone, NotFound
from varde.fhir.gate import Interaction
from varde.trust.access import Person, Refused, name_of
from varde.trust.persons import age
from varde.trust.scope import Scope
from varde.trust.sessions import Session, Sessions
from varde.trust.smart.authorizations import ACCESS_SECONDS, Authorization
from varde.trust.smart.clients import Client, Side
from varde.trust.smart.endpoints import AuthorizationServer
from varde.trust.smart.granting import grantable
from varde.trust.smart.requests import Asked, answer_address, origin_of, sides_of
from varde.trust.smart.scopes import LASTING, ScopeWord, read_words, written
from varde.web.apps.authorizing import OLD, PATIENT_ANSWER, STAFF_ANSWER
from varde.web.apps.choosing import PatientChoice
from varde.web.apps.noting import note, with_forms_to
from varde.web.apps.words import DURATIONS, USUAL_DURATION, Line, lines
from varde.web.errors import Explanation, error_page
from varde.web.guards import form_of, patient_page, staff_page
from varde.web.shell import Shell, language_of, render

_ = str  # marks messages for extraction

NOTHING = Explanation(
    _("Appen kan ikke brukes her"),
    _("Det appen ber om, er ikke noe du kan gi tilgang til. Gå tilbake til appen."),
)
OTHER_PERSON = Explanation(
    _("Appen ble åpnet av en annen"),
    _("Den som åpnet appen, må også svare. Åpne appen på nytt fra siden Apper."),
)


@dataclass(frozen=True, slots=True)
class _Whom:
    """One whose things the app could see."""

    id: str
    name: str
    years: int | None
    """Age of a child; None for oneself."""


@dataclass(frozen=True, slots=True)
class _Question:
    """An open request with what it needs to be answered."""

    handle: str
    asked: Asked
    client: Client
    session: Session
    scope: Scope
    words: tuple[ScopeWord, ...]
    others: tuple[str, ...]

    @property
    def staff(self) -> bool:
        return self.session.kind == "staff"

    @property
    def offline(self) -> bool:
        return "offline_access" in self.others

    @property
    def online(self) -> bool:
        return "online_access" in self.others


class Answering:
    """The pages of answering, for patients and for staff."""

    def __init__(self, server: AuthorizationServer, sessions: Sessions) -> None:
        self._server = server
        self._sessions = sessions
        self._choice = PatientChoice(server)

    def routes(self) -> list[BaseRoute]:
        """/apper/samtykke and /arbeid/apper/samtykke."""
        return [
            Route(f"{PATIENT_ANSWER}/{{handle}}", patient_page(self._patient), methods=["GET", "POST"]),
            Route(f"{STAFF_ANSWER}/{{handle}}", staff_page(self._staff), methods=["GET", "POST"]),
            Route(f"{STAFF_ANSWER}/{{handle}}/pasient", staff_page(self._choose), methods=["GET", "POST"]),
        ]

    async def _question(self, request: Request, side: Side) -> _Question | Response:
        handle = request.path_params["handle"]
        asked = await self._server.requests.find(handle)
        client = None if asked is None else await self._server.clients.find(asked.client)
        if asked is None or client is None or side not in sides_of(client, asked):
            return error_page(request, 404, explanation=OLD)
        session: Session = request.state.session
        scope: Scope = request.state.scope
        if asked.hpr is not None:
            if asked.hpr != session.person:
                return error_page(request, 403, explanation=OTHER_PERSON)
            # In the unit that it was opened from, whatever was chosen since.
            scope, _position = await self._server.access.for_staff(session.person, asked.unit)
        words, others = read_words(asked.scopes)
        kept = grantable(words, scope)
        if not kept and "openid" not in others:
            return error_page(request, 403, explanation=NOTHING)
        return _Question(handle, asked, client, session, scope, kept, others)

    async def _patient(self, request: Request) -> Response:
        question = await self._question(request, Side.PATIENT)
        if isinstance(question, Response):
            return question
        whom = await self._whom(question.session.person, question.session.display_name)
        if request.method == "GET":
            return self._ask(request, question, whom, question.session.patient or question.session.person)
        form = form_of(request)
        chosen = form.one("hvem", question.session.patient or question.session.person)
        if form.one("svar") != "ja":
            return await self._refused(request, question)
        try:
            scope, _person, _of = await self._server.access.act_for(question.session.person, chosen)
        except (Refused, LookupError):
            return error_page(request, 404)
        return await self._given(request, replace(question, scope=scope), whom, chosen)

    async def _whom(self, person_id: str, name: str) -> list[_Whom]:
        """Oneself and the children whose things one may see (FAM-02)."""
        children: Sequence[Person] = await self._server.access.represented(person_id)
        on = today(self._server.clock)
        return [_Whom(person_id, name, None), *(_Whom(c.id, c.name, age(c.born, on)) for c in children)]

    async def _staff(self, request: Request) -> Response:
        question = await self._question(request, Side.STAFF)
        if isinstance(question, Response):
            return question
        patient = question.asked.patient
        if patient is None and question.asked.wants_patient:
            return RedirectResponse(f"{STAFF_ANSWER}/{question.handle}/pasient", 303)
        whom = []
        if patient is not None:
            try:
                found = await self._server.access.store.read(question.scope, "Patient", patient)
            except (NotFound, Gone):
                return error_page(request, 404)
            whom = [_Whom(patient, name_of(found.resource), None)]
        if request.method == "GET":
            return self._ask(request, question, whom, patient)
        if form_of(request).one("svar") != "ja":
            return await self._refused(request, question)
        return await self._given(request, question, whom, patient)

    async def _choose(self, request: Request) -> Response:
        """Staff choose whose things an app is to see, when it was not opened from a patient."""
        question = await self._question(request, Side.STAFF)
        if isinstance(question, Response):
            return question
        if question.asked.hpr is not None and question.asked.patient is not None:
            return RedirectResponse(f"{STAFF_ANSWER}/{question.handle}", 303)
        if request.method == "POST" and (chosen := form_of(request).one("pasient")):
            try:
                await self._server.access.store.read(question.scope, "Patient", chosen)
            except (NotFound, Gone):
                return error_page(request, 404)
            await self._server.requests.choose(question.handle, chosen)
            return RedirectResponse(f"{STAFF_ANSWER}/{question.handle}", 303)
        return await self._choice.page(request, question.scope, question.client.name)

    def _ask(
        self, request: Request, question: _Question, whom: Sequence[_Whom], chosen: str | None, fault: str | None = None
    ) -> Response:
        shell: Shell = request.app.state.shell
        language = language_of(request)

        def say(message: str, **values: object) -> str:
            return shell.gettext(language, message, **values)

        found: list[Line] = lines(question.words, say, staff=question.staff)
        ticked = form_of(request).all("omfang") if fault is not None else [line.scope for line in found]
        response = render(
            request, "web/apps/answer.html", status_code=422 if fault else 200,
            app=question.client.name, publisher=question.client.publisher, lines=found, ticked=ticked,
            identity=bool(set(question.others) & {"openid", "fhirUser", "profile"}), whom=whom, chosen=chosen,
            staff=question.staff, offline=question.offline, online=question.online,
            durations=[(days, text) for days, (_length, text) in DURATIONS.items()],
            duration=form_of(request).one("varighet", USUAL_DURATION) if fault is not None else USUAL_DURATION,
            host=origin_of(question.asked.redirect_uri), faults={"omfang": say(fault)} if fault is not None else {},
        )  # fmt: skip
        return with_forms_to(response, question.asked.redirect_uri)

    async def _refused(self, request: Request, question: _Question) -> Response:
        async with self._server.access.store.transaction() as connection:
            try:
                await self._server.requests.take(connection, question.handle)
            except LookupError:
                return error_page(request, 404, explanation=OLD)
        return self._back(question, error="access_denied", error_description="the person said no")

    async def _given(
        self, request: Request, question: _Question, whom: Sequence[_Whom], patient: str | None
    ) -> Response:
        form = form_of(request)
        ticked = {scope for line in form.all("omfang") for scope in line.split(" ")}
        words = [word for word in grantable(question.words, question.scope) if str(word) in ticked]
        if question.words and not words:
            return self._ask(request, question, whom, patient, _("Kryss av for minst én ting, eller svar nei."))
        others = [one for one in question.others if one not in LASTING or question.offline or question.online]
        authorization = Authorization(
            question.client.id, "staff" if question.staff else "patient", question.session.person,
            written(words, others), self._server.clock.now() + self._length(question, form.one("varighet")),
            patient, question.scope.actor.unit, question.asked.encounter, question.asked.launched,
            question.session.digest if question.online else None,
        )  # fmt: skip
        async with self._server.access.store.transaction() as connection:
            try:
                await self._server.requests.take(connection, question.handle)
            except LookupError:
                return error_page(request, 404, explanation=OLD)
            number, code = await self._server.authorizations.keep(
                connection, authorization, redirect_uri=question.asked.redirect_uri,
                challenge=question.asked.challenge, nonce=question.asked.nonce,
                thumbprint=question.asked.thumbprint,
            )  # fmt: skip
            await note(question.scope, question.client, Interaction.CREATE, [number], patient, connection)
        return self._back(question, code=code)

    def _length(self, question: _Question, chosen: str) -> timedelta:
        if question.offline:
            return DURATIONS.get(chosen, DURATIONS[USUAL_DURATION])[0]
        return self._sessions.longest if question.online else timedelta(seconds=ACCESS_SECONDS)

    def _back(self, question: _Question, **values: str) -> Response:
        asked = question.asked
        address = answer_address(asked.redirect_uri, self._server.addresses.issuer, asked.state, **values)
        return RedirectResponse(address, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
