"""The documents that are open to all: the CapabilityStatement and the discovery of SMART. Made once, told apart by
an entity tag, so that a client which has one already need not fetch it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

from varde.fhir.errors import BadRequest
from varde.fhir.http.exchange import Answer
from varde.fhir.http.rendering import shape
from varde.fhir.splice import dump
from varde.fhir.summary import reduced

TERMINOLOGY = "metadata?mode=terminology"
"""The address of the TerminologyCapabilities among the documents."""
_KEPT = 50
_MODES = frozenset({"full", "normative", "terminology"})


class Discovery(Protocol):
    """What an open address answers."""

    def __call__(self) -> dict[str, Any]:
        """The document."""
        ...


class Documents:
    """The open documents by their addresses below the base."""

    def __init__(self, documents: Mapping[str, Discovery]) -> None:
        self._documents = documents
        self._kept: dict[tuple[str, str | None, str | None], tuple[dict[str, Any], bytes, str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._documents and path != TERMINOLOGY

    def answer(self, path: str, headers: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Answer:
        """The document at `path`; 304 for who has it. Raises BadRequest for a mode that there is none of.

        `mode` chooses between the CapabilityStatement and the TerminologyCapabilities; between the full and the
        normative statement it chooses nothing, since what is here is normative and of the full server alike (R4
        3.1.0.8 lets it be left aside).
        """
        mode = next((value for name, value in query if name == "mode"), "full")
        if mode not in _MODES:
            raise BadRequest.of("mode is " + ", ".join(sorted(_MODES)))
        is_resource = path == "metadata"
        if mode == "terminology" and is_resource and TERMINOLOGY in self._documents:
            path = TERMINOLOGY
        body, tag = self._made(path, *(shape(query) if is_resource else (None, None)))
        kept = {"etag": tag, "cache-control": "no-cache"}
        if not is_resource:
            kept["content-type"] = "application/json"
        tags = [one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")]
        if tag.removeprefix("W/") in tags or "*" in tags:
            return Answer(304, None, kept)
        return Answer(200, body, kept)

    def _made(self, path: str, summary: str | None, elements: str | None) -> tuple[bytes, str]:
        """(text, entity tag), made anew only when the document is another."""
        document = self._documents[path]()
        kept = self._kept.get((path, summary, elements))
        if kept is not None and kept[0] is document:
            return kept[1], kept[2]
        whole = summary is None and elements is None
        body = dump(document if whole else reduced(document, summary, elements))
        tag = f'W/"{sha256(body).hexdigest()[:16]}"'
        if len(self._kept) < _KEPT:
            self._kept[path, summary, elements] = document, body, tag
        return body, tag
