"""Hva pasienten ser: pages where a clinician finds one thing of a patient, sees who sees it, and withholds, delays or
releases it, in two steps: the choice, and what follows from it. Works without JavaScript. What may be done is decided
by `withholding.py`; no name or number of a patient stands in an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.clock import OSLO
from varde.fhir.errors import PreconditionFailed
from varde.services.family import withholding, withholding_jobs, withholding_words
from varde.services.family import withholding_rules as rules
from varde.services.family.assessment_pages import practitioner
from varde.services.family.part import Part
from varde.services.family.rules import NotAllowed
from varde.services.family.withholding import About, Item
from varde.services.family.withholding_rules import Cause, Choice, Event, Way
from varde.trust.consents import Withholding
from varde.trust.explaining import Seer
from varde.trust.law.marks import DELAYED, FROM_PARENTS, FROM_YOUTH, WITHHELD
from varde.web import flash
from varde.web.errors import error_page
from varde.web.forms import Form
from varde.web.guards import form_of, refuse, staff_page
from varde.web.shell import MenuItem, render

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

MENU = MenuItem("/arbeid/pasienten-ser", _("Hva pasienten ser"))
SAVED = flash.register("family.withheld", _("Lagret. Det gjelder fra nå."))
MORNING = time(8)
"""When a delay ends on a day for which no time was written."""
LONGEST_REASON = 1000
_CODES: Mapping[str, Way] = {
    WITHHELD: Way.ALL, DELAYED: Way.UNTIL, FROM_PARENTS: Way.PARENTS, FROM_YOUTH: Way.YOUTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A thing's state in a list: messages with %(when)s."""

    item: Item
    tags: Sequence[str]
    when: datetime | None
    unreleased: bool
    """The law asks for a release that is not there."""


@dataclass(frozen=True, slots=True)
class Line:
    """A person and whether they see a thing, now and with a choice."""

    name: str
    relation: str
    now: bool
    why: str
    then: bool
    why_then: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form says, before it is judged."""

    way: Way | None
    choice: Choice | None
    also: frozenset[str]
    versions: Mapping[str, str]
    fault: str | None


def staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/arbeid/pasienten-ser` and below."""

    @staff_page
    async def overview(request: Request) -> Response:
        if not rules.may_withhold(request.state.session.role):
            return error_page(request, 403)
        search = form_of(request).one("sok")[:100] if request.method == "POST" else ""
        found = await withholding.patients(platform, request.state.scope, search) if search else []
        standing = await withholding.standing(platform, request.state.scope)
        return render(
            request, "family/withheld.html", standing=standing, search=search, found=found,
            tags={one.decision.thing: _tags_of(one.decision) for one in standing.held},
            causes=withholding_words.CAUSES,
        )  # fmt: skip

    @staff_page
    async def patient(request: Request) -> Response:
        if not rules.may_withhold(request.state.session.role):
            return error_page(request, 403)
        record = await withholding.record_of(platform, request.state.scope, request.path_params["id"])
        kinds: dict[str, list[Shown]] = {}
        for item in record.items.values():
            kinds.setdefault(item.named.kind, []).append(_shown(item, record.years))
        return render(request, "family/withheld_patient.html", record=record, kinds=kinds)

    @staff_page
    async def thing(request: Request) -> Response:
        if not rules.may_withhold(request.state.session.role):
            return error_page(request, 403)
        path, scope = request.path_params, request.state.scope
        reference = f"{path['type']}/{path['thing']}"
        one = await withholding.about(platform, scope, path["id"], reference)
        form = form_of(request)
        if request.method != "POST" or form.one("steg") == "endre":
            return _page(platform, request, form, one)
        asked = _asked(form)
        try:
            if asked.choice is None or asked.fault is not None:
                raise NotAllowed(asked.fault or "way")
            if form.one("steg") == "bekreft":
                by = await practitioner(platform, request)
                await withholding.decide(platform, scope, by, one, asked.choice, asked.also, asked.versions)
                response = RedirectResponse(f"{MENU.path}/{path['id']}", 303)
                flash.put(response, SAVED, secure=request.url.scheme == "https")
                return response
            rules.check(asked.choice, one.record.years, one.item.thing, platform.clock.now())
            then = await withholding.who_then(platform, one, asked.choice)
            return render(
                request, "family/withheld_confirm.html", one=one, choice=asked.choice, words=withholding_words,
                lines=_lines(one.seers, then), follows=[item for item, _ in one.ties if item.reference in asked.also],
                fields=[(name, value) for name, values in form.fields.items() for value in values if name != "steg"],
            )  # fmt: skip
        except NotAllowed as refusal:
            refuse(request, *withholding_words.FAULTS[refusal.fault])
        except PreconditionFailed:
            one = await withholding.about(platform, scope, path["id"], reference)
            refuse(request, *withholding_words.FAULTS["changed"])
        return _page(platform, request, form, one)

    return [
        Route(MENU.path, overview, methods=["GET", "POST"]),
        Route(f"{MENU.path}/{{id}}", patient),
        Route(f"{MENU.path}/{{id}}/{{type}}/{{thing}}", thing, methods=["GET", "POST"]),
    ]


def _page(platform: Platform, request: Request, form: Form, one: About) -> Response:
    posted = request.method == "POST"
    decision = one.item.decision
    standing = decision if decision is not None and decision.holds(platform.clock.now()) else None
    way = form.one("hva") if posted else request.query_params.get("hva") or _way(one.item, standing).value
    ends = standing.ends.astimezone(OSLO) if standing is not None and standing.ends is not None else None
    chosen = set(form.all("med")) if posted else {item.reference for item, _ in one.ties if item.own}
    values: dict[str, Any] = {
        "day": form.one("dag") if posted else ends.date().isoformat() if ends else "",
        "clock": form.one("klokke") if posted else ends.strftime("%H:%M") if ends else "",
        "event": form.one("hendelse") if posted else standing.event if standing is not None else "",
        "cause": form.one("grunn"),
        "reason": form.one("begrunnelse"),
        "released": frozenset(form.all("frigi")) if posted else one.item.marks,
    }
    return render(
        request, "family/withheld_thing.html", status_code=422 if form.faults else 200, one=one, way=way,
        ways=[(way, withholding_words.WAYS[way]) for way in rules.ways(one.record.years)], words=withholding_words,
        faults=form.faults, chosen=chosen, lines=_lines(one.seers, one.seers), state=_shown(one.item, one.record.years),
        groups=_groups(one), history=[(made, _tags_of(made)) for made in one.history], **values,
    )  # fmt: skip


def _groups(one: About) -> Sequence[tuple[str, Sequence[tuple[Cause, str]]]]:
    """The grounds, under what they fit."""
    ways = rules.ways(one.record.years)
    hiding = [way for way in ways if way not in {Way.OPEN, Way.UNTIL, Way.EVENT}]
    groups: Sequence[tuple[str, Sequence[Way]]] = [
        (_("For å vise"), [Way.OPEN]),
        (_("For å vente"), [Way.UNTIL]),
        (_("For å skjule"), hiding),
    ]
    found: list[tuple[str, Sequence[tuple[Cause, str]]]] = []
    said: set[Cause] = set()
    for title, several in groups:
        causes = [cause for cause in dict.fromkeys(c for way in several for c in rules.CAUSES[way])
                  if cause not in said and cause is not Cause.OTHER]  # fmt: skip
        said |= set(causes)
        found.append((title, [(cause, withholding_words.CAUSES[cause]) for cause in causes]))
    return [*found, ("", [(Cause.OTHER, withholding_words.CAUSES[Cause.OTHER])])]


def _way(item: Item, standing: Withholding | None) -> Way:
    if standing is not None and standing.codes:
        return rules.way_of(standing)
    return next((way for code, way in _CODES.items() if code in item.codes), Way.OPEN)


def _shown(item: Item, years: int) -> Shown:
    decision = item.decision
    held = decision is not None and not decision.withdrawn and bool(decision.codes & item.codes)
    if decision is not None and held:
        tags = list(_tags_of(decision))
    else:
        tags = [
            withholding_words.SHORT[way] for code, way in _CODES.items() if code in item.codes and way is not Way.UNTIL
        ]
        tags += [withholding_words.SHORT[Way.EVENT]] if DELAYED in item.codes else []
    asked = rules.marks_asked(years, item.thing)
    return Shown(
        item, [*tags, *withholding_words.blocked(item.codes)], decision.ends if decision and held else None,
        bool(asked - item.marks),
    )  # fmt: skip


def _tags_of(decision: Withholding) -> Sequence[str]:
    """A decision in a few words."""
    way = rules.way_of(decision)
    if way is Way.OPEN:
        return [withholding_words.MARKS[one][0] for one in sorted(decision.marks)] or [withholding_words.SHORT[way]]
    if way is Way.EVENT and (waits := withholding_words.WAITS.get(decision.event or "")) is not None:
        return [waits]
    return [withholding_words.SHORT[way]]


def _lines(now: Sequence[Seer], then: Sequence[Seer]) -> Sequence[Line]:
    """Persons, as they see it now and would then."""
    after = {one.reference: one for one in then if one.role is None}
    return [
        Line(
            one.name, withholding_words.relation(one), one.decision.allowed, withholding_words.why(one),
            after[one.reference].decision.allowed, withholding_words.why(after[one.reference]),
        )
        for one in now
        if one.role is None and one.reference in after
    ]  # fmt: skip


def _asked(form: Form) -> Asked:
    """What the form says. What is no choice at all is a fault; whether it may be is decided later."""
    versions = {reference: shown for reference, _at, shown in (one.rpartition("@") for one in form.all("v"))}
    also = frozenset(form.all("med"))
    said = form.one("hva")
    if said not in set(Way):
        return Asked(None, None, also, versions, "way")
    way = Way(said)
    until, fault = None, None
    if way in {Way.UNTIL, Way.EVENT} and (form.one("dag") or way is Way.UNTIL):
        until = _moment(form.one("dag"), form.one("klokke"))
        fault = "when" if until is None else None
    event = form.one("hendelse") if way is Way.EVENT else None
    if event is not None and event not in set(Event):
        return Asked(way, None, also, versions, fault or "event")
    cause = form.one("grunn")
    choice = Choice(
        way, until, Event(event) if event else None, Cause(cause) if cause in set(Cause) else None,
        form.one("begrunnelse")[:LONGEST_REASON], rules.released(way, frozenset(form.all("frigi"))),
    )  # fmt: skip
    return Asked(way, choice, also, versions, fault)


def _moment(day: str, clock: str) -> datetime | None:
    """A day and a time of the clock in Norway."""
    try:
        at = time.fromisoformat(clock) if clock else MORNING
        made = datetime.combine(datetime.fromisoformat(day).date(), at.replace(tzinfo=None), OSLO)
    except ValueError:
        return None
    return made


PART = Part(
    staff_routes=staff_routes,
    staff_menu=((MENU.path, MENU.message),),
    handlers=withholding_jobs.handlers,
    projections=(withholding_jobs.Visits(),),
)
