"""TerminologyCapabilities: what `metadata?mode=terminology` tells of the terminology that is known here.

The specification's code systems, and those of a grammar; what the store holds besides is found by searching CodeSystem.
"""

from __future__ import annotations

from typing import Any

from varde import __version__
from varde.fhir.terminology import core, grammars
from varde.fhir.terminology.expand import TAKES


def terminology_capabilities(base: str, date: str) -> dict[str, Any]:
    """The document. `date` is when this version was put to use."""
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "varde-terminology",
        "url": f"{base}/metadata?mode=terminology",
        "version": __version__,
        "name": "VardeTerminology",
        "title": "Varde",
        "status": "active",
        "experimental": False,
        "date": date,
        "publisher": "Varde",
        "kind": "instance",
        "software": {"name": "Varde", "version": __version__},
        "implementation": {"description": "Varde", "url": base},
        "codeSystem": _code_systems(),
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name} for name in sorted(TAKES)],
            "textFilter": (
                "Every word of the filter begins a word of the code, its display or its designations, in any order."
                " Case and accents do not matter; æ, ø and å are letters of their own, as ä and ö for æ and ø."
            ),
        },
        "codeSearch": "all",
        "validateCode": {"translations": True},
        "translation": {"needsMap": False},
    }


def _code_systems() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for url in core.urls("CodeSystem"):
        if not url.startswith("urn:oid:"):
            versions = [{"code": entry.version} for entry in core.entries("CodeSystem", url) if entry.version]
            listed.append({"uri": url, **({"version": versions} if versions else {}), "subsumption": True})
    listed += [{"uri": url, "subsumption": False} for url in grammars.urls()]
    return listed
