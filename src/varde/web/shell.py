"""The shell that every page is put in: templates, languages, who is looking, menu, messages.

`render(request, "letters/inbox.html", **values)` is all that a page needs to know. Routes of the shell's own
are in `routes.py`, error pages in `errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.requests import Request
from starlette.responses import HTMLResponse

from varde.clock import Clock
from varde.web import flash
from varde.web.assets import Assets
from varde.web.languages import LANGUAGES, SOURCE, Speech, Words, catalog

LANGUAGE_COOKIE = "varde_language"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; frame-src 'self'; object-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, no other host. `data:` is for Designsystemet's icons."""

_WORDS = "shell words"
"""Under a name that no page can give to a value of its own: filters write dates by it."""
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every page. `no-store`: after logout, or on a shared machine, nothing of a patient is left."""


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry of a menu. `message` is its text in the source language."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is logged in, as the pages need it: names both persons while one acts for another (FAM-18)."""

    name: str
    kind: str
    """patient, representative or staff."""
    acting_for: str | None = None
    """Name of the patient, when another acts for them."""
    unit: str | None = None
    """Name of the unit that a staff member works at now."""
    role: str | None = None
    """What a staff member does there: clinician, secretary or operator."""


@dataclass(frozen=True, slots=True)
class TemplateFolder:
    """Where a service keeps its templates and catalogs: `prefix/name.html` in `package`/templates."""

    prefix: str
    package: str
    folder: str = "templates"


def language_of(request: Request) -> str:
    """The language of this answer: what the person chose, else their session's, else Bokmål."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    wanted = getattr(request.state, "language", None)
    return wanted if wanted in LANGUAGES else SOURCE


def viewer_of(request: Request) -> Viewer | None:
    """Who is logged in, from the session that `trust` has put on the request; None on public pages."""
    session = getattr(request.state, "session", None)
    if session is None:
        return None
    return Viewer(
        name=session.display_name,
        kind=str(session.kind),
        acting_for=getattr(session, "acting_for_name", None),
        unit=getattr(session, "unit_name", None),
        role=getattr(session, "role", None),
    )


def csrf_token_of(request: Request) -> str:
    """The token that proves that a form came from our own page; empty when nobody is logged in."""
    session = getattr(request.state, "session", None)
    return str(getattr(session, "csrf", "")) if session is not None else ""


class Shell:
    """Made once a process by `app.py` and put on `app.state.shell`."""

    def __init__(
        self,
        clock: Clock,
        assets: Assets,
        *,
        patient_menu: Sequence[MenuItem] = (),
        staff_menu: Sequence[MenuItem] = (),
        folders: Sequence[TemplateFolder] = (),
        demo: bool = False,
    ) -> None:
        self.clock = clock
        self.assets = assets
        self.patient_menu = tuple(patient_menu)
        self.staff_menu = tuple(staff_menu)
        self.demo = demo
        loaders = {"web": PackageLoader("varde.web", "templates")}
        loaders |= {f.prefix: PackageLoader(f.package, f.folder) for f in folders}
        catalogs = [_package_folder(f.package) / "languages" for f in folders]
        self._catalogs = {language: catalog(language, catalogs) for language in LANGUAGES}
        self._environments = {language: self._environment(language, PrefixLoader(loaders)) for language in LANGUAGES}

    def _environment(self, language: str, loader: PrefixLoader) -> Environment:
        made = Environment(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        made.install_gettext_translations(self._catalogs[language], newstyle=True)  # type: ignore[attr-defined]
        made.globals |= {
            "asset": self.assets.url,
            "languages": LANGUAGES,
            "language": language,
            "demo": self.demo,
        }
        made.filters |= {
            "moment": _moment,
            "day": _day,
            "date": _date,
            "time": _time,
            "short": _short,
            "seconds": _seconds,
            "share": _share,
            "query": _query,
        }
        return made

    def gettext(self, language: str, message: str, **values: object) -> str:
        """`message` (source language) in `language`, with `values` filled in."""
        translated = str(self._catalogs[language].gettext(message))
        return translated % values if values else translated

    def speech(self, request: Request) -> Speech:
        """The messages in the language of this answer."""
        language = language_of(request)
        return Speech(language, self._catalogs[language])

    def html(self, request: Request, template: str, values: Mapping[str, Any]) -> str:
        """The page as text. Raises jinja2.TemplateNotFound, or UndefinedError when a value is missing."""
        language = language_of(request)
        viewer = viewer_of(request)
        staff_side = request.url.path.startswith(("/arbeid", "/drift"))
        words = Words(language, self.clock.now())
        menu = self._menu(viewer, staff_side)
        context = {
            "request": request,
            "path": request.url.path,
            "viewer": viewer,
            "staff_side": staff_side,
            "menu": menu,
            "here": _here(menu, request.url.path),
            "csrf_token": csrf_token_of(request),
            "flashes": flash.read(request),
            "words": words,
            "now": self.clock.now(),
        }
        return self._environments[language].get_template(template).render(context | dict(values) | {_WORDS: words})

    def _menu(self, viewer: Viewer | None, staff_side: bool) -> Sequence[MenuItem]:
        if viewer is None:
            return ()
        return self.staff_menu if staff_side else self.patient_menu


def _here(menu: Sequence[MenuItem], path: str) -> str:
    """The entry under which a page lies: the nearest, where one entry lies under another. Empty for none."""
    under = (item.path for item in menu if item.path not in {"/", "/arbeid"} and path.startswith(f"{item.path}/"))
    return max(under, key=len, default="")


def render(request: Request, template: str, /, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Answer with the page `template` (`service/name.html`), in the person's language, in the shell."""
    shell: Shell = request.app.state.shell
    response = HTMLResponse(shell.html(request, template, values), status_code, PAGE_HEADERS)
    if request.cookies.get(flash.COOKIE):
        flash.forget(response)
    return response


def speech_of(request: Request) -> Speech:
    """The messages in the language of this answer, for what a page's code puts into words."""
    shell: Shell = request.app.state.shell
    return shell.speech(request)


def _package_folder(package: str) -> Path:
    from importlib.resources import files

    return Path(str(files(package)))


@pass_context
def _moment(context: Context, value: datetime) -> str:
    words: Words = context[_WORDS]
    return words.moment(value)


@pass_context
def _day(context: Context, value: date | datetime) -> str:
    words: Words = context[_WORDS]
    return words.day(value)


@pass_context
def _date(context: Context, value: date | datetime) -> str:
    words: Words = context[_WORDS]
    return words.date(value)


@pass_context
def _time(context: Context, value: datetime) -> str:
    words: Words = context[_WORDS]
    return words.time(value)


@pass_context
def _short(context: Context, value: datetime) -> str:
    words: Words = context[_WORDS]
    return words.short(value)


@pass_context
def _seconds(context: Context, value: timedelta) -> str:
    """`0,12 s`."""
    words: Words = context[_WORDS]
    return f"{words.number(value.total_seconds(), 2)} s"


@pass_context
def _share(context: Context, value: float) -> str:
    """A share of one in per cent: `99,9`."""
    words: Words = context[_WORDS]
    return words.number(value * 100, 1)


def _query(values: Mapping[str, Any]) -> str:
    """A query string of the values that are set: for links of filters and pages."""
    return urlencode({key: value for key, value in values.items() if value not in (None, "")}, doseq=True)
