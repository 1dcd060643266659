"""Pages of the family: whom one acts for, who acts for one, what each may do; powers of attorney and youth access given
and withdrawn. A national number stands in a form's field alone, never in an address or a log.

What may be is decided by `rules.py` and `trust`; whom one acts for now is `web/switching.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import today
from varde.services.family import plain, powers, relations, telling, youth
from varde.services.family.handover import Corrections, handlers
from varde.services.family.notices import TEXTS, Notice
from varde.services.family.part import Part
from varde.services.family.powers import Wish
from varde.services.family.relations import Bonded
from varde.services.family.rules import Dates, NotAllowed
from varde.trust.access import Person
from varde.trust.law.things import Thing
from varde.trust.persons import HEALTH_MAJORITY, is_national_number
from varde.web import flash
from varde.web.errors import error_page
from varde.web.forms import Form
from varde.web.guards import form_of, patient_page, refuse
from varde.web.shell import MenuItem, Shell, language_of, render

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

MENU = MenuItem("/familie", _("Familie og fullmakt"))
GIVEN = flash.register("family.given", _("Fullmakten er gitt. Den andre får beskjed."))
ENDED = flash.register("family.ended", _("Fullmakten er slutt fra nå. Den andre får beskjed."))
YOUTH_GIVEN = flash.register("family.youth-given", _("Ungdomstilgangen er gitt."))
YOUTH_ENDED = flash.register("family.youth-ended", _("Ungdomstilgangen er slutt fra nå."))

FAULTS: Mapping[str, tuple[str, str]] = {
    "giver": ("nummer", _("Du kan ikke gi fullmakt her. Ring avdelingen hvis du trenger hjelp.")),
    "number": ("nummer", _("Skriv fødselsnummeret med 11 siffer.")),
    "receiver": ("nummer", _("Vi kan ikke gi fullmakt til noen med dette nummeret og etternavnet. Sjekk begge.")),
    "self": ("nummer", _("Dette er ditt eget nummer.")),
    "young": ("nummer", _("Den som får fullmakt, må være 18 år.")),
    "things": ("ting", _("Velg minst én del.")),
    "first": ("fra", _("Skriv en dato fra og med i dag.")),
    "last": ("til", _("Skriv en dato etter den første, eller la feltet stå tomt.")),
}
"""Field and text of each thing that can be wrong with a wish."""


@dataclass(frozen=True, slots=True)
class Relative:
    """One bond as the page shows it."""

    id: str
    name: str
    years: int
    bond: str
    ground: str
    lines: Sequence[plain.Line]


@dataclass(frozen=True, slots=True)
class Child:
    """A child of 13–15, to whom youth access may be given."""

    id: str
    name: str
    given: bool
    since: date | None


def patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/familie` and below."""

    async def myself(request: Request) -> Person:
        return await platform.access.known(request.state.session.person)

    @patient_page
    async def overview(request: Request) -> Response:
        person, language = await myself(request), language_of(request)
        if request.state.scope.acting_for is not None:
            other = await platform.access.known(request.state.scope.acting_for)
            between = await relations.bonded(platform, person, other)
            return render(request, "family/acting.html", relative=_relative(between, other, language))
        mine = await relations.acts_for(platform, person)
        others = await relations.act_for(platform, person)
        own = await relations.bonded(platform, person, person)
        shell: Shell = request.app.state.shell
        given, received = await powers.given(platform, person), await powers.received(platform, person)
        return render(
            request,
            "family/overview.html",
            acts_for=[_relative(one, one.patient, language) for one in mine],
            act_for=[_relative(one, one.asker, language) for one in others],
            children=[await _child(platform, one) for one in mine if one.parent and one.youth],
            own=None if own.years >= HEALTH_MAJORITY else _relative(own, person, language),
            may_give=own.years >= HEALTH_MAJORITY,
            given=given,
            received=received,
            things=plain.THINGS,
            notices=[
                {"at": one.at, "text": _said(shell, language, one)}
                for one in await telling.told(platform, request.state.scope)
            ],
        )  # fmt: skip

    @patient_page
    async def give(request: Request) -> Response:
        if request.state.scope.acting_for is not None:
            return error_page(request, 404)
        form = form_of(request)
        if request.method != "POST" or form.one("gjor") == "endre":
            return _form(platform, request, form)
        person, wish = await myself(request), _wish(request, form)
        receiver: Person | None = None
        if wish is not None:
            try:
                if form.one("gjor") == "gi":
                    await powers.give(platform, request.state.scope, person, wish)
                    return _back(request, GIVEN)
                receiver = await powers.judge(platform, person, wish)
            except NotAllowed as refusal:
                refuse(request, *FAULTS[refusal.fault])
        if wish is None or receiver is None:
            return _form(platform, request, form)
        return render(
            request, "family/confirm.html", form=form, wish=wish, things=plain.THINGS, receiver=form.one("etternavn")
        )

    @patient_page
    async def end(request: Request) -> Response:
        try:
            person = await myself(request)
            await powers.withdraw(platform, request.state.scope, person, request.path_params["id"])
        except NotAllowed:
            return error_page(request, 404)
        return _back(request, ENDED)

    @patient_page
    async def youth_access(request: Request) -> Response:
        form = form_of(request)
        if request.state.scope.acting_for is not None or form.one("gjor") not in {"gi", "trekk"}:
            return error_page(request, 404)
        giving = form.one("gjor") == "gi"
        try:
            await youth.decide(platform, await myself(request), form.one("barn"), give=giving)
        except (NotAllowed, LookupError):
            return error_page(request, 404)
        return _back(request, YOUTH_GIVEN if giving else YOUTH_ENDED)

    return [
        Route("/familie", overview),
        Route("/familie/fullmakt", give, methods=["GET", "POST"]),
        Route("/familie/fullmakt/{id}/slutt", end, methods=["POST"]),
        Route("/familie/ungdom", youth_access, methods=["POST"]),
    ]


def _relative(between: Bonded, other: Person, language: str) -> Relative:
    bonds = dict.fromkeys(plain.RELATIONS[one] for one in between.mandate.relations)
    return Relative(
        other.id,
        other.name,
        between.years,
        next(iter(bonds), ""),
        between.mandate.best.ground.sentence[language],
        plain.lines(between.mandate),
    )


async def _child(platform: Platform, one: Bonded) -> Child:
    standing = await youth.standing(platform, one.patient)
    given = standing is not None and standing.holds(platform.clock.now())
    since = (standing.starts or standing.at).date() if standing is not None and given else None
    return Child(one.patient.id, one.patient.name, given, since)


def _said(shell: Shell, language: str, notice: Notice) -> str:
    return shell.gettext(language, TEXTS[notice.kind], name=notice.name)


def _back(request: Request, message: str) -> Response:
    response = RedirectResponse("/familie", 303)
    flash.put(response, message, secure=request.url.scheme == "https")
    return response


def _form(platform: Platform, request: Request, form: Form) -> Response:
    return render(
        request,
        "family/give.html",
        status_code=422 if form.faults else 200,
        form=form,
        things=plain.THINGS,
        chosen=frozenset(form.all("ting")),
        first=form.one("fra") or today(platform.clock).isoformat(),
        faults=form.faults,
    )


def _wish(request: Request, form: Form) -> Wish | None:
    """What the form asks for; None with its faults marked."""
    number = form.one("nummer").replace(" ", "")
    things = frozenset(Thing(one) for one in form.all("ting") if one in set(Thing))
    first, last = _day(form.one("fra")), _day(form.one("til"))
    if not is_national_number(number):
        refuse(request, *FAULTS["number"])
    if not form.one("etternavn"):
        refuse(request, *FAULTS["receiver"])
    if not things:
        refuse(request, *FAULTS["things"])
    if first is None:
        refuse(request, *FAULTS["first"])
    if last is None and form.one("til"):
        refuse(request, *FAULTS["last"])
    if form.faults or first is None:
        return None
    return Wish(number, form.one("etternavn"), things, Dates(first, last))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


PART = Part(
    patient_routes=patient_routes,
    patient_menu=((MENU.path, MENU.message),),
    handlers=handlers,
    projections=(Corrections(),),
)
