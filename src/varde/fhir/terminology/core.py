"""The terminology of the specification itself, read from what `build_terminology.py` made. Open to everybody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from varde.fhir.terminology.listed import Listing

_FOLDER = Path(__file__).parent.parent / "definitions"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one resource of the specification stands."""

    version: str | None
    offset: int
    length: int


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, dict[str, list[Entry]]], dict[str, str]]:
    """(entries by type and url, url of a code system by the url of its value set of all codes)."""
    file = _FOLDER / "terminology.json"
    if not file.exists():
        raise RuntimeError("the FHIR definitions are not built: run 'python -m varde.fhir.building.build'")
    read = json.loads(file.read_text(encoding="utf-8"))
    entries = {
        kind: {url: [Entry(*place[:3]) for place in places] for url, places in by_url.items()}
        for kind, by_url in read.items()
    }
    every = {
        place[3].partition("|")[0]: url
        for url, places in read["CodeSystem"].items() for place in places if place[3] and not url.startswith("urn:oid:")
    }  # fmt: skip
    return entries, every


def entries(kind: str, url: str) -> list[Entry]:
    """The versions of a CodeSystem, ValueSet or ConceptMap."""
    return _index()[0][kind].get(url, [])


def urls(kind: str) -> list[str]:
    """Of every resource of the type."""
    return sorted(_index()[0][kind])


def of_all_codes(url: str) -> str | None:
    """The code system of which `url` is the value set of all codes."""
    return _index()[1].get(url)


@lru_cache(maxsize=512)
def load(entry: Entry) -> dict[str, Any]:
    """The resource. Treat it as read only."""
    with (_FOLDER / "terminology.ndjson").open("rb") as file:
        file.seek(entry.offset)
        loaded: dict[str, Any] = orjson.loads(file.read(entry.length))
    return loaded


@lru_cache(maxsize=256)
def listing(entry: Entry) -> Listing:
    """A code system taken apart."""
    return Listing(load(entry))
