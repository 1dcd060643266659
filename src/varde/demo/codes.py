"""The code systems that the region's resources use: the Norwegian ones, and Varde's own.

`kodeverk.ndjson` holds what HL7 Norge publishes of them (HL7Norway/kodeverk 0.6.0, hl7.fhir.no.basis 2.2.2; CC0-1.0),
without narrative. Where it says not-present, the content is Helsedirektoratet's, to be loaded with `varde load`.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from varde.demo.people import STAFF_ROLES, Resource
from varde.services.letters.model import STATE
from varde.services.letters.staff import STATES
from varde.trust.access import ROLE_SYSTEM
from varde.trust.definitions import definitions

_KODEVERK = Path(__file__).parent / "kodeverk.ndjson"


def code_systems() -> list[Resource]:
    """CodeSystem resources, and the profile of access decisions, the same every time."""
    own = [
        _own("staff-role", ROLE_SYSTEM, "Roller ved en avdeling", STAFF_ROLES),
        _own("letter-state", STATE, "Et brevs tilstander", {code: words.label for code, words in STATES.items()}),
    ]
    return [*(orjson.loads(line) for line in _KODEVERK.read_bytes().splitlines()), *own, *definitions()]


def _own(identifier: str, url: str, title: str, codes: dict[str, str]) -> Resource:
    return {
        "resourceType": "CodeSystem", "id": f"varde-{identifier}", "url": url,
        "name": "".join(part.capitalize() for part in identifier.split("-")), "title": title, "status": "active",
        "publisher": "Varde", "language": "nb", "caseSensitive": True, "content": "complete",
        "concept": [{"code": code, "display": display} for code, display in codes.items()],
    }  # fmt: skip
