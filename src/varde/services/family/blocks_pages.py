"""Mine sperringer: the patient's blocks and reservations in plain words, made and lifted in steps that ask first. Works
without JavaScript. What may be done is decided by `blocking.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from varde.services.family import blocking
from varde.services.family.part import Part
from varde.web import flash
from varde.web.errors import error_page
from varde.web.guards import form_of, patient_page
from varde.web.shell import render

if TYPE_CHECKING:
    from varde.services import Platform

_ = str  # marks messages for extraction

HOME = "/familie/sperringer"
MADE = flash.register("family.block-made", _("Sperringen gjelder fra nå."))
LIFTED = flash.register("family.block-lifted", _("Sperringen er opphevet."))
DECLINED = flash.register("family.declined", _("Du har sagt nei til tjenesten. Det gjelder fra nå."))
TAKEN_BACK = flash.register("family.declined-undone", _("Du bruker tjenesten igjen fra nå."))


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind of block is explained (source language)."""

    title: str
    short: str
    """In the list of kinds."""
    effects: Sequence[str]
    """What follows, one sentence each, before the person says yes."""
    icon: str


EMERGENCY = _("Står det om liv, kan en behandler åpne sperringen en kort stund. Da får du alltid beskjed.")
KINDS: Mapping[str, Words] = {
    "person": Words(
        _("Sperre for en person"),
        _("En ansatt skal ikke se noe i journalen din."),
        (
            _("Personen ser ingenting om deg i Varde, heller ikke at du er pasient her."),
            _("Skal personen behandle deg, må en annen overta, eller du må oppheve sperringen."),
            EMERGENCY,
        ),
        "person",
    ),
    "unit": Words(
        _("Sperre for en avdeling"),
        _("Ingen som arbeider der, skal se noe i journalen din."),
        (
            _("Alle på avdelingen, og på enhetene under den, ser ingenting om deg i Varde."),
            _("Får du behandling der, kan de mangle noe de trenger å vite. Si fra når du møter."),
            _("Avdelingen kan heller ikke sende deg brev eller timer herfra."),
            EMERGENCY,
        ),
        "people",
    ),
    "source": Words(
        _("Skjule det som kommer fra en avdeling"),
        _("Bare avdelingen selv og du ser det: brev, timer, henvisninger og prøvesvar derfra."),
        (
            _("Ingen andre avdelinger ser at du har vært der. Det gjelder også det som kommer derfra senere."),
            _("Andre som behandler deg, kan mangle noe viktig, for eksempel om legemidler."),
            EMERGENCY,
        ),
        "shield",
    ),
    "thing": Words(
        _("Sperre ett brev, svar, dokument eller besøk"),
        _("Ingen ansatte skal se akkurat dette. Du ser det fortsatt."),
        (
            _("Det som hører til, blir også skjult: svarene fra besøket, meldingene i samtalen."),
            _("Heller ikke den som skrev det, ser det."),
            EMERGENCY,
        ),
        "paper",
    ),
    "sharing": Words(
        _("Sperre for deling"),
        _("Andre sykehus, fastlegen og kommunen skal ikke se det som ikke er deres eget."),
        (
            _("Hvert sykehus, og fastlegen og kommunen, ser bare det de selv har skrevet om deg."),
            _("Du må selv fortelle andre som behandler deg, det de trenger å vite."),
            EMERGENCY,
        ),
        "send",
    ),
    "service": Words(
        _("Si nei til en tjeneste"),
        _("Du vil ikke bruke en av tjenestene her."),
        (_("Du kan ombestemme deg når som helst. Da gjelder det med en gang."),),
        "letter",
    ),
}
SERVICES: Mapping[str, tuple[str, str]] = {
    "letters": (_("Brev"), _("Brevene dine kommer på papir i posten.")),
    "dialogue": (_("Meldinger"), _("Avdelingen skriver ikke til deg her. De ringer deg eller sender brev.")),
    "forms": (_("Skjema"), _("Skjema kommer på papir, eller dere fyller dem ut sammen.")),
    "plans": (_("Planer"), _("Planene dine får du på papir av avdelingen.")),
    "documents": (_("Journaldokumenter"), _("Du kan be sykehuset om kopi av journalen.")),
    "results": (_("Prøvesvar"), _("Behandleren forteller deg svarene.")),
}
"""Name and what happens instead."""
CAUSES: Mapping[str, str] = {
    "life": _("Fare for liv eller alvorlig helseskade"),
    "unconscious": _("Pasienten kan ikke svare for seg"),
    "medicine": _("Må vite om legemidler eller allergier straks"),
    "asked": _("Pasienten ba om det"),
    "other": _("Annen grunn"),
}
"""Why emergency access was opened (trust.consents.CAUSES)."""


def patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    """`/familie/sperringer` and below."""

    def services() -> list[str]:
        there = {service.name for service in platform.services}
        return [name for name in blocking.RESERVABLE if name in there]

    @patient_page
    async def overview(request: Request) -> Response:
        found = await blocking.overview(platform, request.state.scope)
        return render(
            request, "family/blocks.html", found=found, kinds=KINDS, services=SERVICES, causes=CAUSES,
            offered=services(),
        )  # fmt: skip

    @patient_page
    async def choose(request: Request) -> Response:
        kind: str = request.path_params["kind"]
        scope, query = request.state.scope, request.query_params
        if kind not in KINDS or not blocking.allowed(scope).change:
            return error_page(request, 404)
        if kind == "sharing":
            return await confirm(request, kind, "")
        search = query.get("sok", "")[:100]
        if "valg" in query:
            return await confirm(request, kind, query["valg"])
        values: dict[str, Any] = {
            "kind": kind, "words": KINDS[kind], "search": search, "choices": [], "things": [], "services": {},
            "type": query.get("type", ""), "types": blocking.kinds_of_things(), "missing": "videre" in query,
        }  # fmt: skip
        if kind == "person":
            values["choices"] = await blocking.persons(platform, scope, search)
        elif kind in {"unit", "source"}:
            values["choices"] = await blocking.units(platform, scope, search)
        elif kind == "thing":
            values["things"] = await blocking.things(platform, scope, query.get("type", ""), search)
        else:
            values["services"] = {name: SERVICES[name] for name in services()}
        return render(request, "family/block_choose.html", **values)

    async def confirm(request: Request, kind: str, key: str) -> Response:
        try:
            decision = blocking.block_of(kind, key, platform.clock.now())
        except ValueError:
            return error_page(request, 404)
        shown = await blocking.chosen(platform, request.state.scope, decision)
        return render(
            request, "family/block_confirm.html", kind=kind, key=key, words=KINDS[kind], shown=shown, services=SERVICES
        )

    @patient_page
    async def make(request: Request) -> Response:
        form = form_of(request)
        kind = form.one("slag")
        try:
            decision = blocking.block_of(kind, form.one("valg"), platform.clock.now())
        except ValueError:
            return RedirectResponse(f"{HOME}?{urlencode({'slag': kind})}", 303)
        await blocking.chosen(platform, request.state.scope, decision)
        await blocking.make(platform, request.state.scope, decision)
        response = RedirectResponse(HOME, 303)
        flash.put(response, DECLINED if kind == "service" else MADE)
        return response

    @patient_page
    async def one(request: Request) -> Response:
        shown = await blocking.one(platform, request.state.scope, request.path_params["id"])
        return render(
            request, "family/block.html", shown=shown, words=KINDS[shown.kind], services=SERVICES,
        )  # fmt: skip

    @patient_page
    async def lift(request: Request) -> Response:
        kind = await blocking.lift(platform, request.state.scope, request.path_params["id"])
        response = RedirectResponse(HOME, 303)
        flash.put(response, TAKEN_BACK if kind == "service" else LIFTED)
        return response

    return [
        Route(HOME, overview),
        Route(HOME, make, methods=["POST"]),
        Route(f"{HOME}/ny/{{kind}}", choose),
        Route(f"{HOME}/{{id}}", one),
        Route(f"{HOME}/{{id}}/opphev", lift, methods=["POST"]),
    ]


PART = Part(patient_routes=patient_routes, patient_menu=((HOME, _("Mine sperringer")),))
