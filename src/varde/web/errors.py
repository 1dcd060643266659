"""What a person sees when something is wrong: a calm page in plain language, losing nothing they wrote.

A page that may not be seen and one that does not exist answer alike, to the letter.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from varde.fhir import errors as fhir
from varde.web.forms import STATE
from varde.web.shell import render

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error page says, in the source language: what happened, and what to do now."""

    title: str
    text: str
    again: bool = False
    """Whether trying once more can help."""
    written: bool = False
    """Whether what was written is shown, to be copied: it may not be sent from here."""


_ = str  # marks messages for extraction

NOT_FOUND = Explanation(
    _("Vi finner ikke siden"),
    _("Siden finnes ikke, eller den er ikke tilgjengelig for deg. Sjekk adressen, eller gå til forsiden."),
)
EXPLANATIONS: Mapping[int, Explanation] = {
    400: Explanation(
        _("Vi forstod ikke det som ble sendt"),
        _("Noe i skjemaet eller adressen var feil. Gå tilbake og prøv en gang til."),
        again=True,
    ),
    403: Explanation(
        _("Dette har du ikke tilgang til"),
        _("Siden er ikke for den du er logget inn som. Logg ut og inn igjen hvis du har fått en ny rolle."),
    ),
    404: NOT_FOUND,
    405: NOT_FOUND,
    409: Explanation(
        _("Noen andre kom før deg"),
        _("Det du ville endre, er endret av en annen i mellomtiden. Se hvordan det er nå, og prøv igjen."),
        again=True,
    ),
    413: Explanation(_("Det du sendte er for stort"), _("Del det opp, eller velg en mindre fil, og prøv igjen.")),
    500: Explanation(
        _("Noe gikk galt hos oss"),
        _("Det er ikke din feil. Vi har fått beskjed. Prøv igjen om litt."),
        again=True,
    ),
    503: Explanation(
        _("Tjenesten er nede akkurat nå"),
        _("Vi jobber med å få den opp igjen. Ingenting er vist eller endret. Prøv igjen om noen minutter."),
        again=True,
    ),
}
ALIAS = {401: 403, 410: 404, 412: 409, 422: 400, 429: 503}


def error_page(
    request: Request,
    status: int,
    *,
    reference: str | None = None,
    explanation: Explanation | None = None,
    token: str | None = None,
) -> Response:
    """The page for `status`. What was posted comes along, so that it can be sent once more; with `token` in place of
    the session's."""
    said = ALIAS.get(status, status)
    explanation = explanation or EXPLANATIONS.get(said) or EXPLANATIONS[500 if status >= 500 else 400]
    posted: dict[str, list[str]] = getattr(request.state, STATE, {}) if request.method == "POST" else {}
    written = [text for texts in posted.values() for text in texts if " " in text] if explanation.written else []
    if posted and not explanation.again:
        posted = {}
    response = render(
        request,
        "web/error.html",
        status_code=404 if status in (405, 410) else status,
        explanation=explanation,
        posted=posted,
        written=written,
        resend_token=token,
        reference=reference,
    )
    if status == 503:
        response.headers["Retry-After"] = "60"
    return response


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown addresses, wrong methods, and what pages raise."""
    if not isinstance(error, HTTPException):
        raise error
    return error_page(request, error.status_code)


async def on_fhir_error(request: Request, error: Exception) -> Response:
    """The store's errors: the person is told what it means for them, never the technical text."""
    if not isinstance(error, fhir.FhirError):
        raise error
    reference = None
    if error.status >= 500:
        reference = new_reference()
        log.warning("page unavailable", reference=reference, fault=type(error).__name__)
    return error_page(request, error.status, reference=reference)


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Anything else: logged with a reference that the person may read to us; the log says only where."""
    reference = new_reference()
    log.error("page failed", reference=reference, fault=type(error).__name__, where=_where(error))
    return error_page(request, 500, reference=reference)


def new_reference() -> str:
    """A short word to read over the telephone: no letters that sound or look alike."""
    return "".join(secrets.choice("ABCDEFHJKLMNPRSTUVXY23456789") for _ in range(6))


def _where(error: BaseException) -> list[str]:
    trace, frames = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-8:]


def login_redirect(request: Request) -> Response:
    """To the login of the side that the page is on, and back to the page afterwards."""
    login = "/arbeid/login" if request.url.path.startswith(("/arbeid", "/drift")) else "/login"
    back = request.url.path if request.method in ("GET", "HEAD") else "/"
    return RedirectResponse(f"{login}?til={quote(back)}", 303)


def handlers() -> dict[Any, Any]:
    """For `Starlette(exception_handlers=…)`."""
    return {HTTPException: on_http_exception, fhir.FhirError: on_fhir_error, Exception: on_unexpected}
