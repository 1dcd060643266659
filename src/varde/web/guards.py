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
from varde.web.shell import csrf_token_of, viewer_of

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


def _guard(handler: Handler, kinds: frozenset[str]) -> Handler:
    @wraps(handler)
    async def guarded(request: Request) -> Response:
        viewer = viewer_of(request)
        posted = request.method == "POST"
        form = await read_form(request, keep=CSRF_FIELD) if posted else Form()
        if viewer is None:
            if posted and form.fields:
                return error_page(request, 401, explanation=LOGGED_OUT)
            return login_redirect(request)
        if viewer.kind not in kinds:
            return error_page(request, 403)
        if posted:
            token = csrf_token_of(request)
            if not token or not hmac.compare_digest(token.encode(), form.kept.encode()):
                return error_page(request, 403, explanation=OLD_FORM)
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
