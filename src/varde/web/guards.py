"""Who may ask for a page at all: logged in, on the right side of the house, with a form that is our own.

What may be seen on the page is decided by `trust` in every call of the store; this only spares a person a
page that could show nothing, and keeps other sites from posting in their name.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from varde.web.errors import Explanation, error_page, login_redirect
from varde.web.forms import Form, read_form
from varde.web.shell import Shell, csrf_token_of, language_of, render, viewer_of

Handler = Callable[[Request], Awaitable[Response]]

PATIENT_SIDE = frozenset({"patient", "representative"})
STAFF_SIDE = frozenset({"staff"})
OPERATOR = "operator"
CSRF_FIELD = "csrf"

_ = str  # marks messages for extraction

LOGGED_OUT = Explanation(
    _("Du er logget ut"),
    _("Du var borte en stund, så vi logget deg ut. Logg inn i et nytt vindu, kom tilbake hit og send."),
    again=True,
)
OLD_FORM = Explanation(
    _("Siden har stått åpen lenge"),
    _("For sikkerhets skyld ber vi deg bekrefte at du vil sende."),
    again=True,
)
OTHER_PERSON = Explanation(
    _("Ingenting er sendt: siden var for en annen"),
    _("Siden ble åpnet før du byttet hvem du handler for. Vi stoppet den. Se hvem det gjelder, og gjør det igjen."),
    written=True,
)
OTHER_UNIT = Explanation(
    _("Ingenting er sendt: siden var for en annen enhet"),
    _("Siden ble åpnet før du byttet enhet. Derfor stoppet vi den. Se hvor du er nå, og gjør det igjen."),
    written=True,
)


def _focus(token: str) -> str:
    """The part of a form's token that marks whose things the page was about; empty where there is none."""
    _secret, dot, mark = token.rpartition(".")
    return mark if dot else ""


def refused_form(request: Request, token: str, sent: str) -> Response:
    """The answer to a form without the session's own token: an old one may be sent again, but never for another
    person than it was opened for (FAM-18)."""
    before = _focus(sent)
    if before and before != _focus(token):
        staff = viewer_of(request) is not None and request.state.session.kind == "staff"
        return error_page(request, 403, explanation=OTHER_UNIT if staff else OTHER_PERSON)
    return error_page(request, 403, explanation=OLD_FORM)


def ended_page(request: Request) -> Response | None:
    """The answer to whoever acted for another until now, and may no longer (FAM-07, FAM-10): told once, whatever they
    asked for; nothing is shown or done. None for everybody else."""
    ended = getattr(request.state, "ended", None)
    if ended is None:
        return None
    return render(request, "web/ended.html", status_code=403 if request.method == "POST" else 200, ended=ended)


def _guard(handler: Handler, kinds: frozenset[str]) -> Handler:
    @wraps(handler)
    async def guarded(request: Request) -> Response:
        viewer = viewer_of(request)
        posted = request.method == "POST"
        form = await read_form(request, keep=CSRF_FIELD) if posted else Form()
        if viewer is None:
            if posted and form.fields:
                # Comes back after a new login: still only for whom it was opened.
                return error_page(request, 401, explanation=LOGGED_OUT, token=f".{_focus(form.kept)}")
            return login_redirect(request)
        ended = ended_page(request)
        if ended is not None:
            return ended
        if viewer.kind not in kinds:
            return error_page(request, 403)
        if posted:
            token = csrf_token_of(request)
            if not token or not hmac.compare_digest(token.encode(), form.kept.encode()):
                return refused_form(request, token, form.kept)
        request.state.form = form
        return await handler(request)

    return guarded


def patient_page(handler: Handler) -> Handler:
    """For pages of patients and those who act for them. A POST needs the session's own token."""
    return _guard(handler, PATIENT_SIDE)


def staff_page(handler: Handler) -> Handler:
    """For pages of staff. A POST needs the session's own token."""
    return _guard(handler, STAFF_SIDE)


def operator_page(handler: Handler) -> Handler:
    """For pages of those who keep Varde running."""

    @wraps(handler)
    async def operators_only(request: Request) -> Response:
        viewer = viewer_of(request)
        if viewer is None or viewer.role != OPERATOR:
            return error_page(request, 403)
        return await handler(request)

    return _guard(operators_only, STAFF_SIDE)


def form_of(request: Request) -> Form:
    """The posted form, on a guarded page."""
    form: Form = request.state.form
    return form


def refuse(request: Request, field: str, message: str) -> None:
    """Mark a field of the posted form as wrong, with a message (source language) in the reader's language."""
    shell: Shell = request.app.state.shell
    form_of(request).refuse(field, shell.gettext(language_of(request), message))
