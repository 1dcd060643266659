"""The operation `Patient/$summary`: an International Patient Summary of a record, as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varde.fhir.errors import BadRequest, NotFound, PreconditionFailed
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.ips.document import PROFILE, chosen_of, document
from varde.fhir.ips.sections import TYPES
from varde.fhir.model import Stored
from varde.fhir.record import Part, open_types, page, referred
from varde.fhir.splice import instant
from varde.fhir.store import ABSENT

_ROWS = 5000
"""Resources of a record that a summary is made of at most."""
_BESIDE = frozenset(
    {"Medication", "Practitioner", "PractitionerRole", "Organization", "Device", "Observation", "Specimen", "Location"}
)
"""Types that are taken along when an entry refers to them."""
_BUNDLE = f"{PROFILE}/Bundle-uv-ips"


async def _summary(call: Call) -> Answer:
    asked = _asked(call.parameters())
    patient = await _patient(call, asked.get("identifier"))
    part = Part(TYPES | {"Patient"})
    opened = open_types(call.gate, part)
    async with call.store.database.connection() as connection:
        record = await page(connection, call.gate, patient.rid, part, after=None, limit=_ROWS, newest=True)
        sections = chosen_of([one for one in record if one.type != "Patient"])
        entries = [patient, *(one for _, several in sections for one in several)]
        beside = open_types(call.gate, Part(_BESIDE))
        others = await referred(connection, call.gate, patient.rid, entries, beside)
    shown = [*entries, *others]
    await call.gate.record(
        Disclosure(
            Interaction.SEARCH, "*", list(dict.fromkeys(one.reference for one in shown)),
            sorted({one.patient for one in shown if one.patient is not None}), query="operation=summary",
        ),
        None,
    )  # fmt: skip
    body = document(
        call.base, patient, sections, others, language=_language(call.request.headers),
        moment=instant(call.store.clock.now()), closed=TYPES - opened,
    )  # fmt: skip
    return Answer(200, body)


def _asked(named: Sequence[tuple[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in named:
        if name not in {"identifier", "profile"} or not isinstance(value, str):
            raise BadRequest.of("$summary takes identifier and profile", code="not-supported")
        found[name] = value
    if found.get("profile", _BUNDLE).partition("|")[0] != _BUNDLE:
        raise BadRequest.of(f"only summaries by {_BUNDLE} are made", code="not-supported")
    return found


async def _patient(call: Call, identifier: str | None) -> Stored:
    """Whose summary it is. Raises NotFound, PreconditionFailed when several have the identifier."""
    if call.id is not None:
        if identifier is not None:
            raise BadRequest.of("the Patient is named by the address already")
        return await call.store.read(call.gate, "Patient", call.id)
    if not identifier:
        raise BadRequest.of("$summary of the type takes the Patient's identifier")
    found = await call.store.search(call.gate, "Patient", [("identifier", identifier), ("_count", "2")])
    if len(found.matches) > 1:
        raise PreconditionFailed.of("several Patients have this identifier", code="multiple-matches")
    if not found.matches:
        raise NotFound.of(ABSENT)
    return found.matches[0]


def _language(headers: Mapping[str, str]) -> str:
    """nb unless English is preferred (RFC 9110, 12.5.4)."""
    best: tuple[float, str] = (0.0, "nb")
    for part in headers.get("accept-language", "").split(","):
        name, _, weight = part.strip().partition(";q=")
        language = {"en": "en", "nb": "nb", "no": "nb", "nn": "nb"}.get(name.split("-")[0].lower())
        try:
            heavy = float(weight or 1)
        except ValueError:
            continue
        if language is not None and heavy > best[0]:
            best = (heavy, language)
    return best[1]


SUMMARY = Operation(
    "summary",
    "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    _summary,
    Level.TYPE | Level.INSTANCE,
    frozenset({"Patient"}),
)
