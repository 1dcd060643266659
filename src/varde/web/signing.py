"""Pages around logging in and out: what went wrong, which organisation and unit one works at, and the farewell.

Who may is decided by `trust`; logging in itself is `trust/login.py`, whom one acts for `switching.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.trust.access import Access
from varde.trust.identity import workplaces
from varde.trust.identity.helseid import Organisation, Terms
from varde.trust.login import CHOOSE_ORGANISATION, CHOOSE_UNIT, PROBLEM, STEP_UP
from varde.trust.logout import Farewell
from varde.trust.sessions import Session, Sessions
from varde.web.errors import Explanation, error_page
from varde.web.guards import form_of, staff_page
from varde.web.routes import local_path
from varde.web.shell import CONTENT_SECURITY_POLICY, render

_ = str  # marks messages for extraction

OLD = Explanation(
    _("Innloggingen ble for gammel"),
    _("Det gikk for lang tid, eller du brukte en gammel lenke. Logg inn en gang til."),
    again=True,
)
PROBLEMS: Mapping[str, Explanation] = {
    "provider": Explanation(
        _("Innloggingen svarer ikke"),
        _("Tjenesten du logger inn med, er nede akkurat nå. Prøv igjen om noen minutter."),
        again=True,
    ),
    "old": OLD,
    "refused": Explanation(
        _("Vi kunne ikke logge deg inn"),
        _("Svaret fra innloggingen stemte ikke. Av hensyn til sikkerheten må du begynne på nytt."),
        again=True,
    ),
    "unknown": Explanation(
        _("Vi finner deg ikke"),
        _("Du er ikke registrert ved sykehusene i Helse Nord. Har du fått brev fra oss, ring nummeret i brevet."),
    ),
    "own-child": Explanation(
        _("Du må være 13 år for å logge inn her"),
        _("Foreldrene dine ser brevene og timene dine. Lurer du på noe, kan du eller de ringe sykehuset."),
    ),
    "own-dead": Explanation(
        _("Innloggingen er stengt"),
        _("Folkeregisteret sier at personen er død. Er det feil, ring folkeregisteret på 800 80 000."),
    ),
}
"""By the reasons that trust/login.py and trust/policy.py give."""
NO_POSITION = Explanation(
    _("Vi finner ikke arbeidsstedet ditt"),
    _("Du er ikke registrert ved en avdeling i Helse Nord. Be lederen din om å få deg lagt inn."),
)


def farewell(request: Request, leaving: Farewell) -> Response:
    """The person is logged out here; a form that the page itself sends on ends the provider's session."""
    response = render(request, "web/farewell.html", leaving=leaving)
    # The provider may send the browser on through others that it logged in to.
    origin = "://".join(urlsplit(leaving.address)[:2])
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "form-action 'self'", f"form-action 'self' https: {origin}"
    )
    return response


def routes(access: Access, sessions: Sessions, terms: Terms) -> list[BaseRoute]:
    """/login/problem, /arbeid/virksomhet, /arbeid/enhet."""

    async def problem(request: Request) -> Response:
        staff = request.query_params.get("side") == "staff"
        why = request.query_params.get("hvorfor", "")
        explanation = NO_POSITION if staff and why == "unknown" else PROBLEMS.get(why, OLD)
        return render(request, "web/login_problem.html", status_code=403, explanation=explanation, staff=staff)

    async def choose_organisation(request: Request) -> Response:
        """Before the login, where staff of several organisations may log in: HelseID is told which."""
        known = await workplaces.names(access, [number for one in terms.organisations for number in _numbers(one)])
        choices = [(str(one), _name(known, one)) for one in terms.organisations]
        asked = {name: request.query_params[name] for name in ("til", STEP_UP) if name in request.query_params}
        return render(request, "web/choose_organisation.html", choices=choices, asked=asked)

    @staff_page
    async def choose_unit(request: Request) -> Response:
        session: Session = request.state.session
        back = local_path(request.query_params.get("til") or "/arbeid")
        positions = await access.positions(session.person)
        if session.organisation is not None:
            positions = await workplaces.within(access, positions, Organisation.parse(session.organisation))
        if request.method != "POST":
            return render(request, "web/choose_unit.html", positions=positions, chosen=session.unit, back=back)
        wanted = form_of(request).one("enhet")
        position = next((one for one in positions if one.unit == wanted), None)
        if position is None:
            return error_page(request, 404)
        values = {"unit": position.unit, "unit_name": position.unit_name, "role": position.role.value}
        return _switched(await sessions.replace(session, **values), back)

    def _switched(secret: str, target: str) -> Response:
        response = RedirectResponse(target, 303)
        sessions.put(response, secret)
        return response

    return [
        Route(PROBLEM, problem),
        Route(CHOOSE_ORGANISATION, choose_organisation),
        Route(CHOOSE_UNIT, choose_unit, methods=["GET", "POST"]),
    ]


def _numbers(organisation: Organisation) -> list[str]:
    return [organisation.parent] if organisation.child is None else [organisation.child, organisation.parent]


def _name(known: Mapping[str, str], organisation: Organisation) -> str:
    """The organisation's name as the register here has it, else its number."""
    return next((known[number] for number in _numbers(organisation) if number in known), str(organisation))
