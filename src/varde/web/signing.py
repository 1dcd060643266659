"""Pages around logging in: what went wrong, and which unit one works at now.

Who may is decided by `trust`; logging in itself is `trust/login.py`, whom one acts for `switching.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.trust.access import Access
from varde.trust.login import CHOOSE_UNIT, PROBLEM
from varde.trust.sessions import Session, Sessions
from varde.web.errors import Explanation, error_page
from varde.web.guards import form_of, staff_page
from varde.web.routes import local_path
from varde.web.shell import render

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
    "own-young": Explanation(
        _("Du må være 16 år for å logge inn her"),
        _("Er du yngre, får du brevene dine i posten. Lurer du på noe, kan du eller foreldrene dine ringe sykehuset."),
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


def routes(access: Access, sessions: Sessions) -> list[BaseRoute]:
    """/login/problem, /arbeid/enhet."""

    async def problem(request: Request) -> Response:
        staff = request.query_params.get("side") == "staff"
        why = request.query_params.get("hvorfor", "")
        explanation = NO_POSITION if staff and why == "unknown" else PROBLEMS.get(why, OLD)
        return render(request, "web/login_problem.html", status_code=403, explanation=explanation, staff=staff)

    @staff_page
    async def choose_unit(request: Request) -> Response:
        session: Session = request.state.session
        back = local_path(request.query_params.get("til") or "/arbeid")
        positions = await access.positions(session.person)
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
        Route(CHOOSE_UNIT, choose_unit, methods=["GET", "POST"]),
    ]
