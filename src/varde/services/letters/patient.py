"""Pages for the patient and those who act for them: inbox, letter, archive. All work without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.services.letters.views import PatientLetters
from varde.web import flash
from varde.web.guards import patient_page
from varde.web.shell import PAGE_HEADERS, language_of, render

_ = str  # marks messages for extraction

ARCHIVED = flash.register("letters.archived", _("Brevet ligger nå i arkivet."))
TAKEN_OUT = flash.register("letters.taken-out", _("Brevet ligger nå i innboksen."))

PDF_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
}
"""For PDF: the browser's own viewer styles itself; nothing runs, and only our own pages may frame it."""


def pdf_response(content: bytes, name: str, *, download: bool) -> Response:
    """A PDF named `name` (no personal data in it), to be kept or shown."""
    how = "attachment" if download else "inline"
    headers = {**PDF_HEADERS, "Content-Disposition": f'{how}; filename="{name}.pdf"'}
    return Response(content, headers=headers, media_type="application/pdf")


def patient_routes(letters: PatientLetters) -> Sequence[BaseRoute]:
    """`/brev` and below."""

    async def listing(request: Request, archived: bool) -> Response:
        found = await letters.inbox(
            request.state.scope,
            archived=archived,
            page=request.query_params.get("side"),
            language=language_of(request),
        )
        return render(
            request,
            "letters/inbox.html",
            letters=found.letters,
            unread=found.unread,
            archived=archived,
            previous=found.previous,
            next=found.next,
        )

    @patient_page
    async def inbox(request: Request) -> Response:
        return await listing(request, archived=False)

    @patient_page
    async def archive(request: Request) -> Response:
        return await listing(request, archived=True)

    @patient_page
    async def letter(request: Request) -> Response:
        """Opening is showing the content (LET-06): it is marked by the same call that fetches it."""
        if request.method == "HEAD":
            return Response(headers=PAGE_HEADERS)
        page = await letters.open(request.state.scope, request.path_params["id"], language=language_of(request))
        seers = await letters.seers(request.state.scope, request.path_params["id"])
        return render(request, "letters/letter.html", letter=page, content=Markup(page.html), seers=seers)  # noqa: S704

    @patient_page
    async def pdf(request: Request) -> Response:
        content = await letters.pdf(request.state.scope, request.path_params["id"])
        return pdf_response(content, "brev", download=True)

    @patient_page
    async def put_away(request: Request) -> Response:
        archived = request.url.path.endswith("/arkiver")
        await letters.archive(request.state.scope, request.path_params["id"], archived)
        response = RedirectResponse("/brev", 303)
        flash.put(response, ARCHIVED if archived else TAKEN_OUT, secure=request.url.scheme == "https")
        return response

    return [
        Route("/brev", inbox),
        Route("/brev/arkiv", archive),
        Route("/brev/{id}", letter),
        Route("/brev/{id}/pdf", pdf),
        Route("/brev/{id}/arkiver", put_away, methods=["POST"]),
        Route("/brev/{id}/hent-fram", put_away, methods=["POST"]),
    ]
